"""A thing as the rows of the index: one for each scalar, wherever it is."""

from functools import lru_cache
from typing import NamedTuple

from littoral.search.model import Value

EMPTY_OBJECT = b"\x11"
EMPTY_ARRAY = b"\x21"
FALSE = b"\x30"
TRUE = b"\x31"
"""What is no number and no text, so that null < numbers < texts < objects < arrays < booleans."""

ANY = "*"
"""Stands for every feature's id in a wild path."""

_INT_MAX = 2**63 - 1
_HIDDEN = frozenset({"thingId"})


class Leaf(NamedTuple):
    """One value of a thing.

    ``number`` is 0 for the value at ``path`` itself. What is in an array has the array's path and a
    number of its own: odd for an element of it, even for a member of an object in it; the members
    of one object share theirs.
    """

    wild: str
    """The property, with ``*`` in place of the feature's id."""
    path: str
    """The place of the leaf as policies see it: an array is one leaf."""
    number: int
    value: Value


def encoded(value: object) -> Value:
    """A JSON scalar as the index stores it."""
    if value is True:
        return TRUE
    if value is False:
        return FALSE
    if value is None or isinstance(value, str | float):
        return value
    assert isinstance(value, int)
    return value if -_INT_MAX <= value <= _INT_MAX else float(value)


@lru_cache(maxsize=8192)
def escaped(key: str) -> str:
    """A key as a part of a path."""
    return key.replace("~", "~0").replace("/", "~1") if "~" in key or "/" in key else key


def flatten(document: dict[str, object]) -> list[Leaf]:
    """Every leaf of a thing, but its id."""
    walk = _Walk()
    for key, value in document.items():
        if key == "features" and isinstance(value, dict) and value:
            for feature, content in value.items():
                name = escaped(feature)
                walk.value(content, "features/*", f"features/{name}")
        elif key not in _HIDDEN:
            name = escaped(key)
            walk.value(value, name, name)
    return walk.leaves


class _Walk:
    """Leaves in the order of the document."""

    def __init__(self) -> None:
        self.leaves: list[Leaf] = []
        self._numbers = 0

    def value(self, value: object, wild: str, path: str) -> None:
        """Take what lies at ``path`` outside any array."""
        if isinstance(value, dict):
            if not value:
                self.leaves.append(Leaf(wild, path, 0, EMPTY_OBJECT))
            for key, child in value.items():
                name = escaped(key)
                self.value(child, f"{wild}/{name}", f"{path}/{name}")
        elif isinstance(value, list):
            if not value:
                self.leaves.append(Leaf(wild, path, 0, EMPTY_ARRAY))
            self._elements(value, wild, path)
        else:
            self.leaves.append(Leaf(wild, path, 0, encoded(value)))

    def _elements(self, array: list[object], wild: str, path: str) -> None:
        for element in array:
            if isinstance(element, list) and element:
                self._elements(element, wild, path)
                continue
            self._numbers += 1
            odd = 2 * self._numbers + 1
            if isinstance(element, list):
                self.leaves.append(Leaf(wild, path, odd, EMPTY_ARRAY))
            elif not isinstance(element, dict):
                self.leaves.append(Leaf(wild, path, odd, encoded(element)))
            elif not element:
                self.leaves.append(Leaf(wild, path, odd, EMPTY_OBJECT))
            else:
                self._members(element, wild, path, 2 * self._numbers)

    def _members(self, element: dict[str, object], wild: str, path: str, number: int) -> None:
        for key, child in element.items():
            below = f"{wild}/{escaped(key)}"
            if isinstance(child, dict) and child:
                self._members(child, below, path, number)
            elif isinstance(child, list) and child:
                self._elements(child, below, path)
            elif isinstance(child, dict | list):
                empty = EMPTY_OBJECT if isinstance(child, dict) else EMPTY_ARRAY
                self.leaves.append(Leaf(below, path, number, empty))
            else:
                self.leaves.append(Leaf(below, path, number, encoded(child)))


def wild_of(path: str) -> str:
    """The wild path of a path: the feature's id becomes ``*``."""
    if not path.startswith("features/"):
        return path
    slash = path.find("/", 9)
    return "features/*" if slash < 0 else "features/*" + path[slash:]
