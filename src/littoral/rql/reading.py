r"""RQL: text in, `Query` out, and back.

Grammar (white space only at the very beginning and after a comma between sub-queries)::

    query    = logical / compare / in / exists / empty
    logical  = ("and" / "or") "(" query *("," query) ")"  /  "not(" query ")"
    compare  = ("eq" / "ne" / "gt" / "ge" / "lt" / "le" / "like" / "ilike") "(" property ","
               literal ")"
    in       = "in(" property "," literal *("," literal) ")"
    exists   = "exists(" property ")"
    empty    = "empty(" property ")"
    property = 1*( any character but  , ( ) " \ )          a leading slash is optional
    literal  = string / double / long / "true" / "false" / "null" / now
    now      = "time:now" ["_epoch_millis"] [("+" / "-") 1*digit unit] ["[" unit "]"]
    unit     = "ms" / "s" / "m" / "h" / "d" / "w" / "mo" / "y"

and, extended by Littoral::

    geo      = "withinbox(" property "," south "," west "," north "," east ")"
             / "withindistance(" property "," lat "," lon "," metres ")"

Spec: Eclipse Ditto 3.9, documentation/rql and its parser's tests.
"""

import re
from functools import lru_cache
from typing import NoReturn, assert_never

from littoral.rql import literals
from littoral.rql.errors import InvalidExpression
from littoral.rql.model import (
    EXPRESSION_CHARS_MAX,
    EXPRESSION_DEPTH_MAX,
    And,
    Compare,
    Empty,
    Exists,
    In,
    Literal,
    Not,
    Operator,
    Or,
    Query,
    WithinBox,
    WithinDistance,
)

PARSED_MAX = 1024
"""Parsed queries that are remembered."""

_OPERATORS = {operator.value: operator for operator in Operator}
_PATTERNS = {Operator.LIKE, Operator.ILIKE}
_NAMES = ("and", "or", "not", "in", "exists", "empty", *Operator)
_GEO = ("withinbox", "withindistance")
_NAME = re.compile(r"[a-z]+\(")
_PROPERTY = re.compile(r'[^,()"\\]+')


@lru_cache(maxsize=PARSED_MAX)
def parse(text: str, *, extended: bool = False) -> Query:
    """Read a query; ``extended`` allows Littoral's own operators.

    Raises:
        InvalidExpression: it is none; the sentence shows the place.
    """
    if len(text) > EXPRESSION_CHARS_MAX:
        raise InvalidExpression(
            f"an RQL expression has at most {EXPRESSION_CHARS_MAX} characters, not {len(text)}.",
            at=0,
        )
    reader = _Reader(text, extended=extended)
    reader.skip_space()
    query = reader.query(depth=0)
    if reader.at != len(text):
        reader.fail("the end")
    return query


