"""Messages to and from things, whichever door they come through: permission, answer, mailbox."""

import re
from collections.abc import Mapping
from dataclasses import replace

import msgspec

from littoral.api.errors import MessageNotAllowed
from littoral.api.http import parse_timeout
from littoral.api.model import CLAIM_TIMEOUT_S
from littoral.api.parts import ApiParts
from littoral.api.pipeline import SignalHeaders, expected_beside, parse_headers
from littoral.eventing import (
    BUILT_IN_ACKS,
    LIVE_RESPONSE,
    MESSAGE_TIMEOUT_S_MAX,
    Ack,
    AckAggregate,
    Direction,
    InvalidMailbox,
    Kept,
    Message,
    MessageTimeout,
    Receiver,
    Reply,
    SignalKind,
    combined_document,
    combined_status,
)
from littoral.kernel import json
from littoral.kernel import time as instants
from littoral.kernel.errors import LittoralError
from littoral.kernel.ids import parse_thing_id
from littoral.policy import WRITE
from littoral.twin import Caller, Conditions, NotFound, Twins
from littoral.twin.live import decode_payload, encode_payload, parse_message_path
from littoral.twin.protocol import Envelope

CLAIM = "claim"
"""The subject of claim messages, which need no permission."""

MAILBOX_TTL = "littoral-mailbox-ttl"
MESSAGE_ID = "littoral-message-id"

STORE_S = 3.0
"""How much longer acknowledgements are waited for if the message may have to be stored."""

_NEVER_PASSED = frozenset(
    (
        "alt-svc",
        "channel",
        "clear-site-data",
        "connection",
        "content-encoding",
        "content-length",
        "content-security-policy",
        "content-type",
        "correlation-id",
        "date",
        "keep-alive",
        "location",
        "proxy-authenticate",
        "refresh",
        "requested-acks",
        "response-required",
        "server",
        "set-cookie",
        "status",
        "strict-transport-security",
        "timeout",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "version",
        "www-authenticate",
    )
)
"""What an answer's headers do not carry through a door: it writes its own, and a device does not
tell a browser what to do with the node's address."""

_CROSS_ORIGIN = "access-control-"
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9a-z-]+")


class Delivered(msgspec.Struct, frozen=True):
    """What sending a message came to."""

    status: int
    payload: bytes = b""
    content_type: str = ""
    headers: Mapping[str, str] = {}
    """The responder's own headers, or ours (of a kept message)."""
    acks: Mapping[str, Ack] | None = None
    """If acknowledgements were asked for besides the answer: all of them; the payload has them."""
    answered: bool = False
    """Whether status and payload are the responder's own."""


class MessageDesk:
    """Sends messages of authenticated callers; HTTP, WebSockets and cloud events share it."""

    def __init__(self, parts: ApiParts) -> None:
        self._twins = parts.twins
        self._inbox = parts.inbox
        self._mailbox = parts.mailbox
        self._acks = parts.acks

    async def send(
        self,
        caller: Caller,
        message: Message,
        headers: SignalHeaders,
        *,
        source: Receiver | None = None,
    ) -> Delivered:
        """Send a message and wait for what its headers ask for.

        Args:
            caller: needs WRITE on the message, but for a claim.
            message: what of it comes from headers is filled in here.
            headers: as `message_headers` reads them.
            source: the session that sends it: it does not get its own message.

        Raises:
            NotFound, MessageNotAllowed, MessageTimeout, MessageTooLarge, TooManyMessages, …
        """
        custom = {name: _text(value) for name, value in headers.custom.items()}
        keep_s = _mailbox_ttl(custom)
        if keep_s is not None and is_claim(message):
            raise InvalidMailbox(
                "claims are not kept: they need no permission, and could fill anybody's mailbox.",
                hint="Leave Littoral-Mailbox-TTL out; a claim waits for up to 10 minutes.",
            )
        custom.pop(MESSAGE_ID, None)
        message = replace(
            message,
            correlation_id=headers.correlation_id,
            headers=custom,
            subjects=caller.subjects,
            originator=caller.subject,
            requested_acks=tuple(a for a in headers.requested_acks if a not in BUILT_IN_ACKS),
            response_required=headers.response_required or LIVE_RESPONSE in headers.requested_acks,
        )
        check_may_send(self._twins, caller, message)
        if headers.conditions.condition is not None:
            self._twins.things.retrieve(
                caller,
                message.thing_id,
                conditions=Conditions(condition=headers.conditions.condition),
            )
        sending = _Sending(message, keep_s, headers.timeout_s, source)
        if headers.requested_acks not in {(), (LIVE_RESPONSE,)}:
            return await self._acknowledged(sending, headers)
        if message.response_required:
            try:
                result = await self._ask(sending)
            except MessageTimeout:
                if headers.response_required:
                    raise
                return Delivered(202)  # by Ditto's table, also if nobody answered
            return result if headers.response_required else Delivered(202)
        if keep_s is not None:
            return await self._ask(sending)
        self._inbox.post(message, source=source)
        return Delivered(202)

    async def _ask(self, sending: "_Sending") -> Delivered:
        message, timeout_s = sending.message, sending.timeout_s
        if sending.keep_s is None:
            reply = await self._inbox.send(message, timeout_s=timeout_s, source=sending.source)
            return _answered(reply)
        if self._mailbox is None:
            raise InvalidMailbox("this node keeps no messages.")
        found = await self._mailbox.send(
            message, ttl_s=sending.keep_s, timeout_s=timeout_s, source=sending.source
        )
        return _kept(found) if isinstance(found, Kept) else _answered(found)

    async def _acknowledged(self, sending: "_Sending", headers: SignalHeaders) -> Delivered:
        """Send a message whose sender wants more than its answer."""
        message, labels = sending.message, headers.requested_acks
        # A message that nobody answered in time is yet to be stored.
        timeout_s = headers.timeout_s + (STORE_S if sending.keep_s is not None else 0.0)
        with self._acks.expect(
            message.thing_id,
            message.correlation_id,
            labels,
            timeout_s,
            kind=SignalKind.MESSAGE,
        ) as expected:
            if message.response_required or sending.keep_s is not None:
                # A message that is kept goes on being kept, whatever has come by then.
                acks = await expected_beside(
                    expected, self._answer(sending, expected), to_its_end=sending.keep_s is not None
                )
            else:
                self._inbox.post(message, source=sending.source)
                acks = await expected.result()
        if not headers.response_required:
            return Delivered(202)
        body = json.encode(combined_document(acks))
        return Delivered(combined_status(acks), body, "application/json", acks=acks)

    async def _answer(self, sending: "_Sending", expected: AckAggregate) -> None:
        try:
            result = await self._ask(sending)
        except MessageTimeout:
            return  # `expected` has the same deadline, and says so itself
        except LittoralError as e:
            expected.fail(e)
            return
        payload = encode_payload(result.payload, result.content_type)
        expected.put(LIVE_RESPONSE, Ack(result.status, payload, dict(result.headers)))


