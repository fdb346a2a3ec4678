"""HTTP/1.1 on the loop itself: one connection, its requests one after the other, as ASGI calls.

The grammar is llhttp's (`httptools`). Everything that a peer may do to a server before an
application sees it is bounded here: heads, waiting, unread bodies, unread answers.
"""

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable, Coroutine
from email.utils import formatdate
from typing import Any, cast
from urllib.parse import unquote_to_bytes

import httptools

from littoral.app.exchange import Exchange, head_of
from littoral.app.sockets import AsgiApp, Scope, SocketConnection, accepted_key

CONNECTIONS_MAX = 16_384
"""Open connections of a server, WebSockets among them; more are told so and closed."""

HEAD_BYTES_MAX = 128 * 1024
"""Request line and headers, as bytes. What is over the API's own limits is refused there."""

HEAD_S_MAX = 20.0
"""How long a request's head may take to come."""

LINGER_S = 2.0
"""How long a refused peer may go on sending what nobody reads."""

KEEP_ALIVE_S = 75.0
"""How long a connection may wait for its next request."""

PIPELINED_MAX = 32
"""Requests of one connection that wait for the one before them; then it is not read from."""

WRITE_BYTES_MAX = 256 * 1024
"""Bytes of an answer that wait for the socket; then the application waits."""

_logger = logging.getLogger("littoral.http")


class Serving:
    """What all connections of a server share."""

    def __init__(self, app: AsgiApp, spawn: Callable[[Coroutine[Any, Any, None]], object]) -> None:
        self.app = app
        self.spawn = spawn
        self.connections: set[HttpConnection] = set()
        self.sockets: set[SocketConnection] = set()
        self.date = b""
        self.stopping = False
        self.tick()

    def tick(self) -> None:
        """Called every second: the date, and whoever takes too long."""
        self.date = formatdate(usegmt=True).encode()
        now_s = asyncio.get_running_loop().time()
        for connection in list(self.connections):
            connection.look(now_s)
        for socket in list(self.sockets):
            socket.look(now_s)


