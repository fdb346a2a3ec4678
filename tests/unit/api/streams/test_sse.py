"""Server-sent events: each change once, in order, and only what the reader may see."""

import asyncio
import json

import pytest

from littoral.api.model import STREAM_RECORDS_MAX

T = "/api/2/things/org.acme:pump"
PUMP = {"policyId": "org.littoral:default", "attributes": {"a": 1}}


def test_a_new_thing_comes_whole_and_a_change_as_a_partial_thing(on_node):
    async def main(node):
        async with node.stream("/api/2/things") as following:
            await node.call("PUT", T, PUMP)
            assert await following() == {"thingId": "org.acme:pump"} | PUMP
            await node.call("PUT", T + "/features/f", {"properties": {"p": 1}})
            assert await following() == {
                "thingId": "org.acme:pump",
                "features": {"f": {"properties": {"p": 1}}},
            }

    on_node(main)


def test_changes_keep_their_shape_and_order(on_node):
    async def main(node):
        await node.call("PUT", T, PUMP)
        async with node.stream(T) as following:
            await node.call("PUT", T + "/attributes/b", {"c": [1]})
            await node.call("PATCH", T + "/attributes", {"b": None, "d": 2})
            await node.call("DELETE", T + "/attributes/d")
            await node.call("DELETE", T)
            assert await following() == {
                "thingId": "org.acme:pump",
                "attributes": {"b": {"c": [1]}},
            }
            assert await following() == {
                "thingId": "org.acme:pump",
                "attributes": {"b": None, "d": 2},
            }
            assert await following() == {"thingId": "org.acme:pump"}
            assert await following() == {"thingId": "org.acme:pump"}

    on_node(main)


def test_a_stream_is_narrowed_by_ids_namespaces_fields_and_path(on_node):
    async def main(node):
        other = "/api/2/things/org.other:x"
        async with (
            node.stream("/api/2/things?ids=org.acme:pump") as by_id,
            node.stream("/api/2/things?namespaces=org.other") as by_namespace,
            node.stream("/api/2/things?fields=thingId,_revision,_context(path,topic)") as by_field,
            node.stream(T + "/attributes/a") as by_path,
        ):
            await node.call("PUT", other, PUMP)
            await node.call("PUT", T, PUMP)
            await node.call("PUT", T + "/attributes/b", 5)
            await node.call("PUT", T + "/attributes/a", 6)
            assert (await by_id())["thingId"] == "org.acme:pump"
            assert (await by_namespace())["thingId"] == "org.other:x"
            assert await by_field() == {
                "thingId": "org.other:x",
                "_revision": 1,
                "_context": {"path": "/", "topic": "org.other/x/things/twin/events/created"},
            }
            assert [await by_path(), await by_path()] == [1, 6]

    on_node(main)


def test_an_id_that_is_named_twice_is_watched_once(on_node):
    async def main(node):
        await node.call("PUT", T, PUMP)
        async with node.stream("/api/2/things?ids=org.acme:pump,org.acme:pump") as following:
            await node.call("PUT", T + "/attributes/a", 1)
            await node.call("PUT", T + "/attributes/a", 2)
            seen = [(await following())["attributes"]["a"] for _ in range(2)]
            assert seen == [1, 2]

    on_node(main)


def test_a_reader_sees_only_what_it_may_read(on_node):
    async def main(node):
        await node.call("PUT", T, {"attributes": {"open": 0, "secret": 0}})
        reader = {
            "subjects": {"nginx:eve": {"type": "x"}},
            "resources": {"thing:/attributes/open": {"grant": ["READ"], "revoke": []}},
        }
        put = await node.call("PUT", "/api/2/policies/org.acme:pump/entries/reader", reader)
        assert put.status == 201
        node.registry.put_user("eve", generated_password="e")
        node.registry.put_user("mallory", generated_password="m")
        async with (
            node.stream("/api/2/things", user=("eve", "e")) as eve,
            node.stream("/api/2/things", user=("mallory", "m")) as mallory,
        ):
            await node.call("PUT", T + "/attributes/secret", 1)
            await node.call("PATCH", T + "/attributes", {"open": 2, "secret": 2})
            await node.call("PATCH", T + "/attributes", {"open": None, "secret": None})
            await node.call("PUT", T + "/attributes/open", {})
            await node.call("DELETE", T)
            assert await eve() == {"thingId": "org.acme:pump", "attributes": {"open": 2}}
            assert await eve() == {"thingId": "org.acme:pump", "attributes": {"open": None}}
            assert await eve() == {"thingId": "org.acme:pump", "attributes": {"open": {}}}
            assert await eve() == {"thingId": "org.acme:pump"}
            with pytest.raises(TimeoutError):
                await mallory()

    on_node(main)


