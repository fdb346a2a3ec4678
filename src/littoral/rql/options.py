"""``option=sort(+a,-b),size(n),cursor(x)`` of a search, and its deprecated ``limit(offset,count)``."""

import re

from littoral.rql.errors import InvalidOption
from littoral.rql.model import PAGE_SIZE_MAX, SORT_KEYS_MAX, Limit, Options, SortBy

OPTIONS_CHARS_MAX = 8 * 1024
"""Length of the options of a search. Source: the longest URI that Ditto takes."""

OFFSET_HITS_MAX = 1_000_000
"""Hits that ``limit`` may skip. A cursor skips any number, and faster."""

_OPTION = re.compile(r"([a-z]+)\(([^()]*)\)(,|\Z)")
_SORT = re.compile(r"([+ -])([^,()\"\\]+)(,|\Z)")
_CURSOR = re.compile(r"[A-Za-z0-9_=-]+")
_HINT = "Known options: sort(+thingId,-attributes/a), size(25), cursor(…)."


def parse_options(text: str) -> Options:
    """Read the options of a search; of a repeated one the last counts.

    Raises:
        InvalidOption: unknown, malformed, out of bounds, or a cursor together with a limit.
    """
    if len(text) > OPTIONS_CHARS_MAX:
        raise InvalidOption(f"options have at most {OPTIONS_CHARS_MAX} characters.")
    given: dict[str, str] = {}
    at = 0
    while at < len(text):
        found = _OPTION.match(text, at)
        if found is None or (found.group(3) and found.end() == len(text)):
            raise InvalidOption(
                f"the options {text[:200]!r} cannot be read at character {at + 1}.", hint=_HINT
            )
        given[found.group(1)] = found.group(2)
        at = found.end()
    unknown = given.keys() - {"sort", "size", "cursor", "limit"}
    if unknown:
        raise InvalidOption(f"there is no option {min(unknown)!r}.", hint=_HINT)
    if "cursor" in given and "limit" in given:
        raise InvalidOption(
            "a cursor and a limit cannot be given together.", hint="Use the cursor."
        )
    return Options(
        sort=_sort(given["sort"]) if "sort" in given else (),
        size=_size(given["size"]) if "size" in given else None,
        cursor=_cursor(given["cursor"]) if "cursor" in given else None,
        limit=_limit(given["limit"]) if "limit" in given else None,
    )


def _sort(text: str) -> tuple[SortBy, ...]:
    keys: list[SortBy] = []
    at = 0
    while at < len(text) or not keys:
        found = _SORT.match(text, at)
        if found is None or (found.group(3) and found.end() == len(text)):
            raise InvalidOption(
                f"sort({text[:200]}) cannot be read at character {at + 1}.",
                hint="Every property has its sign: sort(+thingId,-attributes/a).",
            )
        # A plus that was not escaped arrives as a space.
        keys.append(SortBy(found.group(2).removeprefix("/"), descending=found.group(1) == "-"))
        at = found.end()
    if len(keys) > SORT_KEYS_MAX:
        raise InvalidOption(f"a search is sorted by at most {SORT_KEYS_MAX} properties.")
    return tuple(keys)


def _size(text: str) -> int:
    return _number(text, "size", 1, PAGE_SIZE_MAX)


def _cursor(text: str) -> str:
    if not _CURSOR.fullmatch(text):
        raise InvalidOption("the cursor is not one of ours.", hint="Start without a cursor.")
    return text


def _limit(text: str) -> Limit:
    offset, comma, count = text.partition(",")
    if not comma:
        raise InvalidOption(f"limit({text[:40]}) needs an offset and a count.")
    return Limit(
        _number(offset, "limit's offset", 0, OFFSET_HITS_MAX),
        _number(count.strip(" "), "limit's count", 1, PAGE_SIZE_MAX),
    )


def _number(text: str, what: str, least: int, most: int) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 12 and least <= int(text) <= most):
        raise InvalidOption(f"{what} is a number from {least} to {most}, not {text[:40]!r}.")
    return int(text)
