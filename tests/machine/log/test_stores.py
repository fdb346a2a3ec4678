"""SQLite against memory: any history of commits, failures, drops, crashes and openings."""

import random
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from littoral.kernel.time import hlc_of
from littoral.log import Batch, LogFull, Put, Record, RecordClass
from littoral.log.adapters.files import Directory
from littoral.log.adapters.memory import MemoryStore
from littoral.log.adapters.sqlite import SqliteStore

SPACES = ("state", "hw")
KEYS = ("a", "ab", "b", "ü", "thing:a:b")
ORIGINS = ("cloud/00000000000000aa", "other/00000000000000bb")

puts = st.lists(
    st.builds(
        Put, st.sampled_from(SPACES), st.sampled_from(KEYS), st.none() | st.binary(max_size=20)
    ),
    max_size=5,
    unique_by=lambda put: put[:2],
)


class TwoStores(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.directory = Path(tempfile.mkdtemp(prefix="littoral-log-"))
        self.openings = 0
        self.seq = 0
        self.clock = 1000
        self.revisions: dict[str, int] = {}
        self.memory = MemoryStore()
        self.sqlite = None
        self.chains: dict[str, list[Record]] = {}

    @initialize()
    def open(self):
        self.openings += 1
        self.origin = f"edge/{self.openings:016x}"
        self.sqlite = SqliteStore(Directory(self.directory), exclusive=self.openings % 2 == 0)
        here = self.sqlite.open(origin=self.origin)
        there = self.memory.open(origin=self.origin)
        assert here == there
        self.seq = max(self.seq, here.head)

    def make(self, size, seed):
        """Some records and where they come from; seqs have a gap where a commit failed."""
        source = random.Random(seed)
        found = []
        for n in range(size):
            seq = self.seq + 1 + n
            self.clock += source.randrange(3)
            entity = f"thing:a:{source.randrange(4)}"
            revision = self.revisions[entity] = self.revisions.get(entity, 0) + 1
            remote = source.random() < 0.3
            found.append(
                Record(
                    seq, hlc_of(self.clock) + n, source.choice((None, 5, -1)), source.randrange(5),
                    "thing.merged", entity, revision, 0, "/features", source.randbytes(9),
                    source.choice((None, {"id": "x"})),
                    source.choice(ORIGINS) if remote else self.origin,
                    seq + 1000 if remote else seq,
                )
            )  # fmt: skip
        self.seq += size
        return found

    @rule(size=st.integers(0, 40), times=st.integers(1, 4), seed=st.integers(0, 1 << 32), kv=puts)
    def commit(self, size, times, seed, kv):
        for n in range(times):
            batch = Batch(self.make(size, seed + n), list(kv), None)
            self.sqlite.apply(batch)
            self.memory.apply(batch)

    @rule(seed=st.integers(0, 1 << 32))
    def commit_many(self, seed):
        """Enough to be sealed."""
        for n in range(10):
            batch = Batch(self.make(450, seed + n), [], None)
            self.sqlite.apply(batch)
            self.memory.apply(batch)

    @rule(size=st.integers(1, 5), seed=st.integers(0, 1 << 32), kv=puts)
    def fail_to_commit(self, size, seed, kv):
        noise = random.Random(seed).randbytes(300_000)
        records = [r._replace(value=noise) for r in self.make(size, seed)]
        write = self.sqlite._write
        write.pragma("max_page_count", write.pragma("page_count"))
        free = write.pragma("freelist_count") * 4096
        capacity, self.memory.capacity_bytes = self.memory.capacity_bytes, 0
        if free < 200_000:
            with pytest.raises(LogFull):
                self.sqlite.apply(Batch(records, list(kv), 99))
        with pytest.raises(LogFull):
            self.memory.apply(Batch(records, list(kv), 99))
        write.pragma("max_page_count", 1 << 30)
        self.memory.capacity_bytes = capacity

    @rule()
    def close_and_open(self):
        self.sqlite.close()
        self.memory.close()
        self.open()

    @rule()
    def kill_and_open(self):
        """The process is gone: nothing is closed, the kernel lets go of the lock."""
        self.sqlite._files.unlock()
        self.leave = (self.sqlite._write, self.sqlite._reader)
        frozen = {p.name: p.read_bytes() for p in self.directory.iterdir()}
        self.sqlite.close()
        for path in self.directory.iterdir():
            path.unlink()
        for name, data in frozen.items():
            (self.directory / name).write_bytes(data)
        self.memory.close()
        self.open()

    @rule(pieces=st.integers(1, 30))
    def housekeep(self, pieces):
        for _ in range(pieces):
            if not self.sqlite.maintain(sealed_to=self.seq):
                break

    @rule(cls=st.sampled_from(RecordClass), part=st.floats(0.01, 1), held=st.floats(0, 1.2))
    def drop(self, cls, part, held):
        used = {u.cls: u for u in self.sqlite.usage()}[cls].payload_bytes
        below = int(self.seq * held)
        loss = self.sqlite.losses(
            cls, older_than_ms=None, bytes_over=max(int(used * part), 1), below=below
        )
        if loss is None:
            return
        mine = [r for r in self.memory.read(0, limit=1 << 30, cls=cls) if r.seq <= loss.up_to]
        assert (len(mine), mine[0].seq, mine[-1].seq) == (loss.count, loss.first, loss.up_to)
        assert loss.up_to < below
        assert sum(count for _, _, count in loss.origins.values()) == loss.count
        self.sqlite.drop(cls, up_to=loss.up_to)
        self.memory.drop(cls, up_to=loss.up_to)

    @rule(
        after=st.floats(0, 1.1),
        limit=st.integers(1, 50),
        cls=st.none() | st.sampled_from(RecordClass),
        origin=st.sampled_from((None, "own", *ORIGINS)),
    )
    def read(self, after, limit, cls, origin):
        question = {
            "limit": limit, "cls": cls, "origin": self.origin if origin == "own" else origin
        }  # fmt: skip
        at = int(self.seq * after)
        assert self.sqlite.read(at, **question) == self.memory.read(at, **question)

    @rule(seed=st.integers(0, 1 << 32))
    def read_by_seq(self, seed):
        source = random.Random(seed)
        seqs = [source.randrange(self.seq + 2) for _ in range(20)]
        assert self.sqlite.by_seq(seqs) == self.memory.by_seq(seqs)

    @rule(prefix=st.sampled_from(("", "a", "t")), after=st.sampled_from(("", *KEYS)))
    def scan(self, prefix, after):
        for space in SPACES:
            for limit in (1, 2, 100):
                question = {"prefix": prefix, "after": after, "limit": limit}
                assert self.sqlite.scan(space, **question) == self.memory.scan(space, **question)
                for key in KEYS:
                    assert self.sqlite.get(space, key) == self.memory.get(space, key)

    @rule(entity=st.sampled_from(["thing:a:0", "thing:a:3"]), first=st.floats(0, 1))
    def history(self, entity, first):
        """The index may still name what was dropped, and names everything else up to its end."""
        last = self.revisions.get(entity, 0)
        start = int(last * first)
        known = dict(self.sqlite.sealed_history(entity, first=start, last=last))
        for record in self.memory.read(0, limit=1 << 30):
            if (
                record.entity == entity
                and start <= record.revision <= last
                and record.seq <= self.sqlite.indexed_to()
            ):
                assert known[record.revision] == record.seq

    @invariant()
    def the_rest_is_equal(self):
        if self.sqlite is None:
            return
        assert [u.records for u in self.sqlite.usage()] == [u.records for u in self.memory.usage()]
        for cls in (None, *RecordClass):
            assert self.sqlite.oldest(cls) == self.memory.oldest(cls)
        for cls in RecordClass:
            assert self.sqlite.dropped_to(cls) == self.memory.dropped_to(cls)

    def teardown(self):
        if self.sqlite is not None:
            everything = self.memory.read(0, limit=1 << 30)
            assert self.sqlite.read(0, limit=1 << 30) == everything
            self.sqlite.close()
        shutil.rmtree(self.directory)


TwoStores.TestCase.settings = settings(
    max_examples=25,
    stateful_step_count=25,
    deadline=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),  # shrinking real files takes minutes
    suppress_health_check=list(HealthCheck),
)
TestTwoStores = pytest.mark.slow(TwoStores.TestCase)
