"""A device as MQTT wants it: reconnects, and resends what was not acknowledged, with its old id."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from time import monotonic
from typing import cast

import orjson

from littoral.app.demo.model import TELEMETRY, DeviceSpec
from littoral.app.demo.sources import Source
from littoral.gateway.mqtt import (
    PINGREQ,
    V5,
    Ack,
    ClientCodec,
    Connack,
    Disconnect,
    Packet,
    PeerViolation,
    Publish,
    Suback,
    encode_connect,
    encode_puback,
    encode_publish,
    encode_subscribe,
)

IN_FLIGHT_MAX = 16
"""Messages under way per device; more wait in its memory."""

WAITING_MAX = 5_000
"""Messages that a device remembers while nobody takes them."""

KEEP_ALIVE_S = 15
ACK_TIMEOUT_S = 15.0
CONNECT_TIMEOUT_S = 10.0
BACKOFF_S_MIN = 0.2
BACKOFF_S_MAX = 2.0
RECENT_MAX = 256
"""Published readings whose time is remembered, to be matched with the command that answers."""

_TOPICS = {"t": "telemetry", "e": "event"}


@dataclass(slots=True)
class Message:
    """One message, from its making to its acknowledgement."""

    number: int
    endpoint: str
    feature: str
    payload: bytes
    packet_id: int = 0


class Device(asyncio.Protocol):
    """One device with its memory; `run` keeps it connected until cancelled.

    Invariant: a number is listed in ``acknowledged`` only after a PUBACK for it; every message has
    one number for life, which goes with it as ``id`` however often it is sent.
    """

    def __init__(
        self,
        spec: DeviceSpec,
        source: Source,
        random: Random,
        on_reaction: Callable[[float], None],
    ) -> None:
        self.spec = spec
        self.acknowledged: list[int] = []
        self.published = 0
        self.resent = 0
        self.commands = 0
        self.dropped = 0
        self.problem = ""
        self.was_ready = asyncio.Event()
        """Set once it has connected for the first time."""
        self._source = source
        self._random = random
        self._on_reaction = on_reaction
        self._waiting: deque[Message] = deque()
        self._in_flight: dict[int, Message] = {}
        self._packet_id = 0
        self._published_at: dict[int, float] = {}
        self._codec = ClientCodec(spec.version)
        self._transport: asyncio.Transport | None = None
        self._ready = False
        self._heard_at = self._sent_at = 0.0
        self._closed = asyncio.Event()

    # -- what the fleet asks ------------------------------------------------------------------

    @property
    def connected(self) -> bool:
        return self._ready

    @property
    def in_flight(self) -> int:
        return len(self._in_flight)

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    def in_doubt(self) -> tuple[int, ...]:
        """Numbers taken but not acknowledged."""
        flying = [message.number for message in self._in_flight.values()]
        return tuple(flying + [message.number for message in self._waiting])

    def publish(self) -> None:
        """Take a reading and send it, or keep it until somebody takes it."""
        if len(self._waiting) >= WAITING_MAX:
            self.dropped += 1
            return
        self.published += 1
        endpoint, feature, payload = self._source.next(self.published)
        self._waiting.append(Message(self.published, endpoint, feature, payload))
        if self._ready:
            self._send_waiting()

    async def run(self) -> None:
        """Stay connected: full jitter between attempts."""
        loop = asyncio.get_running_loop()
        backoff_s = BACKOFF_S_MIN
        while True:
            self._closed.clear()
            try:
                async with asyncio.timeout(CONNECT_TIMEOUT_S):
                    await loop.create_connection(lambda: self, "127.0.0.1", self.spec.port)
            except (OSError, TimeoutError):
                backoff_s = min(BACKOFF_S_MAX, backoff_s * 2)
            else:
                try:
                    await self._closed.wait()
                finally:
                    self._drop()
                backoff_s = BACKOFF_S_MIN
            await asyncio.sleep(self._random.uniform(0, backoff_s))

    def tick(self) -> None:
        """Ping when idle; give up on a connection that does not answer."""
        if self._transport is None:
            return
        now = monotonic()
        expects = self._in_flight or not self._ready or self._sent_at > self._heard_at
        if expects and now - self._heard_at > ACK_TIMEOUT_S:
            self.problem = "the node did not answer in time"
            self._drop()
        elif self._ready and now - self._sent_at > KEEP_ALIVE_S / 2:
            self._write(PINGREQ)

    # -- the connection -----------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are none by inheritance.
        self._transport = cast("asyncio.Transport", transport)
        self._codec = ClientCodec(self.spec.version)
        self._heard_at = monotonic()
        self._write(
            encode_connect(
                self.spec.name,
                username=self.spec.username,
                password=self.spec.password,
                version=self.spec.version,
                keep_alive_s=KEEP_ALIVE_S,
            )
        )

    def connection_lost(self, exc: Exception | None) -> None:
        del exc  # Whatever the reason is, the device comes back.
        self._transport = None
        self._ready = False
        self._closed.set()

    def data_received(self, data: bytes) -> None:
        self._heard_at = monotonic()
        try:
            packets = self._codec.feed(data)
        except PeerViolation as e:
            self.problem = str(e)
            self._drop()
            return
        for packet in packets:
            self._on_packet(packet)
        if self._ready:
            self._send_waiting()

    def _on_packet(self, packet: Packet) -> None:
        match packet:
            case Ack(packet_id=packet_id, reason=reason):
                self._on_ack(packet_id, reason)
            case Publish():
                self._on_command(packet)
            case Connack(reason=0):
                self._write(
                    encode_subscribe(
                        self._next_packet_id(), ("command///req/#", 1), version=self.spec.version
                    )
                )
            case Connack(reason=reason):
                self.problem = f"CONNACK refuses with {reason}"
                self._drop()
            case Suback():
                self._ready = True
                self.was_ready.set()
                self._resend()
            case Disconnect(reason=reason):
                self.problem = f"the node disconnects with reason {reason}"
            case _:
                pass

    def _on_ack(self, packet_id: int, reason: int) -> None:
        message = self._in_flight.pop(packet_id, None)
        if message is None:
            return
        if reason >= 0x80:
            self.problem = f"message {message.number} was refused with reason {reason:#x}"
        elif message.number:
            self.acknowledged.append(message.number)

    def _resend(self) -> None:
        """What was under way goes first and in its old order. Spec: MQTT 5.0 §4.4."""
        for packet_id, message in self._in_flight.items():
            self.resent += 1
            self._write(self._encode(message, packet_id, dup=True))

    def _send_waiting(self) -> None:
        while self._waiting and len(self._in_flight) < IN_FLIGHT_MAX:
            message = self._waiting.popleft()
            packet_id = self._next_packet_id()
            self._in_flight[packet_id] = message
            if message.endpoint == TELEMETRY:
                self._published_at[message.number] = monotonic()
                if len(self._published_at) > RECENT_MAX:
                    del self._published_at[next(iter(self._published_at))]
            self._write(self._encode(message, packet_id, dup=False))

    def _encode(self, message: Message, packet_id: int, *, dup: bool) -> bytes:
        topic = _TOPICS[message.endpoint]
        number = str(message.number)
        if self.spec.version == V5:
            properties = (("id", number), ("feature", message.feature))
            return encode_publish(
                topic, message.payload, packet_id=packet_id, version=V5, dup=dup, user=properties
            )
        topic = f"{topic}/?id={number}&feature={message.feature}"
        return encode_publish(topic, message.payload, packet_id=packet_id, dup=dup)

    def _on_command(self, packet: Publish) -> None:
        """Obey, acknowledge and answer. Topic: ``command///req/{request}/{name}``."""
        if packet.packet_id:
            self._write(encode_puback(packet.packet_id))
        parts = packet.topic.split("/")
        if len(parts) != 6 or parts[0] != "command":
            return
        self.commands += 1
        request_id, name = parts[4], parts[5]
        self._match_reaction(packet.payload)
        answer = self._source.command(name, packet.payload)
        if request_id:
            self._write(
                encode_publish(
                    f"command///res/{request_id}/200",
                    orjson.dumps(answer),
                    version=self.spec.version,
                )
            )

    def _match_reaction(self, payload: bytes) -> None:
        with contextlib.suppress(orjson.JSONDecodeError):
            body = orjson.loads(payload)
            number = body.get("n") if isinstance(body, dict) else None
            published_at = self._published_at.pop(number, None) if number is not None else None
            if published_at is not None:
                self._on_reaction((monotonic() - published_at) * 1000)

    def _next_packet_id(self) -> int:
        while True:
            self._packet_id = self._packet_id % 65_535 + 1
            if self._packet_id not in self._in_flight:
                return self._packet_id

    def _write(self, data: bytes) -> None:
        if self._transport is not None:
            self._sent_at = monotonic()
            self._transport.write(data)

    def _drop(self) -> None:
        self._ready = False
        if self._transport is not None:
            self._transport.abort()
