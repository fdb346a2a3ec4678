"""Why a policy allows or denies: the answer is the enforcer's, with the rules that made it."""

import pytest

DEVOPS = ("devops", "foobar")
WHY = "/api/littoral/v1/explain/policy"
THING = "org.littoral:pump"
RULES = {
    "entries": {
        "owner": {
            "subjects": {"nginx:ditto": {"type": "user"}},
            "resources": {
                "thing:/": {"grant": ["READ", "WRITE"], "revoke": []},
                "policy:/": {"grant": ["READ", "WRITE"], "revoke": []},
            },
        },
        "secret": {
            "subjects": {"nginx:ditto": {"type": "user"}, "team:guest": {"type": "team"}},
            "resources": {"thing:/attributes/secret": {"grant": [], "revoke": ["READ"]}},
        },
    }
}


async def seeded(node):
    await node.twins.put_policy(node.admin, "org.littoral:p", "/", RULES)
    await node.twins.modify(node.admin, THING, "/", {"policyId": "org.littoral:p"})


def asked(**more):
    return {"thingId": THING, "permission": "READ", "resource": "thing:/"} | more


@pytest.mark.parametrize(
    ("more", "allowed", "because"),
    [
        ({}, True, "no entry revokes it"),
        ({"resource": "thing:/attributes/secret"}, False, "deeper; then the revoke holds"),
        ({"permission": "EXECUTE"}, False, "No entry grants it"),
        # Writing asks for all of it: a revoke below counts.
        ({"partly": False}, False, "deeper; then the revoke holds"),
        ({"resource": "policy:/", "permission": "WRITE"}, True, "no entry revokes it"),
    ],
    ids=str,
)
def test_the_answer_names_the_rules_that_decide(on_node, more, allowed, because):
    async def main(node):
        await seeded(node)
        answer = await node.call("POST", WHY, asked(**more))
        assert answer.status == 200, answer.body
        assert answer.json["allowed"] is allowed
        assert because in answer.json["because"]

    on_node(main)


def test_rules_say_where_they_are_written(on_node):
    async def main(node):
        await seeded(node)
        told = (await node.call("POST", WHY, asked(resource="thing:/attributes/secret"))).json
        assert [r["entry"] for r in told["grantedBy"]] == ["owner"]
        assert told["revokedBy"] == [
            {
                "entry": "secret",
                "subject": "nginx:ditto",
                "resource": "thing:/attributes/secret",
                "depth": 2,
                "policyId": "org.littoral:p",
                "writtenAs": "secret",
            }
        ]

    on_node(main)


def test_an_administrator_asks_about_anybody_others_about_themselves(on_node):
    async def main(node):
        await seeded(node)
        guest = asked(subjects=["team:guest"])
        assert (await node.call("POST", WHY, guest)).status == 403
        assert (await node.call("POST", WHY, guest, user=DEVOPS)).json["allowed"] is False
        mine = asked(subjects=["nginx:ditto"])
        assert (await node.call("POST", WHY, mine)).json["allowed"] is True

    on_node(main)


def test_what_is_not_there_and_what_may_not_be_read_look_the_same(on_node):
    async def main(node):
        await seeded(node)
        closed = {"entries": {"x": {**RULES["entries"]["owner"], "subjects": {"a:b": {}}}}}
        await node.twins.put_policy(node.admin, "org.littoral:closed", "/", closed)
        for policy in ("org.littoral:closed", "org.littoral:none"):
            question = {"policyId": policy, "permission": "READ", "resource": "thing:/"}
            answer = await node.call("POST", WHY, question)
            assert (answer.status, answer.code) == (404, "policies:policy.notfound")

    on_node(main)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"permission": "READ", "resource": "thing:/"},
        asked(policyId="a:b"),
        asked(permission="READ_ALL"),
        asked(resource="/attributes"),
        asked(more=1),
        [],
    ],
    ids=str,
)
def test_a_question_that_makes_no_sense_is_refused(on_node, body):
    async def main(node):
        await seeded(node)
        answer = await node.call("POST", WHY, body)
        assert (answer.status, answer.code) == (400, "littoral.body.invalid")

    on_node(main)
