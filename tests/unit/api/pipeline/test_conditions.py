"""Conditions, metadata and selectors of commands over HTTP: headers in, status and headers out."""

import asyncio
import json

import pytest

T = "/api/2/things/org.acme:pump"
PUMP = {
    "attributes": {"model": "P1", "count": 3},
    "features": {"motor": {"properties": {"rpm": 10}}},
}


@pytest.mark.parametrize(
    ("method", "path", "body", "holds", "fails"),
    [
        ("GET", "", None, 200, 412),
        ("GET", "/attributes/count", None, 200, 412),
        ("PUT", "", PUMP, 204, 412),
        ("PUT", "/attributes/count", 4, 204, 412),
        ("PUT", "/attributes/new", 4, 201, 412),
        ("PATCH", "", {"attributes": {"count": 5}}, 204, 412),
        ("DELETE", "/attributes/count", None, 204, 412),
        ("DELETE", "", None, 204, 412),
    ],
)
def test_a_condition_stands_before_a_command(on_node, method, path, body, holds, fails):
    async def main(node):
        await node.call("PUT", T, PUMP)
        wrong = {"condition": 'ne(attributes/model,"P1")'}
        refused = await node.call(method, T + path, body, headers=wrong)
        assert (refused.status, refused.code) == (fails, "things:condition.failed")
        assert (await node.call("GET", T)).headers["etag"] == '"rev:1"'
        query = '?condition=and(eq(attributes/model,"P1"),gt(attributes/count,2))'
        assert (await node.call(method, T + path + query, body)).status == holds

    on_node(main)


def test_a_thing_that_is_not_there_is_created_whatever_the_condition(on_node):
    async def main(node):
        made = await node.call("PUT", T, PUMP, headers={"condition": "exists(attributes/none)"})
        assert made.status == 201

    on_node(main)


def test_a_merge_leaves_out_what_its_conditions_forbid(on_node):
    async def main(node):
        await node.call("PUT", T, PUMP)
        conditions = {
            "attributes/count": "gt(attributes/count,9)",
            "attributes/a": "exists(policyId)",
        }
        headers = {"merge-thing-patch-conditions": json.dumps(conditions)}
        patch = {"attributes": {"count": 4, "a": 1}}
        assert (await node.call("PATCH", T, patch, headers=headers)).status == 204
        assert (await node.call("GET", T + "/attributes")).json == {
            "model": "P1",
            "count": 3,
            "a": 1,
        }

    on_node(main)


def test_what_changes_nothing_can_be_skipped(on_node):
    async def main(node):
        await node.call("PUT", T, PUMP)
        for if_equal in ("skip", "skip-minimizing-merge"):
            headers = {"if-equal": if_equal}
            same = await node.call("PUT", T + "/attributes/count", 3, headers=headers)
            assert (same.status, same.code) == (412, "things:precondition.failed")
        assert (await node.call("PUT", T + "/attributes/count", 3)).status == 204
        assert (await node.call("GET", T)).headers["etag"] == '"rev:2"'

    on_node(main)


def test_metadata_is_put_shown_and_deleted(on_node):
    async def main(node):
        await node.call("PUT", T, PUMP)
        unit = [{"key": "attributes/count/unit", "value": "pieces"}]
        put = await node.call("PUT", T, PUMP, headers={"put-metadata": json.dumps(unit)})
        assert put.status == 204, put.body
        shown = await node.call("GET", T, headers={"get-metadata": "attributes/count/unit"})
        assert json.loads(shown.headers["ditto-metadata"]) == {
            "attributes": {"count": {"unit": "pieces"}}
        }
        selected = await node.call("GET", T + "?fields=_metadata")
        assert selected.json == {"_metadata": {"attributes": {"count": {"unit": "pieces"}}}}
        gone = await node.call("PUT", T, PUMP, headers={"delete-metadata": "attributes/count/unit"})
        assert gone.status == 204, gone.body
        assert (await node.call("GET", T + "?fields=_metadata/attributes/count/unit")).json == {}

    on_node(main)


def test_members_that_are_hidden_come_if_they_are_asked_for(on_node):
    async def main(node):
        await node.call("PUT", T, PUMP)
        fields = "_revision,_namespace,_created,_modified,_policy(policyId),attributes/model"
        shown = (await node.call("GET", f"{T}?fields={fields}")).json
        assert shown["_revision"] == 1
        assert shown["_namespace"] == "org.acme"
        assert shown["_created"] == shown["_modified"]
        assert shown["_policy"] == {"policyId": "org.acme:pump"}
        assert shown["attributes"] == {"model": "P1"}
        features = await node.call("GET", T + "/features?fields=*/properties/rpm")
        assert features.json == {"motor": {"properties": {"rpm": 10}}}
        assert not any(name.startswith("_") for name in (await node.call("GET", T)).json)

    on_node(main)


def test_a_read_that_shows_the_policy_is_never_304(on_node):
    async def main(node):
        await node.call("PUT", T, PUMP)
        tag = {"if-none-match": '"rev:1"'}
        assert (await node.call("GET", T + "?fields=attributes", headers=tag)).status == 304
        assert (await node.call("GET", T + "?fields=_policy", headers=tag)).status == 200

    on_node(main)


def test_a_past_state_is_read_by_revision_and_by_instant(on_node):
    async def main(node):
        await node.call("PUT", T, PUMP)
        first = (await node.call("GET", T + "?fields=_modified")).json["_modified"]
        await asyncio.sleep(5)
        await node.call("PUT", T + "/attributes/count", 4)
        for name, value in (("at-historical-revision", "1"), ("at-historical-timestamp", first)):
            for where in ({}, {name: value}):
                query = "" if where else f"?{name}={value}"
                old = await node.call("GET", T + query, headers=where)
                assert (old.status, old.json["attributes"]["count"]) == (200, 3)
                part = await node.call("GET", T + "/attributes/count" + query, headers=where)
                assert part.json == 3

    on_node(main)


def test_a_condition_may_name_the_thing_itself(on_node):
    async def main(node):
        thing = "/api/2/things/org.littoral:named"
        await node.call("PUT", thing, {"policyId": "org.littoral:default"})
        for query, status in (
            ('eq(thing:id,"org.littoral:named")', 200),
            ('eq(entity:name,"named")', 200),
            ('eq(thing:namespace,"org.other")', 412),
        ):
            answer = await node.call("GET", thing, headers=[("condition", query)])
            assert answer.status == status, query

    on_node(main)


def test_a_read_that_wants_no_answer_gets_none(on_node):
    async def main(node):
        thing = "/api/2/things/org.littoral:silent"
        await node.call("PUT", thing, {"policyId": "org.littoral:default"})
        for query in ("timeout=0", "response-required=false"):
            answer = await node.call("GET", f"{thing}?{query}")
            assert (answer.status, answer.body) == (202, b""), query

    on_node(main)
