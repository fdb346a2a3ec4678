"""What every store of the log does. Memory comes first: it is the specification that runs."""

import errno
import random
from collections.abc import Callable
from contextlib import contextmanager

import apsw
import pytest

from littoral.kernel.ids import Origin
from littoral.kernel.time import hlc_of
from littoral.log import (
    Batch,
    LogBroken,
    LogClosed,
    LogFull,
    LogInUse,
    LogOfAnotherNode,
    Put,
    Record,
    RecordClass,
    Store,
)
from littoral.log.adapters.files import Directory
from littoral.log.adapters.memory import MemoryStore
from littoral.log.adapters.sqlite import SqliteStore

NOISE = random.Random(1).randbytes(400_000)
ALARM, EVENT, STATE, TELEMETRY, BULK = RecordClass
HERE, THERE = "edge/0000000000000001", "cloud/00000000000000aa"


def record(seq, *, cls=TELEMETRY, origin=HERE, entity="thing:a:b", revision=1, prev=0, **fields):
    base = Record(
        seq, hlc_of(1000 + seq), None, int(cls), "thing.merged", entity, revision,
        prev, "/features", b'{"a":1}', None, origin, seq,
    )  # fmt: skip
    return base._replace(**fields)


def batch(*seqs, puts=(), **fields):
    return Batch([record(s, **fields) for s in seqs], [Put(*p) for p in puts])


