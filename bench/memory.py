"""Memory of one more hot thing: 1 kB of JSON with 57 leaves, traced by tracemalloc in the node's own parts.

The node is composed as `littoral up` composes it, without doors. The figure is the slope between
two numbers of things, so that what a node holds anyway (the log's tail, caches) does not count.

    .venv/bin/python bench/memory.py [--json]
"""

import asyncio
import gc
import json
import tempfile
import tracemalloc
from pathlib import Path

from figures import Figure, report
from littoral.app.world import SystemClock, SystemEntropy
from littoral.log.adapters.committer import ThreadCommitter
from littoral.log.adapters.files import Directory
from littoral.log.adapters.sqlite import SqliteStore
from littoral.node import NodeConfig, NodePorts, compose
from littoral.registry.adapters.argon2 import InlineArgon2Hasher
from littoral.twin import Caller

FIRST = 5_000
SECOND = 15_000
BATCH = 250
TARGET_BYTES = 4000


def document(number):
    """57 leaves, 1 kB."""
    features = {
        f"axis{axis}": {
            "properties": {
                name: round(number * 0.37 + axis + place, 2)
                for place, name in enumerate(("pos", "vel", "acc", "torq", "temp", "volt", "amps"))
            }
        }
        for axis in range(7)
    }
    attributes = {"serial": f"SN-{number:08d}", "model": "arm-7", "site": "hall-3", "line": 4}
    attributes |= {"owner": "plant", "fw": "1.4.2", "year": 2026}
    made = {"policyId": "org.bench:default", "attributes": attributes, "features": features}
    assert leaves(made) == 57
    return made


def leaves(value):
    return sum(leaves(one) for one in value.values()) if isinstance(value, dict) else 1


async def grow(node, caller, first, last):
    for start in range(first, last, BATCH):
        async with asyncio.TaskGroup() as group:
            for number in range(start, min(start + BATCH, last)):
                thing_id = f"org.bench:thing-{number:06d}"
                group.create_task(node.twins.modify(caller, thing_id, "/", document(number)))


async def measure(directory):
    loop = asyncio.get_running_loop()
    entropy = SystemEntropy()
    ports = NodePorts(
        clock=SystemClock(),
        entropy=entropy,
        scheduler=loop,
        store=SqliteStore(Directory(directory)),
        committer=ThreadCommitter(loop),
        hasher=InlineArgon2Hasher(entropy),
    )
    node = compose(NodeConfig(data_dir=str(directory)), ports)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(node.run())
        caller = Caller(frozenset({"nginx:devops"}), unrestricted=True)
        entries = {
            "all": {
                "subjects": {"nginx:devops": {"type": "bench"}},
                "resources": {
                    "thing:/": {"grant": ["READ", "WRITE"], "revoke": []},
                    "policy:/": {"grant": ["READ", "WRITE"], "revoke": []},
                },
            }
        }
        await node.twins.put_policy(caller, "org.bench:default", "/", {"entries": entries})
        await grow(node, caller, 0, FIRST)
        tracemalloc.start()
        await grow(node, caller, FIRST, FIRST + 500)  # so that the tail is traced in both readings
        before = await settled(node)
        await grow(node, caller, FIRST + 500, SECOND)
        after = await settled(node)
        running.cancel()
    await node.close()
    return (after - before) / (SECOND - FIRST - 500)


async def settled(node):
    """Traced bytes when the snapshots of all things are written."""
    node.twins.flush()
    await node.log.wait()
    for _ in range(20):
        await asyncio.sleep(0.05)
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


def main():
    size = len(json.dumps(document(12345), separators=(",", ":")))
    with tempfile.TemporaryDirectory(prefix="littoral-bench-") as directory:
        each = asyncio.run(measure(Path(directory)))
    detail = f"{size} bytes of JSON, 57 leaves; slope between {FIRST:,} and {SECOND:,} things"
    report([Figure("memory per additional hot thing", each / 1000, "kB", 4.0, detail=detail)])


if __name__ == "__main__":
    main()
