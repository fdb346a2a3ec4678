"""Records whose stamps are too far ahead: remembered by the receiver, stamped anew by the origin.

Nobody may alter a stamp, and nothing may be lost over a wrong clock. So the receiver keeps a note
of what it refused, in the batch that passes it by, until the origin has settled it; the origin
holds it, durably, until its own clock is one that the peer can take, and appends it as new.
"""

from collections.abc import Iterable, Sequence

from littoral.edge.inflow import SPACE
from littoral.edge.model import HELD_RANGES_MAX
from littoral.edge.ports import LinkLog, Restamps
from littoral.kernel import json
from littoral.kernel.ids import NodeId, Origin
from littoral.kernel.limits import SKEW_MS_MAX
from littoral.kernel.time import ms_of
from littoral.log import Record, RecordClass

Ranges = list[tuple[int, int]]

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


def _ranges_in(stored: bytes) -> Ranges:
    value = json.decode(stored)
    assert isinstance(value, list)
    return [(int(a), int(b)) for a, b in value]


class Refusals:
    """Both sides of the matter, in the log's key-value space."""

    def __init__(self, log: LinkLog, twins: Restamps) -> None:
        self._log = log
        self._twins = twins

    # The receiver.

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
        done = max(b for _, b in fresh)
        self._log.put(SPACE, done_key, str(done).encode())
        return done

    def held_records(self) -> int:
        """How many own records wait for a new stamp."""
        return sum(
            b - a + 1
            for _, stored in self._log.scan(SPACE, prefix="held/")
            for a, b in _ranges_in(stored)
        )

    def release(self, *, peer_now_ms: int) -> int:
        """Append held records anew, if the log's stamps are such as the peer takes; how many."""
        if ms_of(self._log.last_hlc) > peer_now_ms + SKEW_MS_MAX:
            return 0
        found = [r for key, _ in self._log.scan(SPACE, prefix="held/") for r in self._take(key)]
        # In the order in which they were first accepted, also across classes.
        found.sort(key=lambda r: r.seq)
        for r in found:
            headers = {**(r.headers or {}), "restamped": f"{r.origin}:{r.oseq}"}
            if r.entity.startswith(("thing:", "policy:")):
                # The peer folds it by its new stamp only, so it has to count here too.
                self._twins.restamp(r, headers)
            else:
                self._log.append(
                    r.cls, r.kind, r.entity, 0, 0, r.path, r.value, r.device_time, headers
                )
        return len(found)

    def _take(self, key: str) -> list[Record]:
        origin, _, cls = key.removeprefix("held/").rpartition("/")
        ranges = self._ranges(key)
        first, last = ranges[0]
        found = self._log.read(
            first - 1, limit=RELEASE_MAX, cls=RecordClass(int(cls)), origin=Origin(origin)
        )
        mine = [r for r in found if r.oseq <= last]
        complete = len(mine) < RELEASE_MAX or mine[-1].oseq >= last
        rest = [] if complete else [(mine[-1].oseq + 1, last)]
        self._write(key, [*rest, *ranges[1:]])
        return mine

    def _ranges(self, key: str) -> Ranges:
        stored = self._log.get(SPACE, key)
        return [] if stored is None else _ranges_in(stored)

    def _write(self, key: str, ranges: Ranges) -> None:
        self._log.put(SPACE, key, json.encode(ranges) if ranges else None)
