"""Things over real sockets: what a server between client and door could spoil."""

import http.client
import json
import threading

import pytest

pytestmark = [pytest.mark.real, pytest.mark.slow]

T = "/api/2/things/org.acme:p"
BASIC = {"Authorization": "Basic ZGl0dG86ZGl0dG8="}
JSON = {"Content-Type": "application/json"}


@pytest.fixture
def call(served):
    host = served.url.removeprefix("http://")
    connection = http.client.HTTPConnection(host, timeout=20)

    def ask(method, path, body=None, headers=(), **more):
        if isinstance(body, dict | list | int):
            body = json.dumps(body).encode()
        connection.request(method, path, body, BASIC | JSON | dict(headers), **more)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()

    yield ask
    connection.close()


def test_tags_heads_and_methods_survive_the_server(call):
    status, headers, body = call("PUT", T, {"attributes": {"a": 1}})
    assert (status, headers["etag"]) == (201, '"rev:1"')
    assert headers["location"].endswith(T)
    status, headers, body = call("HEAD", T)
    assert (status, body) == (200, b"")
    assert int(headers["content-length"]) == len(call("GET", T)[2])
    status, headers, body = call("GET", T, headers={"If-None-Match": '"rev:1"'})
    assert (status, body, headers["etag"]) == (304, b"", '"rev:1"')
    status, headers, body = call("OPTIONS", T)
    assert (status, headers["allow"]) == (204, "GET, PUT, PATCH, DELETE, OPTIONS")
    status, headers, body = call("GET", T, headers={"Correlation-Id": "mine"})
    assert headers["correlation-id"] == "mine"
    assert call("PUT", T + "/attributes/a?timeout=0", 2)[0] == 202
    assert json.loads(call("GET", T + "/attributes/a")[2]) == 2


def test_a_body_may_come_in_chunks(call):
    pieces = [b'{"attributes":', b'{"a":[1,', b"2]}}"]
    headers = {"Transfer-Encoding": "chunked"}
    assert call("PUT", T, iter(pieces), headers, encode_chunked=True)[0] == 201
    assert json.loads(call("GET", T + "/attributes/a")[2]) == [1, 2]


def test_acknowledgements_are_waited_for(call):
    call("PUT", T, {})
    headers = {"requested-acks": "twin-persisted,nobodys", "timeout": "200ms"}
    status, _, body = call("PUT", T + "/attributes/a", 1, headers)
    assert status == 424
    assert {k: v["status"] for k, v in json.loads(body).items()} == {
        "twin-persisted": 201,
        "nobodys": 408,
    }


def test_what_is_too_large_is_refused_with_a_body(call):
    for path, headers, body, status, code in [
        (T + "?x=" + "y" * 8200, {}, None, 414, "gateway:uri.toolong"),
        (T, {f"x-{n}": "1" for n in range(70)}, None, 431, "headers.too.large"),
        (T, {"x-long": "1" * 20_000}, None, 431, "headers.too.large"),
        (T, {}, b'"' + b"x" * 200_000 + b'"', 413, "things:thing.toolarge"),
        (T + "/attributes", {}, b'{"a":"\xff"}', 400, "json.invalid"),
    ]:
        got, answered, content = call("PUT" if body else "GET", path, body, headers)
        assert (got, json.loads(content)["error"]) == (status, code)
        assert answered["content-type"] == "application/json"
        assert answered["correlation-id"]


def test_many_connections_write_at_once(served, call):
    call("PUT", T, {"attributes": {}})
    failures = []

    def write(k):
        connection = http.client.HTTPConnection(served.url.removeprefix("http://"), timeout=20)
        for n in range(20):
            connection.request("PUT", f"{T}/attributes/k{k}", str(n), BASIC | JSON)
            answer = connection.getresponse()
            answer.read()
            if answer.status not in {201, 204}:
                failures.append(answer.status)
        connection.close()

    threads = [threading.Thread(target=write, args=(k,)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    attributes = json.loads(call("GET", T + "/attributes")[2])
    assert attributes == {f"k{k}": 19 for k in range(8)}
    revision = json.loads(call("GET", T + "?fields=_revision")[2])
    assert revision == {"_revision": 161}