class _Reader:
    """A place in an expression that only moves forward."""

    def __init__(self, text: str, *, extended: bool) -> None:
        self.text = text
        self.at = 0
        self.extended = extended

    def fail(self, wanted: str) -> NoReturn:
        found = self.text[self.at : self.at + 12] or "the end"
        raise InvalidExpression(
            f"the RQL expression {self.text[:120]!r} has {found!r} at character {self.at + 1}, "
            f"where {wanted} is wanted.",
            hint="RQL has no space around commas and literals: and(gt(a/b,1),exists(c)).",
            at=self.at,
        )

    def skip_space(self) -> None:
        while self.text[self.at : self.at + 1] in {" ", "\t", "\n", "\r"}:
            self.at += 1

    def take(self, pattern: re.Pattern[str], wanted: str) -> re.Match[str]:
        found = pattern.match(self.text, self.at)
        if found is None:
            self.fail(wanted)
        self.at = found.end()
        return found

    def expect(self, character: str) -> None:
        if self.text[self.at : self.at + 1] != character:
            self.fail(repr(character))
        self.at += 1

    def has_comma(self) -> bool:
        if self.text[self.at : self.at + 1] != ",":
            return False
        self.at += 1
        return True

    def query(self, depth: int) -> Query:
        if depth > EXPRESSION_DEPTH_MAX:
            self.fail(f"no more than {EXPRESSION_DEPTH_MAX} levels")
        begin = self.at
        name = self.take(_NAME, "an operator").group()[:-1]
        query: Query
        if name in {"and", "or"}:
            parts = self.parts(depth + 1)
            query = And(parts) if name == "and" else Or(parts)
        elif name == "not":
            query = Not(self.query(depth + 1))
        elif name == "exists":
            query = Exists(self.property())
        elif name == "empty":
            query = Empty(self.property())
        elif name == "in":
            query = self.membership()
        elif name in _OPERATORS:
            query = self.compare(_OPERATORS[name])
        elif name in _GEO and self.extended:
            query = self.box() if name == "withinbox" else self.distance()
        else:
            self.at = begin
            known = (*_NAMES, *_GEO) if self.extended else _NAMES
            self.fail(f"one of {', '.join(known)}")
        self.expect(")")
        return query

    def parts(self, depth: int) -> tuple[Query, ...]:
        parts = [self.query(depth)]
        while self.has_comma():
            self.skip_space()
            parts.append(self.query(depth))
        return tuple(parts)

    def compare(self, operator: Operator) -> Compare:
        path = self.property()
        self.expect(",")
        begin = self.at
        literal = self.literal()
        if operator in _PATTERNS and not isinstance(literal, str):
            self.at = begin
            self.fail("a string in quotes")
        return Compare(operator, path, literal)

    def membership(self) -> In:
        path = self.property()
        self.expect(",")
        found = [self.literal()]
        while self.has_comma():
            found.append(self.literal())
        return In(path, tuple(found))

    def box(self) -> WithinBox:
        path = self.property()
        south = self.degrees(90)
        west = self.degrees(180)
        begin = self.at + 1
        north = self.degrees(90)
        if north < south:
            self.at = begin
            self.fail("a latitude that is not south of the first")
        return WithinBox(path, south, west, north, self.degrees(180))

    def distance(self) -> WithinDistance:
        path = self.property()
        lat, lon = self.degrees(90), self.degrees(180)
        self.expect(",")
        begin = self.at
        metres = self.number()
        if metres < 0:
            self.at = begin
            self.fail("a distance in metres")
        return WithinDistance(path, lat, lon, metres)

    def degrees(self, bound: int) -> float:
        self.expect(",")
        begin = self.at
        value = self.number()
        if abs(value) > bound:
            self.at = begin
            self.fail(f"a number from -{bound} to {bound}")
        return value

    def number(self) -> float:
        begin = self.at
        value = self.literal()
        if isinstance(value, bool) or not isinstance(value, int | float):
            self.at = begin
            self.fail("a number")
        return float(value)

    def property(self) -> str:
        return self.take(_PROPERTY, "a property").group()

    def literal(self) -> Literal:
        begin = self.at
        if word := literals.WORD.match(self.text, begin):
            self.at = word.end()
            return literals.word_of(word.group())
        if number := literals.NUMBER.match(self.text, begin):
            value = literals.number_of(number.group(), whole=number.group(1) is None)
            if value is None:
                self.fail("a 64-bit number")
            self.at = number.end()
            return value
        if now := literals.NOW.match(self.text, begin):
            placeholder = literals.now_of(now)
            if placeholder is None:
                self.fail("a time nearer to now")
            self.at = now.end()
            return placeholder
        found = self.take(literals.STRING, "a literal (a string needs quotes)")
        text = literals.string_of(found.group(1) if found.group(1) is not None else found.group(2))
        if text is None:
            self.at = begin
            self.fail("a string without half characters")
        return text


def render(query: Query) -> str:
    """Write a query; inverse of `parse`, in one form: double quotes and no white space."""
    match query:
        case Compare(operator, path, literal):
            return f"{operator}({path},{literals.text_of(literal)})"
        case In(path, several):
            return f"in({path},{','.join(map(literals.text_of, several))})"
        case Exists(path):
            return f"exists({path})"
        case Empty(path):
            return f"empty({path})"
        case WithinBox(path, south, west, north, east):
            return f"withinbox({path},{_numbers(south, west, north, east)})"
        case WithinDistance(path, lat, lon, metres):
            return f"withindistance({path},{_numbers(lat, lon, metres)})"
        case And(parts):
            return f"and({','.join(map(render, parts))})"
        case Or(parts):
            return f"or({','.join(map(render, parts))})"
        case Not(part):
            return f"not({render(part)})"
        case _:
            assert_never(query)


def _numbers(*numbers: float) -> str:
    return ",".join(map(literals.decimal_of, numbers))
