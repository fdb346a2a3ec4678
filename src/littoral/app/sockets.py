"""WebSockets on the loop itself: a connection that HTTP has handed over, as ASGI calls it.

Frames are read and written in batches: what one loop iteration answers leaves in one write.
"""

import asyncio
import contextlib
import hashlib
from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from collections import deque
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from littoral.app import frames
from littoral.app.frames import Code, FrameReader, Violation

Scope = MutableMapping[str, Any]
AsgiApp = Callable[
    [Scope, Callable[[], Awaitable[Scope]], Callable[[Scope], Awaitable[None]]], Awaitable[None]
]

WAITING_MAX = 512
"""Messages that wait for the application; then the socket is not read from."""

WAITING_BYTES_MAX = 1024 * 1024
"""Bytes of such messages."""

WRITE_BYTES_MAX = 256 * 1024
"""Bytes that wait for the socket; then `SocketConnection.send` waits."""

LINGER_S = 2.0
"""How long a peer that broke the rules may go on sending what nobody reads."""

GOODBYE_S = 20.0
"""How long a peer may take to accept the last of what was written for it."""

_PING_S = 60.0
"""A socket that was silent for so long is asked whether it lives."""

_SILENT_S_MAX = 610.0
"""A socket that is silent for so long is gone. Source: Ditto's idle timeout."""

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def accepted_key(headers: dict[bytes, bytes]) -> bytes | None:
    """What answers the client's key; None if this is no proper handshake of version 13."""
    key = headers.get(b"sec-websocket-key", b"")
    try:
        good = len(b64decode(key, validate=True)) == 16
    except (NotBase64, ValueError):
        return None
    if not good or headers.get(b"sec-websocket-version") != b"13":
        return None
    return b64encode(hashlib.sha1(key + _GUID, usedforsecurity=False).digest())


