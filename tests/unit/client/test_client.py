"""The client without a network: what it sends, what it makes of answers, and of nonsense."""

import httpx
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from littoral.client import ApiError, Client, NotANode, StreamEnded, Unreachable
from littoral.client.events import EventParser

URL = "http://node.test"


class Canned(httpx.BaseTransport):
    """Answers each request with what it was given, and remembers what was asked."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.asked = []

    def handle_request(self, request):
        request.read()
        self.asked.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        status, body, *headers = answer
        return httpx.Response(status, content=body, headers=headers[0] if headers else {})


def client(*answers):
    transport = Canned(*answers)
    return Client(URL, user="u", password="p", transport=transport), transport


def test_an_error_has_status_code_message_and_hint():
    body = b'{"status":404,"error":"things:thing.notfound","message":"no","description":"look"}'
    node, _ = client((404, body, {"correlation-id": "c7"}))
    with pytest.raises(ApiError) as e:
        node.things.get("a:b")
    error = e.value
    assert (error.status, error.code, error.correlation_id) == (404, "things:thing.notfound", "c7")
    assert str(error) == "no look"


@pytest.mark.parametrize("body", [b"", b"<html>Bad gateway</html>", b"[1]", b"\xff"])
def test_an_error_of_somebody_else_is_told_as_it_is(body):
    node, _ = client((502, body))
    with pytest.raises(ApiError, match="the node answered 502") as e:
        node.status()
    assert e.value.status == 502


@pytest.mark.parametrize("body", [b"", b"<html>hello</html>", b"\xff", b"[" * 100_000])
def test_what_is_no_node_is_told_as_such(body):
    node, _ = client((200, body))
    with pytest.raises(NotANode, match=URL):
        node.status()


def test_a_listing_of_another_shape_is_told_as_such():
    node, _ = client((200, b'{"items":[{"nothing":1}],"next":""}'))
    with pytest.raises(NotANode):
        node.administration.tenants()


@pytest.mark.parametrize(
    "failure",
    [
        httpx.ConnectError("refused"),
        httpx.ReadTimeout("slow"),
        httpx.RemoteProtocolError("rude"),
        httpx.UnsupportedProtocol("what"),
    ],
)
def test_a_network_that_fails_is_told_with_the_address(failure):
    node, _ = client(failure)
    with pytest.raises(Unreachable, match=URL) as e:
        node.status()
    assert e.value.retryable


def test_ids_paths_and_subjects_are_escaped():
    node, transport = client(*[(204, b"")] * 3)
    node.things.put("org.acme:a b?c#d", 1, "/attributes/x y/z~1?")
    node.messages.send("a:b", "set/speed?now", feature="m/1", timeout_s=2)
    node.things.merge("a:b", {"attributes": None})
    paths = [request.url.raw_path.decode() for request in transport.asked]
    assert paths == [
        "/api/2/things/org.acme:a%20b%3Fc%23d/attributes/x%20y/z~1%3F",
        "/api/2/things/a:b/features/m%2F1/inbox/messages/set/speed%3Fnow?timeout=2000ms",
        "/api/2/things/a:b",
    ]
    assert transport.asked[2].headers["content-type"] == "application/merge-patch+json"
    assert transport.asked[0].headers["authorization"].startswith("Basic ")


def test_manifests_go_in_bounded_requests_and_results_come_in_order():
    def answer(first, count):
        lines = [
            {"kind": "Thing", "name": f"a:{n}", "result": "ok"} for n in range(first, first + count)
        ]
        return 200, b"".join(msgspec.json.encode(line) + b"\n" for line in lines)

    node, transport = client(answer(0, 500), answer(500, 500), answer(1000, 1))
    names = [result.name for result in node.administration.apply({"n": n} for n in range(1001))]
    assert names == [f"a:{n}" for n in range(1001)]
    assert [r.content.count(b"\n") for r in transport.asked] == [499, 499, 0]


def test_an_apply_that_was_cut_short_says_so():
    node, _ = client((200, b'{"result":"ok"}\n'))
    with pytest.raises(StreamEnded, match="1 of 2"):
        list(node.administration.apply([{}, {}]))


def test_devices_without_a_tenant_are_those_of_all_tenants():
    node, _ = client(
        (
            200,
            b'{"items":[{"id":"t1","namespaces":["a"]},{"id":"t2","namespaces":["b"]}],"next":""}',
        ),
        (200, b'{"items":[{"tenant":"t1","id":"d","thingId":"a:d"}],"next":"d"}'),
        (200, b'{"items":[],"next":""}'),
        (200, b'{"items":[{"tenant":"t2","id":"e","thingId":"b:e"}],"next":""}'),
    )
    assert [device.thing_id for device in node.administration.devices()] == ["a:d", "b:e"]


def test_a_stream_gives_changes_and_tells_of_gaps():
    body = b':\n\ndata:{"thingId":"a:b"}\n\n: dropped 3 changes\n\ndata:{"x":\ndata:1}\n\n'
    node, _ = client((200, body))
    changes = node.things.watch()
    assert [next(changes) for _ in range(3)] == [{"thingId": "a:b"}, {"_dropped": 3}, {"x": 1}]
    with pytest.raises(StreamEnded):
        next(changes)


@given(st.lists(st.text(alphabet="ab{}\n", min_size=1, max_size=5).filter(str.strip), max_size=5))
def test_events_come_out_as_they_went_in(texts):
    lines = [line for text in texts for line in [*(f"data:{t}" for t in text.split("\n")), ""]]
    parser = EventParser()
    events = [event for line in lines if (event := parser.feed(line)) is not None]
    assert [event.data for event in events] == texts


def test_a_bulk_tells_its_progress_while_it_goes_on():
    report = '{"report":{"matched":3,"changed":2,"refused":1}}'
    counts = '{"progress":{"matched":2,"changed":2,"unchanged":0,"refused":0}}'
    node, transport = client((200, f"{counts}\n{report}\n".encode()))
    seen = []
    done = node.beyond.bulk("delete", "exists(thingId)", on_progress=seen.append)
    assert [one.matched for one in seen] == [2] and (done.matched, done.refused) == (3, 1)
    assert transport.asked[0].headers["accept"] == "application/x-ndjson"


def test_one_user_and_one_key_are_read_and_a_mailbox_is_emptied():
    node, transport = client(
        (200, b'{"name":"a b","roles":["user"]}'),
        (200, b'{"id":"k1","subjects":["app:x"]}'),
        (200, b'{"cancelled":["m1","m2"]}'),
        (204, b""),
    )
    assert node.administration.user("a b").roles == ("user",)
    assert node.administration.api_key("k1").subjects == ("app:x",)
    assert node.messages.cancel_all("n:x") == ["m1", "m2"]
    node.messages.cancel("n:x", "m/3")
    base = "/api/littoral/v1"
    assert [one.url.raw_path.decode() for one in transport.asked] == [
        f"{base}/users/a%20b",
        f"{base}/apikeys/k1",
        f"{base}/things/n:x/mailbox",
        f"{base}/things/n:x/mailbox/m%2F3",
    ]


@pytest.mark.parametrize(
    ("written", "asked"),
    [
        ("127.0.0.1:8080", "http://127.0.0.1:8080/api/2/whoami"),
        (" http://node.test/ ", "http://node.test/api/2/whoami"),
        ("HTTPS://node.test/twins", "https://node.test/twins/api/2/whoami"),
    ],
)
def test_an_address_is_taken_as_people_write_it(written, asked):
    transport = Canned((200, b'{"defaultSubject":"nginx:u","subjects":["nginx:u"]}'))
    with Client(written, transport=transport) as node:
        node.whoami()
    assert str(transport.asked[0].url) == asked


@pytest.mark.parametrize("written", ["ftp://node.test", "ws://node.test/ws/2"])
def test_an_address_of_another_kind_is_told_before_anything_is_sent(written):
    with pytest.raises(Unreachable, match=r"it begins with \w+://\. Write http://HOST:PORT"):
        Client(written)
