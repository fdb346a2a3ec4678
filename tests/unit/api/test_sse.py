"""Server-sent events: each change once, in order, and only what the reader may see."""

import asyncio

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
