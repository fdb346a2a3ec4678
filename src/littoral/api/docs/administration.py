"""What administrators ask below /api/littoral/v1: the registry, sites, users, keys, status."""

from collections.abc import Iterator

from littoral.api.docs.operation import OWN_REFUSALS, Body, Operation, Reply

V1 = "/api/littoral/v1"
_NDJSON = "application/x-ndjson"
_PAGES = ("after", "limit")


def operations() -> Iterator[Operation]:
    """Every operation of administration."""
    yield from _administration()
    yield from _deletions()
    yield from _api_keys()
    yield from _users()
    yield from _devops()


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
    yield Operation(
        "GET", f"{V1}/policies", "Administration", "Ids of the policies that you may see",
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
        "GET", f"{V1}/incidents", "Administration",
        "What was overruled, dropped for want of room, or given back after a roll-back",
        {200: Reply("Incidents")}, ("incident-kind", "incident-thing", *_PAGES),
        refusals=OWN_REFUSALS,
        text="Oldest first. A page may be empty and not the last: `next` is empty after the last.",
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


def _deletions() -> Iterator[Operation]:
    for path, summary in (
        ("tenants/{tenantId}", "Remove a tenant without devices"),
        ("devices/{tenantId}/{deviceId}", "Remove a device; its thing stays"),
        ("sites/{siteName}", "Remove a site"),
    ):
        yield Operation(
            "DELETE", f"{V1}/{path}", "Administration", summary, {204: Reply()},
            refusals=(*OWN_REFUSALS, 409, 412),
        )  # fmt: skip


def _users() -> Iterator[Operation]:
    base, one = f"{V1}/users", f"{V1}/users/{{userName}}"
    yield Operation(
        "GET", base, "Administration", "List users", {200: Reply("Users")}, _PAGES,
        refusals=OWN_REFUSALS,
    )  # fmt: skip
    yield Operation(
        "GET", one, "Administration", "Read a user", {200: Reply("User")}, refusals=OWN_REFUSALS
    )
    yield Operation(
        "PUT", one, "Administration", "Create a user, or give a user another password and roles",
        {200: Reply("User"), 201: Reply("User")}, (),
        Body("UserRequest", example={"password": "a long sentence", "roles": ["user"]}),
        (*OWN_REFUSALS, 409),
    )  # fmt: skip
    yield Operation(
        "DELETE", one, "Administration", "Remove a user", {204: Reply()}, refusals=OWN_REFUSALS
    )


def _devops() -> Iterator[Operation]:
    """Ditto's own operation, as far as there is something behind it here."""
    tag, refusals = "Operation", (*OWN_REFUSALS, 405)
    for base in ("/status", "/overall/status"):
        for tail, schema, summary in (
            ("", "NodeStatus", "Health and cluster"),
            ("/health", "Tree", "Health of each part, as a tree"),
            ("/cluster", "Cluster", "The cluster: one node"),
        ):
            replies = {200: Reply(schema)}
            if tail == "/health":
                replies[503] = Reply(schema)
            yield Operation("GET", f"{base}{tail}", tag, summary, replies, refusals=refusals)
    for path, parameters in (
        ("/stats/things", ()),
        ("/stats/things/details", ("namespace",)),
        ("/stats/search", ()),
    ):
        yield Operation(
            "GET", path, tag, "How many things there are", {200: Reply("Counts")}, parameters,
            refusals=refusals,
        )  # fmt: skip
    for path in (
        "/devops/logging",
        "/devops/logging/{moduleName}",
        "/devops/logging/{moduleName}/{podName}",
    ):
        yield Operation(
            "GET", path, tag, "Read the levels of logging", {200: Reply("Loggers")},
            refusals=refusals,
        )  # fmt: skip
        yield Operation(
            "PUT", path, tag, "Set a level of logging, until the node ends",
            {200: Reply("Loggers")}, (), Body("LoggerLevel"), refusals,
        )  # fmt: skip
