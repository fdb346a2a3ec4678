from fnmatch import fnmatchcase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from littoral.functions.core.rql import (
    And,
    Compare,
    Exists,
    In,
    Not,
    Operator,
    Or,
    parse,
    render,
)
from littoral.functions.core.verdict import like, lookup_in, matches
from littoral.functions.errors import InvalidCondition

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
plain = [operator for operator in Operator if operator is not Operator.LIKE]
leaves = (
    st.builds(Compare, st.sampled_from(plain), properties, literals)
    | st.builds(Compare, st.just(Operator.LIKE), properties, texts)
    | st.builds(In, properties, st.lists(literals, min_size=1, max_size=3).map(tuple))
    | st.builds(Exists, properties)
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
    assert parse(render(query)) == query


@given(st.text(max_size=40))
def test_any_text_is_a_condition_or_a_clear_refusal(text):
    try:
        query = parse(text)
    except InvalidCondition as e:
        query, at = None, e.facts["at"]
    if query is None:
        assert 0 <= at <= len(text)
    else:
        assert parse(render(query)) == query


@pytest.mark.slow
@given(queries, documents)
def test_every_condition_has_a_verdict_on_every_document(query, document):
    found = matches(query, lookup_in(document))
    assert matches(Not(query), lookup_in(document)) is not found
    assert matches(And((query, query)), lookup_in(document)) is found
    assert matches(Or((query, query)), lookup_in(document)) is found


@given(st.text("ab*?", max_size=8), st.text("ab", max_size=8))
def test_patterns_match_as_shell_patterns_do(pattern, text):
    assert like(pattern, text) == fnmatchcase(text, pattern)
