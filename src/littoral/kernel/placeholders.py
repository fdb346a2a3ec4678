"""Placeholders in texts that users write: ``{{ name }}``. What a name stands for is its user's business."""

import re
from collections.abc import Callable

# Any white space belongs to the name until it is cut off: a pattern that tells them apart tries all
# the ways to do so, and a brace that is never closed would keep a node busy for hours.
_PLACEHOLDER = re.compile(r"\{\{([^{}]*)\}\}")


def names_in(text: str) -> list[str]:
    """The names between double braces, in their order."""
    return [found.strip() for found in _PLACEHOLDER.findall(text)]


def fill(text: str, value_of: Callable[[str], str]) -> str:
    """``text`` with ``value_of(name)`` in place of each placeholder."""
    return _PLACEHOLDER.sub(lambda found: value_of(found[1].strip()), text)
