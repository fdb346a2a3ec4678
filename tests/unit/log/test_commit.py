"""Group commit: who is in which batch, who hears of it and in which order, and failures."""

import asyncio

import pytest

from littoral.log import (
    BATCH_RECORDS_MAX,
    LogBroken,
    LogBusy,
    LogClosed,
    LogFull,
    RecordInvalid,
)

FULL = LogFull("the disk is full.")
BROKEN = LogBroken("the disk is broken.")


def test_what_is_appended_in_one_turn_of_the_loop_is_one_batch(play):
    async def scene(world, log):
        for _ in range(3):
            world.add()
        await log.wait()
        world.add()
        await log.wait()
        assert world.store.batches == [[1, 2, 3], [4]]
        assert log.head == log.committed == 4

    play(scene)


def test_while_a_commit_runs_the_next_batch_gathers(play):
    async def scene(world, log):
        world.committer.hold = True
        world.add()
        await world.turn()
        world.add()
        await world.turn()
        world.add()
        assert (log.head, log.committed, len(world.committer.waiting)) == (3, 0, 1)
        world.committer.finish()
        assert log.committed == 1
        world.committer.finish()
        assert world.store.batches == [[1], [2, 3]]
        assert not world.committer.waiting

    play(scene)


def test_listeners_hear_before_callbacks_and_batches_in_order(play):
    async def scene(world, log):
        heard = []
        log.listen(lambda records: heard.append(("listener", [r.seq for r in records])))
        for n in (1, 2):
            world.add()
            log.on_commit(lambda e, n=n: heard.append((n, e)))
            await world.turn(1)
        log.on_commit(lambda e: heard.append(("empty", e)))
        await world.turn(5)
        assert heard == [
            ("listener", [1]), (1, None), ("listener", [2]), (2, None), ("empty", None)
        ]  # fmt: skip

    play(scene)


def test_a_callback_for_nothing_waits_for_the_commit_before_it(play):
    async def scene(world, log):
        heard = []
        world.committer.hold = True
        world.add()
        await world.turn()
        log.on_commit(lambda e: heard.append(log.committed))
        await world.turn()
        assert heard == []
        world.committer.finish()
        await world.turn()
        assert heard == [1]

    play(scene)


def test_a_callback_that_raises_does_not_keep_the_others_from_hearing(play):
    async def scene(world, log):
        heard, reported = [], []
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: reported.append(context["exception"]))
        log.listen(lambda _: 1 / 0)
        log.on_commit(lambda _: {}["no"])
        world.add()
        log.on_commit(heard.append)
        await world.turn(6)
        assert heard == [None]
        assert [type(e) for e in reported] == [ZeroDivisionError, KeyError]

    play(scene)


def test_the_batch_number_tells_batches_apart(play):
    async def scene(world, log):
        first = log.batch
        world.add()
        assert log.batch == first
        await log.wait()
        assert log.batch > first

    play(scene)


def test_a_hook_may_put_into_a_batch_that_closes(play):
    async def scene(world, log):
        log.before_close(lambda: log.put("state", "seq", b"%d" % log.head))
        world.add()
        world.add()
        await log.wait()
        assert world.store.get("state", "seq") == b"2"
        await world.turn()
        assert len(world.store.batches) == 1, "a put of the hook makes no batch of its own"

    play(scene)


def test_a_large_batch_is_closed_between_two_turns(play):
    async def scene(world, log):
        world.committer.hold = True
        world.add()
        await world.turn()
        for _ in range(BATCH_RECORDS_MAX + 10):
            world.add()
        await world.turn()
        world.add()
        while world.committer.waiting:
            world.committer.finish()
        assert [len(b) for b in world.store.batches] == [1, BATCH_RECORDS_MAX + 10, 1]

    play(scene)


def test_what_waits_for_the_disk_is_bounded(play):
    async def scene(world, log):
        world.committer.hold = True
        with pytest.raises(LogBusy):  # noqa: PT012
            for _ in range(400):
                world.add(value=bytes(1 << 20))
                await world.turn(1)
        while world.committer.waiting:
            world.committer.finish()
        world.add()

    play(scene)


def test_what_was_refused_is_not_stored_and_what_was_taken_is(play):
    async def scene(world, log):
        world.committer.hold = True
        taken = 0
        with pytest.raises(LogBusy):  # noqa: PT012
            while True:
                world.add(value=bytes(1 << 20))
                taken += 1
                await world.turn(1)
        assert log.head == taken
        with pytest.raises(LogBusy):
            log.put("space", "key", b"value")
        # As many as one likes within one turn: the refusal never comes amid a change.
        while world.committer.waiting:
            world.committer.finish()
        assert log.committed == taken
        assert log.get("space", "key") is None
        for _ in range(200):
            world.add(value=bytes(1 << 20))
        assert log.head == taken + 200

    play(scene)


