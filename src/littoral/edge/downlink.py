"""The cloud's side: a listener for the sites, one session each."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from littoral.edge.bugs import report_bug
from littoral.edge.conversation import Conversation
from littoral.edge.core import relevant
from littoral.edge.core.frames import Hello
from littoral.edge.errors import LinkConflict, LinkIdentity
from littoral.edge.grants import Grants
from littoral.edge.homes import Homes
from littoral.edge.inflow import Gate, Inflow
from littoral.edge.meter import Meter, OwnRecords
from littoral.edge.model import LinkSettings, LinkStatistics, Scope
from littoral.edge.parts import LinkParts
from littoral.edge.ports import AppliesTwins, FrameChannel, LinkLog, Listener, Registered
from littoral.edge.refusals import Refusals
from littoral.edge.route import LinkRoute
from littoral.edge.states import States
from littoral.eventing import (
    Attachment,
    Direction,
    Inbox,
    LiveAttachment,
    LiveChannel,
    Mailbox,
)
from littoral.kernel.errors import LittoralError
from littoral.kernel.ids import NodeId
from littoral.kernel.time import Clock
from littoral.log import Cursor, Record, RecordClass
from littoral.registry import RegistryChange

Directory = Callable[[NodeId], Scope]
"""What a site may see. Raises a `LittoralError` if it may not link at all (unknown, revoked)."""

Renew = Callable[[NodeId, bytes], Awaitable[bytes]]
"""Answers a site's request for a new certificate, as `Enrolment.renew` does."""

RENEW_TOPIC = "renew"


@dataclass(slots=True, eq=False)
class _Site:
    """What the cloud keeps of one site while it runs."""

    name: NodeId
    inflow: Inflow
    meter: Meter
    route: LinkRoute
    conversation: Conversation | None = None
    attachment: Attachment | None = None
    live: LiveAttachment | None = None
    to_fill: list[str] = field(default_factory=list)
    """Grants that are done when everything was told."""

    def detach(self) -> None:
        """Take nothing live for the site any more."""
        for attachment in (self.attachment, self.live):
            if attachment is not None:
                attachment.close()
        self.attachment = self.live = None


