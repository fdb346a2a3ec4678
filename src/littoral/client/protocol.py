"""Frames of the WebSocket session: what is sent, and what comes. Pure."""

import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlencode

import msgspec

from littoral.client.answers import error_from
from littoral.client.errors import ApiError, NotANode
from littoral.client.model import MessageReply, Signal
from littoral.client.requests import NOTHING, WriteOptions, write_headers

EVENTS = "EVENTS"
MESSAGES = "MESSAGES"
LIVE_COMMANDS = "LIVE-COMMANDS"
LIVE_EVENTS = "LIVE-EVENTS"
ANNOUNCEMENTS = "POLICY-ANNOUNCEMENTS"


class _Frame(msgspec.Struct):
    topic: str
    path: str = "/"
    value: Any = None
    headers: dict[str, Any] = {}
    status: int | None = None
    revision: int | None = None
    timestamp: str | None = None
    extra: Any = None


_DECODER = msgspec.json.Decoder(_Frame)


def parse_frame(text: str | bytes) -> Signal:
    """A frame as a signal; `NotANode` if it is none."""
    try:
        frame = _DECODER.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as e:
        raise NotANode(f"a frame is no message of the Ditto Protocol: {e}.") from e
    return Signal(
        frame.topic,
        frame.path,
        frame.value,
        frame.headers,
        frame.status,
        frame.revision,
        frame.timestamp or "",
        frame.extra,
    )


def control(
    what: str,
    *,
    start: bool,
    namespaces: Sequence[str] = (),
    query: str | None = None,
    extra_fields: str | Sequence[str] | None = None,
) -> str:
    """A control frame: begin to send, or stop."""
    word = f"{'START' if start else 'STOP'}-SEND-{what}"
    parameters: dict[str, str] = {}
    if namespaces:
        parameters["namespaces"] = ",".join(namespaces)
    if query is not None:
        parameters["filter"] = query
    if extra_fields is not None:
        wanted = extra_fields if isinstance(extra_fields, str) else ",".join(extra_fields)
        parameters["extraFields"] = wanted
    return f"{word}?{urlencode(parameters, quote_via=quote)}" if parameters else word


def topic_of(entity_id: str, tail: str) -> str:
    """``namespace/name/tail``."""
    namespace, _, name = entity_id.partition(":")
    return f"{namespace or '_'}/{name}/{tail}"


def envelope(
    topic: str, path: str, value: object, headers: Mapping[str, object], **more: object
) -> bytes:
    """One message of the Ditto Protocol; `NOTHING` for no value."""
    members: dict[str, object] = {"topic": topic, "path": path or "/", "headers": dict(headers)}
    if value is not NOTHING:
        members["value"] = value
    members |= {name: one for name, one in more.items() if one is not None}
    return msgspec.json.encode(members)


def command(
    action: str,
    entity_id: str,
    path: str,
    value: object,
    *,
    correlation_id: str,
    group: str = "things",
    options: WriteOptions,
    fields: str | None = None,
) -> bytes:
    """A command to a twin, a policy, or with ``live`` to a device."""
    headers: dict[str, object] = dict(write_headers(options))
    channel = headers.pop("channel", "twin")
    for name in ("requested-acks",):
        if name in headers:
            headers[name] = str(headers[name]).split(",")
    for name in ("put-metadata", "merge-thing-patch-conditions"):
        if name in headers:
            headers[name] = msgspec.json.decode(str(headers[name]))
    if "response-required" in headers:
        headers["response-required"] = headers["response-required"] == "true"
    headers["correlation-id"] = correlation_id
    if action == "merge":
        headers["content-type"] = "application/merge-patch+json"
    place = f"things/{channel}" if group == "things" else group
    topic = topic_of(entity_id, f"{place}/commands/{action}")
    return envelope(topic, path, value, headers, fields=fields)


def message(
    thing_id: str,
    subject: str,
    payload: object,
    *,
    content_type: str,
    feature: str | None,
    direction: str,
    headers: Mapping[str, object],
) -> bytes:
    """A message to a thing or from it."""
    part = f"/features/{feature}" if feature is not None else ""
    topic = topic_of(thing_id, f"things/live/messages/{subject}")
    path = f"{part}/{direction}/messages/{subject}"
    value, kind = _payload_out(payload, content_type)
    return envelope(topic, path, value, {**headers, "content-type": kind})


def answer_to(signal: Signal, status: int, payload: object, content_type: str) -> bytes:
    """The answer to a message or to a live command."""
    value, kind = _payload_out(payload, content_type)
    headers = {"correlation-id": signal.correlation_id}
    if value is not NOTHING:
        headers["content-type"] = kind
    return envelope(signal.topic, signal.path, value, headers, status=status)


def acknowledgement(signal: Signal, label: str, status: int, value: object) -> bytes:
    """An acknowledgement of a signal that asked for it."""
    topic = topic_of(signal.entity_id, f"things/{signal.channel}/acks/{label}")
    headers = {"correlation-id": signal.correlation_id, "content-type": "application/json"}
    return envelope(topic, "/", value, headers, status=status)


def raised(signal: Signal) -> ApiError | None:
    """The error that an answer stands for; None if it stands for none."""
    document = signal.value if isinstance(signal.value, dict) else {}
    # A stream that failed has its error one level deeper.
    inner = document.get("error") if signal.action == "failed" else None
    document = inner if isinstance(inner, dict) else document
    status = signal.status if signal.status is not None else document.get("status")
    if not isinstance(status, int) or status < 400:
        return None
    return error_from(status, document, signal.correlation_id)


def payload_of(signal: Signal) -> bytes:
    """The payload of a message: JSON and text as bytes of it, anything else as it was sent."""
    kind = str(signal.headers.get("content-type", "application/json"))
    if isinstance(signal.value, str) and kind.startswith("text/"):
        return signal.value.encode()
    if isinstance(signal.value, str) and not is_json(kind):
        try:
            return base64.b64decode(signal.value, validate=True)
        except (binascii.Error, ValueError):
            return signal.value.encode()
    return b"" if signal.value is None else msgspec.json.encode(signal.value)


def reply_of(signal: Signal) -> MessageReply:
    """What a device answered over the session."""
    return MessageReply(
        status=signal.status or 0,
        payload=payload_of(signal),
        content_type=str(signal.headers.get("content-type", "")),
    )


def is_json(content_type: str) -> bool:
    """Whether a value of this type stands in an envelope as it is."""
    bare = content_type.partition(";")[0].strip().lower()
    return bare in {"", "application/json"} or bare.endswith("+json")


def _payload_out(payload: object, content_type: str) -> tuple[object, str]:
    if payload is None:
        return NOTHING, content_type
    if isinstance(payload, bytes):
        if content_type.startswith("text/"):
            return payload.decode(), content_type
        if not is_json(content_type):
            return base64.b64encode(payload).decode(), content_type
        return msgspec.Raw(payload), content_type
    return payload, content_type


def is_answer(signal: Signal) -> bool:
    """Whether it ends a question that has its correlation id."""
    if signal.criterion in {"search", "streaming"}:
        return signal.action == "created" or signal.status is not None
    return signal.status is not None


def subscription_of(signal: Signal) -> str | None:
    """The stream of history or of a search that it is part of."""
    if signal.criterion not in {"search", "streaming"} or not isinstance(signal.value, dict):
        return None
    found = signal.value.get("subscriptionId")
    return found if isinstance(found, str) and signal.action != "created" else None


def parse_item(item: object) -> Signal:
    """A change out of a stream of history."""
    return parse_frame(msgspec.json.encode(item))
