"""Streams of past events over a WebSocket: asked for piece by piece, in Ditto's order of steps."""

import asyncio

import pytest

from littoral.api.model import SUBSCRIPTION_IDLE_S

T = "/api/2/things/org.acme:pump"
TOPIC = "org.acme/pump/things/twin/streaming/"
PUMP = {"policyId": "org.littoral:default", "attributes": {"a": 1}}


def step(action, value, topic=TOPIC, **headers):
    return {
        "topic": topic + action,
        "headers": {"correlation-id": "h"} | headers,
        "path": "/",
        "value": value,
    }


async def subscribed(socket, topic=TOPIC, **value):
    created = await socket.ask(step("subscribeForPersistedEvents", value, topic))
    assert created["topic"] == topic + "created"
    assert created["headers"]["correlation-id"] == "h"
    return created["value"]["subscriptionId"]


async def told(socket, subscription, demand):
    """What comes after a request, until it is complete, failed, or as much as was asked for."""
    socket.say(step("request", {"subscriptionId": subscription, "demand": demand}))
    frames = []
    while len(frames) <= demand:
        frames.append(await socket.json())
        assert frames[-1]["value"]["subscriptionId"] == subscription
        if not frames[-1]["topic"].endswith("/next"):
            return frames
        if len(frames) == demand and await socket.is_silent(1):
            return frames
    raise AssertionError(frames)


async def history(node):
    await node.call("PUT", T, PUMP)
    for value in range(2, 6):
        await asyncio.sleep(10)
        await node.call("PUT", T + "/attributes/a", value)


def test_a_past_is_told_in_pieces_and_then_complete(on_node):
    async def main(node):
        await history(node)
        async with node.socket() as socket:
            await socket.accepted()
            one = await subscribed(socket)
            assert await socket.is_silent()
            first = await told(socket, one, 2)
            assert [f["value"]["item"]["revision"] for f in first] == [1, 2]
            item = first[1]["value"]["item"]
            assert item["topic"] == "org.acme/pump/things/twin/events/modified"
            assert (item["path"], item["value"]) == ("/attributes/a", 2)
            assert "historical-headers" in item["headers"]
            rest = await told(socket, one, 10)
            assert [f["value"]["item"]["revision"] for f in rest[:-1]] == [3, 4, 5]
            assert rest[-1]["topic"] == TOPIC + "complete"
            gone = await told(socket, one, 1)
            assert gone[0]["value"]["error"]["error"] == "streaming.subscription.not.found"

    on_node(main)


@pytest.mark.parametrize(
    ("span", "revisions"),
    [
        ({"fromHistoricalRevision": 4}, [4, 5]),
        ({"fromHistoricalRevision": 2, "toHistoricalRevision": 3}, [2, 3]),
        ({"fromHistoricalRevision": -1}, [4, 5]),
        ({"toHistoricalRevision": -3}, [1, 2]),
        ({"fromHistoricalRevision": 5, "toHistoricalRevision": 0}, [5]),
        ({"fromHistoricalRevision": 9}, []),
        ({"fromHistoricalRevision": -99, "toHistoricalRevision": 99}, [1, 2, 3, 4, 5]),
        ({"filter": "gt(attributes/a,3)"}, [4, 5]),
        ({"filter": "eq(topic:action,'created')"}, [1]),
    ],
)
def test_a_past_is_cut_by_revisions_and_a_filter(on_node, span, revisions):
    async def main(node):
        await history(node)
        async with node.socket() as socket:
            await socket.accepted()
            frames = await told(socket, await subscribed(socket, **span), 10)
            assert frames[-1]["topic"] == TOPIC + "complete"
            assert [f["value"]["item"]["revision"] for f in frames[:-1]] == revisions

    on_node(main)


def test_a_past_is_cut_by_instants(on_node):
    async def main(node):
        await history(node)
        async with node.socket() as socket:
            await socket.accepted()
            frames = await told(socket, await subscribed(socket), 10)
            stamps = [f["value"]["item"]["timestamp"] for f in frames[:-1]]
            span = {"fromHistoricalTimestamp": stamps[1], "toHistoricalTimestamp": stamps[3]}
            frames = await told(socket, await subscribed(socket, **span), 10)
            assert [f["value"]["item"]["timestamp"] for f in frames[:-1]] == stamps[1:4]

    on_node(main)


@pytest.mark.parametrize(
    ("topic", "value", "code"),
    [
        (TOPIC, {"filter": "eq(a, 1)"}, "rql.expression.invalid"),
        (TOPIC, {"fromHistoricalRevision": "x"}, "header.invalid"),
        (TOPIC, {"fromHistoricalTimestamp": "soon"}, "littoral.instant.invalid"),
        ("org.acme/none/things/twin/streaming/", {}, "things:thing.notfound"),
        ("1a/x/things/twin/streaming/", {}, "things:id.invalid"),
        ("org.acme/p/policies/streaming/", {}, "protocoladapter:unknown.signal"),
    ],
)
def test_what_is_wrong_is_created_first_and_fails_when_it_is_asked_for(on_node, topic, value, code):
    async def main(node):
        await node.call("PUT", T, PUMP)
        async with node.socket() as socket:
            await socket.accepted()
            one = await subscribed(socket, topic, **value)
            assert await socket.is_silent()
            failed = await socket.ask(step("request", {"subscriptionId": one, "demand": 1}, topic))
            assert failed["topic"] == topic + "failed"
            assert failed["value"]["error"]["error"] == code
            assert (await socket.ask("STOP-SEND-EVENTS")) == "STOP-SEND-EVENTS:ACK"

    on_node(main)


def test_a_demand_that_makes_no_sense_ends_the_subscription(on_node):
    async def main(node):
        await node.call("PUT", T, PUMP)
        async with node.socket() as socket:
            await socket.accepted()
            for demand in (0, -1, "many", None, 1.5):
                one = await subscribed(socket)
                failed = await socket.ask(
                    step("request", {"subscriptionId": one, "demand": demand})
                )
                error = failed["value"]["error"]["error"]
                assert error == "streaming.subscription.protocol.error", demand
            missing = await socket.ask(step("request", {"demand": 1}))
            assert missing["value"]["error"] == "protocoladapter:unknown.signal"
            await socket.ask(step("explode", {"subscriptionId": one}))

    on_node(main)


def test_what_was_cancelled_is_silent_and_what_nobody_asks_for_times_out(on_node):
    async def main(node):
        await history(node)
        async with node.socket() as socket:
            await socket.accepted()
            cancelled, idle = await subscribed(socket), await subscribed(socket)
            socket.say(step("cancel", {"subscriptionId": cancelled}))
            socket.say(step("cancel", {"subscriptionId": "never was"}))
            assert await socket.is_silent(SUBSCRIPTION_IDLE_S / 2)
            await told(socket, idle, 1)
            assert await socket.is_silent(SUBSCRIPTION_IDLE_S - 5)
            failed = await socket.json()
            assert failed["value"]["subscriptionId"] == idle
            assert failed["value"]["error"]["error"] == "streaming.subscription.timeout"
            assert failed["value"]["error"]["status"] == 408

    on_node(main)
