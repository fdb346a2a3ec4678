"""Records whose stamps are too far ahead: remembered by the receiver, stamped anew by the origin.

Nobody may alter a stamp, and nothing may be lost over a wrong clock. So the receiver keeps a note
of what it refused, in the batch that passes it by, until the origin has settled it; the origin
holds it, durably, until its own clock is one that the peer can take, and appends it as new.

What comes anew comes last. So once a record of an entity was refused, everything later of that
entity is refused too (`blocked`), until all of it has come anew, in its old order: a thing's
creation would otherwise be stamped later than the changes that were made to it. The origin does not
even send it (`withhold`): else something of a busy entity would always be on its way to be refused.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from operator import itemgetter

from littoral.edge.blocked import SPACE, Blocked
from littoral.edge.model import HELD_RANGES_MAX
from littoral.edge.ports import LinkLog, Restamps
from littoral.kernel import json
from littoral.kernel.errors import LittoralError
from littoral.kernel.ids import NodeId, Origin
from littoral.kernel.limits import SKEW_MS_MAX
from littoral.kernel.time import ms_of
from littoral.log import Record, RecordClass

Ranges = list[tuple[int, int]]

_WITHHELD = "withheld/"

RELEASE_MAX = 512
"""Records stamped anew at a time."""


def ranges_of(oseqs: Iterable[int]) -> Ranges:
    """Ascending numbers as inclusive ranges."""
    ranges: Ranges = []
    for n in oseqs:
        if ranges and n == ranges[-1][1] + 1:
            ranges[-1] = (ranges[-1][0], n)
        else:
            ranges.append((n, n))
    return ranges


def joined(ranges: Sequence[tuple[int, int]]) -> Ranges:
    """Ascending ranges without overlaps; the smallest gaps are closed if there are too many."""
    out: Ranges = []
    for first, last in sorted(ranges):
        if out and first <= out[-1][1] + 1:
            out[-1] = (out[-1][0], max(out[-1][1], last))
        else:
            out.append((first, last))
    while len(out) > HELD_RANGES_MAX:
        gap = min(range(len(out) - 1), key=lambda i: out[i + 1][0] - out[i][1])
        out[gap : gap + 2] = [(out[gap][0], out[gap + 1][1])]
    return out


def _is_anew(record: Record) -> bool:
    return record.headers is not None and "restamped" in record.headers


def _ranges_in(stored: bytes) -> Ranges:
    value = json.decode(stored)
    assert isinstance(value, list)
    return [(int(a), int(b)) for a, b in value]


class Refusals:
    """Both sides of the matter, in the log's key-value space."""

    def __init__(self, log: LinkLog, twins: Restamps) -> None:
        self._log = log
        self._twins = twins
        self._blocked: dict[NodeId, Blocked] = {}
        self._withheld: set[str] | None = None
        self._known: dict[str, Ranges] = {}
        # What a failed commit was to store is not known any more: read it again.
        log.on_abort(self._forget_all)

    def _forget_all(self, _error: LittoralError) -> None:
        self._blocked.clear()
        self._withheld = None
        self._known.clear()

    # The receiver.

    def blocked(self, peer: NodeId) -> Blocked:
        """The entities of which something of the peer's was refused and has not come anew."""
        found = self._blocked.get(peer)
        if found is None:
            found = self._blocked[peer] = Blocked(self._log, peer)
        return found

    def note(self, origin: str, cls: int, ranges: Ranges) -> None:
        """Remember a refusal in the open batch."""
        key = f"refused/{origin}/{cls}"
        self._write(key, joined([*self._ranges(key), *ranges]))

    def open_for(self, peer: NodeId) -> list[tuple[str, int, Ranges]]:
        """What was refused of the peer's records and is not settled yet."""
        found = []
        for key, stored in self._log.scan(SPACE, prefix=f"refused/{peer}/"):
            origin, _, cls = key.removeprefix("refused/").rpartition("/")
            found.append((origin, int(cls), _ranges_in(stored)))
        return found

    def settled(self, origin: str, cls: int, upto: int) -> None:
        """The origin has taken care of what was refused up to ``upto``."""
        key = f"refused/{origin}/{cls}"
        before = self._ranges(key)
        if before:
            self._write(key, [(max(a, upto + 1), b) for a, b in before if b > upto])

    # The origin.

    def hold(self, peer: NodeId, origin: str, cls: int, ranges: Sequence[tuple[int, int]]) -> int:
        """Keep own records for a new stamp; returns the last oseq that is now settled.

        Told twice, it holds once: what was settled before is not held again.
        """
        done_key = f"settled/{peer}/{origin}/{cls}"
        stored = self._log.get(SPACE, done_key)
        done = int(stored) if stored is not None else 0
        fresh = [(max(a, done + 1), b) for a, b in ranges if b > done]
        if not fresh:
            return done
        key = f"held/{origin}/{cls}"
        self._write(key, joined([*self._ranges(key), *fresh]))
        for record in self._within(origin, cls, fresh):
            self._withhold_entity(record.entity)
        done = max(b for _, b in fresh)
        self._log.put(SPACE, done_key, str(done).encode())
        return done

    def withhold(self, found: Sequence[Record]) -> bool:
        """Hold those of the own records ``found`` that would be refused; False if there are none.

        They may be passed over once what is open now is durable.
        """
        late: dict[str, list[int]] = {}
        for r in found:
            if r.entity in self.withheld and not _is_anew(r) and not self.is_held(r):
                late.setdefault(f"held/{r.origin}/{r.cls}", []).append(r.oseq)
        for key, oseqs in late.items():
            self._write(key, joined([*self._ranges(key), *ranges_of(oseqs)]))
        return bool(late)

    def is_held(self, record: Record) -> bool:
        """Whether an own record waits for a new stamp, so that it is not to be sent as it is."""
        if record.entity not in self.withheld or _is_anew(record):
            return False
        ranges = self._ranges(f"held/{record.origin}/{record.cls}")
        at = bisect_right(ranges, record.oseq, key=itemgetter(0)) - 1
        return at >= 0 and record.oseq <= ranges[at][1]

    @property
    def withheld(self) -> set[str]:
        """Entities of which own records wait for a new stamp."""
        if self._withheld is None:
            self._withheld = set()
            after = ""
            while rows := self._log.scan(SPACE, prefix=_WITHHELD, after=after):
                self._withheld.update(key.removeprefix(_WITHHELD) for key, _ in rows)
                after = rows[-1][0]
        return self._withheld

    def _withhold_entity(self, entity: str) -> None:
        if entity not in self.withheld:
            self._log.put(SPACE, _WITHHELD + entity, b"1")
            self.withheld.add(entity)

    def _send_again(self) -> None:
        """Nothing is held any more: what comes next is sent as it is."""
        for entity in self.withheld:
            self._log.put(SPACE, _WITHHELD + entity, None)
        self._withheld = set()

    def held_records(self) -> int:
        """How many own records wait for a new stamp."""
        return sum(
            b - a + 1
            for _, stored in self._log.scan(SPACE, prefix="held/")
            for a, b in _ranges_in(stored)
        )

    def release(self, *, peer_now_ms: int) -> int:
        """Append held records anew, if the log's stamps are such as the peer takes; how many."""
        if not self.withheld or ms_of(self._log.last_hlc) > peer_now_ms + SKEW_MS_MAX:
            return 0
        found = self._oldest_held()
        for r in found:
            headers = {**(r.headers or {}), "restamped": f"{r.origin}:{r.oseq}"}
            if r.entity.startswith(("thing:", "policy:")):
                # The peer folds it by its new stamp only, so it has to count here too.
                self._twins.restamp(r, headers)
            else:
                self._log.append(
                    r.cls, r.kind, r.entity, 0, 0, r.path, r.value, r.device_time, headers
                )
        if found:
            for key, _ in self._log.scan(SPACE, prefix="held/"):
                self._forget(key, found[-1].seq)
        # In the same moment: of a busy entity there is always more to withhold in the next.
        if not self._log.scan(SPACE, prefix="held/", limit=1):
            self._send_again()
        return len(found)

    def _oldest_held(self) -> list[Record]:
        """The oldest held records, in the order in which they were accepted, across classes."""
        keys = [key for key, _ in self._log.scan(SPACE, prefix="held/")]
        found: list[Record] = []
        # What is behind the first range that was not read to its end has to wait for it.
        complete_to = 1 << 62
        for key in keys:
            mine, complete = self._read(key)
            found += mine
            if not complete:
                complete_to = min(complete_to, mine[-1].seq)
            elif not mine:
                self._write(key, [])  # retention has taken them
        found = sorted((r for r in found if r.seq <= complete_to), key=lambda r: r.seq)
        return found[:RELEASE_MAX]

    def _read(self, key: str) -> tuple[list[Record], bool]:
        """Some of the records held under ``key``, oldest first; whether those are all."""
        origin, _, cls = key.removeprefix("held/").rpartition("/")
        found: list[Record] = []
        for record in self._within(origin, int(cls), self._ranges(key)):
            found.append(record)
            if len(found) >= RELEASE_MAX:
                return found, False
        return found, True

    def _within(self, origin: str, cls: int, ranges: Iterable[tuple[int, int]]) -> Iterator[Record]:
        """Own records in ``ranges``, in order; what retention took is missing."""
        for first, last in ranges:
            after = first - 1
            while after < last:
                found = self._log.read(
                    after, limit=RELEASE_MAX, cls=RecordClass(cls), origin=Origin(origin)
                )
                yield from (r for r in found if r.oseq <= last)
                after = found[-1].oseq if len(found) == RELEASE_MAX else last

    def _forget(self, key: str, upto: int) -> None:
        """Own records are numbered by their seq: those up to ``upto`` are held no more."""
        ranges = self._ranges(key)
        self._write(key, [(max(a, upto + 1), b) for a, b in ranges if b > upto])

    def _ranges(self, key: str) -> Ranges:
        known = self._known.get(key)
        if known is None:
            stored = self._log.get(SPACE, key)
            known = self._known[key] = [] if stored is None else _ranges_in(stored)
        return known

    def _write(self, key: str, ranges: Ranges) -> None:
        self._known[key] = ranges
        self._log.put(SPACE, key, json.encode(ranges) if ranges else None)
