"""The SDK's WebSocket session against a node, with asyncio and without."""

import asyncio
import threading

import pytest

from littoral.client import (
    ApiError,
    AsyncClient,
    ConditionFailed,
    InvalidRequest,
    NotThere,
    StreamEnded,
    rql,
)

pytestmark = [pytest.mark.real, pytest.mark.slow]


def test_commands_are_answered_in_order(client, made):
    thing_id = made(attributes={"a": 1})
    with client.session() as session:
        assert session.get(thing_id, "/attributes/a") == 1
        assert session.put(thing_id, 2, "/attributes/b").created
        assert not session.merge(thing_id, {"attributes": {"a": 3}}).created
        assert session.get(thing_id, fields="attributes") == {"attributes": {"a": 3, "b": 2}}
        with pytest.raises(ConditionFailed):
            session.put(thing_id, 9, "/attributes/a", condition=rql.eq("attributes/a", 1))
        session.delete(thing_id, "/attributes/b")
        with pytest.raises(NotThere):
            session.get(thing_id, "/attributes/b")
        policy = session.command("retrieve", thing_id, group="policies").value
        assert policy["policyId"] == thing_id


def test_events_come_with_what_was_asked_for(client, made):
    thing_id = made(attributes={"site": "s1", "n": 0})
    with client.session() as session:
        mine = rql.both(rql.eq("thing:id", thing_id), rql.gt("attributes/n", 3))
        session.follow_events(mine, extra_fields=["attributes/site"])
        for n in (1, 5, 2, 7):
            client.things.put(thing_id, n, "/attributes/n")
        events = [session.receive(timeout_s=5) for _ in range(2)]
        assert [e.value for e in events] == [5, 7]
        assert events[0].extra == {"attributes": {"site": "s1"}}
        assert events[0].entity_id == thing_id
        assert (events[0].criterion, events[0].action) == ("events", "modified")
        session.stop("EVENTS")
        client.things.put(thing_id, 9, "/attributes/n")
        assert session.receive(timeout_s=0.2) is None


def test_a_filter_that_cannot_be_read_is_refused(client):
    with client.session() as session, pytest.raises(InvalidRequest) as e:
        session.follow_events("nonsense(")
    assert e.value.code == "rql.expression.invalid"


def test_a_message_is_answered_by_another_session(client, made):
    thing_id = made()

    def answer():
        with client.session() as device:
            device.follow_messages(namespaces=["org.littoral"])
            ready.set()
            for signal in device.signals(idle_s=5):
                if signal.entity_id == thing_id:
                    device.reply(signal, 207, {"got": signal.value})
                    return

    ready = threading.Event()
    device = threading.Thread(target=answer)
    device.start()
    assert ready.wait(10)
    with client.session() as session:
        reply = session.send_message(thing_id, "ask/it", {"n": 1}, timeout_s=5)
    device.join(10)
    assert (reply.status, reply.json()) == (207, {"got": {"n": 1}})


def test_a_live_command_is_answered_by_another_session(client, made):
    thing_id = made()
    with client.session() as device, client.session() as session:
        device.follow_live_commands(namespaces=["org.littoral"])
        answers = []
        asking = threading.Thread(
            target=lambda: answers.append(
                session.command("retrieve", thing_id, "/attributes", live=True, timeout_s=5)
            )
        )
        asking.start()
        for signal in device.signals(idle_s=5):
            if signal.entity_id == thing_id:
                device.reply(signal, 200, {"from": "device"})
                break
        asking.join(10)
        assert answers[0].value == {"from": "device"}


def test_an_acknowledgement_is_waited_for(client, made):
    thing_id = made()
    with client.session(declared_acks=["sdk-test"]) as session:
        session.follow_events(rql.eq("thing:id", thing_id))
        results = []
        labels = ["twin-persisted", "sdk-test"]
        writing = threading.Thread(
            target=lambda: results.append(
                client.things.put(thing_id, 1, "/attributes/a", requested_acks=labels, timeout_s=5)
            )
        )
        writing.start()
        signal = session.receive(timeout_s=5)
        assert signal.headers["requested-acks"]
        session.acknowledge(signal, "sdk-test", 200, {"done": True})
        writing.join(10)
    assert set(results[0].acknowledgements) == set(labels)
    assert results[0].acknowledgements["sdk-test"]["payload"] == {"done": True}


def test_history_is_read_from_the_beginning(client, made):
    thing_id = made(attributes={"n": 0})
    for n in range(1, 5):
        client.things.put(thing_id, n, "/attributes/n")
    changes = list(client.history.changes(thing_id))
    assert [change.revision for change in changes] == [1, 2, 3, 4, 5]
    assert [change.action for change in changes] == ["created"] + ["modified"] * 4
    assert [c.value for c in client.history.changes(thing_id, first=3, last=4)] == [2, 3]
    with pytest.raises(ApiError):
        list(client.history.changes("org.littoral:never-was"))


