from fnmatch import fnmatchcase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from littoral.rql import (
    And,
    Compare,
    Empty,
    Exists,
    In,
    InvalidExpression,
    Not,
    Now,
    Operator,
    Or,
    Unit,
    WithinBox,
    WithinDistance,
    fold,
    like,
    lookup_in,
    matches,
    parse,
    render,
    resolve,
)

properties = st.text(
    st.characters(exclude_characters='",()\\', exclude_categories=["Cs"]), min_size=1, max_size=8
)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
literals = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False, width=32)
    | texts
)
units = st.none() | st.sampled_from(Unit)
moments = st.builds(Now, st.booleans(), st.just(0), st.none(), units) | st.builds(
    Now, st.booleans(), st.integers(-1000, 1000), st.sampled_from(Unit), units
)
patterns = [Operator.LIKE, Operator.ILIKE]
plain = [operator for operator in Operator if operator not in patterns]
lat, lon = st.floats(-90, 90), st.floats(-180, 180)
areas = st.builds(
    lambda path, lats, west, east: WithinBox(path, min(lats), west, max(lats), east),
    properties, st.tuples(lat, lat), lon, lon,
) | st.builds(WithinDistance, properties, lat, lon, st.floats(0, 1e8))  # fmt: skip
leaves = (
    st.builds(Compare, st.sampled_from(plain), properties, literals | moments)
    | st.builds(Compare, st.sampled_from(patterns), properties, texts)
    | st.builds(In, properties, st.lists(literals | moments, min_size=1, max_size=3).map(tuple))
    | st.builds(Exists, properties)
    | st.builds(Empty, properties)
    | areas
)
queries = st.recursive(
    leaves,
    lambda inner: (
        st.builds(Not, inner)
        | st.builds(And, st.lists(inner, min_size=1, max_size=3).map(tuple))
        | st.builds(Or, st.lists(inner, min_size=1, max_size=3).map(tuple))
    ),
    max_leaves=8,
)
documents = st.recursive(
    literals,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3)
    ),
    max_leaves=10,
)


@pytest.mark.slow
@given(queries)
def test_reading_what_was_written_gives_the_same_condition(query):
    assert parse(render(query), extended=True) == query


@given(st.text(max_size=40))
def test_any_text_is_a_condition_or_a_clear_refusal(text):
    try:
        query = parse(text)
    except InvalidExpression as e:
        query, at = None, e.facts["at"]
    if query is None:
        assert 0 <= at <= len(text)
    else:
        assert parse(render(query)) == query


@pytest.mark.slow
@given(queries, documents)
def test_every_condition_has_a_verdict_on_every_document(query, document):
    query = resolve(query, 1_795_370_000_000)
    found = matches(query, lookup_in(document))
    assert matches(Not(query), lookup_in(document)) is not found
    assert matches(And((query, query)), lookup_in(document)) is found
    assert matches(Or((query, query)), lookup_in(document)) is found


@given(st.text("ab*?", max_size=8), st.text("ab", max_size=8))
def test_patterns_match_as_shell_patterns_do(pattern, text):
    assert like(pattern, text) == fnmatchcase(text, pattern)


@given(st.text(max_size=8))
def test_folding_keeps_the_length_and_is_done_once(text):
    assert len(fold(text)) == len(text)
    assert fold(fold(text)) == fold(text)
