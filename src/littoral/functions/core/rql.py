r"""Conditions: the part of RQL that decides about one thing in memory. Text in, text out.

Grammar (white space only at the very beginning and after a comma between sub-queries)::

    query    = logical / compare / in / exists
    logical  = ("and" / "or") "(" query *("," query) ")"  /  "not(" query ")"
    compare  = ("eq" / "ne" / "gt" / "ge" / "lt" / "le" / "like") "(" property "," literal ")"
    in       = "in(" property "," literal *("," literal) ")"
    exists   = "exists(" property ")"
    property = 1*( any character but  , ( ) " \ )          a leading slash is optional
    literal  = string / double / long / "true" / "false" / "null"

Spec: Eclipse Ditto's RQL, without ``ilike``, ``empty`` and placeholders. What a query says about a
document is in `verdict`.
"""

import re
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from math import isfinite
from typing import NoReturn, assert_never

from littoral.functions.errors import InvalidCondition

CONDITION_CHARS_MAX = 8 * 1024
"""Length of a condition. Source: the longest URI that Ditto takes."""

CONDITION_DEPTH_MAX = 32
"""Nesting of a condition."""

Literal = str | int | float | bool | None


class Operator(StrEnum):
    """How a property is compared with a literal."""

    EQ = "eq"
    NE = "ne"
    GT = "gt"
    GE = "ge"
    LT = "lt"
    LE = "le"
    LIKE = "like"


@dataclass(frozen=True, slots=True)
class Compare:
    """``eq(property,literal)`` and its like."""

    operator: Operator
    property: str
    literal: Literal


@dataclass(frozen=True, slots=True)
class In:
    """``in(property,literal,…)``: equal to one of them."""

    property: str
    literals: tuple[Literal, ...]


@dataclass(frozen=True, slots=True)
class Exists:
    """``exists(property)``."""

    property: str


@dataclass(frozen=True, slots=True)
class And:
    """All of its parts, at least one."""

    parts: "tuple[Query, ...]"


@dataclass(frozen=True, slots=True)
class Or:
    """One of its parts, at least one."""

    parts: "tuple[Query, ...]"


@dataclass(frozen=True, slots=True)
class Not:
    """The opposite of its part."""

    part: "Query"


Query = Compare | In | Exists | And | Or | Not

_OPERATORS = {operator.value: operator for operator in Operator}
_NAME = re.compile(r"[a-z]+\(")
_PROPERTY = re.compile(r'[^,()"\\]+')
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?(?=[,)])")
_WORD = re.compile(r"(?:true|false|null)(?=[,)])")
_STRING = re.compile(
    r'"((?:[^"\\\x00-\x1f]|\\(?:["\'\\/bfnrt]|u[0-9a-fA-F]{4}))*)"'
    r"|'((?:[^'\\\x00-\x1f]|\\(?:[\"'\\/bfnrt]|u[0-9a-fA-F]{4}))*)'"
)
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))")
_ESCAPES = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_UNPRINTABLE = re.compile(r'["\\\x00-\x1f\ud800-\udfff]')
_WORDS: dict[str, Literal] = {"true": True, "false": False, "null": None}
_LONG_MAX = 2**63 - 1
_LONG_CHARS_MAX = 20


def parse(text: str) -> Query:
    """Read a condition.

    Raises:
        InvalidCondition: it is none; the sentence shows the place.
    """
    if len(text) > CONDITION_CHARS_MAX:
        raise InvalidCondition(
            f"a condition has at most {CONDITION_CHARS_MAX} characters, not {len(text)}.", at=0
        )
    reader = _Reader(text)
    reader.skip_space()
    query = reader.query(depth=0)
    if reader.at != len(text):
        reader.fail("the end")
    return query


