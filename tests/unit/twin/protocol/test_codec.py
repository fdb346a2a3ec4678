"""The Ditto Protocol codec: what is read, what is refused, and what is written back."""

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from littoral.kernel.errors import InvalidHeader, InvalidJson, Kind, LittoralError
from littoral.twin import live, protocol, statuses
from littoral.twin.protocol import ABSENT, Action, Command


def envelope(**members):
    base = {
        "topic": "org.acme/pump/things/twin/commands/modify",
        "headers": {"correlation-id": "c"},
        "path": "/",
        "value": {},
    }
    return protocol.parse_envelope(json.dumps(base | members))


@pytest.mark.parametrize(
    "text",
    [
        "org.acme/pump/things/twin/commands/modify",
        "_/pump/things/live/messages/a/b/c",
        "org.acme/pump/things/twin/events/created",
        "org.acme/pump/policies/commands/retrieve",
        "org.acme/pump/things/twin/errors",
        "_/_/things/twin/search/subscribe",
    ],
)
def test_a_topic_is_printed_as_it_was_read(text):
    assert str(protocol.parse_topic(text)) == text


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "protocoladapter:unknown.topicpath"),
        ("a/b", "protocoladapter:unknown.topicpath"),
        ("//things/twin/commands/modify", "protocoladapter:unknown.topicpath"),
        ("a/b/cars/twin/commands/modify", "protocoladapter:unknown.topicpath"),
        ("a/b/things/dead/commands/modify", "protocoladapter:unknown.channel"),
        ("a/b/things/twin/wishes/modify", "protocoladapter:unknown.topicpath"),
    ],
)
def test_a_wrong_topic_is_refused_with_dittos_code(text, code):
    with pytest.raises(LittoralError) as e:
        protocol.parse_topic(text)
    assert e.value.code == code


def test_the_id_of_a_thing_comes_from_namespace_and_name():
    assert protocol.parse_topic("_/pump/things/twin/commands/modify").entity_id == ":pump"
    assert protocol.parse_topic("a.b/x:y/things/twin/commands/modify").entity_id == "a.b:x:y"


def test_a_command_is_read_with_its_conditions():
    command = protocol.parse_command(
        envelope(
            path="/features/lamp/properties/on",
            value=True,
            headers={"correlation-id": "c", "If-Match": '"rev:3"', "at-historical-revision": "7"},
        )
    )
    headers = {"correlation-id": "c", "if-match": '"rev:3"', "at-historical-revision": "7"}
    path = "/features/lamp/properties/on"
    assert command == Command(
        Action.MODIFY, "things", "org.acme:pump", path, value=True, headers=headers
    )
    assert command.at_revision == 7


def test_a_header_of_the_wrong_type_is_refused():
    command = protocol.parse_command(envelope(headers={"at-historical-revision": "soon"}))
    with pytest.raises(InvalidHeader):
        command.at_revision  # noqa: B018


@pytest.mark.parametrize(
    ("members", "code"),
    [
        ({"topic": "a/b/things/twin/commands/explode"}, "protocoladapter:unknown.command"),
        ({"topic": "a/b/things/twin/events/modified"}, "protocoladapter:unknown.signal"),
        ({"path": "/colour"}, "protocoladapter:unknown.path"),
        ({"path": "/features/lamp/inbox"}, "protocoladapter:unknown.path"),
        ({"path": "/attributes//x"}, "json.pointer.invalid"),
        ({"path": "/attributes" + "/a" * 70}, "json.pointer.invalid"),
        ({"topic": "1a/b/things/twin/commands/modify"}, "namespacedentity.id.invalid"),
        (
            {"topic": "a/b/things/twin/commands/create", "path": "/attributes"},
            "protocoladapter:unknown.path",
        ),
    ],
)
def test_a_wrong_command_is_refused_with_dittos_code(members, code):
    with pytest.raises(LittoralError) as e:
        protocol.parse_command(envelope(**members))
    assert e.value.code == code


def test_a_command_that_writes_needs_a_value_and_null_is_one():
    text = '{"topic":"a/b/things/twin/commands/merge","path":"/attributes/x"%s}'
    with pytest.raises(LittoralError) as e:
        protocol.parse_command(protocol.parse_envelope(text % ""))
    assert e.value.code == "json.field.missing"
    assert e.value.message == "the command 'merge' needs a 'value'."
    assert protocol.parse_command(protocol.parse_envelope(text % ',"value":null')).value is None


