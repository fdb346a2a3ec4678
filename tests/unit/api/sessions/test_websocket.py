"""/ws/2: commands, events and messages of the Ditto Protocol, each frame against its JSON schema."""

import asyncio
import json
from pathlib import Path

import jsonschema
import pytest

from littoral.api.model import SOCKET_FRAME_BYTES_MAX, SOCKET_REPLIES_MAX, SOCKET_SIGNALS_MAX
from littoral.eventing import Message, Reply

SCHEMAS = Path(__file__).parents[1] / "ditto"
TOPIC = "org.acme/pump/things/twin/commands/"
PUMP = {"policyId": "org.littoral:default", "attributes": {"a": 1}}


def fits(frame, name):
    """Check a frame against Ditto's own schema."""
    schema = json.loads((SCHEMAS / f"protocol-{name}.json").read_text())
    jsonschema.validate(frame, schema, cls=jsonschema.Draft4Validator)
    return frame


def command(action, path="/", value=None, *, topic=None, headers=None, **more):
    frame = {
        "topic": topic or TOPIC + action,
        "headers": {"correlation-id": f"c-{action}"} | (headers or {}),
        "path": path,
    }
    if value is not None:
        frame["value"] = value
    return fits(frame, "envelope") | more


def test_headers_that_are_json_stand_as_json(on_node):
    async def main(node):
        await node.call("PUT", "/api/2/things/org.acme:pump", PUMP)
        async with node.socket() as socket:
            await socket.accepted()
            puts = {"put-metadata": [{"key": "unit", "value": "K"}]}
            await socket.ask(command("modify", "/attributes/a", 2, headers=puts))
            asked = {"get-metadata": ["unit"]}
            for action, value in (("retrieve", None), ("modify", 3)):
                answer = await socket.ask(command(action, "/attributes/a", value, headers=asked))
                assert answer["headers"]["ditto-metadata"] == {"unit": "K"}

    on_node(main)


def test_a_twin_lives_and_dies_by_commands(on_node):
    async def main(node):
        async with node.socket() as socket:
            await socket.accepted()
            made = fits(await socket.ask(command("create", value=PUMP)), "response")
            assert made["status"] == 201
            assert made["topic"] == TOPIC + "create"
            assert made["headers"]["correlation-id"] == "c-create"
            assert made["headers"]["etag"] == '"rev:1"'
            assert made["headers"]["ditto-originator"] == "nginx:ditto"
            assert made["value"] == {"thingId": "org.acme:pump"} | PUMP
            again = fits(await socket.ask(command("create", value=PUMP)), "error_response")
            assert (again["status"], again["value"]["error"]) == (409, "things:thing.conflict")
            assert again["topic"] == "org.acme/pump/things/twin/errors"
            read = fits(await socket.ask(command("retrieve", "/attributes/a")), "response")
            assert (read["status"], read["value"]) == (200, 1)
            some = await socket.ask(command("retrieve", fields="thingId,_revision"))
            assert some["value"] == {"thingId": "org.acme:pump", "_revision": 1}
            new = fits(await socket.ask(command("modify", "/attributes/b", 2)), "response")
            assert (new["status"], new["value"]) == (201, 2)
            old = fits(await socket.ask(command("modify", "/attributes/b", 3)), "response")
            assert old["status"] == 204 and "value" not in old
            merged = await socket.ask(command("merge", "/attributes", {"a": None}))
            assert merged["status"] == 204
            many = await socket.ask(
                command(
                    "retrieve",
                    value={"thingIds": ["org.acme:pump", "org.acme:none", "org.acme:pump"]},
                    topic="_/_/things/twin/commands/retrieve",
                )
            )
            assert [thing["attributes"] for thing in many["value"]] == [{"b": 3}]
            gone = fits(await socket.ask(command("delete")), "response")
            assert gone["status"] == 204
            none = fits(await socket.ask(command("retrieve")), "error_response")
            assert none["status"] == 404

    on_node(main)


