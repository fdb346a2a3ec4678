"""JSON merge patch and writing at paths."""

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from littoral.kernel import merge
from littoral.kernel.errors import InvalidJson

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text("ab", max_size=2),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text("abc", min_size=1, max_size=1), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


# Spec: RFC 7396, appendix A, as the examples stand there.
@pytest.mark.parametrize(
    ("target", "patch", "result"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        (["a", "b"], ["c", "d"], ["c", "d"]),
        ({"a": "b"}, ["c"], ["c"]),
        ({"a": "foo"}, None, None),
        ({"a": "foo"}, "bar", "bar"),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_merge_does_what_the_rfc_says(target, patch, result):
    assert merge.merge(target, patch) == result


@given(JSON, JSON)
def test_merging_twice_is_merging_once(target, patch):
    once = merge.merge(copy.deepcopy(target), patch)
    assert merge.merge(copy.deepcopy(once), patch) == once


@given(JSON)
def test_merging_into_nothing_strips_nulls(patch):
    stripped = merge.strip_nulls(copy.deepcopy(patch))
    assert merge.merge(None, copy.deepcopy(patch)) == stripped


def test_a_value_put_at_a_path_makes_the_objects_on_the_way():
    assert merge.put_at({"a": 1}, ("b", "c"), 2) == {"a": 1, "b": {"c": 2}}


def test_a_null_patch_at_a_path_deletes_it():
    assert merge.merge_at({"a": {"b": 1, "c": 2}}, ("a", "b"), None) == {"a": {"c": 2}}


def test_deleting_what_is_not_there_changes_nothing():
    assert merge.delete_at({"a": 1}, ("b", "c")) == {"a": 1}
    assert merge.delete_at({"a": 1}, ("a", "c")) == {"a": 1}


def test_deleting_the_root_leaves_nothing():
    assert merge.delete_at({"a": 1}, ()) is None


def test_a_document_that_nests_too_deep_is_refused_without_recursion():
    bomb: object = 1
    for _ in range(5000):
        bomb = [bomb]
    with pytest.raises(InvalidJson, match="deeper than 64"):
        merge.check_depth(bomb)
    merge.check_depth({"a": {"b": [1]}})
