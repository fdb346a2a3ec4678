"""Nodes whose files were damaged, or are a copy of what they once were."""

import asyncio
import os
import shutil
from random import Random

import apsw
import pytest

pytestmark = [pytest.mark.real, pytest.mark.slow, pytest.mark.timeout(120)]

MESSAGES = 600


async def publish(world, devices, count):
    """Each device publishes ``count`` messages, and waits until they are acknowledged."""
    async with world.connected(devices):
        for _ in range(count):
            for device in devices:
                device.publish()
            await asyncio.sleep(0)
        await world.drained(devices)


def database_of(directory):
    return directory / "log.db"


def flip(file, random):
    """Turn bits over in three pages of records."""
    connection = apsw.Connection(str(file))
    blobs = [blob for (blob,) in connection.execute("SELECT blob FROM page") if len(blob) > 200]
    connection.close()
    text = file.read_bytes()
    found = [at for blob in blobs if (at := text.find(blob[:100])) > 0]
    assert len(found) >= 3
    with file.open("r+b") as data:
        for at in random.sample(found, 3):
            data.seek(at + 50)
            data.write(bytes([text[at + 50] ^ 0x5A]))


def cut(file, random):
    os.truncate(file, file.stat().st_size * random.randint(60, 90) // 100)


def blank(file, random):
    """Zeros where a few pages were, the first one among them."""
    with file.open("r+b") as data:
        data.write(bytes(4096))
        data.seek(file.stat().st_size // 2 // 4096 * 4096)
        data.write(bytes(8192))


@pytest.mark.parametrize("damage", [flip, cut, blank])
def test_a_damaged_log_is_salvaged_said_so_and_used_on(world, damage):
    random = Random(damage.__name__)

    async def run():
        cloud = world.cloud()
        await world.started(cloud)
        world.populate(cloud, ["d1", "d2"])
        source = world.Counting(filler="x" * 500)
        devices = [world.device(cloud, name, source=source) for name in ("d1", "d2")]
        await publish(world, devices, MESSAGES // 2)
        cloud.stop()
        before = world.stored(cloud)
        damage(database_of(cloud.directory), random)
        await world.started(cloud)
        said = world.log_text(cloud)
        assert "has been salvaged" in said and "kept" in said and "lost" in said
        assert "Traceback" not in said
        assert list(cloud.directory.glob("*.damaged-*")), "the damaged file is kept"
        # Whoever was lost is declared again; the node works.
        world.populate(cloud, ["d1", "d2", "d3"])
        late = world.device(cloud, "d3", version=5)
        await publish(world, [late], 50)
        cloud.stop()
        return cloud, before, late

    cloud, before, late = world.play(run)
    after = world.stored(cloud)
    mine = world.judge([late], [r for r in after if r.thing_id == late.spec.thing_id])
    assert (mine.acknowledged, mine.lost, mine.duplicated) == (50, 0, 0)
    old = {(r.origin, r.oseq) for r in before}
    kept = [(r.origin, r.oseq) for r in after if (r.origin, r.oseq) in old]
    world.tell(f"{damage.__name__}: {len(kept)} of {len(old)} records kept")
    assert len(kept) == len(set(kept))
    assert len(kept) > len(old) // 4
    fresh = [r for r in after if (r.origin, r.oseq) not in old]
    assert min(r.seq for r in fresh) > max(r.seq for r in before), "no seq is given out twice"


def test_a_site_restored_from_a_copy_is_reported_and_loses_nothing_new(world):
    async def run():
        cloud = world.cloud()
        await world.started(cloud)
        world.populate(cloud, ["d1"])
        site = world.site(cloud, "site")
        await world.started(site)
        await world.knows(site, "d1")
        device = world.device(site, "d1", version=5)
        await publish(world, [device], 100)
        await world.synced(site)
        site.stop()
        copy = world.directory / "copy"
        shutil.copytree(site.directory, copy)

        await world.started(site)
        await publish(world, [device], 100)
        await world.synced(site)
        site.stop()
        shutil.rmtree(site.directory)
        shutil.copytree(copy, site.directory)

        await world.started(site)
        await publish(world, [device], 100)
        await world.synced(site)
        got = await world.request(
            cloud, "GET", "/api/2/things/org.plant:d1/features/telemetry/properties/n"
        )
        assert got.json() == 300
        cloud.stop()
        site.stop()
        return cloud, device

    cloud, device = world.play(run)
    total = world.judge([device], world.stored(cloud))
    assert total.acknowledged == 300
    assert (total.lost, total.duplicated) == (0, 0), total.examples
    reports = [r for r in world.records(cloud) if r.kind == "link.rollback"]
    assert reports, "the cloud has the site's report of its roll-back"
    assert reports[0].origin.startswith("site/")


def test_the_same_directory_is_not_opened_twice(world):
    async def run():
        cloud = world.cloud()
        await world.started(cloud)
        second = world.cloud(data=cloud.directory)
        second.name = "cloud"
        second.start()
        await world.until(lambda: not second.is_alive, "the second one ends")
        assert second.process.returncode == 1
        assert cloud.is_alive
        said = world.log_text(cloud)
        assert "another process has" in said and "Traceback" not in said
        second.stop()

    world.play(run)