class Downlink:
    """Takes the sessions of sites: their records up, what is theirs down, messages both ways.

    Invariant: at most one session per node id; the newer is refused while the older one lives.
    """

    def __init__(
        self,
        *,
        log: LinkLog,
        twins: AppliesTwins,
        registry: Registered,
        inbox: Inbox,
        listener: Listener,
        directory: Directory,
        clock: Clock,
        settings: LinkSettings | None = None,
        software: str = "",
        renew: Renew | None = None,
        mailbox: Mailbox | None = None,
        live: LiveChannel | None = None,
    ) -> None:
        self._log = log
        self._twins = twins
        self._registry = registry
        self._inbox = inbox
        self._mailbox = mailbox
        self._live = live
        self._listener = listener
        self._directory = directory
        self._clock = clock
        self._settings = settings or LinkSettings()
        self._renew = renew
        self._homes = Homes(log)
        self._own = OwnRecords(log, clock)
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
        self._grants = Grants(log)
        self._sites: dict[NodeId, _Site] = {}
        self._admitting: set[NodeId] = set()
        log.listen(self._on_commit)
        log.on_abort(self._on_abort)
        registry.on_change(self._on_registry_change)

    async def run(self) -> None:
        """Serve sites until cancelled."""
        await self._listener.serve(self.accept)

    async def accept(self, channel: FrameChannel) -> None:
        """Serve one connection of a site, until it ends."""
        name = channel.peer.node or NodeId("")
        conversation = Conversation(
            self._parts,
            channel,
            host=self,
            # Of nobody yet: the hello says whose; `admit` puts the site's own in their place.
            inflow=self._new_inflow(),
            meter=Meter(self._log, self._own, self._clock),
            cursors=self._cursor,
            is_client=False,
        )
        try:
            await conversation.run()
        except Exception as e:  # noqa: BLE001  # one site's session must not end the others'
            conversation.meter.state.last_error = f"a bug ended the session: {e!r}"
            report_bug(e)
        finally:
            self._gone(conversation, name)

    def sites(self) -> Mapping[str, LinkStatistics]:
        """Every site seen since this node started, by name."""
        return {
            str(site.name): site.meter.statistics(
                site.name,
                newest_ms=site.inflow.newest_ms,
                applied=site.inflow.applied,
                held_records=self._parts.refusals.held_records(),
                flow_within_s=self._settings.ping_every_s,
            )
            for site in self._sites.values()
        }

    def home_of(self, thing_id: str) -> NodeId | None:
        """The site whose devices last reported the thing; None if no site did."""
        return self._homes.of(thing_id)

    def close_site(self, name: NodeId, reason: str) -> None:
        """End a site's session: its certificate was revoked, or its tenants have changed."""
        site = self._sites.get(name)
        if site is not None and site.conversation is not None:
            site.conversation.stop("link.closed_by_cloud", reason)

    # `Host` of the conversations.

    async def admit(self, conversation: Conversation, hello: Hello) -> Scope:
        """Check the name against the certificate, and against a session that lives already."""
        proved = conversation.channel.peer.node
        if proved is not None and proved != hello.node:
            raise LinkIdentity(
                f"the certificate is for {proved!r}, but the node says that it is {hello.node!r}.",
                hint="Enrol this node under its own name.",
            )
        name = NodeId(hello.node)
        scope = self._directory(name)
        await self._displace(name, hello)
        site = self._site(name)
        site.conversation = conversation
        conversation.inflow = site.inflow
        conversation.meter = site.meter
        site.meter.state.link = True
        return scope

    def opened(self, conversation: Conversation) -> None:
        """Messages to things of this site may flow."""
        site = self._site(conversation.peer)
        site.route.conversation = conversation
        positions = conversation.positions
        grants = self._grants.begin(conversation.scope, positions)
        whole = bool(grants) and any(self._log.own_dropped(cls) for cls in RecordClass)
        tells = conversation.teller is not None and conversation.teller.begin(positions, anew=whole)
        site.to_fill = [grant.lane for grant in grants] if tells else []
        for grant in grants:
            if not tells:
                conversation.backfill(grant.lane, grant.scope, dict(enumerate(grant.upto)))
        site.meter.count(conversation.positions, lambda r: relevant(r, conversation.scope))
        # A scope that is not durable must not have shown anything: it would be shown again.
        conversation.hold_back()
        conversation.note(self._own.newest)
        name = site.name
        # That of a session which this one has displaced.
        site.detach()
        site.attachment = self._inbox.attach_default(
            site.route,
            accepts=lambda thing_id: self._homes.of(thing_id) == name,
            direction=Direction.INBOX,
            route=site.route.name,
        )
        if self._live is not None:
            site.live = self._live.attach_default(
                site.route, accepts=lambda thing_id: self._homes.of(thing_id) == name
            )

    def filled(self, conversation: Conversation, lane: str) -> None:
        """The site has all that was passed over before its scope grew."""
        self._grants.done(conversation.peer, lane)

    def told(self, conversation: Conversation) -> None:
        """The site knows all that it may see, also what it may see only now."""
        for lane in self._site(conversation.peer).to_fill:
            self._grants.done(conversation.peer, lane)

    async def answer(
        self, conversation: Conversation, topic: str, body: bytes, ttl_s: float, *, wanted: bool
    ) -> bytes:
        """A live message from a site."""
        if topic == RENEW_TOPIC and self._renew is not None:
            return await self._renew(conversation.peer, body)
        route = self._site(conversation.peer).route
        return await route.take(topic, body, ttl_s, wanted=wanted)

    # Inside.

    async def _displace(self, name: NodeId, hello: Hello) -> None:
        """Make room for a new session of ``name``, or refuse it.

        The same epoch is the same opening of the same log, so it is that node itself coming back.
        Another epoch may be the node restarted or a copy of it: who answers a ping stays.
        """
        if name in self._admitting:
            raise LinkConflict(f"another session of {name!r} is being opened now.")
        old = self._sites[name].conversation if name in self._sites else None
        if old is None:
            return
        self._admitting.add(name)
        try:
            same = bool(hello.chain) and hello.chain[-1][0] == old.peer_origin
            if not same and await old.is_alive(self._settings.rival_ping_s):
                raise LinkConflict(
                    f"a node {name!r} is connected already, and it answers.",
                    hint="Two machines use one identity: find the copy and enrol it under its "
                    "own name.",
                )
            # It ends on its own time; the site's figures belong to the new one from here on.
            old.meter = Meter(self._log, self._own, self._clock)
            old.stop("link.displaced", "a newer session of this node took over.")
            await old.channel.close("a newer session took over.")
        finally:
            self._admitting.discard(name)

    def _site(self, name: NodeId) -> _Site:
        site = self._sites.get(name)
        if site is None:
            meter = Meter(self._log, self._own, self._clock)
            route = LinkRoute(
                self._inbox,
                self._clock,
                mailbox=self._mailbox,
                live=self._live,
                name=f"site/{name}",
            )
            site = self._sites[name] = _Site(name, self._new_inflow(), meter, route)
        return site

    def _new_inflow(self) -> Inflow:
        return Inflow(self._log, twins=self._twins, registry=self._registry, homes=self._homes)

    def _gone(self, conversation: Conversation, name: NodeId) -> None:
        site = self._sites.get(conversation.peer or name)
        if site is None or site.conversation is not conversation:
            return
        site.conversation = site.route.conversation = None
        site.detach()

    def _cursor(self, name: NodeId, cls: RecordClass) -> Cursor:
        return self._log.cursor(f"downlink/{name}/{cls.name.lower()}", pinned=True, cls=int(cls))

    def _on_commit(self, records: Sequence[Record]) -> None:
        if self._own.observe(records):
            for site in self._sites.values():
                if site.conversation is not None:
                    site.conversation.note(self._own.newest)

    def _on_registry_change(self, change: RegistryChange) -> None:
        """What sites may see may have changed: at once, so that nothing is filtered by old rules."""
        if not change.kind.startswith(("site.", "tenant.")):
            return
        for site in self._sites.values():
            conversation = site.conversation
            if conversation is None or (not change.tenant and change.name != site.name):
                continue
            try:
                self._rescope(conversation, self._directory(site.name))
            except LittoralError as e:
                conversation.stop(e.code, str(e))

    def _rescope(self, conversation: Conversation, scope: Scope) -> None:
        if not conversation.is_open or self._grants.grows(scope):
            # Only a new session has a place in the log from which the new rule holds.
            conversation.stop("link.rescoped", "what this site may see has changed; connect again.")
        elif scope != conversation.scope:
            conversation.scope = scope
            self._grants.narrow(scope)

    def _on_abort(self, error: LittoralError) -> None:
        for site in self._sites.values():
            if site.conversation is not None:
                site.conversation.stop(error.code, f"a commit failed: {error}")
