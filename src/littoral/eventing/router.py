"""Committed records to live subscribers, by entity through a dict and by filter through a list."""

import asyncio
from collections.abc import Iterable, Sequence

from littoral.eventing.model import RouterStatistics, SignalContext
from littoral.eventing.ports import CommittedRecords, RecordSink
from littoral.log import Record


class Subscription:
    """One sink's place in a `Router`. Made by `Router.subscribe`."""

    __slots__ = ("_router", "closed", "entity", "kinds", "prefix", "sink")

    def __init__(
        self,
        router: "Router",
        sink: RecordSink,
        *,
        entity: str | None,
        prefix: str,
        kinds: frozenset[str] | None,
    ) -> None:
        self._router = router
        self.sink = sink
        self.entity = entity
        self.prefix = prefix
        self.kinds = kinds
        self.closed = False

    def close(self) -> None:
        """Get nothing any more, from this moment on. Idempotent."""
        if not self.closed:
            self.closed = True
            self._router.remove(self)

    def select(self, records: Sequence[Record]) -> Sequence[Record]:
        """The records of a commit that this subscription, without an entity, is for."""
        prefix, kinds = self.prefix, self.kinds
        if kinds is None:
            return [r for r in records if r.entity.startswith(prefix)] if prefix else records
        return [r for r in records if r.kind in kinds and r.entity.startswith(prefix)]


class Router:
    """Passes every commit on to those who subscribed to something in it.

    A sink is called once per commit with all records for it. Ten thousand sinks that watch one
    thing each cost one dict look-up a record; each without an entity costs one pass over a commit.

    Invariant: a sink sees committed records only, in log order, each at most once.
    """

    def __init__(self, log: CommittedRecords) -> None:
        self._by_entity: dict[str, tuple[Subscription, ...]] = {}
        self._wide: tuple[Subscription, ...] = ()
        self._count = 0
        self._contexts: dict[int, SignalContext] = {}
        self._batches = self._passed = self._failed = 0
        log.listen(self._committed)

    def subscribe(
        self,
        sink: RecordSink,
        *,
        entity: str | None = None,
        prefix: str = "",
        kinds: Iterable[str] | None = None,
    ) -> Subscription:
        """Call ``sink`` with what is committed from now on, until the subscription is closed.

        Args:
            sink: returns at once; see `RecordSink`. If it raises, its subscription is closed.
            entity: exactly this entity, ``thing:org.acme:pump``.
            prefix: only entities whose name begins so, ``thing:org.acme:``.
            kinds: only these kinds of records.
        """
        subscription = Subscription(
            self,
            sink,
            entity=entity,
            prefix=prefix,
            kinds=None if kinds is None else frozenset(kinds),
        )
        # Tuples are replaced, never changed: a sink may subscribe or close while a commit is
        # passed on.
        if entity is None:
            self._wide = (*self._wide, subscription)
        else:
            self._by_entity[entity] = (*self._by_entity.get(entity, ()), subscription)
        self._count += 1
        return subscription

    def remove(self, subscription: Subscription) -> None:
        """Forget a subscription; `Subscription.close` calls this."""
        self._count -= 1
        entity = subscription.entity
        if entity is None:
            self._wide = tuple(s for s in self._wide if s is not subscription)
            return
        left = tuple(s for s in self._by_entity[entity] if s is not subscription)
        if left:
            self._by_entity[entity] = left
        else:
            del self._by_entity[entity]

    @property
    def is_heard(self) -> bool:
        """Whether anybody subscribes now: only then is a context worth making."""
        return self._count > 0

    def annotate(self, seq: int, context: SignalContext) -> None:
        """Tell live subscribers what caused the record ``seq``, which is not committed yet.

        It is forgotten when the record was passed on, or when its commit failed. Costs nothing
        while nobody subscribes.
        """
        if self._count and seq:
            self._contexts[seq] = context

    def context(self, seq: int) -> SignalContext | None:
        """What caused a record, asked from within a sink; None if nobody said so.

        A sink that keeps records for later takes it along: afterwards it is gone.
        """
        return self._contexts.get(seq) if self._contexts else None

    def statistics(self) -> RouterStatistics:
        return RouterStatistics(
            subscriptions=self._count,
            entities=len(self._by_entity),
            batches=self._batches,
            passed=self._passed,
            failed=self._failed,
        )

    def _committed(self, records: Sequence[Record]) -> None:
        if self._count:
            self._pass_on(records)
        if self._contexts:
            self._forget_up_to(records[-1].seq)

    def _forget_up_to(self, seq: int) -> None:
        """Seqs rise, and those of a failed commit never come: the front of the dict is oldest."""
        contexts = self._contexts
        while contexts and (oldest := next(iter(contexts))) <= seq:
            del contexts[oldest]

    def _pass_on(self, records: Sequence[Record]) -> None:
        wide = self._wide
        met = False
        if self._by_entity:
            for subscription, mine in self._by_name(records):
                met = True
                self._pass(subscription, mine)
        for subscription in wide:
            if selected := subscription.select(records):
                met = True
                self._pass(subscription, selected)
        self._batches += met

    def _by_name(self, records: Sequence[Record]) -> list[tuple[Subscription, list[Record]]]:
        found: dict[Subscription, list[Record]] = {}
        at = self._by_entity.get
        for record in records:
            subscriptions = at(record.entity)
            if subscriptions is None:
                continue
            for subscription in subscriptions:
                kinds = subscription.kinds
                if kinds is None or record.kind in kinds:
                    found.setdefault(subscription, []).append(record)
        return list(found.items())

    def _pass(self, subscription: Subscription, records: Sequence[Record]) -> None:
        if subscription.closed:
            return
        try:
            subscription.sink(records)
        except Exception as e:  # noqa: BLE001  # one bad sink must not silence the others
            subscription.close()
            self._failed += 1
            asyncio.get_running_loop().call_exception_handler(
                {"message": "a record sink failed; its subscription is closed", "exception": e}
            )
            return
        self._passed += len(records)
