"""The JSON Schemas of what goes in and out, by the name that the tables use."""

import msgspec

from littoral.api.administration import ApiKeyRequest, TokenRequest, UserRequest
from littoral.api.beyond import AggregateBody, BulkBody, PolicyQuestion, TransactionBody
from littoral.api.docs.operation import Json
from littoral.api.operations import LoggerLevel

BODIES = (
    AggregateBody, ApiKeyRequest, BulkBody, LoggerLevel, PolicyQuestion, TokenRequest,
    TransactionBody, UserRequest,
)  # fmt: skip
"""What is read from bodies by these types; their schemas are theirs."""


_ID = r"^[^:]*:[^\x00-\x1f\x7f-\xff/]+$"
_FREE: Json = {"type": "object", "additionalProperties": True}
_TEXTS: Json = {"type": "array", "items": {"type": "string"}}
_RIGHTS: Json = {
    "type": "array",
    "items": {"type": "string", "enum": ["READ", "WRITE", "EXECUTE"]},
    "uniqueItems": True,
}


def _ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def _object(needed: tuple[str, ...] = (), /, **members: Json) -> Json:
    made: Json = {"type": "object", "properties": members, "additionalProperties": True}
    if needed:
        made["required"] = list(needed)
    return made


def _map(of: str) -> Json:
    return {"type": "object", "additionalProperties": _ref(of)}


def _page(of: str) -> Json:
    return _object(("items", "next"), items={"type": "array", "items": _ref(of)}, next=_TEXT)


_TEXT: Json = {"type": "string"}
_YES: Json = {"type": "boolean"}
_NUMBER: Json = {"type": "integer"}
_INSTANT: Json = {"type": "string", "format": "date-time"}
_THING: dict[str, Json] = {
    "thingId": {"type": "string", "pattern": _ID, "maxLength": 256},
    "policyId": {"type": "string", "pattern": _ID, "maxLength": 256},
    "definition": {
        "type": ["string", "null"],
        "description": "`namespace:name:version`, or a URL.",
    },
    "attributes": {"type": ["object", "null"], "additionalProperties": True},
    "features": _ref("Features"),
}
_SPECIAL: dict[str, Json] = {
    "_namespace": _TEXT,
    "_revision": _NUMBER,
    "_created": _INSTANT,
    "_modified": _INSTANT,
    "_metadata": _FREE,
    "_policy": _ref("Policy"),
    "_context": _FREE,
}
_WITH_POLICY: dict[str, Json] = {
    "_policy": {**_FREE, "description": "A policy to create with it, under the thing's id."},
    "_copyPolicyFrom": {
        "type": "string",
        "description": "Id of a policy to copy, or `{{ ref:things/<thingId>/policyId }}`.",
    },
}


def _of_bodies() -> dict[str, Json]:
    _, found = msgspec.json.schema_components(BODIES, ref_template="#/components/schemas/{name}")
    # As JSON and back: defaults are tuples there.
    made: dict[str, Json] = msgspec.json.decode(msgspec.json.encode(found))
    return made


