"""Stamps, remote records, keys, reading, history, snapshots, cursors, retention."""

import asyncio
import json

import pytest

from littoral.kernel.time import hlc_of
from littoral.log import (
    Budget,
    CursorLost,
    Record,
    RecordClass,
    Retention,
)
from littoral.log.core import next_stamp

EVENT, TELEMETRY = RecordClass.EVENT, RecordClass.TELEMETRY


def remote(oseq, *, cls=3, origin="cloud/00000000000000aa"):
    return Record(
        oseq,
        hlc_of(500),
        7,
        cls,
        "thing.modified",
        "thing:a:b",
        3,
        2,
        "/x",
        b"1",
        {"h": 1},
        origin,
        oseq,
    )


def test_stamps_rise_even_if_the_clock_goes_back(play):
    async def scene(world, log):
        stamps, last = [], 0
        for ms in (1000, 1000, 999, 1001, 5, 2000):
            world.clock.ms = ms
            world.add()
            assert log.last_hlc == next_stamp(last, ms), "the in-line stamp is the pure one"
            last = log.last_hlc
            stamps.append(log.last_hlc)
        assert stamps == sorted(set(stamps))
        assert stamps[0] == hlc_of(1000) and stamps[-1] == hlc_of(2000)

    play(scene)


def test_a_reopened_log_never_issues_a_stamp_twice(world):
    async def main():
        world.open()
        world.add()
        await world.log.wait()
        before = world.log.last_hlc
        await world.log.close()
        world.clock.ms -= 3_600_000
        log = world.open()
        world.add()
        assert log.last_hlc > before
        assert log.origin == "edge/0000000000000002"
        assert log.opened.epochs[-1].previous == "edge/0000000000000001"

    asyncio.run(main())


def test_our_stamps_follow_the_ones_we_have_seen(play):
    async def scene(world, log):
        log.observe(hlc_of(world.clock.ms + 60_000))
        world.add()
        assert log.last_hlc == hlc_of(world.clock.ms + 60_000) + 1

    play(scene)


def test_a_remote_record_keeps_who_it_is_and_raises_the_mark(play):
    async def scene(world, log):
        seq = log.append_remote(remote(41), revision=9, prev_seq=0)
        assert log.high_water("cloud/00000000000000aa", 3) == 41
        log.raise_high_water("cloud/00000000000000aa", 3, 50)
        log.raise_high_water("cloud/00000000000000aa", 3, 45)
        await log.wait()
        found = log.read(0, limit=1)[0]
        assert found == remote(41)._replace(seq=seq, revision=9, prev_seq=0)
        await log.close()
        log = world.open()
        assert log.high_water("cloud/00000000000000aa", 3) == 50
        assert log.high_water("cloud/00000000000000aa", 2) == 0

    play(scene)


def test_keys_are_seen_at_once_in_every_layer(play):
    async def scene(world, log):
        for key, value in (("a", b"1"), ("b", b"1"), ("c", b"1")):
            log.put("s", key, value)
        await log.wait()
        world.committer.hold = True
        log.put("s", "b", None)
        log.put("s", "d", b"2")
        await world.turn()
        log.put("s", "a", b"3")
        log.put("s", "bb", b"3")
        log.put("t", "b", b"other")
        assert log.scan("s") == [("a", b"3"), ("bb", b"3"), ("c", b"1"), ("d", b"2")]
        assert log.scan("s", prefix="b") == [("bb", b"3")]
        assert log.scan("s", after="a", limit=2) == [("bb", b"3"), ("c", b"1")]
        assert log.get("s", "b") is None and log.get("s", "a") == b"3"
        for _ in range(2):
            world.committer.finish()
        assert log.scan("s") == [("a", b"3"), ("bb", b"3"), ("c", b"1"), ("d", b"2")]

    play(scene)


def test_nothing_is_read_before_it_is_durable(play):
    async def scene(world, log):
        world.committer.hold = True
        world.add()
        assert log.read(0, limit=9) == []
        await world.turn()
        assert log.read(0, limit=9) == []
        world.committer.finish()
        assert [r.seq for r in log.read(0, limit=9)] == [1]

    play(scene)