def test_policies_are_commanded_too(on_node):
    async def main(node):
        topic = "org.acme/p/policies/commands/"
        entry = {
            "subjects": {"nginx:ditto": {"type": "x"}},
            "resources": {"policy:/": {"grant": ["READ", "WRITE"], "revoke": []}},
        }
        policy = {"policyId": "org.acme:p", "entries": {"owner": entry}}
        async with node.socket() as socket:
            await socket.accepted()
            for action, path, value, status in [
                ("create", "/", policy, 201),
                ("create", "/", policy, 409),
                ("modify", "/", policy, 204),
                ("modify", "/entries/owner/resources/thing:/", {"grant": [], "revoke": []}, 201),
                ("retrieve", "/", None, 200),
                ("merge", "/", policy, 400),
                ("delete", "/", None, 204),
                ("retrieve", "/", None, 404),
            ]:
                got = await socket.ask(command(action, path, value, topic=topic + action))
                assert got["status"] == status, (action, got)

    on_node(main)


def test_preconditions_hold_and_no_answer_comes_if_none_is_wanted(on_node):
    async def main(node):
        async with node.socket() as socket:
            await socket.accepted()
            quiet = {"response-required": False}
            socket.say(command("create", value=PUMP, headers=quiet))
            wrong = await socket.ask(command("modify", value=PUMP, headers={"If-Match": '"rev:9"'}))
            assert wrong["value"]["error"] == "things:precondition.failed"
            socket.say(command("modify", "/nowhere", 1, headers=quiet))
            assert (await socket.json())["value"]["error"] == "protocoladapter:unknown.path"
            assert await socket.is_silent()

    on_node(main)


def test_nothing_is_pushed_before_it_was_asked_for(on_node):
    async def main(node):
        async with node.socket() as socket:
            await socket.accepted()
            await node.call("PUT", "/api/2/things/org.acme:pump", PUMP)
            node.inbox.post(Message("org.acme:pump", "hello"))
            assert await socket.is_silent()

    on_node(main)


def test_events_come_in_order_until_they_are_stopped(on_node):
    async def main(node):
        async with node.socket() as socket:
            await socket.accepted()
            assert await socket.ask("START-SEND-EVENTS") == "START-SEND-EVENTS:ACK"
            path = "/api/2/things/org.acme:pump"
            await node.call("PUT", path, PUMP)
            await node.call("PUT", path + "/attributes/a", 2)
            await node.call("PATCH", path + "/attributes", {"a": 3})
            await node.call("DELETE", path + "/attributes/a")
            frames = [await socket.json() for _ in range(4)]
            for frame in frames:
                fits(frame, "envelope")
            assert [f["topic"].rpartition("/")[2] for f in frames] == [
                "created",
                "modified",
                "merged",
                "deleted",
            ]
            assert [f["revision"] for f in frames] == [1, 2, 3, 4]
            assert [f.get("value") for f in frames[1:]] == [2, {"a": 3}, None]
            assert frames[1]["path"] == "/attributes/a"
            assert frames[2]["headers"]["content-type"] == "application/merge-patch+json"
            assert frames[0]["timestamp"].startswith("2027-")
            assert await socket.ask("STOP-SEND-EVENTS") == "STOP-SEND-EVENTS:ACK"
            await node.call("PUT", path + "/attributes/a", 2)
            assert await socket.is_silent()

    on_node(main)


def test_events_are_narrowed_by_namespace_and_by_policy(on_node):
    async def main(node):
        node.registry.put_user("eve", generated_password="e")
        async with node.socket() as ditto, node.socket(user=("eve", "e")) as eve:
            await ditto.accepted()
            await eve.accepted()
            await ditto.ask("START-SEND-EVENTS?namespaces=org.b%2Corg.c")
            await eve.ask("START-SEND-EVENTS")
            for namespace in ("org.a", "org.b", "org.c"):
                await node.call("PUT", f"/api/2/things/{namespace}:x", PUMP)
            assert (await ditto.json())["topic"].startswith("org.b/")
            assert (await ditto.json())["topic"].startswith("org.c/")
            assert await eve.is_silent()

    on_node(main)


