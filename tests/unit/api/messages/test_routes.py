"""Messages over HTTP: to the device and its answer back, within a deadline."""

import asyncio

from littoral.eventing import Direction, Reply

T = "/api/2/things/org.acme:pump"
PUMP = {"policyId": "org.littoral:default"}


class Device:
    """Speaks for a thing and answers as it was told to."""

    def __init__(self, reply):
        self.reply = reply
        self.got = []

    def deliver(self, message):
        self.got.append(message)
        if self.reply is not None:
            message.reply(self.reply)


def test_the_answer_is_the_devices_own_status_and_body(on_node):
    async def main(node):
        await node.call("PUT", T, PUMP)
        device = Device(Reply(418, b"\x00tea", "image/tea"))
        node.inbox.attach("org.acme:pump", device)
        answer = await node.call(
            "POST",
            T + "/inbox/messages/brew/now?timeout=2s",
            b'{"cups":2}',
            headers={"content-type": "application/json", "correlation-id": "c1"},
        )
        assert (answer.status, answer.body) == (418, b"\x00tea")
        assert answer.headers["content-type"] == "image/tea"
        assert answer.headers["littoral-answered-by"] == "thing"
        [message] = device.got
        assert (message.subject, message.payload) == ("brew/now", b'{"cups":2}')
        assert (message.content_type, message.correlation_id) == ("application/json", "c1")
        assert message.subjects == frozenset({"nginx:ditto"})

    on_node(main)


def test_a_device_writes_no_headers_but_harmless_ones(on_node):
    async def main(node):
        await node.call("PUT", T, PUMP)
        evil = {
            "X-Kept": "as it is",
            "x: a\r\nset-cookie": "b",
            "x-split": "a\r\nset-cookie: b",
            "": "nameless",
            "Set-Cookie": "a=b",
            "Content-Length": "0",
            "Transfer-Encoding": "chunked",
            "Access-Control-Allow-Origin": "*",
            "Location": "https://evil.example",
            "WWW-Authenticate": "Basic",
        }
        device = Device(Reply(200, b"tea", "text/html\r\nset-cookie: c", evil))
        node.inbox.attach("org.acme:pump", device)
        answer = await node.call("POST", T + "/inbox/messages/brew")
        assert (answer.status, answer.body) == (200, b"tea")
        assert set(answer.headers) == {
            "x-kept", "littoral-answered-by", "correlation-id", "content-length",
        }  # fmt: skip

    on_node(main)


def test_a_message_reaches_a_feature_and_the_outbox(on_node):
    async def main(node):
        await node.call("PUT", T, PUMP)
        device = Device(Reply(200))
        node.inbox.attach("org.acme:pump", device, direction=None)
        assert (await node.call("POST", T + "/features/motor/inbox/messages/on")).status == 200
        assert (await node.call("POST", T + "/outbox/messages/alarm")).status == 200
        assert [(m.feature, m.direction) for m in device.got] == [
            ("motor", Direction.INBOX),
            (None, Direction.OUTBOX),
        ]

    on_node(main)


def test_a_message_that_wants_no_answer_is_202(on_node):
    async def main(node):
        await node.call("PUT", T, PUMP)
        device = Device(Reply(200))
        node.inbox.attach("org.acme:pump", device)
        for more in ("?timeout=0", "?response-required=false"):
            assert (await node.call("POST", T + "/inbox/messages/on" + more)).status == 202
        assert len(device.got) == 2

    on_node(main)


def test_silence_is_202_to_who_waits_for_the_answer_and_wants_none(on_node):
    async def main(node):
        await node.call("PUT", T, PUMP)
        quiet = "?response-required=false&requested-acks=live-response&timeout=3"
        for call in (("POST", "/inbox/messages/on", None), ("PUT", "/attributes/a", 1)):
            method, path, body = call
            begin = node.clock.monotonic_s()
            answer = await node.call(method, T + path + quiet + "&channel=live", body)
            assert (answer.status, answer.body) == (202, b"")
            assert node.clock.monotonic_s() - begin >= 3

    on_node(main)


def test_silence_is_408_after_the_time_that_was_asked_for(on_node):
    async def main(node):
        await node.call("PUT", T, PUMP)
        now = asyncio.get_running_loop().time
        for more, seconds in (("?timeout=3", 3), ("", 10)):
            begin = now()
            answer = await node.call("POST", T + "/inbox/messages/on" + more)
            assert (answer.status, answer.code) == (408, "command.timeout")
            assert seconds <= now() - begin < seconds + 0.1
        answer = await node.call("POST", T + "/inbox/messages/on?timeout=61")
        assert (answer.status, answer.code) == (400, "gateway:timeout.invalid")

    on_node(main)


