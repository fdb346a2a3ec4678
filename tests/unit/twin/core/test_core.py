"""The pure rules of twins: places, lanes, patches, folding, conflicts."""

import copy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from littoral.kernel import json, merge
from littoral.log import Record
from littoral.twin.core import state
from littoral.twin.core.conflict import conflict_of
from littoral.twin.core.document import check_parent, check_value, is_member, tidied
from littoral.twin.core.paths import (
    coarsened,
    keys_of,
    lane_of,
    lanes_touched,
    mark,
    newest_overlapping,
    noun_of,
    overlap,
)
from littoral.twin.core.state import Hot, compose
from littoral.twin.errors import NotFound
from littoral.twin.model import LANES_MAX

KEYS = st.sampled_from("abc")
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(0, 2) | st.just([]),
    lambda inner: st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(KEYS, VALUES, max_size=3)


@pytest.mark.slow
@settings(max_examples=300)
@given(target=VALUES, earlier=OBJECTS, later=OBJECTS)
def test_a_composed_patch_does_what_both_do_one_after_the_other(target, earlier, later):
    expected = copy.deepcopy(target)
    for patch in (earlier, later):
        expected = merge.merge(expected, copy.deepcopy(patch))
    one, before, given_later = copy.deepcopy(earlier), copy.deepcopy(earlier), copy.deepcopy(later)
    if compose(one, given_later):
        # Nulls are kept in the patch: it does not know what it will be merged into.
        assert merge.merge(copy.deepcopy(target), one) == expected
    else:
        assert one == before
    assert given_later == later


@pytest.mark.slow
@settings(max_examples=200)
@given(
    patches=st.lists(st.tuples(st.sampled_from("fg"), OBJECTS, st.booleans()), max_size=8),
)
def test_pending_patches_make_what_merging_each_at_once_makes(patches):
    hot = Hot("thing:a:b")
    hot.replace({"thingId": "a:b", "features": {"f": {"properties": {"a": {"b": 1}}}}})
    expected = hot.document()
    for feature, patch, looked in patches:
        keys = ("features", feature, "properties")
        expected = merge.merge_at(expected, keys, copy.deepcopy(patch))
        hot.accumulate("/" + "/".join(keys), copy.deepcopy(patch), 10)
        if looked:
            assert hot.document() == expected
    packed = state.unpack("thing:a:b", state.pack(hot))
    assert packed.document() == hot.document() == expected
    assert hot.pending == {} and hot.pending_bytes == 0


def test_what_an_object_replaces_is_not_merged_into():
    for earlier in ({"a": None}, {"a": 1}, {"a": {"b": None}}):
        assert not compose(copy.deepcopy(earlier), {"a": {"b": {"c": 1}}})
    one = {"a": {"b": {"x": 1}}}
    assert compose(one, {"a": {"b": {"y": None}}, "c": {}})
    assert one == {"a": {"b": {"x": 1, "y": None}}, "c": {}}


NOUNS = {
    "/": "thing",
    "/policyId": "policyId",
    "/definition": "definition",
    "/attributes": "attributes",
    "/attributes/a/b": "attribute",
    "/features": "features",
    "/features/f": "feature",
    "/features/f/definition": "feature.definition",
    "/features/f/properties": "feature.properties",
    "/features/f/properties/p": "feature.property",
    "/features/f/desiredProperties": "feature.desiredProperties",
    "/features/f/desiredProperties/p/q": "feature.desiredProperty",
    "/other": "thing",
}


@pytest.mark.parametrize(("path", "noun"), NOUNS.items())
def test_nouns_are_dittos(path, noun):
    assert noun_of(keys_of(path)) == noun


