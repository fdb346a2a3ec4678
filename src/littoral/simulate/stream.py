"""The two ends of a virtual connection (`asyncio.Transport`), and the flow of bytes from each."""

import asyncio
import random
from collections import deque
from typing import Protocol

GIVE_UP_S = 30.0
"""How long a sender's kernel repeats itself before it declares the connection dead."""

RETRANSMIT_S = 0.2
"""Delay that the first loss of a segment costs; it doubles with each further loss."""

RETRANSMITS_MAX = 6
"""Losses in a row of one segment after which the connection is reset."""

HIGH_WATER_BYTES = 64 * 1024
"""Bytes under way beyond which a writer is asked to pause; as asyncio's default."""

Address = tuple[str, int]


class Path(Protocol):
    """What a connection asks of the network it runs through."""

    loop: asyncio.AbstractEventLoop
    source: random.Random

    def delay_s(self, sender: str, receiver: str) -> float: ...
    def is_unreachable(self, sender: str, receiver: str) -> bool: ...
    def conditions(self, one: str, other: str) -> "Loss": ...
    def transmission_s(self, sender: str, receiver: str, size: int) -> float: ...
    def forget(self, gone: "VirtualTransport") -> None: ...
    def wake_later(self, flow: "Flow") -> None: ...
    def note(self, line: str) -> None: ...


class Loss(Protocol):
    """The part of a path's conditions that a flow draws from."""

    @property
    def loss(self) -> float: ...
    @property
    def fragmented(self) -> float: ...


class VirtualTransport(asyncio.Transport):
    """One end of a connection."""

    def __init__(self, network: Path, number: int, local: Address, remote: Address) -> None:
        super().__init__({"peername": remote, "sockname": local})
        self.network = network
        self.number = number
        self.local = local
        self.remote = remote
        self.flow: Flow
        self._protocol: asyncio.Protocol
        self._received: deque[bytes] = deque()
        self._reading = True
        self._closing = False
        self._lost = False
        self._vanished = False
        self._eof = False
        self._high = HIGH_WATER_BYTES
        self._low = HIGH_WATER_BYTES // 4
        self._writer_paused = False

    def begin(self, protocol: asyncio.Protocol) -> None:
        """The connection stands; tell the program."""
        self._protocol = protocol
        protocol.connection_made(self)

    # -- asyncio.Transport --------------------------------------------------------------------

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self._closing or self._lost or self._vanished or not data:
            return
        self.flow.send(bytes(data))
        if not self._writer_paused and self.flow.size > self._high:
            self._writer_paused = True
            self._protocol.pause_writing()

    def write_eof(self) -> None:
        if not self._closing:
            self.flow.send(None)

    def can_write_eof(self) -> bool:
        return True

    def close(self) -> None:
        if self._closing or self._lost:
            return
        self._closing = True
        if not self._vanished:
            self.flow.send(None)
        self.network.loop.call_soon(self.lose, None)

    def abort(self) -> None:
        if self._lost:
            return
        self._closing = True
        if not self._vanished:
            self.flow.reset_peer()
        self.network.loop.call_soon(self.lose, None)

    def is_closing(self) -> bool:
        return self._closing or self._lost

    def pause_reading(self) -> None:
        self._reading = False

    def resume_reading(self) -> None:
        if not self._reading:
            self._reading = True
            self.network.loop.call_soon(self._drain)

    def is_reading(self) -> bool:
        return self._reading and not self.is_closing()

    def get_write_buffer_size(self) -> int:
        return self.flow.size

    def get_write_buffer_limits(self) -> tuple[int, int]:
        return self._low, self._high

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._high = high if high is not None else (4 * low if low else HIGH_WATER_BYTES)
        self._low = low if low is not None else self._high // 4

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self._protocol

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        assert isinstance(protocol, asyncio.Protocol)
        self._protocol = protocol

    # -- what the network does ----------------------------------------------------------------

    def receive(self, data: bytes | None) -> None:
        """Bytes arrive, or the peer's end of writing (None)."""
        if data is None:
            self._eof = True
        else:
            self._received.append(data)
        self._drain()

    def _drain(self) -> None:
        taken = 0
        while self._received and self._reading and not self._mute:
            data = self._received.popleft()
            taken += len(data)
            self._protocol.data_received(data)
        if taken and not self._vanished:
            self.flow.other.taken(taken)
        if self._eof and not self._received and not self._mute:
            self._eof = False
            if not self._protocol.eof_received():
                self.close()

    @property
    def _mute(self) -> bool:
        return self._closing or self._lost or self._vanished

    @property
    def accepts(self) -> bool:
        """Whether the program at this end still wants bytes; if not, it answers with a reset."""
        return not self._mute

    @property
    def vanished(self) -> bool:
        """Whether the program at this end died without a word."""
        return self._vanished

    def vanish(self) -> None:
        """The program is dead: it is told nothing any more, and nothing it writes leaves."""
        self._vanished = True
        self.flow.drop()
        self.network.forget(self)

    def lose(self, error: Exception | None) -> None:
        """The connection is over at this end; tell the program, once."""
        if self._lost:
            return
        self._lost = True
        self._received.clear()
        if error is not None:
            self.flow.drop()
            self.network.note(f"#{self.number} {self.local[0]} loses {self.remote[0]}: {error}")
        self.network.forget(self)
        self._protocol.connection_lost(error)

    def may_write_again(self) -> None:
        """The peer has taken bytes; let the writer go on if it was paused."""
        if self._writer_paused and self.flow.size <= self._low and not self._mute:
            self._writer_paused = False
            self._protocol.resume_writing()