def test_who_may_not_write_messages_is_403_and_a_missing_thing_404(on_node):
    async def main(node):
        await node.call("PUT", T, PUMP)
        node.registry.put_user("eve", generated_password="e")
        answer = await node.call("POST", T + "/inbox/messages/on", user=("eve", "e"))
        assert (answer.status, answer.code) == (403, "messages:send.notallowed")
        answer = await node.call("POST", "/api/2/things/org.acme:none/inbox/messages/on")
        assert (answer.status, answer.code) == (404, "things:thing.notfound")
        await node.call("DELETE", T)
        assert (await node.call("POST", T + "/inbox/messages/on")).status == 404

    on_node(main)


def test_a_subject_that_cannot_be_one_is_refused(on_node):
    async def main(node):
        await node.call("PUT", T, PUMP)
        for subject in ("a%23b", "a%0ab", "x" * 300):
            answer = await node.call("POST", T + "/inbox/messages/" + subject)
            assert (answer.status, answer.code) == (400, "messages:subject.invalid"), subject

    on_node(main)


def test_204_never_has_a_body_whatever_the_device_sends(on_node):
    async def main(node):
        await node.call("PUT", T, PUMP)
        node.inbox.attach("org.acme:pump", Device(Reply(204, b"x", "text/plain")))
        answer = await node.call("POST", T + "/inbox/messages/on")
        assert (answer.status, answer.body) == (204, b"")
        assert "content-type" not in answer.headers

    on_node(main)


def test_headers_of_the_senders_own_reach_the_device_and_its_own_come_back(on_node):
    async def main(node):
        await node.call("PUT", T, PUMP)
        reply = Reply(200, b"{}", "application/json", {"X-Mine": "1", "content-length": "99"})
        node.inbox.attach("org.acme:pump", device := Device(reply))
        answer = await node.call(
            "POST",
            T + "/inbox/messages/on",
            headers={"my-header": "2", "ditto-originator": "me", "authorization-x": "y"},
        )
        assert device.got[0].headers["my-header"] == "2"
        assert "ditto-originator" not in device.got[0].headers
        assert device.got[0].originator == "nginx:ditto"
        assert answer.headers["x-mine"] == "1" and answer.headers["content-length"] == "2"

    on_node(main)


def test_a_claim_needs_no_permission_and_may_wait_ten_minutes(on_node):
    async def main(node):
        await node.call("PUT", T, PUMP)
        node.registry.put_user("eve", generated_password="e")
        now = asyncio.get_running_loop().time
        for url in ("/inbox/claim", "/inbox/messages/claim"):
            begin = now()
            answer = await node.call("POST", T + url, b"me", user=("eve", "e"))
            assert (answer.status, answer.code) == (408, "command.timeout")
            assert 60 <= now() - begin < 61
        begin = now()
        assert (await node.call("POST", T + "/inbox/claim?timeout=10m")).status == 408
        assert 600 <= now() - begin < 601
        answer = await node.call("POST", T + "/inbox/claim?timeout=601")
        assert (answer.status, answer.code) == (400, "gateway:timeout.invalid")
        assert (await node.call("POST", T + "/inbox/claim?timeout=0")).status == 202
        node.inbox.attach("org.acme:pump", device := Device(Reply(200)))
        assert (await node.call("POST", T + "/inbox/claim", user=("eve", "e"))).status == 200
        assert device.got[0].subject == "claim"
        # A feature has no claims, and the outbox neither: there it is a word like any other.
        for url in ("/features/f/inbox/messages/claim", "/outbox/messages/claim"):
            answer = await node.call("POST", T + url, user=("eve", "e"))
            assert (answer.status, answer.code) == (403, "messages:send.notallowed")
        missing = "/api/2/things/org.acme:none/inbox/claim"
        assert (await node.call("POST", missing)).status == 404

    on_node(main)


def test_a_star_is_no_feature(on_node):
    async def main(node):
        await node.call("PUT", T, PUMP)
        node.inbox.attach("org.acme:pump", device := Device(Reply(200)))
        for more in ("", "?response-required=false"):
            answer = await node.call("POST", T + "/features/*/inbox/messages/x" + more)
            assert (answer.status, answer.code) == (400, "messages:featureid.invalid")
        assert device.got == []

    on_node(main)


def test_a_condition_is_asked_of_the_twin_first(on_node):
    async def main(node):
        await node.call("PUT", T, PUMP | {"attributes": {"on": False}})
        node.inbox.attach("org.acme:pump", device := Device(Reply(200)))
        url = T + "/inbox/messages/on?condition="
        answer = await node.call("POST", url + "eq(attributes/on,true)")
        assert (answer.status, answer.code) == (412, "things:condition.failed")
        answer = await node.call("POST", url + "nonsense")
        assert (answer.status, answer.code) == (400, "things:condition.invalid")
        assert device.got == []
        assert (await node.call("POST", url + "eq(attributes/on,false)")).status == 200

    on_node(main)


