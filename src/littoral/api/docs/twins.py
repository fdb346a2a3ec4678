"""What /api/2/things answers: things, their parts, their messages."""

from collections.abc import Iterator

from littoral.api.docs.operation import (
    MERGE_PATCH,
    READ_REFUSALS,
    WRITE_REFUSALS,
    Body,
    Operation,
    Reply,
)

THING = "/api/2/things/{thingId}"
FEATURE = f"{THING}/features/{{featureId}}"
EVENTS = "text/event-stream"

_CONDITIONS = ("if-match", "if-none-match", "condition", "timeout")
_READ = (
    *_CONDITIONS, "channel", "live-channel-condition", "live-channel-timeout-strategy",
    "at-historical-revision", "at-historical-timestamp", "get-metadata",
)  # fmt: skip
_DELETE = (*_CONDITIONS, "response-required", "requested-acks", "channel")
_WRITE = (
    *_DELETE, "if-equal", "put-metadata", "get-metadata", "delete-metadata", "allow-policy-lockout",
)  # fmt: skip
_PATCH = (*_WRITE, "merge-thing-patch-conditions")
_HISTORY = (
    "from-historical-revision", "to-historical-revision", "from-historical-timestamp",
    "to-historical-timestamp", "filter", "extraFields",
)  # fmt: skip

_DEVICE = "What the device answered, with its own status."
_SUBSCRIBER = "If one acknowledgement was asked for: its own status, chosen by who gave it."
_NOT_CHANGED = Reply(headers=("etag",))
_DONE = Reply(headers=("etag", "ditto-metadata"))
_TAKEN = Reply()


def _part(
    path: str,
    noun: str,
    schema: str,
    *,
    methods: str = "GET PUT PATCH DELETE",
    fields: bool = False,
) -> Iterator[Operation]:
    """The operations on one part of a thing; they are alike for all parts."""
    acknowledged = Reply("Acknowledgements", title="Acknowledgements, as they were asked for.")
    written = {
        200: acknowledged,
        201: Reply(schema, headers=("etag", "location")),
        202: _TAKEN,
        204: _DONE,
    }
    tag = "Features" if "/features" in path else "Things"
    for method in methods.split():
        match method:
            case "GET":
                headers = ("etag", "ditto-metadata", "channel", "live-channel-condition-matched")
                yield Operation(
                    method, path, tag, f"Read {noun}",
                    {200: Reply("Json", ("application/json", EVENTS), headers), 202: _TAKEN,
                     304: _NOT_CHANGED},
                    (*(("fields",) if fields else ()), *_READ, *_HISTORY),
                    refusals=(*READ_REFUSALS, 403, 405, 409, 424), any_status=_DEVICE,
                    text="With `Accept: text/event-stream`: its changes, as they are committed.",
                )  # fmt: skip
            case "PUT":
                yield Operation(
                    method,
                    path,
                    tag,
                    f"Create or replace {noun}",
                    written,
                    _WRITE,
                    Body(schema),
                    any_status=_SUBSCRIBER,
                )
            case "PATCH":
                yield Operation(
                    method, path, tag, f"Merge into {noun}", written, _PATCH,
                    Body("Patch", (MERGE_PATCH,)), any_status=_SUBSCRIBER,
                )  # fmt: skip
            case _:
                yield Operation(
                    method, path, tag, f"Delete {noun}",
                    {200: acknowledged, 202: _TAKEN, 204: _DONE}, _DELETE,
                    any_status=_SUBSCRIBER,
                )  # fmt: skip


def _things() -> Iterator[Operation]:
    yield Operation(
        "GET", "/api/2/things", "Things", "Read several things, or page through all",
        {200: Reply("Things", ("application/json", EVENTS), ("link",)), 202: _TAKEN},
        ("ids", "fields", "namespaces", "option", "timeout", "condition", "filter", "extraFields"),
        refusals=(*READ_REFUSALS, 403),
        text="Those that you may not see are left out. With `Accept: text/event-stream`: changes of "
        "things, as they are committed.",
    )  # fmt: skip
    yield Operation(
        "POST", "/api/2/things", "Things", "Create a thing; the node gives it an id",
        {200: Reply("Acknowledgements"), 201: Reply("Thing", headers=("etag", "location")),
         202: _TAKEN},
        ("namespace", "timeout", "response-required", "requested-acks", "allow-policy-lockout",
         "put-metadata"),
        Body("NewThing", example={"attributes": {"site": "s1"}}), any_status=_SUBSCRIBER,
    )  # fmt: skip
    yield from _whole()
    yield Operation(
        "POST", f"{THING}/migrateDefinition", "Things", "Give a thing another definition",
        {200: Reply("Json"), 202: Reply("Json")}, ("dry-run", *_CONDITIONS), Body("Json"),
        refusals=WRITE_REFUSALS,
        text="The definition, and the parts of `migrationPayload` whose `patchConditions` hold, are "
        "merged into the thing in one step; `{{ thing-json:<pointer> }}` stands for what is there. "
        "200 tells the patch that was merged. 202 tells what would be (`dry-run=true`), or is empty: "
        "no answer was wanted. Nothing is validated against the new definition, and "
        "`initializeMissingPropertiesFromDefaults` is answered with 501.",
    )  # fmt: skip


