"""Transactions over HTTP: several commands on things of one namespace, all or none."""

import pytest

from littoral.api.beyond.model import TRANSACTION_BYTES_MAX

DO = "/api/littoral/v1/transactions"
A, B = "org.littoral:a", "org.littoral:b"
POLICY = "org.littoral:default"


def commands(*several):
    return {"commands": [dict(one) for one in several]}


def created(thing_id, **attributes):
    value = {"policyId": POLICY, "attributes": attributes}
    return {"action": "create", "thingId": thing_id, "value": value}


async def attribute(node, thing_id, name):
    return (await node.call("GET", f"/api/2/things/{thing_id}/attributes/{name}")).json


def test_all_commands_are_done_and_each_sees_those_before_it(on_node):
    async def main(node):
        answer = await node.call(
            "POST",
            DO,
            commands(
                created(A, n=1),
                {"action": "modify", "thingId": A, "path": "/attributes/n", "value": 2},
                created(B, n=1),
                {"action": "merge", "thingId": B, "path": "/attributes", "value": {"m": 3}},
                {"action": "delete", "thingId": B, "path": "/attributes/n"},
            ),
        )
        assert answer.status == 200, answer.body
        results = answer.json["results"]
        assert [r["status"] for r in results] == [201, 204, 201, 201, 204] or [
            r["status"] for r in results
        ] == [201, 204, 201, 204, 204]
        assert [r["revision"] for r in results] == [1, 2, 1, 2, 3]
        assert await attribute(node, A, "n") == 2
        assert await attribute(node, B, "m") == 3

    on_node(main)


@pytest.mark.parametrize(
    ("last", "status", "code"),
    [
        ({"action": "delete", "thingId": "org.littoral:none"}, 404, "things:thing.notfound"),
        (created(A), 409, "things:thing.conflict"),
        (
            {"action": "merge", "thingId": A, "value": {}, "headers": {"if-match": '"rev:9"'}},
            412,
            "things:precondition.failed",
        ),
        (
            {"action": "delete", "thingId": A, "headers": {"condition": "eq(attributes/n,9)"}},
            412,
            "things:condition.failed",
        ),
        ({"action": "delete", "thingId": "com.other:x"}, 400, "littoral.transaction.invalid"),
        ({"action": "merge", "thingId": A, "path": "/nowhere", "value": 1}, 400, None),
        ({"action": "explode", "thingId": A}, 400, "littoral.body.invalid"),
        ({"action": "delete", "thingId": "nonsense"}, 400, None),
    ],
    ids=lambda value: str(value)[:60],
)
def test_one_that_is_refused_leaves_nothing_of_the_others(on_node, last, status, code):
    async def main(node):
        await node.call("PUT", f"/api/2/things/{A}", {"policyId": POLICY, "attributes": {"n": 1}})
        head = node.log.head
        first = {"action": "modify", "thingId": A, "path": "/attributes/n", "value": 2}
        answer = await node.call("POST", DO, commands(first, created(B), last))
        assert answer.status == status, answer.body
        if code is not None:
            assert answer.code == code
        assert node.log.head == head
        assert await attribute(node, A, "n") == 1
        assert (await node.call("GET", f"/api/2/things/{B}")).status == 404

    on_node(main)


def test_the_refusal_names_the_command(on_node):
    async def main(node):
        body = commands(created(A), {"action": "delete", "thingId": B})
        answer = await node.call("POST", DO, body)
        assert answer.json["step"] == 1

    on_node(main)


@pytest.mark.parametrize("body", [{}, {"commands": []}, {"commands": 1}, []], ids=str)
def test_what_is_no_transaction_is_refused(on_node, body):
    async def main(node):
        assert (await node.call("POST", DO, body)).status == 400

    on_node(main)


def test_a_body_that_is_too_large_is_refused(on_node):
    async def main(node):
        body = commands(created(A, text="x" * TRANSACTION_BYTES_MAX))
        assert (await node.call("POST", DO, body)).status == 413

    on_node(main)
