"""CloudEvents over HTTP: one Ditto Protocol message in each, done before the 202.

Spec: CloudEvents 1.0, HTTP protocol binding, binary and structured content mode (no batches).
"""

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote

from msgspec.structs import replace

from littoral.api.errors import (
    CloudEventPayloadMissing,
    CloudEventSchemaNotSupported,
    CloudEventUnparsable,
    MethodNotAllowed,
    RouteMissing,
    UnsupportedMediaType,
)
from littoral.api.http import Answer, Request, empty_answer
from littoral.api.messages import MessageDesk, is_claim, message_headers, message_of
from littoral.api.model import CLOUD_EVENT_BYTES_MAX
from littoral.api.parts import ApiParts
from littoral.api.pipeline import Commands, LiveEvents, parse_headers
from littoral.eventing import TWIN_PERSISTED
from littoral.kernel import json
from littoral.kernel.errors import InvalidJson
from littoral.kernel.merge import check_depth
from littoral.twin import Caller
from littoral.twin.protocol import (
    MEDIA_TYPE,
    Envelope,
    UnknownSignal,
    parse_command,
    parse_envelope,
)

STRUCTURED = "application/cloudevents+json"

_DATA_TYPES = frozenset(("", "application/json", MEDIA_TYPE))
_REQUIRED = ("id", "source", "specversion", "type")
_OPTIONAL = ("datacontenttype", "dataschema", "subject", "time")
_SCHEMA = "ditto:"
_ATTRIBUTE = re.compile(r"[a-z0-9]{1,64}", re.ASCII)
_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


@dataclass(frozen=True, slots=True)
class CloudEvent:
    """What is needed of an event: its attributes, and its data as bytes."""

    attributes: dict[str, str]
    data: bytes


class CloudEventRoutes:
    """Handles ``POST /api/2/cloudevents``."""

    def __init__(self, parts: ApiParts, commands: Commands, desk: MessageDesk) -> None:
        self._commands = commands
        self._desk = desk
        self._events = LiveEvents(parts)

    async def handle(self, request: Request, caller: Caller, rest: tuple[str, ...]) -> Answer:
        """Do what the event's message says, durably, and answer 202.

        Raises:
            CloudEventUnparsable, CloudEventPayloadMissing, CloudEventSchemaNotSupported,
            UnsupportedMediaType; and whatever the message itself is refused with.
        """
        if rest:
            raise RouteMissing("there is nothing at this address.", hint="Use /api/2/cloudevents.")
        if request.method != "POST":
            raise MethodNotAllowed(request.method, ("POST",))
        body = await request.body(CLOUD_EVENT_BYTES_MAX)
        envelope = parse_envelope(event_of(request.headers, body).data)
        if not envelope.correlation_id:
            envelope.headers["correlation-id"] = request.correlation_id
        # What acknowledgements are asked for is waited for, so that an event broker sends again
        # what was not done; an answer has nowhere to go.
        envelope.headers["response-required"] = False
        await self._do(caller, envelope)
        return empty_answer(202)

    async def _do(self, caller: Caller, envelope: Envelope) -> None:
        topic = envelope.topic
        raw = envelope.headers
        match topic.criterion:
            case "commands" if envelope.status is None:
                command = parse_command(envelope)
                headers = parse_headers(raw, channel=command.channel)
                if headers.channel != "live" and headers.timeout_s and not headers.requested_acks:
                    headers = replace(headers, requested_acks=(TWIN_PERSISTED,))
                await self._commands.run(caller, command, headers)
            case "messages" if envelope.status is None:
                message = message_of(envelope)
                await self._desk.send(
                    caller, message, message_headers(raw, claim=is_claim(message))
                )
            case "events" if topic.channel == "live":
                await self._events.send(caller, envelope, parse_headers(raw, channel="live"))
            case _:
                raise UnknownSignal(
                    f"the signal {str(topic)[:200]!r} is not taken here.",
                    hint="Send commands, live messages or live events.",
                )


