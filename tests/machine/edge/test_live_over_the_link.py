"""Live commands and events between the cloud and a site."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from littoral.edge.errors import LinkPeerError
from littoral.edge.signals import (
    decode_response,
    decode_signal,
    encode_response,
    encode_signal,
)
from littoral.eventing import LiveKind, LiveResponse, LiveSignal
from littoral.twin.protocol import ABSENT

COMMAND = LiveSignal(
    LiveKind.COMMAND,
    "ns:a",
    "modify",
    "/attributes/on",
    {"x": None},
    correlation_id="c1",
    originator="nginx:ditto",
    headers={"mine": [1]},
    response_required=True,
    timeout_s=5,
)
EVENT = LiveSignal(LiveKind.EVENT, "ns:a", "modified", "/attributes/on", None)


class Listener:
    def __init__(self, channel, status=None):
        self.channel, self.status = channel, status
        self.got = []

    def deliver_live(self, signal):
        self.got.append(signal)
        if self.status is not None:
            response = LiveResponse(self.status, {"on": 1}, {"h": "v"}, signal.action)
            self.channel.respond(signal.thing_id, signal.correlation_id, response, source=self)
        return True


@asynccontextmanager
async def linked(world, wait_until):
    async with asyncio.TaskGroup() as tasks:
        site = world.site("site-one")
        running = [tasks.create_task(world.downlink.run())]
        await asyncio.sleep(0)
        running.append(tasks.create_task(world.uplink("site-one").run()))
        site.append(entity="thing:ns:a")
        await wait_until(lambda: world.downlink.home_of("ns:a") == "site-one")
        yield site
        for task in running:
            task.cancel()


def test_a_live_command_reaches_who_answers_it_at_the_site(in_world, wait_until):
    async def main(world):
        async with linked(world, wait_until) as site:
            there = Listener(site.live, 207)
            site.live.attach(there)
            response = await world.cloud.live.send(COMMAND, timeout_s=5)
            assert response == LiveResponse(207, {"on": 1}, {"h": "v"}, "modify")
            [signal] = there.got
            for name in ("kind", "action", "path", "value", "headers", "originator"):
                assert getattr(signal, name) == getattr(COMMAND, name)

    in_world(main)


def test_a_live_command_that_nobody_answers_there_ends_with_its_own_deadline(in_world, wait_until):
    async def main(world):
        async with linked(world, wait_until) as site:
            begin = asyncio.get_running_loop().time()
            assert await world.cloud.live.send(COMMAND, timeout_s=5) is None
            assert asyncio.get_running_loop().time() - begin == pytest.approx(5, abs=0.01)
            world.network.up = False
            world.network.cut()
            await asyncio.sleep(1)
            assert await world.cloud.live.send(COMMAND, timeout_s=5) is None
            assert site.live.statistics().pending == 0

    in_world(main)


def test_a_live_event_at_the_site_is_heard_in_the_cloud_once(in_world, wait_until):
    async def main(world):
        async with linked(world, wait_until) as site:
            there, here = Listener(site.live), Listener(world.cloud.live)
            site.live.attach(there)
            world.cloud.live.attach(here)
            assert site.live.publish(EVENT) == 2
            await wait_until(lambda: len(here.got) == 1)
            await asyncio.sleep(5)
            assert len(there.got) == len(here.got) == 1
            assert here.got[0].value is None and here.got[0].kind is LiveKind.EVENT

    in_world(main)


def test_signals_and_responses_survive_the_journey():
    got = decode_signal(encode_signal(COMMAND), ttl_s=5, wanted=True)
    assert all(
        getattr(got, name) == getattr(COMMAND, name) for name in LiveSignal.__dataclass_fields__
    )
    for value in (ABSENT, None, [], {"a": 1}):
        response = LiveResponse(200, value)
        assert decode_response(encode_response(response)) == response
    for data in (b"", b"\xc1", b"\x90", b"\x01"):
        with pytest.raises(LinkPeerError):
            decode_signal(data, ttl_s=1, wanted=False)
        with pytest.raises(LinkPeerError):
            decode_response(data)
