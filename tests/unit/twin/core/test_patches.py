"""Merge patches beyond RFC 7396: deletion by pattern, null as a value, equality."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from littoral.kernel import json, merge
from littoral.kernel.errors import LittoralError
from littoral.twin import Caller
from littoral.twin.core import patches
from littoral.twin.core.patches import PATTERN_CHARS_MAX, PATTERNS_MAX

T = "org.littoral:pump"
PUMP = {
    "policyId": "org.littoral:default",
    "attributes": {"2023-01": 1, "2023-02": 2, "2024-01": 3, "note": {"a1": 1, "a2": 2, "b": 3}},
    "features": {"lamp1": {"properties": {"on": True}}, "lamp2": {}, "motor": {}},
}


@pytest.fixture
def on_pump(on_node):
    def start(main, **more):
        async def world(node):
            await node.twins.modify(node.ditto, T, "/", PUMP)
            await main(node, node.twins.things)

        on_node(world, **more)

    return start


@pytest.mark.parametrize(
    ("path", "patch", "stored"),
    [
        ("/attributes", {"{{ ~2023-.*~ }}": None}, {"2023-01": None, "2023-02": None}),
        ("/attributes", {"{{ /2023-.*/ }}": None}, {"2023-01": None, "2023-02": None}),
        ("/attributes", {"{{~2023-.*~}}": None, "2023-05": 5}, {"2023-01": None, "2023-02": None, "2023-05": 5}),
        ("/attributes", {"{{ ~2023-.*~ }}": None, "2023-01": 9}, {"2023-01": 9, "2023-02": None}),
        ("/attributes", {"2023-01": 9, "{{ ~2023-.*~ }}": None}, {"2023-01": 9, "2023-02": None}),
        # The whole name has to match.
        ("/attributes", {"{{ ~2023~ }}": None}, {}),
        ("/attributes", {"note": {"{{ ~a.~ }}": None, "c": 1}}, {"note": {"a1": None, "a2": None, "c": 1}}),
        ("/attributes/none", {"{{ ~a.~ }}": None}, {}),
        ("/features", {"{{ ~lamp\\d+~ }}": None}, {"lamp1": None, "lamp2": None}),
        ("/", {"features": {"{{ ~(?i)LAMP1~ }}": None}}, {"features": {"lamp1": None}}),
        ("/", {"{{ ~feat.*~ }}": None}, {"features": None}),
        ("/features/lamp1", {"properties": {"{{ ~.*~ }}": None}}, {"properties": {"on": None}}),
        ("/attributes", {"{{ plain }}": 1}, {"{{ plain }}": 1}),
    ],
)  # fmt: skip
def test_a_pattern_deletes_what_it_matches_and_is_stored_as_what_it_deleted(
    on_pump, path, patch, stored
):
    async def main(node, things):
        things.merge(node.ditto, T, path, patch)
        await node.log.wait()
        assert json.decode(node.records()[-1].value) == stored

    on_pump(main)


@pytest.mark.parametrize(
    "patch",
    [
        {"{{ ~a(?=b)~ }}": None},
        {"{{ ~(a)\\1~ }}": None},
        {"{{ ~(~ }}": None},
        {"{{ ~a*~ }}": 1},
        {"{{ ~" + "a" * (PATTERN_CHARS_MAX + 1) + "~ }}": None},
        {f"{{{{ ~a{n}~ }}}}": None for n in range(PATTERNS_MAX + 1)},
        {"{{ ~((a{100}){100}){100}~ }}": None},
    ],
)
def test_patterns_that_cannot_be_worked_out_are_refused(on_pump, patch):
    async def main(node, things):
        head = node.log.head
        with pytest.raises(LittoralError) as caught:
            things.merge(node.ditto, T, "/attributes", patch)
        assert caught.value.code == "things:merge.invalid"
        assert node.log.head == head

    on_pump(main)


def test_no_pattern_can_hang_a_node():
    names = {"a" * 4000 + str(n): 1 for n in range(20)}
    began = time.thread_time()
    assert patches.expanded(names, {"{{ ~(a+)+b~ }}": None, "{{ ~(a|aa)*c~ }}": None}) == {}
    assert time.thread_time() - began < 1


def test_a_pattern_counts_as_its_parent_for_permissions(on_pump):
    async def main(node, things):
        entry = {
            "subjects": {"nginx:part": {"type": "t"}},
            "resources": {
                "thing:/attributes/2023-01": {"grant": ["WRITE"], "revoke": []},
                "thing:/attributes/note": {"grant": ["WRITE"], "revoke": []},
            },
        }
        await node.twins.put_policy(node.admin, "org.littoral:default", "/entries/part", entry)
        part = Caller(frozenset({"nginx:part"}))
        things.merge(part, T, "/attributes", {"note": {"{{ ~a.~ }}": None}, "2023-01": 5})
        with pytest.raises(LittoralError) as caught:
            things.merge(part, T, "/attributes", {"{{ ~2023-01~ }}": None})
        assert caught.value.code == "things:attributes.notmodifiable"

    on_pump(main)


def test_a_patch_that_creates_a_thing_has_nothing_to_delete(on_pump):
    async def main(node, things):
        body = {
            "policyId": "org.littoral:default",
            "attributes": {"a": 1, "n": None, "{{ ~a~ }}": None},
        }
        outcome = things.merge(node.ditto, "org.littoral:new", "/", body)
        assert outcome.created
        assert node.doc("org.littoral:new")["attributes"] == {"a": 1}

    on_pump(main)


# -- null as a value -------------------------------------------------------------------------------


def test_a_null_that_was_put_is_read_back(on_pump):
    async def main(node, things):
        for path, value in (
            ("/attributes/x", None),
            ("/attributes/y", {"z": None, "l": [None]}),
            ("/features/motor/properties", {"p": None}),
        ):
            things.modify(node.ditto, T, path, value)
            assert things.retrieve(node.ditto, T, path).value == value
        assert things.retrieve(node.ditto, T, "/attributes/y/z").value is None
        assert things.modify(node.ditto, T, "/attributes/x", None).created is False
        things.modify(node.ditto, T, "/", PUMP | {"attributes": {"n": None}})
        view = things.retrieve(node.ditto, T)
        assert view.value["attributes"] == {"n": None}
        assert things.retrieve(node.ditto, T, "/attributes/n").etag
        with pytest.raises(LittoralError) as caught:
            things.retrieve(node.ditto, T, "/attributes/none")
        assert caught.value.code == "things:attribute.notfound"
        await node.reopen(flush=False)
        assert node.doc(T)["attributes"] == {"n": None}

    on_pump(main)


def test_a_null_is_seen_by_who_may_see_a_value_there(on_pump):
    async def main(node, things):
        things.modify(node.ditto, T, "/attributes/x", None)
        for resource, visible in (
            ("thing:/attributes", True),
            ("thing:/attributes/x", True),
            ("thing:/attributes/x/y", False),
            ("thing:/features", False),
        ):
            entry = {
                "subjects": {"nginx:part": {"type": "t"}},
                "resources": {resource: {"grant": ["READ"], "revoke": []}},
            }
            await node.twins.put_policy(node.admin, "org.littoral:default", "/entries/part", entry)
            part = Caller(frozenset({"nginx:part"}))
            if visible:
                assert things.retrieve(part, T, "/attributes/x").value is None
            else:
                with pytest.raises(LittoralError) as caught:
                    things.retrieve(part, T, "/attributes/x")
                assert caught.value.code == "things:attribute.notfound"

    on_pump(main)


# -- pure ----------------------------------------------------------------------------------------------

SCALARS = st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(["", "a", 1.5, 2.0])
KEYS = st.sampled_from(["a", "b", "ab", "ba"])
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(KEYS, inner, max_size=3)
)
DOCUMENTS = st.dictionaries(KEYS, VALUES, max_size=3)


def copy(value):
    return json.decode(json.encode(value))


@pytest.mark.slow
@given(DOCUMENTS, VALUES)
def test_a_minimised_patch_does_the_same(document, patch):
    left = patches.minimised(document, patch)
    after = merge.merge(copy(document), copy(patch))
    if left is patches.NOTHING:
        assert patches.same(document, after)
    else:
        assert patches.same(merge.merge(copy(document), copy(left)), after)
        assert patches.minimised(after, left) is patches.NOTHING or _has_null_object(left)


def _has_null_object(patch):
    """A patch that puts an object into nothing leaves its nulls out, and changes nothing twice."""
    return isinstance(patch, dict)


@given(DOCUMENTS, VALUES)
def test_nothing_is_left_of_what_is_there_already(document, patch):
    after = merge.merge(copy(document), copy(patch))
    assert patches.minimised(after, after if not _nulls(after) else {}) is patches.NOTHING


def _nulls(value):
    if isinstance(value, dict):
        return any(child is None or _nulls(child) for child in value.values())
    return False


PATTERNED = st.recursive(
    SCALARS,
    lambda inner: st.dictionaries(KEYS, inner, max_size=3).flatmap(
        lambda d: st.sampled_from([d, {**d, "{{ ~a.*~ }}": None}, {"{{ /.b?/ }}": None, **d}])
    ),
)


def naive(target, patch):
    """RFC 7396 with Ditto's patterns, deletions first."""
    import re

    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for key in patch:
        if key.startswith("{{"):
            regex = key[2:-2].strip()[1:-1]
            result = {k: v for k, v in result.items() if not re.fullmatch(regex, k) or k in patch}
    for key, value in patch.items():
        if key.startswith("{{"):
            continue
        if value is None:
            result.pop(key, None)
        else:
            result[key] = naive(result.get(key), value)
    return result


@pytest.mark.slow
@given(DOCUMENTS, PATTERNED)
def test_an_expanded_patch_does_what_its_patterns_say(document, patch):
    plain = patches.expanded(document, copy(patch))
    assert not patches.has_patterns(plain)
    assert merge.merge(copy(document), plain) == naive(document, patch)
    assert patches.has_patterns(patch) == (patches.without_patterns(patch) != patch)


@given(VALUES, VALUES)
def test_same_is_equality_of_json(a, b):
    assert patches.same(a, copy(a))
    if patches.same(a, b):
        assert json.canonical(a) == json.canonical(b)
    assert patches.same(1, 1.0) and not patches.same(0, bool(0))


@pytest.mark.slow
@given(DOCUMENTS, st.lists(KEYS, max_size=3).map(tuple), st.booleans())
def test_what_is_dropped_from_a_patch_is_not_there(patch, keys, empty_too):
    before = copy(patch)
    left = patches.dropped(patch, keys, empty_too=empty_too)
    assert patch == before
    if not keys:
        assert left is patches.NOTHING
        return
    if left is not patches.NOTHING and keys:
        assert merge.delete_at(copy(before), keys) == left or empty_too
