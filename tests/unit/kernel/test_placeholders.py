"""Placeholders: found and filled wherever they stand, in the time that reading the text takes."""

import pytest

from littoral.kernel.placeholders import fill, names_in


def test_names_are_found_without_the_space_around_them():
    text = "a {{ x:y }} b {{z}}{{ two words }} {{ never { closed }} }}"
    assert names_in(text) == ["x:y", "z", "two words"]
    assert fill(text, str.upper).startswith("a X:Y b ZTWO WORDS {{ never")


@pytest.mark.timeout(10)
@pytest.mark.parametrize("text", ["{{" + " " * 100_000, "{{ a" * 25_000, "{{ {{" * 20_000])
def test_braces_that_are_never_closed_keep_nobody_busy(text):
    assert names_in(text) == []
    assert fill(text, str.upper) == text
