"""Which resource answers below which name of /api/littoral/v1, for a caller who is known."""

from littoral.api.beyond.aggregate import AggregateRoutes
from littoral.api.beyond.bulk import BulkRoutes
from littoral.api.beyond.explain import Explain
from littoral.api.beyond.transactions import TransactionRoutes
from littoral.api.errors import MethodNotAllowed, RouteMissing
from littoral.api.http import Answer, Request, Stream
from littoral.api.parts import ApiParts
from littoral.api.search import SearchRoutes
from littoral.twin import Caller

NAMES = ("aggregate", "bulk", "explain", "search", "transactions")


class BeyondRoutes:
    """Handles what users, not only administrators, ask beyond Ditto."""

    def __init__(self, parts: ApiParts) -> None:
        self._aggregate = AggregateRoutes(parts)
        self._bulk = BulkRoutes(parts)
        self._explain = Explain(parts)
        self._search = SearchRoutes(parts, extended=True)
        self._transactions = TransactionRoutes(parts)

    async def handle(
        self, request: Request, caller: Caller, rest: tuple[str, ...]
    ) -> Answer | Stream:
        """Answer a request; ``rest`` are the segments after ``v1``."""
        match rest:
            case ("aggregate",):
                _only(request, "POST")
                return await self._aggregate.run(request, caller)
            case ("bulk", "things"):
                _only(request, "POST")
                return await self._bulk.run(request, caller)
            case ("explain", "policy"):
                _only(request, "POST")
                return await self._explain.policy(request, caller)
            case ("explain", "search"):
                _only(request, "GET", "HEAD")
                return await self._explain.search(request, caller)
            case ("search", *below):
                return await self._search.handle(request, caller, tuple(below))
            case ("transactions",):
                _only(request, "POST")
                return await self._transactions.run(request, caller)
            case _:
                raise RouteMissing("there is nothing at this address.", hint="See /docs.")


def _only(request: Request, *methods: str) -> None:
    if request.method not in methods:
        raise MethodNotAllowed(request.method, methods)
