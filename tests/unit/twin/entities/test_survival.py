"""What is left of twins after a failed commit, a kill, an eviction; and what is not."""

import asyncio

import pytest

from littoral.kernel.errors import LittoralError
from littoral.log import REPLAY_RECORDS_MAX, LogFull
from littoral.twin import Caller
from littoral.twin.model import FLUSH_LAG_RECORDS

T = "org.littoral:4711"


def test_a_failed_commit_takes_back_exactly_what_was_void(on_node):
    async def main(node):
        door = node.door()
        door.telemetry("telemetry", b'{"kept":1}')
        await node.log.wait()
        door.telemetry("telemetry", b'{"void":1}')
        node.twins.things.modify(node.ditto, "org.littoral:void", "/", {})
        assert node.twins.exists("org.littoral:void")
        await node.fill()
        assert node.properties() == {"kept": 1}
        assert not node.twins.exists("org.littoral:void")
        assert node.twins.list_ids() == [T]
        await node.make_room()
        door.telemetry("telemetry", b'{"after":1}')
        await node.log.wait()
        assert node.properties() == {"kept": 1, "after": 1}
        revisions = [r.revision for r in node.records() if r.entity == f"thing:{T}"]
        assert revisions == [1, 2, 3]

    on_node(main)


@pytest.mark.parametrize("how", ["bulk", "late", "telemetry"])
def test_a_message_that_was_not_stored_is_taken_again(on_node, how):
    async def main(node):
        door = node.door()
        door.telemetry("telemetry", b'{"a":1}', 1_000)
        await node.log.wait()

        def send():
            if how == "bulk":
                return door.bulk("image/png", b"png", message_id="7")
            stamp = 500 if how == "late" else None
            return door.telemetry("telemetry", b'{"a":0}', stamp, "7")

        assert send()
        await node.fill()
        await node.make_room()
        assert send()
        assert not send()
        await node.log.wait()
        assert [r.headers["id"] for r in node.records("") if "id" in (r.headers or {})] == ["7"]

    on_node(main)


def test_a_device_time_counts_only_if_its_message_was_stored(on_node):
    async def main(node):
        door = node.door()
        door.telemetry("telemetry", b'{"a":1}', 1_000)
        await node.log.wait()
        node.store.failure = LogFull("no room.")
        node.twins.things.merge(node.ditto, T, "/attributes", {"x": 1})
        with pytest.raises(LogFull):
            await node.log.wait()
        with pytest.raises(LogFull):
            door.telemetry("telemetry", b'{"a":2}', 3_000)
        await node.make_room()
        door.telemetry("telemetry", b'{"a":3}', 2_000)
        assert node.properties() == {"a": 3}

    on_node(main)


def test_a_state_flushed_with_a_failed_commit_is_not_believed(on_node):
    """Also for a thing that was evicted between the flush and the failure."""

    async def main(node):
        doors = [node.door(f"d{n}") for n in range(6)]
        for door in doors:
            door.telemetry("telemetry", b'{"n":1}')
        await node.log.wait()
        for door in doors:
            door.telemetry("telemetry", b'{"n":2}')
        await node.log.wait()
        node.twins.engine._flush(list(node.twins.engine.dirty.values()))
        for n in range(40):
            node.twins.exists(f"org.littoral:nobody{n}")
        assert "thing:org.littoral:d0" not in node.twins.engine.hot
        await node.fill()
        for n in range(6):
            assert node.properties(thing_id=f"org.littoral:d{n}") == {"n": 2}
        await node.make_room()
        for door in doors:
            door.telemetry("telemetry", b'{"m":3}')
        await node.log.wait()
        await node.kill()
        for n in range(6):
            assert node.properties(thing_id=f"org.littoral:d{n}") == {"n": 2, "m": 3}
            assert node.twins.revision_of(f"org.littoral:d{n}") == 4

    on_node(main, hot_max=16)


def test_a_hot_set_that_is_too_small_loses_nothing(on_node):
    async def main(node):
        for n in range(12):
            await node.twins.modify(node.ditto, f"org.littoral:t{n}", "/", {"attributes": {"n": n}})
            node.twins.flush()
            await node.log.wait()
        for round_ in range(3):
            for n in range(12):
                await node.twins.merge(
                    node.ditto, f"org.littoral:t{n}", "/attributes", {f"r{round_}": n}
                )
        for n in range(12):
            expected = {"n": n, "r0": n, "r1": n, "r2": n}
            assert node.doc(f"org.littoral:t{n}")["attributes"] == expected
        await node.kill()
        for n in range(12):
            expected = {"n": n, "r0": n, "r1": n, "r2": n}
            assert node.doc(f"org.littoral:t{n}")["attributes"] == expected

    on_node(main, hot_max=2)