def test_what_contradicts_itself_is_refused(on_node):
    async def main(node):
        await node.call("PUT", T, PUMP)
        for more in (
            "?timeout=0&response-required=true",
            "?timeout=0&requested-acks=live-response",
            "?timeout=0&requested-acks=mine-1",
        ):
            answer = await node.call("POST", T + "/inbox/messages/on" + more)
            assert answer.status == 400, more
        answer = await node.call("POST", T + "/inbox/messages/on?requested-acks=no")
        assert (answer.status, answer.code) == (400, "acknowledgement:label.invalid")
        big = b"x" * (250 * 1024 + 1)
        answer = await node.call("POST", T + "/inbox/messages/on", big)
        assert (answer.status, answer.code) == (413, "messages:payload.toolarge")
        answer = await node.call("GET", T + "/inbox/messages/on")
        assert (answer.status, answer.headers["allow"]) == (405, "GET, POST")
        assert (await node.call("POST", T + "/inbox/messages")).status == 404

    on_node(main)


ACK = {
    "topic": "org.acme/pump/things/live/acks/mine-1",
    "path": "/",
    "status": 201,
    "value": {"n": 1},
}


def test_acknowledgements_of_a_message_come_together_with_its_answer(on_node):
    async def main(node):
        await node.call("PUT", T, PUMP)
        async with node.socket(path="/ws/2?declared-acks=mine-1") as socket:
            await socket.accepted()
            await socket.ask("START-SEND-MESSAGES")
            async with asyncio.TaskGroup() as tasks:
                url = T + "/inbox/messages/on?requested-acks=live-response,mine-1&timeout=20"
                sent = tasks.create_task(node.call("POST", url, b'{"a":1}'))
                heard = await socket.json()
                assert heard["headers"]["requested-acks"] == ["mine-1"]
                correlation = {"correlation-id": heard["headers"]["correlation-id"]}
                socket.say(ACK | {"headers": correlation})
                reply = {k: heard[k] for k in ("topic", "path")} | {"headers": correlation}
                socket.say(reply | {"status": 200, "value": {"done": True}})
            answer = sent.result()
            assert answer.status == 200
            assert answer.json["mine-1"]["status"] == 201
            assert answer.json["mine-1"]["payload"] == {"n": 1}
            assert answer.json["live-response"]["payload"] == {"done": True}

    on_node(main)


def test_an_acknowledgement_that_is_missing_makes_424_and_one_alone_its_own_status(on_node):
    async def main(node):
        await node.call("PUT", T, PUMP)
        node.inbox.attach("org.acme:pump", Device(Reply(200, b'"x"', "application/json")))
        begin = asyncio.get_running_loop().time()
        url = T + "/inbox/messages/on?timeout=5&requested-acks="
        answer = await node.call("POST", url + "live-response,mine-1")
        assert asyncio.get_running_loop().time() - begin < 5.1
        assert answer.status == 424
        assert answer.json["live-response"]["status"] == 200
        assert answer.json["mine-1"]["status"] == 408
        assert answer.json["mine-1"]["payload"]["error"] == "acknowledgement:request.timeout"
        assert (await node.call("POST", url + "mine-1")).status == 408
        # Not the answer is wanted, but its sender waits for the acknowledgement.
        begin = asyncio.get_running_loop().time()
        answer = await node.call("POST", url + "mine-1&response-required=false")
        assert (answer.status, answer.body) == (202, b"")
        assert asyncio.get_running_loop().time() - begin >= 5

    on_node(main)


def test_a_session_that_filters_a_message_out_acknowledges_it_weakly(on_node):
    async def main(node):
        await node.call("PUT", T, PUMP)
        async with node.socket(path="/ws/2?declared-acks=mine-1") as socket:
            await socket.accepted()
            await socket.ask("START-SEND-MESSAGES?namespaces=org.other")
            url = T + "/inbox/messages/on?requested-acks=mine-1&timeout=5"
            answer = await node.call("POST", url)
            assert answer.status == 200
            assert answer.json["mine-1"]["headers"]["ditto-weak-ack"] is True

    on_node(main)


def test_the_same_correlation_id_twice_at_once_is_409_if_acknowledgements_are_wanted(on_node):
    async def main(node):
        await node.call("PUT", T, PUMP)
        url = T + "/inbox/messages/on?requested-acks=mine-1&timeout=5"
        async with asyncio.TaskGroup() as tasks:
            headers = {"correlation-id": "same"}
            tasks.create_task(node.call("POST", url, headers=headers))
            await asyncio.sleep(1)
            answer = await node.call("POST", url, headers=headers)
            assert answer.status == 409
            assert answer.code == "acknowledgement:request.duplicate.correlation-id"

    on_node(main)


def test_a_node_that_stops_says_so_to_who_waits_for_acknowledgements(on_node):
    async def main(node):
        await node.call("PUT", T, {})
        headers = {"requested-acks": "live-response,nobodys"}
        async with asyncio.TaskGroup() as tasks:
            path = T + "/inbox/messages/ask"
            waiting = tasks.create_task(node.call("POST", path, b"?", headers=headers))
            await asyncio.sleep(1)
            node.parts.acks.close()
        answer = waiting.result()
        assert (answer.status, answer.code) == (503, "gateway:service.unavailable")

    on_node(main)
