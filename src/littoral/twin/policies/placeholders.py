"""Placeholders in what is written: ``{{ request:subjectId }}`` and ``{{ time:now }}``. Pure.

Spec: Ditto replaces them in subjects when policies are created or modified; expiries may say
``{{ time:now+1h }}``. The rest of a policy keeps its braces.
"""

from collections.abc import Callable

from littoral import rql
from littoral.kernel import placeholders
from littoral.twin.policies.errors import PlaceholderNotResolvable

_KEPT = frozenset(("announcement",))


def fill_policy(keys: tuple[str, ...], value: object, subject: str, now_ms: int) -> object:
    """``value``, to be written at ``keys`` of a policy, with its placeholders replaced."""
    match keys:
        case ():
            return _at(value, "entries", lambda v: _entries(v, subject, now_ms))
        case ("entries",):
            return _entries(value, subject, now_ms)
        case ("entries", _):
            return _entry(value, subject, now_ms)
        case ("entries", _, "subjects"):
            return _subjects(value, subject, now_ms)
        case ("entries", _, "subjects", _):
            return _subject(value, subject, now_ms)
        case _:
            return value


def fill(text: str, subject: str, now_ms: int) -> str:
    """``text`` with its placeholders replaced; raise `PlaceholderNotResolvable` for unknown ones."""
    if "{{" not in text:
        return text
    return placeholders.fill(text, lambda name: _resolved(name, subject, now_ms))


def _resolved(name: str, subject: str, now_ms: int) -> str:
    if name == "request:subjectId" and subject:
        return subject
    if name.startswith("time:now"):
        instant = rql.named(name, now_ms)
        if instant is not None:
            return str(instant)
    raise PlaceholderNotResolvable(
        f"the placeholder {name[:80]!r} stands for nothing here.",
        hint="Known ones are request:subjectId and time:now.",
    )


def _at(value: object, key: str, change: Callable[[object], object]) -> object:
    if not isinstance(value, dict) or key not in value:
        return value
    return {**value, key: change(value[key])}


def _entries(value: object, subject: str, now_ms: int) -> object:
    if not isinstance(value, dict):
        return value
    return {label: _entry(one, subject, now_ms) for label, one in value.items()}


def _entry(value: object, subject: str, now_ms: int) -> object:
    return _at(value, "subjects", lambda v: _subjects(v, subject, now_ms))


def _subjects(value: object, subject: str, now_ms: int) -> object:
    if not isinstance(value, dict):
        return value
    return {fill(k, subject, now_ms): _subject(v, subject, now_ms) for k, v in value.items()}


def _subject(value: object, subject: str, now_ms: int) -> object:
    if not isinstance(value, dict):
        return value
    return {
        k: fill(v, subject, now_ms) if isinstance(v, str) and k not in _KEPT else v
        for k, v in value.items()
    }
