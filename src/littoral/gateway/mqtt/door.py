"""The MQTT door of a node: makes connections, checks credentials, keeps deadlines, ends it all."""

import asyncio

from littoral.eventing import Inbox
from littoral.gateway.mqtt.acks import Acks, Group
from littoral.gateway.mqtt.connection import EVENT, MqttConnection
from littoral.gateway.mqtt.handshake import check
from littoral.gateway.mqtt.hub import Hub, Peer
from littoral.gateway.mqtt.lifecycle import OPEN
from littoral.gateway.mqtt.model import DoorStatistics, Limits
from littoral.gateway.mqtt.packets import Connect
from littoral.gateway.mqtt.reasons import PeerViolation, Reason
from littoral.gateway.mqtt.refusals import connack_reason, reason_text
from littoral.gateway.mqtt.topics import Route
from littoral.gateway.ports import Commits, DeviceDoors, Devices
from littoral.kernel.errors import LittoralError
from littoral.kernel.time import Clock, Entropy
from littoral.native import hot
from littoral.registry import RegistryChange

CLOSE_TIMEOUT_S = 5.0
"""How long `MqttDoor.close` waits for commits and for peers to take their last bytes."""


class MqttDoor:
    """Everything that speaks MQTT in a node. It opens no socket: the node binds `protocol_factory`.

    Args:
        log: whose commits acknowledge.
        registry: says who a device is, and when it must go.
        twins: where messages go.
        inbox: where commands come from.
        clock: ``monotonic_s`` must be the running loop's time.
        entropy: for client ids and request ids.
        limits: what one peer may cost.

    Invariant: sockets are served only while `run` runs; without it every CONNECT is refused.
    """

    def __init__(
        self,
        log: Commits,
        registry: Devices,
        twins: DeviceDoors,
        inbox: Inbox,
        clock: Clock,
        entropy: Entropy,
        limits: Limits | None = None,
    ) -> None:
        self.limits = limits or Limits()
        self._hub = Hub(
            commits=log, twins=twins, inbox=inbox, clock=clock, entropy=entropy, limits=self.limits
        )
        self._registry = registry
        self._clock = clock
        self._tasks: asyncio.TaskGroup | None = None
        self._slots = asyncio.Semaphore(self.limits.handshakes_max)
        self._handshakes = 0
        self._is_closed = False
        registry.on_change(self._changed)

    def protocol_factory(self) -> asyncio.Protocol:
        """A new connection, for ``loop.create_server``."""
        return MqttConnection(self._hub)

    def statistics(self) -> DoorStatistics:
        """What it counted; cheap."""
        return self._hub.statistics()

    async def run(self) -> None:
        """Check credentials and keep deadlines until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            self._hub.authenticate = self._authenticate
            try:
                await self._keep_time()
            finally:
                self._tasks = None

    def tick(self) -> None:
        """Meet the deadlines that have come. `run` calls it; so does a test with its own clock."""
        self._hub.tick(self._clock.monotonic_s())

    async def close(self) -> None:
        """Take nothing in any more, acknowledge what commits, say goodbye to every device."""
        self._is_closed = True
        for peer in list(self._hub.peers):
            peer.retire()
        if self._hub.peers:
            self._hub.emptied.clear()
            try:
                async with asyncio.timeout(CLOSE_TIMEOUT_S):
                    await self._hub.emptied.wait()
            except TimeoutError:
                for peer in list(self._hub.peers):
                    peer.abort()

    # -- inside -------------------------------------------------------------------------------

    async def _keep_time(self) -> None:
        hub = self._hub
        while True:
            hub.woken.clear()
            at_s = hub.next_s()
            try:
                async with asyncio.timeout(
                    None if at_s is None else max(0.0, at_s - self._clock.monotonic_s())
                ):
                    await hub.woken.wait()
            except TimeoutError:
                self.tick()

    def _authenticate(self, peer: Peer, connect: Connect) -> None:
        """Begin the handshake of one connection."""
        tasks = self._tasks
        if self._is_closed or tasks is None:
            peer.refuse(Reason.SERVER_SHUTTING_DOWN, "The node is stopping.")
            return
        if self._handshakes >= self.limits.handshakes_waiting_max:
            peer.refuse(Reason.SERVER_BUSY, "Too many devices connect at once; try again.")
            return
        try:
            username, password = check(connect, self.limits)
        except PeerViolation as e:
            peer.refuse(e.reason, e.message)
            return
        self._handshakes += 1
        # A detached task would outlive the door; this one ends with `run`.
        tasks.create_task(self._handshake(peer, username, password))

    async def _handshake(self, peer: Peer, username: str, password: str) -> None:
        try:
            identity = self._registry.authenticate_device_nowait(username, password)
            if identity is None:
                # Only who needs argon2 waits for a turn: guesses keep nobody else out.
                async with self._slots:
                    identity = await self._registry.authenticate_device(username, password)
        except LittoralError as e:
            peer.refuse(connack_reason(e), reason_text(e))
        except Exception as e:  # noqa: BLE001  # one device's bad luck must not close the door for all
            peer.refuse(Reason.UNSPECIFIED, "Something went wrong here.")
            asyncio.get_running_loop().call_exception_handler(
                {"message": "checking a device's credentials failed", "exception": e}
            )
        else:
            peer.accept(identity)
        finally:
            self._handshakes -= 1

    def _changed(self, change: RegistryChange) -> None:
        """End the connections of devices that may not be here any more."""
        if not change.ends_access or not change.tenant:
            return
        whole_tenant = change.kind.startswith("tenant.")
        for peer in list(self._hub.peers):
            identity = peer.identity
            if (
                identity is not None
                and identity.tenant == change.tenant
                and (whole_tenant or identity.device == change.name)
            ):
                peer.end(Reason.ADMINISTRATIVE_ACTION, "This device may not connect any more.")


if hot is not None:
    hot.bind(hot.CONNECTION, MqttConnection)
    hot.bind(hot.HUB, Hub)
    hot.bind(hot.ACKS, Acks)
    hot.bind(hot.GROUP, Group)
    hot.bind(hot.ROUTE, Route)
    hot.configure(open_state=OPEN, event_class=EVENT)
