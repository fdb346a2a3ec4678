"""Records of things as their readers see them: partial things for SSE, events for WebSocket. Pure.

Whoever watches gets what its policy lets it READ of a change, and nothing at all of the rest.
"""

from littoral.kernel import json
from littoral.kernel import time as instants
from littoral.kernel.ids import namespace_of
from littoral.kernel.merge import put_at
from littoral.kernel.pointer import parse
from littoral.log import Record
from littoral.twin import Caller, Twins, protocol

THING = "thing:"

ACTIONS = {
    "thing.created": "created",
    "thing.modified": "modified",
    "thing.merged": "merged",
    "thing.deleted": "deleted",
}
"""Kinds of records that are twin events, and their names in the Ditto Protocol."""


def thing_id_of(record: Record) -> str:
    """The id of the thing that a record is about."""
    return record.entity[len(THING) :]


def readable_value(twins: Twins, caller: Caller, record: Record) -> object:
    """The part of a change's value that the caller may READ; `protocol.ABSENT` if nothing of it.

    Judged by the thing's policy of now, as every read is. A deletion has the value None, and so
    has a merge that deletes: whoever may read the path may see that it is gone.
    """
    value = json.decode(record.value) if record.value else None
    if caller.unrestricted:
        return value
    policy_id = twins.policy_of(thing_id_of(record))
    if not policy_id:
        return protocol.ABSENT
    whole = isinstance(value, dict) and bool(value)
    # A leaf is judged by its place alone: None and {} are values, and answers of `readable` too.
    document = put_at({}, parse(record.path), value if whole else True)
    if not isinstance(document, dict):
        document = {}
    seen = twins.readable(caller, document, record.path, policy_id=policy_id)
    if seen is None:
        return protocol.ABSENT
    return seen if whole else value


def partial_thing(record: Record, value: object) -> dict[str, object]:
    """A change as a thing that has only what changed; a deletion has the id only."""
    thing: dict[str, object] = {}
    if record.kind != "thing.deleted":
        placed = put_at({}, parse(record.path), value)
        if isinstance(placed, dict):
            thing = placed
    thing["thingId"] = thing_id_of(record)
    return thing


def special_members(record: Record) -> dict[str, object]:
    """What Ditto adds to a streamed thing if ``fields`` asks for it."""
    return {
        "_namespace": namespace_of(thing_id_of(record)),
        "_revision": record.revision,
        "_modified": instants.render(instants.ms_of(record.hlc)),
    }


def context(record: Record, value: object) -> dict[str, object]:
    """Ditto's ``_context``: the protocol message that a streamed change comes from."""
    topic = protocol.topic_of(thing_id_of(record), "things", "events", ACTIONS[record.kind])
    members: dict[str, object] = {
        "topic": str(topic),
        "path": record.path,
        "headers": {"correlation-id": correlation_id(record)},
    }
    if record.kind != "thing.deleted":
        members["value"] = value
    return members


def correlation_id(record: Record) -> str:
    """The causing command's, if the record kept it; else the record's own identity."""
    if record.headers is not None:
        kept = record.headers.get("correlation-id")
        if isinstance(kept, str):
            return kept
    return f"{record.origin}/{record.oseq}"


def event_text(record: Record, value: object) -> bytes:
    """A change as an event of the Ditto Protocol."""
    deleted = record.kind == "thing.deleted"
    return protocol.event(
        thing_id_of(record),
        ACTIONS[record.kind],
        record.path,
        protocol.ABSENT if deleted else value,
        revision=record.revision,
        at_ms=instants.ms_of(record.hlc),
        correlation_id=correlation_id(record),
    )
