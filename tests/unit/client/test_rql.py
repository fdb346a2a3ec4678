"""RQL that is put together from values is RQL that a node reads, and means what it says."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from littoral.client import rql
from littoral.rql import lookup_in, matches, parse

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
VALUES = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | TEXTS
FLOATS = st.floats(allow_nan=False, allow_infinity=False, min_value=-1e15, max_value=1e15)


@given(VALUES)
def test_a_value_is_found_where_it_is(value):
    query = parse(rql.eq("attributes/a", value))
    assert matches(query, lookup_in({"attributes": {"a": value}}))


@given(FLOATS)
def test_a_number_is_written_without_an_exponent(value):
    text = rql.eq("attributes/a", value)
    assert "e" not in text.removeprefix("eq(attributes/a,")
    parse(text)


@pytest.mark.parametrize(
    ("query", "text"),
    [
        (rql.eq("thingId", "a:b"), 'eq(thingId,"a:b")'),
        (rql.ne("attributes/x", 1.5), "ne(attributes/x,1.5)"),
        (rql.gt("_modified", rql.now("-1h")), "gt(_modified,time:now-1h)"),
        (rql.ge("_modified", rql.now(truncated="d")), "ge(_modified,time:now[d])"),
        (rql.lt("attributes/x", value=True), "lt(attributes/x,true)"),
        (rql.le("attributes/x", None), "le(attributes/x,null)"),
        (rql.like("attributes/x", 'a"*'), 'like(attributes/x,"a\\"*")'),
        (rql.ilike("attributes/x", "A?"), 'ilike(attributes/x,"A?")'),
        (rql.is_in("attributes/x", 1, "b"), 'in(attributes/x,1,"b")'),
        (rql.exists("features/lamp"), "exists(features/lamp)"),
        (rql.empty("attributes"), "empty(attributes)"),
        (rql.negated(rql.exists("a")), "not(exists(a))"),
        (rql.both("exists(a)", "exists(b)"), "and(exists(a),exists(b))"),
        (rql.either("exists(a)"), "exists(a)"),
        (
            rql.within_box("attributes/at", south=-1, west=2.5, north=3, east=4),
            "withinbox(attributes/at,-1,2.5,3,4)",
        ),
        (
            rql.within_distance("attributes/at", lat=1, lon=2, metres=1e-7),
            "withindistance(attributes/at,1,2,0.0000001)",
        ),
    ],
)
def test_a_query_is_written_as_dittos_grammar_has_it(query, text):
    assert query == text
    parse(text.replace("exists(a)", "exists(attributes/a)"), extended=True)


@pytest.mark.parametrize("path", ["", "a,b", "a(b", 'a"b', "a\\b"])
def test_what_rql_cannot_name_is_refused_at_once(path):
    with pytest.raises(ValueError, match="RQL cannot name"):
        rql.exists(path)


def test_what_is_no_number_is_refused_at_once():
    with pytest.raises(ValueError, match="RQL has no"):
        rql.eq("attributes/a", float("nan"))


@given(TEXTS)
def test_a_text_is_escaped_as_in_json(text):
    assert json.loads(rql.eq("a", text).removeprefix("eq(a,").removesuffix(")")) == text