class HttpConnection(asyncio.Protocol):
    """One TCP connection that speaks HTTP/1.1, until it ends or becomes a WebSocket."""

    def __init__(self, serving: Serving) -> None:
        self._serving = serving
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._addresses: tuple[object, object] = (None, None)
        self._url = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._head_bytes = 0
        self._begun = 0
        self._refused = False
        self._in_head = False
        self._upgrading = False
        self._current: Exchange | None = None
        self._newest: Exchange | None = None
        self._queue: deque[Exchange] = deque()
        self._socket: SocketConnection | None = None
        self._deadline_s = self._loop.time() + HEAD_S_MAX
        self.writable = asyncio.Event()
        self.writable.set()

    # -- the network --------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It has begun."""
        # uvloop's own is one by its methods only.
        self._transport = cast("asyncio.Transport", transport)
        self._addresses = (
            transport.get_extra_info("sockname"),
            transport.get_extra_info("peername"),
        )
        self._transport.set_write_buffer_limits(high=WRITE_BYTES_MAX)
        serving = self._serving
        if len(serving.connections) + len(serving.sockets) >= CONNECTIONS_MAX:
            self.refuse(503, [(b"retry-after", b"5")], b"too many connections")
            return
        serving.connections.add(self)

    def connection_lost(self, _: Exception | None) -> None:
        """The network is gone: whoever works for this connection learns it."""
        self._serving.connections.discard(self)
        self.writable.set()
        for exchange in (self._current, *self._queue):
            if exchange is not None:
                exchange.hang_up()

    def data_received(self, data: bytes) -> None:
        """Take what came."""
        if self._refused:
            return  # thrown away until the peer has read why
        begun = self._begun
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as e:
            if self._upgrading:
                self._upgrade(data[e.args[0] :])
            else:
                self.refuse(400, [], b"this upgrade is not known")
        except httptools.HttpParserError:
            self.refuse(400, [], b"this is not HTTP")
        if self._in_head and begun == self._begun:
            # Nothing but this head came with it.
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES_MAX:
                self.refuse(431, [], b"")
        newest = self._newest
        if (newest is not None and newest.is_full) or len(self._queue) > PIPELINED_MAX:
            self._pause()

    def eof_received(self) -> bool:
        """The peer sends nothing more; without a request in work there is nobody to answer."""
        return False

    def pause_writing(self) -> None:
        """The peer takes nothing."""
        self.writable.clear()

    def resume_writing(self) -> None:
        """The peer takes something again."""
        self.writable.set()

    def _pause(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def resume(self) -> None:
        """There is room for more of the body, or for more requests."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    # -- the parser ---------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        self._url = b""
        self._headers = []
        self._head_bytes = 0
        self._begun += 1
        self._in_head = True
        self._upgrading = False
        self._deadline_s = self._loop.time() + HEAD_S_MAX

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        self._in_head = False
        headers = dict(self._headers)
        if self._parser.should_upgrade():
            tokens = headers.get(b"connection", b"").lower().replace(b" ", b"").split(b",")
            self._upgrading = (
                b"upgrade" in tokens
                and headers.get(b"upgrade", b"").lower() == b"websocket"
                and self._parser.get_method() == b"GET"
            )
            if self._upgrading:
                return
        version = self._parser.get_http_version()
        exchange = Exchange(
            self,
            self._scope("http", version),
            keep_alive=self._parser.should_keep_alive(),
            expects=headers.get(b"expect", b"").lower() == b"100-continue",
        )
        self._newest = exchange
        if self._current is None:
            self._begin(exchange)
        else:
            self._queue.append(exchange)

    def on_body(self, body: bytes) -> None:
        if self._newest is not None:
            self._newest.put(body)

    def on_message_complete(self) -> None:
        if self._newest is not None:
            self._newest.end_body()

    def _scope(self, kind: str, version: str) -> Scope:
        try:
            url = httptools.parse_url(self._url)
            path, query = url.path or b"/", url.query or b""
        except httptools.HttpParserInvalidURLError:
            path, query = b"/", b""
        return {
            "type": kind,
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": version,
            "method": self._parser.get_method().decode("ascii"),
            "scheme": "ws" if kind == "websocket" else "http",
            "path": unquote_to_bytes(path).decode("utf-8", "replace")
            if b"%" in path
            else path.decode("latin-1"),
            "raw_path": path,
            "query_string": query,
            "root_path": "",
            "headers": self._headers,
            "server": self._addresses[0],
            "client": self._addresses[1],
        }

    # -- requests -----------------------------------------------------------------------------

    def _begin(self, exchange: Exchange) -> None:
        self._current = exchange
        self._serving.spawn(exchange.run(self._serving.app))

    def ended(self, exchange: Exchange, *, keep_alive: bool) -> None:
        """An answer is complete: go on with the next request, or end."""
        if self._current is not exchange:
            return
        self._current = None
        self._deadline_s = self._loop.time() + KEEP_ALIVE_S
        if not keep_alive or self._serving.stopping:
            self.close()
        elif self._queue:
            self._begin(self._queue.popleft())
            if len(self._queue) < PIPELINED_MAX // 2:
                self.resume()
        else:
            self.resume()

    def write(self, data: bytes) -> None:
        """Hand bytes to the socket; nothing follows a refusal."""
        if self._transport is not None and not self._transport.is_closing() and not self._refused:
            self._transport.write(data)

    @property
    def date(self) -> bytes:
        """The time of day, as a header has it."""
        return self._serving.date

    def refuse(self, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        """Answer what no application is to see, and end.

        What still comes is thrown away for a moment: closing on unread bytes makes the network
        drop the answer, and the peer would never learn why.
        """
        if self._transport is None or self._transport.is_closing() or self._refused:
            return
        current, self._current = self._current, None
        for exchange in (current, *self._queue):
            if exchange is not None:
                exchange.hang_up()
        self._queue.clear()
        if current is not None and current.has_begun:
            # Amid an answer nothing else can be said.
            self.close()
            return
        self._deadline_s = self._loop.time() + LINGER_S
        self.write(
            head_of(
                status,
                [*headers, (b"content-length", b"%d" % len(body))],
                self.date,
                keep_alive=False,
            )
            + body
        )
        with contextlib.suppress(OSError):  # the peer is gone, and the loop does not know it yet
            self._transport.write_eof()
        self._refused = True
        self.resume()

    def close(self) -> None:
        """End after what is written."""
        if self._transport is not None:
            self._transport.close()

    def look(self, now_s: float) -> None:
        """Called every second: whoever takes too long with a head is let go."""
        if self._transport is None or self._transport.is_closing():
            self._serving.connections.discard(self)
        elif now_s > self._deadline_s and self._current is None and self._socket is None:
            if self._refused:
                self.close()
            elif self._in_head:
                self.refuse(408, [], b"")
            else:
                self.close()

    # -- WebSockets ---------------------------------------------------------------------------

    def _upgrade(self, rest: bytes) -> None:
        transport = self._transport
        assert transport is not None
        key = accepted_key(dict(self._headers))
        if key is None or self._current is not None:
            headers = [(b"sec-websocket-version", b"13")]
            self.refuse(400, headers, b"this is no handshake of a WebSocket")
            return
        scope = self._scope("websocket", "1.1")
        scope["extensions"] = {"websocket.http.response": {}}
        scope["subprotocols"] = []
        socket = self._socket = SocketConnection(transport, scope, key, refuse=self.refuse)
        self._serving.connections.discard(self)
        self._serving.sockets.add(socket)
        transport.set_protocol(socket)
        if rest:
            socket.data_received(rest)

        async def serve() -> None:
            try:
                await socket.run(self._serving.app)
            except Exception:
                _logger.exception("a WebSocket failed")
            finally:
                self._serving.sockets.discard(socket)
                if self._refused:
                    self._socket = None
                    self._serving.connections.add(self)

        self._serving.spawn(serve())
