"""Catch-up after an outage: records a second from link up until the cloud holds the site's old head.

The site's cable is cut, the load generator fills the site's log, the cable is mended.

    .venv/bin/python bench/catchup.py [--json] [--seconds S]
"""

import asyncio
import sys
import tempfile
from pathlib import Path
from time import perf_counter

import msgspec
import uvloop

from figures import Figure, report
from littoral.app.bench.model import Identity, LoadPlan, LoadReport
from littoral.app.bench.peers import run_generator
from littoral.app.demo import stage
from littoral.app.demo.observe import Observer
from littoral.app.demo.stage import CASTS

DEVICES = 200
POLL_S = 0.01
TIMEOUT_S = 120.0


async def until(is_so):
    async with asyncio.timeout(TIMEOUT_S):
        while not await is_so():  # noqa: ASYNC110  # it is another process that changes
            await asyncio.sleep(POLL_S)


async def measure(directory, seconds):
    observer = Observer()
    built = stage.build(directory)
    cast = CASTS[0]
    try:
        built.cloud.start()
        await until(lambda: observer.is_ready(built.cloud))
        stage.populate(built.cloud, {one.site: DEVICES for one in CASTS})
        await built.cable.mend()
        site = stage.add_site(built, directory, cast, None)
        site.start()
        await until(lambda: observer.is_ready(site))
        names = stage.names(cast, DEVICES)
        await until(lambda: observer.has_device(site, cast.tenant, names[-1]))
        await built.cable.cut()
        identities = tuple(
            Identity(name, "telemetry", f"{name}@{cast.tenant}", stage.secret_of(name))
            for name in names
        )
        plan = LoadPlan("127.0.0.1", site.mqtt_port, identities, warmup_s=0.0, measure_s=seconds)
        loaded = msgspec.json.decode(
            await run_generator(msgspec.json.encode(plan)), type=LoadReport
        )
        before = (await observer.status(built.cloud)).links[cast.site].applied_records
        await built.cable.mend()

        async def is_up():
            status = await observer.status(site)
            return status is not None and status.uplink is not None and status.uplink.session

        await until(is_up)
        up_at = perf_counter()
        behind = (await observer.status(site)).uplink.backlog_records

        async def is_caught_up():
            status = await observer.status(built.cloud)
            return status is not None and status.links[cast.site].applied_records - before >= behind

        await until(is_caught_up)
        return behind, perf_counter() - up_at, loaded
    finally:
        for node in built.nodes:
            node.kill()
        await built.cable.cut()
        await observer.close()


def main():
    seconds = float(sys.argv[sys.argv.index("--seconds") + 1]) if "--seconds" in sys.argv else 5.0
    with tempfile.TemporaryDirectory(prefix="littoral-bench-") as directory:
        behind, took_s, loaded = uvloop.run(measure(Path(directory), seconds))
    detail = f"{behind:,} records in {took_s:.2f} s; {loaded.acknowledged_total:,} acknowledged meanwhile"
    figure = Figure(
        "catch-up after an outage",
        behind / took_s,
        "records/s",
        20_000,
        at_least=True,
        detail=detail,
    )
    report([figure])


if __name__ == "__main__":
    main()
