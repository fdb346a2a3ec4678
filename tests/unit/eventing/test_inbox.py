import asyncio
from dataclasses import replace

import pytest

from littoral.eventing import (
    MESSAGES_PENDING_MAX,
    MESSAGES_PER_THING_MAX,
    Direction,
    Inbox,
    InvalidMessageFeature,
    InvalidMessageSubject,
    Message,
    MessageTimeout,
    MessageTooLarge,
    Reply,
    TooManyMessages,
)
from littoral.kernel.errors import Kind, Unavailable
from littoral.kernel.limits import MESSAGE_BYTES_MAX

HELLO = Message("a:b", "hello", b"{}", "application/json")
OK = Reply(200, b"1")


def now():
    return asyncio.get_running_loop().time()


def test_a_message_reaches_the_receiver_and_its_answer_comes_back(clock, receiver, world):
    async def main():
        inbox, device = Inbox(clock), receiver(OK)
        inbox.attach("a:b", device)
        assert await inbox.send(HELLO, timeout_s=5) == OK
        [message] = device.got
        assert message.response_required and message.remaining_s(now()) == 5
        assert now() == 0
        assert inbox.statistics().pending == 0 and inbox.statistics().replied == 1

    world(main)


def test_without_an_answer_the_sender_hears_at_the_deadline_and_not_before(clock, receiver, world):
    async def main():
        inbox, device = Inbox(clock), receiver()
        inbox.attach("a:b", device)
        with pytest.raises(MessageTimeout, match="was delivered") as e:
            await inbox.send(HELLO, timeout_s=5)
        assert (now(), e.value.code, e.value.kind) == (5, "command.timeout", Kind.TIMEOUT)
        assert device.got[0].reply(OK) is False  # too late
        with pytest.raises(MessageTimeout, match="Nobody there"):
            await inbox.send(replace(HELLO, thing_id="a:other"), timeout_s=1)
        assert inbox.statistics().timed_out == 2 and inbox.statistics().pending == 0

    world(main)


def test_a_device_that_connects_within_the_deadline_gets_what_waits_for_it(clock, receiver, world):
    async def main():
        inbox, device = Inbox(clock), receiver(OK)
        asyncio.get_running_loop().call_later(3, inbox.attach, "a:b", device)
        inbox.post(replace(HELLO, subject="one-way"))
        assert await inbox.send(HELLO, timeout_s=5) == OK
        assert now() == 3
        assert [m.subject for m in device.got] == ["one-way", "hello"]
        assert inbox.statistics().pending == 0

    world(main)


def test_a_message_is_never_delivered_past_its_time_to_live(clock, receiver, world):
    async def main():
        inbox, device = Inbox(clock), receiver(OK)
        inbox.post(replace(HELLO, ttl_s=2))
        with pytest.raises(MessageTimeout):
            await inbox.send(replace(HELLO, ttl_s=1), timeout_s=60)
        assert now() == 1
        await asyncio.sleep(1)
        inbox.attach("a:b", device)
        await asyncio.sleep(0)
        inbox.post(replace(HELLO, ttl_s=0))
        await asyncio.sleep(1)
        assert device.got == []
        assert inbox.statistics().expired == 2

    world(main)


def test_every_receiver_gets_the_message_once_and_the_first_reply_wins(clock, receiver, world):
    async def main():
        inbox = Inbox(clock)
        first, second = receiver(OK), receiver(Reply(500))
        for one in (first, second, first):
            inbox.attach("a:b", one)
        assert await inbox.send(HELLO, timeout_s=5) == OK
        assert (len(first.got), len(second.got)) == (1, 1)
        assert (first.accepted, second.accepted) == ([True], [False])

    world(main)


def test_the_default_route_takes_only_what_nobody_here_speaks_for(clock, receiver, world):
    async def main():
        inbox, device, link, watcher = Inbox(clock), receiver(OK), receiver(OK), receiver()
        inbox.attach("a:b", device)
        inbox.attach_default(link, accepts=lambda thing_id: thing_id != "x:y")
        inbox.attach_everywhere(watcher)
        await inbox.send(HELLO, timeout_s=5)
        assert (len(device.got), len(link.got), len(watcher.got)) == (1, 0, 1)
        await inbox.send(replace(HELLO, thing_id="far:away"), timeout_s=5)
        assert (len(link.got), len(watcher.got)) == (1, 2)
        with pytest.raises(MessageTimeout):
            await inbox.send(replace(HELLO, thing_id="x:y"), timeout_s=5)

    world(main)


def test_a_link_that_comes_up_gets_what_waits_and_its_own_messages_never(clock, receiver, world):
    async def main():
        inbox, link = Inbox(clock), receiver(OK)
        asyncio.get_running_loop().call_later(2, inbox.attach_default, link)
        assert await inbox.send(HELLO, timeout_s=5) == OK
        with pytest.raises(MessageTimeout):
            await inbox.send(HELLO, timeout_s=5, source=link)
        assert len(link.got) == 1

    world(main)


def test_directions_are_kept_apart(clock, receiver, world):
    async def main():
        inbox, device, watcher, both = Inbox(clock), receiver(), receiver(), receiver()
        inbox.attach("a:b", device)
        inbox.attach("a:b", watcher, direction=Direction.OUTBOX)
        inbox.attach("a:b", both, direction=None)
        inbox.post(replace(HELLO, direction=Direction.OUTBOX))
        assert (len(device.got), len(watcher.got), len(both.got)) == (0, 1, 1)

    world(main)


