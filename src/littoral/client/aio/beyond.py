"""What Eclipse Ditto has not: bulks, aggregations, transactions, explanations."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any

from littoral.client.answers import converted, decoded, error_from
from littoral.client.errors import StreamEnded
from littoral.client.http import TIMEOUT_S, AsyncHttpTransport
from littoral.client.model import BulkReport, Decision, Group, Metric, Step, StepResult
from littoral.client.requests import NOTHING, V1, Json, Request, encoded, search_form

NDJSON = "application/x-ndjson"


class AsyncBeyond:
    """``/api/littoral/v1``, for every user."""

    def __init__(self, node: AsyncHttpTransport) -> None:
        self._node = node

    async def bulk(
        self,
        action: str,
        query: str,
        value: object = NOTHING,
        *,
        path: str = "/",
        namespaces: Sequence[str] = (),
        condition: str | None = None,
        dry_run: bool = False,
        stop_at_refusals: int = 0,
        on_progress: Callable[[BulkReport], None] | None = None,
    ) -> BulkReport:
        """Change or delete every thing that a query finds.

        Args:
            action: ``merge``, ``modify`` or ``delete``.
            query: RQL; ``exists(thingId)`` finds all.
            value: what is merged or written.
            path: where in each thing.
            namespaces: only in these.
            condition: RQL that has to hold for each thing, too, as it is then.
            dry_run: decide everything and write nothing.
            stop_at_refusals: end after so many; 0: go on to the end.
            on_progress: is told the counts so far, each time that a page of things is durable.

        A bulk that is cut off has done a beginning; doing it again does the rest.
        """
        body = _bulk(action, query, value, path, namespaces, condition)
        body |= {"dryRun": dry_run, "stopAtRefusals": stop_at_refusals}
        last: Any = None
        async for line in self._lines(f"{V1}/bulk/things", body):
            last = line
            if on_progress is not None and isinstance(line, dict) and "progress" in line:
                on_progress(converted(self._node.url, line["progress"], BulkReport))
        if not isinstance(last, dict) or "report" not in last:
            raise StreamEnded("the bulk was cut off.", hint="Do it again: it goes on.")
        return converted(self._node.url, last["report"], BulkReport)

    async def aggregate(
        self,
        metrics: Sequence[Metric],
        query: str | None = None,
        *,
        group_by: Sequence[str] = (),
        namespaces: Sequence[str] = (),
    ) -> list[Group]:
        """Work figures out over the things that a query finds, for each group of them."""
        asked = [
            {"figure": m.figure, "property": m.property, "name": m.name, "percent": m.percent}
            for m in metrics
        ]
        body: dict[str, Json] = {"metrics": asked, "groupBy": list(group_by)}
        if query is not None:
            body["filter"] = query
        if namespaces:
            body["namespaces"] = list(namespaces)
        answer = await self._node.send(_post("aggregate", body))
        return converted(answer.url, answer.json()["groups"], list[Group])

    async def transaction(self, steps: Sequence[Step]) -> list[StepResult]:
        """Do several commands on things of one namespace: all of them, or none.

        Raises:
            ApiError: what one of them was refused with; ``body["step"]`` says which. None was done.
        """
        commands = [
            {
                "action": one.action,
                "thingId": one.thing_id,
                "path": one.path,
                "value": one.value,
                "headers": dict(one.headers),
            }
            for one in steps
        ]
        answer = await self._node.send(_post("transactions", {"commands": commands}))
        return converted(answer.url, answer.json()["results"], list[StepResult])

    async def explain_policy(
        self,
        permission: str,
        resource: str,
        *,
        thing_id: str | None = None,
        policy_id: str | None = None,
        subjects: Sequence[str] | None = None,
    ) -> Decision:
        """Why ``permission`` on ``resource`` is granted, or why not.

        Args:
            permission: READ, WRITE or EXECUTE.
            resource: ``thing:/features/lamp``, ``message:/inbox/messages/start``, ….
            thing_id: of this thing; or
            policy_id: by this policy.
            subjects: to whom; for administrators. None: to who asks.
        """
        body: dict[str, Json] = {"permission": permission, "resource": resource}
        named = {"thingId": thing_id, "policyId": policy_id}
        body |= {name: one for name, one in named.items() if one is not None}
        if subjects is not None:
            body["subjects"] = list(subjects)
        answer = await self._node.send(_post("explain/policy", body))
        return converted(answer.url, answer.json(), Decision)

    async def explain_search(
        self, query: str | None = None, *, namespaces: Sequence[str] = (), option: str = ""
    ) -> Mapping[str, Any]:
        """How a search is answered, and what it costs."""
        form = search_form(query=query, namespaces=namespaces, option=option)
        answer = await self._node.send(Request("GET", f"{V1}/explain/search", form))
        found: Mapping[str, Any] = answer.json()
        return found

    async def _lines(self, path: str, body: object) -> AsyncIterator[Any]:
        headers = {"content-type": "application/json", "accept": NDJSON}
        request = Request("POST", path, headers=headers, content=encoded(body))
        async with self._node.lines(request, silence_s=TIMEOUT_S) as lines:
            async for line in lines:
                if line:
                    yield _line(self._node.url, line)


def _line(url: str, line: str) -> Any:
    value = decoded(url, line.encode())
    if isinstance(value, dict) and "error" in value:
        raise error_from(int(value.get("status", 0)), value, "")
    return value


def _bulk(
    action: str,
    query: str,
    value: object,
    path: str,
    namespaces: Sequence[str],
    condition: str | None,
) -> dict[str, object]:
    body: dict[str, object] = {"action": action, "filter": query, "path": path}
    if value is not NOTHING:
        body["value"] = value
    if namespaces:
        body["namespaces"] = list(namespaces)
    if condition is not None:
        body["headers"] = {"condition": condition}
    return body


def _post(name: str, body: object) -> Request:
    headers = {"content-type": "application/json"}
    return Request("POST", f"{V1}/{name}", headers=headers, content=encoded(body))
