"""The real SQLite store under the log, on a disk whose power goes at every single operation."""

import asyncio
import random

import pytest

from littoral.kernel.ids import NodeId
from littoral.log import Log, LogBroken
from littoral.log.adapters.sqlite import SqliteStore
from littoral.simulate import (
    Disk,
    DiskFiles,
    SeededEntropy,
    VirtualClock,
    VirtualCommitter,
    run,
)

REMOTE = "other/00000000000000aa"
WRITES = 14


class Machine:
    """A disk, and a log that is opened on it again and again."""

    def __init__(self, seed, store=SqliteStore):
        self.loop = asyncio.get_running_loop()
        self.source = random.Random(seed)
        self.disk = Disk(self.source, on_power_cut=self.die)
        self.make = store
        self.store = None
        self.files = None
        self.committer = None

    def die(self):
        if self.committer is not None:
            self.committer.die()

    def bury(self):
        """Let go of what a dead process held."""
        if self.store is not None:
            self.store.close()
            self.files.close()

    def boot(self):
        self.bury()
        self.disk.power_on()
        self.files = DiskFiles(self.disk)
        self.store = self.make(self.files, vfs=self.files.vfs, exclusive=True)
        self.committer = VirtualCommitter(self.loop, self.source, latency_s_max=0.004)
        return Log.open(
            store=self.store,
            committer=self.committer,
            clock=VirtualClock(self.loop),
            entropy=SeededEntropy(self.source),
            node=NodeId("box"),
            loop=self.loop,
        )


def ignore(error):
    """Housekeeping on a dead disk may fail; on a living one it may not."""
    assert error is None


async def write(machine, log, acknowledged):
    """Append, one batch after the other; note down what was acknowledged while there was power."""
    disk, store = machine.disk, machine.store

    def told(seqs, key):
        def callback(error):
            if error is None and disk.power:
                acknowledged.update(seqs)
                acknowledged["kv"] = key

        return callback

    for n in range(WRITES):
        first = log.head + 1
        for _ in range(1 + n % 3):
            log.append(n % 4, "thing.merged", f"thing:a:{n % 2}", n, 0, "/", b'{"n":%d}' % n)
        log.put("space", "key", b"%d" % n)
        if n % 5 == 4:
            record = log.read(0, limit=1)[0] if log.committed else None
            if record is not None:
                oseq = log.high_water(REMOTE, record.cls) + 1
                log.append_remote(record._replace(origin=REMOTE, oseq=oseq), n, 0)
        seqs = dict.fromkeys(range(first, log.head + 1), n)
        log.on_commit(told(seqs, n))
        if n % 6 == 3:
            log._committer.run(lambda: store.maintain(sealed_to=log.committed), ignore)
        if n == 9:
            log._committer.run(lambda: store._checkpoint(store._write), ignore)
        await asyncio.sleep(0.001 * (n % 3) + 0.0005)
        if not disk.power:
            return
    await asyncio.sleep(0.1)


def check(log, acknowledged):
    """Everything acknowledged is there; what is there is whole and in order."""
    records = log.read(0, limit=10_000)
    seqs = [record.seq for record in records]
    assert seqs == sorted(set(seqs))
    by_seq = {record.seq: record for record in records}
    for seq, n in acknowledged.items():
        if seq == "kv":
            assert int(log.get("space", "key") or -1) >= n
        else:
            assert seq in by_seq, f"{seq} was acknowledged and is lost"
    identities = [(record.origin, record.cls, record.oseq) for record in records]
    assert len(identities) == len(set(identities))
    for cls in range(5):
        remote = [r.oseq for r in records if r.origin == REMOTE and r.cls == cls]
        assert log.high_water(REMOTE, cls) == max(remote, default=0)
    assert log.opened.salvage is None


def crash_at(operation, seed, store=SqliteStore):
    """Return whether the power went before the workload was over."""

    async def main():
        machine = Machine(seed * 100_000 + operation, store)
        try:
            return await live_and_die(machine, operation)
        finally:
            machine.bury()

    return run(main)


async def live_and_die(machine, operation):
    acknowledged = {}
    machine.disk.cut_after(operation)
    log = machine.boot()
    await write(machine, log, acknowledged)
    went = not machine.disk.power
    if not went:
        machine.disk.cut_power()
    machine.die()
    log = machine.boot()
    machine.disk.spare()
    check(log, acknowledged)
    again = {}
    await write(machine, log, again)
    assert sum(1 for key in again if key != "kv") >= WRITES
    epochs = [epoch.origin for epoch in log.opened.epochs]
    assert len(epochs) == len(set(epochs))
    await log.close()
    check(machine.boot(), {**acknowledged, **again})
    return went


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_the_store_keeps_what_it_acknowledged_at_a_crash_at_any_operation(seed):
    operation = 1
    while crash_at(operation, seed):
        operation += 1
    assert operation > 100


class Forgetful(SqliteStore):
    """A planted bug: it acknowledges what it has not synced."""

    def _connect(self, name):
        connection = super()._connect(name)
        connection.pragma("synchronous", "off")
        return connection


def test_a_store_that_does_not_sync_is_caught():
    caught = 0
    for operation in range(40, 140):
        try:
            crash_at(operation, 0, Forgetful)
        except (AssertionError, LogBroken):
            caught += 1
    assert caught > 10
