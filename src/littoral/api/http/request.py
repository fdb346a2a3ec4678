"""One HTTP request, bounded before it is parsed.

Rule: nothing here knows things, policies or users; it is the grammar of Ditto's HTTP only.
"""

import asyncio
import contextlib
import re
from collections.abc import Mapping
from urllib.parse import parse_qsl, quote, unquote_to_bytes

from littoral.api.errors import (
    BodyLate,
    BodyTooLarge,
    DuplicateHeader,
    HeadersTooLarge,
    InvalidTimeout,
    PeerGone,
    UriTooLong,
)
from littoral.api.http.ports import Receive, Scope
from littoral.api.model import (
    BODY_S_MAX,
    DISCARD_BYTES_MAX,
    DISCARD_S_MAX,
    HEADER_BYTES_MAX,
    HEADERS_MAX,
    TIMEOUT_S_MAX,
    URI_BYTES_MAX,
)
from littoral.kernel import json, pointer
from littoral.kernel.errors import InvalidHeader, LittoralError
from littoral.kernel.merge import check_depth

QUERY_OR_HEADER = frozenset(
    (
        "accept",
        "channel",
        "correlation-id",
        "requested-acks",
        "declared-acks",
        "response-required",
        "timeout",
        "live-channel-timeout-strategy",
        "allow-policy-lockout",
        "condition",
        "live-channel-condition",
        "at-historical-revision",
        "at-historical-timestamp",
        "dry-run",
    )
)
"""Parameters that may come either way, but only once."""

_SINGLE = QUERY_OR_HEADER | {
    "authorization",
    "content-length",
    "content-type",
    "if-equal",
    "if-match",
    "if-none-match",
    "policy-view",
}
_NAMES = {
    name.encode(): name
    for name in (
        *_SINGLE,
        *("accept-encoding", "accept-language", "connection", "host", "origin", "user-agent"),
    )
}
"""Names that most requests have, as they come and as they are kept."""

_DURATION = re.compile(r"(\d{1,9})(ms|s|m)?", re.ASCII)
_PARAMETERS_MAX = 64


class Request:
    """What a handler may ask of a request. Made from an ASGI scope; the body is still outside."""

    __slots__ = ("_receive", "correlation_id", "headers", "method", "query", "scope", "segments")

    def __init__(self, scope: Scope, receive: Receive) -> None:
        """Read path, query and headers.

        Raises:
            UriTooLong, HeadersTooLarge, DuplicateHeader, InvalidHeader.
        """
        self.scope = scope
        self._receive = receive
        self.correlation_id = ""
        self.method: str = scope.get("method", "GET")
        raw: bytes = scope.get("raw_path") or scope["path"].encode()
        query: bytes = scope.get("query_string") or b""
        if len(raw) + len(query) > URI_BYTES_MAX:
            raise UriTooLong(f"a URI has at most {URI_BYTES_MAX} bytes.")
        self.headers = _headers(scope)
        self.query = _query(query, self.headers) if query else {}
        self.segments = _segments(raw)

    def parameter(self, name: str) -> str | None:
        """A value that may come as query parameter or as header."""
        value = self.query.get(name)
        return value if value is not None else self.headers.get(name)

    def path_from(self, index: int) -> str:
        """The segments from ``index`` on as a JSON pointer; ``/`` if there are none."""
        # A slash that came as %2F belongs to a key; '~0' and '~1' are the pointer's own escapes.
        return pointer.Pointer("/" + "/".join(s.replace("/", "~1") for s in self.segments[index:]))

    def number(self, name: str, *, low: int, high: int) -> int | None:
        """A whole-number parameter between ``low`` and ``high``; None if it is not there."""
        text = self.parameter(name)
        if text is None:
            return None
        if text.isascii() and text.isdigit() and len(text) < 19 and low <= int(text) <= high:
            return int(text)
        raise InvalidHeader(f"{name} is {text[:40]!r}; {low} to {high} is wanted.")

    def accepts(self, media_type: str) -> bool:
        """Whether the caller names ``media_type`` itself; a wildcard does not count."""
        accept = self.parameter("accept") or ""
        return any(part.partition(";")[0].strip() == media_type for part in accept.split(","))

    @property
    def media_type(self) -> str:
        """What the body says that it is, without parameters; empty if it says nothing."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    def location(self, below: str = "") -> str:
        """The address of what was made: this request's own, and ``below`` it."""
        raw: bytes = self.scope.get("raw_path") or quote(self.scope["path"]).encode()
        path = raw.decode("ascii", "replace").rstrip("/") + quote(below, safe="/:")
        host = self.headers.get("host")
        return f"{self.scope.get('scheme', 'http')}://{host}{path}" if host else path

    async def body(self, limit: int, too_large: type[LittoralError] = BodyTooLarge) -> bytes:
        """Read the body, at most ``limit`` bytes of it.

        Raises:
            BodyTooLarge: it is longer, or says that it will be; the rest was not kept.
            BodyLate: it did not come within `BODY_S_MAX`, however many pieces came.
            PeerGone: the caller hung up.
        """
        announced = self.headers.get("content-length", "0")
        if announced.isdigit() and int(announced[:18]) > limit:
            if int(announced[:18]) <= DISCARD_BYTES_MAX and "expect" not in self.headers:
                await self._discard()
            raise too_large(f"the body has {announced[:18]} bytes; {limit} are allowed.")
        chunks: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(BODY_S_MAX):
                while True:
                    chunk, more = await self._piece()
                    size += len(chunk)
                    if size > limit:
                        if more:
                            await self._discard()
                        raise too_large(f"the body is longer than {limit} bytes.")
                    chunks.append(chunk)
                    if not more:
                        return chunks[0] if len(chunks) == 1 else b"".join(chunks)
        except TimeoutError:
            raise BodyLate(f"the body did not come within {BODY_S_MAX:g}s.") from None

    async def chunk(self) -> tuple[bytes, bool]:
        """The next piece of a long body, and whether more will come.

        Raises:
            BodyLate: nothing came within `BODY_S_MAX`. PeerGone: the caller hung up.
        """
        try:
            async with asyncio.timeout(BODY_S_MAX):
                return await self._piece()
        except TimeoutError:
            raise BodyLate(f"the body stopped for {BODY_S_MAX:g}s.") from None

    async def _discard(self) -> None:
        """Take in what is left of a body, in bounds; a sender reads the answer only after it."""
        size, more = 0, True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DISCARD_S_MAX):
                while more and size <= DISCARD_BYTES_MAX:
                    chunk, more = await self._piece()
                    size += len(chunk)

    async def _piece(self) -> tuple[bytes, bool]:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            raise PeerGone
        return message.get("body", b""), message.get("more_body", False)

    async def json_body(self, limit: int, too_large: type[LittoralError] = BodyTooLarge) -> object:
        """Read the body as JSON, bounded in size and in depth. Also raises `InvalidJson`."""
        value = json.decode(await self.body(limit, too_large))
        check_depth(value)
        return value

    async def wait_gone(self) -> None:
        """Return when the caller has hung up."""
        while (await self._receive())["type"] != "http.disconnect":
            pass


