"""One session of a link, as a state machine: the same core on both sides.

Feed it what arrives (`receive`), time (`tick` at `deadline`), what the log holds (`next_read`,
`supply`) and what is committed (`committed`); perform what `take` returns, in order.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from littoral.edge.core.effects import (
    Advanced,
    Answered,
    Apply,
    Close,
    Deliver,
    Effect,
    Filled,
    Forget,
    Greeted,
    Measured,
    Opened,
    Restamp,
    RolledBack,
    Transmit,
)
from littoral.edge.core.frames import (
    REPLAY,
    TAIL,
    Ack,
    Again,
    Answer,
    AnyFrame,
    Bye,
    Credit,
    Hello,
    Holdings,
    Known,
    Live,
    Part,
    Ping,
    Pong,
    Records,
    Refused,
    Settled,
    Taken,
    Wanted,
    decode,
    encode,
    pack,
)
from littoral.edge.core.intake import Intake
from littoral.edge.core.live import Waiting
from littoral.edge.core.outflow import Outflow, Read
from littoral.edge.core.resume import resume, spans
from littoral.edge.core.telling import Telling
from littoral.edge.errors import LinkPeerError
from littoral.edge.model import (
    CHAIN_MAX,
    VERSION_MAX,
    VERSION_MIN,
    LinkPhase,
    LinkSettings,
)
from littoral.kernel.ids import NodeId, Origin
from littoral.log import Record, RecordClass

TELL_EVERY_S = 30.0
"""How often the peer hears how far we looked although it gets no records."""


class Now(NamedTuple):
    """An instant as the shell reads it: the loop's seconds, and wall time in ms."""

    s: float
    ms: int


