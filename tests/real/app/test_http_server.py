"""The HTTP server at its socket: what peers may do to it before an application sees anything."""

import asyncio
import contextlib

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from littoral.app import http1
from littoral.app.http import HttpServer
from littoral.app.http1 import HEAD_BYTES_MAX

pytestmark = pytest.mark.real


async def echo(scope, receive, send):
    """Answers with method, path, query and body; WebSockets get their texts back."""
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": message["text"]})
        return
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        body += message["body"]
        more = message["more_body"]
    text = b"%s %s %s %s" % (
        scope["method"].encode(),
        scope["raw_path"],
        scope["query_string"],
        body[:100],
    )
    headers = [] if scope["raw_path"] == b"/chunks" else [(b"content-length", b"%d" % len(text))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    if scope["raw_path"] == b"/deaf":
        raise RuntimeError("the application fails")
    await send({"type": "http.response.body", "body": text[:5], "more_body": True})
    await send({"type": "http.response.body", "body": text[5:]})


def serve(client, app=echo):
    """Run ``async def client(port)`` against a server of ``app``."""

    async def main():
        server = HttpServer(app, "127.0.0.1:0")
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(server.run())
            await server.wait_listening()
            try:
                async with asyncio.timeout(20):
                    return await client(int(server.address.rpartition(":")[2]))
            finally:
                server.stop()
                await running

    return asyncio.run(main())


async def said(port, data, *, end=b"", pieces=1):
    """What the server answers to ``data``, sent in pieces, until it closes or says ``end``."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    step = max(1, len(data) // pieces)
    with contextlib.suppress(ConnectionError):
        for at in range(0, len(data), step):
            writer.write(data[at : at + step])
            await writer.drain()
    try:
        answer = await (reader.readuntil(end) if end else reader.read())
    finally:
        writer.close()
    return answer


CLOSE = b"Connection: close\r\n\r\n"


def test_requests_that_come_at_once_are_answered_in_their_order():
    async def client(port):
        data = b"GET /a HTTP/1.1\r\nHost: x\r\n\r\nPOST /b?q=1 HTTP/1.1\r\nHost: x\r\n"
        data += b"Content-Length: 3\r\n\r\nabcGET /c HTTP/1.1\r\nHost: x\r\n" + CLOSE
        answer = await said(port, data, pieces=7)
        assert [p in answer for p in (b"GET /a  ", b"POST /b q=1 abc", b"GET /c  ")] == [True] * 3
        assert answer.index(b"/a") < answer.index(b"/b") < answer.index(b"/c")
        assert answer.count(b"HTTP/1.1 200") == 3

    serve(client)


def test_an_answer_without_a_length_comes_in_chunks_or_ends_with_the_connection():
    async def client(port):
        chunked = await said(port, b"GET /chunks HTTP/1.1\r\nHost: x\r\n" + CLOSE)
        assert b"transfer-encoding: chunked" in chunked
        assert chunked.endswith(b"0\r\n\r\n")
        old = await said(port, b"GET /chunks HTTP/1.0\r\n\r\n")
        assert b"transfer-encoding" not in old
        assert old.endswith(b"GET /chunks  ")

    serve(client)


def test_a_head_answer_has_no_body():
    async def client(port):
        answer = await said(port, b"HEAD /a HTTP/1.1\r\nHost: x\r\n" + CLOSE)
        assert answer.endswith(b"\r\n\r\n")
        assert b"content-length: 9" in answer

    serve(client)


@pytest.mark.parametrize("status", [204, 304])
def test_an_answer_that_has_no_body_sends_none_whatever_the_application_gives(status):
    async def gives_a_body(scope, receive, send):
        body = b'{"stray":1}'
        headers = [(b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def client(port):
        one = b"GET /a HTTP/1.1\r\nhost: x\r\n\r\n"
        last = b"GET /b HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
        return await said(port, one + last)

    answers = serve(client, gives_a_body)
    assert b"stray" not in answers and b"content-length" not in answers
    assert answers.count(b"HTTP/1.1 %d" % status) == 2 and answers.endswith(b"\r\n\r\n")


def test_a_chunked_body_and_an_expectation_are_served():
    async def client(port):
        head = (
            b"POST /b HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n"
        )
        answer = await said(port, head + CLOSE + b"2\r\nab\r\n1\r\nc\r\n0\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200")
        assert answer.endswith(b"abc")

    serve(client)


@pytest.mark.parametrize(
    "data",
    [
        b"nonsense\r\n\r\n",
        b"GET /a HTTP/9.9\r\nHost: x\r\n\r\n",
        b"GET /a\x00b HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /a HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        # Two lengths, or a length and chunks: the classic ways to smuggle a second request.
        b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 30\r\n\r\nabc",
        b"POST /a HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /a HTTP/1.1\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        b"GET /a HTTP/1.1\r\nHost: x\r\n folded: y\r\nBad Name: z\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ],
    ids=lambda data: repr(data[:60]),
)
def test_what_is_not_http_is_refused_and_the_connection_ends(data):
    async def client(port):
        answer = await said(port, data)
        assert answer.startswith(b"HTTP/1.1 400 Bad Request")
        assert answer.count(b"HTTP/1.1") == 1

    serve(client)


def test_a_head_that_does_not_end_is_refused_before_it_fills_memory():
    async def client(port):
        data = b"GET /a HTTP/1.1\r\nHost: x\r\nX: " + b"a" * (HEAD_BYTES_MAX + 600_000)
        assert (await said(port, data, pieces=50)).startswith(b"HTTP/1.1 431")

    serve(client)


def test_a_head_that_comes_too_slowly_is_let_go(monkeypatch):
    monkeypatch.setattr(http1, "HEAD_S_MAX", 0.5)

    async def client(port):
        assert (await said(port, b"GET /a HTTP/1.1\r\nHos")).startswith(b"HTTP/1.1 408")

    serve(client)


def test_connections_over_the_limit_are_told_so(monkeypatch):
    monkeypatch.setattr(http1, "CONNECTIONS_MAX", 1)

    async def client(port):
        _, first = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.sleep(0)
        assert (await said(port, b"")).startswith(b"HTTP/1.1 503")
        first.close()

    serve(client)


def test_an_application_that_fails_ends_its_connection_only():
    async def client(port):
        assert b"GET /deaf" not in await said(port, b"GET /deaf HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"GET /a" in await said(port, b"GET /a HTTP/1.1\r\nHost: x\r\n" + CLOSE)

    serve(client)


@pytest.mark.parametrize(
    "header", [(b"x", b"a\r\nset-cookie: b"), (b"x: a\r\nset-cookie", b"b")], ids=["value", "name"]
)
def test_a_header_with_a_line_break_never_leaves(header):
    async def splitting(scope, receive, send):
        headers = [header]
        await send({"type": "http.response.start", "status": 200, "headers": headers})

    async def client(port):
        answer = await said(port, b"GET / HTTP/1.1\r\nHost: x\r\n" + CLOSE)
        assert b"cookie" not in answer

    serve(client, splitting)


@pytest.mark.parametrize(
    "headers",
    [
        b"Sec-WebSocket-Key: short\r\nSec-WebSocket-Version: 13\r\n",
        b"Sec-WebSocket-Version: 13\r\n",
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 8\r\n",
    ],
)
def test_a_handshake_that_is_none_is_refused(headers):
    async def client(port):
        head = b"GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        answer = await said(port, head + headers + b"\r\n")
        assert answer.startswith(b"HTTP/1.1 400")
        assert b"sec-websocket-version: 13" in answer

    serve(client)


def test_a_client_of_the_library_talks_to_it():
    async def client(port):
        async with connect(f"ws://127.0.0.1:{port}/ws") as socket:
            for text in ("a", "ä" * 70_000, ""):
                await socket.send(text)
                assert await socket.recv() == text
            await socket.send(["frag", "ments"])
            assert await socket.recv() == "fragments"
            await (await socket.ping())

    serve(client)


def test_a_message_that_is_too_long_ends_the_socket_with_its_code():
    async def client(port):
        async with connect(f"ws://127.0.0.1:{port}/ws") as socket:
            with contextlib.suppress(ConnectionClosed):
                await socket.send("x" * (2 << 20))
            with pytest.raises(ConnectionClosed) as closed:
                await socket.recv()
            assert closed.value.rcvd.code == 1009

    serve(client)


H2C = b"Connection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\nHTTP2-Settings: AAM\r\n"


@pytest.mark.parametrize(
    ("body", "read"),
    [
        (b"\r\n", b"GET /a  "),
        (b"Content-Length: 3\r\n\r\nabc", b"GET /a  abc"),
        (b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", b"GET /a  abc"),
    ],
    ids=["no body", "a length", "chunks"],
)
def test_an_upgrade_that_is_not_known_is_ignored(body, read):
    """Java's client asks for HTTP/2 with every request until it is told; RFC 9110 §7.8."""

    async def client(port):
        answer = await said(port, b"GET /a HTTP/1.1\r\nHost: x\r\n" + H2C + body)
        assert answer.startswith(b"HTTP/1.1 200") and answer.endswith(read)
        assert answer.count(b"HTTP/1.1") == 1

    serve(client)


def test_an_old_client_cannot_open_a_websocket():
    async def client(port):
        head = b"GET /ws HTTP/1.0\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        key = b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        assert (await said(port, head + key)).startswith(b"HTTP/1.1 200")

    serve(client)


TWICE = b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n"


# -- RFC 9112: what a proxy in front may read in another way than we do ------------------------


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET /a HTTP/1.1\r\n\r\n", 400),  # §3.2: no Host
        (b"GET /a HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        (b"GET /a HTTP/1.1\r\nHost: a/../b\r\n\r\n", 400),
        (b"GET /a\r\n\r\n", 505),  # §2.3: HTTP/0.9 has no headers, and no end of an answer
        (b"POST /a HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),  # §6.1
        (b"POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501),
        (b"POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 501),
        (b"POST /a HTTP/1.1\r\nHost: x\r\n" + TWICE + b"\r\n0\r\n\r\n", 400),
        (b"POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n", 400),
        (b"GET /a HTTP/1.1\r\nHost: x\r\nX: a\r\n folded\r\n\r\n", 400),  # §5.2
        (b"GET /a HTTP/1.1\nHost: x\n\n", 400),  # §2.2: bare line feeds
        (b"GET /a HTTP/1.1\r\nHost: x\r\nX: a\rY: b\r\n\r\n", 400),
        (b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 3, 3\r\n\r\nabc", 400),  # §6.3
        (b"CONNECT x:80 HTTP/1.1\r\nHost: x\r\n\r\n", 501),
    ],
    ids=lambda value: repr(value[:70]) if isinstance(value, bytes) else None,
)
def test_a_request_that_can_be_read_in_two_ways_reaches_no_application(data, status):
    reached = []

    async def note(scope, receive, send):
        reached.append(scope)
        await echo(scope, receive, send)

    async def client(port):
        answer = await said(port, data)
        assert answer.startswith(b"HTTP/1.1 %d " % status)
        assert not reached

    serve(client, note)


@pytest.mark.parametrize(
    "body",
    [
        b"3\nabc\r\n0\r\n\r\n",
        b"3;a\nabc\r\n0\r\n\r\n",
        b"0x3\r\nabc\r\n0\r\n\r\n",
        b"3 \r\nabc\r\n0\r\n\r\n",
        b"3\r\nabcX0\r\n\r\n",
        b"ffffffffffffffff3\r\nabc\r\n0\r\n\r\n",
    ],
)
def test_chunks_that_can_be_read_in_two_ways_are_refused(body):
    async def client(port):
        head = b"POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        answer = await said(port, head + body)
        assert answer.startswith(b"HTTP/1.1 400") and answer.count(b"HTTP/1.1") == 1

    serve(client)


def test_trailers_are_no_headers():
    async def headers(scope, receive, send):
        while (await receive())["more_body"]:
            pass
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": repr(scope["headers"]).encode()})

    async def client(port):
        head = b"POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n" + CLOSE
        answer = await said(port, head + b"1\r\na\r\n0\r\nX-Trailer: y\r\n\r\n")
        assert b"HTTP/1.1 200" in answer and b"trailer" not in answer.lower()

    serve(client, headers)


@pytest.mark.parametrize("endless", [b"X: y\r\n", b"a"], ids=["many", "one long"])
def test_trailers_that_do_not_end_are_refused_before_they_fill_memory(endless):
    async def client(port):
        head = b"POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"
        data = head + endless * ((HEAD_BYTES_MAX + 600_000) // len(endless))
        assert (await said(port, data, pieces=50)).startswith(b"HTTP/1.1 431")

    serve(client)


def test_what_came_whole_is_answered_before_what_cannot_be_read():
    async def client(port):
        good = b"PUT /%d HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx"
        answer = await said(port, good % 1 + good % 2 + b"NONSENSE\r\n\r\n")
        assert answer.count(b"HTTP/1.1") == 3
        at = [answer.index(part) for part in (b"PUT /1", b"PUT /2", b"HTTP/1.1 400")]
        assert at == sorted(at)

    serve(client)
