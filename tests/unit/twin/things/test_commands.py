"""Commands on things and reads of them: outcomes, tags, conditions, permissions, Ditto's codes."""

import pytest

from littoral.kernel.errors import InvalidId, InvalidJson, InvalidKey, LittoralError, TooLarge
from littoral.kernel.limits import HOPS_MAX, THING_BYTES_MAX
from littoral.twin import Caller, Conditions, IfEqual, etag_of

T = "org.acme:pump"
PUMP = {
    "policyId": "org.littoral:default",
    "definition": "org.acme:pump:1.0.0",
    "attributes": {"model": "P1", "place": {"row": 3}},
    "features": {
        "motor": {
            "definition": ["org.acme:motor:1"],
            "properties": {"rpm": 10},
            "desiredProperties": {"rpm": 20},
        }
    },
}

# path, value, Ditto's noun
PARTS = [
    ("/attributes", {"a": 1}, "attributes"),
    ("/attributes/a", [1, None], "attribute"),
    ("/attributes/a/b", {"c": None}, "attribute"),
    ("/definition", "org.acme:pump:2.0.0", "definition"),
    ("/definition", "https://acme.org/pump", "definition"),
    ("/features", {"f": {"properties": {}}}, "features"),
    ("/features/f", {"properties": {"p": 1}}, "feature"),
    ("/features/f/definition", ["org.acme:motor:1"], "feature.definition"),
    ("/features/f/properties", {"p": 1}, "feature.properties"),
    ("/features/f/properties/p/q", "x", "feature.property"),
    ("/features/f/desiredProperties", {"p": 1}, "feature.desiredProperties"),
    ("/features/f/desiredProperties/p/q", 2.5, "feature.desiredProperty"),
]
IDS = [f"{p}={v}"[:40] for p, v, _ in PARTS]


async def refused(awaitable):
    with pytest.raises(LittoralError) as caught:
        await awaitable
    return caught.value.code


@pytest.mark.parametrize(("path", "value", "noun"), PARTS, ids=IDS)
def test_each_part_is_put_read_merged_and_deleted(on_node, path, value, noun):
    async def main(node):
        twins, ditto = node.twins, node.ditto
        await twins.modify(ditto, T, "/", {"features": {"f": {}}, "attributes": {}})
        await twins.modify(ditto, T, path, value)
        read = await twins.retrieve(ditto, T, path)
        assert read.value == value
        again = await twins.modify(ditto, T, path, value)
        assert (again.created, again.value, again.etag) == (False, None, read.etag)
        assert again.revision == 3
        gone = await twins.delete(ditto, T, path)
        assert (gone.created, gone.revision) == (False, 4)
        assert await refused(twins.retrieve(ditto, T, path)) == f"things:{noun}.notfound"
        assert await refused(twins.delete(ditto, T, path)) == f"things:{noun}.notfound"
        if not path.startswith("/features/f/") and path != "/features/f":
            made = await twins.modify(ditto, T, path, value)
            assert (made.created, made.value, made.etag) == (True, value, read.etag)
            await twins.delete(ditto, T, path)
        merged = await twins.merge(ditto, T, path, value)
        assert merged.created
        states = await node.revisions(T)
        assert states[merged.revision] == node.doc(T)
        await node.reopen(flush=False)
        assert node.doc(T) == states[merged.revision]

    on_node(main)


MEMBERS = [
    ("/definition", "org.acme:pump:1.0.0"),
    ("/attributes", {"a": 1}),
    ("/features", {"f": {}}),
    ("/features/f", {"properties": {}}),
    ("/features/f/definition", ["org.acme:motor:1"]),
    ("/features/f/properties", {"p": 1}),
    ("/features/f/desiredProperties", {"p": 1}),
]