class StoreContract:
    """Subclasses give ``make``: a store on the same content each time."""

    def opened(self, make, number=1):
        store = make()
        self.opening = store.open(origin=f"edge/{number:016x}")
        return store

    def test_a_new_store_is_empty(self, make):
        store = self.opened(make)
        assert self.opening.head == 0 and self.opening.node == "edge"
        assert self.opening.salvage is None
        assert store.read(0, limit=10) == []
        assert store.get("s", "k") is None
        assert store.oldest() == 1
        assert [u.records for u in store.usage()] == [0] * 5

    def test_every_field_of_a_record_comes_back_as_it_was(self, make):
        store = self.opened(make)
        odd = record(
            1, cls=BULK, value=bytes(range(256)), device_time=-5, path="/ü/~1", entity="thing::ö",
            headers={"id": "7", "hops": 2, "late": True, "x": None}, origin=THERE, oseq=99,
        )  # fmt: skip
        store.apply(Batch([odd, record(2)], []))
        assert store.read(0, limit=10) == [odd, record(2)]
        assert type(store.read(0, limit=1)[0]) is Record

    def test_records_are_read_in_order_across_classes_and_origins(self, make):
        store = self.opened(make)
        records = [
            record(s, cls=RecordClass(s % 5), origin=HERE if s % 3 else THERE, oseq=s + 100)
            for s in range(1, 101)
        ]
        for start in range(0, 100, 7):
            store.apply(Batch(records[start : start + 7], []))
        assert store.read(0, limit=1000) == records
        for after in (0, 1, 6, 7, 50, 99, 100):
            assert store.read(after, limit=9) == records[after : after + 9]
        assert store.read(10, limit=5, cls=2) == [r for r in records if r.cls == 2][2:7]
        assert store.read(0, limit=99, cls=1, origin=THERE) == [
            r for r in records if r.cls == 1 and r.origin == THERE
        ]
        assert store.read(0, limit=99, origin="nobody/1") == []
        assert store.read(100, limit=5) == []

    def test_records_are_found_by_seq_and_missing_ones_left_out(self, make):
        store = self.opened(make)
        store.apply(batch(1, 2, 3))
        store.apply(batch(7, 8, cls=EVENT))
        assert [r.seq for r in store.by_seq([8, 2, 5, 1, 99])] == [8, 2, 1]

    def test_a_batch_larger_than_a_page_is_one_batch(self, make):
        store = self.opened(make)
        records = [record(s, value=b"x" * 2000) for s in range(1, 3001)]
        store.apply(Batch(records, []))
        assert store.read(0, limit=5000) == records
        assert store.read(2990, limit=5) == records[2990:2995]

    def test_keys_are_put_replaced_and_deleted_with_the_batch(self, make):
        store = self.opened(make)
        store.apply(batch(1, puts=[("s", "k", b"1"), ("t", "k", b"other")]))
        store.apply(Batch([], [Put("s", "k", b"2")]))
        assert store.get("s", "k") == b"2" and store.get("t", "k") == b"other"
        store.apply(Batch([], [Put("s", "k", None), Put("s", "absent", None)]))
        assert store.get("s", "k") is None and store.get("t", "k") == b"other"

    def test_many_keys_are_scanned_in_order_by_prefix_and_page(self, make):
        store = self.opened(make)
        names = [f"a{n:03d}" for n in range(150)] + ["a", "b", "aé", "a\U0001f600", "a\x00x"]
        store.apply(Batch([], [Put("s", n, n.encode()) for n in names] + [Put("r", "a0", b"")]))
        expected = sorted(n for n in names if n.startswith("a"))
        assert [k for k, _ in store.scan("s", prefix="a", limit=1000)] == expected
        assert store.scan("s", prefix="a", after="a140", limit=2) == [
            ("a141", b"a141"),
            ("a142", b"a142"),
        ]
        assert [k for k, _ in store.scan("s", limit=1000)] == sorted(names)
        assert store.scan("s", prefix="zz", limit=5) == []
        assert store.scan("s", prefix="b", after="a", limit=5) == [("b", b"b")]

    def test_what_was_applied_is_there_after_reopening(self, make):
        store = self.opened(make, 1)
        store.apply(batch(1, 2, puts=[("s", "k", b"v")]))
        store.close()
        store = self.opened(make, 2)
        assert self.opening.head == 2
        assert [(e.origin[-1], e.previous_seq) for e in self.opening.epochs] == [("1", 0), ("2", 2)]
        assert self.opening.epochs[1].previous == "edge/0000000000000001"
        assert self.opening.hlc_ahead >= record(2).hlc
        assert [r.seq for r in store.read(0, limit=9)] == [1, 2]
        assert store.get("s", "k") == b"v"
        store.apply(batch(3, origin="edge/0000000000000002"))
        assert [r.origin for r in store.read(1, limit=9)] == [HERE, "edge/0000000000000002"]

    def test_another_nodes_directory_is_refused(self, make):
        self.opened(make).close()
        with pytest.raises(LogOfAnotherNode):
            make().open(origin="someone/0000000000000002")
        self.opened(make, 3).close()

    def test_a_directory_is_opened_once_at_a_time(self, make):
        self.opened(make)
        with pytest.raises(LogInUse):
            make().open(origin="edge/0000000000000002")

    def test_a_closed_store_refuses(self, make):
        store = self.opened(make)
        store.close()
        store.close()
        with pytest.raises(LogClosed):
            store.apply(batch(1))
        with pytest.raises(LogClosed):
            store.get("s", "k")

    def test_usage_counts_records_and_the_oldest_of_each_class(self, make):
        store = self.opened(make)
        store.apply(Batch([record(1, cls=EVENT), record(2), record(3)], []))
        usage = {u.cls: u for u in store.usage()}
        assert usage[TELEMETRY].records == 2 and usage[TELEMETRY].payload_bytes > 0
        assert usage[TELEMETRY].oldest_ms == 1002 and usage[EVENT].oldest_ms == 1001
        assert usage[ALARM].oldest_ms is None
        assert store.oldest() == 1 and store.oldest(TELEMETRY) == 2 and store.oldest(ALARM) == 4

    def test_a_loss_by_age_takes_only_what_is_older(self, make):
        store = self.opened(make)
        for seq in range(1, 11):
            store.apply(batch(seq))
        loss = store.losses(TELEMETRY, older_than_ms=1005, bytes_over=0, below=1 << 60)
        assert (loss.first, loss.up_to, loss.count) == (1, 4, 4)
        assert (loss.from_ms, loss.to_ms) == (1001, 1004)
        assert loss.origins == {HERE: (1, 4, 4)}
        assert store.losses(TELEMETRY, older_than_ms=1001, bytes_over=0, below=1 << 60) is None
        assert store.losses(EVENT, older_than_ms=9999, bytes_over=0, below=1 << 60) is None

    def test_a_loss_never_reaches_what_is_held(self, make):
        store = self.opened(make)
        for seq in range(1, 11):
            store.apply(batch(seq))
        loss = store.losses(TELEMETRY, older_than_ms=None, bytes_over=1 << 40, below=4)
        assert (loss.first, loss.up_to) == (1, 3)
        assert store.losses(TELEMETRY, older_than_ms=None, bytes_over=9, below=1) is None

    def test_a_loss_by_bytes_takes_no_more_than_it_must(self, make):
        store = self.opened(make)
        for seq in range(1, 11):
            store.apply(batch(seq))
        each = {u.cls: u for u in store.usage()}[TELEMETRY].payload_bytes / 10
        loss = store.losses(TELEMETRY, older_than_ms=None, bytes_over=int(each * 2.5), below=99)
        assert loss.count == 3 and loss.payload_bytes >= each * 2.5

    def test_dropping_a_class_leaves_the_others(self, make):
        store = self.opened(make)
        for start in (1, 5, 9):
            store.apply(
                Batch(
                    [record(s, cls=EVENT if s % 2 else TELEMETRY) for s in range(start, start + 4)],
                    [],
                )
            )
        store.drop(TELEMETRY, up_to=8)
        assert [r.seq for r in store.read(0, limit=99)] == [1, 3, 5, 7, 9, 10, 11, 12]
        assert store.oldest(TELEMETRY) == 10 and store.oldest() == 1
        assert store.dropped_to(TELEMETRY) == 8 and store.dropped_to(EVENT) == 0
        assert {u.cls: u.records for u in store.usage()}[TELEMETRY] == 2
        store.close()
        store = self.opened(make, 2)
        assert store.dropped_to(TELEMETRY) == 8 and store.oldest(TELEMETRY) == 10

    def test_seq_and_clock_go_on_even_if_everything_was_dropped(self, make):
        store = self.opened(make, 1)
        store.apply(batch(1, 2, 3))
        store.drop(TELEMETRY, up_to=3)
        store.close()
        store = self.opened(make, 2)
        assert self.opening.head == 3 and self.opening.hlc_ahead >= record(3).hlc
        assert store.read(0, limit=9) == [] and store.oldest() == 4

    @pytest.mark.slow
    def test_housekeeping_changes_nothing_that_can_be_read(self, make):
        store = self.opened(make)
        records = [
            record(
                s, cls=RecordClass(s % 5), origin=HERE if s % 2 else THERE,
                entity=f"thing:a:{s % 7}", revision=(s + 6) // 7, prev_seq=max(s - 7, 0), oseq=s,
            )
            for s in range(1, 9001)
        ]  # fmt: skip
        for start in range(0, 9000, 5):
            store.apply(Batch(records[start : start + 5], []))
        usage = [u.records for u in store.usage()]
        while store.maintain(sealed_to=8500):
            assert store.read(4321, limit=3) == records[4321:4324]
        assert store.read(0, limit=10_000) == records
        for after in (0, 1000, 4095, 4096, 4097, 8499, 8999):
            assert store.read(after, limit=11) == records[after : after + 11]
            assert (
                store.read(after, limit=3, cls=3) == [r for r in records[after:] if r.cls == 3][:3]
            )
        assert store.by_seq([77, 4096, 9000]) == [records[76], records[4095], records[8999]]
        assert [u.records for u in store.usage()] == usage

    @pytest.mark.slow
    def test_the_index_knows_what_it_says_it_knows(self, make):
        store = self.opened(make)
        records = [
            record(s, entity=f"thing:a:{s % 7}", revision=(s + 6) // 7) for s in range(1, 70_001)
        ]
        for start in range(0, 70_000, 500):
            store.apply(Batch(records[start : start + 500], []))
        while store.maintain(sealed_to=70_000):
            pass
        to = store.indexed_to()
        for first, last in ((1, 10_000), (1, 1), (4000, 4005), (6990, 7010)):
            assert store.sealed_history("thing:a:3", first=first, last=last) == [
                (r.revision, r.seq)
                for r in records[:to]
                if r.entity == "thing:a:3" and first <= r.revision <= last
            ]
        assert store.sealed_history("thing:a:none", first=1, last=10) == []

    def test_a_full_store_refuses_writes_and_still_reads(self, make, fill):
        store = self.opened(make)
        store.apply(batch(1, puts=[("s", "k", b"v")]))
        with fill(store):
            with pytest.raises(LogFull):
                store.apply(batch(2, value=NOISE, puts=[("s", "k", b"w")]))
            with pytest.raises(LogFull):
                store.probe()
            assert [r.seq for r in store.read(0, limit=9)] == [1]
            assert store.get("s", "k") == b"v"
        store.probe()
        store.apply(batch(3))
        assert [r.seq for r in store.read(0, limit=9)] == [1, 3]


class TestMemoryStore(StoreContract):
    @pytest.fixture
    def make(self) -> Callable[[], Store]:
        store = MemoryStore()
        return lambda: store

    @pytest.fixture
    def fill(self):
        @contextmanager
        def full(store):
            store.capacity_bytes = 0
            yield
            store.capacity_bytes = 1 << 40

        return full


class TestSqliteStore(StoreContract):
    @pytest.fixture
    def make(self, tmp_path):
        made = []

        def make() -> Store:
            made.append(SqliteStore(Directory(tmp_path / "log")))
            return made[-1]

        yield make
        for store in made:
            store.close()

    @pytest.fixture
    def fill(self):
        @contextmanager
        def full(store):
            write = store._write
            write.pragma("max_page_count", write.pragma("page_count"))
            yield
            write.pragma("max_page_count", 1 << 30)

        return full


class TestExclusiveSqliteStore(TestSqliteStore):
    """One connection, as in the simulator."""

    @pytest.fixture
    def make(self, tmp_path):
        made = []

        def make() -> Store:
            made.append(SqliteStore(Directory(tmp_path / "log"), exclusive=True))
            return made[-1]

        yield make
        for store in made:
            store.close()


class OverQuota(apsw.VFS):
    """Writes as the system does, until the quota is used up."""

    def __init__(self, name):
        self.used_up = self.sync_fails = False
        super().__init__(name, "")

    def xOpen(self, name, flags):  # noqa: N802  # apsw
        return OverQuotaFile(self, name, flags)

    def xGetLastError(self):  # noqa: N802  # calls
        return (errno.EDQUOT, "Disk quota exceeded") if self.used_up or self.sync_fails else (0, "")


class OverQuotaFile(apsw.VFSFile):
    def __init__(self, vfs, name, flags):
        self._vfs = vfs
        super().__init__("", name, flags)

    def xWrite(self, data, offset):  # noqa: N802  # them
        if self._vfs.used_up:
            error = apsw.IOError("quota")
            error.extendedresult = apsw.SQLITE_IOERR_WRITE
            raise error
        super().xWrite(data, offset)

    def xSync(self, flags):  # noqa: N802  # so
        if self._vfs.sync_fails:
            error = apsw.IOError("quota")
            error.extendedresult = apsw.SQLITE_IOERR_FSYNC
            raise error
        super().xSync(flags)


def test_a_used_up_quota_is_a_full_disk_unless_it_shows_in_a_sync(tmp_path):
    vfs = OverQuota("over-quota")
    store = SqliteStore(Directory(tmp_path / "log"), vfs="over-quota", exclusive=True)
    store.open(origin=Origin("edge/" + "a" * 16))
    try:
        store.apply(batch(1))
        vfs.used_up = True
        with pytest.raises(LogFull, match="quota"):
            store.apply(batch(2, value=NOISE))
        vfs.used_up = False
        store.probe()
        store.apply(batch(3))
        assert [r.seq for r in store.read(0, limit=9)] == [1, 3]
        vfs.sync_fails = True
        with pytest.raises(LogBroken):
            store.apply(batch(4, value=NOISE))
    finally:
        vfs.sync_fails = False
        store.close()
        vfs.unregister()
