"""Any request at all: an answer of the API's own, no error of ours, and nothing half done."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

T = "/api/2/things/org.acme:pump"
P = "/api/2/policies/org.acme:pump"
PUMP = {"attributes": {"a": 1}, "features": {"f": {"properties": {"p": 1}}}}

HEADERS = {
    "response-required": ["true", "false", "maybe"],
    "requested-acks": ["", "twin-persisted", "search-persisted,own", "live-response", "[", "x"],
    "timeout": ["0", "10ms", "61s", "-1", "1h"],
    "channel": ["twin", "live", "LIVE"],
    "if-match": ["*", '"rev:1"', "", "garbage"],
    "if-none-match": ["*", '"rev:1"', '"hash:00"'],
    "if-equal": ["update", "skip", "skip-minimizing-merge", ""],
    "condition": ["exists(attributes)", "eq(attributes/a,1)", "eq(_metadata/x,1)", "eq(", ""],
    "live-channel-condition": ["exists(attributes)", "eq(attributes/a,2)", "no"],
    "live-channel-timeout-strategy": ["fail", "use-twin", "x"],
    "merge-thing-patch-conditions": [
        '{"attributes/a":"exists(policyId)"}',
        "{}",
        "[]",
        '{"/":"x"}',
    ],
    "put-metadata": ["[]", '[{"key":"*/m","value":1}]', '[{"key":"a/b","value":{}}]', "{}"],
    "get-metadata": ["*", "attributes/a", "//"],
    "delete-metadata": ["attributes/a/m", "*", ""],
    "allow-policy-lockout": ["true", "false", "1"],
    "at-historical-revision": ["1", "0", "99", "x"],
    "at-historical-timestamp": ["2026-01-01T00:00:00Z", "now"],
    "policy-view": ["original", "resolved", "x"],
    "dry-run": ["true", "x"],
    "accept": ["*/*", "application/json", "text/html", "application/td+json"],
    "content-type": ["application/json", "application/merge-patch+json", "text/plain", "a;b"],
    "correlation-id": ["c", "", "x" * 300],
    "ditto-originator": ["me"],
}
PATHS = [
    *(
        T + below
        for below in (
            "",
            "/policyId",
            "/definition",
            "/attributes",
            "/attributes/a",
            "/attributes/a/b",
            "/attributes/%7E1",
            "/attributes/a%2Fb",
            "/features",
            "/features/f",
            "/features/*",
            "/features/f/definition",
            "/features/f/properties",
            "/features/f/properties/p",
            "/features/f/desiredProperties",
            "/features/f/nothing",
            "/migrateDefinition",
            "/inbox/messages/s",
            "/inbox/claim",
            "/features/f/outbox/messages/s",
        )
    ),
    "/api/2/things",
    "/api/2/things/org.acme:new",
    "/api/2/things/:",
    P,
    P + "/entries/DEFAULT",
    P + "/entries/DEFAULT/subjects/nginx:x",
    P + "/entries/DEFAULT/resources/thing:/a",
    P + "/imports",
    "/api/2/whoami",
    "/api/2/checkPermissions",
    "/api/2/cloudevents",
    "/api/2/nothing",
    "/",
    "//",
]
QUERIES = [
    "",
    "?fields=attributes(a",
    "?fields=_metadata,_policy,*",
    "?timeout=0",
    "?x=%ff",
    "?ids=a",
]
KEYS = ["a", "b", "thingId", "policyId", "_policy", "_copyPolicyFrom", "attributes", "features"]
KEYS += ["f", "properties", "definition", "entries", "subjects", "resources", "{{ ~.*~ }}", ""]
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.sampled_from(["", "a:b", "x/y", "\x00", "é"]),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(KEYS),
            inner,
            max_size=3,
        )
    ),
    max_leaves=8,
)
BODIES = VALUES.map(lambda value: json.dumps(value).encode()) | st.sampled_from(
    [b"", b"{", b"\xff", b'{"a":1}{"b":2}', b"NaN", b"1" * 400, b'"\\ud800"']
)


@st.composite
def requests(draw):
    chosen = draw(st.lists(st.sampled_from(sorted(HEADERS)), unique=True, max_size=4))
    headers = [(name, draw(st.sampled_from(HEADERS[name]))) for name in chosen]
    method = draw(st.sampled_from(["GET", "PUT", "PATCH", "POST", "DELETE", "HEAD"]))
    if method == "PATCH" and "content-type" not in chosen:
        headers.append(("content-type", "application/merge-patch+json"))
    path = draw(st.sampled_from(PATHS)) + draw(st.sampled_from(QUERIES))
    return method, path, draw(BODIES), headers


def state(node):
    twins = node.twins
    things = {one: (twins.revision_of(one), twins.peek(one)) for one in twins.list_ids()}
    policies = {one: twins.peek_policy(one) for one in twins.policy_ids()}
    return json.dumps([things, policies], sort_keys=True)


def test_of_a_key_that_comes_twice_the_last_counts(on_node):
    async def main(node):
        await node.call("PUT", T, PUMP)
        twice = b'{"a":{"x":1},"b":1,"a":{"y":2}}'
        assert (await node.call("PUT", T + "/attributes", twice)).status == 204
        once = {"a": {"y": 2}, "b": 1}
        assert (await node.call("GET", T + "/attributes")).json == once
        # What is refused is refused for what counts, and whole.
        refused = await node.call("PUT", T, b'{"attributes":{"c":1},"attributes":5}')
        assert (refused.status, refused.code) == (400, "things:merge.invalid")
        assert (await node.call("GET", T + "/attributes")).json == once

    on_node(main)


@pytest.mark.slow
@settings(
    max_examples=200,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.lists(requests(), min_size=1, max_size=6))
def test_no_request_is_answered_with_an_error_of_ours(on_node, asked):
    async def main(node):
        await node.call("PUT", T, PUMP)
        for method, path, body, headers in asked:
            before = state(node)
            answer = await node.call(method, path, body, headers=headers)
            assert answer.status < 500 or answer.status in {501, 504}, answer
            assert "correlation-id" in answer.headers
            if answer.status in {204, 304} or method == "HEAD":
                assert answer.body == b""
            elif answer.body:
                json.loads(answer.body)
            refused = answer.status >= 400 and answer.status not in {408, 424}
            if refused or method in {"GET", "HEAD"}:
                assert state(node) == before, (method, path, body, headers, answer)

    on_node(main)
