"""RQL: Ditto's language of filters and conditions, as values that can be asked.

`parse` reads the strict grammar, `render` writes it back, `resolve` puts the time in. `matches`
decides about one document in memory; `littoral.search` compiles the same values to SQL, with the
differences that Ditto has between the two.

Invariant: pure; no clock, no I/O; a query is a value that nobody changes.
"""

from littoral.rql.errors import InvalidExpression, InvalidOption
from littoral.rql.geo import EARTH_RADIUS_M, in_box, in_distance
from littoral.rql.memory import Lookup, either, lookup_in, matches, split, values_at
from littoral.rql.model import (
    EXPRESSION_CHARS_MAX,
    EXPRESSION_DEPTH_MAX,
    PAGE_SIZE_DEFAULT,
    And,
    Compare,
    Empty,
    Exists,
    In,
    Limit,
    Literal,
    Not,
    Now,
    Operator,
    Options,
    Or,
    Query,
    Scalar,
    SortBy,
    Unit,
    WithinBox,
    WithinDistance,
    properties,
)
from littoral.rql.now import named, resolve
from littoral.rql.options import parse_options
from littoral.rql.patterns import fold, like
from littoral.rql.reading import parse, render

__all__ = [
    "EARTH_RADIUS_M",
    "EXPRESSION_CHARS_MAX",
    "EXPRESSION_DEPTH_MAX",
    "PAGE_SIZE_DEFAULT",
    "And",
    "Compare",
    "Empty",
    "Exists",
    "In",
    "InvalidExpression",
    "InvalidOption",
    "Limit",
    "Literal",
    "Lookup",
    "Not",
    "Now",
    "Operator",
    "Options",
    "Or",
    "Query",
    "Scalar",
    "SortBy",
    "Unit",
    "WithinBox",
    "WithinDistance",
    "either",
    "fold",
    "in_box",
    "in_distance",
    "like",
    "lookup_in",
    "matches",
    "named",
    "parse",
    "parse_options",
    "properties",
    "render",
    "resolve",
    "split",
    "values_at",
]
