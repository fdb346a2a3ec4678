"""What goes out in the Ditto Protocol: responses, errors, events, acknowledgements, announcements.

A value that is JSON bytes already (`Raw`) is written as it is and never parsed again. Pure.
"""

from collections.abc import Mapping, Sequence

import orjson

from littoral.kernel import json
from littoral.kernel import time as instants
from littoral.kernel.errors import LittoralError
from littoral.twin.protocol.envelope import ABSENT, Absent, Envelope
from littoral.twin.protocol.topics import (
    NOTHING,
    SEARCH_ERRORS,
    Topic,
    event_topic,
    topic_of,
)
from littoral.twin.statuses import problem

MEDIA_TYPE = "application/vnd.eclipse.ditto+json"
MERGE_PATCH = "application/merge-patch+json"
JSON = "application/json"

Raw = orjson.Fragment
"""JSON bytes that stand for their value inside what is encoded."""


def encode(
    topic: Topic | str,
    path: str,
    headers: Mapping[str, object],
    value: object = ABSENT,
    *,
    status: int | None = None,
    fields: str | None = None,
    extra: object | None = None,
) -> bytes:
    """Any envelope; members that are not there are left out."""
    members: dict[str, object] = {"topic": str(topic), "headers": headers, "path": path}
    if value is not ABSENT:
        members["value"] = value
    if status is not None:
        members["status"] = status
    if fields is not None:
        members["fields"] = fields
    if extra is not None:
        members["extra"] = extra
    return json.encode(members)


def response(
    request: Envelope,
    status: int,
    value: object = ABSENT,
    *,
    etag: str | None = None,
    originator: str = "",
    content_type: str = JSON,
    headers: Mapping[str, object] | None = None,
) -> bytes:
    """The answer to a command or to a live message: same topic, same correlation id.

    ``headers`` are what else the answer says: ``ditto-metadata``, those of a past revision.
    """
    more: dict[str, object] = {
        "correlation-id": request.correlation_id,
        "version": 2,
        "response-required": False,
    }
    if originator:
        more["ditto-originator"] = originator
    if etag:
        more["etag"] = etag
    if headers:
        more |= headers
    members: dict[str, object] = {
        "topic": str(request.topic),
        "headers": more,
        "path": request.path,
        "status": status,
    }
    if value is not ABSENT:
        more["content-type"] = content_type
        members["value"] = value
    return json.encode(members)


def error_response(
    error: LittoralError,
    request: Envelope | None,
    correlation_id: str = "",
    *,
    more: Mapping[str, object] | None = None,
) -> bytes:
    """The answer that says why not. Without a request the topic is ``unknown/unknown/…``.

    ``more`` are headers besides.
    """
    body = problem(error)
    topic = NOTHING
    if request is not None:
        about = request.topic
        correlation_id = request.correlation_id or correlation_id
        if about.criterion == "search":
            topic = SEARCH_ERRORS
        else:
            topic = Topic(about.namespace, about.name, about.group, about.channel, "errors")
    headers: dict[str, object] = {
        "correlation-id": correlation_id,
        "content-type": JSON,
        "version": 2,
        "response-required": False,
    }
    if more:
        headers |= more
    members = {"topic": str(topic), "headers": headers, "path": "/", "value": body}
    return json.encode(members | {"status": body["status"]})


def event(
    thing_id: str,
    action: str,
    path: str,
    value: object | Absent,
    *,
    revision: int,
    at_ms: int,
    correlation_id: str,
    headers: Mapping[str, object] | None = None,
    extra: object | None = None,
    group: str = "things",
) -> bytes:
    """A change of a twin. ``value`` may be `Raw`, as it stands in the log.

    Ditto has no live events of policies: theirs are told of the past only.
    """
    more: dict[str, object] = {
        "correlation-id": correlation_id,
        "content-type": MERGE_PATCH if action == "merged" else JSON,
        "version": 2,
        "response-required": False,
        "requested-acks": (),
        "entity-revision": revision,
    }
    if headers:
        more |= headers
    members: dict[str, object] = {
        "topic": event_topic(thing_id, action)
        if group == "things"
        else str(topic_of(thing_id, group, "events", action)),
        "headers": more,
        "path": path,
    }
    if value is not ABSENT:
        members["value"] = value
    if extra is not None:
        members["extra"] = extra
    members["revision"] = revision
    members["timestamp"] = instants.render(at_ms)
    return json.encode(members)


def acknowledgement(
    entity_id: str,
    label: str,
    status: int,
    value: object = ABSENT,
    *,
    channel: str = "twin",
    correlation_id: str,
    headers: Mapping[str, object] | None = None,
) -> bytes:
    """One acknowledgement of a signal, by its label."""
    more = {"correlation-id": correlation_id, "version": 2, **(headers or {})}
    topic = topic_of(entity_id, "things", "acks", label, channel=channel)
    return encode(topic, "/", more, value, status=status)


def acknowledgements(
    request: Envelope,
    status: int,
    value: object,
    *,
    originator: str = "",
) -> bytes:
    """All acknowledgements that a command had requested, by label, and what they come to."""
    about = request.topic
    topic = Topic(about.namespace, about.name, about.group, about.channel, "acks")
    headers: dict[str, object] = {
        "correlation-id": request.correlation_id,
        "content-type": JSON,
        "version": 2,
        "response-required": False,
    }
    if originator:
        headers["ditto-originator"] = originator
    return encode(topic, "/", headers, value, status=status)


def announcement(
    policy_id: str,
    name: str,
    value: object,
    *,
    correlation_id: str,
    requested_acks: Sequence[str] = (),
) -> bytes:
    """What is about to happen to a policy: ``subjectDeletion``."""
    headers = {
        "correlation-id": correlation_id,
        "content-type": JSON,
        "version": 2,
        "response-required": False,
        "requested-acks": list(requested_acks),
    }
    return encode(topic_of(policy_id, "policies", "announcements", name), "/", headers, value)


def subscription(topic: Topic, action: str, value: object, *, correlation_id: str) -> bytes:
    """A step of a search or of a stream of past events: created, next, complete, failed.

    ``topic`` is that of the request; its last part is replaced by ``action``.
    """
    about = Topic(topic.namespace, topic.name, topic.group, topic.channel, topic.criterion, action)
    headers = {
        "correlation-id": correlation_id,
        "content-type": JSON,
        "version": 2,
        "response-required": False,
    }
    return encode(about, "/", headers, value)
