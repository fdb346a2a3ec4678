"""Literals of RQL: their text and their values."""

import re
from decimal import Decimal
from math import isfinite

from littoral.rql.model import OFFSET_MAX, Literal, Now, Scalar, Unit

WORD = re.compile(r"(?:true|false|null)(?=[,)])")
NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?(?=[,)])")
STRING = re.compile(
    r'"((?:[^"\\\x00-\x1f]|\\(?:["\'\\/bfnrt]|u[0-9a-fA-F]{4}))*)"'
    r"|'((?:[^'\\\x00-\x1f]|\\(?:[\"'\\/bfnrt]|u[0-9a-fA-F]{4}))*)'"
)
NOW = re.compile(
    r"time:now(?P<epoch>_epoch_millis)?(?:(?P<offset>[+-][0-9]{1,10})(?P<unit>ms|mo|[smhdwy]))?"
    r"(?:\[(?P<truncate>ms|mo|[smhdwy])\])?(?=[,)]|\Z)"
)

_WORDS: dict[str, Scalar] = {"true": True, "false": False, "null": None}
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))")
_ESCAPES = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_UNPRINTABLE = re.compile(r'["\\\x00-\x1f\ud800-\udfff]')
_LONG_MAX = 2**63 - 1
_LONG_CHARS_MAX = 20


def word_of(text: str) -> Scalar:
    """The value of ``true``, ``false`` or ``null``."""
    return _WORDS[text]


def number_of(text: str, *, whole: bool) -> int | float | None:
    """The value of a numeral; None if it has more than 64 bits, or is a negative zero."""
    if text == "-0":
        return None
    if whole:
        fits = len(text) <= _LONG_CHARS_MAX and -_LONG_MAX - 1 <= int(text) <= _LONG_MAX
        return int(text) if fits else None
    value = float(text)
    return value if isfinite(value) else None


def string_of(body: str) -> str | None:
    """The value of what stands between quotes; None if half a character is left over."""
    text = _ESCAPE.sub(_unescaped, body)
    try:
        # Two escapes may make one astral character; half of one is no text.
        return text.encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError:
        return None


def _unescaped(found: re.Match[str]) -> str:
    if found.group(1) is not None:
        return chr(int(found.group(1), 16))
    return _ESCAPES.get(found.group(2), found.group(2))


def now_of(found: re.Match[str]) -> Now | None:
    """The value of a time placeholder; None if its offset is out of bounds."""
    offset, unit, truncate = int(found["offset"] or 0), found["unit"], found["truncate"]
    if abs(offset) > OFFSET_MAX:
        return None
    return Now(
        found["epoch"] is not None,
        offset,
        None if unit is None else Unit(unit),
        None if truncate is None else Unit(truncate),
    )


def text_of(literal: Literal) -> str:
    """Write a literal in the one form that `littoral.rql.render` uses."""
    if literal is None:
        return "null"
    if isinstance(literal, bool):
        return "true" if literal else "false"
    if isinstance(literal, str):
        return '"' + _UNPRINTABLE.sub(_escaped, literal) + '"'
    if isinstance(literal, float):
        return decimal_of(literal)
    if isinstance(literal, Now):
        offset = "" if literal.unit is None else f"{literal.offset:+d}{literal.unit}"
        truncate = "" if literal.truncate is None else f"[{literal.truncate}]"
        return f"time:now{'_epoch_millis' if literal.epoch_millis else ''}{offset}{truncate}"
    return str(literal)


def decimal_of(value: float) -> str:
    """A numeral without an exponent that reads back as the same float."""
    text = format(Decimal(repr(value)), "f")
    return text if "." in text else f"{text}.0"


def _escaped(found: re.Match[str]) -> str:
    return f"\\u{ord(found.group()):04x}"
