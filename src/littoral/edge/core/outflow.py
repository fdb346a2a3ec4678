"""The sending half of a session: positions, what is in flight, credit, and who goes next."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from littoral.edge.core.resume import Span
from littoral.edge.model import FRAME_RAW_TARGET, FRAME_RECORDS_MAX
from littoral.kernel.ids import Origin
from littoral.log import Record, RecordClass

WEIGHTS = {0: 64, 1: 16, 2: 8, 3: 4, 4: 1}
"""Share of the link per class when all have a backlog: alarms overtake, nothing starves."""

RECORD_BYTES = 64
"""What a record costs beside its value and path; an estimate, for budgets only."""

TELL_EVERY_SEQS = 4096
"""Scanned records of others' scope after which the peer is told how far we have looked."""


class Read(NamedTuple):
    """What to read next from the log: records of ``origin`` and ``cls`` with seq > ``after``."""

    origin: Origin
    cls: int
    after: int
    limit: int
    skip_oseq: int
    """Of a lost tail: records up to this oseq are not wanted."""
    tail: bool
    lane: str = ""
    """Not empty: records that the peer may see only since its scope has grown."""


class InFlight(NamedTuple):
    """One frame that is not acknowledged yet."""

    scanned_to: int
    records: int
    payload_bytes: int


@dataclass(slots=True)
class Lane:
    """One class on its way to the peer."""

    cls: int
    position: int
    """Read and sent up to here."""
    newest: int
    """Own records are committed up to here, as far as we know."""
    told: int
    """The peer knows that we looked up to here."""
    safe: int = 0
    """The shell was told that nothing up to here is needed any more."""
    turn: float = 0.0
    record_bytes: int = 256
    """Average of what was read lately, to choose how much to read."""


@dataclass(slots=True)
class Tail:
    """A peer's own records, offered back after its roll-back."""

    origin: Origin
    cls: int
    skip_oseq: int
    position: int = 0


@dataclass(slots=True)
class Fill:
    """Records of one class that were passed over before the peer's scope grew."""

    lane: str
    cls: int
    position: int
    upto: int


def size_of(record: Record) -> int:
    """About how many bytes a record is on the wire, before compression."""
    return len(record.value) + len(record.path) + len(record.entity) + RECORD_BYTES


def _fitting(records: Sequence[Record]) -> int:
    """How many of ``records`` fit into one frame; at least one if there is one."""
    total = 0
    for count, record in enumerate(records):
        total += size_of(record)
        if total > FRAME_RAW_TARGET and count:
            return count
    return len(records)