@pytest.mark.parametrize("verb", ["modify", "merge"])
@pytest.mark.parametrize(("path", "value"), MEMBERS, ids=[p for p, _ in MEMBERS])
def test_null_means_that_a_member_is_not_there(on_node, verb, path, value):
    async def main(node):
        await node.twins.modify(node.ditto, T, "/", {"features": {"f": {}}, "attributes": {}})
        await node.twins.modify(node.ditto, T, path, value)
        write = getattr(node.twins, verb)
        await write(node.ditto, T, path, None)
        assert (await refused(node.twins.retrieve(node.ditto, T, path))).endswith(".notfound")
        if path not in {"/features", "/features/f"}:
            await write(node.ditto, T, path, None)
        assert None not in (node.doc(T).get("features") or {}).values()

    on_node(main)


def test_nulls_inside_members_are_left_out_and_inside_data_are_data(on_node):
    async def main(node):
        await node.twins.modify(node.ditto, T, "/", {**PUMP, "definition": None})
        assert "definition" not in node.doc(T)
        await node.twins.modify(
            node.ditto,
            T,
            "/features",
            {"a": None, "b": {"properties": {"n": None}, "definition": None}},
        )
        assert node.doc(T)["features"] == {"b": {"properties": {"n": None}}}
        await node.twins.modify(node.ditto, T, "/attributes", {"n": None, "o": {"n": None}})
        assert node.doc(T)["attributes"] == {"n": None, "o": {"n": None}}
        await node.twins.modify(node.ditto, T, "/attributes/n", None)
        assert node.doc(T)["attributes"] == {"n": None, "o": {"n": None}}
        await node.twins.merge(node.ditto, T, "/", {"attributes": {"n": None, "o": {"n": None}}})
        assert node.doc(T)["attributes"] == {"o": {}}

    on_node(main)


def test_a_thing_is_created_replaced_merged_and_deleted(on_node):
    async def main(node):
        twins, ditto = node.twins, node.ditto
        made = await twins.create_thing(ditto, PUMP, thing_id=T)
        assert (made.created, made.revision, made.etag) == (True, 1, '"rev:1"')
        assert made.value == {"thingId": T} | PUMP
        assert await refused(twins.create_thing(ditto, {}, thing_id=T)) == "things:thing.conflict"
        replaced = await twins.modify(ditto, T, "/", {"_revision": 7, "thingId": T})
        assert (replaced.created, replaced.etag) == (False, '"rev:2"')
        assert node.doc(T) == {"thingId": T, "policyId": "org.littoral:default"}
        await twins.merge(ditto, T, "/", {"thingId": T, "_modified": "x", "attributes": {"a": 1}})
        assert node.doc(T)["attributes"] == {"a": 1}
        await twins.delete(ditto, T, "/")
        assert await refused(twins.retrieve(ditto, T)) == "things:thing.notfound"
        assert await refused(twins.delete(ditto, T, "/")) == "things:thing.notfound"
        for write in (twins.modify, twins.merge):
            assert await refused(write(ditto, T, "/attributes/a", 1)) == "things:thing.notfound"
        # One that comes back goes on where it was.
        back = await twins.merge(ditto, T, "/", {**PUMP, "attributes": {"x": None, "y": 1}})
        assert (back.created, back.revision, back.value["attributes"]) == (True, 5, {"y": 1})
        assert list(await node.revisions(T)) == [1, 2, 3, 4, 5]
        view = await twins.retrieve(ditto, T)
        assert view.created_ms == view.modified_ms == node.records()[-1].hlc >> 16

    on_node(main)


