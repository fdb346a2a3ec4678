"""Transactions: several commands on things of one namespace, all of them or none."""

import pytest

from littoral.kernel.errors import LittoralError
from littoral.log import LogFull
from littoral.rql import parse
from littoral.twin import Caller, Conditions, MetadataPut, Step
from littoral.twin.model import TRANSACTION_COMMANDS_MAX

A, B, C = "org.littoral:a", "org.littoral:b", "org.littoral:c"
BODY = {"policyId": "org.littoral:default", "attributes": {"n": 1}}


@pytest.fixture
def on_things(on_node):
    def start(main, **more):
        async def world(node):
            for one in (A, B):
                await node.twins.modify(node.ditto, one, "/", BODY)
            return await main(node, node.twins.transactions.run)

        return on_node(world, **more)

    return start


def test_every_command_sees_what_those_before_it_made(on_things):
    async def main(node, run):
        outcomes = run(
            node.ditto,
            [
                Step("create", C, value={**BODY, "attributes": {"m": 1}}),
                Step("merge", C, "/attributes", {"m": 2, "x": {"y": None}}),
                Step(
                    "modify",
                    C,
                    "/attributes/m",
                    3,
                    Conditions(condition=parse("eq(attributes/m,2)")),
                ),
                Step("modify", A, "/attributes/new", "v"),
                Step("delete", B, "/attributes"),
                Step("delete", B),
                Step("modify", B, "/", {**BODY, "attributes": {"again": True}}),
            ],
        )
        assert [o.created for o in outcomes] == [True, False, False, True, False, False, True]
        assert [o.revision for o in outcomes] == [1, 2, 3, 2, 2, 3, 4]
        first = outcomes[0].seq
        assert [o.seq for o in outcomes] == list(range(first, first + 7))
        await node.log.wait()
        assert node.doc(C)["attributes"] == {"m": 3, "x": {}}
        assert node.doc(A)["attributes"] == {"n": 1, "new": "v"}
        assert node.doc(B)["attributes"] == {"again": True}
        assert outcomes[2].etag == node.twins.things.retrieve(node.ditto, C, "/attributes/m").etag
        for one in (A, B, C):
            states = await node.revisions(one)
            assert list(states.values())[-1] == node.doc(one)
        before = {one: node.doc(one) for one in (A, B, C)}
        await node.reopen(flush=False)
        assert {one: node.doc(one) for one in (A, B, C)} == before

    on_things(main)


@pytest.mark.parametrize(
    ("step", "code"),
    [
        (
            Step("modify", B, "/attributes/n", 2, Conditions(if_match='"x"')),
            "things:precondition.failed",
        ),
        (
            Step(
                "modify", B, "/attributes/n", 2, Conditions(condition=parse("eq(attributes/n,5)"))
            ),
            "things:condition.failed",
        ),
        (Step("delete", B, "/attributes/none"), "things:attribute.notfound"),
        (Step("merge", C, "/attributes", {"a": 1}), "things:thing.notfound"),
        (Step("create", A, value=BODY), "things:thing.conflict"),
        (Step("create", C, value={}), "things:thing.notcreatable"),
        (Step("create", C, value=[]), "things:merge.invalid"),
        (Step("modify", B, "/attributes", {"a": "x" * 110_000}), "things:thing.toolarge"),
        (Step("modify", B, "/attributes/" + "k" * 8180, 1), "littoral.log.record_invalid"),
        (Step("retrieve", B), "littoral.transaction.invalid"),
    ],
)
def test_one_refused_command_refuses_all_and_nothing_is_written(on_things, step, code):
    async def main(node, run):
        head, documents = node.log.head, (node.doc(A), node.doc(B))
        loaded = node.twins.things.load(A)
        revision = loaded.revision
        with pytest.raises(LittoralError) as caught:
            run(node.ditto, [Step("modify", A, "/attributes/n", 2), step])
        assert caught.value.code == code or code.startswith("littoral.log")
        assert node.log.head == head
        assert (node.doc(A), node.doc(B)) == documents
        assert node.twins.things.load(A) is loaded
        assert loaded.revision == revision
        assert not node.twins.exists(C)

    on_things(main)


