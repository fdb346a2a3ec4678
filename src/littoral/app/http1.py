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
from http import HTTPStatus
from typing import Any, cast
from urllib.parse import unquote_to_bytes

import httptools

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

BODY_WAITING_BYTES_MAX = 256 * 1024
"""Bytes of a body that wait for the application; then the socket is not read from."""

PIPELINED_MAX = 32
"""Requests of one connection that wait for the one before them; then it is not read from."""

WRITE_BYTES_MAX = 256 * 1024
"""Bytes of an answer that wait for the socket; then the application waits."""

_logger = logging.getLogger("littoral.http")

_LINES = {s.value: b"HTTP/1.1 %d %s\r\n" % (s.value, s.phrase.encode()) for s in HTTPStatus}
_BODILESS = frozenset((204, 304))


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

    def _begin(self, exchange: "Exchange") -> None:
        self._current = exchange
        self._serving.spawn(exchange.run(self._serving.app))

    def ended(self, exchange: "Exchange", *, keep_alive: bool) -> None:
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


class Exchange:
    """One request and its answer, as ASGI's ``receive`` and ``send``."""

    __slots__ = (
        "_body", "_chunked", "_connection", "_ended", "_expects", "_gone", "_head", "_head_only",
        "_keep_alive", "_more", "_status", "_told", "_waiter", "scope",
    )  # fmt: skip

    def __init__(
        self, connection: HttpConnection, scope: Scope, *, keep_alive: bool, expects: bool
    ) -> None:
        self._connection = connection
        self.scope = scope
        self._keep_alive = keep_alive
        self._expects = expects
        self._head_only = scope["method"] == "HEAD"
        self._body = bytearray()
        self._more = True
        self._gone = False
        self._ended = False
        self._chunked = False
        self._status = 0
        self._told = False
        self._head = b""
        self._waiter: asyncio.Future[None] | None = None

    async def run(self, app: AsgiApp) -> None:
        """Let the application answer."""
        try:
            await app(self.scope, self.receive, self.send)
        except Exception:
            _logger.exception("a request failed")
        if self._ended or self._gone:
            return
        if self._status:
            # What is missing can only be told by closing.
            self._connection.close()
        else:
            self._connection.refuse(500, [], b"")

    # -- in -----------------------------------------------------------------------------------

    @property
    def is_full(self) -> bool:
        """Whether enough of the body waits."""
        return len(self._body) > BODY_WAITING_BYTES_MAX

    @property
    def has_begun(self) -> bool:
        """Whether some of the answer was written."""
        return bool(self._status) and not self._head

    def put(self, body: bytes) -> None:
        """A piece of the body came; after the answer nobody wants it any more."""
        if not self._ended:
            self._body += body
            self._wake()

    def end_body(self) -> None:
        """The body is complete."""
        self._more = False
        self._wake()

    def hang_up(self) -> None:
        """The peer is gone."""
        self._gone = True
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def receive(self) -> Scope:
        """The next piece of the body, or that the peer is gone."""
        if self._expects:
            self._expects = False
            self._connection.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        while not self._gone and not self._ended and not self._body and (self._more or self._told):
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        if self._gone or self._ended:
            return {"type": "http.disconnect"}
        body = bytes(self._body)
        self._body.clear()
        if self._more:
            self._connection.resume()
        else:
            self._told = True
        return {"type": "http.request", "body": body, "more_body": self._more}

    # -- out ----------------------------------------------------------------------------------

    async def send(self, message: Scope) -> None:
        """Take a piece of the answer; wait while the peer takes nothing."""
        connection = self._connection
        if self._gone:
            return
        if message["type"] == "http.response.start":
            self._begin(message["status"], message.get("headers", ()))
            return
        body: bytes = message.get("body", b"")
        more = message.get("more_body", False)
        if self._head_only or self._status in _BODILESS:
            body = b""  # a client would take it for the head of the next answer
        elif self._chunked:
            body = b"%x\r\n%s\r\n" % (len(body), body) if body else b""
            if not more:
                body += b"0\r\n\r\n"
        connection.write(self._head + body if self._head else body)
        self._head = b""
        if not more:
            self._ended = True
            self._wake()
            # An unread rest of the body would be taken for the next request.
            connection.ended(self, keep_alive=self._keep_alive and not self._more)
        elif not connection.writable.is_set():
            await connection.writable.wait()

    def _begin(self, status: int, headers: "list[tuple[bytes, bytes]]") -> None:
        self._status = status
        if status in _BODILESS:
            headers = [one for one in headers if one[0] != b"content-length"]
        known = any(name == b"content-length" for name, _ in headers)
        # HTTP/1.0 knows no chunks: there the end of the connection is the end of the body.
        chunks = not known and status not in _BODILESS
        self._chunked = chunks and self.scope["http_version"] == "1.1" and not self._head_only
        if chunks and not self._chunked and not self._head_only:
            self._keep_alive = False
        keep_alive = self._keep_alive and not self._more
        more = [(b"transfer-encoding", b"chunked")] if self._chunked else []
        self._head = head_of(
            status, [*headers, *more], self._connection.date, keep_alive=keep_alive
        )


def head_of(
    status: int, headers: list[tuple[bytes, bytes]], date: bytes, *, keep_alive: bool
) -> bytes:
    """Status line and headers. Names and values are the application's own and checked there."""
    lines = [_LINES.get(status) or b"HTTP/1.1 %d \r\n" % status, b"date: ", date, b"\r\n"]
    for name, value in headers:
        if b"\n" in value or b"\r" in value:
            raise ValueError(f"the header {name!r} has a line break in it")
        lines += (name, b": ", value, b"\r\n")
    lines.append(b"\r\n" if keep_alive else b"connection: close\r\n\r\n")
    return b"".join(lines)
