"""Bulk changes by RQL: what is found is changed, thing by thing, as its policy lets."""

import json

import pytest

BULK = "/api/littoral/v1/bulk/things"
POLICY = "org.littoral:default"
CLOSED = {
    "entries": {
        "owner": {
            "subjects": {"a:b": {"type": "x"}},
            "resources": {
                f"{kind}:/": {"grant": ["READ", "WRITE"], "revoke": []}
                for kind in ("thing", "policy", "message")
            },
        },
        "reader": {
            "subjects": {"nginx:ditto": {"type": "x"}},
            "resources": {"thing:/": {"grant": ["READ"], "revoke": []}},
        },
    }
}


async def fleet(node, count=6):
    """Things of two kinds; the last may be read by the caller, and not written."""
    await node.twins.put_policy(node.admin, "org.littoral:closed", "/", CLOSED)
    for n in range(count):
        policy = "org.littoral:closed" if n == count - 1 else POLICY
        body = {"policyId": policy, "attributes": {"n": n, "kind": "even" if n % 2 == 0 else "odd"}}
        await node.twins.modify(node.admin, f"org.littoral:t{n}", "/", body)


async def kinds(node, count=6):
    return [node.twins.peek(f"org.littoral:t{n}")["attributes"].get("kind") for n in range(count)]


def asked(**more):
    return {
        "filter": 'eq(attributes/kind,"odd")',
        "action": "merge",
        "path": "/attributes",
        "value": {"kind": "strange"},
    } | more


def test_what_the_filter_finds_is_changed_and_the_rest_is_not(on_node):
    async def main(node):
        await fleet(node)
        answer = await node.call("POST", BULK, asked())
        assert answer.status == 200, answer.body
        report = answer.json
        assert (report["matched"], report["changed"], report["refused"]) == (3, 2, 1)
        assert report["refusals"][0]["thingId"] == "org.littoral:t5"
        assert report["sample"] == ["org.littoral:t1", "org.littoral:t3"]
        assert await kinds(node) == ["even", "strange", "even", "strange", "even", "odd"]

    on_node(main)


def test_a_dry_run_tells_the_same_and_writes_nothing(on_node):
    async def main(node):
        await fleet(node)
        head = node.log.head
        dry = (await node.call("POST", BULK, asked(dryRun=True))).json
        assert node.log.head == head
        wet = (await node.call("POST", BULK, asked())).json
        assert dry | {"dryRun": False} == wet

    on_node(main)


def test_things_are_deleted_in_bulk(on_node):
    async def main(node):
        await fleet(node)
        body = {"filter": "lt(attributes/n,4)", "action": "delete"}
        assert (await node.call("POST", BULK, body)).json["changed"] == 4
        assert [node.twins.exists(f"org.littoral:t{n}") for n in range(6)] == [False] * 4 + [
            True
        ] * 2

    on_node(main)


def test_doing_it_again_changes_nothing_more(on_node):
    async def main(node):
        await fleet(node)
        await node.call("POST", BULK, asked())
        again = (await node.call("POST", BULK, asked())).json
        assert (again["matched"], again["changed"]) == (1, 0)

    on_node(main)


def test_more_things_than_a_page_holds_are_all_found(on_node):
    async def main(node):
        await fleet(node, 450)
        body = {
            "filter": "exists(thingId)",
            "action": "merge",
            "path": "/attributes/mark",
            "value": 1,
        }
        report = (await node.call("POST", BULK, body)).json
        assert (report["matched"], report["changed"], report["refused"]) == (450, 449, 1)

    on_node(main)


def test_progress_is_told_line_by_line(on_node):
    async def main(node):
        await fleet(node)
        headers = [("accept", "application/x-ndjson")]
        answer = await node.call("POST", BULK, asked(), headers=headers)
        lines = [json.loads(line) for line in answer.body.splitlines()]
        assert lines[0]["progress"]["matched"] == 3
        assert lines[-1]["report"]["changed"] == 2

    on_node(main)


def test_it_ends_after_so_many_refusals_if_told_to(on_node):
    async def main(node):
        await fleet(node)
        body = asked(filter="exists(thingId)", path="/nothing", value=1)
        assert (await node.call("POST", BULK, body)).status == 400
        body = asked(filter="exists(thingId)", headers={"if-match": '"rev:9"'}, stopAtRefusals=2)
        report = (await node.call("POST", BULK, body)).json
        assert report["refused"] == 2
        assert report["stopped"].startswith("after 2 refusals")

    on_node(main)


@pytest.mark.parametrize(
    "more",
    [
        {"filter": ""},
        {"filter": "eq(a, 1)"},
        {"action": "explode"},
        {"path": "nowhere"},
        {"path": "/", "value": None},
        {"namespaces": ["1bad"]},
        {"headers": {"if-equal": "maybe"}},
        {"more": 1},
    ],
    ids=str,
)
def test_what_makes_no_sense_is_refused_before_anything_is_done(on_node, more):
    async def main(node):
        await fleet(node, 2)
        head = node.log.head
        assert (await node.call("POST", BULK, asked(**more))).status == 400
        assert node.log.head == head

    on_node(main)
