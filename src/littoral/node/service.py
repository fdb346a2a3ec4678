"""The one wiring of a node: every capability, made once, in the order of the floors."""

import asyncio
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import PurePath

from littoral import __version__
from littoral.api import ApiParts, Door, NodeInfo, build_app
from littoral.edge import Downlink, Enrolment, EnrolmentToken, LinkSettings, Uplink, scope_of
from littoral.eventing import Acknowledgements, Inbox, LiveChannel, Mailbox, Router
from littoral.functions.host import FunctionHost, FunctionSettings
from littoral.gateway import Limits, MqttDoor
from littoral.identity import Identities
from littoral.kernel import wire
from littoral.kernel.ids import NodeId, parse_node_id
from littoral.log import Log
from littoral.node.config import NodeConfig
from littoral.node.ports import NodePorts
from littoral.node.translation import identity_settings_of, policy_settings_of, retention_of
from littoral.registry import Registry
from littoral.search import Search
from littoral.twin import Twins, TwinSettings


class Node:
    """A cloud node or a site node: the same parts, and a link in one direction.

    Made by `compose`. `run` runs its background work; the doors are served by whoever composed it:
    `mqtt` as an asyncio protocol factory, `http` as an ASGI application.
    """

    def __init__(self, config: NodeConfig, ports: NodePorts) -> None:
        clock, entropy = ports.clock, ports.entropy
        self.config = config
        self.log = Log.open(
            store=ports.store,
            committer=ports.committer,
            clock=clock,
            entropy=entropy,
            node=parse_node_id(config.name),
            loop=ports.scheduler,
            retention=retention_of(config.retention),
        )
        self.registry = Registry(
            self.log, ports.hasher, clock, entropy, replica=config.role == "site"
        )
        self.twins = Twins(
            self.log,
            self.registry,
            clock,
            hot_max=config.hot_things_max,
            settings=policy_settings_of(config.policies, owner=config.role == "cloud"),
            thing_settings=TwinSettings(
                frozenset(map(str.lower, config.things.historical_headers_to_persist)),
                merge_drops_emptied_objects=config.things.merge_drops_emptied_objects,
            ),
        )
        self.identities = Identities(
            self.registry,
            clock,
            entropy,
            identity_settings_of(config.auth),
            verifier=ports.verifier,
            fetcher=ports.fetcher,
        )
        self.router = Router(self.log)
        self.inbox = Inbox(clock)
        self.mailbox = Mailbox(self.log, self.inbox, clock, entropy, is_gone=self._is_gone)
        self.acks = Acknowledgements()
        self.live = LiveChannel()
        self.mqtt = MqttDoor(
            self.log,
            self.registry,
            self.twins,
            self.inbox,
            clock,
            entropy,
            Limits(
                connections_max=config.mqtt.connections_max,
                packet_bytes_max=config.mqtt.packet_bytes_max,
            ),
        )
        self.functions = _functions(self, ports)
        self.uplink = _uplink(self, ports)
        self.downlink, self.enrolment = _downlink(self, ports)
        self.search = _search(self, ports)
        self.not_ready: str | None = "the node is starting."
        self.http: Door = build_app(_api_parts(self, ports))

    def _is_gone(self, thing_id: str) -> bool:
        """Whether there was such a thing, and is none any more."""
        # Records of one that is only being made may come in before it is: it has no policy yet.
        return not self.twins.exists(thing_id) and bool(self.twins.policy_of(thing_id))

    def why_not_ready(self) -> str | None:
        """Starting, stopping, or a log that takes nothing: it still answers reads."""
        return self.not_ready or self.log.refusal()

    def links(self) -> Mapping[str, object]:
        """Each link's honest status, JSON-able: a cloud's by site, a site's by its cloud."""
        if self.downlink is not None:
            return {name: wire.plain(s) for name, s in self.downlink.sites().items()}
        if self.uplink is not None:
            status = self.uplink.statistics()
            return {status.peer: wire.plain(status)}
        return {}

    async def run(self) -> None:
        """Do the node's background work until cancelled. Takes requests once `not_ready` is None."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.log.run(), name="log")
            tasks.create_task(self.mqtt.run(), name="mqtt")
            tasks.create_task(self.twins.run(), name="twins")
            tasks.create_task(self.mailbox.run(), name="mailbox")
            if self.search is not None:
                tasks.create_task(self.search.run(), name="search")
            for host in self.functions:
                tasks.create_task(host.run(), name=f"function {host.name}")
            if self.uplink is not None:
                tasks.create_task(self.uplink.run(), name="uplink")
            if self.downlink is not None:
                tasks.create_task(self.downlink.run(), name="downlink")
            self.not_ready = None

    async def close_doors(self) -> None:
        """Turn devices and people away, so that nothing new comes in; the first step of a clean end."""
        self.not_ready = "the node is stopping."
        await self.http.close()
        await self.mqtt.close()

    async def close(self) -> None:
        """Write what is in memory, and let go of the files; after `run` has ended."""
        self.inbox.close()
        self.acks.close()
        self.live.close()
        if self.search is not None:
            self.search.close()
        if self.log.statistics().refused is None:
            self.twins.flush()
        await self.log.close()


def compose(config: NodeConfig, ports: NodePorts) -> Node:
    """Wire a node for ``config`` in the world of ``ports``.

    Raises:
        LogTooNew, LogInUse, LogBroken, InvalidId, and what reading a function's file may raise.
    """
    return Node(config, ports)


def _api_parts(node: Node, ports: NodePorts) -> ApiParts:
    return ApiParts(
        twins=node.twins,
        registry=node.registry,
        identities=node.identities,
        router=node.router,
        inbox=node.inbox,
        mailbox=node.mailbox,
        acks=node.acks,
        live=node.live,
        search=node.search,
        **({} if node.search is None else {"search_settled": node.search.settled}),
        log=node.log,
        clock=ports.clock,
        entropy=ports.entropy,
        node=NodeInfo(node.config.name, node.config.role, __version__),
        statistics={
            "log": node.log.statistics,
            "twins": node.twins.statistics,
            "registry": node.registry.statistics,
            "identities": node.identities.statistics,
            "mqtt": node.mqtt.statistics,
            "router": node.router.statistics,
            "inbox": node.inbox.statistics,
            "mailbox": node.mailbox.statistics,
            "acks": node.acks.statistics,
            "live": node.live.statistics,
            **({} if node.search is None else {"search": node.search.statistics}),
        },
        not_ready=node.why_not_ready,
        link_status=node.links,
        token_text=_token_text(node.config, ports),
        cors_origins=frozenset(node.config.http.cors_origins),
        public_metrics=node.config.http.listen.startswith(("127.", "localhost", "[::1]")),
    )


def _search(node: Node, ports: NodePorts) -> Search | None:
    if ports.search is None:
        return None
    index, worker = ports.search()
    return Search(node.log, node.twins, index, worker, ports.clock)


def _functions(node: Node, ports: NodePorts) -> tuple[FunctionHost, ...]:
    if ports.runner is None:
        return ()
    settings = FunctionSettings(deadline_s=node.config.functions.handler_s_max)
    return tuple(
        FunctionHost(
            PurePath(file).stem,
            site=node.config.name,
            log=node.log,
            router=node.router,
            twins=node.twins,
            inbox=node.inbox,
            runner=ports.runner(file),
            clock=ports.clock,
            entropy=ports.entropy,
            settings=settings,
            # Who may put a file on the box may already read and write its whole directory.
            unrestricted=True,
        )
        for file in node.config.functions.files
    )


def _uplink(node: Node, ports: NodePorts) -> Uplink | None:
    if ports.dialer is None:
        return None
    return Uplink(
        log=node.log,
        twins=node.twins,
        registry=node.registry,
        inbox=node.inbox,
        mailbox=node.mailbox,
        live=node.live,
        dialer=ports.dialer,
        clock=ports.clock,
        entropy=ports.entropy,
        settings=LinkSettings(reconnect_s_max=node.config.link.retry_s_max),
        software=__version__,
        beside=ports.beside_uplink,
    )


def _downlink(node: Node, ports: NodePorts) -> tuple[Downlink | None, Enrolment | None]:
    if ports.listener is None:
        return None, None
    registry = node.registry
    enrolment = None
    if ports.authority is not None:
        enrolment = Enrolment(
            registry=registry, log=node.log, authority=ports.authority, clock=ports.clock
        )
    downlink = Downlink(
        log=node.log,
        twins=node.twins,
        registry=registry,
        inbox=node.inbox,
        mailbox=node.mailbox,
        live=node.live,
        listener=ports.listener(enrolment),
        directory=lambda name: scope_of(registry, name),
        clock=ports.clock,
        software=__version__,
        renew=None if enrolment is None else enrolment.renew,
    )
    return downlink, enrolment


def _token_text(config: NodeConfig, ports: NodePorts) -> Callable[[str, str], str] | None:
    """What turns a secret of the registry into the token that a person carries to the site."""
    authority = ports.authority
    if authority is None:
        return None
    url = config.link.public_url or f"wss://{config.link.listen}"
    fingerprint = sha256(authority.certificate).hexdigest()

    def text(site: str, secret: str) -> str:
        return EnrolmentToken(NodeId(site), secret, fingerprint, url).text

    return text