BAD = [
    ("/", [], "things:merge.invalid"),
    ("/", {"other": 1}, "things:merge.invalid"),
    ("/", {"thingId": "org.acme:x"}, "things:id.notsettable"),
    ("/", {"policyId": None}, "things:policyId.notdeletable"),
    ("/", {"policyId": 1}, "policies:id.invalid"),
    ("/", {"policyId": "none:such"}, "things:thing.notcreatable"),
    ("/", {"attributes": []}, "things:merge.invalid"),
    ("/", {"features": {"f": {"x": {}}}}, "things:merge.invalid"),
    ("/thingId", "x", "things:merge.invalid"),
    ("/other", 1, "things:merge.invalid"),
    ("/features/f/x", 1, "things:merge.invalid"),
    ("/definition/x", 1, "things:merge.invalid"),
    ("/policyId", None, "things:policyId.notdeletable"),
    ("/policyId", "none:such", "things:thing.notcreatable"),
    ("/policyId", "x", "policies:id.invalid"),
    ("/definition", "nope", "things:definition.identifier.invalid"),
    ("/definition", 7, "things:definition.identifier.invalid"),
    ("/features", [], "things:merge.invalid"),
    ("/features/f", 1, "things:merge.invalid"),
    ("/features/*", {}, "json.key.invalid"),
    ("/features/f/definition", [], "things:feature.definition.empty"),
    ("/features/f/definition", "a:b:1", "things:definition.identifier.invalid"),
    ("/features/f/definition", ["a"], "things:definition.identifier.invalid"),
    ("/features/f/properties", 1, "things:merge.invalid"),
    ("/attributes", {"": 1}, "json.key.invalid"),
    ("/attributes/a", [{"x/y": 1}], "json.key.invalid"),
    ("/attributes/a~1b", 1, "json.key.invalid"),
    ("/attributes/a\x07", 1, "json.key.invalid"),
    ("/attributes//a", 1, "json.pointer.invalid"),
    ("/attributes/~2", 1, "json.pointer.invalid"),
    ("/" + "a/" * 64 + "a", 1, "json.pointer.invalid"),
]


@pytest.mark.parametrize("verb", ["modify", "merge"])
@pytest.mark.parametrize(("path", "value", "code"), BAD, ids=range(len(BAD)))
def test_what_may_not_stand_there_is_refused(on_node, verb, path, value, code):
    async def main(node):
        await node.twins.modify(node.ditto, T, "/", {**PUMP, "features": {"f": {}}})
        assert await refused(getattr(node.twins, verb)(node.ditto, T, path, value)) == code
        assert node.twins.revision_of(T) == 1

    on_node(main)


@pytest.mark.parametrize("path", ["/thingId", "/other", "/features/f/x", "/policyId"])
def test_what_is_no_part_cannot_be_deleted(on_node, path):
    async def main(node):
        await node.twins.modify(node.ditto, T, "/", {**PUMP, "features": {"f": {}}})
        assert await refused(node.twins.delete(node.ditto, T, path)) in {
            "things:merge.invalid",
            "things:policyId.notdeletable",
        }

    on_node(main)


def test_ids_depth_and_size_are_bounded(on_node):
    async def main(node):
        twins, ditto = node.twins, node.ditto
        for bad in ("noname", ":", "a b:c", "a:" + "x" * 255, "a:b/c", "a:\x00"):
            with pytest.raises(InvalidId):
                await twins.modify(ditto, bad, "/", {})
        assert (await twins.modify(ditto, "a:" + "x" * 254, "/", {})).created
        deep = 1
        for _ in range(65):
            deep = {"a": deep}
        await twins.modify(ditto, T, "/", {})
        with pytest.raises(InvalidJson):
            await twins.modify(ditto, T, "/attributes/a", deep)
        with pytest.raises(InvalidKey):
            await twins.modify(ditto, T, "/attributes", {"a": {"": 1}})
        big = {"attributes": {"a": "x" * THING_BYTES_MAX}}
        with pytest.raises(TooLarge):
            await twins.modify(ditto, "org.acme:big", "/", big)
        assert not twins.exists("org.acme:big")
        assert twins.peek_policy("org.acme:big") is None
        room = THING_BYTES_MAX - len('{"thingId":"org.acme:pump","policyId":"org.acme:pump"}')
        room -= len(',"attributes":{"a":""}')
        await twins.modify(ditto, T, "/", {"attributes": {"a": "x" * room}})
        for path, value in (("/attributes/a", "x" * (room + 1)), ("/attributes/b", 1)):
            for write in (twins.modify, twins.merge):
                with pytest.raises(TooLarge):
                    await write(ditto, T, path, value)

    on_node(main)


# -- conditions


