"""The whole link, both shells and the core, between real logs on virtual time."""

import asyncio

from littoral.edge.model import Scope
from littoral.eventing import Direction, Message, Reply


async def linked(world, main, *names):
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(world.downlink.run())]
        await asyncio.sleep(0)
        ups = [world.uplink(name) for name in names]
        running += [tasks.create_task(up.run()) for up in ups]
        try:
            await main(*ups)
        finally:
            for task in running:
                task.cancel()


def test_records_of_a_site_reach_the_cloud_and_those_of_the_cloud_the_site(in_world, wait_until):
    async def main(world):
        site = world.site("site-one")
        for n in range(2000):
            site.append(value=b"%d" % n)
        for n in range(50):
            world.cloud.append(entity="thing:ns:b", value=b"%d" % n, cls=2)

        async def check(up):
            await wait_until(lambda: len(world.cloud.own_of("site-one")) == 2000)
            await wait_until(lambda: len(site.own_of("cloud")) == 50)
            assert [r.value for r in world.cloud.own_of("site-one")] == [
                b"%d" % n for n in range(2000)
            ]
            site.append(value=b"new")
            await wait_until(lambda: len(world.cloud.own_of("site-one")) == 2001)
            assert world.cloud.own_of("site-one")[-1].headers is None
            assert world.cloud.own_of("site-one")[0].headers == {"replayed": True}
            await wait_until(lambda: up.statistics().backlog_records == 0)
            assert up.statistics().flow
            assert world.downlink.sites()["site-one"].session

        await linked(world, check, "site-one")

    in_world(main)


def test_a_cut_link_resumes_and_nothing_is_lost_or_doubled(in_world, wait_until):
    async def main(world):
        site = world.site("site-one")

        async def check(up):
            for n in range(5000):
                site.append(value=b"%d" % n, cls=n % 5)
                if n % 700 == 699:
                    await asyncio.sleep(0.05)
                    world.network.cut()
            await wait_until(lambda: len(world.cloud.own_of("site-one")) >= 5000)
            await asyncio.sleep(5)
            got = world.cloud.own_of("site-one")
            assert len(got) == 5000
            for cls in range(5):
                oseqs = [r.oseq for r in got if r.cls == cls]
                assert oseqs == sorted(oseqs)
            assert up.statistics().sessions >= 3

        await linked(world, check, "site-one")

    in_world(main)


def test_a_message_in_the_cloud_reaches_the_device_at_the_site_and_its_answer_comes_back(
    in_world, wait_until
):
    async def main(world):
        site = world.site("site-one")

        class Device:
            def deliver(self, message):
                message.reply(Reply(200, b"done " + message.payload, "text/plain"))

        async def check(up):
            site.append(entity="thing:ns:a")
            site.inbox.attach("ns:a", Device())
            await wait_until(lambda: world.downlink.home_of("ns:a") == "site-one")
            message = Message("ns:a", "stop", b"now", subjects=frozenset({"nginx:ditto"}))
            reply = await world.cloud.inbox.send(message, timeout_s=5)
            assert (reply.status, reply.payload) == (200, b"done now")

        await linked(world, check, "site-one")

    in_world(main)


def test_a_message_from_a_device_at_the_site_is_seen_in_the_cloud(in_world, wait_until):
    async def main(world):
        site = world.site("site-one")
        seen = []

        class Watcher:
            def deliver(self, message):
                seen.append((message.thing_id, message.subject, message.payload))

        async def check(up):
            await wait_until(lambda: up.statistics().session)
            world.cloud.inbox.attach_everywhere(Watcher(), direction=Direction.OUTBOX)
            site.inbox.post(Message("ns:a", "hello", b"x", direction=Direction.OUTBOX))
            await wait_until(lambda: seen == [("ns:a", "hello", b"x")])

        await linked(world, check, "site-one")

    in_world(main)


def test_a_site_gets_only_what_belongs_to_its_tenants(in_world, wait_until):
    def scope(name):
        return Scope(node=name, tenants=frozenset({"T1"}), namespaces=frozenset({"one"}))

    async def main(world):
        site = world.site("site-one")
        for entity, kind in (
            ("tenant:T1", "tenant.modified"),
            ("tenant:T2", "tenant.modified"),
            ("device:T1/d", "device.modified"),
            ("device:T2/d", "credentials.modified"),
            ("thing:one:a", "thing.created"),
            ("thing:two:a", "thing.created"),
            ("policy:one:p", "policy.created"),
            ("user:root", "user.modified"),
            ("site:site-one", "site.modified"),
            ("site:site-two", "site.modified"),
            ("site:site-one", "token.issued"),
            ("thing:one:last", "thing.created"),
        ):
            world.cloud.append(entity=entity, kind=kind, cls=2)

        async def check(up):
            await wait_until(lambda: len(site.own_of("cloud")) == 6)
            assert [r.entity for r in site.own_of("cloud")] == [
                "tenant:T1",
                "device:T1/d",
                "thing:one:a",
                "policy:one:p",
                "site:site-one",
                "thing:one:last",
            ]

        await linked(world, check, "site-one")

    in_world(main, scope=scope)
