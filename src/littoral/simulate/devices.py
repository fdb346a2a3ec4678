"""Virtual MQTT devices: the real client codec, an outbox that forgets nothing, and a memory.

A device does what MQTT 3.1.1 and 5 ask of a good one: it keeps what is not acknowledged, connects
again, and sends it again, oldest first, marked DUP. What it saw acknowledged is the truth that a
world is judged by.
"""

import asyncio
import contextlib
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from littoral.gateway.mqtt import (
    PINGREQ,
    V5,
    Ack,
    ClientCodec,
    Connack,
    Disconnect,
    Packet,
    Pingresp,
    Publish,
    Suback,
    Type,
    encode_connect,
    encode_puback,
    encode_publish,
    encode_subscribe,
)
from littoral.simulate.network import Network
from littoral.simulate.stream import Address

HANDSHAKE_S = 10.0
"""How long a device waits for the answer to its CONNECT."""

PING_EVERY_S = 5.0
PING_TIMEOUT_S = 10.0

BACKOFF_S = (0.2, 4.0)
"""A device waits between these before it connects again: doubling, with full jitter."""

IN_FLIGHT_MAX = 8

_COMMANDS = "command///req/#"


@dataclass(frozen=True, slots=True)
class Sent:
    """One message of a device, until it is acknowledged and ever after."""

    number: int
    topic: str
    payload: bytes
    content_type: str | None = None
    feature: str | None = None
    device_time: int | None = None

    @property
    def message_id(self) -> str:
        """What the device calls it; the same at every repetition."""
        return f"m{self.number}"


@dataclass(frozen=True, slots=True)
class Account:
    """How a device proves who it is."""

    tenant: str
    device: str
    auth_id: str
    password: str
    version: int = V5


@dataclass(slots=True)
class Memory:
    """What a device knows about itself; it survives everything."""

    outbox: deque[Sent] = field(default_factory=deque)
    """Oldest first; nothing leaves it but by an acknowledgement."""
    acknowledged: dict[int, Sent] = field(default_factory=dict)
    executed: list[tuple[str, str]] = field(default_factory=list)
    """(subject, payload) of every command that came."""
    sent: int = 0
    connections: int = 0
    first_sent_to: int = 0
    """The highest number that was sent at least once; whatever is sent again is a DUP."""
    refused: set[int] = field(default_factory=set)
    """Numbers refused at least once, or on their way beside such: others may overtake them."""


class VirtualDevice:
    """A device at ``host``, whose messages go to the MQTT door at ``door``."""

    def __init__(
        self, network: Network, source: random.Random, *, host: str, door: Address, account: Account
    ) -> None:
        self.memory = Memory()
        self.account = account
        self.host = host
        self._network = network
        self._source = source
        self._door = door
        self._session: _Session | None = None

    @property
    def is_done(self) -> bool:
        """Whether everything that it sent is acknowledged."""
        return not self.memory.outbox

    def publish(
        self,
        payload: bytes,
        *,
        topic: str = "telemetry",
        content_type: str | None = None,
        feature: str | None = None,
        device_time: int | None = None,
    ) -> Sent:
        """Put a message into the outbox, and send it as soon as that is possible."""
        self.memory.sent += 1
        sent = Sent(self.memory.sent, topic, payload, content_type, feature, device_time)
        self.memory.outbox.append(sent)
        if self._session is not None:
            self._session.pump()
        return sent

    async def run(self) -> None:
        """Connect, and connect again, until cancelled."""
        pause_s = BACKOFF_S[0]
        loop = asyncio.get_running_loop()
        while True:
            begun_s = loop.time()
            with contextlib.suppress(OSError):
                await self._connect_once()
            if loop.time() - begun_s > BACKOFF_S[1]:
                pause_s = BACKOFF_S[0]
            await asyncio.sleep(self._source.uniform(BACKOFF_S[0] / 2, pause_s))
            pause_s = min(2 * pause_s, BACKOFF_S[1])

    async def _connect_once(self) -> None:
        def begin() -> _Session:
            return _Session(self.memory, self.account, self._network.note, self.host)

        _, session = await self._network.connect(self.host, *self._door, begin)
        assert isinstance(session, _Session)
        try:
            async with asyncio.timeout(HANDSHAKE_S):
                await session.opened
            self.memory.connections += 1
            self._session = session
            session.pump()
            await session.keep_alive()
        except TimeoutError:
            return
        finally:
            self._session = None
            session.transport.abort()


