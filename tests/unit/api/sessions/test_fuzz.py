"""Whatever comes over a WebSocket gets one clear answer, and the session lives."""

import asyncio
import json
import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

FRAMES = [
    {
        "topic": "org.acme/pump/things/twin/commands/modify",
        "headers": {"correlation-id": "c", "timeout": "1s"},
        "path": "/attributes/a",
        "value": 1,
    },
    {
        "topic": "org.acme/pump/things/twin/commands/retrieve",
        "headers": {"if-match": "*", "condition": "eq(attributes/a,1)"},
        "path": "/",
        "fields": "attributes",
    },
    {
        "topic": "org.acme/pump/things/twin/commands/merge",
        "headers": {"content-type": "application/merge-patch+json"},
        "path": "/",
        "value": {"attributes": {"a": None}},
    },
    {
        "topic": "_/_/things/twin/commands/retrieve",
        "headers": {},
        "path": "/",
        "value": {"thingIds": ["org.acme:pump"]},
    },
    {
        "topic": "org.acme/p/policies/commands/modify",
        "headers": {},
        "path": "/entries/x",
        "value": {"subjects": {}, "resources": {}},
    },
    {
        "topic": "_/_/policies/commands/checkPermissions",
        "headers": {},
        "path": "/",
        "value": {
            "x": {"resource": "thing:/", "entityId": "org.acme:pump", "hasPermissions": ["READ"]}
        },
    },
    {
        "topic": "org.acme/pump/things/live/messages/x",
        "headers": {"timeout": "1s"},
        "path": "/inbox/messages/x",
        "value": {"n": 1},
    },
    {
        "topic": "org.acme/pump/things/live/commands/modify",
        "headers": {"timeout": "1s"},
        "path": "/attributes/a",
        "value": 2,
    },
    {
        "topic": "org.acme/pump/things/live/events/modified",
        "headers": {},
        "path": "/attributes/a",
        "value": 2,
    },
    {
        "topic": "org.acme/pump/things/twin/acks/my-ack",
        "headers": {"correlation-id": "c"},
        "path": "/",
        "status": 200,
    },
    {
        "topic": "_/_/things/twin/search/subscribe",
        "headers": {},
        "path": "/",
        "value": {"filter": "eq(a,1)"},
    },
    {
        "topic": "org.acme/pump/things/twin/streaming/subscribeForPersistedEvents",
        "headers": {},
        "path": "/",
        "value": {"fromHistoricalRevision": 1},
    },
    {
        "topic": "org.acme/pump/things/twin/streaming/request",
        "headers": {},
        "path": "/",
        "value": {"subscriptionId": "x", "demand": 1},
    },
]
CONTROLS = [
    "START-SEND-EVENTS?filter=eq(attributes/a,1)&extraFields=attributes&namespaces=org.acme",
    "STOP-SEND-EVENTS", "START-SEND-MESSAGES", "START-SEND-LIVE-COMMANDS", "START-SEND-LIVE-EVENTS",
]  # fmt: skip


def mutated(chance):
    """A good frame with something wrong: a member changed, lost, doubled, or bytes of its text."""
    if chance.random() < 0.25:
        text = chance.choice(CONTROLS)
    else:
        frame = json.loads(json.dumps(chance.choice(FRAMES)))
        for _ in range(chance.randrange(3)):
            headers = frame.get("headers")
            where = chance.choice([frame, headers if isinstance(headers, dict) else frame])
            name = chance.choice(
                [*where, "topic", "path", "value", "status", "timeout", "requested-acks"]
            )
            junk = [
                None,
                True,
                -1,
                10**30,
                1.5,
                "",
                "x",
                "/",
                "a/b",
                [],
                ["x"],
                {},
                {"": {}},
                "é\u0000",
                "0s",
                [[[]]],
            ]
            where[name] = chance.choice(junk)
            if chance.random() < 0.3:
                where.pop(name)
        if not isinstance(frame.get("headers"), dict):
            frame["headers"] = {}
        text = json.dumps(frame)
    while chance.random() < 0.3 and text:
        at = chance.randrange(len(text))
        text = (
            text[:at]
            + chance.choice(["", '"', "{", "\\", "&", "?", "\ud7ff", text[at:]])
            + text[at + 1 :]
        )
    return text


@pytest.mark.slow
def test_mutated_frames_get_one_clear_error_at_the_most_and_the_session_lives(on_node):
    async def main(node):
        chance = random.Random(11)
        await node.call(
            "PUT",
            "/api/2/things/org.acme:pump",
            {"policyId": "org.littoral:default", "attributes": {"a": 1}},
        )
        async with node.socket() as socket:
            await socket.accepted()
            for number in range(2500):
                text = mutated(chance)
                socket.say(text)
                if number % 50 == 0:
                    await asyncio.sleep(3)
            await asyncio.sleep(70)
            frames = 0
            while not socket.from_door.empty():
                found = await socket.text()
                frames += 1
                if found.startswith("{") and "/errors" in (frame := json.loads(found))["topic"]:
                    error = frame["value"]
                    assert error["error"] not in {"internalerror", "gateway:internalerror"}, frame
                    assert error["message"] and frame["status"] == error["status"]
            assert frames > 1000
            assert node.door.statistics()["sockets"] == 1
            for feed in ("EVENTS", "MESSAGES", "LIVE-COMMANDS", "LIVE-EVENTS"):
                await socket.ask(f"STOP-SEND-{feed}")
            alive = await socket.ask(FRAMES[1] | {"headers": {"correlation-id": "last"}})
            assert alive["headers"]["correlation-id"] == "last"

    on_node(main)


@pytest.mark.slow
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.text(max_size=60) | st.binary(max_size=40).map(lambda b: b.decode("latin-1")), max_size=8
    )
)
def test_random_text_gets_one_error_each(on_node, texts):
    async def main(node):
        async with node.socket() as socket:
            await socket.accepted()
            for text in texts:
                answer = await socket.ask(text)
                assert isinstance(answer, str) or answer["status"] >= 400

    on_node(main)
