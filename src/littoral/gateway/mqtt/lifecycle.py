"""The life of one connection: its state, its deadlines, its pace, and how it ends.

Reading and acknowledging are `connection`'s. Spec: MQTT 5.0 §3.1.2.10, §4.13.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import cast

from littoral.gateway.mqtt.acks import Acks
from littoral.gateway.mqtt.commands import Subscriptions, Wire
from littoral.gateway.mqtt.encode import encode
from littoral.gateway.mqtt.handshake import Agreement, agree, greeting, refusal
from littoral.gateway.mqtt.hub import Hub
from littoral.gateway.mqtt.packets import Connect, Disconnect
from littoral.gateway.mqtt.properties import NO_PROPERTIES, Properties, Property
from littoral.gateway.mqtt.reasons import V5, V311, PeerViolation, Reason
from littoral.gateway.mqtt.wheel import NEVER, TICK_S
from littoral.gateway.ports import DeviceDoor
from littoral.kernel.errors import LittoralError
from littoral.registry import DeviceIdentity

NEW, HANDSHAKE, OPEN, DRAINING, CLOSED = range(5)
"""States, in their only order. Plain ints: the hot path compares them."""


class Lifecycle(asyncio.Protocol, ABC):
    """A `Peer` of its hub, from the socket to its end.

    Invariant: whatever the peer does or leaves undone, some deadline ends it; what is held for it
    is given back exactly once.
    """

    __slots__ = (
        "__weakref__",
        "_acks",
        "_agreed",
        "_closed_s",
        "_connect",
        "_door",
        "_due",
        "_farewell",
        "_hub",
        "_is_paused",
        "_limits",
        "_need",
        "_out",
        "_seen_s",
        "_stalled_s",
        "_state",
        "_subscriptions",
        "_tail",
        "_tail_since_s",
        "_transport",
        "_v5",
        "_version",
        "identity",
    )

    def __init__(self, hub: Hub) -> None:
        self.identity: DeviceIdentity | None = None
        self._hub = hub
        self._limits = hub.limits
        self._transport: asyncio.Transport
        self._door: DeviceDoor
        self._state = NEW
        self._v5 = False
        self._version = V311
        self._connect: Connect | None = None
        self._agreed: Agreement | None = None
        self._subscriptions: Subscriptions | None = None
        self._acks = Acks()
        self._out = bytearray()
        """Written when the buffer is done: one write, however many answers."""
        self._tail = bytearray()
        self._tail_since_s = 0.0
        self._need = 2
        self._seen_s = 0.0
        self._stalled_s: float | None = None
        """Since when the peer has not read what we wrote."""
        self._is_paused = False
        self._due = NEVER
        self._closed_s = 0.0
        self._farewell: tuple[Reason, str] | None = None

    # -- asyncio.Protocol ---------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # A cast, because uvloop's transports do not inherit from asyncio's.
        self._transport = cast("asyncio.Transport", transport)
        self._seen_s = self._hub.clock.monotonic_s()
        self._hub.peers[self] = None
        if len(self._hub.peers) > self._limits.connections_max:
            # Not known yet which version it speaks, so nothing could be said.
            self._finish(Reason.USE_ANOTHER_SERVER, "")
            return
        self._look_again(self._seen_s + self._limits.connect_timeout_s)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        if self._state != CLOSED:
            self._hub.closed["PEER_GONE"] += 1
        self._state = CLOSED
        self._hub.forget(self, self._due)
        self._due = NEVER
        self._leave()
        self._hub.lost(self)

    def eof_received(self) -> bool:
        return False

    def pause_writing(self) -> None:
        self._stalled_s = self._hub.clock.monotonic_s()
        self._look_again(self._stalled_s + self._limits.drain_timeout_s)
        self._throttle()

    def resume_writing(self) -> None:
        self._stalled_s = None
        self._throttle()

    @abstractmethod
    def _receive(self, data: bytes, at: int = 0) -> None:
        """Take in whole packets from ``at`` on."""

    @abstractmethod
    def decided(self, error: LittoralError | None) -> None:
        """The oldest batch for which it waits is durable, or has failed."""

    def accept(self, identity: DeviceIdentity) -> None:
        """The credentials are good: say so, and take in what came behind the CONNECT."""
        connect = self._connect
        if self._state != HANDSHAKE or connect is None:
            return
        hub = self._hub
        spare = f"auto-{hub.entropy.token(8).hex()}"
        agreed = agree(connect, self._limits, spare_client_id=spare)
        self.identity = identity
        self._agreed = agreed
        self._connect = None  # its password is not needed any more
        hub.admit(self, identity, agreed.client_id)
        self._door = hub.twins.door(identity)
        self._subscriptions = Subscriptions(
            hub,
            identity,
            Wire(
                agreed.version,
                self._transport.write,
                lambda: self._stalled_s is None,
                self._look_again,
                agreed.packet_bytes_max,
                agreed.receive_maximum,
                agreed.wordy,
            ),
        )
        self._state = OPEN
        self._transport.write(greeting(agreed, connect.keep_alive_s, self._limits))
        self._seen_s = hub.clock.monotonic_s()
        if agreed.silence_s_max is not None:
            self._look_again(self._seen_s + agreed.silence_s_max)
        self._is_paused = True  # since the CONNECT
        data = bytes(self._tail)
        self._tail.clear()
        self._need = 2
        self._receive(data)

    def refuse(self, reason: Reason, text: str) -> None:
        """Answer the CONNECT with no, and close."""
        if self._state == HANDSHAKE:
            self._transport.write(refusal(self._version, reason, text))
            self._finish(reason, text)

    # -- ending -------------------------------------------------------------------------------

    def _violated(self, violation: PeerViolation) -> None:
        if self._state == NEW and violation.reason == Reason.UNSUPPORTED_VERSION:
            self._transport.write(refusal(V311, violation.reason, ""))
        self._end_in_order(violation.reason, str(violation))

    def end(self, reason: Reason, text: str) -> None:
        """Close now; what waits for a commit is not acknowledged any more."""
        if self._state == HANDSHAKE:
            self.refuse(reason, text)
        elif self._state < CLOSED:
            self._finish(reason, text)

    @property
    def is_waiting(self) -> bool:
        """Whether its CONNECT is not accepted yet."""
        return self._state in (NEW, HANDSHAKE)

    def retire(self) -> None:
        """Take nothing in any more, acknowledge what commits, then say goodbye."""
        if self._state == HANDSHAKE:
            self.refuse(Reason.SERVER_SHUTTING_DOWN, "The node is stopping.")
        elif self._state < DRAINING:
            self._end_in_order(Reason.SERVER_SHUTTING_DOWN, "The node is stopping.")

    def _end_in_order(self, reason: Reason, text: str) -> None:
        """Close once everything before it is acknowledged."""
        if self._state >= DRAINING:
            return
        if not self._acks.groups:
            self._finish(reason, text)
            return
        self._state = DRAINING
        self._farewell = (reason, text)
        self._transport.pause_reading()
        self._look_again(self._hub.clock.monotonic_s() + self._limits.drain_timeout_s)

    def _finish(self, reason: Reason, text: str) -> None:
        """Say why, and close."""
        self._hub.closed[reason.name] += 1
        if self._out:
            self._transport.write(bytes(self._out))
            self._out.clear()
        if self._v5 and self._agreed is not None:
            properties: Properties = {Property.REASON_STRING: text} if text else NO_PROPERTIES
            packet = encode(Disconnect(reason, properties), V5)
            if len(packet) > self._agreed.packet_bytes_max:
                packet = encode(Disconnect(reason), V5)
            self._transport.write(packet)
        self._close(lingers=reason != Reason.SERVER_SHUTTING_DOWN)

    def _close(self, *, lingers: bool = True) -> None:
        """Send the end, and let the peer close.

        A socket that is closed with unread bytes resets the connection, and the peer may lose the
        reason that was just written: so what still comes is read and thrown away for a while.
        """
        self._state = CLOSED
        self._leave()
        transport = self._transport
        if not lingers or transport.is_closing() or not _ends_writing(transport):
            transport.close()
        self._closed_s = self._hub.clock.monotonic_s()
        self._look_again(self._closed_s + self._limits.linger_timeout_s)

    def abort(self) -> None:
        """Let go of the socket at once."""
        self._state = CLOSED
        self._leave()
        self._transport.abort()

    def _leave(self) -> None:
        """Give back everything that is held for this connection. Idempotent."""
        self._acks.drop()
        self._tail.clear()
        self._out.clear()
        if self._subscriptions is not None:
            self._subscriptions.close()
        self._hub.leave(self, "" if self._agreed is None else self._agreed.client_id)

    def _is_wordy(self) -> bool:
        return self._agreed is not None and self._agreed.wordy

    # -- pace and deadlines -------------------------------------------------------------------

    def _throttle(self) -> None:
        """Read only while what waits is within bounds and the peer reads our answers."""
        if self._state != OPEN:
            return
        acks, limits = self._acks, self._limits
        if self._is_paused:
            if (
                self._stalled_s is None
                and acks.records <= limits.pending_records_max // 2
                and acks.size <= limits.pending_bytes_max // 2
            ):
                self._is_paused = False
                self._seen_s = self._hub.clock.monotonic_s()
                self._tail_since_s = self._seen_s if self._tail else 0.0
                self._transport.resume_reading()
                if self._agreed is not None and self._agreed.silence_s_max is not None:
                    self._look_again(self._seen_s + self._agreed.silence_s_max)
        elif (
            self._stalled_s is not None
            or acks.records >= limits.pending_records_max
            or acks.size >= limits.pending_bytes_max
        ):
            self._is_paused = True
            self._hub.paused += 1
            self._transport.pause_reading()

    def _look_again(self, at_s: float) -> None:
        if int(at_s / TICK_S) + 1 < self._due:
            self._hub.forget(self, self._due)
            self._due = self._hub.look_again(self, at_s)

    def on_due(self, tick: int, now_s: float) -> None:
        """Judge every deadline; ask for the next look."""
        if tick != self._due:
            return  # replaced in this very moment, by what another one's end has caused
        self._due = NEVER
        if self._state == CLOSED:
            if now_s >= self._closed_s + self._limits.linger_timeout_s:
                self._transport.abort()
            else:
                self._look_again(self._closed_s + self._limits.linger_timeout_s)
            return
        if self._state != OPEN:
            self._judge_unopened(now_s)
            return
        next_s = float("inf")
        for at_s, text in self._deadlines(now_s):
            if now_s >= at_s:
                self.end(Reason.KEEP_ALIVE_TIMEOUT, text)
                return
            next_s = min(next_s, at_s)
        assert self._subscriptions is not None
        next_s = min(next_s, self._subscriptions.expire(now_s) or next_s)
        if next_s < float("inf"):
            self._look_again(next_s)

    def _deadlines(self, now_s: float) -> Iterator[tuple[float, str]]:
        limits = self._limits
        if self._stalled_s is not None:
            yield self._stalled_s + limits.drain_timeout_s, "What we wrote was not read."
        if self._is_paused:
            # It is we who do not read: its silence means nothing. Look again after a while.
            yield now_s + limits.packet_timeout_s, ""
            return
        assert self._agreed is not None
        silence_s_max = self._agreed.silence_s_max
        if silence_s_max is not None:
            yield self._seen_s + silence_s_max, "Nothing was heard for too long."
        if self._tail:
            yield self._tail_since_s + limits.packet_timeout_s, "A packet stayed incomplete."

    def _judge_unopened(self, now_s: float) -> None:
        limits = self._limits
        timeout_s = {
            NEW: limits.connect_timeout_s,
            HANDSHAKE: limits.handshake_timeout_s,
        }.get(self._state, limits.drain_timeout_s)
        if now_s < self._seen_s + timeout_s and self._state != NEW:
            self._look_again(self._seen_s + timeout_s)
            return
        if self._state == HANDSHAKE:
            self.refuse(Reason.SERVER_UNAVAILABLE, "Your credentials could not be checked in time.")
        else:
            self._finish(
                *(self._farewell or (Reason.KEEP_ALIVE_TIMEOUT, "No CONNECT came in time."))
            )


def _ends_writing(transport: asyncio.Transport) -> bool:
    """Send our end of the stream and go on reading; False if this transport cannot."""
    if not transport.can_write_eof():
        return False
    try:
        transport.write_eof()
    except OSError:
        # asyncio's own transport lets ENOTCONN through if the peer has reset the connection.
        return False
    transport.resume_reading()
    return True
