"""What is pushed over a WebSocket: filtered, enriched, cut to the reader, and acknowledged."""

import asyncio
import json
from urllib.parse import quote

import pytest

TOPIC = "org.acme/pump/things/twin/commands/"
T = "/api/2/things/org.acme:pump"
PUMP = {"policyId": "org.littoral:default", "attributes": {"a": 1, "site": "s1"}}
ENTRY = {"subjects": {"nginx:ditto": {"type": "x"}}}


def command(action, path="/", value=None, **headers):
    frame = {"topic": TOPIC + action, "headers": {"correlation-id": "c"} | headers, "path": path}
    return frame if value is None else frame | {"value": value}


def start(feed="EVENTS", **parameters):
    query = "&".join(f"{name}={quote(text, safe='')}" for name, text in parameters.items())
    return f"START-SEND-{feed}?{query}"


async def allow(node, policy_id, **resources):
    """A policy under which eve may do what ``resources`` grant, and ditto everything."""
    whole = {
        f"{kind}:/": {"grant": ["READ", "WRITE"], "revoke": []}
        for kind in ("thing", "policy", "message")
    }
    policy = {
        "entries": {
            "owner": ENTRY | {"resources": whole},
            "eve": {
                "subjects": {"nginx:eve": {"type": "x"}},
                "resources": {k: {"grant": v, "revoke": []} for k, v in resources.items()},
            },
        }
    }
    assert (await node.call("PUT", f"/api/2/policies/{policy_id}", policy)).status == 201


def test_a_filter_is_asked_about_the_change_and_its_extra_fields(on_node):
    async def main(node):
        await node.call("PUT", T, PUMP)
        async with node.socket() as socket:
            await socket.accepted()
            wanted = start(
                filter='and(gt(attributes/a,5),eq(attributes/site,"s1"))',
                extraFields="attributes/site",
            )
            assert await socket.ask(wanted) == "START-SEND-EVENTS:ACK"
            for value in (3, 7, "x", 9):
                await node.call("PUT", T + "/attributes/a", value)
            await node.call("PUT", T + "/attributes/b", 100)
            frames = [await socket.json(), await socket.json(), await socket.json()]
            # "x" is more than 5 as text; what has no attributes/a is no match.
            assert [frame["value"] for frame in frames] == [7, "x", 9]
            assert frames[0]["extra"] == {"attributes": {"site": "s1"}}
            assert await socket.is_silent()

    on_node(main)


@pytest.mark.parametrize(
    ("rql", "actions"),
    [
        ("eq(topic:action,'modified')", ["modified"]),
        ("in(topic:action,'created','deleted')", ["created", "deleted"]),
        ("like(resource:path,'/attributes/*')", ["modified", "deleted"]),
        ("eq(resource:type,'thing')", ["created", "modified", "merged", "deleted"]),
        (
            "and(eq(topic:channel,'twin'),eq(topic:criterion,'events'),exists(attributes/m))",
            ["merged"],
        ),
        ("not(eq(entity:id,'org.acme:pump'))", []),
        (
            "and(eq(thing:namespace,'org.acme'),eq(entity:name,'pump'),ge(_revision,3))",
            ["merged", "deleted"],
        ),
        ("ne(attributes/nowhere,1)", ["created", "modified", "merged", "deleted"]),
        ("lt(_modified,time:now+1h)", ["created", "modified", "merged", "deleted"]),
        ("eq(topic:full,'org.acme/pump/things/twin/events/merged')", ["merged"]),
        ("exists(topic:subject)", []),
    ],
)
def test_a_filter_may_speak_of_the_signal_itself(on_node, rql, actions):
    async def main(node):
        async with node.socket() as socket:
            await socket.accepted()
            await socket.ask(start(filter=rql))
            await node.call("PUT", T, PUMP)
            await node.call("PUT", T + "/attributes/a", 2)
            await node.call("PATCH", T + "/attributes", {"m": 3})
            await node.call("DELETE", T + "/attributes/a")
            got = [(await socket.json())["topic"].rpartition("/")[2] for _ in actions]
            assert got == actions
            assert await socket.is_silent()

    on_node(main)