def test_conditions_of_writes(on_node):
    async def main(node):
        twins, ditto = node.twins, node.ditto
        only_new, only_old = Conditions(if_none_match="*"), Conditions(if_match="*")
        for write in (twins.modify, twins.merge):
            code = await refused(write(ditto, T, "/", PUMP, conditions=only_old))
            assert code == "things:precondition.failed"
        assert (await twins.modify(ditto, T, "/", PUMP, conditions=only_new)).created
        for path, value in (("/", PUMP), ("/attributes/model", "P2")):
            for write in (twins.modify, twins.merge):
                code = await refused(write(ditto, T, path, value, conditions=only_new))
                assert code == "things:precondition.failed"
        await twins.modify(ditto, T, "/attributes/new", 1, conditions=only_new)
        tag = (await twins.retrieve(ditto, T, "/attributes/model")).etag
        good, bad = Conditions(if_match=f'"hash:x", {tag}'), Conditions(if_match='"hash:x"')
        path = "/attributes/model"
        assert await refused(twins.modify(ditto, T, path, "P2", conditions=bad))
        assert await refused(twins.merge(ditto, T, path, "P2", conditions=bad))
        assert await refused(twins.delete(ditto, T, path, conditions=bad))
        assert (await twins.modify(ditto, T, path, "P2", conditions=good)).etag != tag
        assert await refused(twins.delete(ditto, T, path, conditions=good))
        # What is not there is not found, whatever the condition.
        code = await refused(twins.delete(ditto, T, "/attributes/none", conditions=only_old))
        assert code == "things:attribute.notfound"
        code = await refused(twins.modify(ditto, T, "/attributes/none", 1, conditions=only_old))
        assert code == "things:precondition.failed"
        revision = twins.revision_of(T)
        await twins.delete(ditto, T, "/", conditions=Conditions(if_match=f'"rev:{revision}"'))

    on_node(main)


def test_conditions_of_reads(on_node):
    async def main(node):
        twins, ditto = node.twins, node.ditto
        await twins.modify(ditto, T, "/", PUMP)
        for path in ("/", "/attributes"):
            tag = (await twins.retrieve(ditto, T, path)).etag
            for none_match in (tag, "*", f'"x",{tag}'):
                given = Conditions(if_none_match=none_match)
                code = await refused(twins.retrieve(ditto, T, path, conditions=given))
                assert code == "things:precondition.notmodified"
            code = await refused(
                twins.retrieve(ditto, T, path, conditions=Conditions(if_match='"x"'))
            )
            assert code == "things:precondition.failed"
            await twins.retrieve(ditto, T, path, conditions=Conditions(tag, '"other"'))
        assert (await twins.retrieve(ditto, T)).etag == '"rev:1"'
        assert etag_of(("a",), {"x": 1, "y": 2.0}, 1) == etag_of(("a",), {"y": 2, "x": 1}, 9)

    on_node(main)


@pytest.mark.parametrize("verb", ["modify", "merge"])
def test_an_equal_value_can_be_skipped(on_node, verb):
    async def main(node):
        await node.twins.modify(node.ditto, T, "/", {"attributes": {"a": 1, "b": {"c": []}}})
        skip = Conditions(if_equal=IfEqual.SKIP)
        write = getattr(node.twins, verb)
        for path, value in (
            ("/attributes/a", 1),
            ("/attributes", {"b": {"c": []}, "a": 1.0}),
            ("/", {"attributes": {"a": 1, "b": {"c": []}}}),
        ):
            code = await refused(write(node.ditto, T, path, value, conditions=skip))
            assert code == "things:precondition.failed"
        assert node.twins.revision_of(T) == 1
        assert (await write(node.ditto, T, "/attributes/a", [], conditions=skip)).revision == 2

    on_node(main)


# -- permissions