def test_lanes():
    assert lane_of(()) == "/"
    assert lane_of(("attributes", "a", "b")) == "/attributes"
    assert lane_of(("features", "a/b", "properties", "x")) == "/features/a~1b/properties"
    tree = {
        "attributes": {"a": {"b": 1}},
        "features": {"f": {"properties": {"p": 1}, "definition": None}, "g": None, "h": {}},
    }
    assert lanes_touched((), tree, merged=True) == [
        "/attributes",
        "/features/f/properties",
        "/features/f/definition",
        "/features/g",
        "/features/h",
    ]
    assert lanes_touched((), tree, merged=False) == ["/"]
    assert lanes_touched((), {}, merged=True) == ["/"]
    assert lanes_touched(("features", "f"), {"properties": {}}, merged=True) == [
        "/features/f/properties"
    ]
    assert lanes_touched(("attributes",), {"x": 1}, merged=True) == ["/attributes"]
    assert lanes_touched(("features", "f"), {"properties": {}}, merged=False) == ["/features/f"]


def test_overlaps():
    for one, other in (("/", "/a"), ("/a", "/a"), ("/features/f", "/features/f/properties")):
        assert overlap(one, other) and overlap(other, one)
    for one, other in (("/a", "/ab"), ("/features/f", "/features/g"), ("/a/b", "/a/c")):
        assert not overlap(one, other) and not overlap(other, one)
    lanes = {"/attributes": 5, "/features/f": 7}
    assert newest_overlapping(lanes, ["/features/f/properties", "/attributes"]) == 7
    assert newest_overlapping(lanes, ["/features/g"]) == newest_overlapping(lanes, []) == 0
    assert newest_overlapping(lanes, ["/"]) == 7


LANES = st.sampled_from(
    ["/", "/attributes", "/features", "/features/f", "/features/f/properties", "/features/g"]
)


@pytest.mark.slow
@settings(max_examples=300)
@given(
    writes=st.lists(st.tuples(LANES, st.integers(1, 9), st.booleans()), max_size=10), asked=LANES
)
def test_marks_remember_the_newest_of_every_place(writes, asked):
    """A replacement drops what it covers, and still no overlapping stamp is ever forgotten."""
    lanes = {}
    for lane, stamp, replaced in writes:
        mark(lanes, [lane], stamp, replaced=replaced)
    newest = max((s for lane, s, _ in writes if overlap(lane, asked)), default=0)
    assert newest_overlapping(lanes, [asked]) >= newest
    if not any(replaced for *_, replaced in writes):
        assert newest_overlapping(lanes, [asked]) == newest
    # It is a stamp of a write after all.
    assert set(lanes.values()) <= {stamp for _, stamp, _ in writes}
    coarse = coarsened(lanes)
    assert newest_overlapping(coarse, [asked]) >= newest_overlapping(lanes, [asked])
    assert max(coarse.values(), default=0) == max(lanes.values(), default=0)


def test_a_replacement_keeps_what_is_newer_inside_it():
    lanes = {"/features/f/properties": 9, "/features/f/definition": 3, "/attributes": 1}
    mark(lanes, ["/features/f"], 5, replaced=True)
    assert lanes == {"/features/f/properties": 9, "/features/f": 5, "/attributes": 1}
    mark(lanes, ["/features/f"], 4, replaced=False)
    assert lanes["/features/f"] == 5


def test_too_many_lanes_are_taken_together_when_the_state_is_packed():
    hot = Hot("thing:a:b")
    hot.lanes = {f"/features/f{n}/properties": n for n in range(LANES_MAX)}
    assert len(state.unpack("thing:a:b", state.pack(hot)).lanes) == LANES_MAX
    hot.lanes |= {"/attributes/a/b": 7, "/": 1, "/policyId": 2}
    packed = state.unpack("thing:a:b", state.pack(hot))
    assert packed.lanes == {"/features": LANES_MAX - 1, "/attributes": 7, "/": 1, "/policyId": 2}


def test_members_and_nulls():
    assert is_member(("definition",)) and is_member(("features", "f", "properties"))
    for keys in ((), ("policyId",), ("attributes", "a"), ("features", "f", "properties", "p")):
        assert not is_member(keys)
    assert tidied(
        ("features",), {"a": None, "b": {"definition": None, "properties": {"x": None}}}
    ) == {"b": {"properties": {"x": None}}}
    assert tidied(("features", "f"), {"definition": None}) == {}
    for keys, value in (
        (("attributes",), {"x": None}),
        (("attributes", "a"), {"x": None}),
        (("features", "f", "properties"), {"x": None}),
        (("features",), None),
    ):
        assert tidied(keys, value) == value


