"""Headers of signals, as texts and as JSON: one table for HTTP, WebSocket and cloud events."""

import pytest

from littoral import rql
from littoral.api.errors import InvalidAckRequest, InvalidCommandHeader
from littoral.api.pipeline.signals import SignalHeaders, parse_headers, parse_labels
from littoral.kernel.errors import InvalidHeader, LittoralError
from littoral.twin import IfEqual, MetadataPut
from littoral.twin.errors import InvalidCondition


def test_what_steers_nothing_leaves_the_defaults():
    http = {"host": "x", "user-agent": "y", "authorization": "z", "content-length": "3"}
    assert parse_headers(http) == SignalHeaders()
    envelope = {"correlation-id": "c", "content-type": "application/json", "version": 2}
    assert parse_headers(envelope, channel="twin") == SignalHeaders("c")
    assert SignalHeaders().is_plain


def test_the_senders_own_headers_go_on_and_those_of_the_node_do_not():
    raw = {"my-own": "1", "traceparent": "00-1", "reply-to": "q", "device": 7}
    ignored = {"ditto-originator": "me", "x-forwarded-for": "y", "etag": "z", "read-subjects": []}
    assert parse_headers(raw | ignored).custom == raw


@pytest.mark.parametrize(
    ("raw", "respond", "acks", "timeout_s"),
    [
        ({}, True, ("twin-persisted",), 60),
        ({"timeout": "0"}, False, (), 0),
        ({"timeout": "250ms"}, True, ("twin-persisted",), 0.25),
        ({"timeout": "1m"}, True, ("twin-persisted",), 60),
        ({"timeout": 7}, True, ("twin-persisted",), 7),
        ({"response-required": False}, False, (), 60),
        ({"response-required": "false"}, False, (), 60),
        ({"requested-acks": ""}, False, (), 60),
        ({"requested-acks": []}, False, (), 60),
        ({"requested-acks": "a-b, c:d,a-b"}, True, ("a-b", "c:d"), 60),
        ({"requested-acks": ["abc"]}, True, ("abc",), 60),
        ({"requested-acks": '["abc","def"]'}, True, ("abc", "def"), 60),
        ({"response-required": True, "requested-acks": []}, True, (), 60),
        ({"response-required": "false", "requested-acks": "abc"}, False, ("abc",), 60),
    ],
)
def test_what_is_unset_is_derived_from_what_is_set(raw, respond, acks, timeout_s):
    headers = parse_headers(raw)
    assert (headers.response_required, headers.requested_acks) == (respond, acks)
    assert headers.timeout_s == pytest.approx(timeout_s)


def test_the_live_channel_has_its_own_acknowledgement_and_patience():
    headers = parse_headers({}, channel="live")
    assert (headers.requested_acks, headers.timeout_s) == (("live-response",), 10)
    assert parse_headers({"channel": "live"}) == headers
    assert not headers.is_plain


def test_acknowledgements_of_the_other_channel_are_not_waited_for():
    raw = {"requested-acks": "live-response,twin-persisted,search-persisted,own"}
    assert parse_headers(raw).requested_acks == ("twin-persisted", "search-persisted", "own")
    assert parse_headers(raw, channel="live").requested_acks == ("live-response", "own")


def test_an_envelopes_topic_says_its_channel_and_not_a_header():
    assert parse_headers({"channel": "live"}, channel="twin").channel == "twin"
    with pytest.raises(InvalidHeader):
        parse_headers({"channel": "other"})


def test_over_a_websocket_acknowledgements_need_a_response():
    raw = {"response-required": False, "requested-acks": ["abc"]}
    assert parse_headers(raw, channel="twin").requested_acks == ("abc",)
    with pytest.raises(InvalidCommandHeader):
        parse_headers(raw, channel="twin", acks_need_response=True)


def test_a_value_is_read_the_same_the_second_time():
    for _ in range(2):
        assert parse_headers({"timeout": "1"}).timeout_s == 1
        assert parse_headers({"dry-run": True}).dry_run
        assert parse_headers({"dry-run": "true"}).dry_run
        assert parse_headers({"timeout": "5s", "correlation-id": "a"}).correlation_id == "a"
        assert parse_headers({"timeout": "5s", "own": "b"}).custom == {"own": "b"}
        with pytest.raises(InvalidHeader):
            parse_headers({"dry-run": 1})


