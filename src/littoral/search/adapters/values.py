"""Conditions on one value of the index, as SQL. A comparison stays within the type of its literal."""

from typing import NamedTuple

from littoral.rql import Literal, Now, Operator, fold
from littoral.search.core.leaves import FALSE, TRUE, encoded

NOT_A_VALUE = "({v} IS NULL OR {v} < x'' OR {v} >= x'30')"
"""Neither an empty object nor an empty array."""


class Sql(NamedTuple):
    """A piece of a statement, and what is bound to its question marks."""

    text: str
    params: tuple[object, ...] = ()


NEVER = Sql("0")
ALWAYS = Sql("1")


def both(*parts: Sql) -> Sql:
    """All of them."""
    if NEVER in parts:
        return NEVER
    kept = [part for part in parts if part != ALWAYS]
    if not kept:
        return ALWAYS
    return Sql(
        " AND ".join(part.text for part in kept), tuple(p for part in kept for p in part.params)
    )


def either(*parts: Sql) -> Sql:
    """At least one of them."""
    if ALWAYS in parts:
        return ALWAYS
    kept = [part for part in parts if part != NEVER]
    if not kept:
        return NEVER
    return Sql(
        f"({' OR '.join(f'({part.text})' for part in kept)})",
        tuple(p for part in kept for p in part.params),
    )


def negated(part: Sql) -> Sql:
    """The opposite; never unknown, because no part of ours is."""
    if part in (NEVER, ALWAYS):
        return ALWAYS if part == NEVER else NEVER
    return Sql(f"NOT ({part.text})", part.params)


def test(operator: Operator, literal: Literal, v: str) -> Sql:
    """Whether the expression ``v`` compares so with ``literal``; NULL counts as false."""
    assert not isinstance(literal, Now), "resolve the query before it is asked"
    if operator in (Operator.LIKE, Operator.ILIKE):
        assert isinstance(literal, str)
        return _like(literal, v) if operator is Operator.LIKE else _ilike(literal, v)
    value = encoded(literal)
    if value is None:
        return _null(operator, v)
    if operator is Operator.EQ:
        return Sql(f"{v} = ?", (value,))
    if operator is Operator.NE:
        return Sql(f"({v} IS NOT ? AND {NOT_A_VALUE.format(v=v)})", (value,))
    sign = {Operator.GT: ">", Operator.GE: ">=", Operator.LT: "<", Operator.LE: "<="}[operator]
    upward = operator in (Operator.GT, Operator.GE)
    if isinstance(value, bytes):
        return Sql(f"{v} {sign} ? AND {v} {'<=' if upward else '>='} ?",
                   (value, TRUE if upward else FALSE))  # fmt: skip
    if isinstance(value, str):
        bound = f"{v} < x''" if upward else f"{v} >= ''"
        return Sql(f"{v} {sign} ? AND {bound}", (value,))
    return Sql(f"{v} {sign} ? AND {v} < ''" if upward else f"{v} {sign} ?", (value,))


def _null(operator: Operator, v: str) -> Sql:
    match operator:
        case Operator.EQ | Operator.GE | Operator.LE:
            return Sql(f"{v} IS NULL")
        case Operator.NE:
            return Sql(f"({v} < x'' OR {v} >= x'30')")
        case _:
            return NEVER


def _like(pattern: str, v: str) -> Sql:
    at = min((i for i in (pattern.find("*"), pattern.find("?")) if i >= 0), default=-1)
    if at < 0:
        return Sql(f"{v} = ?", (pattern,))
    glob = glob_of(pattern)
    prefix = pattern[:at]
    end = after_prefix(prefix)
    if end is None:
        return Sql(f"{v} >= ? AND {v} < x'' AND {v} GLOB ?", (prefix, glob))
    if pattern == prefix + "*":
        return Sql(f"{v} >= ? AND {v} < ?", (prefix, end))
    return Sql(f"{v} >= ? AND {v} < ? AND {v} GLOB ?", (prefix, end, glob))


def _ilike(pattern: str, v: str) -> Sql:
    glob = glob_of(fold(pattern))
    # SQLite's lower() knows ASCII only; a text of as many bytes as characters is all ASCII.
    return Sql(
        f"{v} >= '' AND {v} < x'' AND CASE WHEN length({v}) = octet_length({v}) "
        f"THEN lower({v}) GLOB ? ELSE fold({v}) GLOB ? END",
        (glob, glob),
    )


def glob_of(pattern: str) -> str:
    """A pattern of RQL in SQLite's own terms: there ``[`` begins a class of characters."""
    return pattern.replace("[", "[[]")


def after_prefix(prefix: str) -> str | None:
    """The least text above all that begin with ``prefix``; None if there is none."""
    while prefix:
        code = ord(prefix[-1]) + 1
        if code == 0xD800:
            code = 0xE000
        if code <= 0x10FFFF:
            return prefix[:-1] + chr(code)
        prefix = prefix[:-1]
    return None
