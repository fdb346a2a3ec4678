"""Every parameter and answer header that the door knows, by the name that the tables use."""

from littoral.api.docs.operation import Json
from littoral.api.model import IDS_MAX, PAGES_MAX

_TEXT: Json = {"type": "string", "minLength": 1}
_ID: Json = {"type": "string", "maxLength": 256, "examples": ["org.littoral:lamp-1"]}
_DURATION: Json = {"type": "string", "pattern": "^[0-9]+(ms|s|m)?$", "examples": ["10s"]}
_YES: Json = {"type": "boolean"}
_KEY: Json = {"type": "string", "minLength": 1}
_NAMES: Json = {"type": "string"}


def _path(name: str, text: str, schema: Json | None = None) -> Json:
    return {
        "name": name, "in": "path", "required": True, "description": text,
        "schema": schema or _KEY,
    }  # fmt: skip


def _query(name: str, text: str, schema: Json, example: object = None) -> Json:
    made: Json = {"name": name, "in": "query", "description": text, "schema": schema}
    return made if example is None else {**made, "example": example}


def _header(name: str, text: str, schema: Json, example: object = None) -> Json:
    return {**_query(name, text, schema, example), "in": "header"}


PARAMETERS: dict[str, Json] = {
    "thingId": _path("thingId", "`namespace:name` of the thing.", _ID),
    "policyId": _path("policyId", "`namespace:name` of the policy.", _ID),
    "importedPolicyId": _path("importedPolicyId", "The policy that is imported.", _ID),
    "featureId": _path("featureId", "The feature; `*` is none."),
    "attributePath": _path("attributePath", "A JSON pointer below the attributes; any depth."),
    "propertyPath": _path("propertyPath", "A JSON pointer below the properties; any depth."),
    "label": _path("label", "The entry's label."),
    "subjectId": _path("subjectId", "`issuer:subject`, as a policy names it."),
    "resourcePath": _path(
        "resourcePath", "`thing:/…`, `policy:/…` or `message:/…`; slashes stay as they are."
    ),
    "messageSubject": _path("messageSubject", "What the message is about; may have slashes."),
    "messageId": _path("messageId", "The waiting message."),
    "tenantId": _path("tenantId", "The tenant."),
    "deviceId": _path("deviceId", "The device, as its tenant names it."),
    "siteName": _path("siteName", "The site."),
    "userName": _path("userName", "The user."),
    "moduleName": _path("moduleName", "`littoral`."),
    "podName": _path("podName", "The node's name."),
    "keyId": _path("keyId", "The API key's id; not its secret."),
    "fields": _query(
        "fields",
        "What is wanted of it: pointers, groups in parentheses, `features/*/…` for every "
        "feature. `_revision`, `_created`, `_modified`, `_metadata`, `_namespace` and `_policy` come "
        "only if they are named.",
        _NAMES,
        "thingId,attributes(site,location/lat),features/*/properties",
    ),
    "ids": _query("ids", f"These things, comma-separated, in this order; at most {IDS_MAX}.", _NAMES),
    "filter": _query("filter", "A query in RQL.", _NAMES, 'eq(attributes/site,"s1")'),
    "namespaces": _query("namespaces", "Only these namespaces, comma-separated.", _NAMES),
    "option": _query(
        "option",
        "`sort(+path,-path)`, `size(n)` (25; at most 200), `cursor(…)` of the page before.",
        _NAMES,
        "sort(-_modified),size(50)",
    ),
    "namespace": _query("namespace", "Where the new thing's id lies.", _NAMES),
    "extraFields": _query("extraFields", "Added to each event, as `fields` selects.", _NAMES),
    "after": _query("after", "Go on after this one: the `next` of the page before.", _NAMES),
    "limit": _query(
        "limit", "Items in a page.", {"type": "integer", "minimum": 1, "maximum": PAGES_MAX}
    ),
    "tenant": {**_query("tenant", "Devices of this tenant.", _TEXT), "required": True},
    "incident-kind": _query(
        "kind", "Incidents of this kind.", {"enum": ["conflict", "loss", "gap", "rollback"]}
    ),
    "incident-thing": _query("thing", "Incidents of the thing with this id.", _TEXT),
    "timeout": _query(
        "timeout", "How long to wait: `42s`, `250ms`, `1m`; 0 for not at all.", _DURATION
    ),
    "response-required": _query("response-required", "`false`: 202, and no answer.", _YES),
    "requested-acks": _query(
        "requested-acks",
        "Comma-separated labels that have to be given before the answer: `twin-persisted`, "
        "`search-persisted`, `live-response`, or any that a subscriber declares.",
        _NAMES,
    ),
    "condition": _query(
        "condition", "Done only if this RQL holds for the thing as it is.", _NAMES,
        "ge(attributes/version,3)",
    ),
    "channel": _query(
        "channel", "`live` asks the device itself.", {"type": "string", "enum": ["twin", "live"]}
    ),
    "live-channel-condition": _query(
        "live-channel-condition", "Ask the device itself if this RQL holds for the twin.", _NAMES
    ),
    "live-channel-timeout-strategy": _query(
        "live-channel-timeout-strategy",
        "If the device does not answer: fail, or tell what the twin has.",
        {"type": "string", "enum": ["fail", "use-twin"]},
    ),
    "allow-policy-lockout": _query(
        "allow-policy-lockout", "Let the caller lose its own right to change the policy.", _YES
    ),
    "at-historical-revision": _query(
        "at-historical-revision", "As it was at this revision.", {"type": "integer", "minimum": 1}
    ),
    "at-historical-timestamp": _query(
        "at-historical-timestamp", "As it was at this instant.",
        {"type": "string"}, "2026-11-22T16:00:00Z",
    ),
    "dry-run": _query("dry-run", "Tell what would be done, and do not do it.", _YES),
    "policy-view": _header(
        "policy-view", "`resolved`: with what it imports folded in.",
        {"type": "string", "enum": ["original", "resolved"]},
    ),
    "if-match": _header("If-Match", "Entity tags of which one must be there; `*` for any.", _NAMES),
    "if-none-match": _header(
        "If-None-Match", "Entity tags of which none may be there; `*`: it must not exist.", _NAMES
    ),
    "if-equal": _header(
        "if-equal", "What to do if nothing would change.",
        {"type": "string", "enum": ["update", "skip", "skip-minimizing-merge"]},
    ),
    "put-metadata": _header(
        "put-metadata", "A JSON array of `{key, value}`: metadata of what is written.", _NAMES,
        '[{"key":"*/unit","value":"K"}]',
    ),
    "get-metadata": _header("get-metadata", "Pointers into the metadata, comma-separated.", _NAMES),
    "delete-metadata": _header("delete-metadata", "Pointers of what is to go.", _NAMES),
    "merge-thing-patch-conditions": _header(
        "merge-thing-patch-conditions",
        "A JSON object of pointer to RQL: parts of the patch that are merged only then.", _NAMES,
    ),
    "littoral-mailbox-ttl": _header(
        "Littoral-Mailbox-TTL",
        "Seconds for which the message waits, durably, for a device that is away. Not in Ditto.",
        {"type": "integer", "minimum": 1},
    ),
    "last-event-id": _header("Last-Event-ID", "Go on after this hit.", _NAMES),
    **{
        name: _query(name, text, {"type": kind})
        for name, text, kind in (
            ("from-historical-revision", "First revision; negative counts from the end.", "integer"),
            ("to-historical-revision", "Last revision.", "integer"),
            ("from-historical-timestamp", "First instant.", "string"),
            ("to-historical-timestamp", "Last instant.", "string"),
        )
    },
    "ce-specversion": _header("ce-specversion", "1.0, in binary mode.", _NAMES, "1.0"),
    "ce-type": _header("ce-type", "Any.", _NAMES),
    "ce-source": _header("ce-source", "Any.", _NAMES),
    "ce-id": _header("ce-id", "Any.", _NAMES),
    "ce-time": _header("ce-time", "When it happened.", _NAMES),
    "ce-dataschema": _header("ce-dataschema", "Absent, or begins with `ditto:`.", _NAMES),
}  # fmt: skip

HEADERS: dict[str, Json] = {
    name: {"description": text, "schema": {"type": "string"}}
    for name, text in (
        ("correlation-id", "Given by the caller, or by the node: finds the request in its log."),
        ("etag", 'Entity tag: `"rev:…"` of a whole, `"hash:…"` of a part.'),
        ("location", "Where it is now."),
        ("link", "Where the next page is, as rel=next."),
        ("ditto-metadata", "The metadata that get-metadata asked for, as JSON."),
        ("littoral-answered-by", "`thing` if a device chose status and body."),
        ("channel", "`live` or `twin`: who answered."),
        ("live-channel-condition-matched", "Whether the live-channel-condition held."),
        ("content-security-policy", "What the page may load: nothing from elsewhere."),
    )
}
