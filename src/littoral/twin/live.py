"""Live messages to and from things as Ditto Protocol envelopes: addresses and payloads. Pure."""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass

from littoral.kernel import json
from littoral.kernel.errors import InvalidJson, LittoralError
from littoral.twin.protocol import ABSENT, encode, topic_of


class InvalidMessagePath(LittoralError):
    """The path of a message does not name an inbox or outbox."""

    code = "protocoladapter:invalid.path"


class InvalidMessage(LittoralError):
    """The value of a message does not fit its content type."""

    code = "messages:messageformat.invalid"


@dataclass(frozen=True, slots=True)
class MessageAddress:
    """Where a message goes: the thing itself or one of its features, in or out."""

    feature: str | None
    direction: str
    subject: str

    @property
    def path(self) -> str:
        """The same as an envelope's path, and as a policy's resource after ``message:``."""
        feature = f"/features/{self.feature}" if self.feature is not None else ""
        return f"{feature}/{self.direction}/messages/{self.subject}"


def parse_message_path(path: str) -> MessageAddress:
    """Read ``[/features/<id>]/(inbox|outbox)/messages/<subject>``; the subject may hold slashes.

    Raises:
        InvalidMessagePath: it does not name all of them.
    """
    rest = path.removeprefix("/")
    feature: str | None = None
    if rest.startswith("features/"):
        feature, _, rest = rest.removeprefix("features/").partition("/")
    direction, _, rest = rest.partition("/")
    word, _, subject = rest.partition("/")
    if direction not in {"inbox", "outbox"} or word != "messages" or feature == "" or not subject:
        raise InvalidMessagePath(
            f"{path[:200]!r} is not the path of a message.",
            hint="Write /inbox/messages/<subject>, before it /features/<id> if it is a feature's.",
        )
    return MessageAddress(feature, direction, subject)


def is_json(content_type: str) -> bool:
    """Whether a payload of this type is kept as JSON inside an envelope."""
    kind = content_type.partition(";")[0].strip().lower()
    return kind == "application/json" or kind.endswith("+json")


def encode_payload(payload: bytes, content_type: str) -> object:
    """A message's payload as an envelope's value: JSON, text, or base64 for anything else.

    A payload that is not what its type says is sent as base64, so that nothing is lost.
    """
    if not payload:
        return ABSENT
    try:
        if is_json(content_type):
            return json.decode(payload)
        if content_type.lower().startswith("text/"):
            return payload.decode()
    except (InvalidJson, UnicodeDecodeError):
        pass
    return base64.b64encode(payload).decode()


def decode_payload(value: object, content_type: str) -> bytes:
    """Inverse of `encode_payload`; raise `InvalidMessage` if the value does not fit the type."""
    if value is ABSENT:
        return b""
    if is_json(content_type):
        return json.encode(value)
    if not isinstance(value, str):
        raise InvalidMessage(
            f"a message of type {content_type[:80]!r} has text as its value.",
            hint="Send content-type application/json, or a string.",
        )
    if content_type.lower().startswith("text/"):
        return value.encode()
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError) as e:
        raise InvalidMessage(
            f"the value of a message of type {content_type[:80]!r} is not base64."
        ) from e


def message(
    thing_id: str,
    address: MessageAddress,
    payload: bytes,
    content_type: str,
    *,
    correlation_id: str,
    response_required: bool,
    headers: Mapping[str, object] | None = None,
    extra: object | None = None,
) -> bytes:
    """A live message to, or from, a thing, for whoever listens; ``extra`` enriches it."""
    more: dict[str, object] = {
        "correlation-id": correlation_id,
        "content-type": content_type,
        "version": 2,
        "response-required": response_required,
    }
    if headers:
        more |= headers
    topic = topic_of(thing_id, "things", "messages", address.subject, channel="live")
    value = encode_payload(payload, content_type)
    return encode(topic, address.path, more, value, extra=extra)
