"""What the log costs: append, commit, page against row layout, read, replay, opening.

Run it: ``python bench/log_bench.py [--records N] [--directory DIR]``. Shared cores: read ratios.
"""

import argparse
import asyncio
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import apsw

from littoral.kernel.ids import NodeId, Origin
from littoral.log import Batch, Log, Put, Record
from littoral.log.adapters.committer import ThreadCommitter
from littoral.log.adapters.database import connect
from littoral.log.adapters.files import Directory
from littoral.log.adapters.sqlite import SqliteStore

BATCH = 500
THINGS = 1000
ORIGIN = Origin("bench/0000000000000001")


class Real:
    """Clock and entropy of this machine."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic_s(self) -> float:
        return time.monotonic()

    def token(self, size: int) -> bytes:
        return os.urandom(size)

    def uniform(self, low: float, high: float) -> float:
        return (low + high) / 2


def payload(number: int) -> bytes:
    """150 bytes of JSON, as a device would send them."""
    text = b'{"t":%d.%02d,"h":%d,"p":%d' % (number % 40, number % 97, number % 101, number * 7919)
    return text + b',"status":"' + b"%0*d" % (150 - len(text) - 13, number * 31337) + b'"}'


def record(seq: int) -> Record:
    number = seq % THINGS
    return Record(
        seq, seq << 16, None, 3, "thing.merged", f"thing:org.littoral:device-{number}",
        seq // THINGS + 1, max(seq - THINGS, 0), "/features/telemetry/properties", payload(seq),
        None, ORIGIN, seq,
    )  # fmt: skip


def timed(work: Callable[[], None]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def rows(directory: Path, records: list[Record]) -> float:
    """The layout that was not taken: a row per record."""
    connection = connect(str(directory / "rows.db"), vfs=None, exclusive=False, cache_kib=2048)
    connection.execute(
        "CREATE TABLE record(seq INTEGER PRIMARY KEY, hlc, device_time, cls, kind, entity, "
        "revision, prev_seq, path, value, headers, origin, oseq)"
    )
    insert = "INSERT INTO record VALUES " + ",".join(["(?,?,?,?,?,?,?,?,?,?,?,?,?)"] * 100)

    def work() -> None:
        for start in range(0, len(records), BATCH):
            connection.execute("BEGIN IMMEDIATE")
            for at in range(start, start + BATCH, 100):
                connection.execute(insert, [v for r in records[at : at + 100] for v in r])
            connection.execute("COMMIT")
            if start % 10_000 == 0:
                connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_RESTART)

    spent = timed(work)
    connection.close()
    return spent


def pages(directory: Path, records: list[Record], *, state: bool) -> float:
    store = SqliteStore(Directory(directory))
    store.open(origin=ORIGIN)

    def work() -> None:
        for start in range(0, len(records), BATCH):
            batch = records[start : start + BATCH]
            kept = [Put("state", r.entity, r.value * 6) for r in batch[::5]] if state else []
            store.apply(Batch(batch, kept))

    spent = timed(work)
    store.close()
    return spent


async def service(directory: Path, count: int) -> tuple[float, float, float, float]:
    """Append to durable through the service; (append us, records/s, open s, replay records/s)."""
    loop = asyncio.get_running_loop()
    clock = Real()

    def opened() -> Log:
        return Log.open(
            store=SqliteStore(Directory(directory)), committer=ThreadCommitter(loop), clock=clock,
            entropy=clock, node=NodeId("bench"), loop=loop,
        )  # fmt: skip

    log = opened()
    entities = [f"thing:org.littoral:device-{n}" for n in range(THINGS)]
    values = [payload(n) for n in range(THINGS)]
    last = [0] * THINGS
    best = 1.0
    start = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        keeper = group.create_task(log.run())
        for first in range(0, count, BATCH):
            began = time.perf_counter()
            for number in range(first, first + BATCH):
                n = number % THINGS
                last[n] = log.append(
                    3, "thing.merged", entities[n], number // THINGS + 1, last[n],
                    "/features/telemetry/properties", values[n],
                )  # fmt: skip
            best = min(best, (time.perf_counter() - began) / BATCH)
            await asyncio.sleep(0)
            if log.head - log.committed > 4 * BATCH:
                await log.wait()
        await log.wait()
        spent = time.perf_counter() - start
        keeper.cancel()
    await log.close()
    start = time.perf_counter()
    log = opened()
    opening = time.perf_counter() - start
    start = time.perf_counter()
    after = 0
    while found := log.read(after, limit=1000):
        after = found[-1].seq
    replay = log.head / (time.perf_counter() - start)
    await log.close()
    return best * 1e6, count / spent, opening, replay


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--records", type=int, default=200_000)
    arguments.add_argument("--directory", type=Path, default=None)
    chosen = arguments.parse_args()
    count = chosen.records - chosen.records % BATCH
    root = Path(tempfile.mkdtemp(prefix="littoral-bench-", dir=chosen.directory))
    try:
        records = [record(seq) for seq in range(1, count + 1)]
        table: list[tuple[str, str]] = []
        for name, spent in (
            ("store: a row per record, durable", rows(root, records)),
            (
                "store: a page per class and origin, durable",
                pages(root / "a", records, state=False),
            ),
            (
                "store: pages, and 100 keys of 900 B per batch",
                pages(root / "b", records, state=True),
            ),
        ):
            table.append((name, f"{count / spent:12,.0f} records/s"))
        append_us, rate, opening, replay = asyncio.run(service(root / "c", count))
        size = (root / "c" / "log.db").stat().st_size
        table += [
            ("service: one append, best batch", f"{append_us:12.2f} us"),
            ("service: append to durable, sealing beside it", f"{rate:12,.0f} records/s"),
            ("service: read back, pages from disk", f"{replay:12,.0f} records/s"),
            (f"service: opening with {count:,} records", f"{opening * 1000:12.1f} ms"),
            ("file per record of 150 B", f"{size / count:12.1f} B"),
        ]
        print(f"batch {BATCH}, values of 150 B, {count:,} records, synchronous=FULL")
        for name, figure in table:
            print(f"  {name:<48}{figure}")
    finally:
        shutil.rmtree(root)


if __name__ == "__main__":
    main()
