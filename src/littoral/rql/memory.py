"""What a query says about a document in memory. Semantics of Ditto's in-memory evaluator.

The document comes in through a look-up, so a caller may overlay a change on a state, or answer
for properties that no document has (``topic:action``).
"""

import re
from collections.abc import Callable
from decimal import Decimal
from functools import lru_cache
from typing import assert_never

from littoral.rql import geo
from littoral.rql.model import (
    And,
    Compare,
    Empty,
    Exists,
    In,
    Literal,
    Not,
    Now,
    Operator,
    Or,
    Query,
    Scalar,
    WithinBox,
    WithinDistance,
)
from littoral.rql.patterns import fold, like

_DECIMAL = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?")

Lookup = Callable[[str], "tuple[object, ...]"]
"""All values at a property; none if it is missing, several if arrays were walked through."""


def matches(query: Query, lookup: Lookup) -> bool:
    """Whether ``query``, its time placeholders resolved, holds for what ``lookup`` finds.

    Numbers and texts are compared as numbers if both are numerals, else as texts by UTF-16 code
    units. A list holds if one of its elements does; an object compares with nothing. A missing
    property is not equal to anything, so ``ne`` holds for it.
    """
    match query:
        case Compare(operator, path, literal):
            values = lookup(path)
            if operator is Operator.NE and not values:
                return True
            return any(_holds(operator, value, literal) for value in values)
        case In(path, literals):
            values = lookup(path)
            return any(_holds(Operator.EQ, v, literal) for v in values for literal in literals)
        case Exists(path):
            return bool(lookup(path))
        case Empty(path):
            values = lookup(path)
            return not values or any(map(_is_empty, values))
        case And(parts):
            return all(matches(part, lookup) for part in parts)
        case Or(parts):
            return any(matches(part, lookup) for part in parts)
        case Not(part):
            return not matches(part, lookup)
        case WithinBox(path) | WithinDistance(path):
            return any(_is_within(query, value) for value in lookup(path))
        case _:
            assert_never(query)


@lru_cache(maxsize=4096)
def split(path: str) -> tuple[str, ...]:
    """Keys of a property: slashes part them, ``~1`` and ``~0`` stand for ``/`` and ``~``."""
    keys = tuple(path.removeprefix("/").split("/"))
    if "~" not in path:
        return keys
    return tuple(key.replace("~1", "/").replace("~0", "~") for key in keys)


def lookup_in(document: object) -> Lookup:
    """Look properties up in parsed JSON; pointers walk through arrays of objects."""

    def lookup(path: str) -> tuple[object, ...]:
        return values_at(document, split(path))

    return lookup


def either(*lookups: Lookup) -> Lookup:
    """Ask one look-up after the other; the first that finds something answers."""

    def lookup(path: str) -> tuple[object, ...]:
        for one in lookups:
            if found := one(path):
                return found
        return ()

    return lookup


def values_at(document: object, keys: tuple[str, ...]) -> tuple[object, ...]:
    """All values at ``keys`` in parsed JSON: none, one, or one for each element of an array."""
    value = document
    for index, key in enumerate(keys):
        if isinstance(value, list):
            return _through_lists(value, keys[index:])
        if not isinstance(value, dict) or key not in value:
            return ()
        value = value[key]
    return (value,)


def _through_lists(first: list[object], keys: tuple[str, ...]) -> tuple[object, ...]:
    found: list[object] = [first]
    for key in keys:
        following: list[object] = []
        for value in found:
            several = elements(value) if isinstance(value, list) else (value,)
            following += [one[key] for one in several if isinstance(one, dict) and key in one]
        if not following:
            return ()
        found = following
    return tuple(found)


def elements(array: list[object]) -> list[object]:
    """What is in an array and in the arrays in it."""
    found: list[object] = []
    for value in array:
        found += elements(value) if isinstance(value, list) else (value,)
    return found


def _is_empty(value: object) -> bool:
    return value is None or value == "" or (isinstance(value, list | dict) and not value)


def _is_within(area: WithinBox | WithinDistance, value: object) -> bool:
    if isinstance(value, list):
        return any(_is_within(area, one) for one in value)
    place = geo.place_of(value)
    if place is None:
        return False
    if isinstance(area, WithinBox):
        return geo.in_box(area, *place)
    return geo.in_distance(area, *place)


def _holds(operator: Operator, value: object, literal: Literal) -> bool:
    if isinstance(value, list):
        return any(_holds(operator, one, literal) for one in value)
    if isinstance(value, dict):
        return False
    assert value is None or isinstance(value, str | int | float)
    assert not isinstance(literal, Now), "resolve the query before it is asked"
    match operator:
        case Operator.EQ:
            return _order(value, literal) == 0
        case Operator.NE:
            return _order(value, literal) != 0
        case Operator.LIKE:
            assert isinstance(literal, str)
            return value is not None and like(literal, _text(value))
        case Operator.ILIKE:
            assert isinstance(literal, str)
            return value is not None and like(fold(literal), fold(_text(value)))
        case Operator.GT | Operator.GE | Operator.LT | Operator.LE:
            order = _order(value, literal)
            return order is not None and _is_ordered(operator, order)
        case _:
            assert_never(operator)


def _is_ordered(operator: Operator, order: int) -> bool:
    match operator:
        case Operator.GT:
            return order > 0
        case Operator.GE:
            return order >= 0
        case Operator.LT:
            return order < 0
        case _:
            return order <= 0


def _order(value: Scalar, literal: Scalar) -> int | None:
    """-1, 0 or 1; None if the two have no order, as null has with anything else."""
    if value is None or literal is None:
        return 0 if value is literal else None
    if type(value) in {int, float} and type(literal) in {int, float}:
        return (value > literal) - (value < literal)  # type: ignore[operator]  # checked above
    a, b = _text(value), _text(literal)
    if not isinstance(value, str) or not isinstance(literal, str):
        x, y = _numeral(a), _numeral(b)
        if x is not None and y is not None:
            return (x > y) - (x < y)
    left, right = a.encode("utf-16-be", "surrogatepass"), b.encode("utf-16-be", "surrogatepass")
    return (left > right) - (left < right)


def _numeral(text: str) -> Decimal | None:
    return Decimal(text) if _DECIMAL.fullmatch(text) else None


def _text(value: str | float | bool) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else repr(value)