def test_starting_again_replaces_what_was_wanted(on_node):
    async def main(node):
        await node.call("PUT", T, PUMP)
        async with node.socket() as socket:
            await socket.accepted()
            await socket.ask(start(filter="eq(attributes/a,1)"))
            await socket.ask(start(filter="eq(attributes/a,2)"))
            refused = await socket.ask(start(filter="eq(attributes/a, 3)"))
            assert refused["value"]["error"] == "rql.expression.invalid"
            await node.call("PUT", T + "/attributes/a", 1)
            await node.call("PUT", T + "/attributes/a", 2)
            assert (await socket.json())["value"] == 2
            assert await socket.is_silent()

    on_node(main)


def test_whoever_may_read_a_part_gets_that_part_of_a_change_and_of_what_enriches_it(on_node):
    async def main(node):
        node.registry.put_user("eve", generated_password="e")
        await allow(node, "org.acme:p", **{"thing:/attributes/open": ["READ"]})
        async with node.socket() as ditto, node.socket(user=("eve", "e")) as eve:
            await ditto.accepted()
            await eve.accepted()
            for socket in (ditto, eve):
                await socket.ask(start(extraFields="attributes,policyId"))
            thing = {"policyId": "org.acme:p", "attributes": {"open": 1, "secret": 2}}
            await node.call("PUT", T, thing)
            await node.call("PUT", T + "/attributes/secret", 3)
            await node.call("PATCH", T + "/attributes", {"open": 4, "secret": 5})
            whole = [await ditto.json() for _ in range(3)]
            assert whole[0]["value"] == {"thingId": "org.acme:pump"} | thing
            assert whole[2]["extra"]["attributes"] == {"open": 4, "secret": 5}
            part = [await eve.json() for _ in range(2)]
            assert part[0]["value"] == {"thingId": "org.acme:pump", "attributes": {"open": 1}}
            assert part[0]["extra"] == {"attributes": {"open": 1}}
            assert part[1]["value"] == {"open": 4}
            assert await eve.is_silent()

    on_node(main)


def test_what_enriches_is_the_thing_as_of_the_change(on_node):
    async def main(node):
        await node.call("PUT", T, PUMP)
        async with node.socket() as socket:
            await socket.accepted()
            await socket.ask(start(extraFields="_revision,attributes/a"))
            # Decided at once: the second is there already when the first is passed on.
            for n in (1, 2, 3):
                node.twins.things.modify(node.admin, "org.acme:pump", "/attributes/a", n)
            frames = [await socket.json() for _ in range(3)]
            assert [f["extra"] for f in frames] == [
                {"_revision": n + 1, "attributes": {"a": n}} for n in (1, 2, 3)
            ]

    on_node(main)


def test_an_event_carries_what_its_command_said(on_node):
    async def main(node):
        async with node.socket() as socket, node.socket() as other:
            await socket.accepted()
            await other.accepted()
            await other.ask(start())
            await socket.ask(
                command("create", value=PUMP, **{"x-run": "7", "Content-Type": "application/json"})
            )
            headers = (await other.json())["headers"]
            assert headers["correlation-id"] == "c"
            assert headers["x-run"] == "7"
            assert headers["ditto-originator"] == "nginx:ditto"
            assert headers["requested-acks"] in ([], ["twin-persisted"])

    on_node(main)


def acknowledged(event, label, status, value=None):
    namespace, name = event["topic"].split("/")[:2]
    frame = {
        "topic": f"{namespace}/{name}/things/twin/acks/{label}",
        "headers": {"correlation-id": event["headers"]["correlation-id"]},
        "path": "/",
        "status": status,
    }
    return frame if value is None else frame | {"value": value}


