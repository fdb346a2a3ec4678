"""Server-sent events: changes of things, their past, and their messages, as a caller may read them.

Everything that is wrong with a request is said before the first byte. What becomes of a stream
then is in `events`.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass

from littoral.api.http import Request, Stream, proofs_of
from littoral.api.model import IDS_MAX, STREAMS_MAX
from littoral.api.parts import ApiParts
from littoral.api.streams.changes import Change, Visible
from littoral.api.streams.events import EVENT_STREAM, HEARTBEAT, ChangeStream, EventStream
from littoral.api.streams.feeds import Feeds
from littoral.api.streams.filters import Selection, select
from littoral.api.streams.messages import MessageStream, Wanted
from littoral.api.streams.past import past_of, span_of
from littoral.eventing import Direction
from littoral.kernel import json, pointer
from littoral.kernel.errors import InvalidHeader, Unavailable
from littoral.kernel.ids import parse_thing_id
from littoral.kernel.merge import merge
from littoral.registry import RegistryChange
from littoral.twin import Caller, live
from littoral.twin import fields as selectors

_SPAN = {
    "from_revision": "from-historical-revision",
    "to_revision": "to-historical-revision",
    "from_ms": "from-historical-timestamp",
    "to_ms": "to-historical-timestamp",
    "filter_text": "filter",
}
_HISTORICAL = frozenset(_SPAN.values()) - {"filter"}


@dataclass(frozen=True, slots=True)
class ThingShape:
    """A change as Ditto's event streams have it: a thing that has only what changed."""

    fields: str = ""
    path: str = "/"

    def write(
        self, change: Change, visible: Visible, extra: dict[str, object] | None
    ) -> bytes | None:
        """One event of a stream."""
        thing: dict[str, object] = change.partial_thing(visible)
        if extra:
            merged = merge(json.decode(json.encode(extra)), thing)
            assert isinstance(merged, dict)
            thing = merged
        shown: object = thing
        if self.path != "/":
            try:
                shown = pointer.get(thing, pointer.parse(self.path))
            except KeyError:
                return None
        elif self.fields:
            tree = selectors.parse(self.fields)
            thing |= change.special_members()
            if selectors.CONTEXT in tree:
                thing[selectors.CONTEXT] = change.protocol_context(visible)
            shown = selectors.select(thing, tree)
            if not shown:
                return None
        return b"data:%s\n\n" % json.encode(shown)