def test_the_refusal_names_the_command(on_things):
    async def main(node, run):
        with pytest.raises(LittoralError) as caught:
            run(node.stranger, [Step("delete", A, "/attributes")])
        assert caught.value.code == "things:attributes.notmodifiable"
        assert caught.value.facts["step"] == 0
        with pytest.raises(LittoralError) as caught:
            run(node.ditto, [Step("delete", A, "/attributes"), Step("delete", A, "/attributes")])
        assert caught.value.facts["step"] == 1

    on_things(main)


def test_a_transaction_is_bounded_and_stays_in_one_namespace(on_things):
    async def main(node, run):
        one = Step("modify", A, "/attributes/n", 2)
        for steps in (
            [],
            [one] * (TRANSACTION_COMMANDS_MAX + 1),
            [one, Step("modify", "org.other:x", "/", BODY)],
        ):
            with pytest.raises(LittoralError) as caught:
                run(node.ditto, steps)
            assert caught.value.code == "littoral.transaction.invalid"
        assert len(run(node.ditto, [one] * TRANSACTION_COMMANDS_MAX)) == TRANSACTION_COMMANDS_MAX

    on_things(main)


def test_a_commit_that_fails_takes_all_of_it_back(on_things):
    async def main(node, run):
        before = node.doc(A), node.doc(B)
        steps = [
            Step("modify", A, "/attributes/n", 2),
            Step(
                "merge",
                B,
                "/attributes",
                {"n": 3},
                Conditions(put_metadata=(MetadataPut("n/u", 1),)),
            ),
            Step("create", C, value=BODY),
        ]
        run(node.ditto, steps)
        assert node.doc(A)["attributes"] == {"n": 2}
        await node.fill()
        assert (node.doc(A), node.doc(B), node.doc(C)) == (*before, None)
        with pytest.raises(LogFull):
            run(node.ditto, steps)
        assert (node.doc(A), node.doc(B), node.doc(C)) == (*before, None)
        node.store.failure = None
        await node.make_room()
        await node.twins.transaction(node.ditto, steps)
        assert node.doc(B)["_metadata"] == {"attributes": {"n": {"u": 1}}}
        assert node.doc(C) is not None

    on_things(main)


def test_a_power_cut_leaves_all_or_nothing(on_things):
    async def main(node, run):
        steps = [Step("modify", one, "/attributes/n", 2) for one in (A, B)] * 20
        await node.log.wait()
        run(node.ditto, steps)
        await node.kill()  # what is in the open batch is lost
        assert [node.doc(one)["attributes"]["n"] for one in (A, B)] == [1, 1]
        node.twins.transactions.run(node.ditto, steps)
        await node.log.wait()
        await node.kill()
        assert [node.doc(one)["attributes"]["n"] for one in (A, B)] == [2, 2]
        written = [r.seq for r in node.records() if r.path == "/attributes/n"]
        assert len(written) == 40

    on_things(main)


def test_steps_that_write_nothing_have_no_seq(on_things):
    async def main(node, run):
        outcomes = run(
            node.ditto,
            [Step("modify", A, "/definition", None), Step("modify", A, "/attributes/n", 2)],
        )
        assert [o.seq for o in outcomes] == [0, node.log.head]

    on_things(main)


def test_who_may_write_one_thing_only_cannot_write_another_along(on_things):
    async def main(node, run):
        await node.twins.put_policy(
            node.admin,
            "org.littoral:own",
            "/",
            {
                "entries": {
                    "o": {
                        "subjects": {"nginx:owner": {"type": "t"}},
                        "resources": {
                            "thing:/": {"grant": ["READ", "WRITE"], "revoke": []},
                            "policy:/": {"grant": ["READ", "WRITE"], "revoke": []},
                        },
                    }
                }
            },
        )
        owner = Caller(frozenset({"nginx:owner"}))
        await node.twins.modify(owner, C, "/", {"policyId": "org.littoral:own"})
        head = node.log.head
        with pytest.raises(LittoralError):
            run(owner, [Step("modify", C, "/attributes", {}), Step("modify", A, "/attributes", {})])
        assert node.log.head == head

    on_things(main)
