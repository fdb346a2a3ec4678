"""CloudEvents over HTTP: both modes, what is done, and every reason to refuse one."""

import base64
import json

import pytest
from jsonschema import Draft7Validator

from littoral.api.cloudevents import event_of
from littoral.eventing import Reply
from littoral.kernel.errors import LittoralError

URL = "/api/2/cloudevents"
T = "/api/2/things/org.acme:pump"
PUMP = {"policyId": "org.littoral:default"}
MODIFY = {
    "topic": "org.acme/pump/things/twin/commands/modify",
    "headers": {"correlation-id": "c1"},
    "path": "/attributes/on",
    "value": True,
}
BINARY = {"ce-specversion": "1.0", "ce-type": "t", "ce-source": "/s", "ce-id": "1"}
STRUCTURED = {"specversion": "1.0", "type": "t", "source": "/s", "id": "1"}
JSON = {"content-type": "application/json"}
DITTO = {"content-type": "application/vnd.eclipse.ditto+json"}
WHOLE = {"content-type": "application/cloudevents+json; charset=utf-8"}

# The required attributes of the schema of CloudEvents 1.0, and what it says of the others.
SCHEMA = {
    "type": "object",
    "required": ["id", "source", "specversion", "type"],
    "properties": {
        **{
            name: {"type": "string", "minLength": 1}
            for name in ("id", "source", "specversion", "type")
        },
        **{
            name: {"type": ["string", "null"], "minLength": 1}
            for name in ("datacontenttype", "dataschema", "subject", "time")
        },
        "data_base64": {"type": ["string", "null"]},
    },
}


async def post(node, body, headers, **more):
    return await node.call("POST", URL, body, headers=headers, **more)


@pytest.mark.parametrize("content", [JSON, DITTO])
def test_a_binary_event_is_done_before_the_202(on_node, content):
    async def main(node):
        await node.call("PUT", T, PUMP)
        answer = await post(node, json.dumps(MODIFY).encode(), BINARY | content)
        assert (answer.status, answer.body) == (202, b"")
        assert (await node.call("GET", T + "/attributes/on")).json is True

    on_node(main)


@pytest.mark.parametrize("mode", ["data", "data_base64"])
def test_a_structured_event_carries_its_message_as_json_or_base64(on_node, mode):
    async def main(node):
        await node.call("PUT", T, PUMP)
        data = MODIFY if mode == "data" else base64.b64encode(json.dumps(MODIFY).encode()).decode()
        event = STRUCTURED | {
            mode: data,
            "dataschema": "ditto:some-schema",
            "datacontenttype": "application/json",
            "time": "2026-11-22T19:00:00Z",
            "extension1": 7,
            "subject": None,
        }
        answer = await post(node, json.dumps(event).encode(), WHOLE)
        assert answer.status == 202, answer.body
        assert (await node.call("GET", T + "/attributes/on")).json is True

    on_node(main)


def test_a_message_in_an_event_reaches_its_device(on_node):
    class Device:
        def __init__(self):
            self.got = []

        def deliver(self, message):
            self.got.append(message)
            message.reply(Reply(200))

    async def main(node):
        await node.call("PUT", T, PUMP)
        node.inbox.attach("org.acme:pump", device := Device())
        message = {
            "topic": "org.acme/pump/things/live/messages/hello",
            "headers": {"content-type": "text/plain"},
            "path": "/inbox/messages/hello",
            "value": "you",
        }
        answer = await post(node, json.dumps(message).encode(), BINARY | JSON)
        assert answer.status == 202
        [got] = device.got
        assert (got.payload, got.subjects) == (b"you", frozenset({"nginx:ditto"}))
        assert got.correlation_id == answer.headers["correlation-id"]
        event = {
            "topic": "org.acme/pump/things/live/events/modified",
            "path": "/attributes/on",
            "value": True,
        }
        assert (await post(node, json.dumps(event).encode(), BINARY | JSON)).status == 202

    on_node(main)


