"""Messages for devices that are away: kept durably until answered, expired or cancelled.

Beyond Eclipse Ditto, which has no delivery to devices that are not connected.
"""

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace

from littoral.eventing.errors import InvalidMailbox, MailboxFull, MailMissing
from littoral.eventing.inbox import Attachment, Inbox
from littoral.eventing.model import (
    MAILBOX_SEEN_MAX,
    MAILBOX_TTL_S_MAX,
    Direction,
    Kept,
    Mail,
    MailboxStatistics,
    Message,
    Reply,
    check_message,
)
from littoral.eventing.ports import MailLog, Receiver
from littoral.eventing.shelf import Item, Shelf, item_of
from littoral.kernel import json
from littoral.kernel.errors import LittoralError, Unavailable
from littoral.kernel.time import Clock, Entropy

RETRY_S = 1.0
"""How soon a receiver that had no room is asked again."""

LOOK_S_MAX = 60.0
"""How often all is looked at anew: the wall clock may have jumped, a route be known by now."""

RETURN_S = 60.0
"""How long a message is not sent back by the route that it came by. Where a thing lives may have
changed meanwhile; but two nodes that disagree about that must not play with a message."""

KEPT_BEYOND = "littoral-kept"
"""The header of an answer from beyond a link: that node keeps the message now."""

ANSWER_BYTES_SHOWN = 4096
"""An answer up to this size stands in the record that says that it came."""

_NEVER_MS = 1 << 62


