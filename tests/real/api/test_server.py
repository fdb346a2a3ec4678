"""The server itself, over real sockets: what clients of other makes do, and what hostile ones do."""

import base64
import contextlib
import json
import socket
import threading

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

pytestmark = [pytest.mark.real, pytest.mark.slow]

T = "org.acme/pump/things/twin/commands/"
AUTH = {"Authorization": "Basic " + base64.b64encode(b"ditto:ditto").decode()}
PUMP = {"policyId": "org.littoral:default", "attributes": {"a": 0}}


def websocket(served, **more):
    return connect(
        served.url.replace("http", "ws") + "/ws/2", additional_headers=AUTH, open_timeout=10, **more
    )


def command(action, path="/", value=None, **headers):
    frame = {"topic": T + action, "headers": {"correlation-id": "c"} | headers, "path": path}
    return json.dumps(frame if value is None else frame | {"value": value})


def raw(served, *pieces, pause_s=0.0):
    """Everything that a plain socket reads after it has sent ``pieces``, until the end."""
    host, port = served.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as one:
        for piece in pieces:
            one.sendall(piece)
            if pause_s:
                threading.Event().wait(pause_s)
        found = b""
        try:
            while piece := one.recv(65_536):
                found += piece
        except (TimeoutError, ConnectionResetError):
            pass
        return found


def test_a_session_of_an_independent_client_from_first_to_last(served):
    with websocket(served) as one, websocket(served, compression=None) as two:
        two.send("START-SEND-EVENTS?filter=gt(attributes/a,1)&extraFields=attributes/a")
        assert two.recv(10) == "START-SEND-EVENTS:ACK"
        one.send(command("create", value=PUMP))
        assert json.loads(one.recv(10))["status"] == 201
        for n in range(150):
            one.send(command("modify", "/attributes/a", n))
        assert {json.loads(one.recv(10))["status"] for _ in range(150)} == {204}
        values = []
        while not values or values[-1] < 149:
            values.append(json.loads(two.recv(10))["value"])
        assert values == sorted(values) and values[0] == 2
        one.ping().wait(10)
        pieces = list(command("retrieve", "/attributes/a"))
        one.send(pieces)  # a fragment for each character
        assert json.loads(one.recv(10))["value"] == 149
        one.send("x" * 300_000)
        with pytest.raises(ConnectionClosed) as e:
            one.recv(10)
        assert e.value.rcvd.code == 1009
        two.send(b'{"topic":"a/b/things/twin/commands/retrieve"}')
        while (frame := json.loads(two.recv(10)))["topic"].endswith("modified"):
            pass
        assert frame["status"] == 404


def test_a_reader_that_takes_nothing_loses_events_but_no_answers(served):
    with websocket(served) as writer:
        writer.send(command("create", value=PUMP))
        assert json.loads(writer.recv(10))["status"] == 201
        host, port = served.url.removeprefix("http://").split(":")
        with socket.socket() as slow:
            slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            slow.connect((host, int(port)))
            slow.settimeout(10)
            head = (
                b"GET /ws/2 HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
                b"Authorization: %s\r\n\r\n" % AUTH["Authorization"].encode()
            )
            slow.sendall(head)
            assert slow.recv(4096).startswith(b"HTTP/1.1 101")
            slow.sendall(b"\x81\x91\0\0\0\0START-SEND-EVENTS")
            assert b"START-SEND-EVENTS:ACK" in slow.recv(4096)
            big = "x" * 20_000
            for n in range(600):
                writer.send(command("modify", "/attributes/b", f"{n}{big}"))
                assert json.loads(writer.recv(20))["status"] in {201, 204}
            dropped = served.on_loop(lambda: served.door.statistics()["dropped"])
            assert dropped > 0
        writer.send(command("retrieve", "/attributes/a"))
        assert json.loads(writer.recv(10))["value"] == 0


def test_many_sockets_come_and_go(served):
    stack = contextlib.ExitStack()
    sockets = [stack.enter_context(websocket(served)) for _ in range(100)]
    for one in sockets:
        one.send("START-SEND-EVENTS")
        assert one.recv(10) == "START-SEND-EVENTS:ACK"
    sockets[0].send(command("create", value=PUMP))
    for one in sockets[1:]:
        assert json.loads(one.recv(10))["topic"].endswith("created")
    stack.close()
    for _ in range(1000):
        if not served.on_loop(lambda: served.door.statistics()["sockets"]):
            break
        threading.Event().wait(0.01)
    else:
        raise AssertionError("sockets stayed open")


def test_who_is_not_known_or_asks_for_something_else_gets_an_answer_in_http(served):
    url = served.url.replace("http", "ws")
    for path, headers, status in [
        ("/ws/2", {}, 401),
        ("/ws/9", AUTH, 404),
        ("/api/2/things", AUTH, 404),
    ]:
        with pytest.raises(InvalidStatus) as e:
            connect(url + path, additional_headers=headers, open_timeout=10)
        assert e.value.response.status_code == status


HEAD = b"GET /livez HTTP/1.1\r\nHost: x\r\n"


def test_requests_may_come_in_one_piece_or_byte_by_byte(served):
    both = raw(served, HEAD + b"\r\n" + HEAD + b"Connection: close\r\n\r\n")
    assert both.count(b"HTTP/1.1 200") == 2
    alone = raw(served, *[bytes((b,)) for b in HEAD + b"Connection: close\r\n\r\n"])
    assert alone.startswith(b"HTTP/1.1 200")
    old = raw(served, b"GET /livez HTTP/1.0\r\n\r\n")
    assert old.startswith(b"HTTP/1.1 200") and b"connection: close" in old
    nothing = raw(served, HEAD.replace(b"GET", b"HEAD") + b"Connection: close\r\n\r\n")
    assert nothing.startswith(b"HTTP/1.1 200") and nothing.endswith(b"\r\n\r\n")


def test_a_body_may_be_announced_and_cut_into_chunks(served):
    thing = b"PUT /api/2/things/org.acme:chunks HTTP/1.1\r\nHost: x\r\nAuthorization: %s\r\n" % (
        AUTH["Authorization"].encode()
    )
    body = json.dumps(PUMP).encode()
    chunks = (
        b"".join(b"%x\r\n%s\r\n" % (1, body[n : n + 1]) for n in range(len(body))) + b"0\r\n\r\n"
    )
    kind = b"Content-Type: application/json\r\nConnection: close\r\n"
    cut = raw(served, thing + kind + b"Transfer-Encoding: chunked\r\n\r\n" + chunks)
    assert cut.startswith(b"HTTP/1.1 201")
    expected = thing + kind + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(body)
    found = raw(served, expected, body, pause_s=0.2)
    assert found.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204")


@pytest.mark.parametrize(
    "request_",
    [
        b"nonsense\r\n\r\n",
        b"GET /ws/2 HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
        (
            b"GET /ws/2 HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: upgrade\r\n"
            b"Sec-WebSocket-Key: short\r\nSec-WebSocket-Version: 13\r\n\r\n"
        ),
        b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * 50_000,
        b"GET /" + b"x" * 900_000,
        b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n",
    ],
)
def test_what_is_no_http_is_refused_and_the_next_is_served(served, request_):
    found = raw(served, request_)
    assert found == b"" or found.split()[1].startswith(b"4"), found[:100]
    assert raw(served, HEAD + b"Connection: close\r\n\r\n").startswith(b"HTTP/1.1 200")
