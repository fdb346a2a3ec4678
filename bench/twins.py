"""What one synchronous command on a thing costs: decide, append, apply; in µs, without the disk.

20,000 things of ~1 kB, touched at random; the commits run in a thread between the rounds and are
not counted.

    .venv/bin/python bench/twins.py [--json]
"""

import asyncio
import gc
import itertools
import random
import tempfile
import time
from pathlib import Path

from figures import Figure, report
from littoral.app.world import SystemClock, SystemEntropy
from littoral.kernel import json
from littoral.kernel.ids import NodeId, Subject
from littoral.log import Log
from littoral.log.adapters.committer import ThreadCommitter
from littoral.log.adapters.files import Directory
from littoral.log.adapters.sqlite import SqliteStore
from littoral.registry import Registry
from littoral.registry.adapters.argon2 import InlineArgon2Hasher
from littoral.rql import parse
from littoral.twin import Caller, Conditions, IfEqual, MetadataPut, Twins, fields

THINGS = 20_000
ROUNDS, ROUND = 40, 250
TARGET_US = 40.0
TARGETS_US = {"modify the whole thing": 100.0, "modify a property with metadata": 60.0}
"""What has to take the whole document apart, and put it together again, may cost more."""
POLICY = "org.bench:p"
ME = Caller(frozenset({Subject("nginx:bench")}))
PROPERTY = "/features/motor/properties/temperature"


_NUMBERS = itertools.count(1000)
"""No value is written twice."""


def thing(number):
    """About 1 kB."""
    reading = {f"axis{axis}": round(number * 0.37 + axis, 3) for axis in range(12)}
    return {
        "policyId": POLICY,
        "definition": "org.bench:pump:1.0.0",
        "attributes": {
            "site": f"s{number % 10}",
            "model": "P-4711",
            "location": {"lat": 52.5 + number / 1e5, "lon": 13.4, "floor": 2},
            "note": "x" * 500,
        },
        "features": {
            "motor": {"properties": {"temperature": 20.5, "running": True, **reading}},
            "battery": {"properties": {"battery": number % 100, "cycles": number}},
        },
    }


POLICY_BODY = {
    "entries": {
        "owner": {
            "subjects": {"nginx:bench": {"type": "bench"}},
            "resources": {
                f"{kind}:/": {"grant": ["READ", "WRITE"], "revoke": []}
                for kind in ("thing", "policy", "message")
            },
        }
    }
}


async def measure(log, work):
    """CPU µs of one call of ``work(thing id, number)``, the median of the rounds."""
    rng = random.Random(7)
    numbers = _NUMBERS
    times = []
    for _ in range(ROUNDS):
        calls = [(f"org.bench:t{rng.randrange(THINGS)}", next(numbers)) for _ in range(ROUND)]
        began = time.thread_time()
        for thing_id, number in calls:
            work(thing_id, number)
        times.append((time.thread_time() - began) / ROUND * 1e6)
        await log.wait()
    return sorted(times)[len(times) // 2]


async def main():
    loop = asyncio.get_running_loop()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)  # as a node does
    with tempfile.TemporaryDirectory() as directory:
        clock, entropy = SystemClock(), SystemEntropy()
        log = Log.open(
            store=SqliteStore(Directory(Path(directory))),
            committer=ThreadCommitter(loop),
            clock=clock,
            entropy=entropy,
            node=NodeId("bench"),
            loop=loop,
        )
        twins = Twins(log, Registry(log, InlineArgon2Hasher(entropy), clock, entropy), clock)
        await twins.put_policy(ME, POLICY, "/", POLICY_BODY)
        things = twins.things
        for number in range(THINGS):
            things.modify(ME, f"org.bench:t{number}", "/", thing(number))
            if number % 500 == 0:
                await log.wait()
        await log.wait()
        size = len(json.encode(twins.peek("org.bench:t7")))
        condition = Conditions(condition=parse("gt(features/motor/properties/temperature,1)"))
        skip = Conditions(if_equal=IfEqual.SKIP_MINIMIZING_MERGE)
        annotate = Conditions(put_metadata=(MetadataPut("unit", "C"),))
        tree = fields.parse("thingId,attributes(site,location/lat),features/*/properties,_revision")
        whole = thing(7)
        patch = {"temperature": 1.5, "axis3": 7}
        works = {
            "modify a property": lambda t, n: things.modify(ME, t, PROPERTY, n),
            "modify an attribute to an object": lambda t, n: things.modify(
                ME, t, "/attributes/location", {"lat": n, "lon": 1}
            ),
            "modify the whole thing": lambda t, n: things.modify(ME, t, "/", whole),
            "merge properties": lambda t, n: things.merge(
                ME, t, "/features/motor/properties", patch
            ),
            "merge the thing": lambda t, n: things.merge(
                ME, t, "/", {"features": {"motor": {"properties": {"temperature": n}}}}
            ),
            "modify a property under a condition": lambda t, n: things.modify(
                ME, t, PROPERTY, n, conditions=condition
            ),
            "merge, minimising": lambda t, n: things.merge(
                ME, t, "/features/motor/properties", {"temperature": n}, conditions=skip
            ),
            "retrieve a property": lambda t, n: things.retrieve(ME, t, PROPERTY),
            "retrieve the thing": lambda t, n: things.retrieve(ME, t),
            "retrieve selected fields": lambda t, n: twins.select(ME, things.retrieve(ME, t), tree),
            "modify a property with metadata": lambda t, n: things.modify(
                ME, t, PROPERTY, n, conditions=annotate
            ),
            "modify a property that has metadata": lambda t, n: things.modify(ME, t, PROPERTY, n),
        }
        figures = [
            Figure(
                f"twins: {name}",
                round(await measure(log, work), 1),
                "µs",
                TARGETS_US.get(name, TARGET_US),
                detail=f"{THINGS:,} things of {size} bytes, at random",
            )
            for name, work in works.items()
        ]
        await log.close()
    report(figures)


if __name__ == "__main__":
    asyncio.run(main())
