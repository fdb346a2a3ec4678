"""Pages of other origins, such as Ditto's explorer: which of them a browser lets read the API.

Spec: Fetch, CORS protocol. Credentials travel as an Authorization header, which a browser sends to
another origin only after it has asked; cookies are not used.
"""

from collections.abc import Mapping

from littoral.api.http.answers import Answer
from littoral.api.http.request import Request

MAX_AGE_S = 24 * 60 * 60
"""How long a browser may remember that it was allowed to ask. Source: the longest that one takes."""

_METHODS = "GET, HEAD, PUT, PATCH, POST, DELETE, OPTIONS"
_EXPOSED = (
    "correlation-id, channel, ditto-metadata, etag, historical-headers, link, "
    "littoral-answered-by, live-channel-condition-matched, location"
)
_HEADERS_CHARS_MAX = 2048
"""Names of headers that are repeated to a browser which asks for them."""


class CrossOrigin:
    """Tells browsers which origins may read answers; without any it says nothing at all."""

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
