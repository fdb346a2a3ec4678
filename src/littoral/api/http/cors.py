"""Pages of other origins, such as Ditto's explorer: which of them may read the API, or change things.

Spec: Fetch, CORS protocol; HTML, Origin. A browser asks before it lets a page of another origin send
an Authorization header, or read an answer. A password that it remembers it adds by itself to whatever
a page asks for, and a WebSocket is opened without a question: those are refused here.
"""

from collections.abc import Mapping

from littoral.api.errors import OriginRefused
from littoral.api.http.answers import Answer
from littoral.api.http.request import Request

MAX_AGE_S = 24 * 60 * 60
"""How long a browser may remember that it was allowed to ask. Source: the longest that one takes."""

_READING = frozenset(("GET", "HEAD", "OPTIONS"))
_METHODS = "GET, HEAD, PUT, PATCH, POST, DELETE, OPTIONS"
_EXPOSED = (
    "correlation-id, channel, ditto-metadata, etag, historical-headers, link, "
    "littoral-answered-by, live-channel-condition-matched, location"
)
_HEADERS_CHARS_MAX = 2048
"""Names of headers that are repeated to a browser which asks for them."""


class CrossOrigin:
    """Tells browsers which origins may read answers, and believes none but those of the rest."""

    def __init__(self, origins: frozenset[str]) -> None:
        """``origins`` are ``https://host[:port]``; ``*`` is any."""
        self._origins = origins

    def headers(self, request: Request) -> Mapping[str, str]:
        """What every answer to this request carries besides its own headers."""
        if not self._origins:
            return {}
        origin = request.headers.get("origin")
        allowed = "*" if "*" in self._origins else origin
        if origin is None or (allowed != "*" and origin not in self._origins):
            return {"vary": "origin"}
        return {
            "access-control-allow-origin": allowed or "",
            "access-control-expose-headers": _EXPOSED,
            "vary": "origin",
        }

    def check(self, request: Request, *, is_socket: bool = False) -> None:
        """Raise `OriginRefused` if a page of another origin makes somebody's browser change things.

        Only browsers send ``Origin``. Behind a proxy that renames the host they say themselves
        (``Sec-Fetch-Site``) whether the page is the node's own.
        """
        origin = request.headers.get("origin")
        if origin is None or (request.method in _READING and not is_socket):
            return
        own = request.headers.get("sec-fetch-site") == "same-origin" or origin.partition("://")[
            2
        ] == request.headers.get("host")
        if not own and not {origin, "*"} & self._origins:
            raise OriginRefused(
                f"a page of {origin[:100]!r} may only read here.",
                hint="The node's operator names origins that may do more under http.cors_origins.",
            )

    def preflight(self, request: Request) -> Answer | None:
        """The answer to a browser's question whether it may ask; None if it is no such question."""
        headers = request.headers
        if (
            not self._origins
            or request.method != "OPTIONS"
            or "access-control-request-method" not in headers
        ):
            return None
        answer = Answer(204)
        if "access-control-allow-origin" in self.headers(request):
            answer.headers["access-control-allow-methods"] = _METHODS
            answer.headers["access-control-max-age"] = str(MAX_AGE_S)
            wanted = headers.get("access-control-request-headers", "")[:_HEADERS_CHARS_MAX]
            if wanted:
                answer.headers["access-control-allow-headers"] = wanted
        return answer
