"""The site's side: one outbound connection to the cloud, kept up for ever."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from littoral.edge.bugs import report_bug
from littoral.edge.conversation import Conversation
from littoral.edge.core.frames import Hello
from littoral.edge.errors import LinkPeerError
from littoral.edge.homes import Homes
from littoral.edge.inflow import Gate, Inflow
from littoral.edge.meter import Meter, OwnRecords
from littoral.edge.model import LinkSettings, LinkStatistics, Scope
from littoral.edge.parts import LinkParts
from littoral.edge.ports import AppliesRegistry, AppliesTwins, Dialer, LinkLog
from littoral.edge.refusals import Refusals
from littoral.edge.route import LinkRoute
from littoral.edge.states import States
from littoral.eventing import Direction, Inbox, LiveChannel, Mailbox
from littoral.kernel.errors import LittoralError
from littoral.kernel.ids import NodeId
from littoral.kernel.time import Clock, Entropy
from littoral.log import Cursor, Record, RecordClass

BesideSession = Callable[[Conversation], Awaitable[None]]
"""Runs beside an open session, for as long as that lasts: renewal of the certificate."""


class Uplink:
    """Keeps a session with the cloud: records up and down, messages both ways.

    Invariant: one connection at a time; what the cloud has not committed stays pinned in the log,
    up to its budget.
    """

    def __init__(
        self,
        *,
        log: LinkLog,
        twins: AppliesTwins,
        registry: AppliesRegistry,
        inbox: Inbox,
        dialer: Dialer,
        clock: Clock,
        entropy: Entropy,
        settings: LinkSettings | None = None,
        software: str = "",
        beside: BesideSession | None = None,
        mailbox: Mailbox | None = None,
        live: LiveChannel | None = None,
    ) -> None:
        self._log = log
        self._dialer = dialer
        self._clock = clock
        self._entropy = entropy
        self._settings = settings or LinkSettings()
        self._beside = beside
        self._homes = Homes(log)
        self._own = OwnRecords(log, clock)
        self._inflow = Inflow(log, twins=twins, registry=registry, homes=Homes(log))
        self._parts = LinkParts(
            log,
            clock,
            self._settings,
            self._own,
            Refusals(log, twins),
            Gate(log),
            software,
            States(twins, registry, self._homes),
        )
        self._meter = Meter(log, self._own, clock)
        self._cursors = {
            int(c): log.cursor(f"uplink/{c.name.lower()}", pinned=True, cls=int(c))
            for c in RecordClass
        }
        self._meter.estimate({c: cursor.position for c, cursor in self._cursors.items()})
        self._live = live
        self._route = LinkRoute(
            inbox,
            clock,
            mailbox=mailbox,
            live=live,
            name="uplink",
            takes_mail=self._is_known_elsewhere,
        )
        self._inbox = inbox
        self._conversation: Conversation | None = None
        self._cloud = NodeId("")
        self._failures = 0
        self._enabled = asyncio.Event()
        self._enabled.set()
        log.listen(self._on_commit)
        log.on_abort(self._on_abort)

    async def run(self) -> None:
        """Connect, talk, wait, again; until cancelled."""
        inbox = self._inbox
        up = inbox.attach_default(
            self._route,
            accepts=self._lives_elsewhere,
            direction=Direction.INBOX,
            route=self._route.name,
        )
        out = inbox.attach_everywhere(self._route, direction=Direction.OUTBOX)
        live = None if self._live is None else self._live.attach_default(self._route)
        try:
            while True:
                await self._enabled.wait()
                await self._attempt()
                await asyncio.sleep(self._delay_s())
        finally:
            up.close()
            out.close()
            if live is not None:
                live.close()

    def disable(self) -> None:
        """Cut the link until `enable`: for rehearsals and for metered lines."""
        self._enabled.clear()
        if self._conversation is not None:
            self._conversation.stop("link.disabled", "the link was switched off at the site.")

    def enable(self) -> None:
        """Undo `disable`."""
        self._failures = 0
        self._enabled.set()

    @property
    def cloud(self) -> NodeId:
        """The name of the cloud node; empty before the first session."""
        return self._cloud

    def statistics(self) -> LinkStatistics:
        """The four answers, and the backlog."""
        return self._meter.statistics(
            self._cloud or "cloud",
            newest_ms=self._inflow.newest_ms,
            applied=self._inflow.applied,
            held_records=self._parts.refusals.held_records(),
            flow_within_s=self._settings.ping_every_s,
        )

    # `Host` of the conversation.

    async def admit(self, conversation: Conversation, hello: Hello) -> Scope:
        """The channel has proved that this is our cloud: it may see everything of ours."""
        proved = conversation.channel.peer.node
        if proved is not None and proved != hello.node:
            raise LinkPeerError(f"the cloud says {hello.node!r}, its certificate {proved!r}.")
        self._cloud = NodeId(hello.node)
        return Scope(everything=True, node=self._cloud)

    def opened(self, conversation: Conversation) -> None:
        """Messages may flow; what waited in the inbox goes now."""
        self._failures = 0
        if conversation.teller is not None and conversation.teller.begin(conversation.positions):
            conversation.hold_back()
        self._route.conversation = conversation
        self._inbox.wake_all()
        conversation.note(self._own.newest)

    def filled(self, conversation: Conversation, lane: str) -> None:
        """The cloud sees everything from the beginning: there is nothing to fill in later."""

    def told(self, conversation: Conversation) -> None:
        """The cloud knows all that is known here: records say the rest."""

    async def answer(
        self, conversation: Conversation, topic: str, body: bytes, ttl_s: float, *, wanted: bool
    ) -> bytes:
        """A live message from the cloud."""
        del conversation
        return await self._route.take(topic, body, ttl_s, wanted=wanted)

    # Inside.

    async def _attempt(self) -> None:
        try:
            async with asyncio.timeout(self._settings.hello_timeout_s):
                channel = await self._dialer.dial()
        except (LittoralError, TimeoutError) as e:
            self._meter.state.last_error = str(e) or "the cloud did not answer in time."
            return
        conversation = Conversation(
            self._parts,
            channel,
            host=self,
            inflow=self._inflow,
            meter=self._meter,
            cursors=self._cursor,
            is_client=True,
        )
        self._conversation = conversation
        try:
            async with asyncio.TaskGroup() as tasks:
                beside = tasks.create_task(self._run_beside(conversation))
                await conversation.run()
                beside.cancel()
        except Exception as e:  # noqa: BLE001  # a bug in the link must not stop the site
            self._meter.state.last_error = f"a bug ended the session: {e!r}"
            report_bug(e)
        finally:
            self._conversation = None
            self._route.conversation = None

    async def _run_beside(self, conversation: Conversation) -> None:
        if self._beside is not None:
            await self._beside(conversation)

    def _delay_s(self) -> float:
        """Full jitter: anything up to a limit that doubles, so that sites do not come in waves."""
        low, high = self._settings.reconnect_s_min, self._settings.reconnect_s_max
        limit = min(high, low * 2 ** min(self._failures, 20))
        self._failures += 1
        return self._entropy.uniform(min(low, limit) / 2, limit)

    def _cursor(self, _: NodeId, cls: RecordClass) -> Cursor:
        return self._cursors[int(cls)]

    def _lives_elsewhere(self, thing_id: str) -> bool:
        return self._homes.of(thing_id) != self._log.node

    def _is_known_elsewhere(self, thing_id: str) -> bool:
        """For kept messages it must be known: a new device may as well appear here."""
        return self._homes.of(thing_id) not in {None, self._log.node}

    def _on_commit(self, records: Sequence[Record]) -> None:
        if not self._own.observe(records):
            return
        origin, node = self._log.origin, self._log.node
        for r in records:
            if r.origin == origin and r.entity.startswith("thing:"):
                self._homes.learn(r.entity[6:], node, r.cls)
        if self._conversation is not None:
            self._conversation.note(self._own.newest)

    def _on_abort(self, error: LittoralError) -> None:
        if self._conversation is not None:
            self._conversation.stop(error.code, f"a commit failed: {error}")
