"""The live channel: commands and events to whoever listens, and the first response back."""

import asyncio
from dataclasses import replace

import pytest

from littoral.eventing import (
    AckCorrelationMissing,
    DuplicateCorrelation,
    LiveChannel,
    LiveKind,
    LiveResponse,
    LiveSignal,
)
from littoral.kernel.errors import Unavailable

THING = "org.acme:pump"
COMMAND = LiveSignal(LiveKind.COMMAND, THING, "retrieve", "/attributes", correlation_id="c1")
EVENT = LiveSignal(LiveKind.EVENT, THING, "modified", "/attributes/on", "on")
OK = LiveResponse(200, {"on": True})


def now():
    return asyncio.get_running_loop().time()


class Listener:
    """Takes (or does not take) what it is shown, and answers as it was told to."""

    def __init__(self, channel=None, response=None, *, takes=True):
        self.channel, self.response, self.takes = channel, response, takes
        self.got = []

    def deliver_live(self, signal):
        self.got.append(signal)
        if self.response is not None:
            self.channel.respond(THING, signal.correlation_id, self.response, source=self)
        return self.takes


class Full:
    def deliver_live(self, signal):
        raise Unavailable("no room.")


def test_the_first_response_of_one_who_took_the_command_is_the_answer(world):
    async def main():
        channel = LiveChannel()
        silent, stranger, slow = Listener(), Listener(takes=False), Listener()
        for one in (silent, stranger, slow, Full()):
            channel.attach(one)
        loop = asyncio.get_running_loop()
        for at, who, status in ((1, stranger, 500), (2, slow, 200), (3, silent, 204)):
            response = LiveResponse(status)
            loop.call_later(at, lambda w=who, r=response: channel.respond(THING, "c1", r, source=w))
        found = await channel.send(COMMAND, timeout_s=5)
        assert (now(), found.status) == (2, 200)
        await asyncio.sleep(5)
        counts = channel.statistics()
        assert (counts.answered, counts.late, counts.failed, counts.pending) == (1, 2, 1, 0)

    world(main)


def test_an_answer_within_the_delivery_itself_counts(world):
    async def main():
        channel = LiveChannel()
        channel.attach(Listener(channel, OK))
        assert await channel.send(COMMAND, timeout_s=1) == OK

    world(main)


def test_silence_is_none_at_the_deadline(world):
    async def main():
        channel = LiveChannel()
        assert await channel.send(COMMAND, timeout_s=7) is None
        assert now() == 7 and channel.statistics().timed_out == 1

    world(main)


def test_a_response_with_another_action_is_not_the_answer(world):
    async def main():
        channel, listener = LiveChannel(), Listener()
        channel.attach(listener)
        loop = asyncio.get_running_loop()
        for at, action in ((1, "modify"), (2, "retrieve")):
            response = replace(OK, action=action)
            loop.call_later(at, channel.respond, THING, "c1", response)
        assert (await channel.send(COMMAND, timeout_s=5)).action == "retrieve"

    world(main)


def test_a_command_is_named_by_its_correlation_id(world):
    async def main():
        channel = LiveChannel()
        with pytest.raises(AckCorrelationMissing):
            await channel.send(replace(COMMAND, correlation_id=""), timeout_s=1)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(channel.send(COMMAND, timeout_s=2))
            await asyncio.sleep(1)
            with pytest.raises(DuplicateCorrelation):
                await channel.send(COMMAND, timeout_s=1)
        await channel.send(COMMAND, timeout_s=1)

    world(main)


def test_listeners_hear_the_kinds_that_they_asked_for_until_they_close(world):
    async def main():
        channel, commands, events = LiveChannel(), Listener(), Listener()
        channel.attach(commands, frozenset({LiveKind.COMMAND}))
        attachment = channel.attach(events, frozenset({LiveKind.EVENT}))
        assert channel.publish(EVENT) == 1
        assert channel.publish(COMMAND) == 1
        attachment.close()
        attachment.close()
        assert channel.publish(EVENT) == 0
        assert commands.got == [COMMAND] and events.got == [EVENT]
        assert channel.statistics().receivers == 1

    world(main)


def test_a_route_gets_commands_that_nobody_here_takes_and_every_event_but_its_own(world):
    async def main():
        channel, here, route, other = LiveChannel(), Listener(), Listener(), Listener()
        channel.attach_default(route)
        channel.attach_default(other, accepts=lambda thing_id: thing_id != THING)
        channel.publish(COMMAND)
        attachment = channel.attach(here)
        channel.publish(COMMAND)
        channel.publish(EVENT)
        channel.publish(EVENT, source=route)
        attachment.close()
        assert [s.kind for s in route.got] == [LiveKind.COMMAND, LiveKind.EVENT]
        assert len(here.got) == 3 and other.got == []

    world(main)


def test_at_the_end_of_the_node_who_waits_hears_so(world):
    async def main():
        channel = LiveChannel()
        asyncio.get_running_loop().call_later(1, channel.close)
        with pytest.raises(Unavailable):
            await channel.send(COMMAND, timeout_s=5)

    world(main)
