"""The shell of one session: a channel on one side, the log on the other. It decides nothing."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Coroutine, Mapping
from typing import Protocol, assert_never

from littoral.edge.core import (
    Advanced,
    Answered,
    Apply,
    AskedAgain,
    Close,
    Deliver,
    Effect,
    Filled,
    Forget,
    Greeted,
    LinkSession,
    Measured,
    Now,
    Opened,
    PartTaken,
    Restamp,
    RolledBack,
    TakePart,
    Transmit,
    relevant,
)
from littoral.edge.core.frames import Hello
from littoral.edge.desk import Desk
from littoral.edge.errors import ChannelClosed
from littoral.edge.inflow import Inflow
from littoral.edge.meter import Meter
from littoral.edge.model import LinkPhase, Scope
from littoral.edge.parts import LinkParts
from littoral.edge.ports import FrameChannel
from littoral.edge.reception import Reception
from littoral.edge.rollback import recover
from littoral.edge.taker import Taker, unfinished
from littoral.edge.teller import Teller
from littoral.kernel.errors import LittoralError
from littoral.kernel.ids import NodeId
from littoral.log import Cursor, LogBusy, LogFull, RecordClass

CLOSE_GRACE_S = 1.0
"""How long a session that is over may take to say so."""


class Host(Protocol):
    """Whoever holds the conversation: the uplink or the downlink."""

    async def admit(self, conversation: "Conversation", hello: Hello) -> Scope:
        """Check who came; return what it may see. Raise a `LittoralError` to refuse it."""
        ...

    def opened(self, conversation: "Conversation") -> None:
        """Records and messages may flow."""
        ...

    def filled(self, conversation: "Conversation", lane: str) -> None:
        """The peer has everything of a backfill."""
        ...

    def told(self, conversation: "Conversation") -> None:
        """The peer was told everything that it may see, as it was some time after `opened`."""
        ...

    async def answer(
        self, conversation: "Conversation", topic: str, body: bytes, ttl_s: float, *, wanted: bool
    ) -> bytes:
        """Take a live message; raise a `LittoralError` if that is not possible."""
        ...


class Conversation:
    """Runs one `LinkSession` over one `FrameChannel` until either ends."""

    def __init__(
        self,
        parts: LinkParts,
        channel: FrameChannel,
        *,
        host: Host,
        inflow: Inflow,
        meter: Meter | None = None,
        cursors: Callable[[NodeId, RecordClass], Cursor],
        is_client: bool,
    ) -> None:
        self.channel = channel
        self.inflow = inflow
        self.meter = meter or Meter(parts.log, parts.own, parts.clock)
        self.peer = NodeId("")
        self.over: tuple[str, str] | None = None
        self._parts = parts
        self._log = parts.log
        self._host = host
        self._make_cursor = cursors
        self._cursors: dict[int, Cursor] = {}
        self.scope = Scope()
        self._out: deque[bytes] = deque()
        self._applies: deque[Apply | TakePart] = deque()
        self._fills: dict[str, Scope] = {}
        self._held_back = False
        self._wake = asyncio.Event()
        self._drained = True
        self._low_at = 0.0
        self._pongs: list[asyncio.Future[None]] = []
        self._tasks: asyncio.TaskGroup | None = None
        self._is_client = is_client
        self.teller: Teller | None = None
        self._tells_next = False
        self._session = LinkSession(
            node=parts.log.node,
            chain=[(e.origin, e.previous_seq) for e in parts.log.opened.epochs],
            head=parts.log.committed,
            settings=parts.settings,
            now=self._now(),
            is_client=is_client,
            software=parts.software,
        )
        self._reception = Reception(parts, self, self._session)
        self.live = Desk(
            self._session,
            answer=self._answer,
            spawn=self._spawn,
            now=self._now,
            perform=self.perform,
        )

    @property
    def is_open(self) -> bool:
        """Whether both hellos are done and nothing has ended it."""
        return self._session.phase is LinkPhase.OPEN

    @property
    def peer_origin(self) -> str:
        """The peer's current epoch, as its hello said; empty before it."""
        hello = self._session.peer
        return hello.chain[-1][0] if hello is not None and hello.chain else ""

    async def run(self) -> None:
        """Talk until the session is over; `over` then says why. Never raises for the peer's sake."""
        self.meter.state.link = True
        try:
            async with asyncio.TaskGroup() as tasks:
                self._tasks = tasks
                reader = tasks.create_task(self._read_loop())
                ticker = tasks.create_task(self._tick_loop())
                self.perform()
                await self._send_loop()
                self._tasks = None
                reader.cancel()
                ticker.cancel()
        finally:
            self._tasks = None
            self._session.abandon()
            self.perform()
            self._cut_off()
            await self.channel.close(self.over[1] if self.over else "")

    def note(self, newest: dict[int, int]) -> None:
        """Own records were committed."""
        for cls, seq in newest.items():
            self._session.note(cls, seq)
        self._wake.set()

    @property
    def positions(self) -> dict[int, int]:
        """Per class, up to which seq everything was sent or passed over."""
        return self._session.positions

    def backfill(self, lane: str, scope: Scope, upto: Mapping[int, int]) -> None:
        """Send also what ``scope`` shows up to ``upto``; `Host.filled` tells when it is there."""
        self._fills[lane] = scope
        self._session.backfill(lane, upto)

    def hold_back(self, then: Callable[[], None] | None = None) -> None:
        """Send no records before what is open in the log now is durable; do ``then`` first."""
        self._held_back = True

        def go_on(error: LittoralError | None) -> None:
            # After an error the session ends: see the hosts' `on_abort`.
            self._held_back = error is not None
            if error is None and then is not None:
                then()
                self._interpret()
            self._wake.set()

        self._log.on_commit(go_on)

    def stop(self, code: str, reason: str) -> None:
        """End the session from here; the peer is told."""
        self._session.close(code, reason)
        self.perform()

    async def is_alive(self, within_s: float) -> bool:
        """Whether the peer answers a ping in time."""
        if not self.is_open:
            return False
        pong: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._pongs.append(pong)
        self._session.probe(self._now())
        self.perform()
        try:
            async with asyncio.timeout(within_s):
                await pong
        except (TimeoutError, ChannelClosed):
            return False
        return True

    def release_held(self) -> None:
        """Stamp held records anew if the peer would take them now."""
        skew = self.meter.state.skew_ms
        if self.is_open and skew is not None:
            self._parts.refusals.release(peer_now_ms=self._parts.clock.now_ms() + skew)

    # The three loops.

    async def _read_loop(self) -> None:
        try:
            while self._session.phase is not LinkPhase.CLOSED:
                data = await self.channel.receive()
                self._session.receive(data, self._now())
                self.perform()
                while self._applies:
                    match self._applies.popleft():
                        case Apply() as frame:
                            await self._reception.apply(frame)
                        case TakePart() as part:
                            await self._reception.take_part(part)
        except ChannelClosed as e:
            self.over = self.over or (e.code, e.message)
            self._session.abandon()
            self.perform()
        except LittoralError as e:
            self.stop(e.code, str(e))

    async def _tick_loop(self) -> None:
        try:
            while self._session.phase is not LinkPhase.CLOSED:
                now_s = self._now().s
                await asyncio.sleep(max(0.001, self._session.deadline() - now_s))
                self._session.tick(self._now(), committed=self._log.committed)
                self.perform()
                self.release_held()
        except LittoralError as e:
            self.stop(e.code, str(e))
        # The sender may be stuck in a transport that nobody reads.
        await asyncio.sleep(CLOSE_GRACE_S)
        await self.channel.close()

    async def _send_loop(self) -> None:
        try:
            while True:
                self._wake.clear()
                self._session.flush()
                self._interpret()
                while self._out:
                    await self.channel.send(self._out.popleft())
                if self._session.phase is LinkPhase.CLOSED:
                    return
                if self._pump():
                    await asyncio.sleep(0)
                else:
                    await self._rest()
        except ChannelClosed as e:
            self.over = self.over or (e.code, e.message)

    async def _rest(self) -> None:
        """Wait for something to send; small loads of telemetry wait for company."""
        waits = self._session.next_read() is not None
        try:
            async with asyncio.timeout(self._parts.settings.linger_s if waits else None):
                await self._wake.wait()
        except TimeoutError:
            self._drained = False

    def _pump(self) -> bool:
        """Read once from the log and give it to the session; False if there is nothing to do."""
        if self._held_back:
            return False
        now_s = self._now().s
        # In turns with the records, so that neither waits for the other; what is urgent goes first.
        self._tells_next = not self._tells_next
        first = self.teller is not None and self.teller.goes_first
        if self.teller is not None and (first or not self._session.has_urgent):
            read = None if first or self._tells_next else self._session.next_read()
            if read is None and self._tell(now_s):
                return True
            if first:
                return False
        read = self._session.next_read()
        if read is None:
            return False
        low = self._drained and not self._session.has_urgent
        if low and now_s - self._low_at < self._parts.settings.linger_s:
            return False
        self._low_at = now_s
        committed = self._log.committed
        refusals = self._parts.refusals
        try:
            found = self._log.read(read.after, limit=read.limit, cls=read.cls, origin=read.origin)
            if refusals.withheld and not read.tail and refusals.withhold(found):
                self.hold_back()
                return True
        except LittoralError as e:
            self._session.close(e.code, str(e))
            self._interpret()
            return True
        self._drained = len(found) < read.limit
        before = self._session.sent_records
        scope = self._fills[read.lane] if read.lane else self.scope
        self._session.supply(
            read,
            found,
            committed=committed,
            keep=lambda record: relevant(record, scope) and not refusals.is_held(record),
        )
        self.meter.state.sent_records += self._session.sent_records - before
        self._interpret()
        return True

    def _tell(self, now_s: float) -> bool:
        assert self.teller is not None
        try:
            told = self.teller.pump(now_s)
        except LittoralError as e:
            self._session.close(e.code, str(e))
            told = True
        self._interpret()
        return told

    # Effects.

    def perform(self) -> None:
        """Do what the session asks, and wake the sender: there may be something for it."""
        self._interpret()
        self._wake.set()

    def _interpret(self) -> None:
        while effects := self._session.take():
            for effect in effects:
                try:
                    self._perform_one(effect)
                except LittoralError as e:
                    self._session.close(e.code, str(e))

    def _perform_one(self, effect: Effect) -> None:
        match effect:
            case Transmit(data):
                self._out.append(data)
            case Apply() | TakePart():
                self._applies.append(effect)
            case Advanced():
                self._advance(effect)
            case Deliver():
                self.live.deliver(effect)
            case Answered():
                self.live.answered(effect)
            case Measured(round_trip_s, skew_ms):
                self._measure(round_trip_s, skew_ms)
            case _:
                self._perform_rare(effect)

    def _perform_rare(
        self,
        effect: (
            Greeted
            | Opened
            | RolledBack
            | Filled
            | Restamp
            | Forget
            | PartTaken
            | AskedAgain
            | Close
        ),
    ) -> None:
        match effect:
            case Greeted(hello):
                self._spawn(self._admit(hello))
            case Opened():
                self._open()
            case RolledBack(lost):
                for gap in recover(self._log, self.peer, lost):
                    self._session.want_back(gap.origin, gap.cls, gap.after)
            case Filled(lane):
                self._host.filled(self, lane)
            case Restamp() | Forget():
                self._reception.about_stamps(effect)
            case PartTaken() | AskedAgain():
                if self.teller is not None:
                    self.teller.answered(effect, now_s=self._now().s)
            case Close(code, reason):
                self.over = self.over or (code, reason)
                self._cut_off()
            case _:
                assert_never(effect)

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        if self._tasks is not None:
            self._tasks.create_task(work)
        else:
            work.close()

    def _open(self) -> None:
        state = self.meter.state
        state.session = True
        state.sessions += 1
        state.since_ms = self._parts.clock.now_ms()
        state.acked_at_s = self._now().s
        for cls in RecordClass:
            self._cursors[int(cls)] = self._make_cursor(self.peer, cls)
        for origin, cls_, ranges in self._parts.refusals.open_for(self.peer):
            self._session.refuse(origin, cls_, ranges, self._now())
        self._meet()
        self._host.opened(self)

    def _meet(self) -> None:
        """Make what tells and takes states with this peer."""
        states, log, peer = self._parts.states, self._log, self.peer
        if states is None:
            return
        self.teller = Teller(
            log,
            states,
            self._session.telling,
            peer=peer,
            scope=lambda: self.scope,
            held=lambda: self.inflow.held(peer),
            hold_back=self.hold_back,
            done=lambda: self._host.told(self),
        )
        self._reception.taker = Taker(
            log,
            states,
            self.inflow,
            peer=peer,
            teller=self.teller,
            follows=self._is_client,
        )

    def _cut_off(self) -> None:
        state = self.meter.state
        if state.session or state.link:
            state.since_ms = self._parts.clock.now_ms()
        state.link = state.session = False
        if self.over is not None:
            state.last_error = self.over[1]
        for pong in self._pongs:
            if not pong.done():
                pong.set_exception(ChannelClosed("the session is over."))
        self._pongs.clear()

    async def _admit(self, hello: Hello) -> None:
        self.peer = NodeId(hello.node)
        try:
            self.scope = await self._host.admit(self, hello)
        except LittoralError as e:
            self._session.close(e.code, str(e))
        else:
            self._session.greet(
                self.inflow.held(self.peer),
                self._now(),
                unfinished=unfinished(self._log, self.peer),
            )
        self.perform()

    def _advance(self, effect: Advanced) -> None:
        cursor = self._cursors.get(effect.cls)
        if cursor is None:
            cursor = self._cursors[effect.cls] = self._make_cursor(
                self.peer, RecordClass(effect.cls)
            )
        if effect.seq > cursor.position:
            # A full disk: the cursor only pins, so it may stay behind until the next ack.
            with contextlib.suppress(LogFull, LogBusy):
                cursor.advance(effect.seq)
        self.meter.acknowledged(
            effect.cls, effect.records, effect.payload_bytes, drained=effect.drained
        )
        self._reception.ask_again({c: one.position for c, one in self._cursors.items()})

    def _measure(self, round_trip_s: float, skew_ms: int) -> None:
        self.meter.state.round_trip_s = round_trip_s
        self.meter.state.skew_ms = skew_ms
        for pong in self._pongs:
            if not pong.done():
                pong.set_result(None)
        self._pongs.clear()

    async def _answer(self, effect: Deliver) -> bytes:
        return await self._host.answer(
            self, effect.topic, effect.body, effect.ttl_s, wanted=effect.wants_answer
        )

    def _now(self) -> Now:
        return Now(self._parts.clock.monotonic_s(), self._parts.clock.now_ms())
