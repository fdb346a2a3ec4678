"""HTTP/1.1 on the loop itself: one connection, its requests one after the other, as ASGI calls.

The grammar is llhttp's (`httptools`). Everything that a peer may do to a server before an
application sees it is bounded here: heads, waiting, unread bodies, unread answers.
"""

import asyncio
import contextlib
import logging
import re
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

WRITE_S_MAX = 60.0
"""How long a peer may take nothing of what waits for it; then the connection is cut."""

SLICE_BYTES = 16 * 1024
"""What is parsed at once: a read of many small requests must not become as many objects."""

_HOST = re.compile(rb"[\w.~!$&'()*+,;=%:\[\]-]*", re.ASCII)

_logger = logging.getLogger("littoral.http")


class Fault(Exception):
    """A request that llhttp takes and the standard does not; nothing after it can be trusted."""

    def __init__(self, status: int, text: bytes) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


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
        self._unread = b""
        self._steps = 0
        self._fruitless_bytes = 0
        self._last_words: tuple[int, bytes] | None = None
        self._refused = False
        self._in_head = False
        self._upgrading = False
        self._current: Exchange | None = None
        self._newest: Exchange | None = None
        self._queue: deque[Exchange] = deque()
        self._socket: SocketConnection | None = None
        self._deadline_s = self._loop.time() + HEAD_S_MAX
        self._unsent_bytes = 0
        self._taken_s = self._loop.time()
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
        # One that is refused is watched like the others: it may stay as long as it reads why.
        serving.connections.add(self)
        if len(serving.connections) + len(serving.sockets) > CONNECTIONS_MAX:
            self.refuse(503, [(b"retry-after", b"5")], b"too many connections")

    def connection_lost(self, _: Exception | None) -> None:
        """The network is gone: whoever works for this connection learns it."""
        self._serving.connections.discard(self)
        self.writable.set()
        for exchange in (self._current, *self._queue):
            if exchange is not None:
                exchange.hang_up()

    def data_received(self, data: bytes) -> None:
        """Take what came, until enough of it waits."""
        at = 0
        while at < len(data) and not self._refused and self._last_words is None:
            if self._is_busy():
                self._unread = data[at:]
                self._pause()
                return
            at += self._parse(data[at : at + SLICE_BYTES])
            if self._upgrading:
                self._upgrade(data[at:])
                return
        # What comes after a refusal is thrown away until the peer has read why.
        if self._is_busy():
            self._pause()

    def _is_busy(self) -> bool:
        newest = self._newest
        return (newest is not None and newest.is_full) or len(self._queue) > PIPELINED_MAX

    def _parse(self, data: bytes) -> int:
        """Feed the parser; return how much it took, which is less only at an upgrade."""
        steps = self._steps
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as e:
            if not self._upgrading:
                self._parse(self._head_without_upgrade())
            taken: int = e.args[0]
            return taken
        except httptools.HttpParserCallbackError as e:
            fault = e.__context__
            if not isinstance(fault, Fault):
                raise
            self._break_off(fault.status, fault.text)
        except httptools.HttpParserError:
            self._break_off(400, b"this is not HTTP")
        if steps != self._steps:
            self._fruitless_bytes = 0
        else:
            # Nothing but a part of one head, of trailers, or of what may stand around chunks.
            self._fruitless_bytes += len(data)
            if self._fruitless_bytes > HEAD_BYTES_MAX:
                self._break_off(431, b"")
        return len(data)

    def _head_without_upgrade(self) -> bytes:
        """The head once more, for a new parser: who does not know an upgrade ignores it.

        The old one would take the body for another protocol. Spec: RFC 9110 §7.8.
        """
        method, version = self._parser.get_method(), self._parser.get_http_version()
        self._parser = httptools.HttpRequestParser(self)
        lines = [b"%s %s HTTP/%s\r\n" % (method, self._url, version.encode())]
        lines += [b"%s: %s\r\n" % one for one in self._headers if one[0] != b"upgrade"]
        return b"".join((*lines, b"\r\n"))

    def _break_off(self, status: int, text: bytes) -> None:
        """Nothing more can be read: answer what came whole before it, and then say so."""
        broken = self._newest
        if (
            broken is not None
            and broken.is_incomplete
            and self._queue
            and self._queue[-1] is broken
        ):
            self._queue.pop()
        if self._current is None or self._current.is_incomplete:
            self.refuse(status, [], text)
        elif self._last_words is None:
            self._last_words = status, text

    def eof_received(self) -> bool:
        """The peer sends nothing more: it is taken for gone, and what it asked for is given up."""
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
        if self._unread:
            unread, self._unread = self._unread, b""
            self.data_received(unread)
            if self._unread:
                return
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    # -- the parser ---------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        self._url = b""
        self._headers = []
        self._steps += 1
        self._in_head = True
        self._upgrading = False
        self._deadline_s = self._loop.time() + HEAD_S_MAX

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        # After the body come trailers: nobody here wants them, and no request may grow by them.
        if self._in_head:
            self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        self._steps += 1
        self._in_head = False
        headers = dict(self._headers)
        version = self._parser.get_http_version()
        self._check(headers, version)
        if self._parser.should_upgrade():
            tokens = headers.get(b"connection", b"").lower().replace(b" ", b"").split(b",")
            self._upgrading = (
                version == "1.1"
                and b"upgrade" in tokens
                and headers.get(b"upgrade", b"").lower() == b"websocket"
                and self._parser.get_method() == b"GET"
            )
            return
        exchange = Exchange(
            self,
            self._scope("http", version),
            keep_alive=self._parser.should_keep_alive(),
            expects=version == "1.1" and headers.get(b"expect", b"").lower() == b"100-continue",
        )
        self._newest = exchange
        if self._current is None:
            self._begin(exchange)
        else:
            self._queue.append(exchange)

    def _check(self, headers: dict[bytes, bytes], version: str) -> None:
        """Raise `Fault` for what llhttp lets through. Spec: RFC 9112 §2.3, §3.2, §6.1; 9110 §9.3.6."""
        if version not in {"1.1", "1.0"}:
            raise Fault(505, b"HTTP/1.1 is spoken here")
        if self._parser.get_method() == b"CONNECT":
            raise Fault(501, b"this is no proxy")
        host = headers.get(b"host")
        if (host is None and version == "1.1") or (host and not _HOST.fullmatch(host)):
            raise Fault(400, b"a request names one host, in a Host header")
        if len(headers) != len(self._headers):
            names = [name for name, _ in self._headers]
            if names.count(b"host") > 1 or names.count(b"transfer-encoding") > 1:
                raise Fault(400, b"Host and Transfer-Encoding may come only once")
        coding = headers.get(b"transfer-encoding")
        if coding is not None:
            if version == "1.0":
                raise Fault(400, b"HTTP/1.0 knows no Transfer-Encoding")
            if coding.strip().lower() != b"chunked":
                raise Fault(501, b"of transfer codings only chunked is known")

    def on_body(self, body: bytes) -> None:
        self._steps += 1
        if self._newest is not None:
            self._newest.put(body)

    def on_message_complete(self) -> None:
        self._steps += 1
        if self._newest is not None:
            self._newest.end_body()

    def _scope(self, kind: str, version: str) -> Scope:
        try:
            url = httptools.parse_url(self._url)
            path, query = url.path or b"/", url.query or b""
        except httptools.HttpParserInvalidURLError:
            # Over 65,535 bytes, or no URI: nothing is at such an address, least of all what is at /.
            path, query = self._url, b""
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
        elif self._last_words is not None:
            status, text = self._last_words
            self.refuse(status, [], text)
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
        self._unread = b""
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
        """Called every second: whoever takes too long with a head, or with an answer, is let go."""
        transport = self._transport
        if transport is None:
            return
        unsent = transport.get_write_buffer_size()
        if not unsent or unsent < self._unsent_bytes:
            self._taken_s = now_s
        self._unsent_bytes = unsent
        if now_s - self._taken_s > WRITE_S_MAX:
            transport.abort()  # closing would wait until it is written
        elif transport.is_closing():
            if not unsent:
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
        sockets = self._serving.sockets
        socket = self._socket = SocketConnection(
            transport, scope, key, refuse=self.refuse, lost=sockets.discard
        )
        self._serving.connections.discard(self)
        sockets.add(socket)
        transport.set_protocol(socket)
        if rest:
            socket.data_received(rest)

        async def serve() -> None:
            try:
                await socket.run(self._serving.app)
            except Exception:
                _logger.exception("a WebSocket failed")
            finally:
                if self._refused:
                    self._socket = None
                    self._serving.connections.add(self)

        self._serving.spawn(serve())
