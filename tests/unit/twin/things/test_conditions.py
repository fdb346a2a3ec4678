"""Conditions of commands: RQL on the thing as it is, if-equal, conditions inside merge patches."""

import pytest

from littoral.kernel.errors import Kind, LittoralError
from littoral.rql import parse
from littoral.twin import Caller, Conditions, IfEqual, TwinSettings, etag_of

T = "org.littoral:pump"
PUMP = {
    "policyId": "org.littoral:default",
    "attributes": {"site": "s1", "n": 7},
    "features": {"lamp": {"properties": {"on": True, "level": 3}}},
}


def when(text, **more):
    return Conditions(condition=parse(text), **more)


def code_of(work):
    with pytest.raises(LittoralError) as caught:
        work()
    return caught.value.code


@pytest.fixture
def on_pump(on_node):
    def start(main, **more):
        async def world(node):
            await node.twins.modify(node.ditto, T, "/", PUMP)
            return await main(node, node.twins.things)

        return on_node(world, **more)

    return start


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("eq(attributes/site,'s1')", True),
        ("eq(/attributes/site,'s2')", False),
        ("gt(features/lamp/properties/level,2)", True),
        ("and(exists(features/lamp),not(eq(attributes/n,8)))", True),
        ("ne(attributes/missing,1)", True),
        ("eq(features/*/properties/level,3)", False),
        ("eq(_revision,1)", True),
        ("gt(_modified,time:now-1h)", True),
        ("lt(_modified,time:now-1h)", False),
        ("eq(_namespace,'org.littoral')", True),
        ("eq(thingId,'org.littoral:pump')", True),
        ("like(policyId,'org.*')", True),
    ],
)
def test_a_condition_is_asked_of_the_thing_before_the_command(on_pump, text, holds):
    async def main(node, things):
        head = node.log.head
        for work in (
            lambda: things.retrieve(node.ditto, T, conditions=when(text)),
            lambda: things.retrieve(node.ditto, T, "/attributes/n", conditions=when(text)),
            lambda: things.modify(node.ditto, T, "/attributes/n", 8, conditions=when(text)),
            lambda: things.merge(node.ditto, T, "/attributes", {"n": 8}, conditions=when(text)),
            lambda: things.delete(node.ditto, T, "/attributes/n", conditions=when(text)),
            lambda: things.modify(node.ditto, T, "/", PUMP, conditions=when(text)),
        ):
            if holds:
                work()
                break
            assert code_of(work) == "things:condition.failed"
            assert node.log.head == head

    on_pump(main)


def test_entity_tags_are_looked_at_before_the_condition(on_pump):
    async def main(node, things):
        both = when("eq(attributes/n,0)", if_match='"rev:9"')
        put = lambda: things.modify(node.ditto, T, "/", PUMP, conditions=both)  # noqa: E731
        assert code_of(put) == "things:precondition.failed"
        tag = etag_of((), None, 1)
        good = when("eq(attributes/n,0)", if_match=tag)
        assert code_of(lambda: things.modify(node.ditto, T, "/", PUMP, conditions=good)) == (
            "things:condition.failed"
        )
        cached = when("eq(attributes/n,0)", if_none_match=tag)
        assert code_of(lambda: things.retrieve(node.ditto, T, conditions=cached)) == (
            "things:precondition.notmodified"
        )

    on_pump(main)


def test_a_condition_does_not_hinder_a_creation_or_bring_back_what_is_not_there(on_pump):
    async def main(node, things):
        never = when("eq(attributes/n,0)")
        body = {"policyId": "org.littoral:default"}
        assert things.modify(node.ditto, "org.littoral:new", "/", body, conditions=never).created
        assert code_of(lambda: things.delete(node.ditto, "a:b", "/", conditions=never)) == (
            "things:thing.notfound"
        )
        gone = lambda: things.delete(node.ditto, T, "/attributes/x", conditions=never)  # noqa: E731
        assert code_of(gone) == "things:attribute.notfound"

    on_pump(main)


