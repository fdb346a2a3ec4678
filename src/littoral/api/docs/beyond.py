"""What Littoral has of its own: beyond Ditto, health, these documents."""

from collections.abc import Iterator

from littoral.api.docs.operation import (
    OPEN_REFUSALS,
    OWN_REFUSALS,
    Body,
    Operation,
    Reply,
)

V1 = "/api/littoral/v1"
_NDJSON = "application/x-ndjson"


def operations() -> Iterator[Operation]:
    """Every operation that Eclipse Ditto has not."""
    yield from _mailbox()
    yield from _explain()
    yield from _many()
    yield from _health()
    yield from _documents()


def _mailbox() -> Iterator[Operation]:
    base = f"{V1}/things/{{thingId}}/mailbox"
    tag = "Beyond Ditto"
    yield Operation(
        "GET", base, tag, "List messages that wait for a thing", {200: Reply("Mails")},
        refusals=OWN_REFUSALS,
        text="Those that you may read, as their receiver, or write, as their sender.",
    )  # fmt: skip
    yield Operation(
        "DELETE", base, tag, "Cancel all waiting messages that are yours to cancel",
        {200: Reply("Cancelled")}, refusals=OWN_REFUSALS,
    )  # fmt: skip
    yield Operation(
        "GET", f"{base}/{{messageId}}", tag, "Read a waiting message, with its payload",
        {200: Reply("Mail")}, refusals=OWN_REFUSALS,
    )  # fmt: skip
    yield Operation(
        "DELETE", f"{base}/{{messageId}}", tag, "Cancel a waiting message", {204: Reply()},
        refusals=OWN_REFUSALS,
    )  # fmt: skip


def _explain() -> Iterator[Operation]:
    yield Operation(
        "POST", f"{V1}/explain/policy", "Beyond Ditto", "Why may I, or why may I not?",
        {200: Reply("Decision")}, (),
        Body("PolicyQuestion", example={"thingId": "org.littoral:lamp-1", "permission": "WRITE",
                                        "resource": "thing:/features/lamp"}),
        OWN_REFUSALS,
        text="Needs READ on `policy:/`. Administrators may ask about other `subjects`.",
    )  # fmt: skip


def _many() -> Iterator[Operation]:
    yield Operation(
        "GET", f"{V1}/explain/search", "Beyond Ditto", "How is this search answered?",
        {200: Reply("SearchPlan")}, ("filter", "namespaces", "option"), refusals=OWN_REFUSALS,
    )  # fmt: skip
    yield Operation(
        "POST", f"{V1}/bulk/things", "Beyond Ditto", "Change or delete what a filter finds",
        {200: Reply("BulkReport", ("application/json", _NDJSON))}, (),
        Body("BulkBody", example={
            "filter": 'eq(attributes/site,"s1")', "action": "merge",
            "value": {"attributes": {"site": "s2"}}, "dryRun": True,
        }),
        (*OWN_REFUSALS, 422),
        text="Policies are asked for each thing. With `Accept: application/x-ndjson` progress is told "
        "line by line. A bulk that is cut off has done a beginning; doing it again does the rest.",
    )  # fmt: skip
    yield Operation(
        "POST", f"{V1}/aggregate", "Beyond Ditto", "Figures over what a filter finds, by group",
        {200: Reply("Groups")}, (),
        Body("AggregateBody", example={
            "metrics": [{"figure": "count"},
                        {"figure": "avg", "property": "features/t/properties/temp"}],
            "groupBy": ["attributes/site"],
        }),
        OWN_REFUSALS,
    )  # fmt: skip
    yield Operation(
        "POST", f"{V1}/transactions", "Beyond Ditto", "Several commands, all or none",
        {200: Reply("StepResults")}, (),
        Body("TransactionBody", example={"commands": [
            {"action": "modify", "thingId": "org.littoral:a", "path": "/attributes/n", "value": 1},
            {"action": "merge", "thingId": "org.littoral:b", "value": {"attributes": {"n": 2}}},
        ]}),
        (*OWN_REFUSALS, 409, 412, 422),
        text="Things of one namespace. If one is refused none is done; `step` in the body says which.",
    )  # fmt: skip


def _health() -> Iterator[Operation]:
    text = ("text/plain",)
    yield Operation(
        "GET", "/health", "Operation", "Is the node up?",
        {200: Reply("Health"), 503: Reply("Health")}, refusals=OPEN_REFUSALS, open=True,
    )  # fmt: skip
    yield Operation(
        "GET", "/livez", "Operation", "Does the process answer?", {200: Reply("Text", text)},
        refusals=OPEN_REFUSALS, open=True,
    )  # fmt: skip
    yield Operation(
        "GET", "/readyz", "Operation", "Does the node take requests?",
        {200: Reply("Text", text), 503: Reply("Text", text)}, refusals=OPEN_REFUSALS, open=True,
    )  # fmt: skip
    yield Operation(
        "GET", "/metrics", "Operation", "Counters, as Prometheus reads them",
        {200: Reply("Text", text)}, refusals=(*OPEN_REFUSALS, 401, 403, 429, 503),
        text="For administrators and the role `status`, unless the node's settings open it.",
        may_be_open=True,
    )  # fmt: skip


def _documents() -> Iterator[Operation]:
    unchanged = Reply(headers=("etag",))
    for path, summary in (
        ("/openapi.json", "This document"),
        ("/asyncapi.json", "What the WebSocket at /ws/2 speaks, as AsyncAPI"),
    ):
        yield Operation(
            "GET", path, "Documents", summary,
            {200: Reply("Json", headers=("etag",)), 304: unchanged}, ("if-none-match",),
            refusals=OPEN_REFUSALS, open=True,
        )  # fmt: skip
    yield Operation(
        "GET", "/docs", "Documents", "This document, as a page",
        {200: Reply("Text", ("text/html",), ("etag", "content-security-policy")), 304: unchanged},
        ("if-none-match",), refusals=OPEN_REFUSALS, open=True,
    )  # fmt: skip
    yield Operation(
        "GET", "/", "Documents", "The way to the page",
        {302: Reply(headers=("location",), title="It is at /docs.")}, (), refusals=OPEN_REFUSALS, open=True,
    )  # fmt: skip
