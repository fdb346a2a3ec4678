"""Metadata: put, read and deleted by pointers with wildcards; it goes with its data."""

import pytest

from littoral.kernel.errors import LittoralError
from littoral.rql import parse
from littoral.twin import Caller, Conditions, MetadataPut, fields
from littoral.twin.model import METADATA_BYTES_MAX

T = "org.littoral:pump"
PUMP = {
    "policyId": "org.littoral:default",
    "attributes": {"model": "P1", "place": {"row": 3, "line": {"n": 1}}},
    "features": {
        "motor": {
            "definition": ["org.acme:motor:1"],
            "properties": {"rpm": 10, "axis": {"x": 1}},
            "desiredProperties": {"rpm": 20},
        },
        "lamp": {"properties": {"rpm": 1, "on": True}},
    },
}


def puts(*items):
    return Conditions(put_metadata=tuple(MetadataPut(k, v) for k, v in items))


def code_of(work):
    with pytest.raises(LittoralError) as caught:
        work()
    return caught.value.code


@pytest.fixture
def on_pump(on_node):
    def start(main, **more):
        async def world(node):
            await node.twins.modify(node.ditto, T, "/", PUMP)
            await main(node, node.twins.things)

        on_node(world, **more)

    return start


def metadata(node):
    return (node.doc(T) or {}).get("_metadata")


PATTERNS = [
    # command, path, value, key, where it went
    ("modify", "/attributes/model", "P2", "unit", {"attributes": {"model": {"unit": 1}}}),
    (
        "modify",
        "/attributes/model",
        "P2",
        "/unit/of",
        {"attributes": {"model": {"unit": {"of": 1}}}},
    ),
    ("modify", "/attributes/model", "P2", "*/unit", {"attributes": {"model": {"unit": 1}}}),
    (
        "modify",
        "/attributes",
        {"a": 1, "b": {"c": 2, "d": {}}},
        "*/unit",
        {"attributes": {"a": {"unit": 1}, "b": {"c": {"unit": 1}, "d": {"unit": 1}}}},
    ),
    (
        "merge",
        "/",
        {"attributes": {"a": 1, "model": None}},
        "*/unit",
        {"attributes": {"a": {"unit": 1}}},
    ),
    (
        "merge",
        "/",
        {"attributes": {"a": {"b": 1}, "model": None}, "features": {"motor": {}}},
        "attributes/*/unit",
        {"attributes": {"a": {"unit": 1}}},
    ),
    (
        "modify",
        "/",
        PUMP,
        "features/*/definition/unit",
        {"features": {"motor": {"definition": {"unit": 1}}}},
    ),
    (
        "modify",
        "/",
        PUMP,
        "features/*/properties/*/unit",
        {
            "features": {
                "motor": {"properties": {"rpm": {"unit": 1}, "axis": {"unit": 1}}},
                "lamp": {"properties": {"rpm": {"unit": 1}, "on": {"unit": 1}}},
            }
        },
    ),
    (
        "modify",
        "/",
        PUMP,
        "features/*/properties/on/unit",
        {"features": {"lamp": {"properties": {"on": {"unit": 1}}}}},
    ),
    (
        "modify",
        "/",
        PUMP,
        "features/motor/desiredProperties/*/unit",
        {"features": {"motor": {"desiredProperties": {"rpm": {"unit": 1}}}}},
    ),
    (
        "modify",
        "/features",
        PUMP["features"],
        "*/properties/rpm/unit",
        {
            "features": {
                "motor": {"properties": {"rpm": {"unit": 1}}},
                "lamp": {"properties": {"rpm": {"unit": 1}}},
            }
        },
    ),
    (
        "modify",
        "/features/lamp",
        {"properties": {"rpm": 1, "on": False}},
        "properties/*/unit",
        {"features": {"lamp": {"properties": {"rpm": {"unit": 1}, "on": {"unit": 1}}}}},
    ),
    (
        "modify",
        "/",
        PUMP,
        "features/lamp/properties/on/unit",
        {"features": {"lamp": {"properties": {"on": {"unit": 1}}}}},
    ),
]


@pytest.mark.parametrize(("verb", "path", "value", "key", "wanted"), PATTERNS)
def test_metadata_goes_where_its_key_says(on_pump, verb, path, value, key, wanted):
    async def main(node, things):
        getattr(things, verb)(node.ditto, T, path, value, conditions=puts((key, 1)))
        assert metadata(node) == wanted
        states = await node.revisions(T)
        assert states[2] == node.doc(T)
        before = node.doc(T)
        await node.reopen(flush=False)
        assert node.doc(T) == before

    on_pump(main)


