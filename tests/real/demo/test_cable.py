"""The cable between site and cloud can be cut and mended."""

import asyncio
import contextlib

import pytest

from littoral.app.demo.proxy import Cable

pytestmark = pytest.mark.real


def with_cable(scenario):
    async def echo(reader, writer):
        while piece := await reader.read(1000):
            writer.write(piece)
        writer.close()

    async def run():
        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        cable = Cable(server.sockets[0].getsockname()[1])
        await cable.mend()
        try:
            async with asyncio.timeout(5):
                await scenario(cable)
        finally:
            await cable.cut()
            server.close()

    asyncio.run(run())


async def say(cable, data):
    reader, writer = await asyncio.open_connection("127.0.0.1", cable.port)
    writer.write(data)
    return reader, writer, await reader.readexactly(len(data))


def test_bytes_pass_both_ways_and_are_counted():
    async def scenario(cable):
        _, writer, answer = await say(cable, b"hello")
        assert answer == b"hello"
        assert (cable.bytes_up, cable.bytes_down) == (5, 5)
        writer.close()

    with_cable(scenario)


def test_a_cut_resets_connections_and_refuses_new_ones():
    async def scenario(cable):
        reader, writer, _ = await say(cable, b"hello")
        await cable.cut()
        assert cable.is_cut
        with contextlib.suppress(ConnectionError):  # a reset may come as an error or as an end
            assert await reader.read(1) == b""
        writer.transport.abort()
        with pytest.raises(OSError, match=r".*"):
            await say(cable, b"nobody hears")

    with_cable(scenario)


def test_a_mended_cable_has_its_old_port():
    async def scenario(cable):
        port = cable.port
        await cable.cut()
        await cable.mend()
        _, writer, answer = await say(cable, b"again")
        assert (cable.port, answer) == (port, b"again")
        writer.close()

    with_cable(scenario)
