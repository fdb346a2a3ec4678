"""The policies that things are created with, and Ditto's rules of which member may change how."""

from functools import partial

import pytest

from littoral.kernel.errors import Kind, LittoralError
from littoral.twin import Caller, Conditions
from littoral.twin.statuses import status_of

T = "org.littoral:pump"
BOTH = {"grant": ["READ", "WRITE"], "revoke": []}


def policy(*subjects, resources=("thing:/", "policy:/"), **more):
    return {
        "entries": {
            "e": {
                "subjects": {one: {"type": "t"} for one in subjects},
                "resources": dict.fromkeys(resources, BOTH) | more,
            }
        }
    }


def refusal(work):
    with pytest.raises(LittoralError) as caught:
        work()
    return caught.value.code, status_of(caught.value)


@pytest.fixture
def with_things(on_node):
    def start(main, **more):
        async def world(node):
            await main(node, node.twins.things)

        on_node(world, **more)

    return start


def test_an_inline_policy_is_made_with_the_thing(with_things):
    async def main(node, things):
        outcome = things.modify(node.ditto, T, "/", {"_policy": policy("nginx:ditto")})
        assert (outcome.created, outcome.value) == (True, {"thingId": T, "policyId": T})
        assert (outcome.policy_seq, outcome.seq) == (node.log.head - 1, node.log.head)
        assert things.retrieve(node.ditto, T).value == {"thingId": T, "policyId": T}
        named = {"policyId": "org.littoral:mine", "_policy": policy("nginx:ditto")}
        things.modify(node.ditto, "org.littoral:b", "/", named)
        found = node.twins.policies.retrieve(node.ditto, "org.littoral:mine").value
        assert found["policyId"] == "org.littoral:mine"
        inside = {"_policy": policy("nginx:ditto") | {"policyId": "org.littoral:inside"}}
        assert things.merge(node.ditto, "org.littoral:c", "/", inside).created
        assert node.doc("org.littoral:c")["policyId"] == "org.littoral:inside"
        await node.log.wait()
        records = node.store.read(0, limit=10**6)
        assert [r.kind for r in records[-2:]] == ["policy.created", "thing.created"]

    with_things(main)


def test_a_policy_is_copied(with_things):
    async def main(node, things):
        await node.twins.put_policy(node.ditto, "org.littoral:from", "/", policy("nginx:ditto"))
        copy = {"_copyPolicyFrom": "org.littoral:from"}
        things.modify(node.ditto, T, "/", {"policyId": "org.littoral:new", **copy})
        one = node.twins.policies.retrieve(node.ditto, "org.littoral:new").value
        two = node.twins.policies.retrieve(node.ditto, "org.littoral:from").value
        assert one["entries"] == two["entries"]
        reference = {"_copyPolicyFrom": "{{ ref:things/" + T + "/policyId }}"}
        things.modify(node.ditto, "org.littoral:b", "/", reference)
        assert node.doc("org.littoral:b")["policyId"] == "org.littoral:b"
        made = node.twins.policies.retrieve(node.ditto, "org.littoral:b").value
        assert made["entries"] == two["entries"]

    with_things(main)


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        ({"_policy": {}, "_copyPolicyFrom": "a:b"}, ("things:policy.conflicting", 400)),
        ({"_policy": []}, ("things:policy.invalid", 400)),
        ({"_copyPolicyFrom": 1}, ("things:policy.invalid", 400)),
        ({"_copyPolicyFrom": "a:none"}, ("policies:policy.notfound", 404)),
        ({"_copyPolicyFrom": "none"}, ("policies:id.invalid", 400)),
        ({"_copyPolicyFrom": "{{ ref:things/a:none/policyId }}"}, ("things:thing.notfound", 404)),
        (
            {"_copyPolicyFrom": "{{ ref:policies/a:b/policyId }}"},
            ("placeholder:placeholder.reference.notsupported", 400),
        ),
        (
            {"_copyPolicyFrom": "{{ ref:things/a:b/attributes/x }}"},
            ("placeholder:placeholder.reference.unknownfield", 400),
        ),
        ({"policyId": "a:none"}, ("things:thing.notcreatable", 400)),
        ({"policyId": "org.littoral:closed"}, ("things:thing.notmodifiable", 403)),
        (
            {"policyId": "org.littoral:closed", "_policy": policy("nginx:ditto")},
            ("things:thing.notcreatable", 400),
        ),
        ({"policyId": None}, ("things:policyId.notdeletable", 400)),
        ({"policyId": "x"}, ("policies:id.invalid", 400)),
        ({"thingId": "org.littoral:other"}, ("things:id.notsettable", 400)),
        # The creator must be able to write the thing, and keep the policy, unless it waives that.
        ({"_policy": policy("nginx:ditto", resources=("policy:/",))}, ("things:thing.notmodifiable", 403)),
        ({"_policy": policy("nginx:else")}, ("policies:policy.notcreatable", 403)),
        ({"attributes": {"a": "x" * 102_400}}, ("things:thing.toolarge", 413)),
    ],
)  # fmt: skip
def test_what_cannot_be_created_leaves_nothing_behind(with_things, body, wanted):
    async def main(node, things):
        await node.twins.put_policy(node.admin, "org.littoral:closed", "/", policy("nginx:x"))
        head = node.log.head
        assert refusal(lambda: things.modify(node.ditto, T, "/", body)) == wanted
        assert node.log.head == head
        assert not node.twins.book.exists(T)

    with_things(main)


