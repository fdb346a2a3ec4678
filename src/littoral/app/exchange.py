"""One HTTP request and its answer, as ASGI's ``receive`` and ``send``."""

import asyncio
import logging
import re
from http import HTTPStatus
from typing import Protocol

from littoral.app.sockets import AsgiApp, Scope

BODY_WAITING_BYTES_MAX = 256 * 1024
"""Bytes of a body that wait for the application; then the socket is not read from."""

_logger = logging.getLogger("littoral.http")

_LINES = {s.value: b"HTTP/1.1 %d %s\r\n" % (s.value, s.phrase.encode()) for s in HTTPStatus}
_BREAK = re.compile(rb"[\r\n\0]")
_BODILESS = frozenset((204, 304))


class Connection(Protocol):
    """What an exchange needs of the connection that it is on."""

    writable: asyncio.Event
    """Set while the socket takes something."""

    @property
    def date(self) -> bytes:
        """The time of day, as a header has it."""
        ...

    def write(self, data: bytes) -> None:
        """Hand bytes to the socket."""
        ...

    def resume(self) -> None:
        """There is room for more of the body."""
        ...

    def ended(self, exchange: "Exchange", *, keep_alive: bool) -> None:
        """The answer is complete."""
        ...

    def refuse(self, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        """Answer in place of the application, and end."""
        ...

    def close(self) -> None:
        """End after what is written."""
        ...


class Exchange:
    """One request and its answer, as ASGI's ``receive`` and ``send``."""

    __slots__ = (
        "_body", "_chunked", "_connection", "_ended", "_expects", "_gone", "_head", "_head_only",
        "_keep_alive", "_more", "_status", "_told", "_waiter", "scope",
    )  # fmt: skip

    def __init__(
        self, connection: Connection, scope: Scope, *, keep_alive: bool, expects: bool
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
        if self.has_begun:
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
    def is_incomplete(self) -> bool:
        """Whether more of the body is to come."""
        return self._more

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
        if self._expects and not self._status:
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

    def _begin(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
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
        self._status = status


def head_of(
    status: int, headers: list[tuple[bytes, bytes]], date: bytes, *, keep_alive: bool
) -> bytes:
    """Status line and headers. Names and values are the application's own and checked there."""
    lines = [_LINES.get(status) or b"HTTP/1.1 %d \r\n" % status, b"date: ", date, b"\r\n"]
    for name, value in headers:
        if _BREAK.search(value) or _BREAK.search(name):
            raise ValueError(f"the header {name!r} has a line break in it")
        lines += (name, b": ", value, b"\r\n")
    lines.append(b"\r\n" if keep_alive else b"connection: close\r\n\r\n")
    return b"".join(lines)