def test_a_busy_log_is_closed_with_all_that_it_took(play):
    async def scene(world, log):
        world.committer.hold = True
        with pytest.raises(LogBusy):  # noqa: PT012
            for _ in range(400):
                world.add(value=bytes(1 << 20))
                await world.turn(1)
        head = log.head
        async with asyncio.TaskGroup() as group:
            closing = group.create_task(log.close())
            while not closing.done():
                if world.committer.waiting:
                    world.committer.finish()
                await world.turn(1)
        assert sum(len(b) for b in world.store.batches) == head

    play(scene)


def test_wait_returns_when_the_record_is_durable(play):
    async def scene(world, log):
        world.committer.hold = True
        first = world.add()
        await world.turn()
        second = world.add()
        async with asyncio.TaskGroup() as group:
            one = group.create_task(log.wait(first))
            two = group.create_task(log.wait(second))
            everything = group.create_task(log.wait())
            await world.turn()
            world.committer.finish()
            await world.turn()
            assert one.done() and not two.done() and not everything.done()
            world.committer.finish()
            await world.turn()
            assert two.done() and everything.done()
        await log.wait(first)
        await log.wait()

    play(scene)


def test_wait_without_a_seq_waits_for_puts_too(play):
    async def scene(world, log):
        log.put("s", "k", b"v")
        await log.wait()
        assert world.store.get("s", "k") == b"v"

    play(scene)


def test_a_full_disk_voids_the_batch_and_everything_on_top(play):
    async def scene(world, log):
        heard = []
        log.on_abort(lambda e: heard.append(("abort", log.committed, log.head)))
        log.listen(lambda records: heard.append([r.seq for r in records]))
        world.add()
        await log.wait()
        world.committer.hold = True
        world.add()
        log.on_commit(lambda e: heard.append(("flying", e)))
        await world.turn()
        log.put("s", "k", b"v")
        log.raise_high_water("cloud/1", 3, 77)
        third = world.add()
        log.on_commit(lambda e: heard.append(("open", e)))
        world.store.failure = FULL
        world.committer.finish()
        assert heard == [[1], ("abort", 1, 1), ("flying", FULL), ("open", FULL)]
        assert log.get("s", "k") is None and log.high_water("cloud/1", 3) == 0
        assert log.statistics().refused == "the disk is full."
        with pytest.raises(LogFull):
            world.add()
        with pytest.raises(LogFull):
            log.put("s", "k", b"v")
        with pytest.raises(LogFull):
            await log.wait(third)

    play(scene)


def test_after_a_full_disk_reading_goes_on_and_writing_when_there_is_room(play):
    async def scene(world, log):
        world.add()
        await log.wait()
        world.store.failure = FULL
        world.add()
        await world.turn()
        assert [r.seq for r in log.read(0, limit=9)] == [1]
        world.clock.s += 5
        with pytest.raises(LogFull):
            world.add()
        await world.turn()
        with pytest.raises(LogFull):
            world.add()
        world.store.failure = None
        world.clock.s += 5
        with pytest.raises(LogFull):
            world.add()
        await world.turn()
        seq = world.add()
        assert seq == 3, "the seq of a void record is not given out again"
        await log.wait(seq)
        assert [r.seq for r in log.read(0, limit=9)] == [1, 3]
        with pytest.raises(LogFull):
            await log.wait(2)

    play(scene)


def test_whoever_asks_why_a_full_log_refuses_makes_it_look_for_room(play):
    async def scene(world, log):
        assert log.refusal() is None
        world.store.failure = FULL
        world.add()
        await world.turn()
        assert log.refusal() == "the disk is full."
        world.store.failure = None
        world.clock.s += 5
        assert log.refusal() == "the disk is full."
        await world.turn()
        assert log.refusal() is None
        await log.wait(world.add())

    play(scene)


def test_a_full_log_probes_at_most_once_a_second(play):
    async def scene(world, log):
        world.store.failure = FULL
        world.add()
        await world.turn()
        world.committer.hold = True
        world.clock.s += 5
        for _ in range(100):
            with pytest.raises(LogFull):
                world.add()
        assert len(world.committer.waiting) == 1

    play(scene)


