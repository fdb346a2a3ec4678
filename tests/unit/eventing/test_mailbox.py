"""Messages for devices that are away: kept, delivered in order, and gone when their time is over."""

import asyncio
from dataclasses import replace

import pytest

from littoral.eventing import (
    KEPT_BEYOND,
    MAILBOX_BYTES_MAX,
    MAILBOX_PER_THING_MAX,
    MAILBOX_TTL_S_MAX,
    Direction,
    InvalidMailbox,
    Kept,
    MailboxFull,
    MailMissing,
    Message,
    MessageTooLarge,
    Reply,
)
from littoral.kernel import json
from littoral.kernel.errors import Unavailable
from littoral.kernel.limits import MESSAGE_BYTES_MAX
from littoral.log import LogFull

THING = "org.acme:pump"
ASK = Message(THING, "ask", b'{"a":1}', "application/json", response_required=True)
TELL = Message(THING, "tell", b"x", "text/plain")
OK = Reply(200, b'{"ok":true}', "application/json")


def now():
    return asyncio.get_running_loop().time()


def send(postal, message, *, ttl_s=600, timeout_s=10, **more):
    return postal.mailbox.send(message, ttl_s=ttl_s, timeout_s=timeout_s, **more)


async def turn():
    for _ in range(5):
        await asyncio.sleep(0)


def test_a_device_that_is_there_answers_and_nothing_is_stored(on_mailbox):
    async def main(postal):
        device = postal.device(reply=OK)
        postal.inbox.attach(THING, device)
        assert await send(postal, ASK) == OK
        assert device.got[0].id and postal.kinds == []
        assert postal.mailbox.statistics().answered_at_once == 1

    on_mailbox(main)


def test_with_nobody_there_the_sender_hears_at_once_that_it_is_kept(on_mailbox):
    async def main(postal):
        kept = await send(postal, replace(ASK, correlation_id="c1", feature="motor"))
        assert isinstance(kept, Kept) and now() < 1
        [mail] = postal.mailbox.of(THING)
        assert (mail.id, mail.expires_ms) == (kept.id, kept.expires_ms)
        assert postal.mailbox.payload(THING, kept.id) == ASK.payload
        [record] = [r for r in postal.records if r.kind == "mailbox.kept"]
        assert record.entity == f"mailbox:{THING}"
        told = json.decode_object(record.value)
        assert (told["id"], told["correlationId"], told["feature"]) == (kept.id, "c1", "motor")

    on_mailbox(main)


def test_a_device_that_is_there_but_silent_may_answer_later(on_mailbox):
    async def main(postal):
        device = postal.device()
        postal.inbox.attach(THING, device)
        kept = await send(postal, ASK, timeout_s=4)
        assert isinstance(kept, Kept) and 4 <= now() < 5
        assert len(device.got) == 1  # it has it: not once more while it stays
        assert device.got[0].reply(OK)
        await turn()
        assert postal.kinds == ["mailbox.kept", "mailbox.answered"]
        assert json.decode_object(postal.records[-1].value)["value"] == {"ok": True}
        assert not device.got[0].reply(OK)  # the first answer was it
        assert postal.mailbox.of(THING) == []

    on_mailbox(main)


def test_what_is_kept_comes_in_order_when_the_device_comes(on_mailbox):
    async def main(postal):
        for n in range(5):
            await send(postal, replace(ASK, subject=f"s{n}"))
        device = postal.device()
        postal.inbox.attach(THING, device)
        await turn()
        assert device.subjects == ["s0", "s1", "s2", "s3", "s4"]
        assert all(message.reply(OK) for message in reversed(device.got))
        await turn()
        assert postal.mailbox.statistics().messages == 0
        assert postal.mailbox.statistics().done == 5

    on_mailbox(main)


def test_a_new_message_waits_behind_what_is_kept_already(on_mailbox):
    async def main(postal):
        await send(postal, replace(ASK, subject="first"))
        device = postal.device(reply=OK)
        # Before the device gets what waits, somebody sends: it is kept too, and comes second.
        postal.inbox.attach(THING, device)
        assert isinstance(await send(postal, replace(ASK, subject="second")), Kept)
        await turn()
        assert device.subjects == ["first", "second"]

    on_mailbox(main)


