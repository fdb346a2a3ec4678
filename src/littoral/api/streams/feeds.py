"""Committed changes to those who watch them.

Each is looked into and written down once for all who see the same of it, however many they are.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

from littoral.api.streams import changes
from littoral.api.streams.changes import NOBODY, Change, Visible
from littoral.api.streams.filters import Selection
from littoral.eventing import Acknowledgements, Router, Subscription
from littoral.kernel.time import Clock
from littoral.log import Log, Record
from littoral.twin import Caller, Twins
from littoral.twin import fields as selectors


class Shape(Protocol):
    """How a change is written down for a kind of reader. Equal shapes write equal bytes."""

    def write(
        self, change: Change, visible: Visible, extra: dict[str, object] | None
    ) -> bytes | None:
        """The finished piece; None if there is nothing in it for this reader."""
        ...

    def __hash__(self) -> int: ...

    def __eq__(self, other: object, /) -> bool: ...


class EventShape:
    """An event of the Ditto Protocol."""

    def write(
        self, change: Change, visible: Visible, extra: dict[str, object] | None
    ) -> bytes | None:
        """The event's envelope."""
        return change.event(visible, extra)


EVENT = EventShape()


class Watcher(Protocol):
    """Somebody who is told of changes; it buffers for its peer, boundedly."""

    owner: object
    """Who has declared acknowledgements, if it did."""

    def watch(self, pushed: "Sequence[Pushed]") -> None:
        """Take changes, at once and in order."""
        ...


class Pushed:
    """One change for one audience; its text is made when the first of them is written to."""

    __slots__ = ("_audience", "change")

    def __init__(self, change: Change, audience: "_Audience") -> None:
        self.change = change
        self._audience = audience

    def text(self) -> bytes | None:
        """The finished piece; None if its reader may not see it, or does not want it."""
        return self._audience.text(self.change)


class Watching:
    """One watcher's place in `Feeds`. Made by `Feeds.watch`."""

    __slots__ = ("_audience", "_watcher", "closed")

    def __init__(self, audience: "_Audience", watcher: Watcher) -> None:
        self._audience = audience
        self._watcher = watcher
        self.closed = False

    def close(self) -> None:
        """Get nothing any more. Idempotent."""
        if not self.closed:
            self.closed = True
            self._audience.remove(self._watcher)


_Key = tuple[str, Selection, Shape, object]


class Feeds:
    """Changes of things for WebSockets and event streams.

    Invariant: nobody is shown what its policy does not let it READ, nor before it is durable.
    """

    def __init__(
        self, twins: Twins, router: Router, acks: Acknowledgements, log: Log, clock: Clock
    ) -> None:
        self.twins = twins
        self.acks = acks
        self.clock = clock
        self._router = router
        self._log = log
        self._committed = 0
        self._audiences: dict[_Key, _Audience] = {}
        self._changes: dict[int, Change] = {}

    def watch(
        self,
        watcher: Watcher,
        caller: Caller,
        selection: Selection,
        shape: Shape = EVENT,
        *,
        thing_id: str = "",
    ) -> Watching:
        """Tell ``watcher`` of what is committed from now on, until the answer is closed.

        Args:
            watcher: is told of each change at once.
            caller: sees what its policies let it READ.
            selection: what of it is wanted.
            shape: how it is written.
            thing_id: only this thing.
        """
        who = (caller.subjects, caller.unrestricted)
        key: _Key = (thing_id, selection, shape, who)
        audience = self._audiences.get(key)
        if audience is None:
            audience = _Audience(self, caller, selection, shape, lambda: self._forget(key))
            audience.subscription = self._router.subscribe(
                audience.committed,
                entity=changes.THING + thing_id if thing_id else None,
                prefix="" if thing_id else changes.THING,
                kinds=changes.ACTIONS,
            )
            self._audiences[key] = audience
        audience.watchers = (*audience.watchers, watcher)
        return Watching(audience, watcher)

    def statistics(self) -> dict[str, int]:
        """How many watch, and in how many groups that see the same."""
        groups = self._audiences.values()
        return {"audiences": len(groups), "watchers": sum(len(g.watchers) for g in groups)}

    def change_of(self, record: Record) -> Change:
        """A record as all audiences share it while its commit is passed on."""
        if self._committed != self._log.committed:
            self._committed = self._log.committed
            self._changes.clear()
        found = self._changes.get(record.seq)
        if found is None:
            found = Change(self.twins, record, self._router.context(record.seq))
            self._changes[record.seq] = found
        return found

    def _forget(self, key: _Key) -> None:
        audience = self._audiences.pop(key)
        assert audience.subscription is not None
        audience.subscription.close()


class _Audience:
    """Watchers who see the same: one caller's rights, one selection, one shape."""

    def __init__(
        self,
        feeds: Feeds,
        caller: Caller,
        selection: Selection,
        shape: Shape,
        forget: Callable[[], None],
    ) -> None:
        self._feeds = feeds
        self._caller = caller
        self._selection = selection
        self._shape = shape
        self._query = selection.query
        self._tree: selectors.Fields | None = selection.tree
        self._forget = forget
        self.watchers: tuple[Watcher, ...] = ()
        self.subscription: Subscription | None = None

    def remove(self, watcher: Watcher) -> None:
        self.watchers = tuple(w for w in self.watchers if w is not watcher)
        if not self.watchers:
            self._forget()

    def committed(self, records: Sequence[Record]) -> None:
        """Take what was committed; what has to be looked into is, the rest waits for its readers."""
        feeds, selection = self._feeds, self._selection
        pushed: list[Pushed] = []
        for record in records:
            change = feeds.change_of(record)
            if not selection.has_namespace_of(change.thing_id) or (
                (selection.asks_data or change.requested_acks) and self.text(change) is None
            ):
                if change.requested_acks:
                    self._answer_weakly(change)
                continue
            pushed.append(Pushed(change, self))
        if pushed:
            for watcher in self.watchers:
                watcher.watch(pushed)

    def text(self, change: Change) -> bytes | None:
        visible = change.visible_to(self._caller)
        if visible is NOBODY:
            return None
        selection = self._selection
        # What enriches is read with the caller's own rights, whatever of the change it sees.
        key: tuple[object, Visible] = (self if selection.asks_data else self._shape, visible)
        texts = change.texts
        if key not in texts:
            texts[key] = self._written(change, visible)
        return texts[key]

    def _written(self, change: Change, visible: Visible) -> bytes | None:
        extra = None
        if self._tree is not None:
            extra = change.enrichment(
                self._selection.extra_fields, self._tree, self._caller, visible
            )
        if self._query is not None and not change.passes(
            self._query, visible, extra, self._feeds.clock.now_ms()
        ):
            return None
        return self._shape.write(change, visible, extra)

    def _answer_weakly(self, change: Change) -> None:
        for watcher in self.watchers:
            self._feeds.acks.weak(
                watcher.owner, change.thing_id, change.correlation_id, change.requested_acks
            )
