"""How long twins take to open: 100,000 telemetry records over 1,000 things that no state has seen.

That is the most that an opening replays (`REPLAY_RECORDS_MAX`).

    .venv/bin/python bench/replay.py [--json]
"""

import asyncio
import json
import tempfile
import time
from pathlib import Path

from figures import Figure, report
from littoral.app.world import SystemClock, SystemEntropy
from littoral.kernel.ids import NodeId
from littoral.log import REPLAY_RECORDS_MAX, Log, RecordClass
from littoral.log.adapters.committer import ThreadCommitter
from littoral.log.adapters.files import Directory
from littoral.log.adapters.sqlite import SqliteStore
from littoral.registry import Registry
from littoral.registry.adapters.argon2 import InlineArgon2Hasher
from littoral.twin import Twins

THINGS = 1_000
BATCH = 1_000
TARGET_S = 2.0
PATH = "/features/telemetry/properties"


def payload(number):
    """150 bytes, as the benchmarks of the doors send them."""
    reading = {f"axis{axis}": round(number * 0.37 + axis, 3) for axis in range(7)}
    return json.dumps(reading | {"n": number, "state": "running", "mode": "auto"}).encode()


def opened(directory, loop):
    return Log.open(
        store=SqliteStore(Directory(directory)),
        committer=ThreadCommitter(loop),
        clock=SystemClock(),
        entropy=SystemEntropy(),
        node=NodeId("bench"),
        loop=loop,
    )


async def write(log):
    last = [0] * THINGS
    for number in range(REPLAY_RECORDS_MAX):
        thing, revision = number % THINGS, number // THINGS + 1
        thing_id = f"org.bench:thing-{thing:04d}"
        entity = f"thing:{thing_id}"
        if revision == 1:
            body = json.dumps({"thingId": thing_id, "policyId": "org.bench:p"}).encode()
            cls, kind, path = RecordClass.STATE, "thing.created", "/"
        else:
            body = payload(number)
            cls, kind, path = RecordClass.TELEMETRY, "thing.merged", PATH
        headers = {"id": str(number)}
        last[thing] = log.append(
            int(cls), kind, entity, revision, last[thing], path, body, None, headers
        )
        if number % BATCH == BATCH - 1:
            await log.wait()


async def measure(directory):
    loop = asyncio.get_running_loop()
    log = opened(directory, loop)
    await write(log)
    await log.close()
    log = opened(directory, loop)
    entropy, clock = SystemEntropy(), SystemClock()
    registry = Registry(log, InlineArgon2Hasher(entropy), clock, entropy)
    began = time.perf_counter()
    twins = Twins(log, registry, clock)
    took = time.perf_counter() - began
    assert twins.revision_of("org.bench:thing-0999") == REPLAY_RECORDS_MAX // THINGS
    await log.close()
    return took


def main():
    with tempfile.TemporaryDirectory(prefix="littoral-bench-") as directory:
        took = asyncio.run(measure(Path(directory)))
    detail = f"{REPLAY_RECORDS_MAX / took:,.0f} records/s, {THINGS:,} things, 150 bytes, with ids"
    report([Figure("replay of 100,000 records", took, "s", TARGET_S, detail=detail)])


if __name__ == "__main__":
    main()
