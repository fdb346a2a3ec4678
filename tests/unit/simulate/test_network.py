import asyncio
import random

import pytest

from littoral.simulate import Conditions, Network, run


class Peer(asyncio.Protocol):
    """Keeps what it receives and when; answers as told."""

    def __init__(self, echo=False):
        self.echo = echo
        self.received = b""
        self.pieces = []
        self.lost = "not yet"
        self.eof = False
        self.paused = False

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.received += data
        self.pieces.append((asyncio.get_running_loop().time(), data))
        if self.echo:
            self.transport.write(data)

    def eof_received(self):
        self.eof = True

    def pause_writing(self):
        self.paused = True

    def resume_writing(self):
        self.paused = False

    def connection_lost(self, exc):
        self.lost = exc


async def pair(conditions=None, seed=0, echo=False):
    """A network, and a connection from ``edge`` to ``cloud``."""
    network = Network(asyncio.get_running_loop(), random.Random(seed), conditions=conditions)
    server = Peer(echo)
    network.listen("cloud", 1883, lambda: server)
    _, client = await network.connect("edge", "cloud", 1883, Peer)
    return network, client, server


def test_bytes_arrive_after_the_latency_and_come_back():
    async def main():
        _, client, server = await pair(Conditions(latency_s=0.25), echo=True)
        start_s = asyncio.get_running_loop().time()
        client.transport.write(b"ping")
        await asyncio.sleep(1)
        assert server.received == client.received == b"ping"
        assert client.pieces[0][0] - start_s == pytest.approx(0.5)
        assert client.transport.get_extra_info("peername") == ("cloud", 1883)

    run(main)


@pytest.mark.parametrize("seed", range(20))
def test_loss_jitter_and_fragments_never_reorder_or_change_bytes(seed):
    async def main():
        bad = Conditions(latency_s=0.01, jitter_s=0.2, loss=0.1, fragmented=0.5, bytes_per_s=5000)
        _, client, server = await pair(bad, seed)
        sent = b""
        for n in range(200):
            data = b"%d;" % n * (n % 7 + 1)
            sent += data
            client.transport.write(data)
            await asyncio.sleep(0.01)
        client.transport.close()
        await asyncio.sleep(100)
        assert sent.startswith(server.received)
        assert server.received == sent or client.lost is not None
        return server.received == sent

    run(main)


def test_heavy_loss_resets_a_connection_in_the_end():
    async def main():
        _, client, _ = await pair(Conditions(loss=0.0))
        network, client, _ = await pair(Conditions(loss=0.9), seed=3)
        for _ in range(50):
            client.transport.write(b"x")
        await asyncio.sleep(100)
        assert isinstance(client.lost, TimeoutError)
        return network

    run(main)


def test_a_short_partition_is_a_delay():
    async def main():
        network, client, server = await pair()
        network.cut("edge", "cloud")
        client.transport.write(b"a")
        await asyncio.sleep(5)
        client.transport.write(b"b")
        assert server.received == b""
        network.heal("edge", "cloud")
        client.transport.write(b"c")
        await asyncio.sleep(1)
        assert server.received == b"abc"
        assert client.lost == "not yet"

    run(main)


def test_a_long_partition_ends_the_sender_and_leaves_the_receiver_half_open():
    async def main():
        network, client, server = await pair()
        network.cut("edge", "cloud")
        client.transport.write(b"a")
        await asyncio.sleep(40)
        assert isinstance(client.lost, TimeoutError)
        network.heal("edge", "cloud")
        await asyncio.sleep(40)
        assert server.lost == "not yet"
        server.transport.write(b"are you there?")
        await asyncio.sleep(1)
        assert isinstance(server.lost, ConnectionResetError)

    run(main)


def test_bytes_written_before_a_close_arrive_even_through_a_partition():
    async def main():
        network, client, server = await pair()
        network.cut("edge", "cloud")
        client.transport.write(b"last words")
        client.transport.close()
        await asyncio.sleep(1)
        assert client.lost is None
        network.heal("edge", "cloud")
        await asyncio.sleep(1)
        assert server.received == b"last words"
        assert server.eof
        assert server.lost is None

    run(main)


def test_abort_resets_the_peer():
    async def main():
        network, client, server = await pair()
        client.transport.write(b"never arrives")
        client.transport.abort()
        await asyncio.sleep(1)
        assert server.received == b""
        assert isinstance(server.lost, ConnectionResetError)
        assert network.connections == 0

    run(main)


def test_a_host_without_power_says_nothing_and_forgets():
    async def main():
        network, client, server = await pair()
        network.power_off("cloud")
        client.transport.write(b"hello?")
        server.transport.write(b"from the dead")
        await asyncio.sleep(10)
        assert server.received == client.received == b""
        assert client.lost == "not yet"
        network.power_on("cloud")
        await asyncio.sleep(1)
        assert isinstance(client.lost, ConnectionResetError)
        assert server.lost == "not yet"
        with pytest.raises(ConnectionRefusedError):
            await network.connect("edge", "cloud", 1883, Peer)

    run(main)


def test_a_killed_process_resets_its_peers():
    async def main():
        network, client, _ = await pair()
        network.kill("cloud")
        await asyncio.sleep(1)
        assert isinstance(client.lost, ConnectionResetError)

    run(main)


def test_a_connect_through_a_partition_waits_for_it_or_times_out():
    async def main():
        network, _, _ = await pair()
        loop = asyncio.get_running_loop()
        network.cut("edge", "cloud")
        start_s = loop.time()
        with pytest.raises(TimeoutError):
            await network.connect("edge", "cloud", 1883, Peer)
        assert loop.time() - start_s == pytest.approx(20, abs=0.1)
        loop.call_later(3, network.heal, "edge", "cloud")
        await network.connect("edge", "cloud", 1883, Peer)

    run(main)


def test_a_reader_that_pauses_holds_the_writer_back():
    async def main():
        _, client, server = await pair()
        server.transport.pause_reading()
        client.transport.write(bytes(100_000))
        assert client.paused
        await asyncio.sleep(1)
        assert server.received == b""
        assert client.paused
        server.transport.resume_reading()
        await asyncio.sleep(1)
        assert len(server.received) == 100_000
        assert not client.paused

    run(main)


def test_a_middlebox_breaks_both_ends():
    async def main():
        network, client, server = await pair()
        network.reset("cloud", "edge")
        assert isinstance(client.lost, ConnectionResetError)
        assert isinstance(server.lost, ConnectionResetError)

    run(main)


def test_a_taken_port_is_refused_and_port_0_is_free():
    async def main():
        network, _, _ = await pair()
        with pytest.raises(OSError, match="taken"):
            network.listen("cloud", 1883, Peer)
        one, other = (network.listen("cloud", 0, Peer) for _ in range(2))
        assert one.port != other.port
        one.close()
        one.close()
        with pytest.raises(ConnectionRefusedError):
            await network.connect("edge", "cloud", one.port, Peer)

    run(main)