def test_the_tail_and_the_store_answer_alike(play):
    async def scene(world, log):
        for n in range(60):
            world.add(cls=n % 5)
            if n % 7 == 0:
                log.append_remote(remote(n + 1, cls=n % 5), 1, 0)
            if n % 4 == 0:
                await log.wait()
        await log.wait()
        for after in range(-1, log.head + 2):
            for more in ({}, {"cls": 2}, {"origin": log.origin}, {"cls": 0, "origin": log.origin}):
                assert log.read(max(after, 0), limit=7, **more) == world.store.read(
                    max(after, 0), limit=7, **more
                )
        for seq in range(1, log.head + 1):
            assert log._tail.at(seq).seq == seq

    play(scene)


def test_the_tail_is_bounded_and_old_records_come_from_the_store(play):
    async def scene(world, log):
        log._tail._records_max = 10
        for _ in range(30):
            world.add()
            await log.wait()
        assert log._tail.floor == 20
        assert [r.seq for r in log.read(0, limit=99)] == list(range(1, 31))
        assert log._tail.at(20) is None and log._tail.at(21).seq == 21

    play(scene)


def test_history_follows_the_chain(play):
    async def scene(world, log):
        last = {"x": 0, "y": 0}
        for revision in range(1, 31):
            for name, prev in last.items():
                last[name] = world.add(entity=name, revision=revision, prev=prev)
        await log.wait()
        log._tail.floor = 40
        for first, to in ((1, 30), (5, 9), (30, 30), (29, 99), (31, 40)):
            found = log.history("x", last["x"], first=first, last=to)
            assert [r.revision for r in found] == list(range(first, min(to, 30) + 1))
            assert {r.entity for r in found} <= {"x"}

    play(scene)


def test_a_snapshot_is_found_at_or_below_a_revision(play):
    async def scene(world, log):
        for revision in (10, 20, 100):
            log.put_snapshot("thing:a:b", revision, b"%d" % revision)
        log.put_snapshot("thing:a:bc", 15, b"another's")
        assert log.snapshot("thing:a:b", at_or_below=19) == (10, b"10")
        assert log.snapshot("thing:a:b", at_or_below=20) == (20, b"20")
        assert log.snapshot("thing:a:b", at_or_below=5000) == (100, b"100")
        assert log.snapshot("thing:a:b", at_or_below=9) is None
        await log.wait()
        assert log.snapshot("thing:a:b", at_or_below=19) == (10, b"10")

    play(scene)


def test_a_cursor_is_where_it_was_after_reopening(play):
    async def scene(world, log):
        for _ in range(5):
            world.add()
        await log.wait()
        cursor = log.cursor("reader")
        assert [r.seq for r in cursor.read(3)] == [1, 2, 3]
        cursor.advance(3)
        cursor.advance(2)
        assert cursor.position == 3 and log.cursor("reader") is cursor
        await log.wait()
        await log.close()
        log = world.open()
        assert [r.seq for r in log.cursor("reader").read(9)] == [4, 5]
        assert log.cursor("late", start=log.head).read(9) == []
        assert [c.name for c in log.cursors()] == ["late", "reader"]
        log.cursor("reader").remove()
        assert log.cursor("reader").position == 0

    play(scene)


def test_a_slow_reader_is_told_once_what_it_lost(play):
    async def scene(world, log):
        slow = log.cursor("slow")
        other = log.cursor("events", cls=EVENT)
        for n in range(10):
            world.add(cls=EVENT if n == 2 else TELEMETRY)
        await log.wait()
        world.store.drop(TELEMETRY, up_to=6)
        log._tail.floor = log.head
        with pytest.raises(CursorLost) as lost:
            slow.read(9)
        assert (lost.value.facts["lost_from"], lost.value.facts["lost_to"]) == (1, 6)
        assert [r.seq for r in slow.read(9)] == [3, 7, 8, 9, 10]
        assert [r.seq for r in other.read(9)] == [3]
        assert [r.seq for r in log.cursor("new").read(9)] == [3, 7, 8, 9, 10]

    play(scene)


