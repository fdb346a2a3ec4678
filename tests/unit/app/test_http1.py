"""A connection of the HTTP server: how long and how much it keeps for a peer that does not behave."""

import asyncio
import gc

import pytest

from littoral.app import http1
from littoral.app.exchange import Exchange
from littoral.app.http1 import (
    LINGER_S,
    SLICE_BYTES,
    WRITE_S_MAX,
    HttpConnection,
    Serving,
)
from littoral.simulate import run

REQUEST = b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n"


class Pipe:
    """A transport that writes nothing out while ``stuck``, and keeps what was written."""

    def __init__(self):
        self.written, self.unsent, self.state, self.reading = b"", 0, "open", True
        self.stuck = False

    def write(self, data):
        self.written += data
        self.unsent += len(data) if self.stuck else 0

    def get_write_buffer_size(self):
        return self.unsent

    def get_extra_info(self, _):
        return None

    def set_write_buffer_limits(self, high):
        pass

    def pause_reading(self):
        self.reading = False

    def resume_reading(self):
        self.reading = True

    def is_closing(self):
        return self.state != "open"

    def write_eof(self):
        pass

    def close(self):
        self.state = "closed"

    def abort(self):
        self.state = "aborted"


def opened(app, main):
    """Runs ``main(connection, pipe, serving)`` on a connection whose requests ``app`` answers."""

    async def world():
        async with asyncio.TaskGroup() as tasks:
            serving, pipe = Serving(app, tasks.create_task), Pipe()
            connection = HttpConnection(serving)
            connection.connection_made(pipe)
            await main(connection, pipe, serving)

    run(world, deadline_s=5000)


async def wait(serving, seconds):
    for _ in range(int(seconds)):
        await asyncio.sleep(1)
        serving.tick()


async def hello(scope, receive, send):
    headers = [(b"content-length", b"2")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"hi"})


def test_a_read_of_many_requests_does_not_become_as_many_objects():
    go = asyncio.Event()

    async def slow(scope, receive, send):
        await go.wait()
        await hello(scope, receive, send)

    async def main(connection, pipe, _):
        count = 10 * SLICE_BYTES // len(REQUEST)
        connection.data_received(REQUEST * count)
        kept = sum(isinstance(one, Exchange) for one in gc.get_objects())
        assert 0 < kept <= SLICE_BYTES // len(REQUEST) + 2
        assert not pipe.reading
        go.set()
        await asyncio.sleep(1)
        assert pipe.written.count(b"HTTP/1.1 200") == count
        assert pipe.reading

    opened(slow, main)


def test_a_peer_that_takes_nothing_of_an_answer_is_cut_off():
    async def main(connection, pipe, serving):
        pipe.stuck = True
        connection.data_received(REQUEST)
        await wait(serving, WRITE_S_MAX)
        assert pipe.state == "open"
        pipe.unsent -= 1  # it is only slow
        await wait(serving, WRITE_S_MAX)
        assert pipe.state != "aborted"
        await wait(serving, 2)
        assert pipe.state == "aborted"

    opened(hello, main)


def test_a_connection_over_the_limit_is_closed_if_its_peer_does_not(monkeypatch):
    monkeypatch.setattr(http1, "CONNECTIONS_MAX", 0)

    async def main(connection, pipe, serving):
        assert pipe.written.startswith(b"HTTP/1.1 503")
        connection.data_received(REQUEST)
        await wait(serving, LINGER_S + 1)
        assert pipe.state == "closed"
        await wait(serving, 1)
        assert not serving.connections

    opened(hello, main)


@pytest.mark.parametrize("amid", ["the head", "the body"])
def test_an_application_that_fails_is_answered_for(amid):
    async def failing(scope, receive, send):
        headers = [(b"x", b"a\r\nb")] if amid == "the head" else []
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        raise RuntimeError(amid)

    async def main(connection, pipe, serving):
        connection.data_received(REQUEST)
        await asyncio.sleep(0)
        assert pipe.written.startswith(b"HTTP/1.1 500")

    opened(failing, main)
