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
