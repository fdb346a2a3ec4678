"""Messages for devices that are away: kept on wish, looked at, cancelled, delivered later."""

import asyncio

import pytest

from littoral.eventing import MAILBOX_PER_THING_MAX, Reply

T = "/api/2/things/org.acme:pump"
BOX = "/api/littoral/v1/things/org.acme:pump/mailbox"
PUMP = {"policyId": "org.littoral:default"}
KEEP = {"littoral-mailbox-ttl": "3600"}


class Device:
    def __init__(self, reply=None):
        self.reply = reply
        self.got = []

    def deliver(self, message):
        self.got.append(message)
        if self.reply is not None:
            message.reply(self.reply)


async def turn():
    for _ in range(5):
        await asyncio.sleep(0)


def test_a_message_to_a_device_that_is_away_is_202_with_its_id_and_comes_later(on_node):
    async def main(node):
        await node.call("PUT", T, PUMP)
        answer = await node.call(
            "POST",
            T + "/features/motor/inbox/messages/set/speed",
            {"rpm": 900},
            headers=KEEP | {"correlation-id": "c1", "my-header": "x"},
        )
        assert answer.status == 202
        assert answer.json["messageId"] == answer.headers["littoral-message-id"]
        [item] = (await node.call("GET", BOX)).json["items"]
        assert item["messageId"] == answer.json["messageId"]
        assert (item["subject"], item["featureId"], item["sender"]) == (
            "set/speed",
            "motor",
            "nginx:ditto",
        )
        assert (item["expires"], item["offered"]) == (answer.json["expires"], 0)
        one = await node.call("GET", f"{BOX}/{item['messageId']}")
        assert one.json["value"] == {"rpm": 900}
        node.inbox.attach("org.acme:pump", device := Device(Reply(200)))
        await turn()
        [got] = device.got
        assert (got.id, got.feature, got.correlation_id) == (item["messageId"], "motor", "c1")
        assert got.headers == {"my-header": "x"}
        assert (await node.call("GET", BOX)).json == {"items": []}

    on_node(main)


def test_a_device_that_is_there_answers_as_ever(on_node):
    async def main(node):
        await node.call("PUT", T, PUMP)
        node.inbox.attach("org.acme:pump", Device(Reply(201, b"ok", "text/plain")))
        answer = await node.call("POST", T + "/inbox/messages/on", headers=KEEP)
        assert (answer.status, answer.body) == (201, b"ok")
        assert answer.headers["littoral-answered-by"] == "thing"

    on_node(main)


def test_a_one_way_message_is_kept_until_it_has_arrived(on_node):
    async def main(node):
        await node.call("PUT", T, PUMP)
        url = T + "/inbox/messages/on"
        for more in ("?timeout=0", "?response-required=false"):
            answer = await node.call("POST", url + more, headers=KEEP)
            assert answer.status == 202 and answer.json["messageId"]
        node.inbox.attach("org.acme:pump", device := Device())
        await turn()
        device.got[0].delivered()
        await turn()
        [left] = (await node.call("GET", BOX)).json["items"]
        assert (left["messageId"], left["offered"]) == (device.got[1].id, 1)
        assert left["responseRequired"] is False

    on_node(main)


def test_a_websocket_that_may_receive_gets_what_is_kept_and_answers_it(on_node):
    async def main(node):
        await node.call("PUT", T, PUMP)
        kept = await node.call("POST", T + "/inbox/messages/on", b'{"a":1}', headers=KEEP)
        node.registry.put_user("eve", generated_password="e")
        async with node.socket(user=("eve", "e")) as eve, node.socket() as socket:
            await eve.accepted()
            await eve.ask("START-SEND-MESSAGES")
            await socket.accepted()
            await socket.ask("START-SEND-MESSAGES")
            heard = await socket.json()
            assert heard["headers"]["littoral-message-id"] == kept.json["messageId"]
            assert await eve.is_silent()
            reply = {k: heard[k] for k in ("topic", "headers", "path")}
            socket.say(reply | {"status": 200})
            await asyncio.sleep(1)
            assert (await node.call("GET", BOX)).json == {"items": []}

    on_node(main)