class SocketConnection(asyncio.Protocol):
    """One WebSocket from its handshake to its end."""

    def __init__(
        self,
        transport: asyncio.Transport,
        scope: Scope,
        key: bytes,
        *,
        refuse: Callable[[int, list[tuple[bytes, bytes]], bytes], None],
        lost: Callable[["SocketConnection"], None],
    ) -> None:
        """``refuse`` answers a handshake with HTTP; ``lost`` is told when the network is gone."""
        self._transport = transport
        self._scope = scope
        self._key = key
        self._refuse = refuse
        self._lost = lost
        self._reader = FrameReader()
        self._messages: deque[Scope] = deque(({"type": "websocket.connect"},))
        self._bytes = 0
        self._waiter: asyncio.Future[None] | None = None
        self._out: list[bytes] = []
        self._flushing = False
        self._drain: asyncio.Future[None] | None = None
        self._writable = True
        self._reading = True
        self._accepted = False
        self._closed = False
        self._hang_up_s: float | None = None
        self._refusal: tuple[int, list[tuple[bytes, bytes]]] | None = None
        self._loop = asyncio.get_running_loop()
        self._heard_s = self._loop.time()
        self._asked = False
        transport.set_write_buffer_limits(high=WRITE_BYTES_MAX)

    async def run(self, app: AsgiApp) -> None:
        """Let the application serve it."""
        try:
            await app(self._scope, self.receive, self.send)
        except asyncio.CancelledError:
            self._finish(Code.GOING_AWAY)  # the server stops
            raise
        finally:
            self._finish(Code.NORMAL if self._accepted else Code.FAILED)

    # -- in -----------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Take what came over the network."""
        self._heard_s = self._loop.time()
        self._asked = False
        if self._closed:
            return
        try:
            for opcode, payload in self._reader.feed(data):
                if opcode == frames.TEXT:
                    self._put(len(payload), text=payload.decode())
                elif opcode == frames.BINARY:
                    self._put(len(payload), data=payload)
                elif opcode == frames.PING and self._writable:
                    # Who takes nothing gets no answer either: its pings must not fill our memory.
                    self._write(frames.head_of(frames.PONG, len(payload)) + payload)
                elif opcode == frames.CLOSE:
                    code = frames.decode_close(payload)
                    self._finish(code)
                    self._gone(code)
                    break
        except Violation as e:
            self._fail(e.code)
        except UnicodeDecodeError:
            self._fail(Code.INVALID_DATA)
        if len(self._messages) > WAITING_MAX or self._bytes > WAITING_BYTES_MAX:
            self._reading = False
            self._transport.pause_reading()

    def _put(self, size: int, *, text: str | None = None, data: bytes | None = None) -> None:
        self._bytes += size
        self._messages.append(
            {"type": "websocket.receive", "text": text, "size": size}
            if data is None
            else {"type": "websocket.receive", "bytes": data, "size": size}
        )
        self._wake()

    def _fail(self, code: Code) -> None:
        """End, and let the peer read why: closing on what it still sends would drop the reason."""
        if not self._closed:
            self._write(frames.encode_close(code))
            self._closed = True
            with contextlib.suppress(OSError):  # the peer is gone, and the loop does not know yet
                self._transport.write_eof()
            self._hang_up_s = self._loop.time() + LINGER_S
        self._gone(code)

    def _gone(self, code: int) -> None:
        self._messages.append({"type": "websocket.disconnect", "code": int(code)})
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def receive(self) -> Scope:
        """The next message for the application."""
        while not self._messages:
            self._waiter = self._loop.create_future()
            await self._waiter
        message = self._messages.popleft()
        self._bytes -= message.pop("size", 0)
        waits = len(self._messages) >= WAITING_MAX // 2 or self._bytes >= WAITING_BYTES_MAX // 2
        if not self._reading and not waits and not self._closed:
            self._reading = True
            self._transport.resume_reading()
        return message

    def connection_lost(self, _: Exception | None) -> None:
        """The network is gone."""
        self._closed = True
        self._out.clear()
        self._lost(self)
        self.resume_writing()
        self._gone(Code.ABNORMAL)

    # -- out ----------------------------------------------------------------------------------

    async def send(self, message: Scope) -> None:
        """Take one message of the application; wait while the peer takes nothing."""
        kind = message["type"]
        if kind == "websocket.send":
            text = message.get("text")
            payload = message["bytes"] if text is None else text.encode()
            opcode = frames.BINARY if text is None else frames.TEXT
            self._out += (frames.head_of(opcode, len(payload)), payload)
            if not self._flushing:
                self._flushing = True
                self._loop.call_soon(self._flush)
            if not self._writable or len(self._out) > 2 * WAITING_MAX:
                await self._drained()
        elif kind == "websocket.accept":
            self._accepted = True
            self._transport.write(
                b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\n"
                b"connection: upgrade\r\nsec-websocket-accept: %s\r\n\r\n" % self._key
            )
        elif kind == "websocket.close":
            if self._accepted:
                self._finish(message.get("code") or Code.NORMAL, message.get("reason") or "")
            else:
                self._refuse(403, [], b"")
                self._closed = True
        elif kind == "websocket.http.response.start":
            self._refusal = (message["status"], list(message["headers"]))
        elif kind == "websocket.http.response.body" and self._refusal is not None:
            status, headers = self._refusal
            self._refuse(status, headers, message.get("body", b""))
            self._closed = True

    async def _drained(self) -> None:
        self._flush()
        while not self._writable and not self._closed:
            if self._drain is None or self._drain.done():
                self._drain = self._loop.create_future()
            await self._drain

    def _flush(self) -> None:
        self._flushing = False
        if self._out and not self._closed:
            out = b"".join(self._out)
            self._out.clear()
            self._transport.write(out)

    def _write(self, frame: bytes) -> None:
        if self._accepted and not self._closed:
            self._flush()
            self._transport.write(frame)

    def _finish(self, code: int, reason: str = "") -> None:
        """Say goodbye and close; idempotent."""
        if not self._closed:
            self._write(frames.encode_close(code, reason))
            self._closed = True
            self.hang_up()

    def hang_up(self) -> None:
        """Close after what is written."""
        self._hang_up_s = self._loop.time()
        self._transport.close()

    def pause_writing(self) -> None:
        """The peer takes nothing."""
        self._writable = False

    def resume_writing(self) -> None:
        """The peer takes something again."""
        self._writable = True
        if self._drain is not None and not self._drain.done():
            self._drain.set_result(None)

    # -- time ---------------------------------------------------------------------------------

    def look(self, now_s: float) -> None:
        """Called every second: ask a silent peer whether it lives, and let a dead one go."""
        if self._hang_up_s is not None:
            if now_s >= self._hang_up_s + GOODBYE_S:
                self._transport.abort()
            elif now_s >= self._hang_up_s:
                self._transport.close()
            return
        silent_s = now_s - self._heard_s
        if silent_s > _SILENT_S_MAX:
            self._transport.abort()
        elif silent_s > _PING_S and not self._asked:
            self._asked = True
            self._write(frames.head_of(frames.PING, 0))