def event_of(headers: Mapping[str, str], body: bytes) -> CloudEvent:
    """Read an event in either mode; ``headers`` have lower-case names.

    Raises:
        CloudEventUnparsable, CloudEventPayloadMissing, CloudEventSchemaNotSupported,
        UnsupportedMediaType.
    """
    media_type = _media_type(headers.get("content-type", ""))
    if media_type == STRUCTURED:
        event = _structured(body)
    elif media_type.startswith("application/cloudevents"):
        raise UnsupportedMediaType(
            f"the body is {media_type[:80]!r}.", hint=f"Send {STRUCTURED}, or ce-* headers."
        )
    else:
        event = _binary(headers, body)
    _check(event)
    return event


def _structured(body: bytes) -> CloudEvent:
    try:
        members = json.decode_object(body)
        check_depth(members)
    except InvalidJson as e:
        raise CloudEventUnparsable(f"the body is no structured CloudEvent: {e.message}") from e
    attributes: dict[str, str] = {}
    for name, value in members.items():
        if name in {"data", "data_base64"} or value is None:
            continue
        if name in _REQUIRED or name in _OPTIONAL:
            if not isinstance(value, str):
                raise CloudEventUnparsable(f"the attribute {name!r} is no string.")
            attributes[name] = value
        elif _ATTRIBUTE.fullmatch(name) is None or not isinstance(value, str | int | bool):
            raise CloudEventUnparsable(f"{name[:64]!r} is no attribute of a CloudEvent.")
    data, encoded = members.get("data"), members.get("data_base64")
    if data is not None and encoded is not None:
        raise CloudEventUnparsable("an event has data or data_base64, not both.")
    if encoded is not None:
        return CloudEvent(attributes, _decoded(encoded))
    return CloudEvent(attributes, b"" if data is None else json.encode(data))


def _decoded(text: object) -> bytes:
    try:
        if isinstance(text, str):
            return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        pass
    raise CloudEventUnparsable("data_base64 is not base64.")


def _binary(headers: Mapping[str, str], body: bytes) -> CloudEvent:
    attributes: dict[str, str] = {}
    for name, value in headers.items():
        if name.startswith("ce-"):
            try:
                attributes[name[3:]] = unquote(value.strip('"'), errors="strict")
            except UnicodeDecodeError as e:
                raise CloudEventUnparsable(f"the header {name[:64]!r} is not UTF-8.") from e
    if not attributes:
        raise CloudEventUnparsable(
            "there are no ce-* headers, and the body is no structured CloudEvent.",
            hint=f"Send ce-specversion, ce-type, ce-source and ce-id, or {STRUCTURED}.",
        )
    if "content-type" in headers:
        attributes["datacontenttype"] = headers["content-type"]
    return CloudEvent(attributes, body)


def _check(event: CloudEvent) -> None:
    attributes = event.attributes
    for name in _REQUIRED:
        if not attributes.get(name):
            raise CloudEventUnparsable(
                f"the event has no {name!r}.", hint=f"An event has {', '.join(_REQUIRED)}."
            )
    for name in _OPTIONAL:
        if attributes.get(name) == "":
            raise CloudEventUnparsable(f"the attribute {name!r} is empty.")
    if attributes["specversion"] != "1.0":
        raise CloudEventUnparsable(
            f"the specversion {attributes['specversion'][:20]!r} is not known.", hint="Send 1.0."
        )
    if "time" in attributes and _TIME.fullmatch(attributes["time"]) is None:
        raise CloudEventUnparsable("the time is not RFC 3339.")
    schema = attributes.get("dataschema")
    if schema is not None and not schema.startswith(_SCHEMA):
        raise CloudEventSchemaNotSupported(
            f"the dataschema {schema[:200]!r} is not known.",
            hint="Leave it out, or let it begin with 'ditto:'.",
        )
    media_type = _media_type(attributes.get("datacontenttype", ""))
    if media_type not in _DATA_TYPES:
        raise UnsupportedMediaType(
            f"the data are {media_type[:80]!r}.", hint=f"Send application/json or {MEDIA_TYPE}."
        )
    if not event.data:
        raise CloudEventPayloadMissing(
            "the event has no data.", hint="Its data are one message of the Ditto Protocol."
        )


def _media_type(text: str) -> str:
    return text.partition(";")[0].strip().lower()
