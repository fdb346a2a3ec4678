"""The door and the client over real sockets: what ASGI in memory cannot show."""

import json
import socket
import threading

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from littoral.client import ApiError, Client, StreamEnded, Unreachable
from littoral.eventing import Reply

pytestmark = [pytest.mark.real, pytest.mark.slow]

TENANT = {
    "apiVersion": "littoral/v1",
    "kind": "Tenant",
    "metadata": {"name": "acme"},
    "spec": {"namespaces": ["org.acme"]},
}


def device(n):
    return {
        "apiVersion": "littoral/v1",
        "kind": "Device",
        "metadata": {"tenant": "acme", "name": f"d{n:05}"},
        "spec": {
            "credentials": [
                {
                    "type": "hashed-password",
                    "authId": f"a{n}",
                    "hashFunction": "sha-256",
                    "salt": "Mq7wFw==",
                    "pwdHash": "AQIDBAUGBwgBAgMEBQYHCAECAwQFBgcIAQIDBAUGBwg=",
                }
            ]
        },
    }


def eventually(condition, within_s=10.0):
    for _ in range(int(within_s * 100)):
        if condition():
            return
        threading.Event().wait(0.01)
    raise AssertionError("it did not come about")


def test_the_client_does_what_a_person_wants(served):
    with served.client() as client:
        assert client.is_healthy()
        assert client.whoami().default_subject == "nginx:ditto"
        assert client.things.put("org.acme:p", {"policyId": "org.littoral:default"}).created
        assert client.things.put("org.acme:p", "é/ü", "/attributes/naïve ключ").created
        assert client.things.get("org.acme:p", "/attributes/naïve ключ") == "é/ü"
        assert not client.things.merge("org.acme:p", {"attributes": {"n": 1}}).created
        assert client.things.get("org.acme:p", fields="_revision") == {"_revision": 3}
        assert client.things.get("org.acme:p", at_revision=1).get("attributes") is None
        assert [t["thingId"] for t in client.things.get_many(["org.acme:p", "a:none"])] == [
            "org.acme:p"
        ]
        assert list(client.things.ids()) == ["org.acme:p"]
        policy = client.policies.get("org.littoral:default")
        assert client.policies.put("org.acme:other", {"entries": policy["entries"]}).created
        client.policies.delete("org.acme:other")
        client.things.delete("org.acme:p", "/attributes")
        client.things.delete("org.acme:p")
        with pytest.raises(ApiError) as e:
            client.things.get("org.acme:p")
        assert (e.value.status, e.value.code) == (404, "things:thing.notfound")
        assert e.value.correlation_id
    with served.client("devops", "foobar") as client:
        assert client.status()["node"]["name"] == "cloud"


def test_who_is_not_known_is_told_how_to_say_it(served):
    with served.client("ditto", "wrong") as client, pytest.raises(ApiError) as e:
        client.whoami()
    assert e.value.status == 401
    with Client(served.url) as client, pytest.raises(ApiError) as e:
        client.whoami()
    assert e.value.status == 401


def test_nobody_there_is_told_with_the_address_and_what_to_do():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with Client(f"http://127.0.0.1:{port}") as client, pytest.raises(Unreachable) as e:
        client.status()
    assert f"127.0.0.1:{port}" in e.value.message
    assert "LITTORAL_URL" in e.value.hint


def test_a_fleet_is_applied_and_listed(served):
    with served.client("devops", "foobar") as client:
        assert [r.result for r in client.administration.apply([TENANT])] == ["created"]
        results = [r.result for r in client.administration.apply(device(n) for n in range(3000))]
        assert results == ["created"] * 3000
        again = {r.result for r in client.administration.apply(device(n) for n in range(600))}
        assert again == {"unchanged"}
        assert sum(1 for _ in client.administration.devices("acme")) == 3000
        assert [t.id for t in client.administration.tenants()] == ["DEFAULT_TENANT", "acme"]
        bad = next(client.administration.apply([{"kind": "Tenent"}]))
        assert (bad.is_error, bad.description) == (True, "Did you mean 'Tenant'?")
        token = client.administration.issue_token("site-one", ["acme"])
        assert token.token and token.site == "site-one"
        assert [(s.name, s.tenants) for s in client.administration.sites()] == [
            ("site-one", ("acme",))
        ]


