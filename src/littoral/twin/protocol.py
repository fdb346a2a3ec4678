"""The Ditto Protocol as text: envelopes, topics, commands, answers, events and messages.

Pure: bytes in, values out, and back. HTTP, WebSocket and MQTT speak it; who may ask, and what is
true, is `Twins`' business. Messages to things are in `live`, statuses in `statuses`.

Spec: Eclipse Ditto Protocol, version 2 (`docs/adr/0009-http-door.md` names what is not answered).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, StrEnum
from functools import lru_cache

from littoral.kernel import json, pointer
from littoral.kernel import time as instants
from littoral.kernel.errors import InvalidHeader, LittoralError
from littoral.kernel.ids import parse_entity_id
from littoral.kernel.merge import check_depth
from littoral.twin.statuses import problem

MEDIA_TYPE = "application/vnd.eclipse.ditto+json"
MERGE_PATCH = "application/merge-patch+json"

ENVELOPE_HEADERS_MAX = 64
"""Headers in one envelope. Source: Ditto's limit for HTTP."""

HEADER_CHARS_MAX = 16 * 1024
"""Length of one header value. Source: Ditto's default."""


class InvalidEnvelope(LittoralError):
    """The text is JSON, but not an envelope of the Ditto Protocol."""

    code = "json.field.missing"


class UnknownTopic(LittoralError):
    """The topic does not follow the grammar ``ns/name/group/channel/criterion/action``."""

    code = "protocoladapter:unknown.topicpath"


class UnknownChannel(LittoralError):
    """The channel is neither ``twin`` nor ``live``."""

    code = "protocoladapter:unknown.channel"


class UnknownCommand(LittoralError):
    """The topic is a command's, but names no command that exists."""

    code = "protocoladapter:unknown.command"


class UnknownPath(LittoralError):
    """Things and policies have no such path."""

    code = "protocoladapter:unknown.path"


class UnknownSignal(LittoralError):
    """The topic is well-formed, but this door does not take such signals."""

    code = "protocoladapter:unknown.signal"


class UnsupportedHeader(LittoralError):
    """Ditto has the header, this door has not: refused, never silently ignored."""

    code = "header.notsupported"


class Action(StrEnum):
    """What a command asks for."""

    CREATE = "create"
    RETRIEVE = "retrieve"
    MODIFY = "modify"
    MERGE = "merge"
    DELETE = "delete"


class Absent(Enum):
    """The type of `ABSENT`: a member that is not there, where ``null`` is a value."""

    ABSENT = "absent"


ABSENT = Absent.ABSENT


@dataclass(frozen=True, slots=True)
class Topic:
    """What a signal is about. ``channel`` is empty for policies; ``_`` is kept as it came."""

    namespace: str
    name: str
    group: str
    channel: str
    criterion: str
    action: str = ""

    def __str__(self) -> str:
        parts = (self.namespace, self.name, self.group, self.channel, self.criterion, self.action)
        return "/".join(part for part in parts if part)

    @property
    def entity_id(self) -> str:
        """``namespace:name``, not yet checked."""
        return f"{'' if self.namespace == '_' else self.namespace}:{self.name}"


@dataclass(frozen=True, slots=True)
class Envelope:
    """One message of the Ditto Protocol. Header names are lower case."""

    topic: Topic
    path: str
    headers: dict[str, object] = field(default_factory=dict)
    value: object = ABSENT
    fields: str | None = None
    status: int | None = None

    @property
    def correlation_id(self) -> str:
        """The text that links an answer to this; empty if the sender gave none."""
        found = self.headers.get("correlation-id")
        return found if isinstance(found, str) else ""

    @property
    def response_required(self) -> bool:
        """False only if the sender said so."""
        return self.headers.get("response-required") not in {False, "false"}


_CRITERIA = frozenset(
    ("commands", "events", "search", "messages", "errors", "acks", "announcements", "streaming")
)


def parse_topic(text: str) -> Topic:
    """Read a topic.

    Raises:
        UnknownTopic: not of the grammar; `UnknownChannel` if only the channel is wrong.
    """
    parts = text.split("/", 2)
    if len(parts) < 3 or not parts[0] or not parts[1]:
        raise UnknownTopic(
            f"the topic {text[:200]!r} is not known.",
            hint="Write <namespace>/<name>/things/twin/commands/<action>.",
        )
    namespace, name, rest = parts
    group, _, rest = rest.partition("/")
    channel = ""
    if group == "things":
        channel, _, rest = rest.partition("/")
        if channel not in {"twin", "live"}:
            raise UnknownChannel(f"the channel {channel[:80]!r} is neither twin nor live.")
    elif group not in {"policies", "connections"}:
        raise UnknownTopic(
            f"the topic {text[:200]!r} names no group.", hint="Groups are things and policies."
        )
    criterion, _, action = rest.partition("/")
    if criterion not in _CRITERIA:
        raise UnknownTopic(
            f"the topic {text[:200]!r} has no criterion that is known.",
            hint="Criteria are commands, events, messages, acks, errors and search.",
        )
    return Topic(namespace, name, group, channel, criterion, action)


