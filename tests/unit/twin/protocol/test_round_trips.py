"""The Ditto Protocol as text: what is written is read back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from littoral.kernel import json as codec
from littoral.twin import protocol
from littoral.twin.protocol import ABSENT, Raw, Topic

words = st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=12)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.text(max_size=8)
    | st.floats(-1e9, 1e9),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=10,
)
subjects = st.lists(words, min_size=1, max_size=3).map("/".join)
topics = st.one_of(
    st.builds(
        Topic,
        words,
        words,
        st.just("things"),
        st.sampled_from(["twin", "live"]),
        st.sampled_from(["commands", "events", "acks"]),
        words,
    ),
    st.builds(
        Topic, words, words, st.just("things"), st.just("live"), st.just("messages"), subjects
    ),
    st.builds(
        Topic,
        words,
        words,
        st.just("things"),
        st.just("twin"),
        st.sampled_from(["search", "streaming"]),
        words,
    ),
    st.builds(
        Topic,
        words,
        words,
        st.just("things"),
        st.sampled_from(["twin", "live"]),
        st.sampled_from(["errors", "acks"]),
    ),
    st.builds(
        Topic,
        words,
        words,
        st.just("policies"),
        st.just(""),
        st.sampled_from(["commands", "announcements", "streaming"]),
        words,
    ),
    st.builds(
        Topic,
        words,
        words,
        st.just("connections"),
        st.just(""),
        st.sampled_from(["announcements", "streaming"]),
        words,
    ),
)


@given(topics)
def test_every_topic_is_read_as_it_was_written(topic):
    assert protocol.parse_topic(str(topic)) == topic


@pytest.mark.slow
@given(
    topics,
    st.lists(words, max_size=4),
    st.dictionaries(words.map(str.lower).filter(str.islower), values, max_size=4),
    values | st.just(ABSENT),
    st.none() | st.integers(200, 599),
    st.none() | st.text(max_size=20),
)
def test_every_envelope_is_read_as_it_was_written(topic, keys, headers, value, status, fields):
    path = "/" + "/".join(keys)
    text = protocol.encode(topic, path, headers, value, status=status, fields=fields)
    read = protocol.parse_envelope(text)
    assert (read.topic, read.path, read.headers) == (topic, path, headers)
    assert (read.value, read.status, read.fields) == (value, status, fields)
    assert protocol.parse_envelope(text.decode()) == read


@given(values)
def test_bytes_that_stand_for_a_value_are_written_like_the_value(value):
    raw = Raw(codec.encode(value))
    for write in (
        lambda v: protocol.encode("a/b/things/twin/commands/modify", "/", {}, v),
        lambda v: protocol.event(
            "a:b", "modified", "/", v, revision=1, at_ms=0, correlation_id="c"
        ),
    ):
        assert write(raw) == write(value)
