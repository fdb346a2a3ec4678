"""A node whose disk is full: it refuses writes clearly, goes on reading, and recovers by itself."""

import asyncio
import json
import os

import pytest

from littoral.gateway.mqtt import V5, V311, Ack, Disconnect, Reason, encode_publish

pytestmark = [pytest.mark.real, pytest.mark.slow, pytest.mark.timeout(120)]

LEAVE_BYTES = 64 * 1024
THING = "/api/2/things/org.plant:t"


class Ballast:
    """A file that takes all room but a little, and gives it back."""

    def __init__(self, disk):
        self.file = disk / "ballast"
        self.disk = disk

    def load(self):
        room = os.statvfs(self.disk)
        size = room.f_bavail * room.f_frsize - LEAVE_BYTES
        if size <= 0:
            return
        handle = os.open(self.file, os.O_CREAT | os.O_RDWR)
        try:
            have = os.fstat(handle).st_size
            os.posix_fallocate(handle, 0, have + size)
        finally:
            os.close(handle)

    def drop(self):
        self.file.unlink()


async def publish_until(writer, reader, codec, wanted, first, *, version=V5):
    """Publish with ids from ``first`` on until an answer is ``wanted``; return (acked ids, it)."""
    number, acked = first, []
    while number < first + 3000:
        writer.write(
            encode_publish(
                "t",
                json.dumps({"n": number, "x": "y" * 4000}).encode(),
                packet_id=number % 60_000 + 1,
                version=version,
                user=[("id", str(number))] if version == V5 else (),
            )
        )
        packets = []
        while not packets:
            data = await asyncio.wait_for(reader.read(65_536), 20)
            if not data:
                return acked, None
            packets = codec.feed(data)
        for packet in packets:
            if wanted(packet):
                return acked, packet
            assert isinstance(packet, Ack) and packet.reason == 0, packet
            acked.append(number)
        number += 1
    raise AssertionError("the disk does not fill")


def refuses(packet):
    return isinstance(packet, Disconnect) or (isinstance(packet, Ack) and packet.reason >= 0x80)


def test_a_full_disk_refuses_writes_and_nothing_else(world, small_disk):
    ballast = Ballast(small_disk)

    async def run():
        cloud = world.cloud(data=small_disk / "data")
        await world.started(cloud)
        world.populate(cloud, ["d1", "d2", "d3"])
        put = await world.request(cloud, "PUT", THING, json={"attributes": {"n": 0}})
        assert put.status_code == 201, put.text
        pid = cloud.pid
        ballast.load()

        # MQTT 5: a PUBACK with a reason.
        reader, writer, codec, _ = await world.connect(
            cloud.mqtt_port, "d1@plant", "secret", client="d1"
        )
        acked, refusal = await publish_until(writer, reader, codec, refuses, 1)
        assert isinstance(refusal, Ack)
        assert refusal.reason == Reason.QUOTA_EXCEEDED
        assert acked

        # MQTT 3.1.1 has no such thing: the connection ends, without an acknowledgement.
        old_reader, old_writer, old_codec, connack = await world.connect(
            cloud.mqtt_port, "d2@plant", "secret", version=V311, client="d2"
        )
        assert connack.reason == 0
        none, nothing = await publish_until(
            old_writer, old_reader, old_codec, refuses, 1, version=V311
        )
        assert (none, nothing) == ([], None)
        old_writer.close()

        # HTTP and the bulk door: a status, a code and a hint.
        put = await world.request(cloud, "PUT", THING + "/attributes/n", json=1)
        assert put.status_code in (503, 507), put.text
        problem = put.json()
        assert problem["error"] == "log.full"
        assert problem["message"] and problem["description"]
        tenant = await world.request(
            cloud,
            "POST",
            "/api/littoral/v1/apply",
            content=json.dumps(
                {
                    "apiVersion": "littoral/v1",
                    "kind": "Tenant",
                    "metadata": {"name": "more"},
                    "spec": {"namespaces": ["org.more"]},
                }
            ),
            headers={"content-type": "application/x-ndjson"},
        )
        assert "log.full" in tenant.text

        # Reads go on, and what was refused is not there.
        got = await world.request(cloud, "GET", THING)
        assert got.status_code == 200
        assert got.json()["attributes"] == {"n": 0}
        got = await world.request(cloud, "GET", "/api/2/things/org.plant:d1/features")
        assert got.json()["telemetry"]["properties"]["n"] == acked[-1]
        assert (await world.request(cloud, "GET", "/livez")).status_code == 200
        ready = await world.request(cloud, "GET", "/readyz")
        assert ready.status_code == 503
        assert "full" in ready.text, ready.text

        # Room again: it notices without being told, also if nobody writes.
        ballast.drop()
        await world.ready(cloud)
        put = await world.request(cloud, "PUT", THING + "/attributes/n", json=2)
        assert put.status_code == 204, put.text
        more, _ = await publish_until(
            writer, reader, codec, lambda packet: packet.packet_id == 5010, 5000
        )
        assert len(more) >= 9
        writer.close()
        assert cloud.is_alive and cloud.pid == pid
        cloud.kill()
        return cloud, acked + more

    cloud, acked = world.play(run)
    assert "Traceback" not in world.log_text(cloud)
    stored = [r.number for r in world.stored(cloud) if r.thing_id == "org.plant:d1"]
    assert set(acked) <= set(stored)
    assert len(stored) == len(set(stored))


def test_a_node_that_dies_on_a_full_disk_says_why_and_starts_when_there_is_room(world, small_disk):
    ballast = Ballast(small_disk)

    async def run():
        cloud = world.cloud(data=small_disk / "data")
        await world.started(cloud)
        world.populate(cloud, ["d1"])
        ballast.load()
        reader, writer, codec, _ = await world.connect(cloud.mqtt_port, "d1@plant", "secret")
        acked, _ = await publish_until(writer, reader, codec, refuses, 1)
        cloud.kill()
        writer.close()
        # Whatever is left of the little room goes too.
        ballast.load()
        (small_disk / "crumbs").write_bytes(b"")
        with (small_disk / "crumbs").open("ab", buffering=0) as crumbs:
            try:
                while True:
                    crumbs.write(b"x" * 4096)
            except OSError:
                pass
        cloud.start()

        async def settled():
            answer = await world.get(cloud, "/readyz")
            return not cloud.is_alive or (answer is not None and answer.status_code in (200, 503))

        await world.until(settled, "it serves or it ends")
        said = world.log_text(cloud)
        assert "Traceback" not in said, said
        if cloud.is_alive:
            assert (await world.request(cloud, "GET", "/api/2/things/org.plant:d1")).is_success
        else:
            assert cloud.process.returncode not in (0, None)
            assert "No space left on device" in said or "full" in said, said
        cloud.kill()
        (small_disk / "crumbs").unlink()
        ballast.drop()
        await world.started(cloud)
        got = await world.request(cloud, "GET", "/api/2/things/org.plant:d1/features")
        assert got.json()["telemetry"]["properties"]["n"] == acked[-1]
        cloud.stop()
        return cloud, acked

    cloud, acked = world.play(run)
    stored = [r.number for r in world.stored(cloud) if r.thing_id == "org.plant:d1"]
    assert set(acked) <= set(stored)