def test_a_lockout_can_be_allowed(with_things):
    async def main(node, things):
        body = {
            "_policy": {
                "entries": {
                    "admin": {
                        "subjects": {"nginx:else": {"type": "t"}},
                        "resources": {"policy:/": BOTH},
                    },
                    "user": {
                        "subjects": {"nginx:ditto": {"type": "t"}},
                        "resources": {"thing:/": BOTH},
                    },
                }
            }
        }
        assert refusal(lambda: things.modify(node.ditto, T, "/", body))[1] == 403
        lenient = Conditions(allow_policy_lockout=True)
        assert things.modify(node.ditto, T, "/", body, conditions=lenient).created

    with_things(main)


def test_a_policy_comes_with_a_creation_only(with_things):
    async def main(node, things):
        things.modify(node.ditto, T, "/", {"policyId": "org.littoral:default"})
        head = node.log.head
        for work in (
            lambda: things.modify(node.ditto, T, "/", {"_policy": policy("nginx:ditto")}),
            lambda: things.merge(node.ditto, T, "/", {"_policy": policy("nginx:ditto")}),
        ):
            assert refusal(work) == ("things:policy.notallowed", 400)
        assert node.log.head == head
        # A policy to copy from says something of creations only.
        things.modify(node.ditto, T, "/", {"_copyPolicyFrom": "a:none"})
        assert node.doc(T)["policyId"] == "org.littoral:default"

    with_things(main)


def test_another_policy_needs_write_here_and_there(with_things):
    async def main(node, things):
        await node.twins.put_policy(node.ditto, "org.littoral:open", "/", policy("nginx:ditto"))
        closed = policy("nginx:x")
        await node.twins.put_policy(node.admin, "org.littoral:closed", "/", closed)
        things.modify(node.ditto, T, "/", {"policyId": "org.littoral:default"})
        for policy_id, wanted in (
            ("org.littoral:closed", ("things:thing.notmodifiable", 403)),
            ("org.littoral:none", ("things:thing.notcreatable", 400)),
        ):
            for work in (
                lambda p=policy_id: things.modify(node.ditto, T, "/policyId", p),
                lambda p=policy_id: things.merge(node.ditto, T, "/policyId", p),
                lambda p=policy_id: things.modify(node.ditto, T, "/", {"policyId": p}),
                lambda p=policy_id: things.merge(node.ditto, T, "/", {"policyId": p}),
            ):
                assert refusal(work) == wanted
        assert things.modify(node.ditto, T, "/policyId", "org.littoral:open").seq
        entry = policy("nginx:x")["entries"]["e"] | {"resources": {"thing:/attributes": BOTH}}
        await node.twins.put_policy(node.admin, "org.littoral:open", "/entries/x", entry)
        other = Caller(frozenset({"nginx:x"}))
        assert refusal(lambda: things.modify(other, T, "/policyId", "org.littoral:closed")) == (
            "things:policyId.notmodifiable",
            403,
        )

    with_things(main)


def test_ids_cannot_be_taken_away(with_things):
    async def main(node, things):
        things.modify(node.ditto, T, "/", {"policyId": "org.littoral:default"})
        for work, code in (
            (lambda: things.merge(node.ditto, T, "/", {"thingId": None}), "things:id.notdeletable"),
            (lambda: things.merge(node.ditto, T, "/", {"thingId": "a:b"}), "things:id.notsettable"),
            (
                lambda: things.merge(node.ditto, T, "/", {"policyId": None}),
                "things:policyId.notdeletable",
            ),
            (lambda: things.delete(node.ditto, T, "/policyId"), "things:policyId.notdeletable"),
            (lambda: things.retrieve(node.ditto, "no-namespace"), "things:id.invalid"),
            (lambda: things.modify(node.ditto, "a:b/c", "/", {}), "things:id.invalid"),
            (
                lambda: things.modify(node.ditto, T, "/features/f/definition", []),
                "things:feature.definition.empty",
            ),
        ):
            assert refusal(work) == (code, 400)

    with_things(main)


