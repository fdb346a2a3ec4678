"""Durable, named positions of readers."""

from littoral.kernel.time import Clock
from littoral.log.core import CursorState, Pin, decode_cursor, lost_range
from littoral.log.errors import CursorLost
from littoral.log.model import CURSOR_IDLE_MS_MAX, Record, RecordClass
from littoral.log.ports import Store
from littoral.log.readable import Readable

_SPACE = "cursor"
_CURSORS_MAX = 100_000
_TOUCH_EVERY_MS = 60_000


class Cursor:
    """Where one reader is. Only its own reader moves it.

    Invariant: `position` never goes back, and what is stored is never beyond what the reader said.
    """

    def __init__(
        self, log: Readable, store: Store, clock: Clock, name: str, state: CursorState
    ) -> None:
        self.name = name
        self._log = log
        self._store = store
        self._clock = clock
        self._state = state

    @property
    def position(self) -> int:
        """Everything up to this seq is done with."""
        return self._state.position

    @property
    def pinned(self) -> bool:
        """Whether retention waits for this reader, up to the byte budget."""
        return self._state.pinned

    @property
    def cls(self) -> int | None:
        """The one class that it reads; None for all."""
        return self._state.cls

    @property
    def used_ms(self) -> int:
        """When its reader last moved it."""
        return self._state.used_ms

    def read(self, limit: int, *, after: int | None = None) -> list[Record]:
        """The next committed records after `position` (or after ``after``, to read ahead).

        Raises:
            CursorLost: retention took records that this reader had not read; raised once, then
                reading goes on at the oldest record that is left.
        """
        state = self._state
        lost = lost_range(state.position, state.lost_to, self._dropped_to())
        if lost is not None:
            self._store_state(state, lost_to=lost[1])
            raise CursorLost(
                f"the reader {self.name!r} was too slow: records {lost[0]} to {lost[1]} "
                "were dropped by retention, all or in part.",
                hint="Read on from the oldest record; the ledger says what was lost.",
                lost_from=lost[0],
                lost_to=lost[1],
            )
        start = state.position if after is None else max(after, state.position)
        return self._log.read(start, limit=limit, cls=state.cls)

    def advance(self, seq: int) -> None:
        """Everything up to ``seq`` is done with; durable with the next batch."""
        state = self._state
        if seq > state.position:
            self._store_state(state, position=seq)

    def touch(self) -> None:
        """Say that the reader is alive although it has nothing to do."""
        if self._clock.now_ms() - self._state.used_ms > _TOUCH_EVERY_MS:
            self._store_state(self._state)

    def remove(self) -> None:
        """Forget the cursor; its reader is gone for ever."""
        self._log.put(_SPACE, self.name, None)
        self._log.forget_cursor(self.name)

    def _dropped_to(self) -> int:
        cls = self._state.cls
        if cls is not None:
            return self._store.dropped_to(cls)
        return max(self._store.dropped_to(c) for c in RecordClass)

    def _store_state(
        self, state: CursorState, *, position: int | None = None, lost_to: int | None = None
    ) -> None:
        self._state = CursorState(
            position=state.position if position is None else position,
            cls=state.cls,
            pinned=state.pinned,
            lost_to=state.lost_to if lost_to is None else lost_to,
            used_ms=self._clock.now_ms(),
        )
        self._log.put(_SPACE, self.name, self._state.encode())


class Cursors:
    """All cursors of a log: those in use, and those that are only stored."""

    def __init__(self, log: Readable, store: Store, clock: Clock) -> None:
        self._log = log
        self._store = store
        self._clock = clock
        self._used: dict[str, Cursor] = {}

    def cursor(self, name: str, *, pinned: bool, cls: int | None, start: int | None) -> Cursor:
        """The cursor of that name; made if there is none."""
        cursor = self._used.get(name)
        if cursor is None:
            stored = self._log.get(_SPACE, name)
            if stored is None:
                dropped = max(self._store.dropped_to(c) for c in RecordClass)
                state = CursorState(start or 0, cls, pinned, dropped, self._clock.now_ms())
                self._log.put(_SPACE, name, state.encode())
            else:
                state = decode_cursor(stored)
                # After a roll-back of the file the stored position is never beyond its records,
                # as both were committed together; a salvaged file may have lost its newest ones.
                if state.position > self._log.head:
                    state = CursorState(
                        self._log.head, state.cls, state.pinned, state.lost_to, state.used_ms
                    )
                if (state.pinned, state.cls) != (pinned, cls):
                    state = CursorState(
                        state.position, cls, pinned, state.lost_to, self._clock.now_ms()
                    )
                    self._log.put(_SPACE, name, state.encode())
            cursor = self._used[name] = Cursor(self._log, self._store, self._clock, name, state)
        return cursor

    def all(self) -> list[Cursor]:
        """Every cursor, stored or in use, by name."""
        found = dict(self._used)
        for name, data in self._log.scan(_SPACE, limit=_CURSORS_MAX):
            if name not in found:
                state = decode_cursor(data)
                found[name] = Cursor(self._log, self._store, self._clock, name, state)
        return [found[name] for name in sorted(found)]

    def pins(self) -> list[Pin]:
        """The pinned ones, for the retention plan."""
        return [Pin(c.position, c.cls) for c in self.all() if c.pinned]

    def expire(self, *, idle_ms_max: int = CURSOR_IDLE_MS_MAX) -> list[str]:
        """Forget cursors that nobody has open, that are not pinned, and were idle for too long."""
        limit_ms = self._clock.now_ms() - idle_ms_max
        gone = [
            c.name
            for c in self.all()
            if c.name not in self._used and not c.pinned and c.used_ms < limit_ms
        ]
        for name in gone:
            self._log.put(_SPACE, name, None)
        return gone

    def forget(self, name: str) -> None:
        """The cursor was removed."""
        self._used.pop(name, None)
