"""Server-sent events: changes of things, cut to what the caller may read, as they are committed."""

import asyncio
from collections.abc import AsyncIterator, Sequence

from littoral.api import changes
from littoral.api.answers import Stream
from littoral.api.errors import FilterNotSupported, NotSupported
from littoral.api.model import HEARTBEAT_S, IDS_MAX, STREAM_RECORDS_MAX, STREAMS_MAX
from littoral.api.request import Request
from littoral.eventing import BoundedQueue, Router, Subscription, record_queue
from littoral.kernel import json, pointer
from littoral.kernel.errors import InvalidHeader, Unavailable
from littoral.kernel.ids import namespace_of, parse_thing_id
from littoral.log import Record
from littoral.registry import Registry, RegistryChange
from littoral.twin import Caller, Twins, protocol
from littoral.twin import fields as selectors

_HISTORICAL = (
    "from-historical-revision",
    "to-historical-revision",
    "from-historical-timestamp",
    "to-historical-timestamp",
)


class ThingStreams:
    """Opens streams of changes; each has a bounded buffer, and a slow reader is told of gaps."""

    def __init__(self, twins: Twins, router: Router, registry: Registry) -> None:
        self._twins = twins
        self._router = router
        self._queues: dict[BoundedQueue[Record], Caller] = {}
        registry.on_change(self._registry_changed)

    @property
    def open_count(self) -> int:
        """Streams that are open now."""
        return len(self._queues)

    def close(self) -> None:
        """End all streams."""
        for queue in self._queues:
            queue.close()

    def _registry_changed(self, change: RegistryChange) -> None:
        """A user who is removed, or gets another password, has no business in open streams."""
        if change.ends_access and change.kind.startswith("user."):
            for queue, caller in self._queues.items():
                if f"nginx:{change.name}" in caller.subjects:
                    queue.close()

    def open(
        self,
        request: Request,
        caller: Caller,
        *,
        ids: tuple[str, ...] = (),
        path: str = "/",
    ) -> Stream:
        """Begin a stream; it is refused before its first byte or not at all.

        Args:
            request: with ``ids``, ``namespaces`` and ``fields``.
            caller: sees what its policies let it READ, checked anew for each change.
            ids: only these things; empty for those that the request names, or for all.
            path: only changes at or below it, and then the value there alone.

        Raises:
            InvalidFields, InvalidHeader, InvalidId, NotSupported, FilterNotSupported.
        """
        if len(self._queues) >= STREAMS_MAX:
            raise Unavailable(f"{STREAMS_MAX} streams are open already.")
        if "filter" in request.query:
            raise FilterNotSupported("filters are not supported by this release.")
        for name in ("extraFields", *_HISTORICAL):
            if name in request.query:
                raise NotSupported(f"{name} is not supported by this release.")
        if not ids and "ids" in request.query:
            ids = tuple(parse_thing_id(one) for one in request.query["ids"].split(",") if one)
        if len(ids) > IDS_MAX:
            raise InvalidHeader(f"a stream watches at most {IDS_MAX} ids; leave them out for all.")
        selected = request.query.get("fields")
        view = _View(
            self._twins,
            caller,
            namespaces=_names(request.query.get("namespaces")),
            tree=selectors.parse(selected) if selected is not None else None,
            keys=pointer.parse(path),
        )
        return Stream(self._pieces(view, ids), "text/event-stream")

    async def _pieces(self, view: "_View", ids: tuple[str, ...]) -> AsyncIterator[bytes]:
        queue = record_queue(items_max=STREAM_RECORDS_MAX)
        subscriptions = self._subscribe(queue, ids)
        self._queues[queue] = view.caller
        try:
            yield b":\n\n"
            while not queue.closed:
                try:
                    async with asyncio.timeout(HEARTBEAT_S):
                        taken = await queue.take()
                except TimeoutError:
                    yield b":\n\n"
                    continue
                if taken.dropped:
                    # The reader was too slow: it must know that it has to read the things again.
                    yield b": dropped %d changes\n\n" % taken.dropped
                for record in taken.items:
                    data = view.of(record)
                    if data is not None:
                        yield b"data:%s\n\n" % data
        finally:
            del self._queues[queue]
            for subscription in subscriptions:
                subscription.close()

    def _subscribe(self, queue: BoundedQueue[Record], ids: Sequence[str]) -> list[Subscription]:
        subscribe, kinds = self._router.subscribe, changes.ACTIONS
        if not ids:
            return [subscribe(queue.put, prefix=changes.THING, kinds=kinds)]
        return [subscribe(queue.put, entity=changes.THING + one, kinds=kinds) for one in ids]


class _View:
    """What one stream shows of a record."""

    def __init__(
        self,
        twins: Twins,
        caller: Caller,
        *,
        namespaces: frozenset[str] | None,
        tree: selectors.Fields | None,
        keys: tuple[str, ...],
    ) -> None:
        self._twins = twins
        self.caller = caller
        self._namespaces = namespaces
        self._tree = tree
        self._keys = keys

    def of(self, record: Record) -> bytes | None:
        """The event's data; None if there is nothing that the reader wants or may see."""
        namespace = namespace_of(changes.thing_id_of(record))
        if self._namespaces is not None and namespace not in self._namespaces:
            return None
        value = changes.readable_value(self._twins, self.caller, record)
        if value is protocol.ABSENT:
            return None
        thing = changes.partial_thing(record, value)
        if self._keys:
            try:
                return json.encode(pointer.get(thing, self._keys))
            except KeyError:
                return None
        if self._tree is not None:
            thing |= changes.special_members(record)
            if "_context" in self._tree:
                thing["_context"] = changes.context(record, value)
            shown = selectors.select(thing, self._tree)
            return json.encode(shown) if shown else None
        return json.encode(thing)


def _names(text: str | None) -> frozenset[str] | None:
    return None if text is None else frozenset(n.strip() for n in text.split(",") if n.strip())