def test_its_sender_cancels_one_or_all_and_nobody_else_does(on_node):
    async def main(node):
        await node.call("PUT", T, PUMP)
        ids = []
        for n in range(3):
            answer = await node.call("POST", f"{T}/inbox/messages/s{n}", headers=KEEP)
            ids.append(answer.json["messageId"])
        node.registry.put_user("eve", generated_password="e")
        eve = ("eve", "e")
        assert (await node.call("GET", BOX, user=eve)).json == {"items": []}
        answer = await node.call("DELETE", f"{BOX}/{ids[0]}", user=eve)
        assert (answer.status, answer.code) == (404, "littoral.mailbox.missing")
        assert (await node.call("DELETE", BOX, user=eve)).json == {"cancelled": []}
        await node.call(
            "PUT",
            "/api/2/policies/org.littoral:default/entries/eve",
            {
                "subjects": {"nginx:eve": {"type": "x"}},
                "resources": {"message:/": {"grant": ["READ"], "revoke": []}},
            },
        )
        assert len((await node.call("GET", BOX, user=eve)).json["items"]) == 3
        answer = await node.call("DELETE", f"{BOX}/{ids[0]}", user=eve)
        assert (answer.status, answer.code) == (403, "messages:send.notallowed")
        assert (await node.call("DELETE", f"{BOX}/{ids[0]}")).status == 204
        assert (await node.call("DELETE", f"{BOX}/{ids[0]}")).status == 404
        assert (await node.call("DELETE", BOX)).json == {"cancelled": ids[1:]}
        answer = await node.call("PUT", BOX, {})
        assert (answer.status, answer.headers["allow"]) == (405, "GET, DELETE")
        assert (await node.call("GET", BOX.replace("pump", "none"))).status == 404
        assert (await node.call("GET", BOX + "/a/b")).status == 404

    on_node(main)


@pytest.mark.parametrize("ttl", ["", "0", "-1", "1.5", "soon", "2592001", "9" * 20])
def test_a_time_to_live_that_cannot_be_is_refused(on_node, ttl):
    async def main(node):
        await node.call("PUT", T, PUMP)
        answer = await node.call(
            "POST", T + "/inbox/messages/on", headers={"littoral-mailbox-ttl": ttl}
        )
        assert (answer.status, answer.code) == (400, "littoral.mailbox.invalid")

    on_node(main)


def test_what_a_thing_sends_is_not_kept_and_a_full_mailbox_is_429(on_node):
    async def main(node):
        await node.call("PUT", T, PUMP)
        answer = await node.call("POST", T + "/outbox/messages/on", headers=KEEP)
        assert (answer.status, answer.code) == (400, "littoral.mailbox.invalid")
        for _ in range(MAILBOX_PER_THING_MAX):
            await node.call("POST", T + "/inbox/messages/on?timeout=0", headers=KEEP)
        answer = await node.call("POST", T + "/inbox/messages/on", headers=KEEP)
        assert (answer.status, answer.code) == (429, "littoral.mailbox.full")
        assert (await node.call("POST", T + "/inbox/messages/on?timeout=0")).status == 202

    on_node(main)


def test_a_claim_is_not_kept_as_anybody_may_send_it(on_node):
    async def main(node):
        await node.call("PUT", T, PUMP)
        for path in ("/inbox/claim", "/inbox/messages/claim"):
            refused = await node.call("POST", T + path, {}, headers=KEEP)
            assert (refused.status, refused.code) == (400, "littoral.mailbox.invalid")
        assert (await node.call("GET", BOX)).json == {"items": []}

    on_node(main)


def test_who_may_not_send_a_message_may_not_have_it_kept(on_node):
    async def main(node):
        await node.call("PUT", T, PUMP)
        node.registry.put_user("eve", generated_password="e")
        answer = await node.call("POST", T + "/inbox/messages/on", headers=KEEP, user=("eve", "e"))
        assert (answer.status, answer.code) == (403, "messages:send.notallowed")
        assert (await node.call("GET", BOX)).json == {"items": []}

    on_node(main)


def test_acknowledgements_and_a_mailbox_go_together(on_node):
    async def main(node):
        await node.call("PUT", T, PUMP)
        async with node.socket(path="/ws/2?declared-acks=mine-1") as socket:
            await socket.accepted()
            await socket.ask("START-SEND-MESSAGES?namespaces=org.other")
            url = T + "/inbox/messages/on?requested-acks=live-response,mine-1&timeout=5"
            answer = await node.call("POST", url, headers=KEEP)
            assert answer.status == 200
            kept = answer.json["live-response"]
            assert kept["status"] == 202 and kept["payload"]["messageId"]

    on_node(main)