def test_what_cannot_be_read_gets_one_clear_error_and_the_session_lives(on_node):
    async def main(node):
        async with node.socket() as socket:
            await socket.accepted()
            for frame, code in [
                ("START-SEND-EVENTS?filter=gt(attributes/a, 1)", "rql.expression.invalid"),
                ("START-SEND-MESSAGES?filter=nonsense", "rql.expression.invalid"),
                ("START-SEND-EVENTS?extraFields=attributes(", "json.fieldselector.invalid"),
                ("START-SEND-LIVE-EVENTS?extraFields=colour", "things:field.selection.invalid"),
                ("START-SEND-FLOWERS", "json.invalid"),
                ("hello", "json.invalid"),
                ("{}", "json.field.missing"),
                ('{"topic":"a/b/things/twin/events/modified"}', "protocoladapter:unknown.signal"),
                ('{"topic":"a/b/things/twin/commands/explode"}', "protocoladapter:unknown.command"),
                ('{"topic":"a/b/things/live/events/exploded"}', "protocoladapter:unknown.event"),
                (
                    '{"topic":"a/b/things/twin/commands/retrieve","status":200}',
                    "protocoladapter:unknown.response",
                ),
            ]:
                error = fits(await socket.ask(frame), "error_response")
                assert error["value"]["error"] == code, frame
            assert await socket.ask("START-SEND-EVENTS") == "START-SEND-EVENTS:ACK"

    on_node(main)


class Device:
    def __init__(self, reply):
        self.reply = reply

    def deliver(self, message):
        self.got = message
        message.reply(self.reply)


def live(subject, value=None, **headers):
    return command(
        subject,
        f"/inbox/messages/{subject}",
        value,
        topic=f"org.acme/pump/things/live/messages/{subject}",
        headers=headers,
    )


def test_a_message_to_a_thing_brings_its_answer_back(on_node):
    async def main(node):
        await node.call("PUT", "/api/2/things/org.acme:pump", PUMP)
        device = Device(Reply(207, b'{"done":true}', "application/json"))
        node.inbox.attach("org.acme:pump", device)
        async with node.socket() as socket:
            await socket.accepted()
            answer = fits(await socket.ask(live("start", {"speed": 3})), "response")
            assert (answer["status"], answer["value"]) == (207, {"done": True})
            assert answer["topic"] == "org.acme/pump/things/live/messages/start"
            assert answer["headers"]["correlation-id"] == "c-start"
            assert (device.got.subject, device.got.payload) == ("start", b'{"speed":3}')
            device.reply = Reply(200, b"\x00\xff", "image/png")
            binary = await socket.ask(live("start", "AP8=", **{"content-type": "image/png"}))
            assert device.got.payload == b"\x00\xff"
            assert (binary["value"], binary["headers"]["content-type"]) == ("AP8=", "image/png")
            bad = await socket.ask(live("start", "%%", **{"content-type": "image/png"}))
            assert bad["value"]["error"] == "messages:messageformat.invalid"

    on_node(main)


def test_two_sessions_talk_through_a_thing(on_node):
    async def main(node):
        await node.call("PUT", "/api/2/things/org.acme:pump", PUMP)
        async with node.socket() as asker, node.socket() as answerer:
            await asker.accepted()
            await answerer.accepted()
            assert await answerer.ask("START-SEND-MESSAGES") == "START-SEND-MESSAGES:ACK"
            asker.say(live("ping", {"n": 1}, timeout="5s"))
            heard = fits(await answerer.json(), "envelope")
            assert heard["path"] == "/inbox/messages/ping"
            assert heard["value"] == {"n": 1}
            reply = {k: heard[k] for k in ("topic", "headers", "path")}
            answerer.say(reply | {"status": 200, "value": {"pong": 1}})
            answer = fits(await asker.json(), "response")
            assert (answer["status"], answer["value"]) == (200, {"pong": 1})
            # A second answer has nobody to go to, and harms nobody.
            answerer.say(reply | {"status": 200, "value": {"pong": 2}})
            assert await asker.is_silent() and await answerer.is_silent()
            # What a session sends is not sent back to it.
            answerer.say(live("ping", {"n": 2}, **{"response-required": False}))
            assert await answerer.is_silent()
            http = asyncio.get_running_loop().time()
            late = await asker.ask(live("nobody", {"n": 1}, timeout="3s"))
            assert late["value"]["error"] == "command.timeout"
            assert asyncio.get_running_loop().time() - http == pytest.approx(3, abs=0.1)

    on_node(main)


def test_messages_are_for_those_who_may_read_them(on_node):
    async def main(node):
        await node.call("PUT", "/api/2/things/org.acme:pump", PUMP)
        node.registry.put_user("eve", generated_password="e")
        async with node.socket(user=("eve", "e")) as eve, node.socket() as ditto:
            await eve.accepted()
            await ditto.accepted()
            await eve.ask("START-SEND-MESSAGES")
            await ditto.ask("START-SEND-MESSAGES?namespaces=org.other")
            node.inbox.post(Message("org.acme:pump", "secret"))
            assert await eve.is_silent() and await ditto.is_silent()
            refused = await eve.ask(live("start"))
            assert refused["value"]["error"] == "messages:send.notallowed"

    on_node(main)


