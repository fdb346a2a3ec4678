"""What a link tells about itself: backlog, rates, and how long both will last."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from littoral.edge.model import COUNTED_MAX, ClassBacklog, LinkStatistics
from littoral.edge.ports import LinkLog
from littoral.kernel.time import Clock
from littoral.log import Record, RecordClass

RATE_S = 10.0
"""Rates forget with this time constant."""

FAR_H = 24 * 365.0
"""More hours of autonomy than anybody asks for; shown as None."""


COUNT_CHUNK = 1000


class Rate:
    """Events per second, fading."""

    __slots__ = ("_at", "_value")

    def __init__(self) -> None:
        self._value = 0.0
        self._at = 0.0

    def add(self, amount: float, now_s: float) -> None:
        """``amount`` more happened."""
        self._value = self._faded(now_s) + amount / RATE_S
        self._at = now_s

    def per_s(self, now_s: float) -> float:
        """The rate now."""
        return self._faded(now_s)

    def _faded(self, now_s: float) -> float:
        return self._value * math.exp(-(now_s - self._at) / RATE_S)


@dataclass(slots=True)
class LinkState:
    """What the shell of a session notes as it goes; read by `Meter.statistics`."""

    link: bool = False
    session: bool = False
    since_ms: int | None = None
    acked_at_s: float | None = None
    skew_ms: int | None = None
    round_trip_s: float | None = None
    sessions: int = 0
    sent_records: int = 0
    received_records: int = 0
    last_error: str = ""
    drain: Rate = field(default_factory=Rate)
    received: Rate = field(default_factory=Rate)


class OwnRecords:
    """Counts the node's own records as they are committed: one for all links of the node."""

    def __init__(self, log: LinkLog, clock: Clock) -> None:
        self._clock = clock
        self._origin = log.origin
        self.newest: dict[int, int] = {}
        self.records = dict.fromkeys(map(int, RecordClass), 0)
        self.payload_bytes = dict.fromkeys(map(int, RecordClass), 0)
        self.fill = Rate()
        self.fill_bytes = Rate()

    def observe(self, records: Sequence[Record]) -> bool:
        """Count one commit's own records; True if there was one."""
        origin, newest = self._origin, self.newest
        count = total = 0
        for r in records:
            if r[11] is origin or r[11] == origin:
                cls = r[3]
                newest[cls] = r[0]
                size = len(r[9])
                self.records[cls] += 1
                self.payload_bytes[cls] += size
                count += 1
                total += size
        if count:
            now_s = self._clock.monotonic_s()
            self.fill.add(count, now_s)
            self.fill_bytes.add(total, now_s)
        return bool(count)


class Meter:
    """The figures of one link."""

    def __init__(self, log: LinkLog, own: OwnRecords, clock: Clock) -> None:
        self._log = log
        self._own = own
        self._clock = clock
        self.state = LinkState()
        self._waiting = {int(c): [0, 0] for c in RecordClass}
        self._counted = {
            int(c): [own.records[int(c)], own.payload_bytes[int(c)]] for c in RecordClass
        }

    def estimate(self, positions: Mapping[int, int]) -> None:
        """Before the first session: what waits, by how much of the log lies behind a position.

        An estimate, because counting would mean to read it all; exact once a class is drained.
        """
        for usage in self._log.usage():
            cls = int(usage.cls)
            oldest = self._log.oldest(usage.cls)
            span = self._log.committed - oldest + 1
            behind = self._log.committed - max(positions.get(cls, 0), oldest - 1)
            share = behind / span if span > 0 else 0.0
            self._waiting[cls] = [
                int(usage.records * share),
                int(usage.payload_bytes * share),
            ]

    def count(self, positions: Mapping[int, int], shown: Callable[[Record], bool]) -> None:
        """A session opens: what waits for the peer, counted; of much, the first `COUNTED_MAX`.

        Only what the peer may see waits for it; a log may hold a million records of others.
        """
        for cls, position in positions.items():
            self._catch_up_count(cls)
            found = [r for r in self._own_after(cls, position) if shown(r)]
            self._waiting[cls] = [len(found), sum(len(r.value) for r in found)]

    def _own_after(self, cls: int, position: int) -> Iterator[Record]:
        """Own committed records of ``cls`` behind ``position``, epoch by epoch; boundedly many."""
        left = COUNTED_MAX
        ends = [e.previous_seq for e in self._log.opened.epochs[1:]] + [self._log.committed]
        for epoch, end in zip(self._log.opened.epochs, ends, strict=True):
            after = max(position, epoch.previous_seq)
            while left > 0 and after < end:
                limit = min(left, COUNT_CHUNK)
                page = self._log.read(after, limit=limit, cls=cls, origin=epoch.origin)
                yield from page
                left -= len(page)
                if len(page) < limit:
                    break
                after = page[-1].seq

    def acknowledged(self, cls: int, records: int, payload_bytes: int, *, drained: bool) -> None:
        """The peer has committed so many more records of mine."""
        self._catch_up_count(cls)
        now_s = self._clock.monotonic_s()
        waiting = self._waiting[cls]
        waiting[0] = 0 if drained else max(0, waiting[0] - records)
        waiting[1] = 0 if drained else max(0, waiting[1] - payload_bytes)
        if records:
            self.state.drain.add(records, now_s)
            self.state.acked_at_s = now_s

    def _catch_up_count(self, cls: int) -> None:
        counted, waiting = self._counted[cls], self._waiting[cls]
        waiting[0] += self._own.records[cls] - counted[0]
        waiting[1] += self._own.payload_bytes[cls] - counted[1]
        counted[0], counted[1] = self._own.records[cls], self._own.payload_bytes[cls]

    def statistics(
        self,
        peer: str,
        *,
        newest_ms: int | None,
        applied: int,
        held_records: int,
        flow_within_s: float,
    ) -> LinkStatistics:
        """The figures now."""
        for cls in self._waiting:
            self._catch_up_count(cls)
        state, now_s = self.state, self._clock.monotonic_s()
        waiting = sum(w[0] for w in self._waiting.values())
        recently = state.acked_at_s is not None and now_s - state.acked_at_s <= flow_within_s
        fill, drain = self._own.fill.per_s(now_s), state.drain.per_s(now_s)
        surplus = drain - fill
        catch_up_s = 0.0 if not waiting else (waiting / surplus if surplus > 0 else None)
        return LinkStatistics(
            peer=peer,
            link=state.link,
            session=state.session,
            flow=state.session and (not waiting or recently),
            fresh_ms=None if newest_ms is None else max(0, self._clock.now_ms() - newest_ms),
            skew_ms=state.skew_ms,
            round_trip_ms=None if state.round_trip_s is None else state.round_trip_s * 1000,
            since_ms=state.since_ms,
            backlog={
                RecordClass(c).name.lower(): ClassBacklog(w[0], w[1])
                for c, w in self._waiting.items()
            },
            backlog_records=waiting,
            held_records=held_records,
            sent_records=state.sent_records,
            received_records=state.received_records,
            applied_records=applied,
            drain_per_s=drain,
            fill_per_s=fill,
            received_per_s=state.received.per_s(now_s),
            catch_up_s=catch_up_s,
            autonomy_h=self._autonomy_h(now_s),
            sessions=state.sessions,
            last_error=state.last_error,
        )

    def _autonomy_h(self, now_s: float) -> float | None:
        rate = self._own.fill_bytes.per_s(now_s)
        use = self._log.statistics()
        if rate <= 0:
            return None
        hours = max(0, use.bytes_max - use.bytes_used) / rate / 3600
        return None if hours > FAR_H else hours
