"""Committed changes of things as their readers see them, worked out once for all who see the same.

Whoever watches gets what its policy lets it READ of a change, and nothing at all of the rest.
"""

from collections.abc import Mapping

from littoral.api.streams.filters import is_wanted
from littoral.eventing import SignalContext
from littoral.kernel import json
from littoral.kernel import time as instants
from littoral.kernel.errors import LittoralError
from littoral.kernel.ids import namespace_of
from littoral.kernel.merge import merge, put_at
from littoral.kernel.pointer import parse
from littoral.log import Record
from littoral.policy import READ
from littoral.rql import Query
from littoral.twin import Caller, Twins, action_of, protocol
from littoral.twin import fields as selectors
from littoral.twin.protocol import ABSENT, Raw, Topic

THING = "thing:"

ACTIONS = {
    "thing.created": "created",
    "thing.modified": "modified",
    "thing.merged": "merged",
    "thing.deleted": "deleted",
}
"""Kinds of records that are twin events, and their names in the Ditto Protocol."""

Visible = frozenset[str]
"""The subjects of a policy that somebody is: who is the same ones sees the same."""

ALL: Visible = frozenset(("*",))
"""Sees everything."""

NOBODY: Visible = frozenset()


_HIDDEN = object()


class Change:
    """One record. What it costs to show it is paid once per kind of reader, on first demand.

    Judged by the thing's policy of the moment when it is first asked for, as every read is.
    """

    __slots__ = ("_extras", "_twins", "_values", "action", "context", "record", "texts", "thing_id")

    def __init__(self, twins: Twins, record: Record, context: SignalContext | None) -> None:
        self._twins = twins
        self.record = record
        self.context = context
        self.thing_id = record.entity[len(THING) :]
        self.action = action_of(record) or ""
        self._values: dict[Visible, object] = {}
        self._extras: dict[tuple[str, Visible], dict[str, object] | None] = {}
        self.texts: dict[tuple[object, Visible], bytes | None] = {}
        """Finished frames by what was asked for and who may see what."""

    @property
    def correlation_id(self) -> str:
        """The causing command's, if it is known; else the record's own identity."""
        if self.context is not None and self.context.correlation_id:
            return self.context.correlation_id
        kept = None if self.record.headers is None else self.record.headers.get("correlation-id")
        return kept if isinstance(kept, str) else f"{self.record.origin}/{self.record.oseq}"

    @property
    def requested_acks(self) -> tuple[str, ...]:
        """Labels that the sender of the causing command waits for."""
        return () if self.context is None else self.context.requested_acks

    @property
    def topic(self) -> Topic:
        """The topic of the event."""
        return protocol.topic_of(self.thing_id, "things", "events", self.action)

    def visible_to(self, caller: Caller) -> Visible:
        """Who the caller is for the thing's policy; `NOBODY` if it may see nothing of the change."""
        if caller.unrestricted:
            return ALL
        policy_id = self._twins.policy_of(self.thing_id)
        namespace = namespace_of(self.thing_id)
        enforcer = self._twins.book.enforcer(policy_id, namespace) if policy_id else None
        if enforcer is None:
            return NOBODY
        named = caller.subjects & enforcer.subjects
        if not named:
            return NOBODY
        if named not in self._values:
            resource = THING + self.record.path
            if enforcer.may(named, READ, resource):
                # All of it: shown as it stands in the log, and the same for all who may.
                self._values[named] = self._values[ALL] = self._whole()
            else:
                cut = self._twins.readable_change(caller, self.record)
                if cut is None:
                    self._values[named] = _HIDDEN
                else:
                    self._values[named] = ABSENT if cut.action == "deleted" else cut.value
        seen = self._values[named]
        if seen is _HIDDEN:
            return NOBODY
        return ALL if seen is self._values.get(ALL, _HIDDEN) else named

    def value(self, visible: Visible) -> object:
        """What of the value is seen: parsed, or `Raw` if it is all of it; `ABSENT` of a deletion."""
        if visible is ALL and ALL not in self._values:
            self._values[ALL] = self._whole()
        return self._values[visible]

    def _whole(self) -> object:
        return Raw(self.record.value) if self.record.value else ABSENT

    def parsed(self, visible: Visible) -> object:
        """`value`, always parsed; None of a deletion."""
        value = self.value(visible)
        if value is ABSENT:
            return None
        return json.decode(self.record.value) if isinstance(value, Raw) else value

    def enrichment(
        self, fields: str, tree: selectors.Fields, caller: Caller, visible: Visible
    ) -> dict[str, object] | None:
        """The thing's selected fields as of this change, as far as the caller may READ them."""
        key = (fields, visible if visible is not ALL or caller.unrestricted else caller.subjects)
        if key not in self._extras:
            self._extras[key] = extra_fields(
                self._twins, caller, self.thing_id, tree, revision=self.record.revision
            )
        return self._extras[key]

    def partial_thing(self, visible: Visible) -> dict[str, object]:
        """A thing that has only what changed; a deletion has the id only."""
        thing: dict[str, object] = {}
        if self.record.kind != "thing.deleted":
            placed = put_at({}, parse(self.record.path), self.parsed(visible))
            if isinstance(placed, dict):
                thing = placed
        thing["thingId"] = self.thing_id
        return thing

    def special_members(self) -> dict[str, object]:
        """What Ditto adds to a streamed thing if ``fields`` asks for it."""
        return {
            "_namespace": namespace_of(self.thing_id),
            "_revision": self.record.revision,
            "_modified": instants.render(instants.ms_of(self.record.hlc)),
        }

    def protocol_context(self, visible: Visible) -> dict[str, object]:
        """Ditto's ``_context``: the protocol message that a streamed change comes from."""
        members: dict[str, object] = {
            "topic": str(self.topic),
            "path": self.record.path,
            "headers": {"correlation-id": self.correlation_id, **self._caused_headers()},
        }
        if self.record.kind != "thing.deleted":
            members["value"] = self.parsed(visible)
        return members

    def passes(
        self, query: Query, visible: Visible, extra: Mapping[str, object] | None, now_ms: int
    ) -> bool:
        """Whether the change, with the extra fields, is what a filter asks for."""
        data: object = self.partial_thing(visible) | self.special_members()
        if extra:
            # What changed is newer than what stands in the thing, and says more of it.
            data = merge(json.decode(json.encode(extra)), data)
        return is_wanted(query, topic=self.topic, path=self.record.path, data=data, now_ms=now_ms)

    def event(self, visible: Visible, extra: object | None = None) -> bytes:
        """The change as an event of the Ditto Protocol."""
        record = self.record
        return protocol.event(
            self.thing_id,
            self.action,
            record.path,
            self.value(visible),
            revision=record.revision,
            at_ms=instants.ms_of(record.hlc),
            correlation_id=self.correlation_id,
            headers=self._caused_headers(),
            extra=extra,
        )

    def _caused_headers(self) -> dict[str, object]:
        """What the causing command gave its event to carry."""
        if self.context is None:
            return {}
        headers = dict(self.context.headers)
        if self.context.originator:
            headers["ditto-originator"] = self.context.originator
        if self.context.requested_acks:
            headers["requested-acks"] = self.context.requested_acks
        return headers


def extra_fields(
    twins: Twins,
    caller: Caller,
    thing_id: str,
    tree: selectors.Fields,
    *,
    revision: int | None = None,
) -> dict[str, object] | None:
    """Selected fields of a thing as the caller may READ them; None if there is nothing of them."""
    try:
        newest = twins.revision_of(thing_id)
        past = revision if revision is not None and revision != newest else None
        view = twins.things.retrieve(caller, thing_id, at_revision=past)
    except LittoralError:
        # It is gone, or its past is: an event is told all the same.
        return None
    chosen = twins.select(caller, view, tree)
    return chosen if isinstance(chosen, dict) and chosen else None