class LinkSession:
    """The protocol of one connection.

    Invariants: what is in flight never exceeds the credit that the peer gave; a class's frames
    leave in order of seq; after `Close` nothing more is asked of the shell.
    """

    def __init__(
        self,
        *,
        node: NodeId,
        chain: Sequence[tuple[str, int]],
        head: int,
        settings: LinkSettings,
        now: Now,
        is_client: bool,
        software: str = "",
    ) -> None:
        self.node = node
        self.peer: Hello | None = None
        self.phase = LinkPhase.OPENING
        self.unknown_frames = 0
        self.sent_records = 0
        self._chain = list(chain)
        self._head = head
        self._settings = settings
        self._software = software
        self._effects: list[Effect] = []
        self._greeted = False
        self._held: list[Known] | None = None
        self._said_hello = False
        self._outflow = Outflow(spans(self._chain), head=head, records=0, raw_bytes=0)
        self._intake = Intake(
            node=node, records=settings.window_records, raw_bytes=settings.window_bytes
        )
        self.telling = Telling(
            self._outflow, self._intake, transmit=self._transmit, effect=self._perform
        )
        self._live = Waiting()
        self._lane_marks: dict[tuple[str, int], int] = {}
        self._next_id = 1
        self._ping: tuple[int, Now] | None = None
        self._ping_at = now.s + settings.ping_every_s
        self._tell_at = now.s + TELL_EVERY_S
        self._heard_at = now.s
        self._hello_by = now.s + settings.hello_timeout_s
        if is_client:
            self._say_hello(now)

    # What the shell feeds.

    def receive(self, data: bytes, now: Now) -> None:
        """A frame came. What breaks the protocol ends the session with a `Close`."""
        if self.phase is LinkPhase.CLOSED:
            return
        self._heard_at = now.s
        try:
            frame = decode(data)
            if frame is None:
                self.unknown_frames += 1
            else:
                self._handle(frame, now)
        except LinkPeerError as e:
            self.close(e.code, e.message)

    def tick(self, now: Now, *, committed: int) -> None:
        """Time passed; safe to call early and often. ``committed``: the log's newest safe seq."""
        if self.phase is LinkPhase.CLOSED:
            return
        if self.phase is LinkPhase.OPENING:
            if now.s >= self._hello_by:
                self.close("link.timeout", "the hello was not finished in time.")
            return
        if now.s - self._heard_at >= self._settings.ping_timeout_s:
            self.close("link.silent", "nothing was heard from the peer for too long.")
            return
        if now.s >= self._ping_at:
            self._ping_at = now.s + self._settings.ping_every_s
            self.probe(now)
        for cls, seq in self._outflow.pass_over(committed):
            self._effects.append(Advanced(cls, seq, 0, 0, drained=True))
        if now.s >= self._tell_at:
            self._tell_at = now.s + TELL_EVERY_S
            for origin, cls, seq in self._outflow.untold():
                self._send_records(Read(origin, cls, 0, 0, 0, tail=False), [], seq, replay=False)
        self._expire(now)

    def deadline(self) -> float:
        """When `tick` wants to be called at the latest, in the loop's seconds."""
        if self.phase is LinkPhase.OPENING:
            return self._hello_by
        first = min(self._ping_at, self._heard_at + self._settings.ping_timeout_s, self._tell_at)
        return min(first, self._live.deadline(first))

    def take(self) -> list[Effect]:
        """What to do now, in order; empties the list."""
        effects, self._effects = self._effects, []
        return effects

    # The hello.

    def greet(self, held: Iterable[Known], now: Now, *, unfinished: str = "") -> None:
        """Answer `Greeted`: what we hold of the peer's records, and its telling that we began."""
        assert self.peer is not None
        if self.phase is LinkPhase.CLOSED:
            return
        if not self._said_hello:
            self._say_hello(now)
        self._transmit(Holdings(known=list(held), unfinished=unfinished))
        self._greeted = True
        self._open_if_ready()

    def close(self, code: str, reason: str) -> None:
        """End the session; the peer is told why."""
        if self.phase is LinkPhase.CLOSED:
            return
        self._transmit(Bye(code, reason))
        self._end(code, reason)

    def abandon(self) -> None:
        """The channel is gone: nobody can be told, but whoever waits for an answer must be."""
        if self.phase is not LinkPhase.CLOSED:
            self._end("link.closed", "the connection was lost.")

    # Sending records.

    def note(self, cls: int, newest: int) -> None:
        """Own records of ``cls`` are committed up to seq ``newest``."""
        self._outflow.note(cls, newest)

    def next_read(self) -> Read | None:
        """What to read from the log now; None if nothing waits, or credit is used up."""
        return self._outflow.next_read() if self.phase is LinkPhase.OPEN else None

    @property
    def has_urgent(self) -> bool:
        """Whether something above telemetry waits to be sent."""
        return self._outflow.has_urgent()

    def supply(
        self,
        read: Read,
        found: Sequence[Record],
        *,
        committed: int,
        keep: Callable[[Record], bool],
    ) -> None:
        """What the log had for ``read``; ``keep`` says what is for this peer."""
        count, scanned_to = self._outflow.took(read, found, committed=committed)
        chosen = found if count == len(found) else found[:count]
        if read.tail:
            kept = [r for r in chosen if r.oseq > read.skip_oseq]
            if kept:
                self._send_records(read, kept, kept[-1].oseq, replay=True)
            return
        kept = [r for r in chosen if keep(r)]
        if kept or self._outflow.should_tell(read):
            replay = bool(read.lane) or (bool(kept) and kept[0].seq <= self._head)
            self._send_records(read, kept, scanned_to, replay=replay)
        for cls, seq in self._outflow.pass_over(committed):
            self._effects.append(Advanced(cls, seq, 0, 0, drained=True))

    @property
    def positions(self) -> dict[int, int]:
        """Per class, up to which seq everything was sent or passed over."""
        return self._outflow.positions

    def backfill(self, lane: str, upto: Mapping[int, int]) -> None:
        """Send also what was passed over up to ``upto`` per class; `Filled` when the peer has it.

        Its marks at the receiver are those of an origin of its own, ``origin+lane``, so that the
        records are not taken for such as it has.
        """
        for cls, end in upto.items():
            self._outflow.fill(lane, cls, after=self._lane_marks.get((lane, cls), 0), upto=end)
        self._report_filled(lane)

    def want_back(self, origin: str, cls: int, oseq: int) -> None:
        """Ask the peer for own records that a roll-back has lost."""
        self._transmit(Wanted(origin, cls, oseq))

    # Receiving records.

    def committed(self, apply: Apply) -> None:
        """What an `Apply` asked for is durable. `flush` tells the peer."""
        self._intake.committed(apply)

    def flush(self) -> None:
        """Acknowledge what was committed since the last flush, and give its credit back."""
        if self.phase is not LinkPhase.CLOSED:
            for frame in self._intake.take_done():
                self._transmit(frame)

    def refuse(self, origin: str, cls: int, ranges: list[tuple[int, int]], now: Now) -> None:
        """Tell the peer that these records' stamps are too far ahead."""
        self._transmit(Refused(origin, cls, ranges, now.ms))

    def settle(self, origin: str, cls: int, oseq: int) -> None:
        """Answer `Restamp`: it is durable here that those records will be stamped anew."""
        self._transmit(Settled(origin, cls, oseq))

    # Live messages.

    def ask(self, topic: str, body: bytes, *, ttl_s: float, now: Now) -> int:
        """Send a live message; `Answered` comes for it sooner or later.

        Raises:
            LinkBusy: too many wait already.
        """
        number = self._next_id
        self._live.add(number, until_s=now.s + ttl_s)
        self._next_id += 1
        self._transmit(Live(number, topic, max(1, int(ttl_s * 1000)), body))
        return number

    def tell(self, topic: str, body: bytes, *, ttl_s: float) -> None:
        """Send a live message that wants no answer."""
        self._transmit(Live(0, topic, max(1, int(ttl_s * 1000)), body, wants_answer=False))

    def answer(self, number: int, body: bytes, *, code: str = "", message: str = "") -> None:
        """Answer a `Deliver`."""
        if self.phase is LinkPhase.OPEN:
            self._transmit(Answer(number, body, code, message))

    def probe(self, now: Now) -> None:
        """Ask for a sign of life; `Measured` follows if there is one."""
        self._ping = (self._next_id, now)
        self._transmit(Ping(self._next_id))
        self._next_id += 1

    # Inside.

    def _handle(self, frame: AnyFrame, now: Now) -> None:
        match frame:
            case Hello():
                self._on_hello(frame)
                return
            case Bye(code, reason):
                self._end(code, f"the peer said: {reason}")
                return
            case Holdings(known, unfinished) if self.peer is not None and self._held is None:
                self._held, self.telling.unfinished = known, unfinished
                self._open_if_ready()
                return
            case _ if self.phase is not LinkPhase.OPEN:
                raise LinkPeerError("the peer did not finish its hello before it went on.")
            case _:
                pass
        match frame:
            case Records():
                assert self.peer is not None
                self._effects.append(self._intake.admit(frame, peer=self.peer.node))
            case Ack(entries):
                self._on_ack(entries)
            case Credit(records, raw_bytes):
                if records < 0 or raw_bytes < 0:
                    raise LinkPeerError("the peer took credit back.")
                self._outflow.refund(records, raw_bytes)
            case Refused(origin, cls, ranges):
                self._check_own(origin, cls)
                self._effects.append(Restamp(origin, cls, tuple(ranges)))
            case Part() | Taken() | Again():
                assert self.peer is not None
                self.telling.receive(frame, peer=self.peer.node)
            case _:
                self._handle_rare(frame, now)

    def _handle_rare(self, frame: AnyFrame, now: Now) -> None:
        match frame:
            case Settled(origin, cls, oseq):
                self._effects.append(Forget(origin, cls, oseq))
            case Wanted(origin, cls, oseq):
                self._on_wanted(origin, cls, oseq)
            case _:
                self._handle_live(frame, now)

    def _handle_live(self, frame: AnyFrame, now: Now) -> None:
        match frame:
            case Live(number, topic, ttl_ms, body, wants_answer):
                self._effects.append(Deliver(number, topic, body, ttl_ms / 1000, wants_answer))
            case Answer(number, body, code, message):
                if self._live.remove(number):
                    self._effects.append(Answered(number, body, code, message))
            case Ping(number):
                self._transmit(Pong(number, now.ms))
            case Pong(number, peer_ms):
                if self._ping is not None and self._ping[0] == number:
                    took = now.s - self._ping[1].s
                    skew = peer_ms - (self._ping[1].ms + now.ms) // 2
                    self._ping = None
                    self._effects.append(Measured(took, skew))
            case _:
                raise LinkPeerError("the peer said hello twice.")

    def _on_hello(self, hello: Hello) -> None:
        if self.peer is not None:
            raise LinkPeerError("the peer said hello twice.")
        if hello.version_min > VERSION_MAX or hello.version_max < VERSION_MIN:
            self.close(
                "link.version",
                f"this node speaks versions {VERSION_MIN} to {VERSION_MAX} of the link, the other "
                f"{hello.version_min} to {hello.version_max}: upgrade the older one.",
            )
            return
        if hello.node == self.node:
            self.close("link.conflict", f"both sides are called {self.node!r}.")
            return
        self.peer = hello
        self._outflow.refund(max(0, hello.window_records), max(0, hello.window_bytes))
        self._effects.append(Greeted(hello))

    def _say_hello(self, now: Now) -> None:
        self._said_hello = True
        self._transmit(
            Hello(
                node=self.node,
                version_min=VERSION_MIN,
                version_max=VERSION_MAX,
                chain=self._chain[-CHAIN_MAX:],
                head=self._head,
                window_records=self._settings.window_records,
                window_bytes=self._settings.window_bytes,
                now_ms=now.ms,
                software=self._software,
                takes=True,
            )
        )

    def _open_if_ready(self) -> None:
        if not self._greeted or self._held is None or self.peer is None:
            return
        prefix = f"{self.node}/"
        held = []
        for known in self._held:
            _, plus, lane = known.origin.partition("+")
            if plus:
                mark = max(known.oseq, self._lane_marks.get((lane, known.cls), 0))
                self._lane_marks[lane, known.cls] = mark
            elif known.origin.startswith(prefix):
                held.append(known)
        positions, lost = resume(spans(self._chain), held, head=self._head)
        self._outflow.start(positions)
        self.phase = LinkPhase.OPEN
        self.telling.open(self.peer)
        self._effects.append(Opened(min(VERSION_MAX, self.peer.version_max)))
        if lost:
            self._effects.append(RolledBack(lost))
        for cls, seq in positions.items():
            self._effects.append(Advanced(cls, seq, 0, 0, self._outflow.is_drained(cls)))

    def _on_ack(self, entries: Sequence[Known]) -> None:
        own = f"{self.node}/"
        for origin, cls, oseq in entries:
            # Acks of a lost tail speak of the peer's own origins: nothing waits for them here.
            _, plus, lane = origin.partition("+")
            if plus:
                self._outflow.filled(lane, cls, oseq)
                self._report_filled(lane)
            elif origin.startswith(own) and 0 <= cls < len(RecordClass):
                seq, records, payload_bytes = self._outflow.acknowledged(cls, oseq)
                drained = self._outflow.is_drained(cls)
                if seq:
                    self._effects.append(Advanced(cls, seq, records, payload_bytes, drained))

    def _report_filled(self, lane: str) -> None:
        if self._outflow.is_filled(lane):
            self._effects.append(Filled(lane))

    def _on_wanted(self, origin: str, cls: int, oseq: int) -> None:
        assert self.peer is not None
        if origin.rpartition("/")[0] != self.peer.node or not 0 <= cls < len(RecordClass):
            raise LinkPeerError(f"the peer asked for records of {origin!r}, which are not its own.")
        self._outflow.want_back(Origin(origin), cls, oseq)

    def _check_own(self, origin: str, cls: int) -> None:
        if origin.rpartition("/")[0] != self.node or not 0 <= cls < len(RecordClass):
            raise LinkPeerError(f"the peer speaks of records of {origin!r} as if they were ours.")

    def _send_records(
        self, read: Read, kept: Sequence[Record], scanned_to: int, *, replay: bool
    ) -> None:
        blob, raw_bytes, zipped = pack(kept)
        self._outflow.sent(
            read,
            scanned_to,
            records=len(kept),
            payload_bytes=sum(len(r.value) for r in kept),
            raw_bytes=raw_bytes,
        )
        self.sent_records += len(kept)
        self._transmit(
            Records(
                origin=f"{read.origin}+{read.lane}" if read.lane else read.origin,
                cls=read.cls,
                first=kept[0].oseq if kept else 0,
                last=kept[-1].oseq if kept else 0,
                scanned_to=scanned_to,
                count=len(kept),
                raw_bytes=raw_bytes,
                flags=(REPLAY if replay else 0) | (TAIL if read.tail else 0),
                zipped=zipped,
                blob=blob,
            )
        )

    def _expire(self, now: Now) -> None:
        for number in self._live.take_expired(now.s):
            self._effects.append(Answered(number, b"", "link.timeout", "no answer came in time."))

    def _perform(self, effect: Effect) -> None:
        self._effects.append(effect)

    def _transmit(self, frame: AnyFrame) -> None:
        self._effects.append(Transmit(encode(frame)))

    def _end(self, code: str, reason: str) -> None:
        self.phase = LinkPhase.CLOSED
        self.telling.is_open = False
        for number in self._live.take_all():
            self._effects.append(Answered(number, b"", "link.closed", "the link went down."))
        self._effects.append(Close(code, reason))
