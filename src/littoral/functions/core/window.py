"""What a worker was given and has not finished, and how far the cursor may move. Pure."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from littoral.functions.wire import Work

NO_SEQ = 0
"""``seq`` of a tick: it comes from no record and holds no cursor."""


@dataclass(slots=True, eq=False)
class Entry:
    """One event on its way through a worker."""

    work: Work
    seq: int
    hops: int
    key: str
    """Names the event for ever: the same after a restart."""
    size: int = 0
    done: bool = False
    open_effects: int = 0
    """Merges and commands of it that are not finished."""
    effects: int = 0
    """Effects so far; numbers them within the event."""


@dataclass(slots=True)
class Window:
    """Entries in the order in which a worker runs them, which is the order in which it ends them.

    Invariant: the cursor never passes a record with an event that is not done, or whose effects
    are not.
    """

    bytes_used: int = 0
    _waiting: deque[Entry] = field(default_factory=deque)
    _unsettled: deque[Entry] = field(default_factory=deque)
    _by_token: dict[int, Entry] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self._waiting)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._waiting)

    @property
    def head(self) -> Entry | None:
        """What the worker runs now."""
        return self._waiting[0] if self._waiting else None

    def add(self, entry: Entry) -> None:
        """Take in what is about to be sent."""
        self._waiting.append(entry)
        self._unsettled.append(entry)
        self._by_token[entry.work.token] = entry
        self.bytes_used += entry.size

    def at(self, token: int) -> Entry | None:
        """The entry of that token, until it is done."""
        return self._by_token.get(token)

    def finish(self, token: int) -> Entry | None:
        """The head is done; None if ``token`` is not the head's."""
        if not self._waiting or self._waiting[0].work.token != token:
            return None
        entry = self._waiting.popleft()
        entry.done = True
        del self._by_token[token]
        self.bytes_used -= entry.size
        return entry

    def drop_waiting(self) -> None:
        """The worker is gone: forget what it did not finish. It is read again."""
        self._unsettled = deque(entry for entry in self._unsettled if entry.done)
        self._waiting.clear()
        self._by_token.clear()
        self.bytes_used = 0

    def settled(self, scanned: int) -> int:
        """Up to which seq everything is done, if all records up to ``scanned`` were looked at."""
        unsettled = self._unsettled
        while unsettled and unsettled[0].done and not unsettled[0].open_effects:
            unsettled.popleft()
        for entry in unsettled:
            if entry.seq != NO_SEQ and (not entry.done or entry.open_effects):
                return entry.seq - 1
        return scanned