def test_a_message_that_is_not_answered_comes_again_with_the_same_id_until_it_is(on_mailbox):
    async def main(postal):
        kept = await send(postal, ASK)
        for _ in range(3):
            device = postal.device()
            attachment = postal.inbox.attach(THING, device)
            await turn()
            assert [m.id for m in device.got] == [kept.id]
            attachment.close()
        last = postal.device(reply=OK)
        postal.inbox.attach(THING, last)
        await turn()
        postal.inbox.attach(THING, again := postal.device())
        await turn()
        assert (len(last.got), again.got) == (1, [])

    on_mailbox(main)


def test_a_one_way_message_is_done_when_it_is_known_to_have_arrived(on_mailbox):
    async def main(postal):
        kept = await send(postal, TELL)
        assert isinstance(kept, Kept)
        device = postal.device()
        postal.inbox.attach(THING, device)
        await turn()
        assert len(postal.mailbox.of(THING)) == 1
        device.got[0].delivered()
        await turn()
        assert postal.kinds == ["mailbox.kept", "mailbox.delivered"]
        # One that wants an answer is not done by arriving.
        await send(postal, ASK, timeout_s=1)
        device.got[-1].delivered()
        assert len(postal.mailbox.of(THING)) == 1

    on_mailbox(main)


def test_what_a_device_did_not_get_waits_for_the_next_one(on_mailbox):
    async def main(postal):
        await send(postal, TELL)
        device = postal.device()
        postal.inbox.attach(THING, device)
        await turn()
        assert device.got[0].undelivered()
        await turn()
        assert len(device.got) == 1
        postal.inbox.attach(THING, other := postal.device())
        await turn()
        assert len(other.got) == 1 and len(device.got) == 2
        assert not Message(THING, "x").undelivered()

    on_mailbox(main)


def test_a_device_without_room_gets_the_rest_in_order_when_it_has_some(on_mailbox):
    async def main(postal):
        for n in range(6):
            await send(postal, replace(TELL, subject=f"s{n}"))
        device = postal.device(room=2)
        postal.inbox.attach(THING, device)
        await turn()
        assert device.subjects == ["s0", "s1"]
        device.room = 4
        postal.inbox.wake(THING)
        await turn()
        assert device.subjects == ["s0", "s1", "s2", "s3"]
        device.room = 6
        await asyncio.sleep(1.5)  # nobody says so: it is asked again
        assert device.subjects == [f"s{n}" for n in range(6)]

    on_mailbox(main)


def test_a_message_is_never_delivered_after_its_time(on_mailbox):
    async def main(postal):
        await send(postal, ASK, ttl_s=100)
        await send(postal, replace(TELL, subject="longer"), ttl_s=200)
        await asyncio.sleep(100.5)
        assert postal.kinds == ["mailbox.kept", "mailbox.kept", "mailbox.expired"]
        device = postal.device()
        postal.inbox.attach(THING, device)
        await turn()
        assert device.subjects == ["longer"]
        assert 99 < device.got[0].remaining_s(postal.clock.monotonic_s()) <= 100
        await asyncio.sleep(100)
        assert not device.got[0].reply(OK)
        assert postal.mailbox.statistics().expired == 2

    on_mailbox(main)


def test_what_is_kept_is_there_after_a_restart_and_what_is_done_is_not(on_mailbox):
    async def main(postal):
        kept = [await send(postal, replace(ASK, subject=f"s{n}"), ttl_s=1000) for n in range(3)]
        await postal.mailbox.cancel(THING, kept[1].id)
        postal = await postal.restart()
        assert [m.id for m in postal.mailbox.of(THING)] == [kept[0].id, kept[2].id]
        assert postal.mailbox.statistics().messages == 2
        later = await send(postal, replace(ASK, subject="later"))
        assert later.id > kept[2].id
        device = postal.device(reply=OK)
        postal.inbox.attach(THING, device)
        await turn()
        assert device.subjects == ["s0", "s2", "later"]
        assert device.got[0].payload == ASK.payload and device.got[0].response_required
        postal = await postal.restart()
        assert postal.mailbox.of(THING) == [] and postal.mailbox.statistics().bytes == 0

    on_mailbox(main)