def _whole() -> Iterator[Operation]:
    for one in _part(THING, "a thing", "Thing", fields=True):
        body = one.body
        if one.method == "PUT":
            body = Body(
                "NewThing",
                example={
                    "policyId": "org.littoral:default",
                    "attributes": {"site": "s1"},
                    "features": {"lamp": {"properties": {"on": True}}},
                },
            )
        yield Operation(
            one.method, one.path, one.tag, one.summary, one.replies, one.parameters, body,
            one.refusals, one.text, any_status=one.any_status,
        )  # fmt: skip


def _messages() -> Iterator[Operation]:
    parameters = (
        "timeout", "response-required", "requested-acks", "condition", "littoral-mailbox-ttl",
    )  # fmt: skip
    answered = {
        200: Reply("Binary", ("*/*",), ("littoral-answered-by",), required=False),
        202: _TAKEN,
        204: Reply(headers=("littoral-answered-by",)),
    }
    body = Body("Binary", ("*/*",), required=False)
    yield Operation(
        "POST", f"{THING}/inbox/claim", "Messages", "Ask a thing to be given to you",
        answered, ("timeout", "response-required", "requested-acks"), body,
        text="Needs no permission: the device decides.", any_status=_DEVICE,
    )  # fmt: skip
    for base, what in ((THING, "a thing"), (FEATURE, "a feature")):
        for box, word in (("inbox", "to"), ("outbox", "from")):
            yield Operation(
                "POST", f"{base}/{box}/messages/{{messageSubject}}", "Messages",
                f"Send a message {word} {what}", answered, parameters, body,
                text="Waits 10 s (`timeout`: up to 60 s) for the answer; status and body are the "
                "receiver's own. It needs WRITE on `message:/…`, the receiver READ.",
                any_status=_DEVICE,
            )  # fmt: skip


def operations() -> Iterator[Operation]:
    """Every operation on things."""
    yield from _things()
    yield from _part(f"{THING}/policyId", "a thing's policy id", "PolicyId",
                     methods="GET PUT PATCH")  # fmt: skip
    yield from _part(f"{THING}/definition", "a thing's definition", "Definition")
    yield from _part(f"{THING}/attributes", "all attributes of a thing", "Attributes", fields=True)
    yield from _part(f"{THING}/attributes/{{attributePath}}", "an attribute", "Json")
    yield from _part(f"{THING}/features", "all features of a thing", "Features", fields=True)
    yield from _part(FEATURE, "a feature", "Feature", fields=True)
    yield from _part(f"{FEATURE}/definition", "a feature's definition", "FeatureDefinition")
    for name, words in (("properties", "properties"), ("desiredProperties", "desired properties")):
        yield from _part(
            f"{FEATURE}/{name}", f"all {words} of a feature", "Properties", fields=True
        )
        noun = f"a {words.removesuffix('ies')}y"
        yield from _part(f"{FEATURE}/{name}/{{propertyPath}}", noun, "Json")
    yield from _messages()
    yield from _message_streams()


def _message_streams() -> Iterator[Operation]:
    for base, what in ((THING, "a thing"), (FEATURE, "a feature")):
        for box in ("inbox", "outbox"):
            for tail in ("", "/{messageSubject}"):
                subject = " about one subject" if tail else ""
                yield Operation(
                    "GET", f"{base}/{box}/messages{tail}", "Messages",
                    f"Follow messages in the {box} of {what}{subject}",
                    {200: Reply("Stream", (EVENTS,))}, (),
                    refusals=(*READ_REFUSALS, 403, 405),
                    text="Server-sent events: `event:` is the subject, `data:` the payload. Needs "
                    "`Accept: text/event-stream`.",
                )  # fmt: skip
