"""One WebSocket on the loop: what it does with good and bad frames, slow peers and silent ones."""

import asyncio

import pytest
from websockets.frames import Frame, Opcode

from littoral.app.sockets import (
    GOODBYE_S,
    LINGER_S,
    WAITING_BYTES_MAX,
    WAITING_MAX,
    SocketConnection,
    accepted_key,
)
from littoral.simulate import run


class Pipe:
    """A transport that keeps what is written, and can be told that its peer takes nothing."""

    def __init__(self):
        self.written, self.state, self.reading = b"", "open", True

    def write(self, data):
        assert self.state == "open"
        self.written += data

    def set_write_buffer_limits(self, high):
        self.high = high

    def pause_reading(self):
        self.reading = False

    def resume_reading(self):
        self.reading = True

    def write_eof(self):
        pass

    def close(self):
        self.state = "closed"

    def abort(self):
        self.state = "aborted"


def frame(payload, opcode=Opcode.TEXT, *, fin=True):
    return Frame(opcode, payload, fin=fin).serialize(mask=True)


def opened(main):
    """Runs ``main(socket, pipe)`` on a WebSocket that was accepted."""

    async def world():
        pipe, refused = Pipe(), []
        socket = SocketConnection(
            pipe,
            {"type": "websocket"},
            b"key",
            refuse=lambda *a: refused.append(a),
            lost=lambda _: None,
        )
        assert (await socket.receive())["type"] == "websocket.connect"
        await socket.send({"type": "websocket.accept"})
        assert pipe.written.startswith(b"HTTP/1.1 101 ")
        pipe.written = b""
        await main(socket, pipe)

    run(world, deadline_s=5000)


def test_what_is_sent_in_one_go_leaves_in_one_write():
    async def main(socket, pipe):
        for text in ("one", "two"):
            await socket.send({"type": "websocket.send", "text": text})
        assert pipe.written == b""
        await asyncio.sleep(0)
        assert pipe.written == b"\x81\x03one\x81\x03two"
        await socket.send({"type": "websocket.send", "bytes": b"\xff"})
        await asyncio.sleep(0)
        assert pipe.written.endswith(b"\x82\x01\xff")

    opened(main)


def test_pings_are_answered_and_messages_come_in_order():
    async def main(socket, pipe):
        socket.data_received(
            frame(b"a")
            + frame(b"x", Opcode.PING)
            + frame("é".encode())
            + frame(b"\xff", Opcode.BINARY)
        )
        assert pipe.written == b"\x8a\x01x"
        got = [await socket.receive() for _ in range(3)]
        assert [m.get("text") or m.get("bytes") for m in got] == ["a", "é", b"\xff"]

    opened(main)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (frame(b"\xff"), 1007),
        (b"\x81\x00", 1002),
        (frame((4000).to_bytes(2, "big"), Opcode.CLOSE), 4000),
        (frame(b"", Opcode.CLOSE), 1005),
        (frame(b"\x03", Opcode.CLOSE), 1002),
    ],
    # Masks are random, and workers must agree on the names of their tests.
    ids=["not UTF-8", "not masked", "own code", "no code", "half a code"],
)
def test_the_end_is_told_to_both_sides(data, code):
    async def main(socket, pipe):
        socket.data_received(data + frame(b"never read"))
        assert await socket.receive() == {"type": "websocket.disconnect", "code": code}
        # Who broke the rules may be sending still: it is to read why before the network drops it.
        if code not in {4000, 1005}:
            assert pipe.state == "open"
            await asyncio.sleep(LINGER_S)
            socket.look(asyncio.get_running_loop().time())
        assert pipe.state == "closed"
        assert pipe.written[:1] == b"\x88"
        if code != 1005:
            assert int.from_bytes(pipe.written[2:4], "big") == code
        socket.data_received(frame(b"late"))
        await socket.send({"type": "websocket.send", "text": "late"})
        await asyncio.sleep(0)

    opened(main)


def test_a_peer_that_sends_more_than_is_read_is_held_back():
    async def main(socket, pipe):
        socket.data_received(frame(b"x") * (WAITING_MAX + 1))
        assert not pipe.reading
        for _ in range(WAITING_MAX):
            await socket.receive()
        assert pipe.reading

    opened(main)


def test_a_peer_is_held_back_by_bytes_as_by_messages():
    async def main(socket, pipe):
        size = WAITING_BYTES_MAX // 8
        socket.data_received(frame(b"x" * size) * 9)
        assert not pipe.reading
        for _ in range(4):
            await socket.receive()
            assert not pipe.reading
        await socket.receive()
        await socket.receive()
        assert pipe.reading

    opened(main)


@pytest.mark.parametrize("ended_by", ["the peer", "the server"])
def test_a_peer_that_does_not_take_its_goodbye_is_cut_off(ended_by):
    async def main(socket, pipe):
        if ended_by == "the peer":
            socket.data_received(frame(b"", Opcode.CLOSE))
        else:
            await socket.send({"type": "websocket.close", "code": 1001})
        assert pipe.state == "closed"
        await asyncio.sleep(GOODBYE_S)
        socket.look(asyncio.get_running_loop().time())
        assert pipe.state == "aborted"

    opened(main)


def test_who_sends_to_a_peer_that_takes_nothing_waits():
    async def main(socket, pipe):
        socket.pause_writing()
        async with asyncio.TaskGroup() as tasks:
            waiting = tasks.create_task(socket.send({"type": "websocket.send", "text": "x"}))
            await asyncio.sleep(1)
            assert not waiting.done()
            socket.resume_writing()
        socket.pause_writing()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(socket.send({"type": "websocket.send", "text": "x"}))
            await asyncio.sleep(1)
            socket.connection_lost(None)
        assert (await socket.receive())["type"] == "websocket.disconnect"

    opened(main)


def test_a_server_that_stops_says_that_it_goes_away():
    async def main(socket, pipe):
        async def waits(scope, receive, send):
            await receive()

        async with asyncio.TaskGroup() as tasks:
            serving = tasks.create_task(socket.run(waits))
            await asyncio.sleep(0)
            serving.cancel()
        assert int.from_bytes(pipe.written[2:4], "big") == 1001
        assert pipe.state == "closed"

    opened(main)


def test_a_silent_peer_is_asked_once_and_then_let_go():
    async def main(socket, pipe):
        loop = asyncio.get_running_loop()
        for _ in range(3):
            await asyncio.sleep(61)
            socket.look(loop.time())
            assert pipe.written == b"\x89\x00"
        socket.data_received(frame(b"", Opcode.PONG))
        await asyncio.sleep(600)
        socket.look(loop.time())
        assert pipe.state == "open"
        await asyncio.sleep(20)
        socket.look(loop.time())
        assert pipe.state == "aborted"

    opened(main)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {b"sec-websocket-key": b"x", b"sec-websocket-version": b"13"},
        {b"sec-websocket-key": b"dGhlIHNhbXBsZSBub25jZQ=="},
        {b"sec-websocket-key": b"dGhlIHNhbXBsZSBub25jZQ==", b"sec-websocket-version": b"8"},
    ],
)
def test_what_is_no_handshake_gets_no_key(headers):
    assert accepted_key(headers) is None


def test_the_key_of_the_standards_own_example_is_answered():
    headers = {b"sec-websocket-key": b"dGhlIHNhbXBsZSBub25jZQ==", b"sec-websocket-version": b"13"}
    assert accepted_key(headers) == b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