class _Session(asyncio.Protocol):
    """One connection of a device."""

    def __init__(
        self, memory: Memory, account: Account, note: Callable[[str], None], host: str
    ) -> None:
        loop = asyncio.get_running_loop()
        self.transport: asyncio.Transport
        self.opened: asyncio.Future[None] = loop.create_future()
        self._over: asyncio.Future[None] = loop.create_future()
        self._pong = asyncio.Event()
        self._memory = memory
        self._account = account
        self._note = note
        self._host = host
        self._codec = ClientCodec(account.version)
        self._in_flight: dict[int, Sent] = {}
        self._packet_id = 0
        self._sent_to = 0
        """Highest number sent on this connection."""

    # -- asyncio.Protocol ---------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        account = self._account
        transport.write(
            encode_connect(
                account.device.replace(":", "-"),
                username=f"{account.auth_id}@{account.tenant}",
                password=account.password,
                version=account.version,
                keep_alive_s=int(3 * PING_EVERY_S),
            )
        )

    def data_received(self, data: bytes) -> None:
        for packet in self._codec.feed(data):
            self._receive(packet)

    def connection_lost(self, exc: Exception | None) -> None:
        error = exc or ConnectionResetError("closed by the node")
        if not self.opened.done():
            self.opened.set_exception(error)
            _ = self.opened.exception()
        if not self._over.done():
            self._over.set_result(None)

    # -- MQTT ---------------------------------------------------------------------------------

    def _receive(self, packet: Packet) -> None:
        match packet:
            case Connack(reason=0):
                self.transport.write(
                    encode_subscribe(65_535, _COMMANDS, version=self._codec.version)
                )
            case Connack(reason=reason):
                self._note(f"{self._host} is refused: {reason}")
                self.transport.close()
            case Suback():
                if not self.opened.done():
                    self.opened.set_result(None)
            case Ack(type=Type.PUBACK, packet_id=packet_id, reason=reason):
                self._acknowledged(packet_id, reason)
            case Publish():
                self._command(packet)
            case Pingresp():
                self._pong.set()
            case Disconnect(reason=reason):
                self._note(f"{self._host} is disconnected: {reason}")
            case _:
                raise AssertionError(f"a node sent {packet}")

    def _acknowledged(self, packet_id: int, reason: int) -> None:
        sent = self._in_flight.pop(packet_id, None)
        assert sent is not None, f"{self._host}: packet {packet_id} was not in flight"
        if reason >= 0x80:
            # Not lost, not stored: it stays in the outbox, and the next connection sends it again.
            self._memory.refused.add(sent.number)
            self._memory.refused.update(other.number for other in self._in_flight.values())
            self._note(f"{self._host}: m{sent.number} is refused with {reason:#x}")
            self.transport.close()
            return
        self._memory.acknowledged[sent.number] = sent
        self._memory.outbox.remove(sent)
        self.pump()

    def _command(self, packet: Publish) -> None:
        if packet.qos:
            self.transport.write(encode_puback(packet.packet_id))
        _, _, _, _, request_id, subject = packet.topic.split("/", 5)
        self._memory.executed.append((subject, packet.payload.decode()))
        if request_id:
            self.transport.write(
                encode_publish(
                    f"command///res/{request_id}/200", packet.payload, version=self._codec.version
                )
            )

    def pump(self) -> None:
        """Send what waits, oldest first, as far as the window allows."""
        if not self.opened.done() or self.transport.is_closing():
            return
        for sent in self._memory.outbox:
            if len(self._in_flight) >= IN_FLIGHT_MAX:
                return
            if sent.number <= self._sent_to:
                continue
            self._sent_to = sent.number
            self._send(sent)

    def _send(self, sent: Sent) -> None:
        self._packet_id = self._packet_id % 60_000 + 1
        self._in_flight[self._packet_id] = sent
        extras = {"id": sent.message_id}
        if sent.feature is not None:
            extras["feature"] = sent.feature
        if sent.device_time is not None:
            extras["ts"] = str(sent.device_time)
        topic, user, content_type = sent.topic, tuple(extras.items()), sent.content_type
        if self._codec.version != V5:
            if content_type is not None:
                extras["content-type"] = content_type
            topic += "/?" + "&".join(f"{key}={value}" for key, value in extras.items())
            user, content_type = (), None
        dup = sent.number <= self._memory.first_sent_to
        self._memory.first_sent_to = max(self._memory.first_sent_to, sent.number)
        self.transport.write(
            encode_publish(
                topic,
                sent.payload,
                packet_id=self._packet_id,
                version=self._codec.version,
                dup=dup,
                content_type=content_type,
                user=user,
            )
        )

    async def keep_alive(self) -> None:
        """Ping until the connection is over."""
        while not self._over.done():
            try:
                async with asyncio.timeout(PING_EVERY_S):
                    await asyncio.shield(self._over)
            except TimeoutError:
                self._pong.clear()
                self.transport.write(PINGREQ)
                async with asyncio.timeout(PING_TIMEOUT_S):
                    await self._pong.wait()
