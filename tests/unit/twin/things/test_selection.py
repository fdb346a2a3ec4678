"""Ditto's fields: grouped pointers against a naive reading, special members, what events may ask."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from littoral.kernel import pointer
from littoral.twin import Caller, fields

T = "org.littoral:pump"
KEYS = st.sampled_from(["a", "b", "a/b", "~", "c d"])
VALUES = st.recursive(
    st.none() | st.integers(0, 3) | st.just([]) | st.just({}),
    lambda inner: st.dictionaries(KEYS, inner, max_size=3),
)
FEATURE = st.fixed_dictionaries(
    {}, optional={"properties": VALUES, "definition": st.just(["a:b:1"])}
)
THINGS = st.fixed_dictionaries(
    {"thingId": st.just(T)},
    optional={
        "attributes": st.dictionaries(KEYS, VALUES, max_size=3),
        "features": st.dictionaries(st.sampled_from(["f", "g", "a/b"]), FEATURE, max_size=2),
    },
)
PATHS = st.one_of(
    st.lists(KEYS, min_size=1, max_size=3).map(lambda keys: ("attributes", *keys)),
    st.tuples(st.just("features"), st.sampled_from(["*", "f", "a/b"])),
    st.tuples(
        st.just("features"), st.sampled_from(["*", "f", "g"]), st.just("properties"), KEYS, KEYS
    ),
    st.sampled_from([("thingId",), ("attributes",), ("features",), ("none", "a")]),
)


def naive(document, paths):
    """Each leaf of the document stays if a pointer is above it or leads to it."""

    def keeps(place):
        return any(
            len(path) <= len(place)
            and all(
                want in (key, "*" if (index == 1 and path[0] == "features") else key)
                for index, (key, want) in enumerate(zip(place, path, strict=False))
            )
            for path in paths
        )

    def cut(value, place):
        if keeps(place):
            return value
        if not isinstance(value, dict):
            return None
        left = {}
        for key, child in value.items():
            kept = keeps((*place, key))
            part = cut(child, (*place, key))
            if kept or part:
                left[key] = part
        return left

    return cut(document, ())


def grouped(paths):
    """The same pointers as nested groups."""
    tree = {}
    for path in paths:
        node = tree
        for key in path:
            node = node.setdefault(key, {})
        node[None] = {}

    def render(node):
        parts = []
        for key, below in node.items():
            if key is None:
                continue
            name = pointer.render((key,))[1:]
            inner = {k: v for k, v in below.items() if k is not None}
            if None in below or not inner:
                parts.append(name)
            else:
                parts.append(f"{name}({render(below)})")
        return ",".join(parts)

    return render(tree)


@given(THINGS, st.lists(PATHS, min_size=1, max_size=4))
def test_pointers_and_groups_select_what_they_name(thing, paths):
    flat = ",".join(pointer.render(path).removeprefix("/") for path in paths)
    wanted = naive(thing, paths)
    assert fields.select(thing, fields.parse(flat)) == wanted
    assert fields.select(thing, fields.parse(grouped(paths))) == wanted


@given(THINGS, st.lists(PATHS, min_size=1, max_size=3))
def test_selecting_twice_changes_nothing_and_the_document_is_left_alone(thing, paths):
    from littoral.kernel import json

    before = json.encode(thing)
    tree = fields.parse(grouped(paths))
    once = fields.select(thing, tree)
    assert fields.select(once, tree) == once
    assert json.encode(thing) == before


def test_a_wildcard_stands_for_features_only():
    thing = {"attributes": {"*": 1, "a": 2}, "features": {"f": {"properties": {"*": 3, "b": 4}}}}
    select = lambda text: fields.select(thing, fields.parse(text))  # noqa: E731
    assert select("attributes/*") == {"attributes": {"*": 1}}
    assert select("features/*/properties/*") == {"features": {"f": {"properties": {"*": 3}}}}
    features = fields.select(thing["features"], fields.parse("*/properties/b"), ("features",))
    assert features == {"f": {"properties": {"b": 4}}}


def test_a_selector_is_read_once():
    assert fields.parse("thingId,attributes") is fields.parse("thingId,attributes")


@pytest.mark.parametrize("text", ["a~b", "~", "a/~2", "a(~)", "features/*("])
def test_bad_escapes_are_refused(text):
    with pytest.raises(fields.InvalidFields):
        fields.parse(text)


def test_events_are_enriched_with_members_of_things_only():
    every = "thingId,policyId,definition,attributes/a,features/*/properties,_namespace,_revision"
    every += ",_created,_modified,_metadata/x,_policy,_context/topic"
    assert fields.parse_event(every) is fields.parse(every)
    for text in ("foo", "attributes,bar/x", "*", "_hidden"):
        with pytest.raises(fields.UnknownFields) as caught:
            fields.parse_event(text)
        assert caught.value.code == "things:field.selection.invalid"
    with pytest.raises(fields.InvalidFields):
        fields.parse_event("attributes(")


def test_special_members_come_if_they_are_named(on_node):
    async def main(node):
        body = {"policyId": "org.littoral:default", "attributes": {"a": 1}}
        await node.twins.modify(node.ditto, T, "/", body)
        view = node.twins.things.retrieve(node.ditto, T)

        def select(text, caller=node.ditto, **more):
            return node.twins.select(caller, view, fields.parse(text), **more)

        stamps = select("_namespace,_revision,_created,_modified")
        assert stamps["_namespace"] == "org.littoral"
        assert stamps["_revision"] == 1
        assert stamps["_created"] == stamps["_modified"]
        assert stamps["_created"].endswith("Z")
        assert select("_context") == {}
        assert select("_context/topic,thingId", context={"topic": "t", "path": "/"}) == {
            "_context": {"topic": "t"},
            "thingId": T,
        }
        policy = select("_policy/entries/owner/subjects")["_policy"]
        assert policy == {"entries": {"owner": {"subjects": {"nginx:ditto": {"type": "t"}}}}}
        # Who may not read the policy gets the thing without it.
        reader = {
            "subjects": {"nginx:r": {"type": "t"}},
            "resources": {"thing:/": {"grant": ["READ"], "revoke": []}},
        }
        await node.twins.put_policy(node.ditto, "org.littoral:default", "/entries/r", reader)
        assert select("_policy,thingId", Caller(frozenset({"nginx:r"}))) == {"thingId": T}
        part = node.twins.things.retrieve(node.ditto, T, "/attributes")
        chosen = node.twins.select(
            node.ditto, part, fields.parse("a,_revision"), path="/attributes"
        )
        assert chosen == {"a": 1}

    on_node(main)
