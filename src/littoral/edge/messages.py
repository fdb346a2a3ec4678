"""How a live message and its answer travel over a link."""

from collections.abc import Mapping

import msgspec

from littoral.edge.core.frames import UNREADABLE
from littoral.edge.errors import LinkPeerError
from littoral.eventing import Direction, Message, Reply

TOPIC = "message"


class WireMessage(msgspec.Struct, frozen=True, array_like=True):
    """A message to or from a thing; its deadline travels in the frame."""

    thing_id: str
    subject: str
    payload: bytes
    content_type: str
    feature: str | None
    direction: str
    correlation_id: str
    subjects: list[str]
    headers: Mapping[str, str]
    # Since 0.2; a peer that does not know them passes the message on as an ordinary one.
    originator: str = ""
    mail_id: str = ""
    keep_s: float = 0.0
    one_way: bool = False


class WireReply(msgspec.Struct, frozen=True, array_like=True):
    """What a receiver answered."""

    status: int
    payload: bytes
    content_type: str
    headers: Mapping[str, str]


_message = msgspec.msgpack.Decoder(WireMessage)
_reply = msgspec.msgpack.Decoder(WireReply)


def encode_message(message: Message, *, keep_s: float = 0.0) -> bytes:
    """The message as bytes for a `Live` frame; ``keep_s``: how long the peer may keep it."""
    return msgspec.msgpack.encode(
        WireMessage(
            message.thing_id,
            message.subject,
            message.payload,
            message.content_type,
            message.feature,
            message.direction.value,
            message.correlation_id,
            sorted(message.subjects),
            message.headers,
            message.originator,
            message.id,
            keep_s,
            not message.response_required,
        )
    )


def decode_message(data: bytes, *, ttl_s: float) -> tuple[Message, float]:
    """The message in a `Live` frame, and how long it may be kept here (0: not at all).

    Raises:
        LinkPeerError: it is none.
    """
    try:
        wire = _message.decode(data)
        direction = Direction(wire.direction)
    except (*UNREADABLE, ValueError) as e:
        raise LinkPeerError(f"the peer sent a message that cannot be read: {e}.") from e
    message = Message(
        thing_id=wire.thing_id,
        subject=wire.subject,
        payload=wire.payload,
        content_type=wire.content_type,
        feature=wire.feature,
        direction=direction,
        correlation_id=wire.correlation_id,
        subjects=frozenset(wire.subjects),
        ttl_s=ttl_s,
        headers=wire.headers,
        originator=wire.originator,
        id=wire.mail_id,
        response_required=not wire.one_way,
    )
    return message, wire.keep_s


def encode_reply(reply: Reply) -> bytes:
    """The reply as bytes for an `Answer` frame."""
    return msgspec.msgpack.encode(
        WireReply(reply.status, reply.payload, reply.content_type, reply.headers)
    )


def decode_reply(data: bytes) -> Reply:
    """The reply in an `Answer` frame; raise `LinkPeerError` if it is none."""
    try:
        wire = _reply.decode(data)
    except UNREADABLE as e:
        raise LinkPeerError(f"the peer sent an answer that cannot be read: {e}.") from e
    return Reply(wire.status, wire.payload, wire.content_type, wire.headers)
