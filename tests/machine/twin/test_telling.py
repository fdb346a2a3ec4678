"""A thing told as a whole says what all its records would have said, whenever it is told.

Two nodes write the same thing; their records travel in order, some of the cloud's never arrive, and
in their place the cloud tells the thing, again where the site had to skip something of its own. In
the end both are the fold of all records there ever were.
"""

import asyncio
import json
import random

import pytest

from littoral.kernel.ids import NodeId, Origin
from littoral.log import Log
from littoral.log.adapters.memory import MemoryStore
from littoral.registry import Registry
from littoral.simulate import SeededEntropy, VirtualClock, VirtualCommitter, run
from littoral.simulate.hasher import VirtualHasher
from littoral.twin import Twins
from littoral.twin.core.state import fold_in_order

THING = "thing:ns:t"
PATHS = (
    "/attributes",
    "/attributes/p",
    "/features/f",
    "/features/f/properties",
    "/features/f/properties/p",
    "/features/f/desiredProperties/q",
    "/features/g/properties",
)


def drawn(source):
    """What one record does."""
    value = source.choice([1, 2, {"p": 1}, {"q": 2}, {"p": {"q": 3}}])
    chance = source.random()
    if chance < 0.08:
        return "thing.created", "/", {"thingId": "ns:t", "policyId": "ns:a", "attributes": {"p": 0}}
    if chance < 0.12:
        return "thing.deleted", "/", None
    path = source.choice(PATHS)
    if chance < 0.2:
        return "thing.deleted", path, None
    if path.count("/") < 3 and not isinstance(value, dict):
        value = {"q": value}
    if path == "/features/f":
        value = {"properties": value}
    return source.choice(["thing.merged", "thing.modified"]), path, value


class Side:
    """A node's twins, and what it said."""

    def __init__(self, name, skew_ms):
        self.name, self.skew_ms = name, skew_ms
        self.store = MemoryStore()
        self.said = []
        self.heard = 0
        """How many of the other side's records came."""
        self.open()

    def open(self):
        loop = asyncio.get_running_loop()
        clock = VirtualClock(loop, skew_ms=self.skew_ms)
        entropy = SeededEntropy(random.Random(len(self.said)))
        self.log = Log.open(
            store=self.store,
            committer=VirtualCommitter(loop, random.Random(1), latency_s_max=0.001),
            clock=clock,
            entropy=entropy,
            node=NodeId(self.name),
            loop=loop,
        )
        self.twins = Twins(self.log, Registry(self.log, VirtualHasher(), clock, entropy), clock)

    async def restart(self, *, flushed):
        if flushed:
            self.twins.flush()
        await self.log.close()
        self.open()

    def say(self, kind, path, value):
        data = b"" if value is None else json.dumps(value).encode()
        engine = self.twins.engine
        self.said.append(engine.write(engine.load(THING), 2, kind, path, data))

    def hear(self, other, count):
        for record in other.said[self.heard : self.heard + count]:
            self.heard += 1
            assert self.twins.apply_remote(record)

    def take(self, other):
        """Be told by ``other``; the records of mine that have to come to it first."""
        data = other.twins.telling.one(THING)
        if data is None:
            return []
        upto = self.said[other.heard - 1].oseq if other.heard else 0

        def heard(record):
            return not record.origin.startswith(f"{self.name}/") or record.oseq <= upto

        adoption = self.twins.telling.adopt(
            THING,
            data,
            stamp=other.log.last_hlc,
            origin=Origin(f"{other.log.origin}+told"),
            heard=heard,
            heard_to=upto,
        )
        return adoption.skipped

    @property
    def document(self):
        return self.twins.peek("ns:t")


def still(skipped, site, cloud):
    """Those records that the cloud has not heard yet: it has to tell the thing again after them."""
    return [r for r in skipped if r not in site.said[: cloud.heard]]


async def live(seed):
    source = random.Random(seed)
    cloud = Side("cloud", source.choice([0, 0, 200, -200]))
    site = Side("site", source.choice([0, 0, 200, -200]))
    cloud.say("thing.created", "/", {"thingId": "ns:t", "policyId": "ns:a"})
    skipped, told, lost = [], False, 0
    for _ in range(source.randint(5, 40)):
        await asyncio.sleep(source.choice([0, 0.001, 0.05]))
        match source.randint(0, 9):
            case 0 | 1 | 2:
                cloud.say(*drawn(source))
            case 3 | 4 | 5:
                site.say(*drawn(source))
            case 6:
                cloud.hear(site, source.randint(1, 3))
            case 7:
                if not lost or told:
                    site.hear(cloud, source.randint(1, 3))
            case 8:
                skipped = still(skipped, site, cloud) + site.take(cloud)
                told = True
                if source.random() < 0.5:
                    lost += len(cloud.said) - site.heard
                    site.heard = len(cloud.said)
            case _:
                side = source.choice([site, cloud])
                await side.restart(flushed=source.random() < 0.5)
    for _ in range(20):
        cloud.hear(site, len(site.said))
        if not skipped:
            break
        skipped = still(skipped, site, cloud) + site.take(cloud)
    assert not skipped
    site.hear(cloud, len(cloud.said))
    oracle = fold_in_order(None, [*cloud.said, *site.said])
    assert cloud.document == oracle
    assert site.document == oracle
    for flushed in (False, True):
        await site.restart(flushed=flushed)
        assert site.document == oracle
    return lost


@pytest.mark.slow
@pytest.mark.parametrize("start", range(0, 1000, 100))
def test_what_was_told_and_what_was_said_make_the_same_thing(start):
    lost = 0
    for seed in range(start, start + 100):
        try:
            lost += run(lambda seed=seed: live(seed))
        except BaseException as error:
            error.add_note(f"seed {seed}")
            raise
    assert lost > 50
