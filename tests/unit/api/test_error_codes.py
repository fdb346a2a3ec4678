"""Each error code of Ditto that HTTP can cause: its status, its body, and that nothing was written.

`error_codes.json` has Ditto's table of codes and statuses (connectivity, protocol adapter,
placeholders, tokens and WoT aside), and of the codes that no request here causes, why.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path

import pytest

TABLE = json.loads((Path(__file__).parent / "error_codes.json").read_text())
SPEC, ELSEWHERE = TABLE["statuses"], TABLE["elsewhere"]

OWNER, EVE, MALLORY = ("ditto", "ditto"), ("eve", "e"), ("mallory", "m")
T = "/api/2/things/org.acme:pump"
P = "/api/2/policies/org.acme:pump"
F = T + "/features/motor"
NONE = "/api/2/things/org.acme:none"

PARTS = {
    # path below a thing: the name in codes, and a value that could stand there
    "/attributes": ("attributes", {}),
    "/attributes/secret": ("attribute", 1),
    "/definition": ("definition", "a:b:1"),
    "/features": ("features", {}),
    "/features/motor": ("feature", {}),
    "/features/motor/definition": ("feature.definition", ["a:b:1"]),
    "/features/motor/properties": ("feature.properties", {}),
    "/features/motor/properties/rpm": ("feature.property", 1),
    "/features/motor/desiredProperties": ("feature.desiredProperties", {}),
    "/features/motor/desiredProperties/rpm": ("feature.desiredProperty", 1),
    "/policyId": ("policyId", "org.acme:pump"),
}


@dataclass(frozen=True)
class Case:
    """One request that is refused."""

    code: str
    method: str
    path: str
    body: object = None
    headers: dict[str, str] = field(default_factory=dict)
    user: tuple[str, str] = OWNER
    status: int = 0
    """Only where a code has more than one."""
    inner: str = ""
    """The label whose acknowledgement has the error, in an answer that is several."""

    def __str__(self) -> str:
        return f"{self.code} {self.method} {self.path[:60]}"


def _read_only() -> list[Case]:
    cases = []
    for path, (name, value) in PARTS.items():
        cases.append(Case(f"things:{name}.notmodifiable", "PUT", T + path, value, user=EVE))
        cases.append(Case(f"things:{name}.notmodifiable", "PATCH", T + path, value, user=EVE))
        if name != "policyId":
            cases.append(Case(f"things:{name}.notmodifiable", "DELETE", T + path, user=EVE))
            # 'empty' has a feature without anything in it, 'bare' has nothing at all.
            missing = f"/api/2/things/org.acme:{'empty' if '.' in name else 'bare'}{path}"
            cases.append(Case(f"things:{name}.notfound", "GET", missing))
            cases.append(Case(f"things:{name}.notfound", "DELETE", missing))
        else:
            cases.append(Case(f"things:{name}.notfound", "GET", T + path, user=EVE))
    return cases


LARGE = "x" * (100 * 1024)
MERGE = {"content-type": "application/merge-patch+json"}
SSE = {"accept": "text/event-stream"}
ENTRY = P + "/entries/owner"
CLOUD = "/api/2/cloudevents"
CE = {"ce-id": "1", "ce-source": "x", "ce-type": "x", "ce-specversion": "1.0"}


def _policy(**entry: object) -> dict[str, object]:
    return {
        "subjects": {"nginx:ditto": {"type": "x"}},
        "resources": {
            "thing:/": {"grant": ["READ", "WRITE"], "revoke": []},
            "policy:/": {"grant": ["READ", "WRITE"], "revoke": []},
        },
        **entry,
    }


INLINE = {"entries": {"e": _policy()}}
FOREIGN = {"entries": {"e": _policy(subjects={"nginx:eve": {"type": "x"}})}}


def _subject(**subject: object) -> dict[str, object]:
    return {"nginx:ditto": {"type": "x"}, "nginx:new": {"type": "x", **subject}}


CASES = [
    # -- the gateway -----------------------------------------------------------------------------
    Case("api.version.notsupported", "GET", "/api/1/things"),
    Case("gateway:authentication.failed", "GET", T, user=("ditto", "wrong")),
    Case("gateway:method.notallowed", "POST", T, {}),
    Case("gateway:method.notallowed", "DELETE", T + "/policyId"),
    Case("gateway:method.notallowed", "PATCH", P, {}),
    Case("gateway:duplicate.header.field", "PUT", T + "?timeout=1s", {}, {"timeout": "1s"}),
    Case("gateway:timeout.invalid", "PUT", T + "?timeout=61s", {}),
    Case("gateway:timeout.invalid", "PUT", T, {}, {"timeout": "soon"}),
    Case("headers.too.large", "GET", T, None, {f"x-{n}": "1" for n in range(64)}),
    Case("headers.too.large", "GET", T, None, {"x-long": "1" * (16 * 1024 + 1)}),
    Case("mediatype.unsupported", "PATCH", T, b"{}", {"content-type": "application/json"}),
    Case("mediatype.unsupported", "PUT", T, b"<a/>", {"content-type": "text/xml"}),
    Case("header.invalid", "PUT", T, {}, {"if-equal": "maybe"}),
    Case("header.invalid", "PUT", T, {}, {"response-required": "maybe"}),
    Case("header.invalid", "GET", T, None, {"channel": "third"}),
    Case("header.invalid", "GET", T, None, {"at-historical-revision": "first"}),
    Case("header.invalid", "GET", T, None, {"live-channel-timeout-strategy": "wait"}),
    Case("header.invalid", "PUT", T, {}, {"put-metadata": "{"}),
    Case("header.invalid", "PUT", T, {}, {"put-metadata": '[{"key":"a"}]'}),
    Case("header.invalid", "PATCH", T, {}, {"merge-thing-patch-conditions": "[]"}),
    Case("command.headers.invalid", "PUT", T, {}, {"timeout": "0", "response-required": "true"}),
    Case("command.headers.invalid", "PUT", T, {}, {"timeout": "0", "requested-acks": "abc"}),
    Case("command.timeout", "GET", T, None, {"channel": "live", "timeout": "1s"}),
    Case("command.timeout", "POST", T + "/inbox/messages/ask?timeout=1s", b"?"),
    # -- JSON ------------------------------------------------------------------------------------
    Case("json.invalid", "PUT", T, b"{"),
    Case("json.invalid", "PUT", T, b""),
    Case("json.invalid", "PUT", T + "/attributes/a", b'"\xff\xfe"'),
    Case("json.invalid", "PUT", T + "/attributes/a", b"NaN"),
    Case("json.invalid", "PUT", T + "/attributes/a", b"[" * 66 + b"]" * 66),
    Case("json.invalid", "PUT", T + "/attributes/a", b"[" * 40_000 + b"]" * 40_000),
    Case("json.invalid", "PATCH", T + "/attributes", b'{"a":' * 70 + b"1" + b"}" * 70, MERGE),
    Case("json.key.invalid", "PUT", T + "/attributes", {"a/b": 1}),
    Case("json.key.invalid", "PUT", T + "/attributes", {"": 1}),
    Case("json.key.invalid", "PUT", T + "/attributes", {"a": [{"b\x00": 1}]}),
    Case("json.key.invalid", "PUT", T, {"attributes": {"\x7f": 1}}),
    Case("json.pointer.invalid", "PUT", F + "/properties//a", 1),
    Case("json.pointer.invalid", "PUT", T + "/attributes/a~2", 1),
    Case("json.fieldselector.invalid", "GET", T + "?fields=attributes("),
    Case("namespacedentity.id.invalid", "POST", "/api/2/things?namespace=1bad", {}),
    # -- things ----------------------------------------------------------------------------------
    *_read_only(),
    Case("things:thing.notfound", "GET", NONE),
    Case("things:thing.notfound", "GET", T, user=MALLORY),
    Case("things:thing.notfound", "PUT", NONE + "/attributes", {}),
    Case("things:thing.notfound", "PATCH", NONE + "/attributes/a", 1),
    Case("things:thing.notfound", "DELETE", NONE),
    Case("things:attribute.notfound", "GET", T + "/attributes/secret", user=EVE),
    Case("things:thing.history.notfound", "GET", T + "?at-historical-revision=99"),
    Case("things:thing.notmodifiable", "PUT", T, {}, user=EVE),
    Case("things:thing.notmodifiable", "PATCH", T, {"attributes": {"secret": 1}}, user=EVE),
    Case("things:thing.notmodifiable", "PUT", T, {}, user=MALLORY),
    Case("things:thing.notdeletable", "DELETE", T, user=EVE),
    Case("things:thing.notcreatable", "PUT", NONE, {"policyId": "org.acme:nopolicy"}),
    Case("things:thing.notcreatable", "PUT", "/api/2/things/org.acme:taken", {}),
    Case("things:thing.notcreatable", "POST", "/api/2/things?channel=live", {}, status=405),
    Case("things:condition.failed", "PUT", T, {}, {"condition": 'eq(attributes/open,"x")'}),
    Case("things:condition.failed", "GET", T + '?condition=eq(attributes/open,"x")'),
    Case("things:condition.failed", "DELETE", T, None, {"condition": "exists(attributes/none)"}),
    Case("things:condition.invalid", "PUT", T, {}, {"condition": "eq(attributes/open"}),
    Case("things:condition.invalid", "GET", T, None, {"live-channel-condition": "nonsense"}),
    Case("things:precondition.failed", "PUT", T, {}, {"if-match": '"rev:9"'}),
    Case("things:precondition.failed", "PUT", T, {}, {"if-none-match": "*"}),
    Case("things:precondition.failed", "GET", T, None, {"if-match": '"rev:9"'}),
    Case("things:precondition.failed", "PUT", T + "/attributes/open", 1, {"if-equal": "skip"}),
    Case("things:precondition.notmodified", "GET", T, None, {"if-none-match": '"rev:1"'}),
    Case(
        "things:live.channelcondition.notallowed",
        "PUT",
        T,
        {},
        {"live-channel-condition": "exists(attributes)"},
    ),
    Case("things:thing.toolarge", "PUT", T, {"attributes": {"a": LARGE}}),
    Case("things:thing.toolarge", "PATCH", T + "/attributes/b", "y" * (100 * 1024 - 50)),
    Case("things:thing.toolarge", "PUT", NONE, {"attributes": {"a": "x" * (100 * 1024 - 25)}}),
    Case("things:precondition.failed", "PUT", NONE, {}, {"if-match": "*"}),
    Case("things:merge.invalid", "PUT", NONE, {"_policy": INLINE, "features": 1}),
    Case("policies:policy.notcreatable", "PUT", NONE, {"_policy": FOREIGN}),
    Case("policies:entry.invalid", "PUT", NONE, {"_policy": {"entries": {"e": 1}}}),
    Case(
        "things:metadata.notmodifiable",
        "PUT",
        NONE,
        {},
        {"put-metadata": '[{"key":"*/*/x","value":1}]'},
    ),
    Case("things:id.invalid", "GET", "/api/2/things/nonsense"),
    Case("things:id.invalid", "PUT", "/api/2/things/a:" + "x" * 255, {}),
    Case("things:id.notsettable", "PUT", T, {"thingId": "org.acme:other"}),
    Case("things:id.notsettable", "POST", "/api/2/things", {"thingId": "org.acme:other"}),
    Case("things:id.notdeletable", "PATCH", T, {"thingId": None}),
    Case("things:policyId.notdeletable", "PATCH", T, {"policyId": None}),
    Case("things:policyId.notdeletable", "PATCH", T + "/policyId", b"null", MERGE),
    Case("things:definition.identifier.invalid", "PUT", T + "/definition", "nonsense"),
    Case("things:feature.definition.empty", "PUT", F + "/definition", []),
    Case("things:field.selection.invalid", "GET", T + "?extraFields=colour", None, SSE),
    Case("things:merge.invalid", "PUT", T, []),
    Case("things:merge.invalid", "PATCH", T, {"features": {"motor": 1}}),
    Case(
        "things:metadata.headersconflict",
        "PUT",
        T,
        {},
        {"put-metadata": '[{"key":"a","value":1}]', "delete-metadata": "a"},
    ),
    Case(
        "things:metadata.notmodifiable",
        "PUT",
        T,
        {},
        {"put-metadata": '[{"key":"x/*/y","value":1}]'},
    ),
    Case(
        "things:policy.conflicting",
        "PUT",
        NONE,
        {"_policy": {"entries": {}}, "_copyPolicyFrom": "org.acme:pump"},
    ),
    Case("things:policy.invalid", "PUT", NONE, {"_policy": 1}),
    Case("things:policy.notallowed", "PUT", T, {"_policy": {"entries": {}}}),
    # -- acknowledgements --------------------------------------------------------------------------
    Case("acknowledgement:label.invalid", "PUT", T, {}, {"requested-acks": "a!"}),
    Case("acknowledgement:request.parsing.failed", "PUT", T, {}, {"requested-acks": "[1]"}),
    Case(
        "acknowledgement:request.timeout",
        "PUT",
        T + "/attributes/ack",
        1,
        {"requested-acks": "nobodys", "timeout": "1s"},
        inner="nobodys",
    ),
    # -- messages ----------------------------------------------------------------------------------
    Case("messages:send.notallowed", "POST", T + "/inbox/messages/ask", b"?", user=EVE),
    Case("messages:payload.toolarge", "POST", T + "/inbox/messages/ask", b"x" * (250 * 1024 + 1)),
    Case("messages:subject.invalid", "POST", T + "/inbox/messages/a%00b", b"?"),
    Case("messages:featureid.invalid", "POST", T + "/features/a%00b/inbox/messages/s", b"?"),
    # -- cloud events ------------------------------------------------------------------------------
    Case(
        "cloudevent.payload.missing", "POST", CLOUD, b"", CE | {"content-type": "application/json"}
    ),
    Case(
        "cloudevent.unparsable",
        "POST",
        CLOUD,
        b"{",
        {"content-type": "application/cloudevents+json"},
    ),
    Case(
        "cloudevent.dataschema.unsupported",
        "POST",
        CLOUD,
        {},
        CE | {"ce-dataschema": "http://x", "content-type": "application/json"},
    ),
    # -- search ------------------------------------------------------------------------------------
    Case("rql.expression.invalid", "GET", "/api/2/search/things?filter=eq("),
    Case("rql.expression.invalid", "GET", "/api/2/search/things/count?filter=eq("),
    Case("thing-search:search.option.invalid", "GET", "/api/2/search/things?option=size(0)"),
    Case("thing-search:search.option.invalid", "GET", "/api/2/things?option=colour(1)"),
    Case("thing-search:search.namespaces.invalid", "GET", "/api/2/search/things?namespaces=1bad"),
    # -- policies ----------------------------------------------------------------------------------
    Case("policies:policy.notfound", "GET", "/api/2/policies/org.acme:none"),
    Case("policies:policy.notfound", "GET", P, user=MALLORY),
    Case("policies:policy.history.notfound", "GET", P + "?at-historical-revision=99"),
    Case("policies:entry.notfound", "GET", P + "/entries/none"),
    Case("policies:entry.notfound", "DELETE", P + "/entries/none"),
    Case("policies:subject.notfound", "GET", ENTRY + "/subjects/nginx:none"),
    Case("policies:subjects.notfound", "GET", P + "/entries/none/subjects"),
    Case("policies:resource.notfound", "GET", ENTRY + "/resources/thing:/none"),
    Case("policies:resources.notfound", "GET", P + "/entries/none/resources"),
    Case("policies:import.notfound", "GET", P + "/imports/org.acme:none"),
    Case("policies:imports.notfound", "GET", P + "/imports", user=EVE),
    Case("policies:policy.notmodifiable", "PUT", P, {"entries": {"e": _policy()}}, user=EVE),
    Case("policies:entry.notmodifiable", "PUT", ENTRY, _policy(), user=EVE),
    Case("policies:subjects.notmodifiable", "PUT", ENTRY + "/subjects", {}, user=EVE),
    Case("policies:subject.notmodifiable", "PUT", ENTRY + "/subjects/nginx:x", {}, user=EVE),
    Case("policies:resources.notmodifiable", "PUT", ENTRY + "/resources", {}, user=EVE),
    Case(
        "policies:resource.notmodifiable",
        "PUT",
        ENTRY + "/resources/thing:/x",
        {"grant": ["READ"], "revoke": []},
        user=EVE,
    ),
    Case("policies:imports.notmodifiable", "PUT", P + "/imports", {}, user=EVE),
    Case("policies:import.notmodifiable", "PUT", P + "/imports/org.acme:taken", {}, user=EVE),
    Case("policies:policy.modificationinvalid", "PUT", P, {"entries": {}}),
    Case("policies:entry.modificationinvalid", "DELETE", ENTRY),
    Case("policies:entry.referenceconflict", "DELETE", P + "/entries/base"),
    Case("policies:precondition.failed", "PUT", P, {}, {"if-match": '"rev:9"'}),
    Case("policies:precondition.notmodified", "GET", P, None, {"if-none-match": '"rev:1"'}),
    Case(
        "policies:policy.toolarge",
        "PUT",
        P,
        {"entries": {"e": _policy(subjects=_subject(type=LARGE))}},
    ),
    Case("policies:entry.invalid", "PUT", ENTRY, {"subjects": 1}),
    Case("policies:id.invalid", "GET", "/api/2/policies/nonsense"),
    Case(
        "policies:id.notsettable", "PUT", P, {"policyId": "org.acme:x", "entries": {"e": _policy()}}
    ),
    Case("policies:id.notsettable", "POST", "/api/2/policies", {"policyId": "org.acme:x"}),
    Case("policies:import.invalid", "PUT", P + "/imports/org.acme:pump", {}),
    Case(
        "policies:imports.toolarge",
        "PUT",
        P + "/imports",
        {f"org.acme:i{n}": {} for n in range(11)},
    ),
    Case("policies:label.invalid", "PUT", P + "/entries/imported-x", _policy()),
    Case("policies:subjectid.invalid", "PUT", ENTRY + "/subjects", {"nocolon": {"type": "x"}}),
    Case(
        "policies:subjectexpiry.invalid",
        "PUT",
        ENTRY + "/subjects",
        _subject(expiry="1999-01-01T00:00:00Z"),
    ),
    Case(
        "policies:subjectannouncement.invalid",
        "PUT",
        ENTRY + "/subjects",
        _subject(announcement={"beforeExpiry": "soon"}),
    ),
    Case("policies:view.invalid", "GET", P, None, {"policy-view": "both"}),
]

ALL = {"grant": ["READ", "WRITE"], "revoke": []}
POLICY = {
    "entries": {
        "owner": {
            "subjects": {"nginx:ditto": {"type": "x"}},
            "resources": {"thing:/": ALL, "policy:/": ALL, "message:/": ALL},
        },
        "reader": {
            "subjects": {"nginx:eve": {"type": "x"}},
            "resources": {
                "thing:/attributes/open": {"grant": ["READ"], "revoke": []},
                "policy:/entries/reader": {"grant": ["READ"], "revoke": []},
            },
        },
        "base": {"subjects": {}, "resources": {}},
        "user": {"subjects": {}, "resources": {}, "references": [{"entry": "base"}]},
    }
}
PUMP = {
    "policyId": "org.acme:pump",
    "definition": "org.acme:pump:1",
    "attributes": {"open": 1, "secret": 2, "long": "x" * 60_000},
    "features": {
        "motor": {
            "definition": ["org.acme:motor:1"],
            "properties": {"rpm": 10},
            "desiredProperties": {"rpm": 20},
        }
    },
}


async def furnish(node):
    """The things, policies and users that the cases speak of."""
    for user in (EVE, MALLORY):
        node.registry.put_user(user[0], generated_password=user[1])
    for policy_id in ("org.acme:pump", "org.acme:taken"):
        made = await node.call("PUT", f"/api/2/policies/{policy_id}", POLICY)
        assert made.status == 201, made.body
    for name, thing in {
        "pump": PUMP,
        "bare": {"policyId": "org.acme:pump"},
        "empty": {"policyId": "org.acme:pump", "features": {"motor": {}}},
    }.items():
        made = await node.call("PUT", f"/api/2/things/org.acme:{name}", thing)
        assert made.status == 201, made.body


def contents(node):
    """Everything that is stored: a refusal must not change it."""
    twins = node.twins
    things = {one: (twins.revision_of(one), twins.peek(one)) for one in twins.list_ids()}
    policies = {one: twins.peek_policy(one) for one in twins.policy_ids()}
    return json.dumps([things, policies], sort_keys=True)


@pytest.mark.parametrize("case", CASES, ids=[f"{n:03} {case}" for n, case in enumerate(CASES)])
def test_a_code_has_its_status_its_body_and_no_effect(on_node, case):
    async def main(node):
        await furnish(node)
        before = contents(node)
        answer = await node.call(
            case.method, case.path, case.body, user=case.user, headers=case.headers
        )
        status = case.status or SPEC[case.code]
        assert answer.headers["correlation-id"]
        if case.inner:
            acknowledgement = answer.json[case.inner]
            assert acknowledgement["status"] == answer.status == status
            assert acknowledgement["payload"]["error"] == case.code
            return
        if status == 304:
            assert (answer.status, answer.body) == (304, b"")
            assert answer.headers["etag"]
        else:
            body = answer.json
            assert (answer.status, body.get("error")) == (status, case.code), body
            assert answer.headers["content-type"] == "application/json"
            assert body["status"] == status
            assert body["message"]
            assert isinstance(body.get("description", ""), str)
        assert contents(node) == before

    on_node(main)


def test_every_code_of_the_table_is_caused_here_or_said_why_not():
    caused = {case.code for case in CASES}
    assert caused & ELSEWHERE.keys() == set()
    assert caused | ELSEWHERE.keys() == SPEC.keys()


def test_the_last_of_two_equal_keys_counts_as_in_ditto(on_node):
    async def main(node):
        await furnish(node)
        await node.call("PUT", T + "/attributes/twice", b'{"a":1,"a":2}')
        assert (await node.call("GET", T + "/attributes/twice")).json == {"a": 2}

    on_node(main)
