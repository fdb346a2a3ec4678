"""What a subscriber narrowed a feed to: namespaces, an RQL filter, and fields that enrich. Pure.

Spec: Ditto's in-memory filters. They are asked about the changed data merged with the extra
fields, and about the signal itself: ``topic:action``, ``resource:path``, ``entity:id`` …
"""

from collections.abc import Mapping
from dataclasses import dataclass

from littoral import rql
from littoral.kernel import time as instants
from littoral.kernel.ids import namespace_of
from littoral.twin import fields as selectors
from littoral.twin.protocol import Topic

FILTER_NAMESPACES_MAX = 200
"""Namespaces that one subscriber names."""


@dataclass(frozen=True, slots=True)
class Selection:
    """What of a feed a subscriber wants. Equal texts are equal selections, and share their work."""

    namespaces: frozenset[str] | None = None
    filter_text: str = ""
    extra_fields: str = ""

    @property
    def query(self) -> rql.Query | None:
        """The filter as a value; parsing is remembered."""
        return rql.parse(self.filter_text) if self.filter_text else None

    @property
    def tree(self) -> selectors.Fields | None:
        """The extra fields as a tree."""
        return selectors.parse(self.extra_fields) if self.extra_fields else None

    @property
    def asks_data(self) -> bool:
        """Whether a signal has to be looked into to know if it is wanted, and what goes with it."""
        return bool(self.filter_text or self.extra_fields)

    def has_namespace_of(self, entity_id: str) -> bool:
        """Whether the entity's namespace is among those that are wanted."""
        return self.namespaces is None or namespace_of(entity_id) in self.namespaces


NO_SELECTION = Selection()


def select(
    *,
    namespaces: str | None = None,
    filter_text: str | None = None,
    extra_fields: str | None = None,
) -> Selection:
    """Check what a subscriber sent, once, before anything is streamed.

    Raises:
        InvalidExpression, InvalidFields, UnknownFields.
    """
    names = None
    if namespaces is not None:
        names = frozenset(
            name.strip() for name in namespaces.split(",")[:FILTER_NAMESPACES_MAX] if name.strip()
        )
    if filter_text:
        rql.parse(filter_text)
    if extra_fields:
        selectors.parse_event(extra_fields)
    return Selection(names, filter_text or "", extra_fields or "")


def is_wanted(
    query: rql.Query,
    *,
    topic: Topic,
    path: str,
    data: object,
    now_ms: int,
) -> bool:
    """Whether a signal passes a filter; ``data`` is the changed thing with its extra fields."""
    return rql.matches(
        rql.resolve(query, now_ms),
        rql.either(_signal_lookup(topic, path, now_ms), rql.lookup_in(data)),
    )


def _signal_lookup(topic: Topic, path: str, now_ms: int) -> rql.Lookup:
    def lookup(name: str) -> tuple[object, ...]:
        prefix, colon, rest = name.partition(":")
        if not colon:
            return ()
        match prefix:
            case "topic":
                found: object = _topic_property(topic, rest)
            case "resource":
                found = {"type": _TYPE_OF.get(topic.criterion, "thing"), "path": path}.get(rest)
            case "entity" | "thing" | "policy":
                found = {
                    "id": topic.entity_id,
                    "namespace": namespace_of(topic.entity_id),
                    "name": topic.name,
                }.get(rest)
            case "time":
                found = {"now": instants.render(now_ms), "now_epoch_millis": now_ms}.get(rest)
            case _:
                return ()
        return () if found is None else (found,)

    return lookup


_TYPE_OF: Mapping[str, str] = {"messages": "message"}


def _topic_property(topic: Topic, name: str) -> str | None:
    match name:
        case "full":
            return str(topic)
        case "namespace":
            return "" if topic.namespace == "_" else topic.namespace
        case "entityName" | "entityId":
            return topic.name
        case "group":
            return topic.group
        case "channel":
            return topic.channel or None
        case "criterion":
            return topic.criterion
        case "action":
            return None if topic.subject else topic.action or None
        case "subject":
            return topic.subject or None
        case "action-subject":
            return topic.action or None
        case _:
            return None