def entries(**resources):
    """A policy that gives each named subject what is said, and the admin all of the policy."""
    made = {
        "admin": {
            "subjects": {"nginx:admin": {"type": "t"}},
            "resources": {"policy:/": {"grant": ["READ", "WRITE"], "revoke": []}},
        }
    }
    for name, rules in resources.items():
        made[name] = {
            "subjects": {f"nginx:{name}": {"type": "t"}},
            "resources": {
                f"thing:{path}": {"grant": grant.split(), "revoke": []}
                for path, grant in rules.items()
            },
        }
    return {"entries": made}


@pytest.mark.parametrize(("path", "value", "noun"), PARTS, ids=IDS)
def test_who_may_not_write_gets_the_code_of_the_part(on_node, path, value, noun):
    async def main(node):
        await node.twins.modify(node.ditto, T, "/", {"features": {"f": {}}})
        for call in (
            node.twins.modify(node.stranger, T, path, value),
            node.twins.merge(node.stranger, T, path, value),
            node.twins.delete(node.stranger, T, path),
        ):
            assert await refused(call) == f"things:{noun}.notmodifiable"
        assert await refused(node.twins.retrieve(node.stranger, T, path)) == (
            f"things:{noun}.notfound"
        )
        assert node.twins.statistics().refused == {noun: 3}

    on_node(main)


def test_each_command_asks_the_policy(on_node):
    async def main(node):
        twins = node.twins
        reader, part = (Caller(frozenset({f"nginx:{n}"})) for n in ("reader", "part"))
        rules = entries(
            reader={"/": "READ"},
            part={"/attributes/x": "READ WRITE", "/features/f/properties": "READ WRITE"},
        )
        await twins.put_policy(node.admin, "org.acme:p", "/", rules)
        body = {"policyId": "org.acme:p", "attributes": {"x": {"y": 1}, "z": 2}}
        assert await refused(twins.modify(part, T, "/", body)) == "things:thing.notmodifiable"
        await twins.modify(node.admin, T, "/", body | {"features": {"f": {"properties": {}}}})
        # READ
        assert (await twins.retrieve(reader, T)).value == node.doc(T)
        seen = (await twins.retrieve(part, T)).value
        assert seen["attributes"] == {"x": {"y": 1}} and seen["thingId"] == T
        assert "policyId" not in seen
        assert (await twins.retrieve(part, T, "/attributes")).value == {"x": {"y": 1}}
        assert (
            await refused(twins.retrieve(part, T, "/attributes/z")) == "things:attribute.notfound"
        )
        assert await refused(twins.retrieve(part, T, "/policyId")) == "things:policyId.notfound"
        assert twins.may_read(part, T) and not twins.may_read(part, T, "/attributes/z")
        assert twins.may_read(reader, T, "/attributes/z") and not twins.may_read(node.stranger, T)
        # WRITE
        for call in (
            twins.modify(reader, T, "/attributes/z", 1),
            twins.merge(reader, T, "/attributes/z", 1),
            twins.delete(reader, T, "/attributes/z"),
            twins.modify(part, T, "/attributes", {"x": 1}),
            twins.merge(part, T, "/attributes", {"x": 1, "z": 1}),
            twins.merge(part, T, "/", {"attributes": {"x": None, "z": None}}),
            twins.delete(part, T, "/"),
        ):
            assert (await refused(call)).endswith((".notmodifiable", ".notdeletable"))
        await twins.merge(part, T, "/", {"attributes": {"x": {"y": 2}}, "thingId": T})
        await twins.merge(part, T, "/attributes", {"x": {"y": None}})
        await twins.modify(part, T, "/features/f/properties/p", 1)
        assert node.doc(T)["attributes"] == {"x": {}, "z": 2}
        # A delete of the whole, and another policy
        assert await refused(twins.modify(part, T, "/policyId", "org.acme:p"))
        assert len(twins.history(reader, T, first=0, last=99)) == 4
        with pytest.raises(LittoralError):
            twins.history(node.stranger, T, first=1, last=1)

    on_node(main)


