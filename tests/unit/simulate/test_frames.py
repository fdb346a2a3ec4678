import asyncio
import random

import pytest

from littoral.edge import FRAME_BYTES_MAX, ChannelClosed, LinkUnreachable
from littoral.simulate import (
    Conditions,
    Network,
    VirtualDialer,
    VirtualLinkListener,
    run,
)


async def world(use, *, accept, conditions=None):
    """Run ``use(network, channel)`` at the site while a cloud serves ``accept``."""
    network = Network(asyncio.get_running_loop(), random.Random(1), conditions=conditions)
    listener = VirtualLinkListener(network, "cloud", 8883)
    async with asyncio.TaskGroup() as group:
        server = group.create_task(listener.serve(accept))
        await asyncio.sleep(0)
        channel = await VirtualDialer(network, "site", "cloud", 8883).dial()
        result = await use(network, channel)
        server.cancel()
    return result


async def echo(channel):
    while True:
        try:
            await channel.send(await channel.receive())
        except ChannelClosed:
            return


def test_frames_stay_whole_and_in_order_however_the_bytes_travel():
    async def use(_, channel):
        assert channel.peer.node == "cloud"
        frames = [bytes([n]) * n * 50 for n in range(100)]
        async with asyncio.TaskGroup() as group:

            async def send():
                for frame in frames:
                    await channel.send(frame)

            group.create_task(send())
            return frames, [await channel.receive() for _ in frames]

    bad = Conditions(latency_s=0.01, jitter_s=0.1, loss=0.05, fragmented=0.5)
    sent, received = run(lambda: world(use, accept=echo, conditions=bad))
    assert received == sent


def test_the_cloud_knows_who_calls():
    seen = []

    async def accept(channel):
        seen.append(channel.peer.node)
        await channel.send(b"welcome")

    run(lambda: world(lambda _, channel: channel.receive(), accept=accept))
    assert seen == ["site"]


def test_both_ends_of_a_broken_channel_are_told():
    ended = asyncio.Event()

    async def accept(channel):
        with pytest.raises(ChannelClosed):
            await channel.receive()
        ended.set()

    async def use(network, channel):
        network.reset("site", "cloud")
        with pytest.raises(ChannelClosed):
            await channel.receive()
        with pytest.raises(ChannelClosed):
            await channel.send(b"x")
        await ended.wait()

    run(lambda: world(use, accept=accept))


def test_a_peer_that_does_not_read_slows_the_sender_down_until_it_closes():
    async def accept(channel):
        await asyncio.sleep(50)

    async def use(_, channel):
        sent = 0
        try:
            while True:
                await channel.send(bytes(50_000))
                sent += 1
        except ChannelClosed:
            assert asyncio.get_running_loop().time() >= 50
        return sent

    assert run(lambda: world(use, accept=accept)) < 20


def test_a_frame_over_the_limit_ends_the_channel():
    async def use(_, channel):
        channel._transport.write((FRAME_BYTES_MAX + 1).to_bytes(4, "big"))
        with pytest.raises(ChannelClosed):
            await channel.receive()

    run(lambda: world(use, accept=echo))


def test_a_cloud_that_is_away_is_unreachable():
    async def main():
        network = Network(asyncio.get_running_loop(), random.Random(1))
        with pytest.raises(LinkUnreachable):
            await VirtualDialer(network, "site", "cloud", 8883).dial()

    run(main)