def test_nothing_is_refused_for_the_nulls_that_delete():
    for path in (
        "/definition",
        "/attributes",
        "/features",
        "/features/f",
        "/features/f/definition",
    ):
        check_value(keys_of(path), None, patch=True)
    check_value((), {"definition": None, "attributes": None, "_x": 1}, patch=True)


def test_a_part_of_a_feature_needs_the_feature():
    keys = ("features", "f", "properties")
    for document in ({}, {"features": {}}, {"features": None}):
        with pytest.raises(NotFound):
            check_parent(document, keys, "a:b")
    check_parent({"features": {"f": {}}}, keys, "a:b")
    check_parent({}, ("attributes", "a", "b"), "a:b")


def record(hlc, kind, path, value, *, origin="a/1", oseq=1, headers=None):
    data = b"" if value is None else json.encode(value)
    return Record(hlc, hlc, None, 2, kind, "thing:a:b", hlc, 0, path, data, headers, origin, oseq)


def test_only_what_is_whole_brings_a_thing_back():
    for kind, path, value in (
        ("thing.merged", "/features/f/properties", {"a": 1}),
        ("thing.merged", "/", {"a": 1}),
        ("thing.modified", "/attributes", {"a": 1}),
        ("thing.deleted", "/attributes", None),
        ("thing.deleted", "/", None),
    ):
        assert state.fold_in_order(None, [record(1, kind, path, value)]) is None
        hot = Hot("thing:a:b")
        state.apply(hot, record(1, kind, path, value))
        assert (hot.exists, hot.revision, hot.created_ms) == (False, 1, 0)
    for kind in ("thing.created", "thing.modified"):
        assert state.fold_in_order(None, [record(1, kind, "/", {"x": 1})]) == {"x": 1}
    assert state.fold_in_order({"x": 1}, [record(1, "thing.unknown", "/", None)]) == {"x": 1}
    assert state.fold_in_order({"x": 1}, [record(1, "thing.created", "/", [1])]) is None


def test_a_policy_id_that_is_none_is_empty():
    hot = Hot("thing:a:b")
    hot.replace({"policyId": 1})
    assert hot.policy_id == ""
    hot.replace({"policyId": "a:p"})
    hot.replace(None)
    assert (hot.policy_id, hot.fold(), hot.document()) == ("a:p", None, None)


def conflict(late, others, document):
    return conflict_of(late, others, document)


def test_a_conflict_tells_each_leaf_that_was_lost():
    late = record(5, "thing.merged", "/attributes", {"a": 1, "b": {"c": 2}, "x/y": 3, "e": {}})
    winner = record(9, "thing.modified", "/attributes", {"a": 1}, origin="b/1")
    earlier = record(3, "thing.merged", "/attributes", {"a": 0}, origin="b/1")
    body = conflict(late, [earlier, winner], {"attributes": {"a": 1}})
    assert body == {
        "lost": {"/attributes/b/c": 2, "/attributes/x~1y": 3, "/attributes/e": {}},
        "lostOrigin": "a/1",
        "lostHlc": 5,
        "wonOrigin": "b/1",
        "wonHlc": 9,
    }
    # Nobody newer, only the own node, or nothing lost: nothing to tell.
    assert conflict(late, [earlier], {}) is None
    own = record(9, "thing.modified", "/attributes", {"a": 1}, origin="a/2")
    assert conflict(late, [own], {}) is None
    there = {"attributes": {"a": 1, "b": {"c": 2}, "x/y": 3, "e": {"new": 1}}}
    assert conflict(late, [winner], there) is None
    implicit = late._replace(headers={"implicit": True})
    assert conflict(implicit, [winner], {}) is None
    # True is not 1; a deletion is lost if something is there.
    late = record(5, "thing.merged", "/attributes", {"a": 1, "b": None})
    assert conflict(late, [winner], {"attributes": {"a": True, "b": 0}})["lost"] == {
        "/attributes/a": 1,
        "/attributes/b": None,
    }
    late = record(5, "thing.deleted", "/", None)
    assert conflict(late, [winner], {"attributes": {}})["lost"] == {"/": None}
    assert conflict(late, [winner], None) is None