def test_acknowledgements_come_back_to_the_socket_that_asked_for_them(on_node):
    async def main(node):
        await node.call("PUT", T, PUMP)
        async with (
            node.socket() as asker,
            node.socket(path="/ws/2?declared-acks=my-ack,other") as giver,
        ):
            await asker.accepted()
            await giver.accepted()
            await giver.ask(start())
            asked = {"requested-acks": ["twin-persisted", "my-ack"], "timeout": "5s"}
            asker.say(command("modify", "/attributes/a", 2, **asked))
            event = await giver.json()
            assert event["headers"]["requested-acks"] == ["twin-persisted", "my-ack"]
            giver.say(acknowledged(event, "my-ack", 200, {"done": True}))
            answer = await asker.json()
            assert answer["topic"] == "org.acme/pump/things/twin/acks"
            assert answer["status"] == 200
            assert answer["value"]["my-ack"]["payload"] == {"done": True}
            assert answer["value"]["twin-persisted"]["status"] == 204
            # A bad one makes the whole fail, a missing one too.
            asker.say(command("modify", "/attributes/a", 3, **asked))
            giver.say(acknowledged(await giver.json(), "my-ack", 500))
            assert (await asker.json())["status"] == 424
            asker.say(command("modify", "/attributes/a", 4, **asked))
            await giver.json()
            late = await asker.json()
            assert (late["status"], late["value"]["my-ack"]["status"]) == (424, 408)

    on_node(main)


def test_who_filtered_an_event_out_acknowledges_it_weakly(on_node):
    async def main(node):
        await node.call("PUT", T, PUMP)
        async with node.socket() as asker, node.socket(path="/ws/2?declared-acks=my-ack") as giver:
            await asker.accepted()
            await giver.accepted()
            asked = {"requested-acks": ["twin-persisted", "my-ack"], "timeout": "5s"}
            for narrowed in (start(filter="eq(attributes/a,99)"), start(namespaces="org.other")):
                await giver.ask(narrowed)
                answer = await asker.ask(command("modify", "/attributes/a", 2, **asked))
                assert answer["status"] == 200, answer
                assert answer["value"]["my-ack"]["headers"]["ditto-weak-ack"] in (True, "true")
            assert await giver.is_silent()

    on_node(main)


def test_who_declared_a_label_and_hears_no_events_is_not_waited_for(on_node):
    async def main(node):
        await node.call("PUT", T, PUMP)
        async with node.socket(path="/ws/2?declared-acks=my-ack") as giver:
            await giver.accepted()
            asked = {"requested-acks": "twin-persisted,my-ack", "timeout": "5s"}
            for word in (None, "START-SEND-MESSAGES", start(), "STOP-SEND-EVENTS"):
                if word is not None:
                    await giver.ask(word)
                async with asyncio.TaskGroup() as tasks:
                    put = node.call("PUT", T + "/attributes/a", 2, headers=asked)
                    answer = tasks.create_task(put)
                    if word == start():
                        giver.say(acknowledged(await giver.json(), "my-ack", 201))
                weakly = "ditto-weak-ack" in answer.result().json["my-ack"]["headers"]
                assert (answer.result().status, weakly) == (200, word != start())

    on_node(main)


def test_only_what_was_declared_may_be_acknowledged_and_a_label_has_one_owner(on_node):
    async def main(node):
        async with node.socket(path="/ws/2?declared-acks=my-ack") as giver:
            await giver.accepted()
            event = {
                "topic": "org.acme/pump/things/twin/events/modified",
                "headers": {"correlation-id": "c"},
            }
            for label, code in [
                ("another", "acknowledgement:label.not.declared"),
                ("twin-persisted", "acknowledgement:ditto.acklabel.forbidden"),
                ("x", "acknowledgement:label.invalid"),
            ]:
                refused = await giver.ask(acknowledged(event, label, 200))
                assert refused["value"]["error"] == code
            async with node.socket(path="/ws/2?declared-acks=my-ack") as second:
                await second.accepted()
                refused = await second.json()
                assert refused["value"]["error"] == "acknowledgement:label.not.unique"
                assert (await second.next())["type"] == "websocket.close"
        async with node.socket(path="/ws/2?declared-acks=my-ack") as third:
            await third.accepted()
            assert await third.ask(start()) == "START-SEND-EVENTS:ACK"

    on_node(main)