def test_conditions_are_parsed_once():
    long = 'eq(attributes/a,"' + "x" * 600 + '")'
    raw = {
        "if-match": '"rev:1"',
        "if-equal": "skip-minimizing-merge",
        "condition": long,
        "live-channel-condition": "exists(attributes)",
        "merge-thing-patch-conditions": {"attributes/a": "gt(attributes/a,1)"},
        "allow-policy-lockout": "true",
        "at-historical-revision": 3,
        "policy-view": "resolved",
        "get-metadata": "attributes/a, features",
    }
    headers = parse_headers(raw)
    conditions = headers.conditions
    assert conditions.if_match == '"rev:1"'
    assert conditions.if_equal is IfEqual.SKIP_MINIMIZING_MERGE
    assert conditions.condition == rql.parse(long)
    assert conditions.merge_conditions == {"attributes/a": rql.parse("gt(attributes/a,1)")}
    assert conditions.get_metadata == ("attributes/a", "features")
    assert conditions.allow_policy_lockout
    assert headers.live_channel_condition == rql.parse("exists(attributes)")
    assert (headers.at_revision, headers.policy_view) == (3, "resolved")


def test_metadata_comes_as_json_or_as_text():
    items = [{"key": "attributes/a/unit", "value": {"u": "m"}}, {"key": "*/seen", "value": None}]
    puts = (MetadataPut("attributes/a/unit", {"u": "m"}), MetadataPut("*/seen", None))
    assert parse_headers({"put-metadata": items}).conditions.put_metadata == puts
    text = '[{"key":"attributes/a/unit","value":{"u":"m"}},{"key":"*/seen","value":null}]'
    assert parse_headers({"put-metadata": text}).conditions.put_metadata == puts
    assert parse_headers({"delete-metadata": '["a","b"]'}).conditions.delete_metadata == ("a", "b")


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        ({"correlation-id": 1}, "header.invalid"),
        ({"if-match": 1}, "header.invalid"),
        ({"timeout": "-1"}, "gateway:timeout.invalid"),
        ({"timeout": True}, "gateway:timeout.invalid"),
        ({"timeout": "61"}, "gateway:timeout.invalid"),
        ({"requested-acks": 1}, "acknowledgement:request.parsing.failed"),
        ({"requested-acks": '["a'}, "header.invalid"),
        ({"requested-acks": ["ab"]}, "acknowledgement:label.invalid"),
        ({"requested-acks": [1]}, "acknowledgement:request.parsing.failed"),
        ({"requested-acks": "a b c"}, "acknowledgement:label.invalid"),
        ({"condition": "eq("}, "things:condition.invalid"),
        ({"condition": 1}, "header.invalid"),
        ({"merge-thing-patch-conditions": {"a": 1}}, "header.invalid"),
        ({"merge-thing-patch-conditions": {"a": "eq("}}, "things:condition.invalid"),
        ({"put-metadata": {}}, "header.invalid"),
        ({"put-metadata": [{"key": "/", "value": 1}]}, "header.invalid"),
        ({"put-metadata": [{"key": "a", "value": 1, "more": 1}]}, "header.invalid"),
        ({"get-metadata": " , "}, "header.invalid"),
        ({"get-metadata": 1}, "header.invalid"),
        ({"at-historical-revision": True}, "header.invalid"),
        ({"at-historical-revision": "-1"}, "header.invalid"),
        ({"at-historical-timestamp": "soon"}, "littoral.instant.invalid"),
        ({"policy-view": 1}, "policies:view.invalid"),
        ({"dry-run": "yes"}, "header.invalid"),
        ({"get-metadata": "a", "put-metadata": []}, "things:metadata.headersconflict"),
    ],
)
def test_what_cannot_be_read_is_refused(raw, code):
    with pytest.raises(LittoralError) as refused:
        parse_headers(raw)
    assert refused.value.code == code


def test_labels_are_bounded_in_number():
    many = [f"label-{n}" for n in range(1000)]
    with pytest.raises(InvalidAckRequest):
        parse_labels(many)
    assert parse_labels(None) == ()


def test_a_condition_that_is_wrong_says_where():
    with pytest.raises(InvalidCondition, match="not RQL"):
        parse_headers({"condition": "eq(attributes/a,)"})
