"""Whole frames over a virtual stream: the transport of the link between a site and its cloud.

Who is at the other end is who the network says it is, as mutual TLS would prove.
"""

import asyncio
from collections import deque

from littoral.edge import (
    FRAME_BYTES_MAX,
    Accept,
    ChannelClosed,
    FrameChannel,
    LinkUnreachable,
    PeerIdentity,
)
from littoral.kernel.errors import LittoralError
from littoral.kernel.ids import NodeId
from littoral.simulate.network import Network

_LENGTH_BYTES = 4

RECEIVED_BYTES_MAX = 256 * 1024
"""Bytes of frames that wait for `receive` beyond which the stream is not read."""


class VirtualChannel(asyncio.Protocol):
    """A `FrameChannel` of `littoral.edge` on a stream of the virtual network."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport
        self._peer = PeerIdentity(node=None, address="")
        self._buffer = bytearray()
        self._frames: deque[bytes] = deque()
        self._queued = 0
        self._reader: asyncio.Future[None] | None = None
        self._writers: list[asyncio.Future[None]] = []
        self._paused = False
        self._gone: str | None = None

    @property
    def peer(self) -> PeerIdentity:
        return self._peer

    async def send(self, frame: bytes) -> None:
        if self._gone is None:
            self._transport.write(len(frame).to_bytes(_LENGTH_BYTES, "big") + frame)
        while self._paused and self._gone is None:
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._writers.append(waiter)
            await waiter
        if self._gone is not None:
            raise ChannelClosed(f"the virtual connection is gone: {self._gone}.")

    async def receive(self) -> bytes:
        while not self._frames:
            if self._gone is not None:
                raise ChannelClosed(f"the virtual connection is gone: {self._gone}.")
            assert self._reader is None, "two tasks read from one channel"
            self._reader = asyncio.get_running_loop().create_future()
            try:
                await self._reader
            finally:
                self._reader = None
        frame = self._frames.popleft()
        self._queued -= len(frame)
        if self._queued <= RECEIVED_BYTES_MAX:
            self._transport.resume_reading()
        return frame

    async def close(self, reason: str = "") -> None:
        self._end(reason or "closed here")
        self._transport.close()

    # -- asyncio.Protocol ---------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        host, port = transport.get_extra_info("peername")
        self._peer = PeerIdentity(node=NodeId(host), address=f"{host}:{port}")

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while len(self._buffer) >= _LENGTH_BYTES:
            size = int.from_bytes(self._buffer[:_LENGTH_BYTES], "big")
            if size > FRAME_BYTES_MAX:
                self._end("a frame is too large")
                self._transport.abort()
                return
            end = _LENGTH_BYTES + size
            if len(self._buffer) < end:
                break
            self._frames.append(bytes(self._buffer[_LENGTH_BYTES:end]))
            self._queued += size
            del self._buffer[:end]
        if self._queued > RECEIVED_BYTES_MAX:
            self._transport.pause_reading()
        if self._frames:
            self._wake_reader()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(str(exc) if exc is not None else "closed by the peer")

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        self._wake_writers()

    def _end(self, why: str) -> None:
        if self._gone is None:
            self._gone = why
        self._wake_reader()
        self._wake_writers()

    def _wake_reader(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    def _wake_writers(self) -> None:
        waiting, self._writers = self._writers, []
        for waiter in waiting:
            if not waiter.done():
                waiter.set_result(None)


class VirtualDialer:
    """The `Dialer` port: from a site to its cloud's link listener."""

    def __init__(self, network: Network, site: str, cloud: str, port: int) -> None:
        self._network = network
        self._site = site
        self._cloud = cloud
        self._port = port

    async def dial(self) -> FrameChannel:
        try:
            _, channel = await self._network.connect(
                self._site, self._cloud, self._port, VirtualChannel
            )
        except OSError as e:
            raise LinkUnreachable(f"{self._cloud} cannot be reached: {e}") from e
        assert isinstance(channel, VirtualChannel)
        return channel


class VirtualLinkListener:
    """The `Listener` port of `littoral.edge`: where a cloud takes its sites' connections."""

    def __init__(self, network: Network, host: str, port: int) -> None:
        self._network = network
        self._host = host
        self._port = port

    async def serve(self, accept: Accept) -> None:
        accepted: asyncio.Queue[VirtualChannel] = asyncio.Queue()

        def answer() -> VirtualChannel:
            channel = VirtualChannel()
            accepted.put_nowait(channel)
            return channel

        listener = self._network.listen(self._host, self._port, answer)
        try:
            async with asyncio.TaskGroup() as group:
                while True:
                    group.create_task(self._serve_one(await accepted.get(), accept))
        finally:
            listener.close()
            while not accepted.empty():
                await accepted.get_nowait().close()

    async def _serve_one(self, channel: VirtualChannel, accept: Accept) -> None:
        try:
            await accept(channel)
        except LittoralError as e:
            self._network.note(f"{self._host} ends a link: {e}")
        finally:
            await channel.close()