@pytest.mark.parametrize(
    ("body", "headers", "status", "code"),
    [
        (b"{}", JSON, 400, "cloudevent.unparsable"),
        (b"{", WHOLE, 400, "cloudevent.unparsable"),
        (b"[]", WHOLE, 400, "cloudevent.unparsable"),
        (b"{}", WHOLE, 400, "cloudevent.unparsable"),
        (STRUCTURED | {"id": ""}, WHOLE, 400, "cloudevent.unparsable"),
        (STRUCTURED | {"specversion": "0.3", "data": MODIFY}, WHOLE, 400, "cloudevent.unparsable"),
        (STRUCTURED | {"Bad-Name": "x", "data": MODIFY}, WHOLE, 400, "cloudevent.unparsable"),
        (STRUCTURED | {"time": "yesterday"}, WHOLE, 400, "cloudevent.unparsable"),
        (STRUCTURED | {"data_base64": "%"}, WHOLE, 400, "cloudevent.unparsable"),
        (STRUCTURED | {"data": 1, "data_base64": "MQ=="}, WHOLE, 400, "cloudevent.unparsable"),
        (b"", BINARY | JSON, 400, "cloudevent.payload.missing"),
        (STRUCTURED, WHOLE, 400, "cloudevent.payload.missing"),
        (
            MODIFY,
            BINARY | JSON | {"ce-dataschema": "http://other"},
            400,
            "cloudevent.dataschema.unsupported",
        ),
        (MODIFY, BINARY | {"content-type": "text/plain"}, 415, "mediatype.unsupported"),
        (
            STRUCTURED | {"data": MODIFY, "datacontenttype": "text/xml"},
            WHOLE,
            415,
            "mediatype.unsupported",
        ),
        (
            [STRUCTURED],
            {"content-type": "application/cloudevents-batch+json"},
            415,
            "mediatype.unsupported",
        ),
        (b"no json", BINARY | JSON, 400, "json.invalid"),
        ({"path": "/"}, BINARY | JSON, 400, "json.field.missing"),
        (MODIFY | {"topic": "org.acme/pump/things/twin/events/modified"}, BINARY | JSON, 400,
         "protocoladapter:unknown.signal"),
        (MODIFY | {"topic": "org.acme/none/things/twin/commands/modify"}, BINARY | JSON, 404,
         "things:thing.notfound"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_and_nothing_is_done(on_node, body, headers, status, code):
    async def main(node):
        await node.call("PUT", T, PUMP)
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        answer = await post(node, raw, headers)
        assert (answer.status, answer.code) == (status, code)
        assert (await node.call("GET", T + "/attributes")).status == 404

    on_node(main)


def test_who_may_not_do_it_is_told_so(on_node):
    async def main(node):
        await node.call("PUT", T, PUMP)
        node.registry.put_user("eve", generated_password="e")
        raw = json.dumps(MODIFY).encode()
        answer = await post(node, raw, BINARY | JSON, user=("eve", "e"))
        assert (answer.status, answer.code) == (403, "things:attribute.notmodifiable")
        assert (await post(node, raw, BINARY | JSON, user=None)).status == 401
        assert (await node.call("GET", URL)).status == 405
        assert (await node.call("POST", URL + "/x", raw)).status == 404

    on_node(main)


ATTRIBUTES = {
    "plain": STRUCTURED,
    "no type": {k: v for k, v in STRUCTURED.items() if k != "type"},
    "empty source": STRUCTURED | {"source": ""},
    "number as id": STRUCTURED | {"id": 1},
    "null subject": STRUCTURED | {"subject": None},
    "empty subject": STRUCTURED | {"subject": ""},
    "object as time": STRUCTURED | {"time": {}},
    "null data": STRUCTURED | {"data_base64": None},
}


@pytest.mark.parametrize("name", ATTRIBUTES)
def test_the_schema_of_cloudevents_and_we_take_the_same_attributes(name):
    event = ATTRIBUTES[name] | {"data": {"topic": "x"}}
    valid = Draft7Validator(SCHEMA).is_valid(event)
    try:
        event_of(WHOLE, json.dumps(event).encode())
    except LittoralError:
        assert not valid
    else:
        assert valid