SCHEMAS: dict[str, Json] = {
    **_of_bodies(),
    "Json": {"description": "Any JSON value."},
    "Text": _TEXT,
    "Count": {"type": "integer", "minimum": 0},
    "Stream": {"type": "string", "description": "Server-sent events; an empty one each second."},
    "Lines": {"type": "string", "description": "A JSON document on each line."},
    "Problem": {
        **_object(
            ("status", "error", "message"),
            status={"type": "integer", "minimum": 300, "maximum": 599},
            error={"type": "string", "description": "A stable code; docs/reference/errors.md."},
            message=_TEXT,
            description={"type": "string", "description": "What to do about it."},
            href=_TEXT,
        ),
        "description": "Why not. Programs branch on `error`; the sentences may change.",
    },
    "Acknowledgement": _object(
        ("status",), status=_NUMBER, payload=_ref("Json"), headers=_FREE
    ),
    "Acknowledgements": {
        **_map("Acknowledgement"),
        "description": "Label to what was acknowledged, if several were asked for.",
    },
    "NotAllAcknowledged": {"anyOf": [_ref("Acknowledgements"), _ref("Problem")]},
    "Attributes": _FREE,
    "Properties": _FREE,
    "Definition": {"type": ["string", "null"], "examples": ["org.example:lamp:1.0"]},
    "FeatureDefinition": {
        "type": ["array", "null"],
        "items": _TEXT,
        "minItems": 1,
        "examples": [["org.example:lamp:1.0"]],
    },
    "Feature": {
        **_object(
            definition=_ref("FeatureDefinition"),
            properties={"type": ["object", "null"], "additionalProperties": True},
            desiredProperties={"type": ["object", "null"], "additionalProperties": True},
        ),
        "type": ["object", "null"],
    },
    "Features": {
        "type": ["object", "null"],
        "additionalProperties": _ref("Feature"),
        "examples": [{"lamp": {"properties": {"on": True}}}],
    },
    "PolicyId": {"type": "string", "pattern": _ID, "maxLength": 256},
    "Thing": {**_object(**_THING, **_SPECIAL), "description": "A thing, or what was selected."},
    "NewThing": _object(**_THING, **_WITH_POLICY),
    "Patch": {"description": "RFC 7396: null deletes; a key `{{ ~regex~ }}` deletes by pattern."},
    "Things": {"type": "array", "items": _ref("Thing")},
    "SearchResult": _object(
        ("items",), items=_ref("Things"), cursor=_TEXT, nextPageOffset=_NUMBER
    ),
    "SearchForm": _object(filter=_TEXT, namespaces=_TEXT, fields=_TEXT, option=_TEXT),
    "CountForm": _object(filter=_TEXT, namespaces=_TEXT),
    "Subject": _object(
        type=_TEXT,
        expiry=_INSTANT,
        announcement=_FREE,
    ),
    "Subjects": _map("Subject"),
    "Resource": _object(("grant", "revoke"), grant=_RIGHTS, revoke=_RIGHTS),
    "Resources": _map("Resource"),
    "Namespaces": _TEXTS,
    "Importable": {"type": "string", "enum": ["implicit", "explicit", "never"]},
    "AllowedAdditions": {
        "type": "array",
        "items": {"type": "string", "enum": ["subjects", "resources", "namespaces"]},
    },
    "References": {"type": "array", "items": _FREE},
    "Entry": _object(
        subjects=_ref("Subjects"),
        resources=_ref("Resources"),
        namespaces=_ref("Namespaces"),
        importable=_ref("Importable"),
        allowedAdditions=_ref("AllowedAdditions"),
        references=_ref("References"),
    ),
    "Entries": _map("Entry"),
    "ImportEntries": _TEXTS,
    "TransitiveImports": _TEXTS,
    "Import": {
        **_object(entries=_ref("ImportEntries"), transitiveImports=_ref("TransitiveImports")),
    },
    "Imports": _map("Import"),
    "Policy": _object(
        policyId=_ref("PolicyId"),
        entries=_ref("Entries"),
        imports=_ref("Imports"),
        _namespace=_TEXT,
        _revision=_NUMBER,
        _created=_INSTANT,
        _modified=_INSTANT,
        _metadata=_FREE,
    ),
    "WhoAmI": _object(("defaultSubject", "subjects"), defaultSubject=_TEXT, subjects=_TEXTS),
    "PermissionCheck": _object(
        ("resource", "entityId", "hasPermissions"),
        resource={"type": "string", "examples": ["thing:/features/lamp"]},
        entityId={"type": "string", "pattern": _ID},
        hasPermissions=_RIGHTS,
    ),
    "PermissionChecks": _map("PermissionCheck"),
    "PermissionAnswers": {"type": "object", "additionalProperties": _YES},
    "TokenActivation": _object(announcement=_FREE),
    "Binary": {"description": "Whatever the content type says."},
    "ProtocolMessage": {
        **_object(
            ("topic", "path"),
            topic={"type": "string", "examples": ["org.littoral/lamp-1/things/twin/commands/modify"]},
            path={"type": "string", "examples": ["/attributes/site"]},
            headers=_FREE,
            value=_ref("Json"),
            fields=_TEXT,
            status=_NUMBER,
            extra=_FREE,
            revision=_NUMBER,
            timestamp=_INSTANT,
        ),
        "description": "One message of the Ditto Protocol.",
    },
    "Manifests": {
        "type": "string",
        "description": "A manifest on each line: `{apiVersion, kind, metadata, spec}`.",
    },
    "Ids": _object(("items", "next"), items=_TEXTS, next=_TEXT),
    "Tenant": _object(
        ("id", "namespaces"), id=_TEXT, namespaces=_TEXTS, defaultPolicy=_TEXT, enabled=_YES
    ),
    "Tenants": _page("Tenant"),
    "Device": _object(
        ("tenant", "id", "thingId", "enabled"),
        tenant=_TEXT, id=_TEXT, thingId=_TEXT, enabled=_YES,
    ),
    "Devices": _page("Device"),
    "Site": _object(
        ("name", "tenants"),
        name=_TEXT, tenants=_TEXTS, enrolled=_YES, revoked=_YES, link=_FREE,
    ),
    "Sites": _page("Site"),
    "Incident": _object(
        ("seq", "kind", "at", "node", "details"),
        seq={"type": "integer"}, kind={"enum": ["conflict", "loss", "gap", "rollback"]}, at=_INSTANT,
        node={"type": "string", "description": "Where it happened."},
        thingId=_TEXT, path=_TEXT, details=_FREE,
    ),
    "Incidents": _page("Incident"),
    "Status": _object(("node", "time", "ready", "log"), node=_FREE, time=_INSTANT, ready=_YES,
                      reason=_TEXT, log=_FREE, links=_FREE, parts=_FREE),
    "Token": _object(("token", "site", "expires"), token=_TEXT, site=_TEXT, expires=_INSTANT),
    "ApiKey": _object(
        ("id", "subjects", "created"),
        id=_TEXT, subjects=_TEXTS, roles=_TEXTS, comment=_TEXT, created=_INSTANT,
        expires={"type": ["string", "null"]},
        key={"type": "string", "description": "The secret; shown once, when it is made."},
    ),
    "ApiKeys": _page("ApiKey"),
    "User": _object(("name", "subjects", "roles"), name=_TEXT, subjects=_TEXTS, roles=_TEXTS),
    "Users": _page("User"),
    "Mail": _object(
        ("messageId", "subject", "kept", "expires"),
        messageId=_TEXT, subject=_TEXT, featureId=_TEXT, contentType=_TEXT, correlationId=_TEXT,
        sender=_TEXT, responseRequired=_YES, bytes=_NUMBER, kept=_INSTANT, expires=_INSTANT,
        offered=_NUMBER, value=_ref("Json"),
    ),
    "Mails": _object(("items",), items={"type": "array", "items": _ref("Mail")}),
    "Cancelled": _object(("cancelled",), cancelled=_TEXTS),
    "Tree": _object(
        ("label", "status"), label=_TEXT,
        status={"type": "string", "enum": ["UP", "DOWN", "UNKNOWN"]},
        details={"type": "array"}, children={"type": "array", "items": _ref("Tree")},
    ),
    "Cluster": _object(("reachable", "leader"), reachable=_TEXTS, unreachable=_TEXTS, leader=_TEXT),
    "NodeStatus": _object(("health", "cluster"), health=_ref("Tree"), cluster=_ref("Cluster")),
    "Counts": _object(
        ("allThingsCount",), allThingsCount=_NUMBER, hotThingsCount=_NUMBER,
        namespaces={"type": "object", "additionalProperties": _NUMBER},
    ),
    "Loggers": {"type": "object", "description": "Service to instance to what it says."},
    "BulkReport": _object(
        ("matched", "changed", "unchanged", "refused"),
        dryRun=_YES, matched=_NUMBER, changed=_NUMBER, unchanged=_NUMBER, refused=_NUMBER,
        refusedByCode={"type": "object", "additionalProperties": _NUMBER},
        refusals={"type": "array", "items": _FREE}, sample=_TEXTS, stopped=_TEXT,
    ),
    "Groups": _object(
        ("groups",), groups={"type": "array", "items": _object(("keys", "values"), keys=_FREE, values=_FREE)},
    ),
    "StepResults": _object(
        ("results",),
        results={"type": "array", "items": _object(
            ("thingId", "status"), thingId=_TEXT, path=_TEXT, status=_NUMBER, revision=_NUMBER,
            etag=_TEXT,
        )},
    ),
    "SearchPlan": _object(
        ("plan", "hits"), plan=_TEXT, driver=_TEXT,
        estimates={"type": "object", "additionalProperties": _NUMBER}, statements=_TEXTS,
        steps=_TEXTS, hits=_NUMBER,
    ),
    "Decision": _object(
        ("allowed", "because", "policyId", "grantedBy", "revokedBy"),
        allowed=_YES, because=_TEXT, policyId=_TEXT, subjects=_TEXTS, permission=_TEXT,
        resource=_TEXT, partly=_YES, grantedBy={"type": "array", "items": _ref("Rule")},
        revokedBy={"type": "array", "items": _ref("Rule")},
    ),
    "Rule": _object(
        ("entry", "subject", "resource"), entry=_TEXT, subject=_TEXT, resource=_TEXT,
        depth=_NUMBER, policyId=_TEXT, writtenAs=_TEXT,
    ),
    "Health": _object(("status",), status={"type": "string", "enum": ["UP", "DOWN"]}),
}  # fmt: skip