def test_a_message_that_expired_while_the_node_was_down_is_not_delivered(on_mailbox):
    async def main(postal):
        await send(postal, ASK, ttl_s=60)
        await asyncio.sleep(61)
        postal = await postal.restart()
        device = postal.device()
        postal.inbox.attach(THING, device)
        await turn()
        assert device.got == [] and postal.mailbox.of(THING) == []

    on_mailbox(main)


def test_what_could_not_be_committed_is_neither_kept_nor_delivered(on_mailbox):
    async def main(postal):
        first = await send(postal, ASK)
        postal.store.capacity_bytes = 0
        with pytest.raises(LogFull):
            await send(postal, replace(ASK, subject="lost"))
        assert [m.id for m in postal.mailbox.of(THING)] == [first.id]
        device = postal.device(reply=OK)
        postal.inbox.attach(THING, device)
        await turn()
        assert device.subjects == ["ask"]
        # That it is done could not be written either: after a restart it comes once more.
        assert postal.mailbox.of(THING) == []
        postal.store.capacity_bytes = 1 << 40
        postal = await postal.restart()
        postal.inbox.attach(THING, again := postal.device(reply=OK))
        await turn()
        assert [m.id for m in again.got] == [first.id]
        assert (await postal.restart()).mailbox.of(THING) == []

    on_mailbox(main)


def test_a_listener_everywhere_may_answer_too(on_mailbox):
    async def main(postal):
        await send(postal, ASK)
        stranger = postal.device()
        stranger.deliver = lambda message: False
        session = postal.device(reply=OK)
        postal.inbox.attach_everywhere(stranger)
        postal.inbox.attach_everywhere(session)
        await turn()
        assert session.subjects == ["ask"] and postal.mailbox.of(THING) == []

    on_mailbox(main)


def test_a_route_takes_over_what_it_keeps_and_is_not_sent_what_came_over_it(on_mailbox):
    async def main(postal):
        await send(postal, ASK)
        beyond = Reply(202, headers={KEPT_BEYOND: "x"})
        route = postal.device(reply=beyond)
        postal.inbox.attach_default(route, route="site/a")
        await turn()
        assert postal.kinds == ["mailbox.kept", "mailbox.forwarded"]
        # Straight through to a site that keeps it: the sender hears that it is kept.
        assert isinstance(await send(postal, replace(ASK, subject="two")), Kept)
        assert postal.mailbox.statistics().kept == 1
        # From the site itself: not back to it, for a while.
        mine = replace(ASK, subject="three", id="000000000001-aa")
        kept = await send(postal, mine, via="site/a")
        assert kept == Kept("000000000001-aa", postal.clock.now_ms() + 600_000)
        postal.inbox.wake(THING)
        await turn()
        assert route.subjects == ["ask", "two"]
        await asyncio.sleep(130)  # but the thing may have moved there
        assert route.subjects == ["ask", "two", "three"]
        assert await send(postal, mine, via="site/a") == replace(kept, expires_ms=_later(postal))
        postal.inbox.attach_default(other := postal.device(reply=beyond), route="site/b")
        await turn()
        assert other.subjects == ["three"]

    on_mailbox(main)


def _later(postal):
    return postal.clock.now_ms() + 600_000


def test_the_same_message_twice_over_a_link_is_one(on_mailbox):
    async def main(postal):
        mine = replace(ASK, id="000000000001-aa")
        one = await send(postal, mine, via="up")
        assert await send(postal, mine, via="up") == one
        device = postal.device(reply=OK)
        postal.inbox.attach(THING, device)
        await turn()
        assert isinstance(await send(postal, mine, via="up"), Kept)
        assert len(device.got) == 1 and postal.mailbox.of(THING) == []

    on_mailbox(main)


