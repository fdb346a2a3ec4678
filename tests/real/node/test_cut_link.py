"""A site whose cable to the cloud is cut goes on by itself, and catches up."""

import asyncio

import pytest

pytestmark = [pytest.mark.real, pytest.mark.slow, pytest.mark.timeout(120)]

FUNCTION = """
import littoral

@littoral.on("features/telemetry/properties/n", things="org.plant:sensor")
def react(ctx):
    ctx.command("org.plant:valve", "close", {"n": ctx.value})
"""
THINGS = "/api/2/things/org.plant:"
MESSAGES = 50


async def works_on_alone(world, cloud, site, sensor, valve_source):
    """What a site does while its link is cut; returns the device that came only then."""

    async def is_alone():
        return not (await world.uplink(site)).get("session", True)

    await world.until(is_alone, "the site notices")
    # Written in the cloud, for a thing that it cannot reach now.
    put = await world.request(
        cloud,
        "PUT",
        THINGS + "valve/features/telemetry/desiredProperties",
        json={"position": 7},
    )
    assert put.status_code in (201, 204), put.text
    # A command to the site is not stored for later: it fails, in its time.
    sent = await world.request(
        cloud, "POST", THINGS + "valve/inbox/messages/open?timeout=1s", json={}
    )
    assert sent.status_code in (408, 503), sent.text
    # A device that was never here before connects, although the cloud is away.
    late = world.device(site, "late")
    async with world.connected([late]):
        before = len(valve_source.commands)
        for _ in range(MESSAGES):
            sensor.publish()
            late.publish()
            await asyncio.sleep(0.002)
        await world.drained([sensor, late])
        await world.until(
            lambda: len(valve_source.commands) >= before + MESSAGES,
            "functions react with the cloud away",
        )
    assert (await world.uplink(site))["backlog_records"] >= 2 * MESSAGES
    answer = await world.request(site, "GET", "/readyz")
    assert answer.status_code == 200
    return late


def test_a_cut_off_site_works_on_and_both_sides_catch_up(world):
    async def run():
        cloud = world.cloud()
        await world.started(cloud)
        world.populate(cloud, ["sensor", "valve", "late"])
        cable = world.cable()
        await cable.mend()
        file = world.directory / "react.py"
        file.write_text(FUNCTION)
        site = world.site(cloud, "site", "--functions", str(file), link_port=cable.port)
        await world.started(site)
        await world.knows(site, "late")
        valve_source = world.Counting()
        sensor = world.device(site, "sensor", version=5, source=world.Counting(events=False))
        valve = world.device(site, "valve", source=valve_source)
        async with world.connected([sensor, valve]):
            valve.publish()
            sensor.publish()
            await world.drained([sensor, valve])
            await world.until(lambda: valve_source.commands, "a command with the cloud there")
            await world.synced(site)

            await cable.cut()

            late = await works_on_alone(world, cloud, site, sensor, valve_source)

            await cable.mend()
            await world.synced(site)

            async def has_come_down():
                path = THINGS + "valve/features/telemetry/desiredProperties/position"
                answer = await world.get(site, path)
                return answer is not None and answer.status_code == 200 and answer.json() == 7

            await world.until(has_come_down, "the desired property comes down")
            sent = await world.request(
                cloud, "POST", THINGS + "valve/inbox/messages/open?timeout=10s", json={}
            )
            assert sent.status_code == 200, sent.text
            assert sent.json() == {"done": "open"}
        cloud.stop()
        site.stop()
        return cloud, [sensor, valve, late]

    cloud, devices = world.play(run)
    total = world.judge(devices, world.stored(cloud))
    assert total.acknowledged == 2 + 2 * MESSAGES
    assert (total.lost, total.duplicated, total.out_of_order) == (0, 0, 0), total.examples


BLOCKS = """
import os, time
import littoral

@littoral.on("features/telemetry/properties/n", things="org.plant:*")
def count(ctx):
    if ctx.value == 20:
        time.sleep(3)
    ctx.merge("org.plant:tally", "/", {"features": {"seen": {"properties": {"pid": os.getpid(), "n": ctx.value}}}})
"""


def test_a_worker_that_is_killed_or_blocks_is_restarted_and_ingest_does_not_notice(world):
    async def run():
        file = world.directory / "count.py"
        file.write_text(BLOCKS)
        cloud = world.cloud("--functions", str(file))
        await world.started(cloud)
        world.populate(cloud, ["d1"])
        device = world.device(cloud, "d1", source=world.Counting(events=False))

        async def tally():
            answer = await world.get(cloud, THINGS + "tally/features/seen/properties")
            return answer.json() if answer is not None and answer.status_code == 200 else {}

        async def reaches(number):
            async def has():
                return (await tally()).get("n") == number

            await world.until(has, f"the function has seen {number}")

        async with world.connected([device]):
            device.publish()
            await world.drained([device])
            await reaches(1)
            first = world.worker_of(cloud)
            assert (await tally())["pid"] == first
            world.kill(first)
            for _ in range(18):
                device.publish()
            await world.drained([device])
            await reaches(19)
            assert world.worker_of(cloud) != first
            # The next one blocks the handler; nobody else waits.
            device.publish()
            await world.drained([device])
            loop = asyncio.get_running_loop()
            began = loop.time()
            for _ in range(100):
                device.publish()
                await world.drained([device])
            world.tell(f"100 acknowledgements in turn in {loop.time() - began:.2f} s meanwhile")
            assert (await tally())["n"] == 19, "it still blocks"
            await reaches(120)

    world.play(run)