def test_another_policy_must_exist_and_let_the_caller_write(on_node):
    async def main(node):
        twins = node.twins
        await twins.put_policy(node.admin, "org.acme:closed", "/", entries())
        await twins.modify(node.ditto, T, "/", PUMP)
        for policy_id, code in (
            ("org.acme:closed", "things:thing.notmodifiable"),
            ("org.acme:none", "things:thing.notcreatable"),
        ):
            for call in (
                twins.modify(node.ditto, T, "/policyId", policy_id),
                twins.merge(node.ditto, T, "/policyId", policy_id),
                twins.merge(node.ditto, T, "/", {"policyId": policy_id}),
                twins.modify(node.ditto, T, "/", {"policyId": policy_id}),
                twins.modify(node.ditto, "org.acme:other", "/", {"policyId": policy_id}),
            ):
                assert await refused(call) == code
        assert twins.policy_of(T) == "org.littoral:default"
        await twins.modify(node.admin, T, "/policyId", "org.acme:closed")
        assert await refused(twins.retrieve(node.ditto, T)) == "things:thing.notfound"

    on_node(main)


def test_a_thing_without_a_policy_gets_one_for_its_creator(on_node):
    async def main(node):
        await node.twins.modify(node.stranger, T, "/", {})
        assert node.doc(T)["policyId"] == T
        assert await refused(node.twins.retrieve(node.ditto, T)) == "things:thing.notfound"
        assert (await node.twins.retrieve_policy(node.stranger, T)).value["entries"]["DEFAULT"]
        await node.twins.delete(node.stranger, T, "/")
        for caller in (node.ditto, node.stranger):
            # The policy is left; whoever makes the thing anew has to name it.
            assert await refused(node.twins.modify(caller, T, "/", {})) == (
                "things:thing.notcreatable"
            )
        assert await refused(node.twins.modify(node.ditto, T, "/", {"policyId": T})) == (
            "things:thing.notmodifiable"
        )
        assert (await node.twins.modify(node.stranger, T, "/", {"policyId": T})).revision == 3
        nobody = Caller(frozenset(), unrestricted=True)
        assert await refused(node.twins.modify(nobody, "org.acme:x", "/", {})) == (
            "things:thing.notcreatable"
        )

    on_node(main)


def test_a_thing_whose_policy_is_gone_is_out_of_reach_until_it_is_back(on_node):
    async def main(node):
        twins = node.twins
        await twins.modify(node.ditto, T, "/", PUMP)
        await twins.delete_policy(node.ditto, "org.littoral:default")
        assert await refused(twins.retrieve(node.ditto, T)) == "things:thing.notfound"
        assert await refused(twins.modify(node.ditto, T, "/attributes/a", 1)) == (
            "things:attribute.notmodifiable"
        )
        assert await refused(twins.merge(node.ditto, T, "/attributes/a", 1))
        assert not twins.may_message(node.ditto, T, "WRITE", "message:/inbox/messages/x")
        assert (await twins.retrieve(node.admin, T)).value == node.doc(T)
        await twins.put_policy(node.ditto, "org.littoral:default", "/", node.policy)
        assert (await twins.retrieve(node.ditto, T)).value == node.doc(T)

    on_node(main)


def test_functions_that_answer_one_another_are_stopped(on_node):
    async def main(node):
        await node.twins.modify(node.ditto, T, "/", PUMP)
        for hops in range(HOPS_MAX + 2):
            caller = Caller(frozenset({"nginx:ditto"}), hops=hops)
            write = node.twins.merge(caller, T, "/attributes", {"n": hops})
            if hops > HOPS_MAX:
                assert await refused(write) == "littoral.function.loop"
            else:
                await write
        assert node.records()[-1].headers == {"hops": HOPS_MAX, "by": "nginx:ditto"}

    on_node(main)


def test_true_is_not_one(on_node):
    async def main(node):
        await node.twins.modify(node.ditto, T, "/", {"attributes": {"a": 1}})
        skip = Conditions(if_equal=IfEqual.SKIP)
        value = {"a": True}
        made = await node.twins.modify(node.ditto, T, "/attributes", value, conditions=skip)
        assert made.revision == 2

    on_node(main)
