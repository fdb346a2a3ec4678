"""What waits for a site is told from the moment that its session opens."""

import asyncio

from littoral.edge.model import Scope


def test_a_cloud_that_was_restarted_says_at_once_what_waits_for_a_site(in_world, wait_until):
    def scope(name):
        return Scope(node=name, tenants=frozenset({"T"}), namespaces=frozenset({"ns"}))

    async def main(world):
        for n in range(700):
            world.cloud.append(entity="thing:ns:a", cls=3)
            world.cloud.append(entity="thing:other:a", cls=n % 5)
        await world.cloud.log.close()
        world.cloud.open()
        for _ in range(30):
            world.cloud.append(entity="thing:ns:a", cls=2)
        await world.cloud.log.wait()
        world.downlink = world.make_downlink()
        seen = []
        opened = world.downlink.opened

        def noted(conversation):
            opened(conversation)
            seen.append(world.downlink.sites()["site-one"])

        world.downlink.opened = noted
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(world.downlink.run())
            await asyncio.sleep(0)
            upping = tasks.create_task(world.uplink("site-one").run())
            await wait_until(lambda: bool(seen))
            assert seen[0].backlog_records == 730
            assert seen[0].backlog["telemetry"].records == 700
            assert seen[0].backlog["state"].records == 30
            await wait_until(lambda: not world.downlink.sites()["site-one"].backlog_records)
            assert len(world.sites["site-one"].own_of("cloud")) == 730
            upping.cancel()
            running.cancel()

    in_world(main, scope=scope)
