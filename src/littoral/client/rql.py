"""RQL as text, put together from Python values: nobody has to quote or escape.

    >>> both(eq("attributes/site", "s1"), gt("features/*/properties/battery", 20))
    'and(eq(attributes/site,"s1"),gt(features/*/properties/battery,20))'

Every function gives plain text, so that its results are arguments of others, and of everything that
takes a filter or a condition. Properties are pointers as Ditto writes them: ``thingId``,
``attributes/site``, ``features/lamp/properties/on``, ``_modified``, ``topic:action``.
"""

from typing import TypeAlias

import msgspec

Value: TypeAlias = "str | int | float | bool | Now | None"
"""What a property is compared with."""


class Now(str):
    """The present, as the node knows it: `now`."""

    __slots__ = ()


def now(shift: str = "", *, truncated: str = "") -> Now:
    """The present; ``now("-1h")`` is an hour ago, ``now(truncated="d")`` this day's midnight.

    Units are ms, s, m, h, d, w, mo and y.
    """
    return Now(f"time:now{shift}{f'[{truncated}]' if truncated else ''}")


def eq(path: str, value: Value) -> str:
    """``path`` is ``value``."""
    return _compare("eq", path, value)


def ne(path: str, value: Value) -> str:
    """``path`` is not ``value``."""
    return _compare("ne", path, value)


def gt(path: str, value: Value) -> str:
    """``path`` is greater than ``value``."""
    return _compare("gt", path, value)


def ge(path: str, value: Value) -> str:
    """``path`` is ``value`` or greater."""
    return _compare("ge", path, value)


def lt(path: str, value: Value) -> str:
    """``path`` is less than ``value``."""
    return _compare("lt", path, value)


def le(path: str, value: Value) -> str:
    """``path`` is ``value`` or less."""
    return _compare("le", path, value)


def like(path: str, pattern: str) -> str:
    """The text at ``path`` fits: ``*`` is any run, ``?`` any character."""
    return _compare("like", path, pattern)


def ilike(path: str, pattern: str) -> str:
    """As `like`, upper and lower case being the same."""
    return _compare("ilike", path, pattern)


def is_in(path: str, *values: Value) -> str:
    """``path`` is one of ``values``."""
    return f"in({_path(path)},{','.join(map(_literal, values))})"


def exists(path: str) -> str:
    """There is something at ``path``."""
    return f"exists({_path(path)})"


def empty(path: str) -> str:
    """There is nothing at ``path``, or null, or an empty array, object or text."""
    return f"empty({_path(path)})"


def both(*queries: str) -> str:
    """All of them hold."""
    return queries[0] if len(queries) == 1 else f"and({','.join(queries)})"


def either(*queries: str) -> str:
    """One of them holds."""
    return queries[0] if len(queries) == 1 else f"or({','.join(queries)})"


def negated(query: str) -> str:
    """It does not hold."""
    return f"not({query})"


def _compare(name: str, path: str, value: Value) -> str:
    return f"{name}({_path(path)},{_literal(value)})"


def _path(path: str) -> str:
    if not path or any(c in path for c in ',()"\\'):
        raise ValueError(f'RQL cannot name the property {path!r}: it has one of , ( ) " \\')
    return path


def _literal(value: Value) -> str:
    match value:
        case Now():
            return str(value)
        case bool():
            return "true" if value else "false"
        case float():
            # The grammar has no exponents.
            text = repr(value)
            return text if "e" not in text and "n" not in text else _plain(value)
        case None | str() | int():
            return msgspec.json.encode(value).decode()


def _plain(value: float) -> str:
    text = f"{value:.20f}".rstrip("0")
    if "n" in text:
        raise ValueError(f"RQL has no {value!r}")
    return text + "0" if text.endswith(".") else text


def within_box(path: str, *, south: float, west: float, north: float, east: float) -> str:
    """The place ``{lat, lon}`` at ``path`` is in a box of degrees. Not in Ditto."""
    return f"withinbox({_path(path)},{','.join(map(_literal, (south, west, north, east)))})"


def within_distance(path: str, *, lat: float, lon: float, metres: float) -> str:
    """The place ``{lat, lon}`` at ``path`` is so near to another one. Not in Ditto."""
    return f"withindistance({_path(path)},{','.join(map(_literal, (lat, lon, metres)))})"