def test_who_sets_a_condition_must_be_allowed_to_read_what_it_names(on_pump):
    async def main(node, things):
        reads = {"grant": ["READ", "WRITE"], "revoke": []}
        hidden = {"grant": [], "revoke": ["READ"]}
        entry = {
            "subjects": {"nginx:part": {"type": "t"}},
            "resources": {"thing:/": reads, "thing:/attributes/secret/key": hidden},
        }
        await node.twins.put_policy(node.admin, "org.littoral:default", "/entries/part", entry)
        part = Caller(frozenset({"nginx:part"}))

        def code(text):
            work = lambda: things.retrieve(part, T, conditions=when(text))  # noqa: E731
            try:
                work()
            except LittoralError as e:
                return e.code
            return "ok"

        assert code("eq(attributes/n,7)") == "ok"
        # What lies below counts, too: whoever may not read all of it may not ask about it.
        for name in (
            "attributes/secret/key",
            "attributes/secret",
            "attributes",
            "_metadata/attributes",
        ):
            assert code(f"not(exists({name}))") == "things:condition.failed", name
        assert code("exists(thingId)") == "ok"
        writer = {
            "subjects": {"nginx:writer": {"type": "t"}},
            "resources": {"thing:/": {"grant": ["WRITE"], "revoke": []}},
        }
        await node.twins.put_policy(node.admin, "org.littoral:default", "/entries/w", writer)
        blind = Caller(frozenset({"nginx:writer"}))
        put = lambda: things.modify(  # noqa: E731
            blind, T, "/attributes/n", 1, conditions=when("eq(attributes/n,7)")
        )
        assert code_of(put) == "things:condition.failed"

    on_pump(main)


# -- if-equal -----------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [IfEqual.SKIP, IfEqual.SKIP_MINIMIZING_MERGE])
@pytest.mark.parametrize(
    ("verb", "path", "value", "changes"),
    [
        ("modify", "/", PUMP, False),
        ("modify", "/", {**PUMP, "policyId": None} | {"policyId": PUMP["policyId"]}, False),
        ("modify", "/attributes", {"n": 7, "site": "s1"}, False),
        ("modify", "/attributes", {"n": 7}, True),
        ("modify", "/attributes/n", 7, False),
        ("modify", "/attributes/n", 7.0, False),
        ("modify", "/attributes/n", True, True),
        ("modify", "/attributes/n", "7", True),
        ("modify", "/attributes/new", 7, True),
        ("modify", "/features/lamp/properties/on", True, False),
        ("modify", "/features/lamp/properties/on", 1, True),
        ("merge", "/", {"attributes": {"n": 7}}, False),
        ("merge", "/", {"attributes": {"gone": None}}, False),
        ("merge", "/", {"attributes": {"n": None}}, True),
        ("merge", "/attributes", {}, False),
        ("merge", "/attributes/other", {}, True),
        ("merge", "/attributes/other", None, False),
        ("merge", "/features/lamp/properties", {"on": True, "level": 4}, True),
    ],
)
def test_a_write_that_changes_nothing_is_refused_if_asked_for(
    on_pump, mode, verb, path, value, changes
):
    async def main(node, things):
        head = node.log.head
        skip = Conditions(if_equal=mode)
        work = lambda: getattr(things, verb)(node.ditto, T, path, value, conditions=skip)  # noqa: E731
        if changes:
            assert work().seq == node.log.head > head
        else:
            assert code_of(work) == "things:precondition.failed"
            assert node.log.head == head
        assert getattr(things, verb)(node.ditto, T, path, value).seq > head

    on_pump(main)


