"""A link as a receiver of live messages: what nobody here can take goes to where the thing lives."""

import contextlib
from collections.abc import Callable

from littoral.edge.conversation import Conversation
from littoral.edge.core import Answered
from littoral.edge.errors import LinkPeerError, SiteAway
from littoral.edge.messages import TOPIC, decode_message, decode_reply, encode_message, encode_reply
from littoral.edge.signals import (
    LIVE_TOPIC,
    decode_response,
    decode_signal,
    encode_response,
    encode_signal,
)
from littoral.eventing import (
    KEPT_BEYOND,
    MAILBOX_TTL_S_MAX,
    MESSAGE_TIMEOUT_S,
    Inbox,
    Kept,
    LiveChannel,
    LiveSignal,
    Mailbox,
    Message,
    MessageTimeout,
    Reply,
)
from littoral.kernel import json
from littoral.kernel.errors import LittoralError
from littoral.kernel.time import Clock

_NO_ANSWER = frozenset({"link.timeout", "link.closed", "command.timeout"})
"""Refusals from beyond that mean: nobody answered. The sender's own deadline says so better."""

_STATUS_BEYOND = 503

HAND_OVER_S = 30.0
"""How long the other side may take to deliver a kept message, or to keep it itself."""


class LinkRoute:
    """Passes messages over one peer's sessions, whichever is open; `Inbox` knows it as a receiver.

    Invariant: a message that came over this link is never sent back over it.
    """

    def __init__(
        self,
        inbox: Inbox,
        clock: Clock,
        *,
        mailbox: Mailbox | None = None,
        live: LiveChannel | None = None,
        name: str = "",
        takes_mail: Callable[[str], bool] = lambda _: True,
    ) -> None:
        self.conversation: Conversation | None = None
        self.name = name
        """As the inbox knows this way: what a mailbox got over it is not sent back."""
        self._inbox = inbox
        self._mailbox = mailbox
        self._live = live
        self._takes_mail = takes_mail
        self._clock = clock

    def deliver(self, message: Message) -> bool:
        """Take a message for the other side. Raises `SiteAway` or `LinkBusy`."""
        if message.id and not self._takes_mail(message.thing_id):
            return False
        conversation = self._open(message.thing_id)
        ttl_s = message.remaining_s(self._clock.monotonic_s())
        if message.id:
            # It is for the other side to keep if its device is away, too; we keep it until then.
            body = encode_message(message, keep_s=ttl_s)
            ttl_s = min(ttl_s, HAND_OVER_S)
        else:
            body = encode_message(message)
            if not message.response_required:
                conversation.live.tell(TOPIC, body, ttl_s=ttl_s)
                return True

        def done(answer: Answered) -> None:
            if (answer.code and message.undelivered()) or answer.code in _NO_ANSWER:
                return
            reply = _refusal(answer) if answer.code else decode_reply(answer.body)
            # Too large, or too late: the sender's own deadline tells it so.
            with contextlib.suppress(LittoralError):
                message.reply(reply)

        conversation.live.ask(TOPIC, body, ttl_s=ttl_s, done=done)
        return True

    def deliver_live(self, signal: LiveSignal) -> bool:
        """Take a live command or event for the other side. Raises `SiteAway` or `LinkBusy`."""
        live = self._live
        if live is None:
            return False
        conversation = self._open(signal.thing_id)
        body = encode_signal(signal)
        if not signal.response_required:
            conversation.live.tell(LIVE_TOPIC, body, ttl_s=signal.timeout_s)
            return True

        def done(answer: Answered) -> None:
            if not answer.code:
                response = decode_response(answer.body)
                live.respond(signal.thing_id, signal.correlation_id, response, source=self)

        conversation.live.ask(LIVE_TOPIC, body, ttl_s=signal.timeout_s, done=done)
        return True

    def _open(self, thing_id: str) -> Conversation:
        conversation = self.conversation
        if conversation is None or not conversation.is_open:
            raise SiteAway(f"the link to where {thing_id!r} lives is down.")
        return conversation

    async def take(self, topic: str, body: bytes, ttl_s: float, *, wanted: bool) -> bytes:
        """Something live came over the link: give it to the receivers here; return the answer.

        Raises:
            LinkPeerError: nobody knows the topic, or the body cannot be read.
            MessageTimeout: nobody answered.
        """
        if topic == LIVE_TOPIC and self._live is not None:
            return await self._take_live(self._live, body, ttl_s, wanted=wanted)
        if topic != TOPIC:
            raise LinkPeerError(f"this node knows no messages on {topic!r}.")
        message, keep_s = decode_message(body, ttl_s=ttl_s)
        if message.id and keep_s > 0 and self._mailbox is not None:
            return encode_reply(await self._take_mail(self._mailbox, message, keep_s, ttl_s))
        if not wanted:
            self._inbox.post(message, source=self)
            return b""
        reply = await self._inbox.send(message, timeout_s=ttl_s, source=self)
        return encode_reply(reply)

    async def _take_live(
        self, live: LiveChannel, body: bytes, ttl_s: float, *, wanted: bool
    ) -> bytes:
        signal = decode_signal(body, ttl_s=ttl_s, wanted=wanted)
        if not wanted:
            live.publish(signal, source=self)
            return b""
        response = await live.send(signal, timeout_s=ttl_s, source=self)
        if response is None:
            raise MessageTimeout(f"{signal.thing_id!r} did not answer in time.")
        return encode_response(response)

    async def _take_mail(
        self, mailbox: Mailbox, message: Message, keep_s: float, ttl_s: float
    ) -> Reply:
        """Deliver a kept message here, or keep it in the other side's place."""
        found = await mailbox.send(
            message,
            ttl_s=min(keep_s, MAILBOX_TTL_S_MAX),
            timeout_s=min(ttl_s / 2, MESSAGE_TIMEOUT_S),
            via=self.name,
        )
        return Reply(202, headers={KEPT_BEYOND: found.id}) if isinstance(found, Kept) else found


def _refusal(answer: Answered) -> Reply:
    body = {"status": _STATUS_BEYOND, "error": answer.code, "message": answer.message}
    return Reply(_STATUS_BEYOND, json.encode(body), "application/json")