def topic_of(
    entity_id: str, group: str, criterion: str, action: str = "", *, channel: str = "twin"
) -> Topic:
    """The topic of a signal about ``namespace:name``."""
    namespace, _, name = entity_id.partition(":")
    channel = channel if group == "things" else ""
    return Topic(namespace or "_", name, group, channel, criterion, action)


def parse_envelope(data: bytes | str) -> Envelope:
    """Read one message. The caller has bounded its size; its depth is bounded here.

    Raises:
        InvalidJson, InvalidEnvelope, InvalidHeader, UnknownTopic, UnknownChannel.
    """
    members = json.decode_object(data)
    check_depth(members)
    topic = members.get("topic")
    if not isinstance(topic, str):
        raise InvalidEnvelope("the envelope has no 'topic', or it is not a string.")
    path = members.get("path", "/")
    if not isinstance(path, str):
        raise InvalidEnvelope("the envelope's 'path' is not a string.")
    headers = members.get("headers") or {}
    if not isinstance(headers, dict):
        raise InvalidEnvelope("the envelope's 'headers' are not an object.")
    fields = members.get("fields")
    if fields is not None and not isinstance(fields, str):
        raise InvalidEnvelope("the envelope's 'fields' are not a string.")
    status = members.get("status")
    if status is not None and (type(status) is not int or not 100 <= status <= 599):
        raise InvalidEnvelope("the envelope's 'status' is not an HTTP status.")
    return Envelope(
        topic=parse_topic(topic),
        path=path or "/",
        headers=_checked_headers(headers),
        value=members.get("value", ABSENT),
        fields=fields,
        status=status,
    )


def _checked_headers(headers: dict[str, object]) -> dict[str, object]:
    if len(headers) > ENVELOPE_HEADERS_MAX:
        raise InvalidHeader(
            f"an envelope has at most {ENVELOPE_HEADERS_MAX} headers, not {len(headers)}."
        )
    for name, value in headers.items():
        if isinstance(value, str) and len(value) > HEADER_CHARS_MAX:
            raise InvalidHeader(
                f"the header {name[:80]!r} is longer than {HEADER_CHARS_MAX} characters."
            )
    return {name.lower(): value for name, value in headers.items()}


@dataclass(frozen=True, slots=True)
class Command:
    """One command to a twin, or to a policy, with what it must find for it to be done."""

    action: Action
    group: str
    entity_id: str
    path: str
    value: object = ABSENT
    fields: str | None = None
    if_match: str | None = None
    if_none_match: str | None = None
    if_equal: str | None = None
    condition: str | None = None
    at_revision: int | None = None


_NEED_VALUE = frozenset((Action.CREATE, Action.MODIFY, Action.MERGE))


def parse_command(envelope: Envelope) -> Command:
    """Read what an envelope asks of a twin or of a policy.

    Raises:
        UnknownSignal: it is no twin command; UnknownCommand: the action does not exist;
        UnknownPath, InvalidEnvelope, InvalidHeader, InvalidId.
    """
    topic = envelope.topic
    if topic.criterion != "commands" or topic.group == "connections" or topic.channel == "live":
        raise UnknownSignal(
            f"the signal {str(topic)[:200]!r} is not taken here.",
            hint="Send twin commands, policy commands or live messages.",
        )
    try:
        action = Action(topic.action)
    except ValueError:
        raise UnknownCommand(
            f"the command {topic.action[:80]!r} does not exist.",
            hint=f"Commands are {', '.join(Action)}.",
        ) from None
    if action in _NEED_VALUE and envelope.value is ABSENT:
        raise InvalidEnvelope(f"the command {action!r} needs a 'value'.")
    path = check_path(topic.group, envelope.path)
    if action is Action.CREATE and path != "/":
        raise UnknownPath("only a whole thing or policy is created; its path is '/'.")
    return Command(
        action=action,
        group=topic.group,
        entity_id=parse_entity_id(topic.entity_id),
        path=path,
        value=envelope.value,
        fields=envelope.fields,
        if_match=_text_header(envelope, "if-match"),
        if_none_match=_text_header(envelope, "if-none-match"),
        if_equal=_text_header(envelope, "if-equal"),
        condition=_text_header(envelope, "condition"),
        at_revision=_int_header(envelope, "at-historical-revision"),
    )