class Outflow:
    """Chooses what to read and send; never more than the peer's credit allows.

    Invariant: per class, frames leave in order of seq, so one ``oseq`` acknowledges all before it.
    """

    def __init__(self, epochs: Sequence[Span], *, head: int, records: int, raw_bytes: int) -> None:
        self._epochs = list(epochs)
        self._lanes = {int(c): Lane(int(c), 0, head, 0) for c in RecordClass}
        self._flying: dict[int, deque[InFlight]] = {int(c): deque() for c in RecordClass}
        self._tails: deque[Tail] = deque()
        self._fills: deque[Fill] = deque()
        self._filling: list[Fill] = []
        self.credit_records = records
        self.credit_bytes = raw_bytes
        self.head = head

    def start(self, positions: dict[int, int]) -> None:
        """Begin each class behind what the peer holds."""
        for cls, lane in self._lanes.items():
            lane.position = lane.told = lane.safe = positions.get(cls, 0)

    def skip(self, cls: int, seq: int) -> None:
        """Records of ``cls`` up to ``seq`` are told in another way."""
        lane = self._lanes[cls]
        lane.position = max(lane.position, seq)

    @property
    def has_credit(self) -> bool:
        """Whether the peer has room for anything."""
        return self.credit_records > 0 and self.credit_bytes > 0

    def spend(self, records: int, raw_bytes: int) -> None:
        """Something beside records uses up credit."""
        self.credit_records -= records
        self.credit_bytes -= raw_bytes

    @property
    def positions(self) -> dict[int, int]:
        """Per class, up to which seq everything was sent or passed over."""
        return {cls: lane.position for cls, lane in self._lanes.items()}

    def note(self, cls: int, newest: int) -> None:
        """Own records of ``cls`` are committed up to ``newest``."""
        lane = self._lanes[cls]
        if lane.position >= lane.newest < newest:
            # It was idle: it enters beside the others, not with the turns that it did not use.
            active = [x.turn for x in self._lanes.values() if x.position < x.newest]
            lane.turn = max(lane.turn, min(active, default=lane.turn))
        lane.newest = max(lane.newest, newest)

    def want_back(self, origin: Origin, cls: int, oseq: int) -> None:
        """The peer asks for its own records after ``oseq``."""
        self._tails.append(Tail(origin, cls, oseq))

    def has_urgent(self) -> bool:
        """Whether something above telemetry waits to be read."""
        return any(x.position < x.newest and c <= RecordClass.STATE for c, x in self._lanes.items())

    def next_read(self) -> Read | None:
        """What to read now; None if nothing waits or the peer's credit is used up."""
        if not self.has_credit:
            return None
        if self._tails and not self.has_urgent():
            tail = self._tails[0]
            limit = min(FRAME_RECORDS_MAX, self.credit_records)
            return Read(tail.origin, tail.cls, tail.position, limit, tail.skip_oseq, tail=True)
        ready = [x for x in self._lanes.values() if x.position < x.newest]
        if not ready:
            return self._next_fill()
        lane = min(ready, key=lambda x: (x.turn, x.cls))
        span = self._span(lane.position)
        limit = min(
            FRAME_RECORDS_MAX,
            self.credit_records,
            max(1, FRAME_RAW_TARGET // lane.record_bytes),
        )
        return Read(span.origin, lane.cls, max(lane.position, span.start), limit, 0, tail=False)

    def _next_fill(self) -> Read | None:
        """What was passed over comes last: it is old, and there may be much to look through."""
        if not self._fills:
            return None
        fill = self._fills[0]
        span = self._span(fill.position)
        limit = min(FRAME_RECORDS_MAX, self.credit_records)
        after = max(fill.position, span.start)
        return Read(span.origin, fill.cls, after, limit, 0, tail=False, lane=fill.lane)

    def fill(self, lane: str, cls: int, *, after: int, upto: int) -> None:
        """Look again through the records of ``cls`` with after < seq <= upto."""
        if after < upto:
            self._fills.append(Fill(lane, cls, after, upto))

    def filled(self, lane: str, cls: int, oseq: int) -> None:
        """The peer has all that was passed over of ``cls`` up to ``oseq``."""
        self._filling = [
            x for x in self._filling if (x.lane, x.cls) != (lane, cls) or x.upto > oseq
        ]

    def is_filled(self, lane: str) -> bool:
        """Whether nothing of ``lane`` waits to be read or acknowledged."""
        return all(x.lane != lane for x in (*self._fills, *self._filling))

    def _took_fill(self, found: Sequence[Record], count: int, limit: int) -> tuple[int, int]:
        fill = self._fills[0]
        within = sum(r.seq <= fill.upto for r in found)
        count = min(count, within)
        if count < within or (found and count == len(found) >= limit):
            fill.position = found[count - 1].seq
        else:
            end = self._span(fill.position).end
            fill.position = fill.upto if end is None else min(fill.upto, end)
        if fill.position >= fill.upto:
            self._filling.append(self._fills.popleft())
        return count, fill.position

    def _span(self, position: int) -> Span:
        for span in self._epochs:
            if span.end is None or position < span.end:
                return span
        raise AssertionError("the last epoch has no end")

    def took(self, read: Read, found: Sequence[Record], *, committed: int) -> tuple[int, int]:
        """Note what a read has found.

        Returns:
            How many of ``found`` go into this frame (it has a size), and up to which seq the log
            has then been looked through: a read that found fewer than it might have has seen the
            epoch to its end, or to ``committed``.
        """
        count = _fitting(found)
        if read.tail:
            if found:
                self._tails[0].position = found[count - 1].seq
            else:
                self._tails.popleft()
            return count, 0
        if read.lane:
            return self._took_fill(found, count, read.limit)
        lane = self._lanes[read.cls]
        if found:
            average = sum(map(size_of, found)) // len(found)
            lane.record_bytes = max(1, (lane.record_bytes + average) // 2)
        if found and (count < len(found) or len(found) >= read.limit):
            lane.position = found[count - 1].seq
        else:
            end = self._span(lane.position).end
            lane.position = max(lane.position, committed if end is None else end)
        return count, lane.position

    def pass_over(self, committed: int) -> list[tuple[int, int]]:
        """Classes without own records up to ``committed``: their new positions, nothing to send.

        Also where a read has just come to the end and found nothing for the peer.
        """
        moved = []
        for cls, lane in self._lanes.items():
            end = max(lane.position, committed)
            if lane.newest <= lane.position and not self._flying[cls] and lane.safe < end:
                lane.position = lane.safe = end
                moved.append((cls, end))
        return moved

    def should_tell(self, read: Read) -> bool:
        """Whether the peer should hear how far we looked although it gets no record."""
        if read.lane:
            return any((x.lane, x.cls) == (read.lane, read.cls) for x in self._filling)
        lane = self._lanes[read.cls]
        return lane.position - lane.told >= TELL_EVERY_SEQS

    def untold(self) -> list[tuple[Origin, int, int]]:
        """Classes of which the peer does not know how far we looked: origin, class, seq."""
        current = self._epochs[-1]
        return [
            (current.origin, x.cls, x.position)
            for x in self._lanes.values()
            if x.position > max(x.told, current.start) and not self._flying[x.cls]
        ]

    def is_drained(self, cls: int) -> bool:
        """Whether nothing of ``cls`` waits to be read or acknowledged."""
        lane = self._lanes[cls]
        return lane.position >= lane.newest and not self._flying[cls]

    def sent(
        self, read: Read, scanned_to: int, *, records: int, payload_bytes: int, raw_bytes: int
    ) -> None:
        """A frame has left: use up credit and, of own records, wait for its ack."""
        self.credit_records -= records
        self.credit_bytes -= raw_bytes
        if read.tail or read.lane:
            return
        cls = read.cls
        lane = self._lanes[cls]
        lane.told = max(lane.told, scanned_to)
        lane.turn += (raw_bytes + RECORD_BYTES) / WEIGHTS[cls]
        self._flying[cls].append(InFlight(scanned_to, records, payload_bytes))

    def acknowledged(self, cls: int, oseq: int) -> tuple[int, int, int]:
        """The peer has ``cls`` up to ``oseq``: the new safe seq, records and bytes now off."""
        flying = self._flying[cls]
        records = payload_bytes = seq = 0
        while flying and flying[0].scanned_to <= oseq:
            frame = flying.popleft()
            seq = frame.scanned_to
            records += frame.records
            payload_bytes += frame.payload_bytes
        if not flying:
            seq = max(seq, self._lanes[cls].position)
        self._lanes[cls].safe = max(seq, self._lanes[cls].safe)
        return seq, records, payload_bytes

    def refund(self, records: int, raw_bytes: int) -> None:
        """The peer grants credit."""
        self.credit_records += records
        self.credit_bytes += raw_bytes