def test_acknowledgements_without_a_response_are_refused(on_node):
    async def main(node):
        await node.call("PUT", T, PUMP)
        async with node.socket() as socket:
            await socket.accepted()
            wrong = {"requested-acks": ["my-ack"], "response-required": False}
            answer = await socket.ask(command("modify", "/attributes/a", 2, **wrong))
            assert answer["status"] == 400
            assert (await node.call("GET", T + "/attributes/a")).json == 1

    on_node(main)


def test_many_watchers_of_one_kind_share_their_work(on_node):
    async def main(node):
        await node.call("PUT", T, PUMP)
        sockets = [node.socket() for _ in range(200)]
        opened = [await one.__aenter__() for one in sockets]
        for socket in opened:
            await socket.accepted()
            await socket.ask(start(filter="gt(attributes/a,0)", extraFields="attributes"))
        assert node.door.statistics()["audiences"] == 1
        assert node.door.statistics()["watchers"] == 200
        await node.call("PUT", T + "/attributes/a", 2)
        texts = {await socket.text() for socket in opened}
        assert len(texts) == 1
        for one in sockets:
            await one.__aexit__(None, None, None)
        assert node.door.statistics()["audiences"] == 0

    on_node(main)


@pytest.mark.slow
def test_a_thousand_subscriptions_of_one_session_each_tell_their_past(on_node):
    async def main(node):
        await node.call("PUT", T, PUMP)
        topic = "org.acme/pump/things/twin/streaming/"
        async with node.socket() as socket:
            await socket.accepted()
            ids = []
            for _ in range(1000):
                frame = {"topic": topic + "subscribeForPersistedEvents", "path": "/", "value": {}}
                ids.append((await socket.ask(frame))["value"]["subscriptionId"])
            assert len(set(ids)) == 1000
            frame = {"topic": topic + "subscribeForPersistedEvents", "path": "/", "value": {}}
            refused = await socket.ask(frame)
            assert refused["value"]["error"] == "streaming.subscription.protocol.error"
            for one in ids:
                value = {"subscriptionId": one, "demand": 5}
                socket.say({"topic": topic + "request", "path": "/", "value": value})
            told = [await socket.json() for _ in range(2000)]
            assert sum(f["topic"].endswith("complete") for f in told) == 1000

    on_node(main)


def test_a_session_may_end_while_its_commands_run(on_node):
    async def main(node):
        await node.call("PUT", T, PUMP)
        async with node.socket() as socket:
            await socket.accepted()
            await socket.ask(start("MESSAGES"))
            asked = {"requested-acks": ["nobody"], "timeout": "60s"}
            for n in range(20):
                socket.say(
                    command("modify", "/attributes/a", n, **asked | {"correlation-id": f"c{n}"})
                )
                socket.say(command("modify", "/attributes/a", n))
        await asyncio.sleep(1)
        assert node.door.statistics()["sockets"] == 0
        assert node.parts.acks.statistics().pending == 0
        assert (await node.call("GET", T + "/attributes/a")).json == 19

    on_node(main)


def test_frames_of_random_text_get_one_clear_error_each(on_node):
    async def main(node):
        async with node.socket() as socket:
            await socket.accepted()
            for text in (
                "",
                " ",
                "[]",
                "{",
                "null",
                "\x00",
                "é" * 500,
                '{"topic":{}}',
                "START-SEND-",
            ):
                error = await socket.ask(text)
                assert error["status"] == 400, text
                assert json.dumps(error["value"]["message"]) != '""'
            assert await socket.is_silent()

    on_node(main)