def test_a_broken_disk_ends_everything(play):
    async def scene(world, log):
        heard = []
        log.on_broken(lambda e: heard.append(("broken", e)))
        world.add()
        log.on_commit(lambda e: heard.append(("callback", e)))
        world.store.failure = BROKEN

        async def reader():
            with pytest.raises(LogBroken):
                await log.wait(5)

        async with asyncio.TaskGroup() as group:
            group.create_task(reader())
            await world.turn(4)
        assert heard == [("callback", BROKEN), ("broken", BROKEN)]
        world.store.failure = None
        world.clock.s += 100
        for _ in range(3):
            with pytest.raises(LogBroken):
                world.add()
            await world.turn()
        with pytest.raises(LogBroken):
            await log.wait(99)
        assert world.store.batches == []

    play(scene)


def test_a_surprise_in_the_store_counts_as_broken(play):
    async def scene(world, log):
        heard = []
        log.on_broken(heard.append)
        world.store.failure = ValueError("what?")
        world.add()
        await world.turn(4)
        assert isinstance(heard[0], LogBroken) and "ValueError" in str(heard[0])
        assert isinstance(heard[0].__cause__, ValueError)

    play(scene)


def test_a_read_that_finds_the_disk_broken_breaks_the_log(play):
    async def scene(world, log):
        world.add()
        await log.wait()
        log._tail.floor = 1
        world.store.failure = BROKEN
        with pytest.raises(LogBroken):
            log.read(0, limit=5)
        with pytest.raises(LogBroken):
            world.add()

    play(scene)


def test_a_value_that_cannot_be_stored_is_refused_alone(play):
    async def scene(world, log):
        bad = [
            {"value": "text"}, {"value": bytearray(b"x")}, {"value": bytes((1 << 20) + 1)},
            {"cls": 5}, {"cls": -1}, {"entity": "thing:a:\ud800"}, {"entity": "x" * 9000},
            {"device_time": 1 << 70}, {"headers": {"x": object()}}, {"headers": {"x": "y" * 9000}},
        ]  # fmt: skip
        world.add()
        for fields in bad:
            with pytest.raises(RecordInvalid):
                world.add(**fields)
        world.add(entity="thing:a:ü", value=bytes(1 << 20), device_time=-1, headers={"id": "1"})
        await log.wait()
        assert [r.seq for r in log.read(0, limit=9)] == [1, 2]

    play(scene)


def test_closing_commits_what_is_open(play):
    async def scene(world, log):
        world.add()
        await log.close()
        await log.close()
        assert world.store.batches == [[1]] and world.committer.closed
        with pytest.raises(LogClosed):
            world.add()
        with pytest.raises(LogClosed):
            await log.wait(2)

    play(scene)


def test_a_log_that_breaks_while_a_commit_flies_tells_everybody_once(play):
    async def scene(world, log):
        heard = []
        world.add()
        await log.wait()
        world.committer.hold = True
        world.add()
        log.on_commit(heard.append)
        await world.turn()
        log._tail.floor = 1
        world.store.failure = BROKEN
        with pytest.raises(LogBroken):
            log.read(0, limit=5)
        world.store.failure = None
        world.committer.finish()
        await world.turn()
        assert heard == [BROKEN] and log.committed == 1

    play(scene)


def test_a_broken_log_does_no_housekeeping_and_says_so_to_callbacks(play):
    async def scene(world, log):
        world.store.failure = BROKEN
        world.add()
        await world.turn(4)
        world.store.failure = None
        world.committer.waiting.clear()
        with pytest.raises(LogBroken):
            await log._housekeeper.seal()
        assert not world.committer.waiting
        heard = []
        log.on_commit(heard.append)
        await world.turn(4)
        assert heard == [BROKEN]

    play(scene)


def test_a_hook_that_raises_does_not_stop_the_commit(play):
    async def scene(world, log):
        reported = []
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: reported.append(context["exception"]))
        log.before_close(lambda: 1 / 0)
        world.add()
        await log.wait()
        await world.turn()
        assert log.committed == 1 and isinstance(reported[0], ZeroDivisionError)

    play(scene)


def test_room_is_found_while_nobody_writes(play):
    """The first who writes after a full disk got room again is not refused."""

    async def scene(world, log):
        world.store.failure = FULL
        world.add()
        await world.turn()
        assert log.statistics().refused
        world.store.failure = None
        world.clock.s += 5
        log._look_and_go_on()
        await world.turn()
        await log.wait(world.add())
        assert not log.statistics().refused

    play(scene)


def test_looking_for_room_ends_with_the_log(play):
    async def scene(world, log):
        world.store.failure = FULL
        world.add()
        await world.turn()
        await log.close()
        world.clock.s += 5
        log._look_and_go_on()
        assert not log._looking
        assert not world.committer.waiting

    play(scene)