def test_a_minimised_merge_stores_only_what_changes(on_pump):
    async def main(node, things):
        small = Conditions(if_equal=IfEqual.SKIP_MINIMIZING_MERGE)
        patch = {
            "attributes": {"site": "s1", "n": 8, "gone": None},
            "features": {"lamp": {"properties": {"on": True}}, "new": {"properties": {"x": {}}}},
        }
        things.merge(node.ditto, T, "/", patch, conditions=small)
        await node.log.wait()
        stored = node.records()[-1].value
        assert stored == b'{"attributes":{"n":8},"features":{"new":{"properties":{"x":{}}}}}'
        skip = Conditions(if_equal=IfEqual.SKIP)
        whole = {"attributes": {"site": "s1", "n": 9}}
        things.merge(node.ditto, T, "/", whole, conditions=skip)
        await node.log.wait()
        assert node.records()[-1].value == b'{"attributes":{"site":"s1","n":9}}'

    on_pump(main)


# -- conditions inside merge patches -------------------------------------------------------------


PATCH = {"attributes": {"n": 8, "site": "s9"}, "features": {"lamp": {"properties": {"level": 4}}}}


@pytest.mark.parametrize(
    ("path", "patch", "conditions", "left"),
    [
        ("/", PATCH, {"attributes/n": "eq(attributes/n,7)"}, PATCH),
        (
            "/",
            PATCH,
            {"attributes/n": "eq(attributes/n,0)"},
            {**PATCH, "attributes": {"site": "s9"}},
        ),
        ("/", PATCH, {"/attributes": "eq(attributes/n,0)"}, {"features": PATCH["features"]}),
        (
            "/",
            PATCH,
            {"features/lamp/properties/level": "gt(features/lamp/properties/level,5)"},
            {**PATCH, "features": {"lamp": {"properties": {}}}},
        ),
        ("/", PATCH, {"attributes/none": "eq(attributes/n,0)"}, PATCH),
        ("/attributes", {"n": 8}, {"n": "eq(attributes/n,0)"}, {}),
        ("/attributes", {"n": 8}, {"attributes/n": "eq(attributes/n,0)"}, {}),
        ("/attributes", {"n": 8}, {"/": "eq(attributes/n,0)"}, None),
        ("/attributes/n", 8, {"attributes/n": "eq(attributes/n,0)"}, None),
    ],
)
def test_parts_of_a_patch_whose_condition_is_false_are_dropped(
    on_pump, path, patch, conditions, left
):
    async def main(node, things):
        parsed = {key: parse(text) for key, text in conditions.items()}
        asked = Conditions(merge_conditions=parsed)
        before = node.log.head
        outcome = things.merge(node.ditto, T, path, patch, conditions=asked)
        await node.log.wait()
        if left is None:
            assert (outcome.seq, node.log.head) == (0, before)
        else:
            assert node.doc_of(outcome) == left

    def with_reader(main):
        async def inner(node, things):
            from littoral.kernel import json

            node.doc_of = lambda outcome: json.decode(
                next(r for r in node.records() if r.seq == outcome.seq).value
            )
            await main(node, things)

        return inner

    on_pump(with_reader(main))


def test_objects_that_a_condition_emptied_can_be_left_out(on_pump):
    async def main(node, things):
        false = parse("eq(attributes/n,0)")
        asked = Conditions(
            merge_conditions={"features/lamp/properties/level": false, "attributes": false}
        )
        outcome = things.merge(node.ditto, T, "/", PATCH, conditions=asked)
        assert outcome.seq == 0  # nothing at all is left

    on_pump(main, thing_settings=TwinSettings(merge_drops_emptied_objects=True))


def test_a_condition_on_a_part_needs_read_as_well(on_pump):
    async def main(node, things):
        writer = {
            "subjects": {"nginx:w": {"type": "t"}},
            "resources": {"thing:/": {"grant": ["WRITE"], "revoke": []}},
        }
        await node.twins.put_policy(node.admin, "org.littoral:default", "/entries/w", writer)
        asked = Conditions(merge_conditions={"n": parse("eq(attributes/n,7)")})
        with pytest.raises(LittoralError) as caught:
            things.merge(
                Caller(frozenset({"nginx:w"})), T, "/attributes", {"n": 8}, conditions=asked
            )
        assert (caught.value.code, caught.value.kind) == (
            "things:condition.failed",
            Kind.PRECONDITION,
        )

    on_pump(main)
