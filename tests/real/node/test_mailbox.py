"""Messages for devices that are away: real processes, SIGKILL, MQTT and WebSocket."""

import base64
import json
from contextlib import asynccontextmanager

import pytest
import websockets
from httpx import HTTPError

pytestmark = [pytest.mark.real, pytest.mark.slow, pytest.mark.timeout(120)]

THING = "org.plant:d1"
INBOX = f"/api/2/things/{THING}/inbox/messages"
BOX = f"/api/littoral/v1/things/{THING}/mailbox"
KEEP = {"Littoral-Mailbox-TTL": "3600"}


async def send(world, node, subject, *, wait="0", body=None, **headers):
    return await world.request(
        node, "POST", f"{INBOX}/{subject}?timeout={wait}", json=body, headers=KEEP | headers
    )


async def kept(world, node):
    answer = await world.get(node, BOX)
    return answer.json()["items"] if answer is not None else None


@asynccontextmanager
async def socket(node, user="ditto"):
    token = base64.b64encode(f"{user}:ditto".encode()).decode()
    headers = {"Authorization": f"Basic {token}"}
    url = node.url.replace("http", "ws") + "/ws/2"
    async with websockets.connect(url, additional_headers=headers) as opened:
        yield opened


async def with_thing(world, node, name="d1"):
    await world.started(node)
    world.populate(node, [name])
    answer = await world.request(node, "PUT", f"/api/2/things/org.plant:{name}", json={})
    assert answer.status_code == 201, answer.text


def test_messages_survive_sigkill_and_come_in_order_when_the_device_connects(world):
    async def scenario():
        cloud = world.cloud()
        await with_thing(world, cloud)
        sent = []
        for n in range(6):
            answer = await send(world, cloud, f"s{n}", wait="1", body={"n": n})
            assert answer.status_code == 202, answer.text
            sent.append(answer.json()["messageId"])
            if n % 2:
                cloud.kill()
                await world.started(cloud)
        assert [m["messageId"] for m in await kept(world, cloud)] == sent
        source = world.Counting()
        async with world.connected([world.device(cloud, "d1", source=source)]):

            async def all_answered():
                return await kept(world, cloud) == []

            await world.until(all_answered, "the device answers all of it")
        assert [name for name, _ in source.commands] == [f"s{n}" for n in range(6)]

    world.play(scenario)


def test_a_sender_that_was_told_202_is_never_forgotten_however_often_the_node_dies(world):
    async def scenario():
        cloud = world.cloud()
        await with_thing(world, cloud)
        told = set()
        for n in range(30):
            if n % 6 == 5:
                cloud.kill()
            try:
                answer = await send(world, cloud, f"s{n}")
                if answer.status_code == 202:
                    told.add(answer.json()["messageId"])
            except HTTPError:
                await world.started(cloud)
        assert len(told) > 20
        assert told <= {m["messageId"] for m in await kept(world, cloud)}

    world.play(scenario)


def test_a_message_makes_the_round_trip_through_mqtt_and_websocket(world):
    async def scenario():
        cloud = world.cloud()
        await with_thing(world, cloud)
        rights = {"message:/": {"grant": ["READ", "WRITE"], "revoke": []}}
        entry = {"subjects": {"nginx:ditto": {"type": "x"}}, "resources": rights}
        answer = await world.request(
            cloud, "PUT", f"/api/2/policies/{THING}/entries/people", json=entry
        )
        assert answer.status_code == 201, answer.text
        device = world.device(cloud, "d1")
        async with world.connected([device]), socket(cloud) as people:
            ask = {
                "topic": "org.plant/d1/things/live/messages/ping",
                "headers": {"correlation-id": "c1", "content-type": "application/json"},
                "path": "/inbox/messages/ping",
                "value": {"n": 1},
            }
            await people.send(json.dumps(ask))
            answer = json.loads(await people.recv())
            assert (answer["status"], answer["value"]) == (200, {"done": "ping"})
            assert answer["headers"]["correlation-id"] == "c1"
        await people.wait_closed()
        answer = await send(world, cloud, "later", wait="1", body={"n": 2})
        assert answer.status_code == 202
        async with socket(cloud) as people:
            await people.send("START-SEND-MESSAGES")
            assert await people.recv() == "START-SEND-MESSAGES:ACK"
            heard = json.loads(await people.recv())
            assert heard["value"] == {"n": 2}
            assert heard["headers"]["littoral-message-id"] == answer.json()["messageId"]
            reply = {k: heard[k] for k in ("topic", "headers", "path")} | {"status": 204}
            await people.send(json.dumps(reply))

            async def answered():
                return await kept(world, cloud) == []

            await world.until(answered, "the answer ends it")

    world.play(scenario)


def test_a_message_in_the_cloud_waits_out_a_cut_cable_and_a_killed_site(world):
    async def scenario():
        cloud = world.cloud()
        await world.started(cloud)
        world.populate(cloud, ["d1"])
        cable = world.cable()
        await cable.mend()
        site = world.site(cloud, "site-one", link_port=cable.port)
        await world.started(site)
        await world.knows(site, "d1")
        device = world.device(site, "d1")
        async with world.connected([device]):
            device.publish()
            await world.drained([device])
            await world.synced(site)
        await cable.cut()
        ids = [(await send(world, cloud, f"s{n}")).json()["messageId"] for n in range(3)]
        assert [m["messageId"] for m in await kept(world, cloud)] == ids
        await cable.mend()

        async def taken_over():
            at_site = await kept(world, site)
            return at_site is not None and [m["messageId"] for m in at_site] == ids

        await world.until(taken_over, "the site keeps them now")
        await world.until(lambda: _is_empty(world, cloud), "the cloud does not any more")
        site.kill()
        await world.started(site)
        source = world.Counting()
        async with world.connected([world.device(site, "d1", source=source, seed=2)]):
            await world.until(lambda: len(source.commands) == 3, "the device gets them")
            await world.until(lambda: _is_empty(world, site), "they are done")
        assert [name for name, _ in source.commands] == ["s0", "s1", "s2"]

    world.play(scenario)


async def _is_empty(world, node):
    return await kept(world, node) == []


def test_what_is_kept_for_a_thing_goes_with_the_thing(world):
    async def scenario():
        cloud = world.cloud()
        await with_thing(world, cloud)
        assert (await send(world, cloud, "old")).status_code == 202
        answer = await world.request(cloud, "DELETE", f"/api/2/things/{THING}")
        assert answer.status_code == 204
        source = world.Counting()
        device = world.device(cloud, "d1", source=source)
        async with world.connected([device]):
            device.publish()
            await world.drained([device])
            assert await kept(world, cloud) == []
            answer = await send(world, cloud, "new", wait="5")
            assert answer.status_code == 200
        assert [name for name, _ in source.commands] == ["new"]

    world.play(scenario)
