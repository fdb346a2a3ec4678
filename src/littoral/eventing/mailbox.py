"""Messages for devices that are away: kept durably until answered, expired or cancelled.

Beyond Eclipse Ditto, which has no delivery to devices that are not connected.
"""

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from littoral.eventing import mail as stored
from littoral.eventing.errors import InvalidMailbox, MailboxFull, MailMissing
from littoral.eventing.inbox import Attachment, Inbox
from littoral.eventing.model import (
    MAILBOX_BYTES_MAX,
    MAILBOX_MESSAGES_MAX,
    MAILBOX_PER_THING_MAX,
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
from littoral.kernel import json
from littoral.kernel import time as instants
from littoral.kernel.errors import LittoralError
from littoral.kernel.time import Clock, Entropy
from littoral.log import LogFull, RecordClass

RETRY_S = 1.0
"""How soon a receiver that had no room is asked again."""

LOOK_S_MAX = 60.0
"""How often the wall clock is looked at: it may have jumped."""

ANSWER_BYTES_SHOWN = 4096
"""An answer up to this size stands in the record that says that it came."""

_LOAD_CHUNK = 100


@dataclass(slots=True, eq=False)
class _Item:
    """One message of a mailbox, without its payload once it is stored."""

    shown: Mail
    seq: int = 0
    """Of the record that says it is kept; 0: not stored, its sender still waits."""
    offered: list[Attachment] = field(default_factory=list)
    waiter: asyncio.Future[Reply] | None = None
    done: bool = False


class Mailbox:
    """Keeps messages to things, and offers them to whoever speaks for the thing, in order.

    A message goes to those who are there first. If nobody answers it while its sender waits, it is
    stored; from then on every receiver that attaches gets it, until one of them answers (a one-way
    message: until a receiver says `Message.delivered`), its time is over, or it is cancelled.

    Invariant: a sender is told `Kept` only after the commit; a message is never offered after its
    time, by the wall clock; a receiver gets the messages of a thing in the order of their ids.
    """

    def __init__(self, log: MailLog, inbox: Inbox, clock: Clock, entropy: Entropy) -> None:
        self._log = log
        self._inbox = inbox
        self._clock = clock
        self._entropy = entropy
        self._things: dict[str, OrderedDict[str, _Item]] = {}
        self._count = self._bytes = 0
        self._last_ms = 0
        self._stuck: dict[str, None] = {}
        self._seen: OrderedDict[str, None] = OrderedDict()
        self._changed = asyncio.Event()
        self._kept = self._at_once = self._offered = 0
        self._done = self._expired = self._cancelled = self._refused = 0
        self._load()
        inbox.watch(self._attached)
        log.on_abort(lambda _: self._reload())

    # -- senders ------------------------------------------------------------------------------

    async def send(
        self, message: Message, *, ttl_s: float, timeout_s: float, source: Receiver | None = None
    ) -> Reply | Kept:
        """Deliver ``message``, now or later.

        Args:
            message: with ``response_required``; with an ``id`` if another node kept it before.
            ttl_s: how long it may be kept, up to `MAILBOX_TTL_S_MAX`.
            timeout_s: how long its sender waits for an answer before it is kept. 0: not at all.
            source: the link that it came over.

        Returns:
            The answer, if somebody is there who answers in time; else that it is kept, durably.

        Raises:
            InvalidMailbox, MailboxFull, InvalidMessageSubject, MessageTooLarge, LogFull, …
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
        item = self._new(message, ttl_s)
        # What waits already comes first: then this one waits too.
        if message.response_required and timeout_s > 0 and message.thing_id not in self._things:
            reply = await self._try(item, message, timeout_s, source)
            if reply is not None:
                self._at_once += 1
                self._remember(message)
                return reply
        return await self._keep(item, message)

    def _known(self, message: Message) -> Kept | None:
        """The same message again, over a link whose answer was lost: it is here, or was."""
        if not message.id:
            return None
        item = self._find(message.thing_id, message.id)
        if item is not None:
            return Kept(message.id, item.shown.expires_ms)
        return Kept(message.id, self._clock.now_ms()) if message.id in self._seen else None

    def _new(self, message: Message, ttl_s: float) -> _Item:
        size = len(message.payload) + len(message.subject) + sum(map(len, message.headers.values()))
        self._check_room(message.thing_id, size)
        now_ms = self._clock.now_ms()
        return _Item(
            Mail(
                id=message.id or self._new_id(now_ms),
                thing_id=message.thing_id,
                subject=message.subject,
                feature=message.feature,
                content_type=message.content_type,
                correlation_id=message.correlation_id,
                sender=message.originator,
                response_required=message.response_required,
                bytes=size,
                kept_ms=now_ms,
                expires_ms=now_ms + int(ttl_s * 1000),
                offered=0,
            )
        )

    def _new_id(self, now_ms: int) -> str:
        """Rises with time, also within a millisecond and over restarts; nobody guesses it."""
        self._last_ms = max(now_ms, self._last_ms + 1)
        return f"{self._last_ms:012x}-{self._entropy.token(8).hex()}"

    def _check_room(self, thing_id: str, size: int) -> None:
        full = ""
        if len(self._things.get(thing_id, ())) >= MAILBOX_PER_THING_MAX:
            full = f"{MAILBOX_PER_THING_MAX} messages are kept for {thing_id!r} already."
        elif self._count >= MAILBOX_MESSAGES_MAX:
            full = f"{MAILBOX_MESSAGES_MAX} messages are kept already."
        elif self._bytes + size > MAILBOX_BYTES_MAX:
            full = f"{self._bytes} bytes of messages are kept already."
        if full:
            self._refused += 1
            raise MailboxFull(full, hint="Cancel some, or give them shorter times to live.")

    async def _try(
        self, item: _Item, message: Message, timeout_s: float, source: Receiver | None
    ) -> Reply | None:
        """Offer a message to who is there, and wait for an answer while its sender waits."""
        item.waiter = asyncio.get_running_loop().create_future()
        offered = self._prepared(item, message)
        for attachment in self._inbox.candidates(offered):
            if attachment.receiver is not source and self._inbox.hand(attachment, offered):
                item.offered.append(attachment)
                self._offered += 1
        try:
            if not item.offered and not item.done:
                return None
            async with asyncio.timeout(timeout_s):
                return await item.waiter
        except TimeoutError:
            return None
        finally:
            item.waiter = None

    async def _keep(self, item: _Item, message: Message) -> Kept:
        shown = item.shown
        # Others may have been kept while this one's sender waited.
        self._check_room(shown.thing_id, shown.bytes)
        data = stored.encode(message, kept_ms=shown.kept_ms, expires_ms=shown.expires_ms)
        item.seq = self._append("mailbox.kept", shown, expires=instants.render(shown.expires_ms))
        self._log.put(stored.SPACE, stored.key_of(shown.thing_id, shown.id), data)
        self._add(item)
        self._kept += 1
        await self._log.wait(item.seq)
        self._remember(message)
        self._changed.set()
        self._pump(shown.thing_id)
        return Kept(shown.id, shown.expires_ms)

    # -- people -------------------------------------------------------------------------------

    def of(self, thing_id: str) -> list[Mail]:
        """What is kept for a thing, in the order in which it will be delivered."""
        now_ms = self._clock.now_ms()
        return [
            replace(item.shown, offered=len(_still_there(item)))
            for item in (self._things.get(thing_id) or {}).values()
            if item.shown.expires_ms > now_ms and item.seq <= self._log.committed
        ]

    def payload(self, thing_id: str, mail_id: str) -> bytes:
        """The payload of a kept message; raise `MailMissing` if there is none."""
        return self._stored(self._item(thing_id, mail_id)).payload

    async def cancel(self, thing_id: str, mail_id: str) -> None:
        """Take a message back, durably. Who has it already may act on it all the same.

        Raises:
            MailMissing: it is not kept (any more). LogFull, …: it could not be written.
        """
        item = self._item(thing_id, mail_id)
        seq = self._append("mailbox.cancelled", item.shown)
        self._remove(item)
        self._cancelled += 1
        await self._log.wait(seq)

    def _find(self, thing_id: str, mail_id: str) -> _Item | None:
        items = self._things.get(thing_id)
        return None if items is None else items.get(mail_id)

    def _item(self, thing_id: str, mail_id: str) -> _Item:
        item = self._find(thing_id, mail_id)
        if item is None or item.shown.expires_ms <= self._clock.now_ms():
            raise MailMissing(
                f"no message {mail_id[:60]!r} is kept for {thing_id}.",
                hint="It was answered, cancelled, or its time was over.",
            )
        return item

    # -- receivers ----------------------------------------------------------------------------

    def _attached(self, thing_id: str | None) -> None:
        if thing_id is None:
            names = list(self._things)
        elif thing_id in self._things:
            names = [thing_id]
        else:
            return
        loop = asyncio.get_running_loop()
        for name in names:
            loop.call_soon(self._pump, name)

    def _pump(self, thing_id: str) -> None:
        """Offer what is kept for a thing to everybody who is there and does not have it yet."""
        self._stuck.pop(thing_id, None)
        items = self._things.get(thing_id)
        if not items:
            return
        first = next(iter(items.values()))
        about = Message(thing_id, first.shown.subject)
        for attachment in self._inbox.candidates(about):
            for item in list(items.values()):
                if not self._offer(item, attachment):
                    # What comes after it must not overtake it.
                    self._stuck[thing_id] = None
                    self._changed.set()
                    break

    def _offer(self, item: _Item, attachment: Attachment) -> bool:
        """Offer one message to one receiver; False if it cannot take it now."""
        if item.done or item.seq > self._log.committed or attachment in item.offered:
            return True
        if item.shown.expires_ms <= self._clock.now_ms():
            return True
        mail = self._stored(item)
        message = stored.message_of(item.shown.thing_id, item.shown.id, mail)
        item.offered = _still_there(item)
        # In this order: a receiver may say within `deliver` that it is done.
        item.offered.append(attachment)
        took = self._inbox.hand(attachment, self._prepared(item, message))
        if took:
            self._offered += 1
        elif attachment in item.offered:
            item.offered.remove(attachment)
        return took is not None

    def _prepared(self, item: _Item, message: Message) -> Message:
        """``message`` as a receiver gets it: with its deadline and the ways back."""
        left_s = (item.shown.expires_ms - self._clock.now_ms()) / 1000
        return replace(
            message,
            id=item.shown.id,
            expires_s=self._clock.monotonic_s() + left_s,
            answer=lambda reply: self._replied(item, reply),
            on_delivered=lambda: self._delivered(item),
            on_undelivered=lambda: self._undelivered(item),
        )

    def _replied(self, item: _Item, reply: Reply) -> bool:
        if item.done or item.shown.expires_ms <= self._clock.now_ms():
            return False
        item.done = True
        if item.waiter is not None:
            if not item.waiter.done():
                item.waiter.set_result(reply)
            return True
        if item.seq:
            self._finish(item, "mailbox.answered", **_shown(reply))
        return True

    def _delivered(self, item: _Item) -> None:
        if not item.done and item.seq and not item.shown.response_required:
            item.done = True
            self._finish(item, "mailbox.delivered")

    @staticmethod
    def _undelivered(item: _Item) -> None:
        # Whoever attaches next gets it; not at once, or a device that refuses gets it for ever.
        item.offered.clear()

    def _finish(self, item: _Item, kind: str, **more: object) -> None:
        # A full disk: it is done here and now; after a restart it may be offered once more.
        with contextlib.suppress(LogFull):
            self._append(kind, item.shown, **more)
        self._remove(item)
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
            for thing_id in list(self._stuck):
                self._pump(thing_id)

    def _delay_s(self) -> float:
        if self._stuck:
            return RETRY_S
        nearest = min((i.shown.expires_ms for i in self._items()), default=None)
        if nearest is None:
            return LOOK_S_MAX
        return min(LOOK_S_MAX, max(0.001, (nearest - self._clock.now_ms()) / 1000))

    def _expire(self, now_ms: int) -> None:
        for item in [i for i in self._items() if i.shown.expires_ms <= now_ms]:
            if not item.done:
                item.done = True
                with contextlib.suppress(LogFull):
                    self._append("mailbox.expired", item.shown)
                self._remove(item)
                self._expired += 1

    # -- the store ----------------------------------------------------------------------------

    def statistics(self) -> MailboxStatistics:
        """What is kept, and counters since the start."""
        return MailboxStatistics(
            messages=self._count,
            things=len(self._things),
            bytes=self._bytes,
            kept=self._kept,
            answered_at_once=self._at_once,
            offered=self._offered,
            done=self._done,
            expired=self._expired,
            cancelled=self._cancelled,
            refused=self._refused,
        )

    def _items(self) -> Iterator[_Item]:
        for items in self._things.values():
            yield from items.values()

    def _append(self, kind: str, shown: Mail, **more: object) -> int:
        """Say in the log what happened to a message; return the record's seq."""
        value: dict[str, object] = {
            "id": shown.id,
            "thingId": shown.thing_id,
            "subject": shown.subject,
            "correlationId": shown.correlation_id,
        }
        if shown.feature is not None:
            value["feature"] = shown.feature
        # Not `thing:`: where a message waits says nothing about where its thing lives.
        entity = f"mailbox:{shown.thing_id}"
        data = json.encode(value | more)
        return self._log.append(RecordClass.EVENT, kind, entity, 0, 0, "/", data)

    def _stored(self, item: _Item) -> stored.StoredMail:
        data = self._log.get(stored.SPACE, stored.key_of(item.shown.thing_id, item.shown.id))
        assert data is not None, item.shown.id
        return stored.decode(data)

    def _add(self, item: _Item) -> None:
        items = self._things.setdefault(item.shown.thing_id, OrderedDict())
        items[item.shown.id] = item
        self._count += 1
        self._bytes += item.shown.bytes

    def _remove(self, item: _Item) -> None:
        shown = item.shown
        item.done = True
        with contextlib.suppress(LittoralError):
            self._log.put(stored.SPACE, stored.key_of(shown.thing_id, shown.id), None)
        items = self._things.get(shown.thing_id)
        if items is None or items.pop(shown.id, None) is None:
            return  # a commit failed in between, and it had never been kept
        if not items:
            del self._things[shown.thing_id]
        self._count -= 1
        self._bytes -= shown.bytes

    def _remember(self, message: Message) -> None:
        if message.id:
            self._seen[message.id] = None
            if len(self._seen) > MAILBOX_SEEN_MAX:
                self._seen.popitem(last=False)

    def _load(self) -> None:
        after = ""
        while True:
            rows = self._log.scan(stored.SPACE, after=after, limit=_LOAD_CHUNK)
            for key, data in rows:
                thing_id, mail_id = stored.split(key)
                self._add(_loaded(thing_id, mail_id, stored.decode(data)))
                self._last_ms = max(self._last_ms, int(mail_id.partition("-")[0], 16))
            if len(rows) < _LOAD_CHUNK:
                return
            after = rows[-1][0]

    def _reload(self) -> None:
        """A commit failed: what it kept is not kept, and what it removed is there again."""
        self._things.clear()
        self._stuck.clear()
        self._count = self._bytes = 0
        with contextlib.suppress(LittoralError):
            self._load()


def _loaded(thing_id: str, mail_id: str, mail: stored.StoredMail) -> _Item:
    return _Item(
        Mail(
            id=mail_id,
            thing_id=thing_id,
            subject=mail.subject,
            feature=mail.feature,
            content_type=mail.content_type,
            correlation_id=mail.correlation_id,
            sender=mail.originator,
            response_required=mail.response_required,
            bytes=len(mail.payload) + len(mail.subject) + sum(map(len, mail.headers.values())),
            kept_ms=mail.kept_ms,
            expires_ms=mail.expires_ms,
            offered=0,
        )
    )


def _still_there(item: _Item) -> list[Attachment]:
    return [a for a in item.offered if not a.closed]


def _shown(reply: Reply) -> dict[str, object]:
    """An answer for the record: its status, and a small JSON body."""
    members: dict[str, object] = {"status": reply.status}
    if 0 < len(reply.payload) <= ANSWER_BYTES_SHOWN and "json" in reply.content_type:
        with contextlib.suppress(LittoralError):
            members["value"] = json.decode(reply.payload)
    return members