class Device:
    def __init__(self, reply):
        self.reply = reply

    def deliver(self, message):
        message.reply(self.reply)


def test_a_message_comes_back_with_the_devices_own_status(served):
    with served.client() as client:
        client.things.put("org.acme:p", {"policyId": "org.littoral:default"})
        served.on_loop(
            served.parts.inbox.attach, "org.acme:p", Device(Reply(404, b"[1]", "application/json"))
        )
        reply = client.messages.send("org.acme:p", "start now", {"speed": 1})
        assert (reply.status, reply.json()) == (404, [1])
        assert client.messages.send("org.acme:p", "start", timeout_s=0).status == 202
        client.things.put("org.acme:deaf", {"policyId": "org.littoral:default"})
        with pytest.raises(ApiError) as e:
            client.messages.send(
                "org.acme:deaf", "start", b"\x00", content_type="a/b", timeout_s=0.2
            )
        assert e.value.code == "command.timeout"


def test_changes_are_watched_until_the_node_stops(served):
    seen, ended = [], threading.Event()

    def watch():
        with served.client() as client:
            try:
                seen.extend(client.things.watch(namespaces=["org.acme"]))
            except StreamEnded:
                ended.set()

    threading.Thread(target=watch).start()
    eventually(lambda: served.door.statistics()["streams"] == 1)
    with served.client() as client:
        for n in range(100):
            client.things.merge("org.acme:p", {"attributes": {"n": n}})
    eventually(lambda: len(seen) == 100)
    assert [change["attributes"]["n"] for change in seen] == list(range(100))
    served.on_loop(served.door._streams.close)
    assert ended.wait(10)


def test_a_stream_whose_reader_hung_up_is_let_go(served):
    host, port = served.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as plain:
        plain.sendall(
            b"GET /api/2/things HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n"
            b"Authorization: Basic ZGl0dG86ZGl0dG8=\r\n\r\n"
        )
        assert plain.recv(100).startswith(b"HTTP/1.1 200")
        eventually(lambda: served.door.statistics()["streams"] == 1)
    eventually(lambda: served.door.statistics()["streams"] == 0)


def test_a_websocket_of_an_independent_client_works(served):
    url = served.url.replace("http", "ws") + "/ws/2"
    basic = {"Authorization": "Basic ZGl0dG86ZGl0dG8="}
    with connect(url, additional_headers=basic) as ws:
        ws.send("START-SEND-EVENTS")
        assert ws.recv(5) == "START-SEND-EVENTS:ACK"
        ws.send(
            json.dumps(
                {
                    "topic": "org.acme/p/things/twin/commands/create",
                    "headers": {"correlation-id": "x"},
                    "path": "/",
                    "value": {"policyId": "org.littoral:default"},
                }
            )
        )
        frames = [json.loads(ws.recv(5)) for _ in range(2)]
        assert {f["topic"].split("/")[-1] for f in frames} == {"create", "created"}
        eventually(lambda: served.door.statistics()["sockets"] == 1)
    eventually(lambda: served.door.statistics()["sockets"] == 0)


def test_a_websocket_without_a_name_is_refused(served):
    with pytest.raises(Exception, match=r"HTTP 40[13]"):
        connect(served.url.replace("http", "ws") + "/ws/2")


def test_an_open_websocket_does_not_keep_the_node_from_stopping(served):
    basic = {"Authorization": "Basic ZGl0dG86ZGl0dG8="}
    with connect(served.url.replace("http", "ws") + "/ws/2", additional_headers=basic) as ws:
        ws.send("START-SEND-EVENTS")
        assert ws.recv(5) == "START-SEND-EVENTS:ACK"
        served.stop()
        with pytest.raises(ConnectionClosed) as e:
            ws.recv(5)
        assert e.value.rcvd.code == 1001
