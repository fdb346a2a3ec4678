"""Queries as values: what `parse` returns and both evaluators take apart."""

from dataclasses import dataclass
from enum import StrEnum

EXPRESSION_CHARS_MAX = 8 * 1024
"""Length of a filter or condition. Source: the longest URI that Ditto takes."""

EXPRESSION_DEPTH_MAX = 32
"""Nesting of a filter or condition."""

OFFSET_MAX = 10**9
"""Units that a time placeholder may be away from now."""

PAGE_SIZE_DEFAULT = 25
"""Hits on a page if `size` does not say. Source: Ditto's default."""

PAGE_SIZE_MAX = 200
"""Hits on a page. Source: Ditto's default."""

SORT_KEYS_MAX = 8
"""Properties that a search is sorted by."""


class Operator(StrEnum):
    """How a property is compared with a literal."""

    EQ = "eq"
    NE = "ne"
    GT = "gt"
    GE = "ge"
    LT = "lt"
    LE = "le"
    LIKE = "like"
    ILIKE = "ilike"


class Unit(StrEnum):
    """Of a time placeholder's offset, and what it is truncated to."""

    MS = "ms"
    SECOND = "s"
    MINUTE = "m"
    HOUR = "h"
    DAY = "d"
    WEEK = "w"
    MONTH = "mo"
    YEAR = "y"


@dataclass(frozen=True, slots=True)
class Now:
    """``time:now-1h[d]``: an instant that is known when the query is asked; see `resolve`."""

    epoch_millis: bool = False
    offset: int = 0
    unit: Unit | None = None
    truncate: Unit | None = None


Scalar = str | int | float | bool | None
Literal = Scalar | Now


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
class Empty:
    """``empty(property)``: missing, null, or an array, object or text with nothing in it."""

    property: str


@dataclass(frozen=True, slots=True)
class WithinBox:
    """``withinbox(property,south,west,north,east)`` of ``{"lat", "lon"}`` in degrees. Littoral's.

    If ``west`` is greater than ``east``, the box crosses the antimeridian.
    """

    property: str
    south: float
    west: float
    north: float
    east: float


@dataclass(frozen=True, slots=True)
class WithinDistance:
    """``withindistance(property,lat,lon,metres)`` along the great circle. Littoral's."""

    property: str
    lat: float
    lon: float
    metres: float


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


Query = Compare | In | Exists | Empty | WithinBox | WithinDistance | And | Or | Not


@dataclass(frozen=True, slots=True)
class SortBy:
    """One property that a search is sorted by."""

    property: str
    descending: bool = False


@dataclass(frozen=True, slots=True)
class Limit:
    """``limit(offset,count)``, Ditto's deprecated way to page."""

    offset: int
    count: int


@dataclass(frozen=True, slots=True)
class Options:
    """What comes in ``option`` of a search."""

    sort: tuple[SortBy, ...] = ()
    size: int | None = None
    cursor: str | None = None
    limit: Limit | None = None


def properties(query: Query) -> frozenset[str]:
    """Every property that ``query`` looks at, without a leading slash."""
    match query:
        case And(parts) | Or(parts):
            return frozenset().union(*map(properties, parts))
        case Not(part):
            return properties(part)
        case _:
            return frozenset((query.property.removeprefix("/"),))