def test_who_is_not_known_gets_no_socket(on_node):
    async def main(node):
        for user, extensions, expected in [
            (None, {}, {"type": "websocket.close"}),
            (("ditto", "wrong"), {}, {"type": "websocket.close"}),
            (None, {"websocket.http.response": {}}, {"status": 401}),
        ]:
            async with node.socket(user=user, extensions=extensions) as socket:
                assert expected.items() <= (await socket.next()).items()
        async with node.socket(path="/ws/1") as socket:
            assert (await socket.next())["type"] == "websocket.close"

    on_node(main)


def test_a_frame_that_is_too_long_ends_the_session(on_node):
    async def main(node):
        async with node.socket() as socket:
            await socket.accepted()
            socket.say("x" * (SOCKET_FRAME_BYTES_MAX + 1))
            assert await socket.next() == {"type": "websocket.close", "code": 1009}

    on_node(main)


def test_a_slow_reader_loses_events_and_no_answers(on_node):
    async def main(node):
        await node.call("PUT", "/api/2/things/org.acme:pump", PUMP)
        async with node.socket() as socket:
            await socket.accepted()
            await socket.ask("START-SEND-EVENTS")
            socket.slow.clear()
            for n in range(SOCKET_SIGNALS_MAX * 2):
                await node.twins.modify(node.admin, "org.acme:pump", "/attributes/n", n)
            socket.say(command("retrieve", "/attributes/a"))
            await asyncio.sleep(1)
            socket.slow.set()
            frames = [await socket.json() for _ in range(SOCKET_SIGNALS_MAX + 2)]
            assert sum("status" in frame for frame in frames) == 1
            assert await socket.is_silent()

    on_node(main)


def test_a_reader_that_takes_nothing_is_let_go(on_node):
    async def main(node):
        async with node.socket() as socket:
            await socket.accepted()
            socket.slow.clear()
            frame = command("retrieve")
            for _ in range(SOCKET_REPLIES_MAX + 500):
                socket.say(frame)
            await asyncio.sleep(100)
            assert node.door.statistics()["sockets"] == 0
            assert socket.to_door.qsize() > 300, "it was read from while it took nothing"
            socket.slow.set()

    on_node(main)


def test_the_node_says_goodbye_to_its_sessions(on_node):
    async def main(node):
        async with node.socket() as socket:
            await socket.accepted()
            await socket.ask("START-SEND-MESSAGES")
            await node.door.close()
            assert await socket.next() == {"type": "websocket.close", "code": 1001}
            assert node.inbox.statistics().receivers == 0

    on_node(main)


def test_the_sessions_of_a_removed_user_end(on_node):
    async def main(node):
        node.registry.put_user("eve", generated_password="e")
        async with node.socket(user=("eve", "e")) as eve, node.socket() as ditto:
            await eve.accepted()
            await ditto.accepted()
            node.registry.delete_user("eve")
            assert await eve.next() == {"type": "websocket.close", "code": 1001}
            assert await ditto.ask("START-SEND-EVENTS") == "START-SEND-EVENTS:ACK"

    on_node(main)


def test_who_wants_no_answers_is_held_back_as_well(on_node):
    async def main(node):
        await node.call("PUT", "/api/2/things/org.acme:pump", PUMP)
        async with node.socket() as socket:
            await socket.accepted()
            quiet = command("modify", "/attributes/a", 0, headers={"response-required": False})
            for n in range(SOCKET_REPLIES_MAX * 2):
                socket.say(quiet | {"value": n})
            last = SOCKET_REPLIES_MAX * 2 - 1
            read = await socket.ask(command("retrieve", "/attributes/a"))
            assert read["value"] == last
            assert await socket.is_silent()

    on_node(main)


def test_a_message_whose_topic_and_path_disagree_is_refused(on_node):
    async def main(node):
        await node.call("PUT", "/api/2/things/org.acme:pump", PUMP)
        async with node.socket() as socket:
            await socket.accepted()
            frame = live("start") | {"path": "/inbox/messages/stop"}
            refused = await socket.ask(frame)
            assert (refused["status"], refused["value"]["error"]) == (
                422,
                "protocoladapter:illegal.adaptable",
            )

    on_node(main)
