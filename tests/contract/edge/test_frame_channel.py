"""What every `FrameChannel` does: over real TLS, and over the virtual network."""

import asyncio
import contextlib
import random
import secrets
import time

import pytest

from littoral.edge import (
    FRAME_BYTES_MAX,
    ChannelClosed,
    Enrolment,
    EnrolmentToken,
    FrameChannel,
    LinkUnreachable,
)
from littoral.edge.adapters.authority import open_authority
from littoral.edge.adapters.certificates import KeySmith
from littoral.edge.adapters.files import FileIdentity
from littoral.edge.adapters.websocket import WebSocketDialer, WebSocketListener
from littoral.kernel.ids import NodeId
from littoral.log import Log
from littoral.log.adapters.committer import InlineCommitter
from littoral.log.adapters.memory import MemoryStore
from littoral.registry import Registry
from littoral.registry.adapters.argon2 import InlineArgon2Hasher
from littoral.simulate import Network, VirtualDialer, VirtualLinkListener, run


class WallClock:
    def now_ms(self):
        return int(time.time() * 1000)  # noqa: TID251  # certificates are checked by real time

    def monotonic_s(self):
        return asyncio.get_running_loop().time()


class RealEntropy:
    def token(self, size):
        return secrets.token_bytes(size)

    def uniform(self, low, high):
        return random.uniform(low, high)


class Virtual:
    def __init__(self, tmp_path):
        del tmp_path

    def run(self, main):
        run(main, deadline_s=600)

    async def ports(self):
        network = Network(asyncio.get_running_loop(), random.Random(1))
        listener = VirtualLinkListener(network, "cloud", 8883)
        return listener, lambda: VirtualDialer(network, "site-one", "cloud", 8883)

    async def listening(self, _):
        await asyncio.sleep(0.1)


class Real:
    def __init__(self, tmp_path):
        self.path = tmp_path

    def run(self, main):
        asyncio.run(main())

    async def ports(self):
        clock, entropy = WallClock(), RealEntropy()
        loop = asyncio.get_running_loop()
        log = Log.open(
            store=MemoryStore(),
            committer=InlineCommitter(loop),
            clock=clock,
            entropy=entropy,
            node=NodeId("cloud"),
            loop=loop,
        )
        registry = Registry(log, InlineArgon2Hasher(entropy), clock, entropy)
        registry.put_tenant("T", namespaces=["org.t"])
        issued = registry.issue_token("site-one", ["T"])
        files = open_authority(
            self.path / "ca", node=NodeId("cloud"), names=["127.0.0.1"], now_ms=clock.now_ms()
        )
        listener = WebSocketListener(
            host="127.0.0.1",
            port=0,
            chain_path=files.chain_path,
            ca=files.authority.certificate,
            enrolment=Enrolment(registry=registry, log=log, authority=files.authority, clock=clock),
        )

        def dialer():
            token = EnrolmentToken(
                NodeId("site-one"),
                issued.text,
                files.authority.fingerprint,
                f"wss://127.0.0.1:{listener.port}",
            )
            store = FileIdentity(self.path / "site")
            return WebSocketDialer(
                store=store, clock=clock, smith=KeySmith, token=token, proxy=None
            )

        return listener, dialer

    async def listening(self, listener):
        await listener.wait_listening()


@pytest.fixture(
    params=[Virtual, pytest.param(Real, marks=[pytest.mark.real, pytest.mark.slow])],
    ids=["virtual", "websocket"],
)
def connected(request, tmp_path):
    """Run a test with both ends of a connection: ``site`` and ``cloud``, and how to dial again."""
    world = request.param(tmp_path)

    def start(use):
        async def main():
            listener, make_dialer = await world.ports()
            arrived: asyncio.Queue[FrameChannel] = asyncio.Queue()

            async def accept(channel):
                arrived.put_nowait(channel)
                done = asyncio.Event()
                channels.append(done)
                await done.wait()

            channels: list[asyncio.Event] = []
            async with asyncio.TaskGroup() as tasks:
                serving = tasks.create_task(listener.serve(accept))
                await world.listening(listener)
                dialer = make_dialer()
                site = await dialer.dial()
                cloud = await arrived.get()
                try:
                    async with asyncio.timeout(30):
                        await use(site, cloud, dialer, serving)
                finally:
                    for done in channels:
                        done.set()
                    await site.close()
                    serving.cancel()

        world.run(main)

    return start


def test_both_ends_know_who_the_other_is(connected):
    async def use(site, cloud, dialer, serving):
        assert site.peer.node == "cloud"
        assert cloud.peer.node == "site-one"

    connected(use)


def test_frames_arrive_whole_and_in_order_both_ways(connected):
    async def use(site, cloud, dialer, serving):
        frames = [b"", b"x", *(bytes([n]) * n * 997 for n in range(1, 60)), b"y" * 3_000_000]

        async def send(channel):
            for frame in frames:
                await channel.send(frame)

        async def take(channel):
            assert [await channel.receive() for _ in frames] == frames

        async with asyncio.TaskGroup() as tasks:
            for channel in (site, cloud):
                tasks.create_task(send(channel))
                tasks.create_task(take(channel))

    connected(use)


def test_a_sender_waits_while_nobody_reads(connected):
    async def use(site, cloud, dialer, serving):
        sent = 0

        async def flood():
            nonlocal sent
            for _ in range(2000):
                await site.send(b"z" * 100_000)
                sent += 1

        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1.0):
                await flood()
        assert sent < 1000

    connected(use)


def test_a_closed_channel_says_so_at_both_ends_and_may_be_closed_again(connected):
    async def use(site, cloud, dialer, serving):
        await site.close("done.")
        await site.close()
        with pytest.raises(ChannelClosed):
            await cloud.receive()
        with pytest.raises(ChannelClosed):
            await site.receive()
        with pytest.raises(ChannelClosed):
            await site.send(b"x")

    connected(use)


def test_a_frame_over_the_limit_ends_the_connection(connected):
    async def use(site, cloud, dialer, serving):
        async with asyncio.TaskGroup() as tasks:

            async def send():
                with contextlib.suppress(ChannelClosed):
                    await site.send(b"x" * (FRAME_BYTES_MAX + 1))

            tasks.create_task(send())
            with pytest.raises(ChannelClosed):
                await cloud.receive()

    connected(use)


def test_when_the_listener_ends_its_channels_do_and_nobody_can_dial(connected):
    async def use(site, cloud, dialer, serving):
        serving.cancel()
        with pytest.raises(ChannelClosed):
            await site.receive()
        await asyncio.wait([serving])
        with pytest.raises(LinkUnreachable):
            await dialer.dial()

    connected(use)