def test_history_becomes_a_table(client, made):
    pytest.importorskip("pandas", reason="pandas is in the extra dataframe")
    thing_id = made(features={"t": {"properties": {"temp": 20.5}}})
    client.things.put(thing_id, 21.0, "/features/t/properties/temp")
    client.things.put(thing_id, "s1", "/attributes/site")
    client.things.merge(thing_id, {"features": {"t": {"properties": {"temp": 22.5}}}})
    frame = client.history.frame(thing_id, {"temp": "features/t/properties/temp"})
    assert list(frame["temp"]) == [20.5, 21.0, 22.5]
    assert list(frame["revision"]) == [1, 2, 4]
    assert frame.index.is_monotonic_increasing and frame.index.tz is not None
    assert len(client.history.frame(thing_id)) == 4


def test_a_search_becomes_a_table(client, made, fresh):
    pytest.importorskip("pandas", reason="pandas is in the extra dataframe")
    run = fresh("run")
    ids = [made(attributes={"run": run, "n": n}) for n in range(3)]
    frame = client.search.frame(
        {"n": "attributes/n"}, rql.eq("attributes/run", run), sort=["attributes/n"]
    )
    assert list(frame.index) == ids
    assert list(frame["n"]) == [0, 1, 2]


def test_a_search_is_streamed(client, made, fresh):
    run = fresh("run")
    ids = {made(attributes={"run": run}) for _ in range(3)}
    with client.session() as session:
        found = session.search(rql.eq("attributes/run", run), fields="thingId", options="size(2)")
        assert {one["thingId"] for one in found} == ids


def test_with_asyncio_many_wait_at_one_session(dev_node, client, made):
    thing_id = made(attributes={"n": 0})

    async def run():
        async with AsyncClient(dev_node.url, user="ditto", password="ditto") as node:
            assert await node.things.get(thing_id, "/attributes/n") == 0
            async with node.session() as session:
                await session.follow_events(rql.eq("thing:id", thing_id))
                seen = []

                async def listen():
                    async for signal in session.signals():
                        seen.append(signal.value)
                        if len(seen) == 50:
                            return

                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(listen())
                    for n in range(50):
                        tasks.create_task(session.put(thing_id, n, "/attributes/n"))
            assert sorted(seen) == list(range(50))
            changes = [c.revision async for c in node.history.changes(thing_id, first=-4)]
            assert changes == sorted(changes)
            async for change in node.things.watch([thing_id]):
                assert change["thingId"] == thing_id
                break

    async def main():
        async with asyncio.timeout(30), asyncio.TaskGroup() as tasks:
            task = tasks.create_task(run())
            while not task.done():
                await asyncio.sleep(0.05)
                if client.things.get(thing_id, fields="_revision")["_revision"] > 50:
                    client.things.put(thing_id, "poke", "/attributes/poke")

    asyncio.run(main())


def test_a_session_that_was_closed_says_so(client):
    session = client.session()
    with session:
        pass
    with pytest.raises(StreamEnded):
        session.get("org.littoral:any")


def test_a_command_that_wants_no_answer_is_done_in_its_turn(client, made):
    thing_id = made()
    with client.session() as session:
        for n in range(20):
            session.send_command("modify", thing_id, "/attributes/n", n)
        assert session.get(thing_id, "/attributes/n") == 19


def test_a_devices_own_events_reach_who_follows_them(client, made):
    thing_id = made()
    with client.session() as watcher, client.session() as device:
        watcher.follow_live_events(rql.eq("thing:id", thing_id))
        device.live_event("modified", thing_id, "/attributes/heat", 99)
        event = watcher.receive(timeout_s=5)
        assert (event.entity_id, event.path, event.value) == (thing_id, "/attributes/heat", 99)
        assert (event.channel, event.criterion, event.action) == ("live", "events", "modified")
    assert client.things.get(thing_id).get("attributes") is None


def test_who_is_taken_out_of_a_policy_is_told(client, made):
    policy_id = made()
    client.policies.put_entry(policy_id, "spare", subjects=["nginx:other"], grant={})
    client.policies.put_subject(
        policy_id, "spare", "nginx:ditto", announcement={"whenDeleted": True}
    )
    with client.session() as session:
        session.follow_announcements()
        client.policies.delete_subject(policy_id, "spare", "nginx:ditto")
        told = session.receive(timeout_s=5)
        assert (told.entity_id, told.criterion, told.action) == (
            policy_id, "announcements", "subjectDeletion",
        )  # fmt: skip
        assert "nginx:ditto" in told.value["subjectIds"]
