"""The service over each store: housekeeping, history through the index, retention, opening."""

import asyncio
import json
import random

import pytest

from littoral.kernel.time import ms_of
from littoral.log import Budget, Log, Record, RecordClass, Retention
from littoral.log.adapters.committer import InlineCommitter, ThreadCommitter
from littoral.log.adapters.files import Directory
from littoral.log.adapters.memory import MemoryStore
from littoral.log.adapters.sqlite import SqliteStore

pytestmark = pytest.mark.slow
TELEMETRY = RecordClass.TELEMETRY


class SteppedClock:
    """Goes on by a millisecond whenever it is asked; its seconds are the loop's."""

    def __init__(self, loop):
        self.ms = 1_000_000
        self._loop = loop

    def now_ms(self):
        self.ms += 1
        return self.ms

    def monotonic_s(self):
        return self._loop.time()

    def token(self, size):
        return random.Random(self.ms).randbytes(size)

    def uniform(self, low, high):
        return low


@pytest.fixture(params=["memory", "sqlite inline", "sqlite thread"])
def play(request, tmp_path):
    memory = MemoryStore()

    def play(scene, retention):
        async def main():
            loop = asyncio.get_running_loop()
            clock = SteppedClock(loop)

            def open_log():
                store = memory
                if request.param != "memory":
                    store = SqliteStore(
                        Directory(tmp_path), exclusive=request.param == "sqlite inline"
                    )
                threaded = request.param == "sqlite thread"
                return Log.open(
                    store=store,
                    committer=ThreadCommitter(loop) if threaded else InlineCommitter(loop),
                    clock=clock,
                    entropy=clock,
                    node="edge",
                    loop=loop,
                    retention=retention,
                )

            await scene(open_log)

        asyncio.run(main())

    return play


def retention(bytes_max=1 << 40, age_ms_max=1 << 40, total=1 << 40):
    return Retention(total, dict.fromkeys(RecordClass, Budget(bytes_max, age_ms_max)))


async def fill(log, count, *, things=50, cls=3, each=100):
    """Chains of revisions, as twins write them; the newest seq of each thing."""
    noise = random.Random(7)
    last, revisions = {}, {}
    for n in range(count):
        name = f"thing:a:{n % things}"
        revisions[name] = revisions.get(name, 0) + 1
        last[name] = log.append(
            cls, "thing.merged", name, revisions[name], last.get(name, 0), "/x",
            noise.randbytes(30),
        )  # fmt: skip
        if n % each == each - 1:
            await log.wait()
    await log.wait()
    return last, revisions


def test_history_is_whole_through_tail_pages_and_index(play):
    async def scene(open_log):
        log = open_log()
        last, revisions = await fill(log, 45_000, each=300)
        while await log._housekeeper.seal():
            pass
        log._tail.floor = log.head - 1000
        name = "thing:a:7"
        newest = revisions[name]
        for first, to in ((1, newest), (1, 3), (newest - 5, newest), (400, 420)):
            found = log.history(name, last[name], first=first, last=to)
            assert [r.revision for r in found] == list(range(first, to + 1))
            assert {r.entity for r in found} == {name}
        await log.close()
        log = open_log()
        assert len(log.history(name, last[name], first=1, last=newest)) == newest
        await log.close()

    play(scene, retention())


def test_housekeeping_keeps_the_log_within_its_budget_while_it_grows(play):
    async def scene(open_log):
        log = open_log()
        async with asyncio.TaskGroup() as group:
            keeper = group.create_task(log.run())
            for _ in range(4):
                await fill(log, 5000)
                async with asyncio.timeout(20):
                    while {u.cls: u for u in log.usage()}[TELEMETRY].payload_bytes > 150_000:  # noqa: ASYNC110
                        await asyncio.sleep(0.01)
            keeper.cancel()
        entries = [
            json.loads(r.value)
            for r in log.read(0, limit=1 << 20, cls=int(RecordClass.EVENT))
            if r.kind == "ledger.lost"
        ]
        # Every seq is either there or in the ledger, and the ledger's ranges follow each other.
        kept = [r.seq for r in log.read(0, limit=1 << 20, cls=int(TELEMETRY))]
        lost = sum(e["count"] for e in entries)
        assert lost + len(kept) == 20_000 and lost > 5000
        assert [e["from"] for e in entries] == sorted(e["from"] for e in entries)
        assert max(e["to"] for e in entries) < kept[0]
        assert all(e["reason"] == "class_bytes" for e in entries)
        await log.close()

    play(scene, retention(bytes_max=150_000))