class Mailbox:
    """Keeps messages to things, and offers them to whoever speaks for the thing, in order.

    A message goes to those who are there first. If nobody answers it while its sender waits, it is
    stored; from then on every receiver that attaches gets it, until one of them answers (a one-way
    message: until a receiver says `Message.delivered`), its time is over, or it is cancelled.

    Invariant: a sender is told `Kept` only after the commit; a message is never offered after its
    time, by the wall clock; a receiver gets the messages of a thing in the order of their ids.
    """

    def __init__(
        self,
        log: MailLog,
        inbox: Inbox,
        clock: Clock,
        entropy: Entropy,
        *,
        is_gone: Callable[[str], bool] = lambda _: False,
    ) -> None:
        """Read what is kept.

        Args:
            log: keeps it.
            inbox: knows who is there.
            clock: whose wall time ends a message's life.
            entropy: makes ids that nobody guesses.
            is_gone: whether a thing was deleted: what is kept for it is not for the next of its name.
        """
        self._log = log
        self._is_gone = is_gone
        self._inbox = inbox
        self._clock = clock
        self._shelf = Shelf(log, entropy)
        self._look_at_s = clock.monotonic_s() + LOOK_S_MAX
        self._stuck: dict[str, None] = {}
        self._seen: OrderedDict[str, None] = OrderedDict()
        self._trying: set[str] = set()
        self._changed = asyncio.Event()
        self._nearest_ms = 0
        """When the next message expires, as `run` knows it."""
        self._kept = self._at_once = self._offered = 0
        self._done = self._expired = self._cancelled = self._refused = 0
        inbox.watch(self._attached)

    # -- senders ------------------------------------------------------------------------------

    async def send(
        self,
        message: Message,
        *,
        ttl_s: float,
        timeout_s: float,
        source: Receiver | None = None,
        via: str = "",
    ) -> Reply | Kept:
        """Deliver ``message``, now or later.

        Args:
            message: with ``response_required``; with an ``id`` if another node kept it before.
            ttl_s: how long it may be kept, up to `MAILBOX_TTL_S_MAX`.
            timeout_s: how long its sender waits for an answer before it is kept. 0: not at all.
            source: the session that sends it: it does not get its own message.
            via: the route that it came by, as `Inbox.attach_default` names it.

        Returns:
            The answer, if somebody is there who answers in time; else that it is kept, durably.

        Raises:
            InvalidMailbox, MailboxFull, InvalidMessageSubject, MessageTooLarge, LogFull, …
            Unavailable: the same message came twice over a link, and is being delivered.
        """
        check_message(message)
        if message.direction is not Direction.INBOX:
            raise InvalidMailbox(
                "only messages to a thing are kept, not those that come from it.",
                hint="Leave Littoral-Mailbox-TTL out.",
            )
        if not 0 < ttl_s <= MAILBOX_TTL_S_MAX:
            raise InvalidMailbox(
                f"a message is kept for more than 0 and at most {MAILBOX_TTL_S_MAX} seconds."
            )
        known = self._known(message)
        if known is not None:
            return known
        item = self._new(message, ttl_s, via)
        # What waits already comes first: then this one waits too.
        if message.response_required and timeout_s > 0 and message.thing_id not in self._shelf:
            reply = await self._try(item, message, timeout_s, source)
            if reply is not None:
                if KEPT_BEYOND in reply.headers:
                    return self._kept_of(item)
                self._at_once += 1
                self._remember(message)
                return reply
        return await self._keep(item, message)

    def _known(self, message: Message) -> Kept | None:
        """The same message again, over a link whose answer was lost: it is here, or was."""
        if not message.id:
            return None
        if message.id in self._trying:
            raise Unavailable("this message is being delivered just now.")
        item = self._shelf.find(message.thing_id, message.id)
        if item is not None:
            return self._kept_of(item)
        return Kept(message.id, self._clock.now_ms()) if message.id in self._seen else None

    def _new(self, message: Message, ttl_s: float, via: str) -> Item:
        now_ms = self._clock.now_ms()
        mail_id = message.id or self._shelf.new_id(now_ms)
        expires_ms = now_ms + int(ttl_s * 1000)
        item = item_of(message, mail_id, kept_ms=now_ms, expires_ms=expires_ms, via=via)
        try:
            self._shelf.check_room(message.thing_id, item.shown.bytes)
        except MailboxFull:
            self._refused += 1
            raise
        return item

    async def _try(
        self, item: Item, message: Message, timeout_s: float, source: Receiver | None
    ) -> Reply | None:
        """Offer a message to who is there, and wait for an answer while its sender waits."""
        item.waiter = asyncio.get_running_loop().create_future()
        self._trying.add(item.shown.id)
        for attachment in self._inbox.candidates(message):
            if (
                attachment.receiver is not source
                and not self._came_by(item, attachment)
                and not item.has(attachment.receiver)
            ):
                self._hand(item, message, attachment)
        try:
            if not item.offered and not item.done:
                return None
            async with asyncio.timeout(timeout_s):
                return await item.waiter
        except TimeoutError:
            return None
        finally:
            item.waiter = None
            self._trying.discard(item.shown.id)

    async def _keep(self, item: Item, message: Message) -> Kept:
        self._shelf.keep(item, message)
        self._kept += 1
        await self._log.wait(item.seq)
        self._remember(message)
        if item.shown.expires_ms < self._nearest_ms:
            self._changed.set()
        self._pump(item.shown.thing_id)
        return self._kept_of(item)

    @staticmethod
    def _kept_of(item: Item) -> Kept:
        return Kept(item.shown.id, item.shown.expires_ms)

    def _remember(self, message: Message) -> None:
        if message.id:
            self._seen[message.id] = None
            if len(self._seen) > MAILBOX_SEEN_MAX:
                self._seen.popitem(last=False)

    # -- people -------------------------------------------------------------------------------

    def of(self, thing_id: str) -> list[Mail]:
        """What is kept for a thing, in the order in which it will be delivered."""
        now_ms = self._clock.now_ms()
        return [
            replace(item.shown, offered=len(item.still_offered()))
            for item in self._shelf.of(thing_id)
            if item.shown.expires_ms > now_ms and self._shelf.is_durable(item)
        ]

    def payload(self, thing_id: str, mail_id: str) -> bytes:
        """The payload of a kept message; raise `MailMissing` if there is none."""
        return self._shelf.message(self._item(thing_id, mail_id)).payload

    async def cancel(self, thing_id: str, mail_id: str) -> None:
        """Take a message back, durably. Who has it already may act on it all the same.

        Raises:
            MailMissing: it is not kept (any more). LogFull, …: it could not be written.
        """
        item = self._item(thing_id, mail_id)
        seq = self._shelf.say("mailbox.cancelled", item.shown)
        self._shelf.remove(item)
        self._cancelled += 1
        await self._log.wait(seq)

    def _item(self, thing_id: str, mail_id: str) -> Item:
        item = self._shelf.find(thing_id, mail_id)
        if item is None or item.shown.expires_ms <= self._clock.now_ms():
            raise MailMissing(
                f"no message {mail_id[:60]!r} is kept for {thing_id}.",
                hint="It was answered, cancelled, or its time was over.",
            )
        return item

    # -- receivers ----------------------------------------------------------------------------

    def _attached(self, thing_id: str | None) -> None:
        """Somebody may take messages now; offered with the loop's next turn, not within `attach`."""
        loop = asyncio.get_running_loop()
        if thing_id is None:
            for name in self._shelf.things():
                loop.call_soon(self._pump, name)
        elif thing_id in self._shelf:
            loop.call_soon(self._pump, thing_id)

    def _pump(self, thing_id: str) -> None:
        """Offer what is kept for a thing to everybody who is there and does not have it yet."""
        self._stuck.pop(thing_id, None)
        items = self._shelf.of(thing_id)
        if not items:
            return
        if self._is_gone(thing_id):
            for item in items:
                self._shelf.finish(item, "mailbox.cancelled")
                self._cancelled += 1
            return
        for attachment in self._inbox.candidates(Message(thing_id, items[0].shown.subject)):
            for item in items:
                if not self._offer(item, attachment):
                    # What comes after it must not overtake it.
                    self._stuck[thing_id] = None
                    self._changed.set()
                    break

    def _offer(self, item: Item, attachment: Attachment) -> bool:
        """Offer one message to one receiver; False if it cannot take it now."""
        if (
            item.done
            or item.has(attachment.receiver)
            or not self._shelf.is_durable(item)
            or item.shown.expires_ms <= self._clock.now_ms()
            or self._came_by(item, attachment)
        ):
            return True
        item.offered = item.still_offered()
        return self._hand(item, self._shelf.message(item), attachment) is not None

    def _came_by(self, item: Item, attachment: Attachment) -> bool:
        """Whether the message has come by that route, just now."""
        if not item.via or attachment.route != item.via:
            return False
        return self._clock.now_ms() - item.shown.kept_ms < RETURN_S * 1000

    def _hand(self, item: Item, message: Message, attachment: Attachment) -> bool | None:
        """Give a message to a receiver, with its deadline and the ways back; see `Inbox.hand`."""

        def undelivered() -> None:
            # Whoever attaches next gets it; not at once, or who refuses it gets it for ever.
            if attachment in item.offered:
                item.offered.remove(attachment)

        left_s = (item.shown.expires_ms - self._clock.now_ms()) / 1000
        prepared = replace(
            message,
            id=item.shown.id,
            expires_s=self._clock.monotonic_s() + left_s,
            answer=lambda reply: self._replied(item, reply),
            on_delivered=lambda: self._delivered(item),
            on_undelivered=undelivered,
        )
        # In this order: a receiver may say within `deliver` that it is done.
        item.offered.append(attachment)
        took = self._inbox.hand(attachment, prepared)
        if took:
            self._offered += 1
        else:
            undelivered()
        return took

    def _replied(self, item: Item, reply: Reply) -> bool:
        if item.done or item.shown.expires_ms <= self._clock.now_ms():
            return False
        if item.waiter is not None:
            item.done = True
            item.waiter.set_result(reply)
        elif item.stored:
            kind = "mailbox.answered"
            if KEPT_BEYOND in reply.headers:
                kind = "mailbox.forwarded"
                # It may come back: then it is not a repetition.
                self._seen.pop(item.shown.id, None)
            self._shelf.finish(item, kind, **_shown(reply))
            self._done += 1
        return True

    def _delivered(self, item: Item) -> None:
        if not item.done and item.stored and not item.shown.response_required:
            self._shelf.finish(item, "mailbox.delivered")
            self._done += 1

    # -- time ---------------------------------------------------------------------------------

    async def run(self) -> None:
        """Let messages expire, and ask receivers without room again, until cancelled."""
        while True:
            self._changed.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._delay_s()):
                    await self._changed.wait()
            self._expire(self._clock.now_ms())
            again = list(self._stuck)
            if self._clock.monotonic_s() >= self._look_at_s:
                self._look_at_s = self._clock.monotonic_s() + LOOK_S_MAX
                again = self._shelf.things()
            for thing_id in again:
                self._pump(thing_id)

    def _delay_s(self) -> float:
        self._nearest_ms = min((i.shown.expires_ms for i in self._shelf.items()), default=_NEVER_MS)
        if self._stuck:
            return RETRY_S
        return min(LOOK_S_MAX, max(0.001, (self._nearest_ms - self._clock.now_ms()) / 1000))

    def _expire(self, now_ms: int) -> None:
        for item in [i for i in self._shelf.items() if i.shown.expires_ms <= now_ms]:
            self._shelf.finish(item, "mailbox.expired")
            self._expired += 1

    def statistics(self) -> MailboxStatistics:
        """What is kept, and counters since the start."""
        return MailboxStatistics(
            messages=self._shelf.count,
            things=len(self._shelf.things()),
            bytes=self._shelf.bytes,
            kept=self._kept,
            answered_at_once=self._at_once,
            offered=self._offered,
            done=self._done,
            expired=self._expired,
            cancelled=self._cancelled,
            refused=self._refused,
        )


def _shown(reply: Reply) -> dict[str, object]:
    """An answer for the record: its status, and a small JSON body."""
    members: dict[str, object] = {"status": reply.status}
    if 0 < len(reply.payload) <= ANSWER_BYTES_SHOWN and "json" in reply.content_type:
        with contextlib.suppress(LittoralError):
            members["value"] = json.decode(reply.payload)
    return members
