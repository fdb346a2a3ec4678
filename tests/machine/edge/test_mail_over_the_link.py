"""Kept messages and the link: custody goes from the cloud to the site where the device lives."""

import asyncio
from contextlib import asynccontextmanager

from littoral.eventing import Kept, Message, Reply

ASK = Message("ns:a", "ask", b"x", "text/plain", response_required=True)
TELL = Message("ns:a", "tell", b"y", "text/plain")


class Device:
    def __init__(self, reply=None):
        self.got = []
        self.reply = reply

    def deliver(self, message):
        self.got.append(message)
        if self.reply is not None:
            message.reply(self.reply)


@asynccontextmanager
async def linked(world, *, with_mail=True):
    async with asyncio.TaskGroup() as tasks:
        site = world.site("site-one")
        running = [tasks.create_task(world.downlink.run())]
        await asyncio.sleep(0)
        running.append(tasks.create_task(world.uplink("site-one").run()))
        if with_mail:
            running += [tasks.create_task(n.mailbox.run()) for n in (world.cloud, site)]
        yield site
        for task in running:
            task.cancel()


async def lives_there(world, site, wait_until):
    site.append(entity="thing:ns:a")
    await wait_until(lambda: world.downlink.home_of("ns:a") == "site-one")


def send(node, message, timeout_s=10):
    return node.mailbox.send(message, ttl_s=3600, timeout_s=timeout_s)


def counts(node):
    found = node.mailbox.statistics()
    return found.messages, found.done


def test_a_device_at_a_site_answers_a_sender_in_the_cloud(in_world, wait_until):
    async def main(world):
        async with linked(world) as site:
            await lives_there(world, site, wait_until)
            site.inbox.attach("ns:a", Device(Reply(200, b"ok", "text/plain")))
            reply = await send(world.cloud, ASK)
            assert (reply.status, reply.payload) == (200, b"ok")
            assert counts(world.cloud) == counts(site) == (0, 0)

    in_world(main)


def test_the_site_keeps_what_its_device_is_not_there_for(in_world, wait_until):
    async def main(world):
        async with linked(world) as site:
            await lives_there(world, site, wait_until)
            found = [await send(world.cloud, message) for message in (ASK, TELL)]
            assert all(isinstance(one, Kept) for one in found)
            await wait_until(lambda: counts(site)[0] == 2)
            # One went straight through; the other was stored first, because it is one-way.
            await wait_until(lambda: counts(world.cloud)[0] == 0)
            assert sorted(m.id for m in site.mailbox.of("ns:a")) == sorted(k.id for k in found)
            assert {m.expires_ms for m in site.mailbox.of("ns:a")} <= {
                k.expires_ms + d for k in found for d in range(-500, 500)
            }
            site.inbox.attach("ns:a", device := Device(Reply(204)))
            await wait_until(lambda: counts(site)[0] == 0)
            assert [m.subject for m in device.got] == ["ask", "tell"]
            assert not device.got[1].response_required

    in_world(main)


def test_what_was_kept_while_the_link_was_down_goes_over_when_it_is_up(in_world, wait_until):
    async def main(world):
        async with linked(world) as site:
            await lives_there(world, site, wait_until)
            site.inbox.attach("ns:a", device := Device(Reply(200)))
            world.network.up = False
            world.network.cut()
            await asyncio.sleep(1)
            assert isinstance(await send(world.cloud, ASK), Kept)
            assert isinstance(await send(world.cloud, TELL), Kept)
            await asyncio.sleep(30)
            assert device.got == [] and counts(world.cloud)[0] == 2
            world.network.up = True
            await wait_until(lambda: counts(world.cloud) == (0, 2))
            assert [m.subject for m in device.got] == ["ask", "tell"]

    in_world(main)


def test_a_cut_in_the_middle_of_the_hand_over_loses_nothing(in_world, wait_until):
    async def main(world):
        async with linked(world) as site:
            await lives_there(world, site, wait_until)
            kept = set()
            for n in range(20):
                async with asyncio.TaskGroup() as tasks:
                    sent = tasks.create_task(send(world.cloud, ASK, timeout_s=2))
                    await asyncio.sleep(0.001 * n)
                    world.network.cut()
                kept.add(sent.result().id)
            await wait_until(lambda: counts(world.cloud)[0] == 0, within_s=120)
            assert {m.id for m in site.mailbox.of("ns:a")} == kept
            site.inbox.attach("ns:a", device := Device(Reply(200)))
            await wait_until(lambda: counts(site)[0] == 0)
            assert sorted(m.id for m in device.got) == sorted(kept)

    in_world(main)


def test_a_site_without_room_leaves_it_with_the_cloud(in_world, wait_until):
    async def main(world):
        async with linked(world) as site:
            await lives_there(world, site, wait_until)
            for _ in range(64):
                await send(site, TELL)
            assert isinstance(await send(world.cloud, TELL), Kept)
            await asyncio.sleep(5)
            assert counts(world.cloud)[0] == 1 and counts(site)[0] == 64
            site.inbox.attach("ns:a", device := Device(Reply(200)))
            await wait_until(lambda: counts(world.cloud)[0] == 0, within_s=200)
            assert len(device.got) == 65

    in_world(main)


def test_a_message_to_a_thing_of_nobody_waits_until_its_device_appears_somewhere(
    in_world, wait_until
):
    async def main(world):
        async with linked(world) as site:
            await asyncio.sleep(1)
            here = Message("ns:here", "ask", response_required=True)
            there = Message("ns:there", "ask", response_required=True)
            for message in (here, there):
                assert isinstance(await send(site, message), Kept)
            await asyncio.sleep(130)
            assert counts(site)[0] == 2 and counts(world.cloud)[0] == 0
            site.inbox.attach("ns:here", mine := Device(Reply(200)))
            world.cloud.append(entity="thing:ns:there")
            world.cloud.inbox.attach("ns:there", theirs := Device(Reply(200)))
            await wait_until(lambda: counts(site) == (0, 2), within_s=130)
            assert len(mine.got) == len(theirs.got) == 1
            # And what came from the site goes back to it only if the thing has moved there.
            world.cloud.append(entity="thing:ns:moved")
            await wait_until(lambda: site.own_of("cloud")[-1].entity == "thing:ns:moved")
            assert isinstance(await send(site, Message("ns:moved", "x")), Kept)
            await wait_until(lambda: counts(world.cloud)[0] == 1)
            await asyncio.sleep(130)
            assert counts(world.cloud)[0] == 1 and counts(site)[0] == 0
            site.append(entity="thing:ns:moved")
            await wait_until(lambda: counts(site)[0] == 1, within_s=130)
            await asyncio.sleep(130)
            assert counts(world.cloud)[0] == 0 and counts(site)[0] == 1

    in_world(main)
