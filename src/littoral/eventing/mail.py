"""A kept message as bytes, in the log's space ``mailbox``."""

import msgspec

from littoral.eventing.model import Direction, Message
from littoral.log import LogBroken

SPACE = "mailbox"

_SEPARATOR = "\x00"
"""Below every character of a thing's id: the keys of one thing are neighbours."""


class StoredMail(msgspec.Struct, frozen=True, array_like=True):
    """What is written; members that come later have defaults, so that old ones can be read."""

    subject: str
    payload: bytes
    content_type: str
    feature: str | None
    correlation_id: str
    subjects: list[str]
    headers: dict[str, str]
    originator: str
    response_required: bool
    kept_ms: int
    expires_ms: int
    via: str = ""
    """The route that it came by; it is not sent back there."""


_decoder = msgspec.msgpack.Decoder(StoredMail)


def key_of(thing_id: str, mail_id: str) -> str:
    """The key of one message; those of a thing come in the order of their ids."""
    return f"{thing_id}{_SEPARATOR}{mail_id}"


def split(key: str) -> tuple[str, str]:
    """Thing and id of a key that `key_of` made."""
    thing_id, _, mail_id = key.rpartition(_SEPARATOR)
    return thing_id, mail_id


def encode(message: Message, *, kept_ms: int, expires_ms: int, via: str) -> bytes:
    """A message as bytes."""
    return msgspec.msgpack.encode(
        StoredMail(
            message.subject,
            message.payload,
            message.content_type,
            message.feature,
            message.correlation_id,
            sorted(message.subjects),
            dict(message.headers),
            message.originator,
            message.response_required,
            kept_ms,
            expires_ms,
            via,
        )
    )


def decode(data: bytes) -> StoredMail:
    """Inverse of `encode`; what cannot be read is damage, because only we write there."""
    try:
        return _decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as e:
        raise LogBroken(f"a kept message cannot be read: {e}.") from e


def message_of(thing_id: str, mail_id: str, mail: StoredMail) -> Message:
    """The message that was encoded, with its id; whoever offers it fills in the rest."""
    return Message(
        thing_id=thing_id,
        subject=mail.subject,
        payload=mail.payload,
        content_type=mail.content_type,
        feature=mail.feature,
        direction=Direction.INBOX,
        correlation_id=mail.correlation_id,
        subjects=frozenset(mail.subjects),
        headers=mail.headers,
        originator=mail.originator,
        id=mail_id,
        response_required=mail.response_required,
    )
