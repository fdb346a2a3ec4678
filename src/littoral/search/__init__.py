"""Search: RQL over all things that a caller may see, answered from an index of their leaves.

`Search` is the front door: pages, counts, figures. The index is derived: it follows the log, is
brought up to the last commit before each answer, and is made anew if it is missing or damaged.

Invariant: an answer shows what was durable when it was asked for, and nothing that the caller may
not read has a part in it.
Invariant: nothing is done per record on the loop.
"""

from littoral.search.errors import (
    IndexBuilding,
    IndexDamaged,
    InvalidNamespaces,
    QueryTimeExceeded,
)
from littoral.search.model import (
    GROUP_PATHS_MAX,
    METRICS_MAX,
    Explanation,
    Figure,
    Group,
    IndexStatistics,
    Metric,
    Page,
    SearchQuery,
)
from littoral.search.ports import Index, Worker
from littoral.search.service import Search, parse_namespaces

__all__ = [
    "GROUP_PATHS_MAX",
    "METRICS_MAX",
    "Explanation",
    "Figure",
    "Group",
    "Index",
    "IndexBuilding",
    "IndexDamaged",
    "IndexStatistics",
    "InvalidNamespaces",
    "Metric",
    "Page",
    "QueryTimeExceeded",
    "Search",
    "SearchQuery",
    "Worker",
    "parse_namespaces",
]
