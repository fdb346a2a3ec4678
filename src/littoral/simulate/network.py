"""A virtual network of byte streams: TCP as a program sees it on a bad day.

Bytes of one direction of a connection arrive complete and in order, or the connection dies. A lost
segment is a delay (somebody's kernel sends it again); many lost ones, or a long partition, are a
reset that each side learns of by itself, or never: the other end stays half-open.
"""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass

from littoral.simulate.stream import Flow, VirtualTransport

CONNECT_TIMEOUT_S = 20.0
"""How long a connect waits for an answer before it gives up; as a kernel's, rounded down."""

SYN_RETRY_S = 1.0
"""Pause before the first repetition of a connect that got no answer; it doubles."""

Factory = Callable[[], asyncio.Protocol]


@dataclass(frozen=True, slots=True)
class Conditions:
    """How the path between two hosts behaves while it is not cut."""

    latency_s: float = 0.001
    """One way."""
    jitter_s: float = 0.0
    """Up to this much more, uniformly, per segment; order is kept."""
    loss: float = 0.0
    """Probability that a segment has to be sent again, and again that that one has."""
    bytes_per_s: float | None = None
    """None: as much as is given."""
    fragmented: float = 0.0
    """Probability that what was written at once is received in two pieces."""


class Listener:
    """A port that a host listens on, until `close`."""

    def __init__(self, network: "Network", host: str, port: int) -> None:
        self._network = network
        self.host = host
        self.port = port

    def close(self) -> None:
        """Accept nobody any more; connections that are open stay. Idempotent."""
        self._network.forget(self)