def test_idle_cursors_are_forgotten_but_not_pinned_or_open_ones(play):
    async def scene(world, log):
        for name, pinned in (("idle", False), ("pin", True)):
            log.cursor(name, pinned=pinned)
        await log.wait()
        await log.close()
        log = world.open()
        log.cursor("used")
        world.clock.ms += 31 * 24 * 3600 * 1000
        assert log._cursors.expire() == ["idle"]
        assert [c.name for c in log.cursors()] == ["pin", "used"]

    play(scene)


def small(bytes_max=10_000, age_ms_max=1 << 40, total=1 << 40):
    budget = Budget(bytes_max=bytes_max, age_ms_max=age_ms_max)
    return Retention(total_bytes_max=total, classes=dict.fromkeys(RecordClass, budget))


def run_with(world, retention, scene):
    async def main():
        world.open(retention)
        await scene(world, world.log)

    asyncio.run(main())


def ledger(log):
    return [json.loads(r.value) for r in log.read(0, limit=999) if r.kind == "ledger.lost"]


def test_what_is_over_a_budget_goes_into_the_ledger_and_then_away(world):
    async def scene(world, log):
        for _ in range(30):
            world.add(value=bytes(1000))
        await log.wait()
        order = []
        log.listen(lambda rs: order.extend(r.kind for r in rs))
        drop = world.store.drop

        def noted(cls, *, up_to):
            order.append("drop")
            drop(cls, up_to=up_to)

        world.store.drop = noted
        await log._housekeeper.thin()
        assert order == ["ledger.lost", "drop"]
        assert log.oldest(TELEMETRY) == 22
        entry = ledger(log)[0]
        assert (entry["class"], entry["from"], entry["to"], entry["count"]) == (
            "telemetry", 1, 21, 21
        )  # fmt: skip
        assert entry["reason"] == "class_bytes" and entry["delivered"] is False
        assert entry["origins"] == {log.origin: {"from": 1, "to": 21, "count": 21}}

    run_with(world, small(), scene)


def test_age_waits_for_a_pinned_reader_and_bytes_do_not(world):
    async def scene(world, log):
        pin = log.cursor("up", pinned=True)
        for _ in range(5):
            world.add(value=bytes(100))
        await log.wait()
        world.clock.ms += 100_000
        await log._housekeeper.thin()
        assert log.oldest(TELEMETRY) == 1
        pin.advance(3)
        await log._housekeeper.thin()
        assert log.oldest(TELEMETRY) == 4 and ledger(log)[0]["delivered"] is True
        for _ in range(30):
            world.add(value=bytes(1000))
        await log.wait()
        await log._housekeeper.thin()
        assert log.oldest(TELEMETRY) > 20 and ledger(log)[-1]["delivered"] is False

    run_with(world, small(age_ms_max=50_000), scene)


def test_the_total_is_taken_from_the_lowest_class_first(world):
    async def scene(world, log):
        for cls in (0, 1, 2, 4):
            for _ in range(10):
                world.add(cls=cls, value=bytes(1000))
        await log.wait()
        await log._housekeeper.thin()
        kept = {u.cls: u.records for u in log.usage()}
        assert kept[RecordClass.BULK] < 10
        assert kept[RecordClass.ALARM] == 10 and kept[RecordClass.STATE] == 10

    run_with(world, small(bytes_max=1 << 40, total=38_000), scene)


def test_what_has_to_be_replayed_is_never_dropped(world):
    async def scene(world, log):
        log.hold(lambda: 5)
        for _ in range(30):
            world.add(value=bytes(1000))
        await log.wait()
        await log._housekeeper.thin()
        assert log.oldest(TELEMETRY) == 5

    run_with(world, small(), scene)


def test_a_lost_range_reaches_a_reader_that_was_behind(world):
    async def scene(world, log):
        cursor = log.cursor("slow", cls=TELEMETRY)
        for _ in range(30):
            world.add(value=bytes(1000))
        await log.wait()
        await log._housekeeper.thin()
        with pytest.raises(CursorLost):
            cursor.read(9)
        assert cursor.read(1)[0].seq == 22

    run_with(world, small(), scene)
