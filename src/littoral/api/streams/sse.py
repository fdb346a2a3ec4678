"""Server-sent events: changes of things, their past, and their messages, as a caller may read them.

Everything that is wrong with a request is said before the first byte; from then on there is a
heartbeat every second, and a reader that is too slow is told what it lost.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from littoral.api.http import Request, Stream, proofs_of
from littoral.api.model import HEARTBEAT_S, IDS_MAX, STREAM_RECORDS_MAX, STREAMS_MAX
from littoral.api.parts import ApiParts
from littoral.api.streams.changes import Change, Visible
from littoral.api.streams.feeds import Feeds, Pushed, Watching
from littoral.api.streams.filters import Selection, select
from littoral.api.streams.past import past_of, span_of
from littoral.eventing import BoundedQueue, Direction, Message
from littoral.kernel import json, pointer
from littoral.kernel.errors import InvalidHeader, Unavailable
from littoral.kernel.ids import parse_thing_id
from littoral.kernel.merge import merge
from littoral.policy import READ
from littoral.registry import RegistryChange
from littoral.twin import Caller, live
from littoral.twin import fields as selectors

EVENT_STREAM = "text/event-stream"

HEARTBEAT = b":\n\n"

_PIECE_OVERHEAD = 200

_SPAN = {
    "from_revision": "from-historical-revision",
    "to_revision": "to-historical-revision",
    "from_ms": "from-historical-timestamp",
    "to_ms": "to-historical-timestamp",
    "filter_text": "filter",
}
_HISTORICAL = frozenset(_SPAN.values()) - {"filter"}


class Piece(Protocol):
    """Something that is written into a stream."""

    def text(self) -> bytes | None:
        """The finished event; None if there is nothing in it for this reader."""
        ...


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


class _Heartbeat:
    """An empty event."""

    def text(self) -> bytes:
        return HEARTBEAT


_BEAT = _Heartbeat()


class EventStream:
    """One reader's buffer, and what is written to it until it leaves or is ended."""

    def __init__(self, streams: "ThingStreams", caller: Caller) -> None:
        self.caller = caller
        self.owner: object = self
        self.owners: tuple[str, ...] = ()
        """Entries of the registry that its reader stands on."""
        self.watching: list[Watching] = []
        self._streams = streams
        self._queue: BoundedQueue[Piece] = BoundedQueue(_weight, items_max=STREAM_RECORDS_MAX)
        self._timer: asyncio.TimerHandle | None = None
        self._expiry: asyncio.TimerHandle | None = None

    def put(self, pieces: Sequence[Piece]) -> None:
        """Buffer what is to be written; the oldest goes if there is no room."""
        self._queue.put(pieces)

    def close(self) -> None:
        """End it after what is buffered."""
        self._queue.close()

    def end_in(self, wait_s: float) -> None:
        """End it when what proved who its reader is ends."""
        self._expiry = asyncio.get_running_loop().call_later(wait_s, self.close)

    def leave(self) -> None:
        """Watch nothing any more."""
        for watching in self.watching:
            watching.close()

    async def pieces(self) -> AsyncIterator[bytes]:
        """What is written: a heartbeat at once and each second, and all that is there."""
        queue = self._queue
        try:
            yield HEARTBEAT
            self._timer = asyncio.get_running_loop().call_later(HEARTBEAT_S, self._beat)
            while not queue.closed:
                taken = await queue.take()
                if taken.dropped:
                    # It must know that it has to read the things again.
                    yield b": dropped %d changes\n\n" % taken.dropped
                    self._streams.dropped += taken.dropped
                texts = [text for item in taken.items if (text := item.text()) is not None]
                if texts:
                    yield b"".join(texts)
        finally:
            for timer in (self._timer, self._expiry):
                if timer is not None:
                    timer.cancel()
            self.leave()
            self._streams.left(self)

    def _beat(self) -> None:
        """Let the reader know every second that the stream lives, if it has nothing else to read.

        A timer of its own: one around each wait would cost as much as the event that ends it.
        """
        if not len(self._queue):
            self._queue.put((_BEAT,))
        self._timer = asyncio.get_running_loop().call_later(HEARTBEAT_S, self._beat)


class ChangeStream(EventStream):
    """A stream of changes, as a `Watcher`."""

    def watch(self, pushed: Sequence[Pushed]) -> None:
        """Take changes."""
        self.put(pushed)


class MessageStream(EventStream):
    """A stream of messages, as a `Receiver`: it hears them and never answers."""

    def __init__(
        self,
        streams: "ThingStreams",
        caller: Caller,
        wanted: "_Messages",
        parts: ApiParts,
    ) -> None:
        super().__init__(streams, caller)
        self._wanted = wanted
        self._twins = parts.twins
        self._attachment = parts.inbox.attach_everywhere(self, direction=wanted.direction)

    def leave(self) -> None:
        """Hear nothing any more."""
        super().leave()
        self._attachment.close()

    def deliver(self, message: Message) -> bool:
        """Take a message, if it is one of those that are wanted and may be read."""
        if not self._wanted.has(message):
            return False
        caller = self.caller
        if not caller.unrestricted and not self._twins.may_message(
            caller, message.thing_id, READ, message.resource
        ):
            return False
        self.put([_Heard(message)])
        return True


@dataclass(frozen=True, slots=True)
class _Messages:
    """Which messages a stream is about."""

    thing_id: str
    direction: Direction
    feature: str | None
    subject: str

    def has(self, message: Message) -> bool:
        return (
            message.thing_id == self.thing_id
            and message.feature == self.feature
            and self.subject in {"", message.subject}
        )


class _Heard:
    """A message that waits to be written."""

    __slots__ = ("_message",)

    def __init__(self, message: Message) -> None:
        self._message = message

    def text(self) -> bytes:
        message = self._message
        payload = message.payload
        if b"\n" in payload or b"\r" in payload or not _is_text(payload):
            # A line break would end the event's data, and only UTF-8 may be in a stream.
            value = live.encode_payload(payload, message.content_type or "text/plain")
            payload = value.encode() if isinstance(value, str) else json.encode(value)
        lines = b"\n".join(b"data:" + line for line in payload.splitlines() or [b""])
        return b"event:%s\n%s\n\n" % (message.subject.encode(), lines)


def _is_text(payload: bytes) -> bool:
    try:
        payload.decode()
    except UnicodeDecodeError:
        return False
    return True


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
        wanted = _Messages(thing_id, Direction(rest[0]), feature, "/".join(rest[2:]))
        stream = MessageStream(self, caller, wanted, self._parts)
        return self._begin(stream, request)


def _weight(piece: Piece) -> int:
    if isinstance(piece, Pushed):
        return len(piece.change.record.value) + _PIECE_OVERHEAD
    return _PIECE_OVERHEAD