class _Reader:
    """A place in a condition that only moves forward."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def fail(self, wanted: str) -> NoReturn:
        found = self.text[self.at : self.at + 12] or "the end"
        raise InvalidCondition(
            f"the condition {self.text[:120]!r} has {found!r} at character {self.at + 1}, "
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
        if depth > CONDITION_DEPTH_MAX:
            self.fail(f"no more than {CONDITION_DEPTH_MAX} levels")
        begin = self.at
        name = self.take(_NAME, "an operator").group()[:-1]
        query: Query
        if name in {"and", "or"}:
            parts = [self.query(depth + 1)]
            while self.has_comma():
                self.skip_space()
                parts.append(self.query(depth + 1))
            query = And(tuple(parts)) if name == "and" else Or(tuple(parts))
        elif name == "not":
            query = Not(self.query(depth + 1))
        elif name == "exists":
            query = Exists(self.property())
        elif name == "in":
            path = self.property()
            self.expect(",")
            literals = [self.literal()]
            while self.has_comma():
                literals.append(self.literal())
            query = In(path, tuple(literals))
        elif name in _OPERATORS:
            query = self.compare(_OPERATORS[name])
        else:
            self.at = begin
            self.fail(f"one of and, or, not, in, exists, {', '.join(Operator)}")
        self.expect(")")
        return query

    def compare(self, operator: Operator) -> Compare:
        path = self.property()
        self.expect(",")
        begin = self.at
        literal = self.literal()
        if operator is Operator.LIKE and not isinstance(literal, str):
            self.at = begin
            self.fail("a string in quotes")
        return Compare(operator, path, literal)

    def property(self) -> str:
        return self.take(_PROPERTY, "a property").group()

    def literal(self) -> Literal:
        word = _WORD.match(self.text, self.at)
        if word is not None:
            self.at = word.end()
            return _WORDS[word.group()]
        begin = self.at
        number = _NUMBER.match(self.text, self.at)
        if number is not None:
            text = number.group()
            if number.group(1) is None:
                fits = len(text) <= _LONG_CHARS_MAX and -_LONG_MAX - 1 <= int(text) <= _LONG_MAX
            else:
                fits = isfinite(float(text))
            if not fits or text == "-0":
                self.fail("a 64-bit number")
            self.at = number.end()
            return int(text) if number.group(1) is None else float(text)
        found = self.take(_STRING, "a literal (a string needs quotes)")
        body = found.group(1) if found.group(1) is not None else found.group(2)
        text = _ESCAPE.sub(_unescaped, body)
        try:
            # Two escapes may make one astral character; half of one is no text.
            return text.encode("utf-16", "surrogatepass").decode("utf-16")
        except UnicodeDecodeError:
            self.at = begin
            self.fail("a string without half characters")


def _unescaped(found: re.Match[str]) -> str:
    if found.group(1) is not None:
        return chr(int(found.group(1), 16))
    return _ESCAPES.get(found.group(2), found.group(2))


def render(query: Query) -> str:
    """Write a condition; inverse of `parse`, in one form: double quotes and no white space."""
    match query:
        case Compare(operator, path, literal):
            return f"{operator}({path},{_literal(literal)})"
        case In(path, literals):
            return f"in({path},{','.join(map(_literal, literals))})"
        case Exists(path):
            return f"exists({path})"
        case And(parts):
            return f"and({','.join(map(render, parts))})"
        case Or(parts):
            return f"or({','.join(map(render, parts))})"
        case Not(part):
            return f"not({render(part)})"
        case _:
            assert_never(query)


def _escaped(found: re.Match[str]) -> str:
    return f"\\u{ord(found.group()):04x}"


def _literal(literal: Literal) -> str:
    if literal is None:
        return "null"
    if isinstance(literal, bool):
        return "true" if literal else "false"
    if isinstance(literal, str):
        return '"' + _UNPRINTABLE.sub(_escaped, literal) + '"'
    if isinstance(literal, float):
        text = format(Decimal(repr(literal)), "f")
        return text if "." in text else f"{text}.0"
    return str(literal)