@pytest.mark.parametrize(
    ("path", "key", "code"),
    [
        ("/", "features/*/unit", "things:metadata.notmodifiable"),
        ("/", "*/*", "things:metadata.notmodifiable"),
        ("/", "*/a/b", "things:metadata.notmodifiable"),
        ("/", "attributes/*/a/b", "things:metadata.notmodifiable"),
        ("/", "features/*/properties/*/*", "things:metadata.notmodifiable"),
        ("/attributes", "a/*", "things:metadata.notmodifiable"),
        ("/", "*", "things:metadata.notmodifiable"),
        ("/", "a//b", "header.invalid"),
        ("/", "a/~2", "header.invalid"),
        ("/", "/", "header.invalid"),
        ("/", "a~1b", "header.invalid"),
    ],
)
def test_keys_that_mean_nothing_are_refused(on_pump, path, key, code):
    async def main(node, things):
        head = node.log.head
        value = PUMP if path == "/" else {"a": 1}
        assert (
            code_of(lambda: things.modify(node.ditto, T, path, value, conditions=puts((key, 1))))
            == code
        )
        gone = Conditions(delete_metadata=(key,))
        assert code_of(lambda: things.merge(node.ditto, T, path, {}, conditions=gone)) == code
        if code != "things:metadata.notmodifiable":
            asked = Conditions(get_metadata=(key,))
            assert code_of(lambda: things.retrieve(node.ditto, T, path, conditions=asked)) == code
        assert node.log.head == head

    on_pump(main)


def test_what_one_command_changes_is_bounded(on_pump):
    async def main(node, things):
        big = puts(("note", "x" * METADATA_BYTES_MAX))
        assert (
            code_of(lambda: things.modify(node.ditto, T, "/attributes/a", 1, conditions=big))
            == "header.invalid"
        )
        # A wildcard is carried as it is, however many leaves it means.
        many = {f"key{n}": n for n in range(1500)}
        things.modify(node.ditto, T, "/attributes", many, conditions=puts(("*/unit", "mm")))
        assert len(metadata(node)["attributes"]) == 1500
        await node.log.wait()
        assert node.records()[-1].headers["metadata"] == [["/*/unit", "mm"]]

    on_pump(main)


# -- going with the data ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("verb", "path", "value", "left"),
    [
        ("delete", "/attributes/place/row", None, ["model", "place", "place/line/n"]),
        ("delete", "/attributes/place", None, ["model"]),
        ("delete", "/attributes", None, []),
        ("modify", "/attributes/place", {"row": 1}, ["model", "place", "place/row"]),
        ("modify", "/attributes/place", 5, ["model", "place"]),
        ("modify", "/attributes/place/row", 5, ["model", "place", "place/row", "place/line/n"]),
        ("modify", "/attributes", {"model": 1}, ["model"]),
        ("modify", "/attributes", None, []),
        ("modify", "/", {"attributes": {"place": {"line": {"n": 2}}}}, ["place", "place/line/n"]),
        ("merge", "/", {"attributes": {"place": {"line": None}}}, ["model", "place", "place/row"]),
        ("merge", "/attributes", {"place": None}, ["model"]),
        ("merge", "/attributes/place", {"row": None}, ["model", "place", "place/line/n"]),
        ("merge", "/attributes/place", {"line": 1}, ["model", "place", "place/row"]),
        (
            "merge",
            "/attributes",
            {"place": {"new": 1}},
            ["model", "place", "place/row", "place/line/n"],
        ),
        ("merge", "/attributes/place/row", None, ["model", "place", "place/line/n"]),
        ("delete", "/features", None, ["model", "place", "place/row", "place/line/n"]),
    ],
)
def test_what_becomes_of_data_becomes_of_its_metadata(on_pump, verb, path, value, left):
    async def main(node, things):
        named = ["model", "place", "place/row", "place/line/n"]
        keys = [(f"attributes/{name}/unit", name) for name in named]
        things.merge(node.ditto, T, "/", {}, conditions=puts(*keys))
        args = () if verb == "delete" else (value,)
        getattr(things, verb)(node.ditto, T, path, *args)

        def units(tree, path=()):
            for key, child in (tree or {}).items():
                if key == "unit":
                    assert child == "/".join(path)
                    yield child
                else:
                    yield from units(child, (*path, key))

        tree = metadata(node)
        assert sorted(units((tree or {}).get("attributes"))) == sorted(left)
        assert tree or not left
        states = await node.revisions(T)
        assert states[3] == node.doc(T)

    on_pump(main)


