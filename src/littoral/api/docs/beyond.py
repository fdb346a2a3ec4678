"""What Littoral has of its own: administration below /api/littoral/v1, health, these documents."""

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
_PAGES = ("after", "limit")


def operations() -> Iterator[Operation]:
    """Every operation that Eclipse Ditto has not."""
    yield from _administration()
    yield from _api_keys()
    yield from _health()
    yield from _documents()


def _administration() -> Iterator[Operation]:
    yield Operation(
        "POST", f"{V1}/apply", "Administration", "Declare tenants, devices, things and policies",
        {200: Reply("Lines", (_NDJSON,))}, (), Body("Manifests", (_NDJSON,)), OWN_REFUSALS,
        text="A manifest on each line; a result on each line of the answer, in order. Declaring the "
        "same again changes nothing. One that is refused does not stop those after it.",
    )  # fmt: skip
    yield Operation(
        "POST", f"{V1}/tokens", "Administration", "Make a one-time token for a site to enrol",
        {201: Reply("Token")}, (), Body("TokenRequest", example={"site": "plant", "ttlS": 3600}),
        (*OWN_REFUSALS, 409, 412),
    )  # fmt: skip
    yield Operation(
        "GET", f"{V1}/things", "Administration", "Ids of the things that you may see",
        {200: Reply("Ids")}, (*_PAGES, "namespaces"), refusals=OWN_REFUSALS,
    )  # fmt: skip
    for name, schema, more in (
        ("tenants", "Tenants", ()),
        ("devices", "Devices", ("tenant",)),
        ("sites", "Sites", ()),
    ):
        yield Operation(
            "GET", f"{V1}/{name}", "Administration", f"List {name}", {200: Reply(schema)},
            (*more, *_PAGES), refusals=OWN_REFUSALS,
        )  # fmt: skip
    yield Operation(
        "GET", f"{V1}/status", "Administration", "What the node says of itself",
        {200: Reply("Status")}, refusals=OWN_REFUSALS,
    )  # fmt: skip


def _api_keys() -> Iterator[Operation]:
    base = f"{V1}/apikeys"
    yield Operation(
        "GET", base, "Administration", "List API keys", {200: Reply("ApiKeys")}, _PAGES,
        refusals=OWN_REFUSALS,
    )  # fmt: skip
    yield Operation(
        "POST", base, "Administration", "Make an API key; its secret is shown this once",
        {201: Reply("ApiKey", headers=("location",))}, (),
        Body("ApiKeyRequest", example={"subjects": ["app:dashboard"], "ttlS": 86400}),
        (*OWN_REFUSALS, 409),
    )  # fmt: skip
    yield Operation(
        "GET", f"{base}/{{keyId}}", "Administration", "Read an API key, without its secret",
        {200: Reply("ApiKey")}, refusals=OWN_REFUSALS,
    )  # fmt: skip
    yield Operation(
        "DELETE", f"{base}/{{keyId}}", "Administration", "Revoke an API key", {204: Reply()},
        refusals=OWN_REFUSALS,
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