def test_a_kill_costs_nothing_that_was_acknowledged(on_node):
    async def main(node):
        door = node.door()
        for n in range(20):
            door.telemetry("telemetry", b'{"n":%d}' % n, None, str(n))
        await node.log.wait()
        door.telemetry("telemetry", b'{"n":99}', None, "99")
        await node.kill()
        assert node.properties() == {"n": 19}
        door = node.door()
        assert not door.telemetry("telemetry", b'{"n":19}', None, "19")
        assert door.telemetry("telemetry", b'{"n":99}', None, "99")

    on_node(main)


def test_a_read_while_the_disk_is_full_shows_what_was_there_before(on_node):
    async def main(node):
        await node.twins.modify(node.ditto, T, "/", {"attributes": {"a": 1}})
        node.store.failure = LogFull("no room.")
        node.twins.things.merge(node.ditto, T, "/attributes", {"a": 2})
        view = await node.twins.retrieve(node.ditto, T, "/attributes")
        assert view.value == {"a": 1}
        with pytest.raises(LogFull):
            await node.twins.merge(node.ditto, T, "/attributes", {"a": 3})

    on_node(main)


def test_a_read_waits_for_what_is_not_durable_yet(on_node):
    async def main(node):
        await node.twins.modify(node.ditto, T, "/", {"attributes": {"a": 1}})
        node.twins.things.merge(node.ditto, T, "/attributes", {"a": 2})
        seen = []

        async def read():
            seen.append((await node.twins.retrieve(node.ditto, T, "/attributes")).value)
            seen.append(node.log.committed)

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(read())
            head = node.log.head
            assert node.log.committed < head
        assert seen == [{"a": 2}, head]
        node.twins.policies.put(
            node.ditto, "org.littoral:default", "/entries/more", {"subjects": {}, "resources": {}}
        )
        view = await node.twins.retrieve_policy(node.ditto, "org.littoral:default")
        assert "more" in view.value["entries"] and node.log.committed == node.log.head

    on_node(main)


@pytest.mark.slow
def test_records_that_change_no_twin_do_not_make_the_replay_long(on_node):
    async def main(node):
        door = node.door()
        door.telemetry("telemetry", b'{"a":1}')
        await node.log.wait()
        for _ in range(5):
            for _ in range(FLUSH_LAG_RECORDS // 2 + 1):
                door.bulk(None, b"x")
            await node.log.wait()
        await node.log.wait()
        behind = node.log.head - node.twins.engine._durable
        assert behind <= FLUSH_LAG_RECORDS + 1000 < REPLAY_RECORDS_MAX

    on_node(main)


@pytest.mark.slow
def test_the_state_table_follows_so_that_a_replay_is_bounded(on_node):
    async def main(node):
        doors = [node.door(f"d{n}") for n in range(300)]
        for round_ in range(130):
            for door in doors:
                door.telemetry("telemetry", b'{"r":%d}' % round_)
            await node.log.wait()
            behind = node.log.head - node.twins.engine._durable
            assert behind <= FLUSH_LAG_RECORDS + 2 * 300 + 256
        await node.kill()
        assert node.properties(thing_id="org.littoral:d299") == {"r": 129}
        assert node.twins.statistics().dirty <= 300

    on_node(main)


@pytest.mark.slow
def test_states_that_are_due_together_are_written_a_few_with_each_commit(on_node):
    """A thousand at once held the loop, and every acknowledgement, up by 20 ms."""

    async def main(node):
        doors = [node.door(f"d{n}") for n in range(500)]
        written = []
        apply = node.store.apply

        def observed(batch):
            written.append(sum(put.space == "state" for put in batch.puts))
            apply(batch)

        for door in doors:
            door.telemetry("telemetry", b"{}")
        await node.log.wait()
        node.store.apply = observed
        for start in range(0, 65_000, 50):
            for door in doors[start % 500 : start % 500 + 50]:
                door.telemetry("telemetry", b'{"n":%d}' % start)
            await node.log.wait()
        assert sum(written) >= 1000
        assert max(written) <= 16

    on_node(main)


def test_a_refused_flush_does_not_stop_the_log(on_node):
    """A filtered remote record raises a high-water mark also while the disk is full."""

    async def main(node):
        door = node.door()
        door.telemetry("telemetry", b'{"a":1}')
        await node.log.wait()
        node.twins.engine._closing = True
        node.store.failure = LogFull("no room.")
        door.telemetry("telemetry", b'{"a":2}')
        with pytest.raises(LogFull):
            await node.log.wait()
        node.twins.engine._closing = True
        node.log.raise_high_water("cloud/00000000000000aa", 2, 9)
        with pytest.raises(LittoralError):
            await node.log.wait()
        await node.make_room()
        door.telemetry("telemetry", b'{"a":3}')
        await node.log.wait()
        assert node.properties() == {"a": 3}

    on_node(main)


def test_flushing_twice_is_flushing_once(on_node):
    async def main(node):
        await node.twins.modify(Node_admin, T, "/", {"policyId": "org.littoral:default"})
        node.twins.flush()
        await node.log.wait()
        puts = node.log.statistics().batches
        node.twins.flush()
        await node.log.wait()
        assert node.log.statistics().batches == puts

    on_node(main)


Node_admin = Caller(frozenset(), unrestricted=True)