def test_a_thing_that_is_made_anew_has_no_metadata(on_pump):
    async def main(node, things):
        things.merge(node.ditto, T, "/", {}, conditions=puts(("attributes/model/unit", 1)))
        things.delete(node.ditto, T, "/")
        assert things.modify(node.ditto, T, "/", PUMP).revision == 4
        assert metadata(node) is None

    on_pump(main)


@pytest.mark.parametrize("verb", ["delete", "merge"])
def test_no_metadata_is_put_where_data_are_deleted(on_pump, verb):
    async def main(node, things):
        before = metadata(node)
        args = () if verb == "delete" else (None,)
        path, put = "/attributes/place", puts(("unit", "m"), ("*/at", 5))
        getattr(things, verb)(node.ditto, T, path, *args, conditions=put)
        assert metadata(node) == before

    on_pump(main)


def test_metadata_is_deleted_by_pointers(on_pump):
    async def main(node, things):
        everywhere = puts(
            ("attributes/*/unit", 1), ("features/*/properties/*/unit", 2), ("attributes/note", 3)
        )
        things.modify(node.ditto, T, "/", PUMP, conditions=everywhere)

        def without(path, *keys):
            conditions = Conditions(delete_metadata=keys)
            things.merge(node.ditto, T, path, {}, conditions=conditions)
            return metadata(node)

        assert without("/", "attributes/note")["attributes"] == {
            "model": {"unit": 1},
            "place": {"unit": 1},
        }
        assert without("/attributes", "model/unit", "none")["attributes"] == {"place": {"unit": 1}}
        assert set(without("/", "attributes/*/unit")) == {"features"}
        assert without("/", "features/*/properties/rpm/unit")["features"] == {
            "motor": {"properties": {"axis": {"unit": 2}}},
            "lamp": {"properties": {"on": {"unit": 2}}},
        }
        assert without("/features/lamp", "*/unit") == {
            "features": {"motor": {"properties": {"axis": {"unit": 2}}}}
        }
        assert without("/", "features/motor/properties") is None
        states = await node.revisions(T)
        assert list(states.values())[-1] == node.doc(T)

    on_pump(main)


# -- reading ------------------------------------------------------------------------------------


def test_metadata_is_hidden_unless_it_is_asked_for(on_pump):
    async def main(node, things):
        things.modify(
            node.ditto, T, "/attributes/model", "P2", conditions=puts(("unit", "mm"), ("by", 1))
        )
        view = things.retrieve(node.ditto, T)
        assert "_metadata" not in view.value
        assert code_of(lambda: things.retrieve(node.ditto, T, "/_metadata")) == (
            "things:thing.notfound"
        )
        select = lambda text: node.twins.select(node.ditto, view, fields.parse(text))  # noqa: E731
        tree = {"attributes": {"model": {"unit": "mm", "by": 1}}}
        assert select("_metadata") == {"_metadata": tree}
        assert select("thingId,_metadata/attributes/model/unit") == {
            "thingId": T,
            "_metadata": {"attributes": {"model": {"unit": "mm"}}},
        }
        assert select("_metadata/features") == {}
        change = node.twins.readable_change
        await node.log.wait()
        assert change(node.ditto, node.records()[-1]).value == "P2"

    on_pump(main)


def test_metadata_comes_in_a_header_if_asked_for(on_pump):
    async def main(node, things):
        given = puts(("features/*/properties/rpm/unit", "rpm"), ("attributes/model/by", "me"))
        things.modify(node.ditto, T, "/", PUMP, conditions=given)

        def got(path, *keys):
            asked = Conditions(get_metadata=keys)
            return things.retrieve(node.ditto, T, path, conditions=asked).metadata

        assert got("/", "attributes/model/by") == {"attributes": {"model": {"by": "me"}}}
        assert got("/", "features/*/properties/rpm/unit") == {
            "features": {
                "motor": {"properties": {"rpm": {"unit": "rpm"}}},
                "lamp": {"properties": {"rpm": {"unit": "rpm"}}},
            }
        }
        assert got("/features/lamp/properties", "*/unit", "rpm/unit") == {"rpm": {"unit": "rpm"}}
        assert got("/attributes/model", "by", "none") == {"by": "me"}
        assert got("/attributes/model", "none") is None
        wrong = Conditions(get_metadata=("features/*/x",))
        assert code_of(lambda: things.retrieve(node.ditto, T, conditions=wrong)) == "header.invalid"
        things.delete(node.ditto, T, "/features")
        things.delete(node.ditto, T, "/attributes")
        assert got("/", "attributes/model/by") is None
        old = things.retrieve(
            node.ditto,
            T,
            at_revision=2,
            conditions=Conditions(get_metadata=("attributes/model/by",)),
        )
        assert old.metadata == {"attributes": {"model": {"by": "me"}}}

    on_pump(main)