# -- who is told what -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "noun"),
    [
        ("/", "thing"),
        ("/attributes", "attributes"),
        ("/attributes/a", "attribute"),
        ("/definition", "definition"),
        ("/features", "features"),
        ("/features/f", "feature"),
        ("/features/f/definition", "feature.definition"),
        ("/features/f/properties", "feature.properties"),
        ("/features/f/properties/p", "feature.property"),
        ("/features/f/desiredProperties", "feature.desiredProperties"),
        ("/features/f/desiredProperties/p", "feature.desiredProperty"),
        ("/policyId", "policyId"),
    ],
)
def test_each_part_has_its_codes(with_things, path, noun):
    values = {
        "/": {},
        "/attributes/a": 1,
        "/definition": "a:b:1",
        "/features/f/definition": ["a:b:1"],
        "/policyId": "org.littoral:default",
    }
    value = values.get(path, 1 if path.endswith("/p") else {})

    async def main(node, things):
        for work in (
            lambda: things.retrieve(node.ditto, T, path),
            lambda: things.retrieve(node.stranger, T, path),
        ):
            # Before there is a thing, its parts are not found as such.
            assert refusal(work) == ("things:thing.notfound", 404)
        if path not in {"/", "/policyId"}:
            assert refusal(lambda: things.modify(node.ditto, T, path, value)) == (
                "things:thing.notfound",
                404,
            )
            assert refusal(lambda: things.delete(node.ditto, T, path)) == (
                "things:thing.notfound",
                404,
            )
        things.modify(node.ditto, T, "/", {"policyId": "org.littoral:default"})
        if noun.startswith("feature."):
            # What is missing is the feature; only who may read there is told so.
            for work in (things.retrieve, things.delete):
                code = refusal(partial(work, node.ditto, T, path))
                assert code == ("things:feature.notfound", 404)
            hidden = refusal(lambda: things.retrieve(node.stranger, T, path))
            assert hidden == (f"things:{noun}.notfound", 404)
            things.modify(node.ditto, T, "/features/f", {})
        if path not in {"/", "/policyId"}:
            assert refusal(lambda: things.retrieve(node.ditto, T, path)) == (
                f"things:{noun}.notfound",
                404,
            )
            assert refusal(lambda: things.delete(node.ditto, T, path)) == (
                f"things:{noun}.notfound",
                404,
            )
        # Who may see nothing is told that there is nothing; who may not write, that it may not.
        assert refusal(lambda: things.retrieve(node.stranger, T, path)) == (
            f"things:{noun}.notfound",
            404,
        )
        for work in (
            lambda: things.modify(node.stranger, T, path, value),
            lambda: things.merge(node.stranger, T, path, value),
        ):
            assert refusal(work) == (f"things:{noun}.notmodifiable", 403)
        if path != "/policyId":
            verb = "notdeletable" if path == "/" else "notmodifiable"
            assert refusal(lambda: things.delete(node.stranger, T, path)) == (
                f"things:{noun}.{verb}",
                403,
            )
        await node.twins.delete_policy(node.admin, "org.littoral:default")
        assert refusal(lambda: things.retrieve(node.ditto, T, path))[1] == 404
        assert refusal(lambda: things.modify(node.ditto, T, path, value))[1] == 403

    with_things(main)


def test_too_many_waiting_changes_of_one_thing_are_refused(with_things, monkeypatch):
    from littoral.twin.entities import pressure

    monkeypatch.setattr(pressure, "MODIFICATIONS_WAITING_MAX", 10)

    async def main(node, things):
        things.modify(node.ditto, T, "/", {"policyId": "org.littoral:default"})
        await node.log.wait()
        for round_ in range(3):
            for n in range(10):
                things.modify(node.ditto, T, "/attributes/n", n)
            head = node.log.head
            with pytest.raises(LittoralError) as caught:
                [things.modify(node.ditto, T, "/attributes/n", n) for n in range(10)]
            assert caught.value.code == "things:thing.toomanymodifyingrequests"
            assert (caught.value.kind, caught.value.retryable) == (Kind.LIMIT, True)
            assert node.log.head <= head + 1, round_
            # Others are not held up by it.
            things.modify(node.ditto, f"{T}{round_}", "/", {"policyId": "org.littoral:default"})
            await node.log.wait()
        # A steady stream of which something always waits is no flood.
        import asyncio

        for n in range(100):
            things.modify(node.ditto, T, "/attributes/n", n)
            await asyncio.sleep(0.001)

    with_things(main)
