"""What a condition says about a document. Semantics of Ditto's in-memory evaluator.

Pure: the document comes in through a look-up, so a caller may overlay a change on a state.
"""

import re
from collections.abc import Callable
from decimal import Decimal
from functools import lru_cache
from typing import assert_never

from littoral.functions.core.rql import (
    And,
    Compare,
    Exists,
    In,
    Literal,
    Not,
    Operator,
    Or,
    Query,
)

_DECIMAL = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?")

Lookup = Callable[[str], "tuple[object, ...]"]
"""All values at a property; none if it is missing, several if arrays were walked through."""


def matches(query: Query, lookup: Lookup) -> bool:
    """Whether ``query`` holds for what ``lookup`` finds.

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
        case And(parts):
            return all(matches(part, lookup) for part in parts)
        case Or(parts):
            return any(matches(part, lookup) for part in parts)
        case Not(part):
            return not matches(part, lookup)
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
            several = value if isinstance(value, list) else (value,)
            following += [one[key] for one in several if isinstance(one, dict) and key in one]
        if not following:
            return ()
        found = following
    return tuple(found)


def _holds(operator: Operator, value: object, literal: Literal) -> bool:
    if isinstance(value, list):
        return any(_holds(operator, one, literal) for one in value)
    if isinstance(value, dict):
        return False
    assert value is None or isinstance(value, str | int | float)
    match operator:
        case Operator.EQ:
            return _order(value, literal) == 0
        case Operator.NE:
            return _order(value, literal) != 0
        case Operator.LIKE:
            assert isinstance(literal, str)
            return value is not None and like(literal, _text(value))
        case Operator.GT | Operator.GE | Operator.LT | Operator.LE:
            order = _order(value, literal)
            if order is None:
                return False
            match operator:
                case Operator.GT:
                    return order > 0
                case Operator.GE:
                    return order >= 0
                case Operator.LT:
                    return order < 0
                case Operator.LE:
                    return order <= 0
        case _:
            assert_never(operator)


def _order(value: Literal, literal: Literal) -> int | None:
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


def like(pattern: str, text: str) -> bool:
    """Whether ``text`` has the form of ``pattern``: ``*`` is any run, ``?`` one character.

    Linear in memory and never worse than len(pattern) * len(text) steps, whatever the pattern.
    """
    at = seen = 0
    star = -1
    retry = 0
    while seen < len(text):
        if at < len(pattern) and pattern[at] == "*":
            star, retry = at, seen
            at += 1
        elif at < len(pattern) and pattern[at] in ("?", text[seen]):
            at += 1
            seen += 1
        elif star >= 0:
            retry += 1
            at, seen = star + 1, retry
        else:
            return False
    return all(character == "*" for character in pattern[at:])
