"""A site is given another tenant: it gets what it was not shown before, once, whatever happens."""

import asyncio
import random

import pytest

from littoral.edge.model import LinkSettings, Scope
from littoral.kernel.ids import NodeId
from littoral.registry import RegistryChange

SITE = NodeId("site-one")
CHANGED = RegistryChange("site.modified", "", "site-one", ends_access=False)
FEW = LinkSettings(window_records=16, reconnect_s_max=0.5, ping_every_s=1.0)


class Rule:
    """The scope as the cloud's registry has it now."""

    def __init__(self, *namespaces):
        self.namespaces = set(namespaces)

    def __call__(self, name):
        return Scope(
            node=name,
            tenants=frozenset(f"T-{n}" for n in self.namespaces),
            namespaces=frozenset(self.namespaces),
        )


async def linked(world, main):
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(world.downlink.run())
        await asyncio.sleep(0)
        up = world.uplink("site-one")
        upping = tasks.create_task(up.run())
        try:
            await main(up)
        finally:
            upping.cancel()
            running.cancel()


def values(site):
    return sorted(int(r.value) for r in site.own_of("cloud") if r.kind == "thing.merged")


def test_what_was_passed_over_comes_when_the_tenant_is_added(in_world, wait_until):
    rule = Rule("a")

    async def main(world):
        site = world.site("site-one")
        for n in range(6000):
            world.cloud.append(entity=f"thing:{'ab'[n % 2]}:x", value=b"%d" % n, cls=n % 3 + 1)

        async def check(up):
            await wait_until(lambda: len(values(site)) == 3000)
            rule.namespaces.add("b")
            world.cloud.parts.changed(CHANGED)
            world.cloud.append(entity="thing:b:x", value=b"6000", cls=2)
            await wait_until(lambda: len(values(site)) == 6001)
            await asyncio.sleep(10)
            assert values(site) == list(range(6001))
            assert b'"grants":[]' in world.cloud.log.get("link", "scope/site-one")
            # Nothing of it is looked through again.
            before = world.cloud.log.committed
            world.network.cut()
            await asyncio.sleep(5)
            assert values(site) == list(range(6001))
            assert world.cloud.log.committed == before

        await linked(world, check)

    in_world(main, scope=rule)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(25))
def test_growth_under_cuts_shows_everything_exactly_once(in_world, wait_until, seed):
    rule = Rule("a")

    async def main(world):
        chance = random.Random(seed)
        site = world.site("site-one")
        count = 0

        async def check(up):
            nonlocal count
            for _ in range(40):
                for _ in range(chance.randint(0, 80)):
                    name = chance.choice("abc")
                    world.cloud.append(
                        entity=f"thing:{name}:x", value=b"%d" % count, cls=chance.randint(0, 4)
                    )
                    count += 1
                await asyncio.sleep(chance.uniform(0, 0.3))
                if chance.random() < 0.2:
                    world.network.cut(lose=chance.random() < 0.5)
                if chance.random() < 0.1 and len(rule.namespaces) < 3:
                    rule.namespaces.add(chance.choice("bc"))
                    world.cloud.parts.changed(CHANGED)
            rule.namespaces |= {"a", "b", "c"}
            world.cloud.parts.changed(CHANGED)
            await wait_until(lambda: len(values(site)) >= count, within_s=300)
            await asyncio.sleep(10)
            assert values(site) == list(range(count))

        await linked(world, check)

    in_world(main, scope=rule, settings=FEW)


def test_a_tenant_that_was_taken_away_and_given_back_is_seen_again(in_world, wait_until):
    rule = Rule("a", "b")

    async def main(world):
        site = world.site("site-one")

        async def check(up):
            await wait_until(lambda: up.statistics().session)
            world.cloud.append(entity="thing:b:x", value=b"0", cls=2)
            await wait_until(lambda: values(site) == [0])
            rule.namespaces.remove("b")
            world.cloud.parts.changed(CHANGED)
            assert up.statistics().session
            world.cloud.append(entity="thing:b:x", value=b"1", cls=2)
            world.cloud.append(entity="thing:a:x", value=b"2", cls=2)
            await wait_until(lambda: values(site) == [0, 2])
            rule.namespaces.add("b")
            world.cloud.parts.changed(CHANGED)
            # What it had is sent again: folding a record twice changes nothing.
            await wait_until(lambda: set(values(site)) == {0, 1, 2})

        await linked(world, check)

    in_world(main, scope=rule)