def _text_header(envelope: Envelope, name: str) -> str | None:
    value = envelope.headers.get(name)
    if value is None or isinstance(value, str):
        return value
    raise InvalidHeader(f"the header {name!r} is not a string.")


def _int_header(envelope: Envelope, name: str) -> int | None:
    value = envelope.headers.get(name)
    if value is None or type(value) is int:
        return value
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 18:
        return int(value)
    raise InvalidHeader(f"the header {name!r} is not a whole number.")


_POLICY_PARTS = frozenset(
    ("subjects", "resources", "importable", "namespaces", "allowedAdditions", "references")
)


@lru_cache(maxsize=1024)
def check_path(group: str, path: str) -> str:
    """Return ``path``, tidied, if things (or policies) have such a place.

    A policy's resource is one key although it has slashes: ``/entries/a/resources/thing:/features``
    comes back as ``/entries/a/resources/thing:~1features``.

    Raises:
        UnknownPath: no such place; InvalidPointer: not a pointer at all.
    """
    if group == "policies":
        head, word, resource = path.partition("/resources/")
        if word and ":/" in resource:
            path = f"{head}{word}{resource.replace('/', '~1')}"
    keys = pointer.parse(path)
    known = _is_thing_path(keys) if group == "things" else _is_policy_path(keys)
    if not known:
        raise UnknownPath(
            f"{group} have no path {path[:200]!r}.",
            hint="Things have /policyId, /definition, /attributes and /features/<id>.",
        )
    return pointer.render(keys)


def _is_thing_path(keys: tuple[str, ...]) -> bool:
    match keys:
        case () | ("policyId",) | ("definition",) | ("attributes", *_):
            return True
        case ("features",) | ("features", _) | ("features", _, "definition"):
            return True
        case ("features", _, "properties" | "desiredProperties", *_):
            return True
        case _:
            return False


def _is_policy_path(keys: tuple[str, ...]) -> bool:
    match keys:
        case () | ("entries",) | ("entries", _) | ("imports", *_):
            return True
        case ("entries", _, part, *_):
            return part in _POLICY_PARTS
        case _:
            return False


def response(
    request: Envelope,
    status: int,
    value: object = ABSENT,
    *,
    etag: str | None = None,
    originator: str = "",
    content_type: str = "application/json",
) -> bytes:
    """The answer to a command or to a live message: same topic, same correlation id."""
    headers: dict[str, object] = {
        "correlation-id": request.correlation_id,
        "version": 2,
        "response-required": False,
    }
    if value is not ABSENT:
        headers["content-type"] = content_type
    if originator:
        headers["ditto-originator"] = originator
    if etag is not None:
        headers["etag"] = etag
    members: dict[str, object] = {
        "topic": str(request.topic),
        "headers": headers,
        "path": request.path,
        "status": status,
    }
    if value is not ABSENT:
        members["value"] = value
    return json.encode(members)


def error_response(
    error: LittoralError, request: Envelope | None, correlation_id: str = ""
) -> bytes:
    """The answer that says why not. Without a request the topic is ``unknown/unknown/…``."""
    body = problem(error)
    if request is None:
        topic = Topic("unknown", "unknown", "things", "twin", "errors")
    else:
        about = request.topic
        topic = Topic(about.namespace, about.name, about.group, about.channel, "errors")
        correlation_id = request.correlation_id or correlation_id
    headers = {
        "correlation-id": correlation_id,
        "content-type": "application/json",
        "version": 2,
        "response-required": False,
    }
    members = {"topic": str(topic), "headers": headers, "path": "/", "value": body}
    return json.encode(members | {"status": body["status"]})


def event(
    thing_id: str,
    action: str,
    path: str,
    value: bytes | None,
    *,
    revision: int,
    at_ms: int,
    correlation_id: str,
    headers: Mapping[str, object] | None = None,
) -> bytes:
    """A change of a twin. ``value`` is JSON as it stands in the log: it is not parsed again."""
    more: dict[str, object] = {
        "correlation-id": correlation_id,
        "content-type": MERGE_PATCH if action == "merged" else "application/json",
        "version": 2,
        "response-required": False,
        "requested-acks": [],
        "entity-revision": revision,
    }
    if headers:
        more |= headers
    topic = topic_of(thing_id, "things", "events", action)
    head = json.encode({"topic": str(topic), "headers": more, "path": path})
    tail = json.encode({"revision": revision, "timestamp": instants.render(at_ms)})
    if value is None:
        return head[:-1] + b"," + tail[1:]
    return head[:-1] + b',"value":' + value + b"," + tail[1:]