def parse_timeout(text: str, *, limit: float = TIMEOUT_S_MAX) -> float:
    """Read ``42s``, ``250ms``, ``1m`` or bare seconds; raise `InvalidTimeout` over ``limit``."""
    found = _DURATION.fullmatch(text.strip())
    if found is None:
        raise InvalidTimeout(
            f"the timeout {text[:40]!r} is not a duration.", hint="Write 42s, 250ms, 1m or 42."
        )
    seconds = int(found[1]) * {"ms": 0.001, "m": 60.0}.get(found[2], 1.0)
    if seconds > limit:
        raise InvalidTimeout(f"the timeout {text[:40]!r} is longer than {limit:.0f}s.")
    return seconds


def _headers(scope: Scope) -> Mapping[str, str]:
    raw = scope["headers"]
    if not isinstance(raw, list):
        raw = list(raw)
    if len(raw) > HEADERS_MAX:
        raise HeadersTooLarge(f"a request has at most {HEADERS_MAX} headers, not {len(raw)}.")
    headers: dict[str, str] = {}
    for key, value in raw:
        if len(value) > HEADER_BYTES_MAX or len(key) > HEADER_BYTES_MAX:
            raise HeadersTooLarge(f"a header has at most {HEADER_BYTES_MAX} bytes.")
        name = _NAMES.get(key) or key.decode("latin-1").lower()
        if name in headers:
            if name in _SINGLE:
                raise DuplicateHeader(f"the header {name!r} came twice.", hint="Send it once.")
            headers[name] += ", " + value.decode("latin-1")
        else:
            headers[name] = value.decode("latin-1")
    return headers


def _query(raw: bytes, headers: Mapping[str, str]) -> Mapping[str, str]:
    try:
        pairs = parse_qsl(
            raw.decode("ascii"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=_PARAMETERS_MAX,
        )
    except (ValueError, UnicodeDecodeError) as e:
        raise InvalidHeader("the query cannot be read.", hint="Encode it in UTF-8.") from e
    query: dict[str, str] = {}
    for name, value in pairs:
        known = name.lower() if name.lower() in QUERY_OR_HEADER else name
        if known in query:
            raise DuplicateHeader(f"the parameter {known[:80]!r} came twice.")
        # Browsers and clients always send an Accept; the one in the query was meant.
        if known in QUERY_OR_HEADER and known != "accept" and known in headers:
            raise DuplicateHeader(f"{known!r} came as a header and in the query.")
        query[known] = value
    return query


def _segments(raw: bytes) -> tuple[str, ...]:
    """The parts of a path; split before they are decoded, so that %2F is part of a part."""
    try:
        if b"%" not in raw:
            return tuple(raw.decode().strip("/").split("/"))
        return tuple(unquote_to_bytes(part).decode() for part in raw.strip(b"/").split(b"/"))
    except UnicodeDecodeError as e:
        raise InvalidHeader("the path is not UTF-8.") from e