def test_a_reader_that_is_too_slow_is_told_what_it_lost(on_node):
    async def main(node):
        await node.call("PUT", T, PUMP)
        sink = []
        hold = asyncio.Event()

        async def receive():
            await asyncio.Event().wait()

        async def send(message):
            sink.append(message.get("body", b""))
            if len(sink) > 2:
                await hold.wait()

        scope = node.scope(
            "http", T, ("ditto", "ditto"), [("accept", "text/event-stream")], method="GET"
        )
        async with asyncio.TaskGroup() as tasks:
            reader = tasks.create_task(node.door(scope, receive, send))
            await asyncio.sleep(0.5)
            for n in range(STREAM_RECORDS_MAX + 5):
                await node.twins.modify(node.admin, "org.acme:pump", "/attributes/n", n)
            hold.set()
            await asyncio.sleep(5)
            assert any(body.startswith(b": dropped ") for body in sink)
            await node.door.close()
            await asyncio.sleep(5)
            assert reader.done()

    on_node(main)


def test_a_stream_has_a_heartbeat_and_ends_when_the_reader_leaves(on_node):
    async def main(node):
        sink = []
        gone = asyncio.Event()

        async def receive():
            await gone.wait()
            return {"type": "http.disconnect"}

        async def send(message):
            sink.append(message.get("body"))

        scope = node.scope(
            "http",
            "/api/2/things",
            ("ditto", "ditto"),
            [("accept", "text/event-stream")],
            method="GET",
        )
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(node.door(scope, receive, send))
            await asyncio.sleep(10.5)
            assert sink[1:] == [b":\n\n"] * 11
            assert node.door.statistics()["streams"] == 1
            gone.set()
            await asyncio.sleep(0.1)
            assert node.door.statistics()["streams"] == 0

    on_node(main)


def test_what_is_wrong_is_refused_before_the_stream_begins(on_node):
    async def main(node):
        for query, status in [
            ("filter=eq(a", 400),
            ("fields=a(", 400),
            ("ids=nonsense", 400),
            ("ids=" + ",".join(f"a:{n}" for n in range(300)), 400),
            ("extraFields=a", 400),
            ("fields=colour", 400),
            ("from-historical-revision=1", 400),
            ("ids=a:b&from-historical-revision=x", 400),
            ("ids=a:b&from-historical-timestamp=soon", 400),
            ("ids=a:b&to-historical-revision=1&filter=x", 400),
            ("ids=a:b&to-historical-revision=1", 404),
        ]:
            path = "/api/2/things?" + query
            answer = await node.call("GET", path, headers={"accept": "text/event-stream"})
            assert answer.status == status, query
        answer = await node.call("GET", "/api/2/things", headers={"accept": "*/*"})
        assert answer.headers["content-type"] == "application/json"

    on_node(main)


def test_a_stream_that_fails_ends_and_the_node_lives(on_node, caplog):
    async def main(node):
        await node.call("PUT", T, PUMP)
        async with node.stream(T) as following:
            node.log.append(2, "thing.modified", "thing:org.acme:pump", 9, 0, "/attributes", b"{")
            assert await following() is None
        assert "a stream failed" in caplog.text
        assert node.door.statistics()["streams"] == 0
        assert (await node.call("GET", "/livez")).status == 200

    on_node(main)


def test_the_streams_of_a_removed_user_end(on_node):
    async def main(node):
        node.registry.put_user("eve", generated_password="e")
        async with node.stream("/api/2/things", user=("eve", "e")) as eve:
            node.registry.delete_user("eve")
            assert await eve() is None

    on_node(main)


def test_a_stream_is_filtered_and_enriched(on_node):
    async def main(node):
        await node.call("PUT", T, PUMP | {"attributes": {"a": 1, "site": "s1"}})
        query = "filter=and(gt(attributes/a,5),eq(attributes/site,%22s1%22))&extraFields=attributes/site"
        async with (
            node.stream(f"{T}?{query}") as following,
            node.stream(
                f"/api/2/things?{query}&fields=_context(topic),attributes,_revision"
            ) as fields,
        ):
            for value in (3, 7):
                await node.call("PUT", T + "/attributes/a", value)
            whole = {"a": 7, "site": "s1"}
            assert await following() == {"thingId": "org.acme:pump", "attributes": whole}
            assert await fields() == {
                "_context": {"topic": "org.acme/pump/things/twin/events/modified"},
                "attributes": whole,
                "_revision": 3,
            }

    on_node(main)


