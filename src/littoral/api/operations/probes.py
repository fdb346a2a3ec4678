"""What operators and orchestrators ask a node: alive, ready, healthy, numbers."""

from collections.abc import Callable

from littoral.api.errors import MethodNotAllowed, RouteMissing
from littoral.api.http import Answer, Authenticator, OpenRoutes, Request, json_answer, require_role
from littoral.api.operations.metrics import CONTENT_TYPE, exposition
from littoral.api.parts import ApiParts
from littoral.registry import Role

_NAMES = ("health", "livez", "readyz", "metrics")


def operation_routes(
    parts: ApiParts, authenticator: Authenticator, own: Callable[[], object]
) -> dict[str, OpenRoutes]:
    """Root to what answers there; ``own`` gives the door's own counters."""
    return {name: _Operation(name, parts, authenticator, own) for name in _NAMES}


class _Operation:
    """One of `_NAMES`; all but /metrics tell nothing secret."""

    def __init__(
        self,
        name: str,
        parts: ApiParts,
        authenticator: Authenticator,
        own: Callable[[], object],
    ) -> None:
        self._name = name
        self._own = own
        self._parts = parts
        self._authenticator = authenticator

    async def handle(self, request: Request, rest: tuple[str, ...]) -> Answer:
        """Answer as an orchestrator wants it."""
        name = self._name
        if rest:
            raise RouteMissing("there is nothing at this address.", hint=f"See /{name}.")
        if request.method not in {"GET", "HEAD"}:
            raise MethodNotAllowed(request.method, ("GET",))
        if name == "livez":
            return Answer(200, b"ok\n", {"content-type": "text/plain"})
        if name == "metrics":
            if not self._parts.public_metrics:
                require_role(await self._authenticator.identity(request), Role.STATUS)
            sources = [(part, source()) for part, source in self._parts.statistics.items()]
            sources.append(("http", self._own()))
            sources.append(("node", {"ready": self._parts.not_ready() is None}))
            body = exposition(sources, self._parts.link_status())
            return Answer(200, body, {"content-type": CONTENT_TYPE})
        reason = self._parts.not_ready()
        status = 200 if reason is None else 503
        if name == "health":
            return json_answer({"status": "UP" if reason is None else "DOWN"}, status=status)
        text = "ready\n" if reason is None else f"not ready: {reason}\n"
        return Answer(status, text.encode(), {"content-type": "text/plain; charset=utf-8"})