def test_a_receiver_without_room_counts_as_none(clock, full_receiver, receiver, world):
    async def main():
        inbox, link = Inbox(clock), receiver(OK)
        attachment = inbox.attach("a:b", full_receiver())
        inbox.attach_default(link)
        assert await inbox.send(HELLO, timeout_s=5) == OK
        assert inbox.statistics().failed == 1
        attachment.close()
        attachment.close()
        assert inbox.statistics().receivers == 1

    world(main)


def test_a_receiver_that_has_room_again_gets_what_it_could_not_take(clock, receiver, world):
    async def main():
        inbox, device = Inbox(clock), receiver()
        take, device.full = device.deliver, True

        def deliver(message):
            if device.full:
                raise Unavailable("no room.")
            take(message)

        device.deliver = deliver
        inbox.attach("a:b", device)
        inbox.post(HELLO)
        device.full = False
        inbox.wake("a:b")
        inbox.wake("a:other")
        await asyncio.sleep(0)
        assert len(device.got) == 1 and inbox.statistics().pending == 0

    world(main)


def test_bad_messages_are_refused_before_anybody_sees_them(clock, receiver, world):
    async def main():
        inbox, device = Inbox(clock), receiver()
        inbox.attach("a:b", device)
        for subject in ("", "/a", "a/", "a//b", "a\n", "a#", "+", "a" * 257):
            with pytest.raises(InvalidMessageSubject):
                inbox.post(replace(HELLO, subject=subject))
        with pytest.raises(InvalidMessageFeature):
            inbox.post(replace(HELLO, feature="a/b"))
        with pytest.raises(MessageTooLarge):
            await inbox.send(replace(HELLO, payload=bytes(MESSAGE_BYTES_MAX + 1)), timeout_s=1)
        inbox.post(replace(HELLO, payload=bytes(MESSAGE_BYTES_MAX), subject="ä b/c", feature="f"))
        assert len(device.got) == 1
        assert inbox.statistics().refused == 10

    world(main)


def test_an_answer_over_the_limit_is_refused_and_a_smaller_one_still_counts(clock, receiver, world):
    async def main():
        inbox, device = Inbox(clock), receiver()
        inbox.attach("a:b", device)

        async def answer():
            await asyncio.sleep(1)
            with pytest.raises(MessageTooLarge):
                device.got[0].reply(Reply(200, bytes(MESSAGE_BYTES_MAX + 1)))
            assert device.got[0].reply(OK)

        async with asyncio.TaskGroup() as group:
            group.create_task(answer())
            assert await inbox.send(HELLO, timeout_s=5) == OK

    world(main)


@pytest.mark.slow
def test_waiting_messages_are_bounded_per_thing_and_in_all(clock, world):
    async def main():
        inbox = Inbox(clock)
        for _ in range(MESSAGES_PER_THING_MAX):
            inbox.post(HELLO)
        with pytest.raises(TooManyMessages, match="'a:b'"):
            inbox.post(HELLO)
        for n in range(MESSAGES_PENDING_MAX - MESSAGES_PER_THING_MAX):
            inbox.post(replace(HELLO, thing_id=f"a:{n}"))
        with pytest.raises(TooManyMessages, match=str(MESSAGES_PENDING_MAX)):
            inbox.post(replace(HELLO, thing_id="a:one-more"))
        await asyncio.sleep(11)
        assert inbox.statistics().pending == 0

    world(main)


def test_closing_frees_whoever_waits(clock, world):
    async def main():
        inbox = Inbox(clock)
        asyncio.get_running_loop().call_later(1, inbox.close)
        with pytest.raises(Unavailable):
            await inbox.send(HELLO, timeout_s=5)
        assert now() == 1

    world(main)


def test_a_cancelled_sender_leaves_nothing_behind(clock, receiver, world):
    async def main():
        inbox, device = Inbox(clock), receiver()
        inbox.attach("a:b", device)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await inbox.send(HELLO, timeout_s=5)
        assert inbox.statistics().pending == 0
        assert device.got[0].reply(OK) is False

    world(main)


def test_a_message_names_its_policy_resource():
    assert HELLO.resource == "message:/inbox/messages/hello"
    feature = replace(HELLO, feature="f", direction=Direction.OUTBOX)
    assert feature.resource == "message:/features/f/outbox/messages/hello"
    assert HELLO.reply(OK) is False


def test_whoever_detached_gets_nothing_any_more(clock, receiver, world):
    async def main():
        inbox, link, watcher = Inbox(clock), receiver(), receiver()
        route, everywhere = inbox.attach_default(link), inbox.attach_everywhere(watcher)
        other = inbox.attach("a:b", receiver(), direction=Direction.OUTBOX)
        inbox.attach("a:b", receiver(), direction=Direction.OUTBOX)
        inbox.post(HELLO)
        for one in (route, everywhere, other):
            one.close()
        inbox.post(HELLO)
        assert (len(link.got), len(watcher.got)) == (1, 1)
        assert inbox.statistics().receivers == 1

    world(main)
