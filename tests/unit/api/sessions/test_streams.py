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
        ("org.acme/none/policies/streaming/", {}, "policies:policy.notfound"),
        ("_/x/connections/streaming/", {}, "protocoladapter:unknown.signal"),
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


def test_a_policy_has_a_past_too(on_node):
    async def main(node):
        topic = "org.littoral/default/policies/streaming/"
        async with node.socket() as socket:
            await socket.accepted()
            one = await subscribed(socket, topic)
            socket.say(step("request", {"subscriptionId": one, "demand": 9}, topic))
            item = (await socket.json())["value"]["item"]
            assert item["topic"] == "org.littoral/default/policies/events/created"
            assert set(item["value"]["entries"]) == {"owner"}
            assert (await socket.json())["topic"] == topic + "complete"

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


SEARCH = "_/_/things/twin/search/"


async def found(socket, demand, value, **more):
    """All frames of a search after ``demand`` pages were requested."""
    created = await socket.ask(step("subscribe", value, SEARCH) | more)
    assert created["topic"] == SEARCH + "created"
    one = created["value"]["subscriptionId"]
    socket.say(step("request", {"subscriptionId": one, "demand": demand}, SEARCH))
    frames = [await socket.json()]
    while not frames[-1]["topic"].endswith(("complete", "failed")):
        if sum(f["topic"].endswith("next") for f in frames) == demand and await socket.is_silent(1):
            break
        frames.append(await socket.json())
    assert {f["value"]["subscriptionId"] for f in frames} == {one}
    return one, frames


def test_a_search_is_told_page_by_page(on_node):
    async def main(node):
        for n in range(7):
            thing = {"policyId": "org.littoral:default", "attributes": {"n": n}}
            await node.call("PUT", f"/api/2/things/org.acme:t{n}", thing)
        async with node.socket() as socket:
            await socket.accepted()
            value = {"filter": "gt(attributes/n,1)", "options": "size(2),sort(-attributes/n)"}
            one, frames = await found(socket, 2, value, fields="thingId,attributes/n,_revision")
            assert [[i["attributes"]["n"] for i in f["value"]["items"]] for f in frames] == [
                [6, 5],
                [4, 3],
            ]
            assert frames[0]["value"]["items"][0] == {
                "thingId": "org.acme:t6",
                "attributes": {"n": 6},
                "_revision": 1,
            }
            socket.say(step("request", {"subscriptionId": one, "demand": 9}, SEARCH))
            last = await socket.json()
            assert [i["attributes"]["n"] for i in last["value"]["items"]] == [2]
            assert (await socket.json())["topic"] == SEARCH + "complete"
            _, none = await found(socket, 1, {"filter": "eq(attributes/n,99)"})
            assert [f["topic"] for f in none] == [SEARCH + "complete"]
            _, all_of_them = await found(socket, 1, {"namespaces": ["org.acme", "org.other"]})
            assert len(all_of_them[0]["value"]["items"]) == 7

    on_node(main)


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ({"filter": "eq(a, 1)"}, "rql.expression.invalid"),
        ({"filter": 3}, "rql.expression.invalid"),
        ({"options": "size(201)"}, "thing-search:search.option.invalid"),
        ({"options": "cursor(abc)"}, "thing-search:search.option.invalid"),
        ({"namespaces": ["1a"]}, "thing-search:search.namespaces.invalid"),
        ({"namespaces": "org.acme"}, "thing-search:search.namespaces.invalid"),
    ],
)
def test_a_search_that_makes_no_sense_is_created_and_fails(on_node, value, code):
    async def main(node):
        async with node.socket() as socket:
            await socket.accepted()
            _, frames = await found(socket, 1, value)
            assert [f["topic"] for f in frames] == [SEARCH + "failed"]
            assert frames[0]["value"]["error"]["error"] == code
            created = await socket.ask(step("subscribe", {}, SEARCH))
            one = created["value"]["subscriptionId"]
            wrong = await socket.ask(step("request", {"subscriptionId": one, "demand": 0}, SEARCH))
            error = wrong["value"]["error"]["error"]
            assert error == "thing-search:subscription.protocol.error"
            gone = await socket.ask(step("request", {"subscriptionId": one, "demand": 1}, SEARCH))
            assert gone["value"]["error"]["error"] == "thing-search:subscription.not.found"

    on_node(main)
