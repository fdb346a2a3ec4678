"""The client itself: a node, as seen by one user."""

from collections.abc import Sequence
from typing import Any, Self

import httpx

from littoral.client.aio.administration import AsyncAdministration
from littoral.client.aio.beyond import AsyncBeyond
from littoral.client.aio.history import AsyncHistory
from littoral.client.aio.messages import AsyncMessages
from littoral.client.aio.policies import AsyncPolicies
from littoral.client.aio.search import AsyncSearch
from littoral.client.aio.session import AsyncSession
from littoral.client.aio.things import AsyncThings
from littoral.client.answers import Answer, converted
from littoral.client.http import DEFAULT_URL, AsyncHttpTransport, Target
from littoral.client.model import Check, WhoAmI
from littoral.client.requests import V1, Request, encoded


class AsyncClient:
    """A node, as seen by one user. Use it in a ``with`` block, or close it.

    Args:
        url: where the node's HTTP door is.
        user: name for HTTP Basic; empty for none.
        password: its password.
        token: instead of both: a JWT of an issuer that the node knows, or an API key.
        transport: what carries the requests, for tests and tunnels.

    Every method raises an `ApiError` if the node refuses and `Unreachable` if nobody answers.
    """

    things: AsyncThings
    policies: AsyncPolicies
    search: AsyncSearch
    messages: AsyncMessages
    history: AsyncHistory
    beyond: AsyncBeyond
    administration: AsyncAdministration

    def __init__(
        self,
        url: str = DEFAULT_URL,
        *,
        user: str = "",
        password: str = "",
        token: str = "",
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._target = Target(url, user, password, token)
        self._node = AsyncHttpTransport(self._target, transport)
        self.things = AsyncThings(self._node)
        self.policies = AsyncPolicies(self._node)
        self.search = AsyncSearch(self._node)
        self.messages = AsyncMessages(self._node)
        self.history = AsyncHistory(self.session)
        self.beyond = AsyncBeyond(self._node)
        self.administration = AsyncAdministration(self._node)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections. Idempotent."""
        await self._node.close()

    def session(self, *, declared_acks: Sequence[str] = ()) -> AsyncSession:
        """A WebSocket session, to be used in a ``with`` block.

        Args:
            declared_acks: labels of acknowledgements that this session will give.
        """
        return AsyncSession(self._target, declared_acks)

    async def whoami(self) -> WhoAmI:
        """The subjects as which the node knows this user."""
        answer = await self._node.send(Request("GET", "/api/2/whoami"))
        return converted(answer.url, answer.json(), WhoAmI)

    async def may(self, entity_id: str, resource: str, *rights: str) -> bool:
        """Whether this user has ``rights`` (READ if none are named) on ``resource`` of an entity."""
        answers = await self.check({"it": Check(entity_id, resource, rights or ("READ",))})
        return answers["it"]

    async def check(self, checks: dict[str, Check]) -> dict[str, bool]:
        """Answer many questions about permissions at once; what does not exist is False."""
        body = {
            name: {
                "entityId": one.entity_id,
                "resource": one.resource,
                "hasPermissions": list(one.rights),
            }
            for name, one in checks.items()
        }
        answer = await self._node.send(_post("/api/2/checkPermissions", body))
        return converted(answer.url, answer.json(), dict[str, bool])

    async def status(self) -> Any:
        """Everything a node tells about itself: log, links, parts. For administrators."""
        return (await self._node.send(Request("GET", f"{V1}/status"))).json()

    async def is_healthy(self) -> bool:
        """Whether the node says that it is up. Raises `Unreachable` if nobody answers."""
        answer = await self._node.send(Request("GET", "/health"), refuse=False)
        return answer.status == 200

    async def cloud_event(self, envelope: object, *, event_id: str, source: str) -> None:
        """Hand in one Ditto Protocol message as a CloudEvent."""
        headers = {
            "content-type": "application/vnd.eclipse.ditto+json",
            "ce-specversion": "1.0",
            "ce-type": "org.eclipse.ditto",
            "ce-id": event_id,
            "ce-source": source,
        }
        path = "/api/2/cloudevents"
        await self._node.send(Request("POST", path, headers=headers, content=encoded(envelope)))

    async def request(self, request: Request, *, refuse: bool = True) -> Answer:
        """Send any request: for what this client has no method for."""
        return await self._node.send(request, refuse=refuse)


def _post(path: str, body: object) -> Request:
    headers = {"content-type": "application/json"}
    return Request("POST", path, headers=headers, content=encoded(body))
