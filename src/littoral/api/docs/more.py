"""What else /api/2 answers: search, who am I, may I, CloudEvents."""

from collections.abc import Iterator

from littoral.api.docs.operation import READ_REFUSALS, WRITE_REFUSALS, Body, Operation, Reply

_FORM = "application/x-www-form-urlencoded"
_REFUSALS = (*READ_REFUSALS, 403, 413, 415)


def operations() -> Iterator[Operation]:
    """Every operation on none of things and policies."""
    yield from _search("/api/2", "Search")
    yield from _search(
        "/api/littoral/v1", "Beyond Ditto",
        " Filters may use `withinbox` and `withindistance` on `{lat, lon}` objects.",
    )  # fmt: skip
    yield Operation(
        "GET", "/api/2/whoami", "Permissions", "Under which subjects am I known?",
        {200: Reply("WhoAmI")}, refusals=READ_REFUSALS,
    )  # fmt: skip
    yield Operation(
        "POST", "/api/2/checkPermissions", "Permissions", "What may I do?",
        {200: Reply("PermissionAnswers"), 202: Reply()},
        ("timeout",),
        Body("PermissionChecks", example={
            "may-switch": {"resource": "thing:/features/lamp", "entityId": "org.littoral:lamp-1",
                           "hasPermissions": ["WRITE"]},
        }),
        refusals=(*_REFUSALS, 424),
        text="A name of your choice to what is asked; each is answered with true or false. What does "
        "not exist is false.",
    )  # fmt: skip
    yield Operation(
        "POST", "/api/2/cloudevents", "CloudEvents", "Hand in a Ditto Protocol message",
        {202: Reply()},
        ("ce-specversion", "ce-type", "ce-source", "ce-id", "ce-time", "ce-dataschema"),
        Body("ProtocolMessage", ("application/vnd.eclipse.ditto+json", "application/json",
                                 "application/cloudevents+json")),
        WRITE_REFUSALS,
        text="Binary mode (`ce-*` headers) and structured mode (`application/cloudevents+json`).",
    )  # fmt: skip


def _search(base: str, tag: str, more: str = "") -> Iterator[Operation]:
    found = {200: Reply("SearchResult")}
    counted = {200: Reply("Count")}
    text = (
        "Finds what was committed before the request came, and only what you may read. Without "
        f"`filter`: everything.{more}"
    )
    yield Operation(
        "GET", f"{base}/search/things", tag, "Find things",
        {200: Reply("SearchResult", ("application/json", "text/event-stream"))},
        ("filter", "namespaces", "fields", "option", "timeout", "last-event-id"),
        refusals=_REFUSALS,
        text=f"{text} With `Accept: text/event-stream`: a hit per event.",
    )  # fmt: skip
    yield Operation(
        "POST", f"{base}/search/things", tag, "Find things, with a long query", found,
        ("timeout",), Body("SearchForm", (_FORM,), required=False), _REFUSALS, text,
    )  # fmt: skip
    yield Operation(
        "GET", f"{base}/search/things/count", tag, "Count things", counted,
        ("filter", "namespaces", "timeout"), refusals=_REFUSALS, text=text,
    )  # fmt: skip
    yield Operation(
        "POST", f"{base}/search/things/count", tag, "Count things, with a long query", counted,
        ("timeout",), Body("CountForm", (_FORM,), required=False), _REFUSALS, text,
    )  # fmt: skip
