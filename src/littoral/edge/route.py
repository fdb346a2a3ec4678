"""A link as a receiver of live messages: what nobody here can take goes to where the thing lives."""

import contextlib

from littoral.edge.conversation import Conversation
from littoral.edge.core import Answered
from littoral.edge.errors import SiteAway
from littoral.edge.messages import TOPIC, decode_message, decode_reply, encode_message, encode_reply
from littoral.eventing import Inbox, Message, Reply
from littoral.kernel import json
from littoral.kernel.errors import LittoralError
from littoral.kernel.time import Clock

_NO_ANSWER = frozenset({"link.timeout", "link.closed", "command.timeout"})
"""Refusals from beyond that mean: nobody answered. The sender's own deadline says so better."""

_STATUS_BEYOND = 503


class LinkRoute:
    """Passes messages over one peer's sessions, whichever is open; `Inbox` knows it as a receiver.

    Invariant: a message that came over this link is never sent back over it.
    """

    def __init__(self, inbox: Inbox, clock: Clock) -> None:
        self.conversation: Conversation | None = None
        self._inbox = inbox
        self._clock = clock

    def deliver(self, message: Message) -> None:
        """Take a message for the other side. Raises `SiteAway` or `LinkBusy`."""
        conversation = self.conversation
        if conversation is None or not conversation.is_open:
            raise SiteAway(f"the link to where {message.thing_id!r} lives is down.")
        ttl_s = message.remaining_s(self._clock.monotonic_s())
        body = encode_message(message)
        if not message.response_required:
            conversation.tell(TOPIC, body, ttl_s=ttl_s)
            return

        def done(answer: Answered) -> None:
            if answer.code in _NO_ANSWER:
                return
            reply = _refusal(answer) if answer.code else decode_reply(answer.body)
            # Too large, or too late: the sender's own deadline tells it so.
            with contextlib.suppress(LittoralError):
                message.reply(reply)

        conversation.ask(TOPIC, body, ttl_s=ttl_s, done=done)

    async def take(self, body: bytes, ttl_s: float, *, wanted: bool) -> bytes:
        """A message came over the link: give it to the receivers here; return the answer."""
        message = decode_message(body, ttl_s=ttl_s)
        if not wanted:
            self._inbox.post(message, source=self)
            return b""
        reply = await self._inbox.send(message, timeout_s=ttl_s, source=self)
        return encode_reply(reply)


def _refusal(answer: Answered) -> Reply:
    body = {"status": _STATUS_BEYOND, "error": answer.code, "message": answer.message}
    return Reply(_STATUS_BEYOND, json.encode(body), "application/json")
