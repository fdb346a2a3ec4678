"""Merge patches beyond RFC 7396: deletion by pattern, parts under a condition, shrinking. Pure.

Ditto's extension: a key ``{{ ~regex~ }}`` (older: ``{{ /regex/ }}``) whose value is null deletes
every member of that object whose name the regex matches. Patterns are worked out once, where the
command is decided; records, and so replicas, hold plain patches.
"""

import re
from collections.abc import Iterator

from littoral.kernel import json
from littoral.twin.errors import InvalidThing

PATTERNS_MAX = 32
"""Patterns in one merge patch."""

PATTERN_CHARS_MAX = 256
"""Length of a pattern in a merge patch."""

_PATTERN_BYTES_MAX = 1 << 20
"""What one compiled pattern may take; larger ones are refused."""

_KEY = re.compile(r"\{\{\s*(?:~(?P<new>.*)~|/(?P<old>.*)/)\s*\}\}", re.DOTALL)

NOTHING = object()
"""What `minimised` leaves of a patch that changes nothing."""


def has_patterns(patch: object) -> bool:
    """Whether some key in ``patch`` is a pattern."""
    if not isinstance(patch, dict):
        return False
    return any(
        (key[:2] == "{{" and _KEY.fullmatch(key) is not None)
        or (value.__class__ is dict and has_patterns(value))
        for key, value in patch.items()
    )


def without_patterns(patch: object) -> object:
    """A copy of ``patch`` without its patterns: what can be checked before the thing is known.

    Raises:
        InvalidThing: a pattern has a value, or there are too many.
    """
    found = [_check_null(key, value) for key, value in _patterns(patch)]
    if len(found) > PATTERNS_MAX:
        raise InvalidThing(f"a merge patch has at most {PATTERNS_MAX} patterns, not {len(found)}.")
    return _plain(patch)


def expanded(target: object, patch: object) -> object:
    """``patch`` with each pattern replaced by nulls for the members of ``target`` that it matches.

    Raises:
        InvalidThing: a pattern is too long, or no regular expression that takes linear time.
    """
    if not isinstance(patch, dict):
        return patch
    known = target if isinstance(target, dict) else {}
    plain: dict[str, object] = {}
    for key, value in patch.items():
        if _KEY.fullmatch(key) is None:
            # What the patch says in so many words goes before what a pattern says.
            plain[key] = expanded(known.get(key), value)
            continue
        for name in _matching(key, known):
            plain.setdefault(name, None)
    return plain


def _matching(key: str, names: dict[str, object]) -> Iterator[str]:
    # Imported when it is wanted: few nodes ever see a pattern.
    import re2  # type: ignore[import-untyped]  # noqa: PLC0415

    found = _KEY.fullmatch(key)
    assert found is not None
    text = found["new"] if found["new"] is not None else found["old"]
    if len(text) > PATTERN_CHARS_MAX:
        raise InvalidThing(f"a pattern has at most {PATTERN_CHARS_MAX} characters.")
    options = re2.Options()
    options.log_errors = False
    options.max_mem = _PATTERN_BYTES_MAX
    try:
        pattern = re2.compile(text, options)
    except re2.error as e:
        raise InvalidThing(
            f"{text!r} is not a regular expression, or has look-around or back references.",
            hint="Write it in RE2's syntax.",
        ) from e
    for name in names:
        if name[:1] != "_" and pattern.fullmatch(name) is not None:
            yield name


def _patterns(patch: object) -> Iterator[tuple[str, object]]:
    if isinstance(patch, dict):
        for key, value in patch.items():
            if key[:2] == "{{" and _KEY.fullmatch(key) is not None:
                yield key, value
            else:
                yield from _patterns(value)


def _check_null(key: str, value: object) -> str:
    if value is not None:
        raise InvalidThing(f"the pattern {key[:80]!r} has a value.", hint="It may only be null.")
    return key


def _plain(patch: object) -> object:
    if not isinstance(patch, dict):
        return patch
    return {
        key: _plain(value)
        for key, value in patch.items()
        if key[:2] != "{{" or _KEY.fullmatch(key) is None
    }


def same(a: object, b: object) -> bool:
    """Whether two JSON values are equal; ``1`` and ``1.0`` are, ``1`` and ``true`` are not."""
    if a.__class__ is str or b.__class__ is str:
        return a == b
    return json.canonical(a) == json.canonical(b)


def minimised(target: object, patch: object) -> object:
    """``patch`` without what changes nothing in ``target``; `NOTHING` if nothing is left."""
    if not isinstance(patch, dict):
        return NOTHING if same(target, patch) else patch
    if not isinstance(target, dict):
        return patch
    kept: dict[str, object] = {}
    for key, value in patch.items():
        if key not in target:
            if value is not None:
                kept[key] = value
        elif value is None:
            kept[key] = None
        else:
            part = minimised(target[key], value)
            if part is not NOTHING:
                kept[key] = part
    return kept or NOTHING


def dropped(patch: object, keys: tuple[str, ...], *, empty_too: bool) -> object:
    """``patch`` without what it has at ``keys``; `NOTHING` if that is all of it.

    ``empty_too`` says that objects that are emptied by this go as well.
    """
    if not keys:
        return NOTHING
    if not isinstance(patch, dict) or keys[0] not in patch:
        return patch
    rest = {key: value for key, value in patch.items() if key != keys[0]}
    if len(keys) > 1:
        part = dropped(patch[keys[0]], keys[1:], empty_too=empty_too)
        if part is not NOTHING:
            return {key: part if key == keys[0] else value for key, value in patch.items()}
    return NOTHING if empty_too and not rest else rest
