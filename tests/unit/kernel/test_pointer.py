"""JSON pointers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from littoral.kernel import pointer
from littoral.kernel.errors import InvalidKey, InvalidPointer


@given(st.lists(st.text("ab~/é ", min_size=1, max_size=4), max_size=6).map(tuple))
def test_parsing_what_was_rendered_gives_the_keys_back(keys):
    assert pointer.parse(pointer.render(keys)) == keys


@pytest.mark.parametrize(
    ("text", "keys"),
    [("", ()), ("/", ()), ("a/b", ("a", "b")), ("/a~1b/~0c", ("a/b", "~c"))],
)
def test_a_missing_leading_slash_is_forgiven(text, keys):
    assert pointer.parse(text) == keys


@pytest.mark.parametrize("text", ["/a//b", "/a/", "/a~2", "/" + "a/" * 64 + "a", "/" + "a" * 9000])
def test_what_is_no_pointer_is_refused(text):
    with pytest.raises(InvalidPointer):
        pointer.parse(text)


@pytest.mark.parametrize("key", ["", "a/b", "a\x00", "a\x7f", "a\x9f"])
def test_keys_that_ditto_forbids_are_refused(key):
    with pytest.raises(InvalidKey):
        pointer.check_key(key)


@pytest.mark.parametrize("key", ["a", "ä ö", "a.b:c", "\u200b", "*"])
def test_other_keys_are_allowed(key):
    assert pointer.check_key(key) == key
