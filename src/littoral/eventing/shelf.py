"""What a mailbox holds: the messages in the log's keys, an index of them in memory, and the room.

The payloads stay in the log; in memory there is only what is needed to find and to judge them.
"""

import asyncio
import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from littoral.eventing import mail as stored
from littoral.eventing.errors import MailboxFull
from littoral.eventing.inbox import Attachment
from littoral.eventing.model import (
    MAILBOX_BYTES_MAX,
    MAILBOX_MESSAGES_MAX,
    MAILBOX_PER_THING_MAX,
    Mail,
    Message,
    Reply,
)
from littoral.eventing.ports import MailLog, Receiver
from littoral.kernel import json
from littoral.kernel import time as instants
from littoral.kernel.errors import LittoralError
from littoral.kernel.time import Entropy
from littoral.log import LogFull, RecordClass

_LOAD_CHUNK = 100


@dataclass(slots=True, eq=False)
class Item:
    """One message of a mailbox; without its payload, once that is stored."""

    shown: Mail
    via: str = ""
    """The route that it came by."""
    seq: int = 0
    """Of the record that says it is kept, if that was since the start."""
    stored: bool = False
    """If not, its sender still waits for an answer."""
    offered: list[Attachment] = field(default_factory=list)
    waiter: asyncio.Future[Reply] | None = None
    done: bool = False

    def still_offered(self) -> list[Attachment]:
        """Those receivers who have it and are still there."""
        return [a for a in self.offered if not a.closed]

    def has(self, receiver: Receiver) -> bool:
        """Whether ``receiver`` has it, and is still there."""
        return any(a.receiver is receiver for a in self.still_offered())


class Shelf:
    """The kept messages of a node, by thing, in the order of their ids.

    Invariant: an item's key, its record and its place in the index are made together; if the commit
    fails, the index is what the log has.
    """

    def __init__(self, log: MailLog, entropy: Entropy) -> None:
        self._log = log
        self._entropy = entropy
        self._things: dict[str, dict[str, Item]] = {}
        self._last_ms = 0
        self.count = self.bytes = 0
        self._load()
        log.on_abort(lambda _: self._reload())

    def new_id(self, now_ms: int) -> str:
        """Rises with time, also within a millisecond and over restarts; nobody guesses it."""
        self._last_ms = max(now_ms, self._last_ms + 1)
        return f"{self._last_ms:012x}-{self._entropy.token(8).hex()}"

    def check_room(self, thing_id: str, size: int) -> None:
        """Raise `MailboxFull` if a message of ``size`` bytes cannot be kept."""
        full = ""
        if len(self._things.get(thing_id, ())) >= MAILBOX_PER_THING_MAX:
            full = f"{MAILBOX_PER_THING_MAX} messages are kept for {thing_id!r} already."
        elif self.count >= MAILBOX_MESSAGES_MAX:
            full = f"{MAILBOX_MESSAGES_MAX} messages are kept already."
        elif self.bytes + size > MAILBOX_BYTES_MAX:
            full = f"{self.bytes} bytes of messages are kept already."
        if full:
            raise MailboxFull(full, hint="Cancel some, or give them shorter times to live.")

    # -- finding ------------------------------------------------------------------------------

    def __contains__(self, thing_id: str) -> bool:
        return thing_id in self._things

    def things(self) -> list[str]:
        """The ids of things for which something is kept."""
        return list(self._things)

    def of(self, thing_id: str) -> list[Item]:
        """What is kept for a thing, oldest first."""
        items = self._things.get(thing_id)
        return [] if items is None else list(items.values())

    def find(self, thing_id: str, mail_id: str) -> Item | None:
        """One kept message."""
        items = self._things.get(thing_id)
        return None if items is None else items.get(mail_id)

    def items(self) -> Iterator[Item]:
        """All that is kept."""
        for items in self._things.values():
            yield from items.values()

    def is_durable(self, item: Item) -> bool:
        """Whether its commit is done: only then anybody is told of it."""
        return item.seq <= self._log.committed

    def message(self, item: Item) -> Message:
        """The message itself, read from the log."""
        shown = item.shown
        data = self._log.get(stored.SPACE, stored.key_of(shown.thing_id, shown.id))
        assert data is not None, shown.id
        return stored.message_of(shown.thing_id, shown.id, stored.decode(data))

    # -- changing -----------------------------------------------------------------------------

    def keep(self, item: Item, message: Message) -> None:
        """Store a message with the record that says so, in the open batch; `Item.seq` is its seq.

        Raises:
            MailboxFull, LogFull, …
        """
        shown = item.shown
        self.check_room(shown.thing_id, shown.bytes)
        data = stored.encode(
            message, kept_ms=shown.kept_ms, expires_ms=shown.expires_ms, via=item.via
        )
        item.seq = self.say("mailbox.kept", shown, expires=instants.render(shown.expires_ms))
        self._log.put(stored.SPACE, stored.key_of(shown.thing_id, shown.id), data)
        self._add(item)

    def say(self, kind: str, shown: Mail, **more: object) -> int:
        """Append what happened to a message; return the record's seq."""
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

    def finish(self, item: Item, kind: str, **more: object) -> None:
        """It is over with a message: say so, and forget it.

        With a full disk it is over here and now; after a restart it may be offered once more.
        """
        item.done = True
        with contextlib.suppress(LogFull):
            self.say(kind, item.shown, **more)
            self.remove(item)
        self._drop(item)

    def remove(self, item: Item) -> None:
        """Take a message out, in the open batch."""
        shown = item.shown
        item.done = True
        self._log.put(stored.SPACE, stored.key_of(shown.thing_id, shown.id), None)
        self._drop(item)

    # -- the index ----------------------------------------------------------------------------

    def _add(self, item: Item) -> None:
        shown = item.shown
        items = self._things.setdefault(shown.thing_id, {})
        late = bool(items) and next(reversed(items)) > shown.id
        items[shown.id] = item
        item.stored = True
        if late:
            # Its sender waited for an answer while later ones were kept.
            self._things[shown.thing_id] = dict(sorted(items.items()))
        self.count += 1
        self.bytes += shown.bytes

    def _drop(self, item: Item) -> None:
        shown = item.shown
        items = self._things.get(shown.thing_id)
        if items is None or items.pop(shown.id, None) is None:
            return
        if not items:
            del self._things[shown.thing_id]
        self.count -= 1
        self.bytes -= shown.bytes

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
        self.count = self.bytes = 0
        with contextlib.suppress(LittoralError):
            self._load()


def item_of(
    message: Message, mail_id: str, *, kept_ms: int, expires_ms: int, via: str = ""
) -> Item:
    """A message as something to keep."""
    texts = (message.subject, message.content_type, *message.headers, *message.headers.values())
    return Item(
        Mail(
            id=mail_id,
            thing_id=message.thing_id,
            subject=message.subject,
            feature=message.feature,
            content_type=message.content_type,
            correlation_id=message.correlation_id,
            sender=message.originator,
            response_required=message.response_required,
            bytes=len(message.payload) + sum(map(len, texts)),
            kept_ms=kept_ms,
            expires_ms=expires_ms,
            offered=0,
        ),
        via,
    )


def _loaded(thing_id: str, mail_id: str, mail: stored.StoredMail) -> Item:
    message = stored.message_of(thing_id, mail_id, mail)
    return item_of(message, mail_id, kept_ms=mail.kept_ms, expires_ms=mail.expires_ms, via=mail.via)