async def told(node, query, *, path=T, user=("ditto", "ditto")):
    """All data of a stream that ends by itself."""
    sink = []

    async def receive():
        await asyncio.Event().wait()

    async def send(message):
        sink.append(message)

    headers = [("accept", "text/event-stream")]
    await node.door(
        node.scope("http", f"{path}?{query}", user, headers, method="GET"), receive, send
    )
    assert sink[0]["status"] == 200, sink[1]["body"]
    text = b"".join(m["body"] for m in sink[1:]).decode()
    return [json.loads(part[5:]) for part in text.split("\n\n") if part.startswith("data:")]


def test_a_past_is_streamed_to_its_end(on_node):
    async def main(node):
        await node.call("PUT", T, PUMP)
        for value in range(2, 6):
            await asyncio.sleep(10)
            await node.call("PUT", T + "/attributes/a", value)
        for query, values in [
            ("from-historical-revision=1", [1, 2, 3, 4, 5]),
            ("from-historical-revision=-1", [4, 5]),
            ("from-historical-revision=2&to-historical-revision=3", [2, 3]),
            ("to-historical-revision=0&from-historical-revision=5", [5]),
            ("from-historical-revision=1&filter=gt(attributes/a,3)", [4, 5]),
        ]:
            assert [one["attributes"]["a"] for one in await told(node, query)] == values, query
            path = T + "/attributes/a"
            assert await told(node, query, path=path) == values
        stamped = await told(node, "from-historical-revision=1&fields=_modified,_context/path")
        assert [one["_context"]["path"] for one in stamped] == ["/"] + ["/attributes/a"] * 4
        span = f"from-historical-timestamp={stamped[1]['_modified']}"
        span += f"&to-historical-timestamp={stamped[2]['_modified']}"
        assert [one["attributes"]["a"] for one in await told(node, span)] == [2, 3]
        assert node.door.statistics()["streams"] == 0

    on_node(main)


def test_messages_are_streamed_with_their_subject(on_node):
    async def main(node):
        await node.call("PUT", T, PUMP)
        received, gone = asyncio.Queue(), asyncio.Event()

        async def receive():
            await gone.wait()
            return {"type": "http.disconnect"}

        async def send(message):
            if message.get("body") not in (None, b":\n\n"):
                await received.put(message["body"])

        async with asyncio.TaskGroup() as tasks:
            for path in ("/inbox/messages", "/inbox/messages/on", "/features/f/outbox/messages"):
                headers = [("accept", "text/event-stream")]
                scope = node.scope("http", T + path, ("ditto", "ditto"), headers, method="GET")
                tasks.create_task(node.door(scope, receive, send))
            await asyncio.sleep(0.5)
            quiet = {"response-required": "false"}
            await node.call("POST", T + "/inbox/messages/on", {"n": 1}, headers=quiet)
            await node.call("POST", T + "/outbox/messages/on", {"n": 2}, headers=quiet)
            await node.call(
                "POST",
                T + "/inbox/messages/off",
                b"a\nb",
                headers=quiet | {"content-type": "text/plain"},
            )
            await node.call("POST", T + "/features/f/outbox/messages/hot", b"\xff", headers=quiet)
            await asyncio.sleep(0.5)
            gone.set()
        text = b"".join(received.get_nowait() for _ in range(received.qsize()))
        assert sorted(text.split(b"\n\n")[:-1]) == [
            b"event:hot\ndata:/w==",
            b"event:off\ndata:a\ndata:b",
            b'event:on\ndata:{"n": 1}',
            b'event:on\ndata:{"n": 1}',
        ]
        assert node.inbox.statistics().receivers == 0
        wrong = await node.call("GET", T + "/inbox", headers={"accept": "text/event-stream"})
        assert wrong.status in {400, 404}

    on_node(main)


def test_messages_are_streamed_to_those_who_may_read_them(on_node):
    async def main(node):
        node.registry.put_user("eve", generated_password="e")
        await node.call("PUT", T, PUMP)
        async with node.stream(T + "/inbox/messages", user=("eve", "e")) as eve:
            await node.call(
                "POST", T + "/inbox/messages/on", {"n": 1}, headers={"response-required": "false"}
            )
            with pytest.raises(TimeoutError):
                await eve()

    on_node(main)


def test_the_streams_of_a_revoked_key_end(on_node):
    async def main(node):
        made = await node.call(
            "POST",
            "/api/littoral/v1/apikeys",
            {"subjects": ["nginx:ditto"]},
            user=("devops", "foobar"),
        )
        assert made.status == 201, made.body
        headers = (("accept", "text/event-stream"), ("x-api-key", made.json["key"]))
        async with node.stream("/api/2/things", user=None, headers=headers) as following:
            gone = f"/api/littoral/v1/apikeys/{made.json['id']}"
            assert (await node.call("DELETE", gone, user=("devops", "foobar"))).status < 300
            assert await following() is None

    on_node(main)