class Network:
    """Hosts by name, and what lies between them. One per world.

    Args:
        loop: whose time it runs on.
        source: where delays and losses are drawn from.
        conditions: of every path that `shape` says nothing else about.
        trace: told in one line what happens to connections; not called per segment.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        source: random.Random,
        *,
        conditions: Conditions | None = None,
        trace: Callable[[str], None] | None = None,
    ) -> None:
        self.loop = loop
        self.source = source
        self._default = conditions or Conditions()
        self._trace = trace
        self._paths: dict[frozenset[str], Conditions] = {}
        self._cuts: set[frozenset[str]] = set()
        self._down: set[str] = set()
        self._listeners: dict[tuple[str, int], tuple[Listener, Factory]] = {}
        self._transports: dict[int, VirtualTransport] = {}
        self._stalled: list[Flow] = []
        self._count = 0

    # -- what programs do ---------------------------------------------------------------------

    def listen(self, host: str, port: int, factory: Factory) -> Listener:
        """Give every connection to ``host:port`` a protocol of ``factory``. Port 0: any free one.

        Raises:
            OSError: the port is taken.
        """
        while port == 0 or ((host, port) in self._listeners and port >= 49152):
            port = self.source.randint(49152, 65535)
        if (host, port) in self._listeners:
            raise OSError(f"{host}:{port} is taken in the virtual network.")
        listener = Listener(self, host, port)
        self._listeners[host, port] = (listener, factory)
        return listener

    async def connect(
        self, source: str, host: str, port: int, factory: Factory
    ) -> tuple[VirtualTransport, asyncio.Protocol]:
        """Open a stream from ``source`` to ``host:port``.

        Raises:
            ConnectionRefusedError: the host is there and does not listen on that port.
            TimeoutError: no answer within `CONNECT_TIMEOUT_S`.
        """
        deadline_s = self.loop.time() + CONNECT_TIMEOUT_S
        retry_s = SYN_RETRY_S
        while not await self._answered(source, host):
            if self.loop.time() + retry_s > deadline_s:
                await asyncio.sleep(deadline_s - self.loop.time())
                raise TimeoutError(f"{host}:{port} does not answer {source}.")
            await asyncio.sleep(retry_s)
            retry_s *= 2
        entry = self._listeners.get((host, port))
        if entry is None:
            raise ConnectionRefusedError(f"nobody listens on {host}:{port}.")
        self._count += 1
        near = VirtualTransport(self, self._count, (source, 0), (host, port))
        far = VirtualTransport(self, -self._count, (host, port), (source, self._count))
        Flow.join(near, far)
        self._transports[near.number] = near
        self._transports[far.number] = far
        self.note(f"{source} connects to {host}:{port} (#{near.number})")
        far.begin(entry[1]())
        protocol = factory()
        near.begin(protocol)
        return near, protocol

    async def _answered(self, source: str, host: str) -> bool:
        for sender, receiver in ((source, host), (host, source)):
            await asyncio.sleep(self.delay_s(sender, receiver))
            if self.is_unreachable(sender, receiver):
                return False
        return True

    # -- what the world does to them ----------------------------------------------------------

    def shape(self, one: str, other: str, conditions: Conditions) -> None:
        """From now on, the path between two hosts is like this."""
        self._paths[frozenset((one, other))] = conditions

    def cut(self, one: str, other: str) -> None:
        """Let nothing pass between two hosts; connections stall, and die if it lasts."""
        self._cuts.add(frozenset((one, other)))
        self.note(f"cut {one} | {other}")

    def heal(self, one: str, other: str) -> None:
        """Let it pass again; what stalled goes on."""
        self._cuts.discard(frozenset((one, other)))
        self.note(f"heal {one} | {other}")
        self._wake()

    def reset(self, one: str, other: str) -> None:
        """Break every connection between two hosts, as a middlebox that forgets them does."""
        self.note(f"reset {one} | {other}")
        for transport in self._of_path(one, other):
            transport.lose(ConnectionResetError("reset on the way."))

    def power_off(self, host: str) -> None:
        """Take a host away without a word: nothing it does is seen, nobody is told."""
        self.note(f"power off {host}")
        self._down.add(host)
        self._drop_listeners(host)
        for transport in self._of_host(host):
            transport.vanish()

    def kill(self, host: str) -> None:
        """End the host's processes while its kernel lives: peers get a reset."""
        self.note(f"kill {host}")
        self._drop_listeners(host)
        for transport in self._of_host(host):
            transport.flow.reset_peer()
            transport.vanish()

    def power_on(self, host: str) -> None:
        """Bring a host back, with no memory of its connections."""
        self._down.discard(host)
        self.note(f"power on {host}")
        self._wake()

    # -- what transports ask ------------------------------------------------------------------

    def is_cut(self, one: str, other: str) -> bool:
        """Whether nothing passes between two hosts now."""
        return frozenset((one, other)) in self._cuts

    def is_unreachable(self, sender: str, receiver: str) -> bool:
        """Whether a segment to ``receiver`` gets no answer of any kind."""
        return self.is_cut(sender, receiver) or receiver in self._down

    def conditions(self, one: str, other: str) -> Conditions:
        """How the path between two hosts behaves."""
        return self._paths.get(frozenset((one, other)), self._default)

    def delay_s(self, sender: str, receiver: str) -> float:
        """Draw how long one segment is on its way, without losses."""
        path = self.conditions(sender, receiver)
        if path.jitter_s:
            return path.latency_s + self.source.uniform(0.0, path.jitter_s)
        return path.latency_s

    def transmission_s(self, sender: str, receiver: str, size: int) -> float:
        """How long the path is busy with ``size`` bytes."""
        bytes_per_s = self.conditions(sender, receiver).bytes_per_s
        return size / bytes_per_s if bytes_per_s is not None else 0.0

    def wake_later(self, flow: Flow) -> None:
        """Bytes of ``flow`` cannot pass: wake it whenever something is healed."""
        self._stalled.append(flow)

    def forget(self, gone: Listener | VirtualTransport) -> None:
        """Drop what has been closed."""
        if isinstance(gone, VirtualTransport):
            self._transports.pop(gone.number, None)
            return
        key = (gone.host, gone.port)
        if key in self._listeners and self._listeners[key][0] is gone:
            del self._listeners[key]

    def note(self, line: str) -> None:
        """Write one line into the trace."""
        if self._trace is not None:
            self._trace(line)

    @property
    def connections(self) -> int:
        """Ends of connections that have not been lost."""
        return len(self._transports)

    def _wake(self) -> None:
        stalled, self._stalled = self._stalled, []
        for flow in stalled:
            flow.wake()

    def _drop_listeners(self, host: str) -> None:
        for key in [key for key in self._listeners if key[0] == host]:
            del self._listeners[key]

    def _of_host(self, host: str) -> list[VirtualTransport]:
        return [t for t in self._transports.values() if t.local[0] == host]

    def _of_path(self, one: str, other: str) -> list[VirtualTransport]:
        ends = {one, other}
        return [t for t in self._transports.values() if {t.local[0], t.remote[0]} == ends]