class _Sending(msgspec.Struct, frozen=True):
    """A message on its way, and how long who waits for what."""

    message: Message
    keep_s: float | None
    timeout_s: float
    source: Receiver | None


def message_headers(raw: Mapping[str, object], *, claim: bool = False) -> SignalHeaders:
    """Read the headers of a message; those of a claim may wait longer.

    Raises:
        InvalidTimeout, InvalidHeader, …: as `parse_headers`.
    """
    if not claim:
        return parse_headers(raw, channel="live")
    given = raw.get("timeout")
    timeout_s = CLAIM_TIMEOUT_S
    if given is not None:
        timeout_s = parse_timeout(str(given), limit=MESSAGE_TIMEOUT_S_MAX)
    if timeout_s == 0:
        return parse_headers(raw, channel="live")
    bounded = {name: value for name, value in raw.items() if name != "timeout"}
    return msgspec.structs.replace(parse_headers(bounded, channel="live"), timeout_s=timeout_s)


def message_of(envelope: Envelope) -> Message:
    """A message as an envelope has it, yet without what `MessageDesk.send` fills in.

    Raises:
        InvalidId, InvalidMessagePath, InvalidMessage.
    """
    content_type = str(envelope.headers.get("content-type", "application/json"))
    address = parse_message_path(envelope.path)
    return Message(
        thing_id=parse_thing_id(envelope.topic.entity_id),
        subject=address.subject,
        payload=decode_payload(envelope.value, content_type),
        content_type=content_type,
        feature=address.feature,
        direction=Direction(address.direction),
    )


def check_may_send(twins: Twins, caller: Caller, message: Message) -> None:
    """Raise unless the thing exists (`NotFound`) and the caller has WRITE (`MessageNotAllowed`)."""
    if not twins.exists(message.thing_id):
        raise NotFound(f"thing {message.thing_id} does not exist, or you may not see it.")
    if is_claim(message):
        return
    if not twins.may_message(caller, message.thing_id, WRITE, message.resource):
        raise MessageNotAllowed(
            f"the message {message.subject[:80]!r} may not be sent to {message.thing_id}.",
            hint=f"Its policy has to grant WRITE on {message.resource[:200]}.",
        )


def is_claim(message: Message) -> bool:
    """Whether it asks to become a thing's owner: whoever may read it decides."""
    return (
        message.subject == CLAIM
        and message.feature is None
        and message.direction is Direction.INBOX
    )


def _mailbox_ttl(custom: dict[str, str]) -> float | None:
    """How long a message may be kept, if its sender wants that; taken out of its headers."""
    text = custom.pop(MAILBOX_TTL, None)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 10 and int(text)):
        raise InvalidMailbox(
            f"Littoral-Mailbox-TTL is {text[:40]!r}.",
            hint="It is a whole number of seconds, from 1.",
        )
    return float(text)


def _answered(reply: Reply) -> Delivered:
    headers = {
        name.lower(): value for name, value in reply.headers.items() if _passes(name.lower(), value)
    }
    content_type = reply.content_type if reply.content_type.isprintable() else ""
    return Delivered(reply.status, reply.payload, content_type, headers, answered=True)


def _passes(name: str, value: str) -> bool:
    """Whether a responder's header can be one over HTTP, and may: no end of a line is in it."""
    return (
        _HEADER.fullmatch(name) is not None
        and value.isprintable()
        and name not in _NEVER_PASSED
        and not name.startswith(_CROSS_ORIGIN)
    )


def _kept(kept: Kept) -> Delivered:
    body = {"messageId": kept.id, "expires": instants.render(kept.expires_ms)}
    return Delivered(202, json.encode(body), "application/json", {MESSAGE_ID: kept.id})


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.encode(value).decode()