class ThingStreams:
    """Opens streams; each has a bounded buffer, and they end with the access of their readers."""

    def __init__(self, parts: ApiParts, feeds: Feeds) -> None:
        self._parts = parts
        self._feeds = feeds
        self._open: set[EventStream] = set()
        self._past = 0
        self.dropped = 0
        """Changes that were not sent since the start, because their readers were too slow."""
        parts.registry.on_change(self._registry_changed)

    @property
    def open_count(self) -> int:
        """Streams that are open now."""
        return len(self._open) + self._past

    def close(self) -> None:
        """End all streams."""
        for stream in self._open:
            stream.close()

    def left(self, stream: EventStream) -> None:
        """A reader is gone."""
        self._open.discard(stream)

    def _registry_changed(self, change: RegistryChange) -> None:
        """Whose password or key is changed or taken away has no business in open streams."""
        if change.ends_access:
            owner = f"{change.kind.partition('.')[0]}:{change.name}"
            for stream in self._open:
                if owner in stream.owners:
                    stream.close()

    def _begin(self, stream: EventStream, request: Request) -> Stream:
        """Let a stream last as long as what proved who its reader is."""
        identity = self._parts.identities.recall(proofs_of(request))
        if identity is not None:
            stream.owners = identity.owners
            if identity.expires_ms is not None:
                stream.end_in(max(0.0, (identity.expires_ms - self._parts.clock.now_ms()) / 1000))
        self._open.add(stream)
        return Stream(stream.pieces(), EVENT_STREAM)

    def _check_room(self) -> None:
        if self.open_count >= STREAMS_MAX:
            raise Unavailable(f"{STREAMS_MAX} streams are open already.")

    def open(
        self,
        request: Request,
        caller: Caller,
        *,
        ids: tuple[str, ...] = (),
        path: str = "/",
    ) -> Stream:
        """Begin a stream of changes; it is refused before its first byte or not at all.

        Args:
            request: with ``ids``, ``namespaces``, ``fields``, ``extraFields``, ``filter``, and, for
                one thing, ``from-`` and ``to-historical-revision`` and ``-timestamp``.
            caller: sees what its policies let it READ, checked anew for each change.
            ids: only these things; empty for those that the request names, or for all.
            path: only changes at or below it, and then the value there alone.

        Raises:
            InvalidFields, UnknownFields, InvalidExpression, InvalidHeader, InvalidId, NotFound.
        """
        self._check_room()
        query = request.query
        if not ids and "ids" in query:
            named = query["ids"].split(",")
            ids = tuple(dict.fromkeys(parse_thing_id(one) for one in named if one))
        if len(ids) > IDS_MAX:
            raise InvalidHeader(f"a stream watches at most {IDS_MAX} ids; leave them out for all.")
        fields = query.get("fields", "")
        if fields:
            selectors.parse_event(fields)
        selection = select(
            namespaces=query.get("namespaces"),
            filter_text=query.get("filter"),
            extra_fields=query.get("extraFields"),
        )
        shape = ThingShape(fields, path)
        if any(name in query for name in _HISTORICAL):
            if len(ids) != 1:
                raise InvalidHeader("the past is told of one thing at a time.")
            return self._open_past(request, caller, ids[0], selection, shape)
        stream = ChangeStream(self, caller)
        stream.watching = [
            self._feeds.watch(stream, caller, selection, shape, thing_id=one)
            for one in ids or ("",)
        ]
        return self._begin(stream, request)

    def _open_past(
        self,
        request: Request,
        caller: Caller,
        thing_id: str,
        selection: Selection,
        shape: ThingShape,
    ) -> Stream:
        """A stream of what happened; it ends when all of it is told."""
        twins, clock = self._parts.twins, self._parts.clock
        span = span_of(request.query, _SPAN)
        # Refused before the first byte.
        twins.history(caller, thing_id, first=1, last=0)

        async def pieces() -> AsyncIterator[bytes]:
            self._past += 1
            try:
                yield HEARTBEAT
                async for found in past_of(twins, clock, caller, f"thing:{thing_id}", span):
                    change = Change(twins, found.record, None)
                    visible, extra = change.visible_to(caller), None
                    if selection.tree is not None:
                        fields, tree = selection.extra_fields, selection.tree
                        extra = change.enrichment(fields, tree, caller, visible)
                    text = shape.write(change, visible, extra)
                    if text is not None:
                        yield text
            finally:
                self._past -= 1

        return Stream(pieces(), EVENT_STREAM)

    def open_messages(
        self, request: Request, caller: Caller, thing_id: str, rest: tuple[str, ...]
    ) -> Stream:
        """Begin a stream of a thing's messages, or of one of its features'.

        Args:
            request: only for how long its proofs are good.
            caller: needs READ on each message.
            thing_id: whose messages.
            rest: ``[features, <id>,] inbox|outbox, messages [, <subject> …]``.

        Raises:
            InvalidMessagePath: the path names no in- or outbox.
        """
        self._check_room()
        feature: str | None = None
        if rest[:1] == ("features",):
            feature, rest = rest[1], rest[2:]
        if rest[1:2] != ("messages",) or rest[0] not in {"inbox", "outbox"}:
            raise live.InvalidMessagePath(
                f"{'/'.join(rest)[:200]!r} has no messages.", hint="Write inbox/messages."
            )
        wanted = Wanted(thing_id, Direction(rest[0]), feature, "/".join(rest[2:]))
        stream = MessageStream(self, caller, wanted, self._parts)
        return self._begin(stream, request)
