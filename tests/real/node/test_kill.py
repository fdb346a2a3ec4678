"""SIGKILL to a cloud, a site and a functions worker at random moments, under load.

More of it: ``make kills KILLS=500``.
"""

import asyncio
import os
import signal
from contextlib import suppress
from random import Random
from time import perf_counter

import pytest

pytestmark = [pytest.mark.real, pytest.mark.slow, pytest.mark.timeout(180)]

AT_SITE, AT_CLOUD = 16, 6
RATE = 15.0

FUNCTION = """
import littoral

@littoral.on("features/telemetry/properties", things="org.plant:*")
def watch(ctx):
    ctx.merge(ctx.thing_id, "/features/seen/properties", {"n": (ctx.value or {}).get("n")})
"""


async def load(devices, random):
    """Publish at a steady rate until cancelled, whether anybody takes it or not."""
    while True:
        random.choice(devices).publish()
        await asyncio.sleep(1 / (RATE * len(devices)))


class Killer:
    """Kills one process after the other, also while it starts, and starts it again."""

    def __init__(self, world, cloud, site, random):
        self.world, self.cloud, self.site, self.random = world, cloud, site, random
        self.killed = {"cloud": 0, "site": 0, "worker": 0}
        self.restarts = []

    async def kill(self):
        victim = self.random.choice(("cloud", "cloud", "site", "site", "worker"))
        if victim == "worker":
            pid = await self.world.until(
                lambda: self.world.worker_of(self.site), "the worker comes back"
            )
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        else:
            node = self.cloud if victim == "cloud" else self.site
            node.kill()
            await asyncio.sleep(self.random.choice((0.0, 0.0, 0.3)))
            node.start()
            if self.random.random() < 0.5:
                began = perf_counter()
                await self.world.ready(node)
                self.restarts.append(perf_counter() - began)
        self.killed[victim] += 1
        await asyncio.sleep(self.random.uniform(0.05, 0.9))


def test_what_was_acknowledged_is_in_the_cloud_once_and_in_order(world, seed, kills):
    random = Random(seed)

    async def run():
        cloud = world.cloud()
        await world.started(cloud)
        names = [f"d{number}" for number in range(AT_SITE + AT_CLOUD)]
        world.populate(cloud, names)
        file = world.directory / "watch.py"
        file.write_text(FUNCTION)
        site = world.site(cloud, "site", "--functions", str(file))
        await world.started(site)
        await world.knows(site, names[AT_SITE - 1])
        devices = [
            world.device(site if number < AT_SITE else cloud, name, version=4 + number % 2)
            for number, name in enumerate(names)
        ]
        killer = Killer(world, cloud, site, random)
        async with world.connected(devices), asyncio.TaskGroup() as group:
            publishing = group.create_task(load(devices, random))
            for _ in range(kills):
                await killer.kill()
            publishing.cancel()
            await world.ready(cloud)
            await world.ready(site)
            await world.drained(devices)
            await world.until(
                lambda: functions_have_seen(world, site, devices[:AT_SITE]),
                "the function has seen the newest readings",
            )
            await world.synced(site)
        cloud.stop()
        site.stop()
        return devices, cloud, site, killer

    devices, cloud, site, killer = world.play(run)
    in_cloud, at_site = world.stored(cloud), world.stored(site)
    total = world.judge(devices, in_cloud)
    world.tell(
        f"killed {killer.killed}, ready again after {[round(s, 2) for s in killer.restarts]} s"
    )
    world.tell(f"{total}, resent {sum(device.resent for device in devices)}")
    assert sum(killer.killed.values()) == kills
    assert total.acknowledged > 100
    assert (total.lost, total.duplicated, total.out_of_order) == (0, 0, 0), total.examples
    mine = world.judge(devices[:AT_SITE], at_site)
    assert (mine.lost, mine.duplicated, mine.out_of_order) == (0, 0, 0), mine.examples
    held = {(record.origin, record.oseq) for record in in_cloud}
    missing = [
        record
        for record in at_site
        if record.origin.startswith("site/") and (record.origin, record.oseq) not in held
    ]
    assert not missing, missing[:3]


async def functions_have_seen(world, site, devices):
    """Whether the function has written down each device's newest telemetry."""
    for device in devices:
        newest = max((n for n in device.acknowledged if n % 3), default=0)
        answer = await world.get(site, f"/api/2/things/{device.spec.thing_id}/features")
        if answer is None or answer.status_code != 200:
            return False
        seen = answer.json().get("seen", {}).get("properties", {}).get("n", 0)
        if newest and seen < newest:
            return False
    return True