@pytest.mark.parametrize("path", ["", "/entries/owner"])
def test_an_action_of_a_policy_needs_no_value(path):
    text = '{"topic":"a/b/policies/commands/modify","path":"%s/actions/activateTokenIntegration"}'
    assert protocol.parse_command(protocol.parse_envelope(text % path)).value is ABSENT


@pytest.mark.parametrize(
    ("path", "tidy"),
    [
        ("", "/"),
        ("/", "/"),
        ("attributes/a", "/attributes/a"),
        ("/features/a~1b/properties", "/features/a~1b/properties"),
    ],
)
def test_paths_of_things_are_tidied(path, tidy):
    assert protocol.check_path("things", path) == tidy


def test_a_resource_of_a_policy_is_one_key():
    path = protocol.check_path("policies", "/entries/owner/resources/thing:/features/lamp")
    assert path == "/entries/owner/resources/thing:~1features~1lamp"
    assert protocol.check_path("policies", path) == path


@pytest.mark.parametrize(
    "text", ["", "[]", "nonsense", '{"path":"/"}', '{"topic":3}', '{"topic":"a/b/c","path":[]}']
)
def test_what_is_no_envelope_is_refused(text):
    with pytest.raises(LittoralError):
        protocol.parse_envelope(text)


def test_a_json_bomb_is_refused_before_it_is_walked():
    with pytest.raises(InvalidJson):
        protocol.parse_envelope(b'{"topic":' + b"[" * 100_000)
    nested = '{"topic":"a/b/things/twin/commands/modify","value":' + "[" * 100 + "]" * 100 + "}"
    with pytest.raises(InvalidJson):
        protocol.parse_envelope(nested)


def test_too_many_or_too_long_headers_are_refused():
    with pytest.raises(LittoralError):
        envelope(headers={f"h{n}": n for n in range(65)})
    with pytest.raises(LittoralError):
        envelope(headers={"h": "x" * 20_000})


@given(st.binary(max_size=200) | st.text(max_size=200))
def test_whatever_comes_is_read_or_refused_never_crashes(data):
    with contextlib.suppress(LittoralError):
        protocol.parse_command(protocol.parse_envelope(data))


@pytest.mark.slow
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=8),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
        max_leaves=12,
    )
)
def test_whatever_json_comes_is_read_or_refused_never_crashes(value):
    for member in ("topic", "path", "headers", "value", "fields", "status"):
        text = json.dumps({"topic": "a/b/things/twin/commands/modify", member: value})
        with contextlib.suppress(LittoralError):
            protocol.parse_command(protocol.parse_envelope(text))


@pytest.mark.parametrize(
    ("path", "address"),
    [
        ("/inbox/messages/on", (None, "inbox", "on")),
        ("/outbox/messages/a/b", (None, "outbox", "a/b")),
        ("/features/lamp/inbox/messages/on", ("lamp", "inbox", "on")),
    ],
)
def test_the_address_of_a_message_is_read_and_printed(path, address):
    found = live.parse_message_path(path)
    assert (found.feature, found.direction, found.subject) == address
    assert found.path == path


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/inbox",
        "/inbox/messages",
        "/inbox/messages/",
        "/letterbox/messages/x",
        "/features//inbox/messages/x",
    ],
)
def test_what_is_no_address_of_a_message_is_refused(path):
    with pytest.raises(live.InvalidMessagePath):
        live.parse_message_path(path)


@pytest.mark.slow
@given(st.binary(max_size=50), st.sampled_from(["application/octet-stream", "image/png", ""]))
def test_binary_payloads_survive_the_envelope(payload, content_type):
    value = live.encode_payload(payload, content_type)
    assert live.decode_payload(value, content_type) == payload


@given(st.text(max_size=50))
def test_texts_survive_the_envelope(text):
    value = live.encode_payload(text.encode(), "text/plain; charset=utf-8")
    assert live.decode_payload(value, "text/plain; charset=utf-8") == text.encode()


def test_a_payload_that_is_not_what_its_type_says_is_not_lost():
    assert live.encode_payload(b"{", "application/json") == "ew=="
    assert live.encode_payload(b"\xff", "text/plain") == "/w=="
    assert live.encode_payload(b"", "application/json") is ABSENT


def test_a_value_that_does_not_fit_its_type_is_refused():
    for value, content_type in [({}, "text/plain"), (3, "image/png"), ("=", "image/png")]:
        with pytest.raises(live.InvalidMessage):
            live.decode_payload(value, content_type)


def test_every_kind_of_refusal_has_a_status():
    assert set(statuses.STATUS) == set(Kind)
    assert all(400 <= status < 600 for status in statuses.STATUS.values())
