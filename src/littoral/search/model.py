"""Values at the front door of search, and its limits."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from littoral.rql import PAGE_SIZE_DEFAULT, Options, Query
from littoral.twin import Standing

QUERY_S_MAX = 10.0
"""How long one search may take. Source: well below Ditto's 60 s, because one thread serves all."""

SETTLE_S_MAX = 60.0
"""How long a search waits for an index that is being made, or is far behind."""

QUEUE_RECORDS_MAX = 100_000
"""Committed records that are kept for the index; of more it is only kept which things they concern."""

IDLE_RECORDS_MAX = 3_000
"""The same while nobody searches: then memory is worth more than a thing's being read anew."""

CHUNK_RECORDS_MAX = 256
"""Records that the index takes in at once."""

INLINE_RECORDS_MAX = 64
"""Records that may be taken in on the loop, some 20 µs each, while questions are asked."""

INLINE_S_MAX = 0.005
"""What takes longer has no place on the loop."""

INLINE_PAUSE_S = 1.0
"""How long after something took longer than that all goes to the worker."""

KINDS_MAX = 1_000
"""Kinds of questions of which it is remembered that they are trifles."""

CHUNK_THINGS_MAX = 100
"""Things that are read anew at once."""

MODIFIED_S = 60.0
"""How long after a search in the order of the last change that order is kept."""

BEHIND_RECORDS_MAX = 200_000
"""Records that an index may be behind at a start; one that is further behind is made anew."""

BUILD_SHARE = 0.25
"""Of the time, for an index that is made anew while nobody waits for it."""

NAMESPACES_MAX = 100
"""Namespaces in one search."""

GROUPS_MAX = 10_000
"""Groups that an aggregation may give."""

GROUP_PATHS_MAX = 4
"""Properties that an aggregation groups by."""

METRICS_MAX = 16
"""Figures in one aggregation."""

AUDIENCES_MAX = 32
"""Callers (sets of subjects) for which it is remembered what they may see."""

DRIVE_THINGS_MAX = 1_000
"""If no condition is met by more things than that, they are looked at one by one and sorted."""

ABSENT_SORTS_MAX = 16
"""Properties for which it is kept which things lack them: those that were sorted by lately."""


Value = str | int | float | bytes | None
"""A JSON scalar as the index has it; bytes stand for what is neither number nor text."""

Rule = tuple[str, bool]
"""A path without a leading slash, and whether it is granted (or revoked)."""

Shape = tuple[Rule, ...]
"""The rules about READ of things that one policy has for one subject, in order."""


@dataclass(frozen=True, slots=True)
class After:
    """The last hit of a page."""

    thing_id: str
    keys: tuple[Value, ...]
    """Its values of the properties that are sorted by."""


@dataclass(frozen=True, slots=True)
class Audience:
    """Who asks, as far as what is seen depends on it."""

    subjects: frozenset[str] = frozenset()
    unrestricted: bool = False


@dataclass(frozen=True, slots=True)
class SearchQuery:
    """What to search for: a filter whose time placeholders are resolved later."""

    filter: Query | None = None
    namespaces: tuple[str, ...] | None = None
    options: Options = Options()  # noqa: RUF009  # frozen
    resume: str = ""
    """Go on after the thing of this id, wherever it stands in the order now."""

    @property
    def size(self) -> int:
        """Hits on a page."""
        if self.options.limit is not None:
            return self.options.limit.count
        return PAGE_SIZE_DEFAULT if self.options.size is None else self.options.size


@dataclass(frozen=True, slots=True)
class Page:
    """One page of hits."""

    ids: tuple[str, ...]
    cursor: str | None = None
    """For the page after this one; None: this was the last."""
    next_offset: int | None = None
    """The same for a search with ``limit``."""


@dataclass(frozen=True, slots=True)
class Hits:
    """What an index found."""

    ids: tuple[str, ...]
    after: After | None
    """Where to go on; None if there is no more."""


class Figure(StrEnum):
    """What an aggregation works out of a property."""

    COUNT = "count"
    SUM = "sum"
    AVG = "avg"
    MIN = "min"
    MAX = "max"
    PERCENTILE = "percentile"


@dataclass(frozen=True, slots=True)
class Metric:
    """One figure of an aggregation."""

    name: str
    figure: Figure
    property: str = ""
    """Empty: `Figure.COUNT` counts things."""
    percent: float = 50.0


@dataclass(frozen=True, slots=True)
class Group:
    """One row of an aggregation."""

    keys: tuple[object, ...]
    """Values of the properties that are grouped by; None where a thing has none."""
    values: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Explanation:
    """How a search was answered."""

    plan: str
    driver: str
    estimates: Mapping[str, int]
    statements: tuple[str, ...]
    steps: tuple[str, ...]
    """What the database says it does."""
    hits: int
    took_ms: float


@dataclass(frozen=True, slots=True)
class Access:
    """What a policy says about reading the things of one namespace."""

    policy_id: str
    namespace: str
    shapes: Mapping[str, Shape]
    """Empty if there is no such policy."""


@dataclass(frozen=True, slots=True)
class Wants:
    """What an index needs to know before it is up to date."""

    things: tuple[str, ...] = ()
    """Ids of things whose documents it has to read."""
    policies: tuple[tuple[str, str], ...] = ()
    """Policies (with the namespace of the thing) of which it knows nothing."""
    changed: tuple[str, ...] = ()
    """Ids of policies that changed."""
    taken: int = field(default=0, compare=False)
    """Records that were taken in leaf by leaf; nothing that is wanted."""


@dataclass(frozen=True, slots=True)
class IndexStatistics:
    """What the index tells about itself."""

    position: int = 0
    behind: int = 0
    queries: int = 0
    taken: int = 0
    """Records taken in leaf by leaf."""
    read: int = 0
    """Things read as a whole."""
    rebuilds: int = 0
    building: bool = False
    inline: int = 0
    """Pieces of work that were small enough to be done on the loop."""


Standings = tuple[Standing, ...]