class Flow:
    """Bytes on their way from one end to the other, in order."""

    def __init__(self, sender: VirtualTransport, receiver: VirtualTransport) -> None:
        self._sender = sender
        self._receiver = receiver
        self._network = sender.network
        self._under_way: deque[bytes | None] = deque()
        self._due_s = 0.0
        self._stalled = 0
        self._stalled_since_s: float | None = None
        self._dead = False
        self.size = 0
        """Bytes written and not taken by the program at the other end."""
        self.other: Flow

    @staticmethod
    def join(near: VirtualTransport, far: VirtualTransport) -> None:
        """Give two ends their flows."""
        near.flow, far.flow = Flow(near, far), Flow(far, near)
        near.flow.other, far.flow.other = far.flow, near.flow

    @property
    def _ends(self) -> tuple[str, str]:
        return self._sender.local[0], self._receiver.local[0]

    def send(self, data: bytes | None) -> None:
        """Put bytes, or the end of writing (None), on their way."""
        if data is None:
            self._put(None)
            return
        self.size += len(data)
        path = self._network.conditions(*self._ends)
        source = self._network.source
        if path.fragmented and len(data) > 1 and source.random() < path.fragmented:
            at = source.randrange(1, len(data))
            self._put(data[:at])
            data = data[at:]
        self._put(data)

    def _put(self, item: bytes | None) -> None:
        network = self._network
        delay_s = network.delay_s(*self._ends)
        loss = network.conditions(*self._ends).loss
        losses = 0
        while loss and network.source.random() < loss:
            delay_s += RETRANSMIT_S * 2**losses
            losses += 1
            if losses > RETRANSMITS_MAX:
                network.loop.call_later(delay_s, self._give_up, "too many losses")
                return
        earliest_s = network.loop.time() + delay_s
        transmission_s = network.transmission_s(*self._ends, len(item or b""))
        self._due_s = max(self._due_s, earliest_s) + transmission_s
        self._under_way.append(item)
        network.loop.call_at(self._due_s, self._arrive)

    def _arrive(self) -> None:
        if self._dead or not self._under_way:
            return
        if self._stalled or self._network.is_unreachable(*self._ends):
            self._stall()
            return
        item = self._under_way.popleft()
        if not self._receiver.accepts:
            if item is not None or self._receiver.vanished:
                self._answer_reset()
            return
        self._receiver.receive(item)

    def _stall(self) -> None:
        self._stalled += 1
        if self._stalled_since_s is None:
            now_s = self._network.loop.time()
            self._stalled_since_s = now_s
            self._network.wake_later(self)
            self._network.loop.call_later(GIVE_UP_S, self._give_up_if_stalled, now_s)

    def wake(self) -> None:
        """Something was healed: what stalled here goes on, or stalls again."""
        count, self._stalled = self._stalled, 0
        self._stalled_since_s = None
        pause_s = self._network.source.uniform(0.0, 2 * RETRANSMIT_S)
        due_s = self._network.loop.time() + pause_s + self._network.delay_s(*self._ends)
        self._due_s = max(self._due_s, due_s)
        for _ in range(count):
            self._network.loop.call_at(due_s, self._arrive)

    def _give_up_if_stalled(self, since_s: float) -> None:
        if self._stalled_since_s == since_s:
            self._give_up("timed out")

    def _give_up(self, why: str) -> None:
        if not self._dead:
            self._dead = True
            self._sender.lose(TimeoutError(f"the connection {why}."))

    def taken(self, size: int) -> None:
        """The program at the other end has read so much."""
        self.size -= size
        self._sender.may_write_again()

    def reset_peer(self) -> None:
        """Drop what is under way, and tell the other end, if it can be reached."""
        self.drop()
        self._reset(self._receiver)

    def _answer_reset(self) -> None:
        """The receiver knows nothing of this connection: its kernel says so."""
        self.drop()
        if not self._network.is_unreachable(*reversed(self._ends)):
            self._reset(self._sender)

    def _reset(self, end: VirtualTransport) -> None:
        network = self._network
        if network.is_unreachable(end.remote[0], end.local[0]):
            return
        delay_s = network.delay_s(end.remote[0], end.local[0])
        network.loop.call_later(delay_s, self._deliver_reset, end)

    @staticmethod
    def _deliver_reset(end: VirtualTransport) -> None:
        if not end.vanished:
            end.lose(ConnectionResetError("reset by the peer."))

    def drop(self) -> None:
        """Let nothing more of this direction arrive."""
        self._dead = True
        self._under_way.clear()