def test_old_records_go_by_age(play):
    async def scene(open_log):
        log = open_log()
        await fill(log, 1000)
        border = log.head
        log._clock.ms += 50_000
        await fill(log, 100)
        await log._housekeeper.thin()
        assert log.oldest(int(TELEMETRY)) == border + 1
        entry = json.loads(log.read(0, limit=1, cls=int(RecordClass.EVENT))[0].value)
        assert entry["reason"] == "age" and entry["count"] == 1000
        assert entry["to_ms"] < ms_of(log.read(border, limit=1)[0].hlc)
        await log.close()

    play(scene, retention(age_ms_max=20_000))


def test_snapshots_are_thinned_when_the_total_is_over(play):
    async def scene(open_log):
        log = open_log()
        for revision in range(256, 256 * 200, 256):
            log.put_snapshot("thing:a:1", revision, bytes(2000))
        await fill(log, 500)
        before = len(log.scan("snapshot", limit=1000))
        await log._housekeeper.thin()
        after = log.scan("snapshot", limit=1000)
        assert len(after) < before / 3
        assert log.snapshot("thing:a:1", at_or_below=1 << 40)[0] == 256 * 199
        await log.close()

    play(scene, retention(total=300_000))


def test_a_log_goes_on_where_it_was(play):
    async def scene(open_log):
        stamps = []
        for opening in range(3):
            log = open_log()
            assert log.head == opening * 200
            assert len(log.opened.epochs) == opening + 1
            log.cursor("reader").advance(log.head)
            await fill(log, 200)
            stamps += [r.hlc for r in log.read(opening * 200, limit=500)]
            assert [r.origin for r in log.read(log.head - 1, limit=1)] == [log.origin]
            assert log.cursor("reader").read(1)[0].seq == opening * 200 + 1
            log._clock.ms -= 100_000
            await log.close()
        assert stamps == sorted(set(stamps)), "also with a clock that goes back"

    play(scene, retention())


def test_damage_found_while_running_ends_it_and_the_next_opening_salvages(tmp_path):
    async def main():
        loop = asyncio.get_running_loop()
        clock = SteppedClock(loop)

        def open_log():
            return Log.open(
                store=SqliteStore(Directory(tmp_path)), committer=InlineCommitter(loop),
                clock=clock, entropy=clock, node="edge", loop=loop,
            )  # fmt: skip

        log = open_log()
        await fill(log, 5000)
        heard = []
        log.on_broken(heard.append)
        write = log._store._write
        write.execute("UPDATE page SET crc = crc + 1 WHERE seq_first = 1001")
        log._tail.floor = log.head
        with pytest.raises(Exception, match="checksum"):
            log.read(1000, limit=5)
        assert len(heard) == 1
        log._store.close()
        log = open_log()
        assert log.opened.salvage.records_lost == 100
        assert log.opened.salvage.seq_gaps == ((1001, 1100),)
        await log.wait()
        entry = log.read(log.opened.head, limit=1)[0]
        assert entry.kind == "ledger.lost" and b'"reason":"damage"' in entry.value
        await log.close()

    asyncio.run(main())


def test_a_log_knows_up_to_where_its_own_records_are_gone(play):
    async def scene(open_log):
        log = open_log()
        for oseq in range(1, 101):
            record = log_record(oseq)
            log.append_remote(record, 0, 0)
        await log.wait()
        foreign = log.head
        log._clock.ms += 50_000
        await fill(log, 10)
        await log._housekeeper.thin()
        assert log.dropped == foreign
        # What another node said first, that node has, or has told the loss of.
        assert [log.own_dropped(cls) for cls in RecordClass] == [0] * 5
        await fill(log, 100)
        border = log.head
        log._clock.ms += 50_000
        await fill(log, 10)
        await log._housekeeper.thin()
        assert log.own_dropped(TELEMETRY) == border
        assert log.own_dropped(RecordClass.ALARM) == 0
        await log.close()
        log = open_log()
        assert (log.own_dropped(TELEMETRY), log.dropped) == (border, border)
        await log.close()

    play(scene, retention(age_ms_max=20_000))


def log_record(oseq):
    return Record(
        0, 1, None, int(TELEMETRY), "x", "thing:a:1", 0, 0, "/", b"1", None, "other/e", oseq
    )