def test_the_same_message_twice_at_once_is_delivered_once(on_mailbox):
    async def main(postal):
        device = postal.device()
        postal.inbox.attach(THING, device)
        mine = replace(ASK, id="000000000001-aa")
        async with asyncio.TaskGroup() as tasks:
            first = tasks.create_task(send(postal, mine, via="up", timeout_s=5))
            await turn()
            with pytest.raises(Unavailable):
                await send(postal, mine, via="up", timeout_s=5)
            device.got[0].reply(OK)
        assert first.result() == OK and len(device.got) == 1

    on_mailbox(main)


def test_who_is_attached_twice_gets_a_message_once(on_mailbox):
    async def main(postal):
        await send(postal, ASK)
        device = postal.device()
        for _ in range(2):
            postal.inbox.attach(THING, device)
        await turn()
        assert len(device.got) == 1

    on_mailbox(main)


def test_what_is_kept_for_a_thing_that_was_deleted_is_not_for_the_next_of_its_name(on_mailbox):
    async def main(postal):
        await send(postal, ASK)
        postal.gone.add(THING)
        await asyncio.sleep(61)
        assert postal.kinds == ["mailbox.kept", "mailbox.cancelled"]
        await send(postal, ASK)
        postal.inbox.attach(THING, device := postal.device())
        await turn()
        assert device.got == [] and postal.mailbox.of(THING) == []

    on_mailbox(main)


def test_the_sender_itself_does_not_get_its_message(on_mailbox):
    async def main(postal):
        session = postal.device(reply=OK)
        postal.inbox.attach_everywhere(session)
        kept = await send(postal, ASK, source=session, timeout_s=1)
        assert isinstance(kept, Kept)

    on_mailbox(main)


def test_mail_is_bounded_per_thing_and_in_total(on_mailbox):
    async def main(postal):
        for n in range(MAILBOX_PER_THING_MAX):
            await send(postal, replace(TELL, subject=f"s{n}"))
        with pytest.raises(MailboxFull) as e:
            await send(postal, TELL)
        assert e.value.code == "littoral.mailbox.full"
        assert postal.mailbox.statistics().refused == 1
        big = replace(TELL, payload=b"x" * MESSAGE_BYTES_MAX)
        room = MAILBOX_BYTES_MAX // MESSAGE_BYTES_MAX
        refused = 0
        for n in range(room + 1):
            try:
                await send(postal, replace(big, thing_id=f"org.acme:t{n}"))
            except MailboxFull:
                refused += 1
        assert refused
        assert postal.mailbox.statistics().bytes <= MAILBOX_BYTES_MAX

    on_mailbox(main)


def test_what_cannot_be_kept_is_refused(on_mailbox):
    async def main(postal):
        for ttl_s in (0, -1, MAILBOX_TTL_S_MAX + 1):
            with pytest.raises(InvalidMailbox):
                await send(postal, TELL, ttl_s=ttl_s)
        with pytest.raises(InvalidMailbox):
            await send(postal, replace(TELL, direction=Direction.OUTBOX))
        with pytest.raises(MessageTooLarge):
            await send(postal, replace(TELL, payload=b"x" * (MESSAGE_BYTES_MAX + 1)))
        with pytest.raises(MailMissing):
            postal.mailbox.payload(THING, "none")
        with pytest.raises(MailMissing):
            await postal.mailbox.cancel(THING, "none")

    on_mailbox(main)


def test_a_sender_that_hangs_up_leaves_nothing_behind(on_mailbox):
    async def main(postal):
        device = postal.device()
        postal.inbox.attach(THING, device)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(2):
                await send(postal, ASK, timeout_s=10)
        assert postal.mailbox.of(THING) == [] and postal.kinds == []

    on_mailbox(main)


def test_mail_is_looked_at_anew_every_minute_for_routes_that_became_known(on_mailbox):
    async def main(postal):
        await send(postal, ASK)
        lives_there = set()
        route = postal.device(reply=Reply(202, headers={KEPT_BEYOND: "x"}))
        postal.inbox.attach_default(route, accepts=lives_there.__contains__, route="site/a")
        await asyncio.sleep(10)
        assert route.got == []
        lives_there.add(THING)
        await asyncio.sleep(61)
        assert route.subjects == ["ask"]

    on_mailbox(main)
