"""Once a record of an entity was refused for its stamp, all that follows comes anew, in its order."""

import asyncio

import pytest

from littoral.edge.blocked import Blocked
from littoral.edge.core import Apply
from littoral.edge.inflow import Inflow
from littoral.edge.refusals import RELEASE_MAX, Refusals
from littoral.kernel.ids import NodeId
from littoral.kernel.time import hlc_of
from littoral.log import LogFull, RecordClass

SITE = "site-one/" + "a" * 16
MINUTE_MS = 60_000


class Homes:
    def learn(self, thing_id, peer, cls):
        pass


def apply_of(*records, cls=RecordClass.STATE):
    return Apply(SITE, int(cls), list(records), records[-1][0], 100, replay=False, tail=False)


def wire(oseq, entity, ahead_ms=0, *, now_ms, anew=None):
    headers = None if anew is None else {"restamped": f"{SITE}:{anew}"}
    return (oseq, hlc_of(now_ms + ahead_ms), None, "note", entity, "/", b"%d" % oseq, headers)


class Receiver:
    def __init__(self, node):
        self.node = node
        parts = node.parts
        self.inflow = Inflow(node.log, twins=parts, registry=parts, homes=Homes())
        self.refusals = Refusals(node.log, parts)

    def take(self, *records, cls=RecordClass.STATE):
        now_ms = self.node.clock.now_ms()
        made = [
            wire(*r[:2], *r[2:3], now_ms=now_ms, anew=r[3] if len(r) > 3 else None) for r in records
        ]
        return self.inflow.apply(
            apply_of(*made, cls=cls),
            made,
            peer=NodeId("site-one"),
            now_ms=now_ms,
            blocked=self.refusals.blocked(NodeId("site-one")),
        )


FAR = 10 * MINUTE_MS


def test_what_follows_a_refused_record_of_its_entity_is_refused_until_all_came_anew(in_world):
    async def main(world):
        cloud = Receiver(world.cloud)
        assert cloud.take((1, "x"), (2, "x", FAR), (3, "y")) == [2]
        assert cloud.take((4, "x"), (5, "y")) == [4]
        assert cloud.take((6, "x"), cls=RecordClass.TELEMETRY) == [6], "whatever its class"
        assert cloud.take((7, "x", 0, 2)) == []
        assert cloud.take((8, "x"), (9, "x", 0, 4)) == [8]
        assert cloud.take((10, "x", 0, 6), cls=RecordClass.TELEMETRY) == []
        assert cloud.take((11, "x"), (12, "x", 0, 8), (13, "x")) == [11, 13]
        assert cloud.take((14, "x", 0, 11), (15, "x", 0, 13), (16, "x")) == []

    in_world(main)


def test_a_record_that_was_never_refused_and_comes_anew_frees_nothing(in_world):
    async def main(world):
        cloud = Receiver(world.cloud)
        cloud.take((1, "x"), (2, "x", FAR))
        assert cloud.take((3, "x", 0, 1), (4, "x")) == [4]

    in_world(main)


def test_a_record_whose_new_stamp_is_refused_too_keeps_its_entity_blocked(in_world):
    async def main(world):
        cloud = Receiver(world.cloud)
        cloud.take((1, "x", FAR))
        assert cloud.take((2, "x", FAR, 1), (3, "x")) == [2, 3]
        assert cloud.take((4, "x", 0, 2), (5, "x", 0, 3), (6, "x")) == []

    in_world(main)


def test_what_is_blocked_is_known_after_a_restart_and_not_after_a_failed_commit(in_world):
    async def main(world):
        cloud = Receiver(world.cloud)
        cloud.take((1, "x", FAR))
        await world.cloud.log.wait()
        assert "x" in Blocked(world.cloud.log, NodeId("site-one"))
        cloud.take((2, "z", FAR))
        assert "z" in cloud.refusals.blocked(NodeId("site-one"))
        world.cloud.log._fail(LogFull("no room."), [])
        again = cloud.refusals.blocked(NodeId("site-one"))
        assert "x" in again
        assert "z" not in again

    in_world(main)


def test_held_records_come_anew_in_the_order_of_their_seqs_across_classes(in_world):
    async def main(world):
        site = world.site("site-one")
        log, number = site.log, RELEASE_MAX + 200
        for n in range(number):
            cls = RecordClass.TELEMETRY if n % 100 else RecordClass.STATE
            log.append(int(cls), "note", "x", 0, 0, "/", b"%d" % n)
        await log.wait()
        refusals = Refusals(log, site.parts)
        for cls in (RecordClass.STATE, RecordClass.TELEMETRY):
            mine = [r.oseq for r in log.read(0, limit=9999, cls=int(cls))]
            refusals.hold(NodeId("cloud"), log.origin, int(cls), [(mine[0], mine[-1])])
        last = log.head
        while refusals.release(peer_now_ms=site.clock.now_ms()):
            await log.wait()
        anew = [int(r.value) for r in log.read(last, limit=9999)]
        assert anew == sorted(anew)
        assert set(anew) == set(range(number))
        assert refusals.held_records() == 0

    in_world(main)


@pytest.mark.slow
def test_a_busy_entity_is_sent_as_it_is_again_after_its_clock_is_right(in_world, wait_until):
    """Something of it is always on its way; it must not be refused for ever."""

    async def main(world):
        site = world.site("site-one")
        site.clock.offset_ms = FAR
        site.append(value=b"0")
        await site.log.wait()
        site.clock.offset_ms = 0

        async def chatter():
            for n in range(1, 100_000):
                site.append(value=b"%d" % n, cls=3 if n % 7 else 2)
                await asyncio.sleep(0.2)

        async with asyncio.TaskGroup() as tasks:
            up = world.uplink("site-one")
            running = [
                tasks.create_task(work) for work in (world.downlink.run(), up.run(), chatter())
            ]
            await asyncio.sleep(100)
            assert up.statistics().held_records > 400
            assert not world.cloud.own_of("site-one")
            await asyncio.sleep(300)
            assert up.statistics().held_records == 0
            newest = world.cloud.own_of("site-one")[-100:]
            assert not any(r.headers and "restamped" in r.headers for r in newest)
            for task in running:
                task.cancel()
        values = {int(r.value) for r in world.cloud.own_of("site-one")}
        assert values >= set(range(max(values) - 10))

    in_world(main)
