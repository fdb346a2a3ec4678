# Written by docs/unasync.py from littoral.client.aio; change that, then run `make docs`.
"""The client itself: a node, as seen by one user."""

from collections.abc import Sequence
from typing import Any, Self

import httpx

from littoral.client.answers import Answer, converted
from littoral.client.http import DEFAULT_URL, HttpTransport, Target
from littoral.client.model import Check, WhoAmI
from littoral.client.requests import V1, Request, encoded
from littoral.client.sync.administration import Administration
from littoral.client.sync.beyond import Beyond
from littoral.client.sync.history import History
from littoral.client.sync.messages import Messages
from littoral.client.sync.policies import Policies
from littoral.client.sync.search import Search
from littoral.client.sync.session import Session
from littoral.client.sync.things import Things


class Client:
    """A node, as seen by one user. Use it in a ``with`` block, or close it.

    Args:
        url: where the node's HTTP door is.
        user: name for HTTP Basic; empty for none.
        password: its password.
        token: instead of both: a JWT of an issuer that the node knows, or an API key.
        transport: what carries the requests, for tests and tunnels.

    Every method raises an `ApiError` if the node refuses and `Unreachable` if nobody answers.
    """

    things: Things
    policies: Policies
    search: Search
    messages: Messages
    history: History
    beyond: Beyond
    administration: Administration

    def __init__(
        self,
        url: str = DEFAULT_URL,
        *,
        user: str = "",
        password: str = "",
        token: str = "",
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._target = Target(url, user, password, token)
        self._node = HttpTransport(self._target, transport)
        self.things = Things(self._node)
        self.policies = Policies(self._node)
        self.search = Search(self._node)
        self.messages = Messages(self._node)
        self.history = History(self.session)
        self.beyond = Beyond(self._node)
        self.administration = Administration(self._node)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections. Idempotent."""
        self._node.close()

    def session(self, *, declared_acks: Sequence[str] = ()) -> Session:
        """A WebSocket session, to be used in a ``with`` block.

        Args:
            declared_acks: labels of acknowledgements that this session will give.
        """
        return Session(self._target, declared_acks)

    def whoami(self) -> WhoAmI:
        """The subjects as which the node knows this user."""
        answer = self._node.send(Request("GET", "/api/2/whoami"))
        return converted(answer.url, answer.json(), WhoAmI)

    def may(self, entity_id: str, resource: str, *rights: str) -> bool:
        """Whether this user has ``rights`` (READ if none are named) on ``resource`` of an entity."""
        answers = self.check({"it": Check(entity_id, resource, rights or ("READ",))})
        return answers["it"]

    def check(self, checks: dict[str, Check]) -> dict[str, bool]:
        """Answer many questions about permissions at once; what does not exist is False."""
        body = {
            name: {
                "entityId": one.entity_id,
                "resource": one.resource,
                "hasPermissions": list(one.rights),
            }
            for name, one in checks.items()
        }
        answer = self._node.send(_post("/api/2/checkPermissions", body))
        return converted(answer.url, answer.json(), dict[str, bool])

    def status(self) -> Any:
        """Everything a node tells about itself: log, links, parts. For administrators."""
        return (self._node.send(Request("GET", f"{V1}/status"))).json()

    def is_healthy(self) -> bool:
        """Whether the node says that it is up. Raises `Unreachable` if nobody answers."""
        answer = self._node.send(Request("GET", "/health"), refuse=False)
        return answer.status == 200

    def cloud_event(self, envelope: object, *, event_id: str, source: str) -> None:
        """Hand in one Ditto Protocol message as a CloudEvent."""
        headers = {
            "content-type": "application/vnd.eclipse.ditto+json",
            "ce-specversion": "1.0",
            "ce-type": "org.eclipse.ditto",
            "ce-id": event_id,
            "ce-source": source,
        }
        path = "/api/2/cloudevents"
        self._node.send(Request("POST", path, headers=headers, content=encoded(envelope)))

    def request(self, request: Request, *, refuse: bool = True) -> Answer:
        """Send any request: for what this client has no method for."""
        return self._node.send(request, refuse=refuse)


def _post(path: str, body: object) -> Request:
    headers = {"content-type": "application/json"}
    return Request("POST", path, headers=headers, content=encoded(body))