def test_metadata_is_as_secret_as_its_data(on_pump):
    async def main(node, things):
        given = puts(("attributes/*/unit", 1), ("features/*/properties/rpm/unit", 2))
        things.modify(node.ditto, T, "/", PUMP, conditions=given)
        entry = {
            "subjects": {"nginx:part": {"type": "t"}},
            "resources": {
                "thing:/attributes": {"grant": ["READ"], "revoke": []},
                "thing:/attributes/place": {"grant": [], "revoke": ["READ"]},
            },
        }
        await node.twins.put_policy(node.admin, "org.littoral:default", "/entries/part", entry)
        part = Caller(frozenset({"nginx:part"}))
        seen = {"attributes": {"model": {"unit": 1}}}
        view = things.retrieve(part, T)
        assert node.twins.select(part, view, fields.parse("_metadata")) == {"_metadata": seen}
        asked = Conditions(get_metadata=("attributes/*/unit", "features/*/properties/rpm/unit"))
        assert things.retrieve(part, T, conditions=asked).metadata == seen

    on_pump(main)


def test_conditions_may_name_metadata(on_pump):
    async def main(node, things):
        things.merge(node.ditto, T, "/", {}, conditions=puts(("attributes/model/unit", "mm")))
        for unit, code in (("mm", None), ("cm", "things:condition.failed")):
            when = Conditions(condition=parse(f"eq(_metadata/attributes/model/unit,'{unit}')"))
            work = lambda when=when: things.modify(  # noqa: E731
                node.ditto, T, "/attributes/model", "x", conditions=when
            )
            assert (code_of(work) if code else work().seq and None) == code

    on_pump(main)


def test_who_may_write_some_leaves_writes_their_metadata_only(on_pump):
    async def main(node, things):
        entry = {
            "subjects": {"nginx:part": {"type": "t"}},
            "resources": {"thing:/attributes/model": {"grant": ["WRITE"], "revoke": []}},
        }
        await node.twins.put_policy(node.admin, "org.littoral:default", "/entries/part", entry)
        part = Caller(frozenset({"nginx:part"}))
        patch = {"attributes": {"model": "P3"}}

        def merge(conditions):
            return things.merge(part, T, "/", patch, conditions=conditions)

        merge(puts(("*/unit", 1)))
        merge(puts(("attributes/model/unit", 1)))
        merge(Conditions(delete_metadata=("attributes/model/unit",)))
        for refused in (
            puts(("attributes/place/unit", 1)),
            puts(("attributes/unit", 1)),
            Conditions(delete_metadata=("attributes/place/unit",)),
            Conditions(delete_metadata=("*/unit",)),
        ):
            assert code_of(lambda refused=refused: merge(refused)).endswith(".notmodifiable")

    on_pump(main)


def test_metadata_counts_for_the_size_of_a_thing(on_pump):
    async def main(node, things):
        note = puts(("attributes/model/note", "n" * 5000))
        things.merge(node.ditto, T, "/", {}, conditions=note)
        room = {"big": "x" * 99_000}
        assert code_of(lambda: things.merge(node.ditto, T, "/attributes", room)) == (
            "things:thing.toolarge"
        )
        things.delete(node.ditto, T, "/attributes/model")
        things.merge(node.ditto, T, "/attributes", room)

    on_pump(main)


def test_a_write_tells_the_metadata_that_it_left(on_pump):
    async def main(node, things):
        things.merge(node.ditto, T, "/", {}, conditions=puts(("attributes/model/unit", "mm")))
        asked = Conditions(get_metadata=("*/unit", "model/none"))
        outcome = things.modify(
            node.ditto, T, "/attributes", {"model": 1, "x": 2}, conditions=asked
        )
        assert outcome.metadata == {"model": {"unit": "mm"}}
        outcome = things.modify(node.ditto, T, "/attributes", {"x": 2}, conditions=asked)
        assert outcome.metadata is None
        head = node.log.head
        wrong = Conditions(get_metadata=("*/*",))
        work = lambda: things.modify(node.ditto, T, "/attributes", {}, conditions=wrong)  # noqa: E731
        assert code_of(work) == "header.invalid"
        assert node.log.head == head
        things.delete(node.ditto, T, "/", conditions=Conditions(get_metadata=("attributes/x",)))

    on_pump(main)
