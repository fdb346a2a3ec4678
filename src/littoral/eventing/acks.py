"""Acknowledgements: who may give which, who waits for which, and what came in time."""

import asyncio
import re
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import Self

from littoral.eventing.errors import (
    AckCorrelationMissing,
    AckLabelForbidden,
    AckLabelNotDeclared,
    AckLabelNotUnique,
    AckTimeout,
    DuplicateCorrelation,
    InvalidAckLabel,
    TooManyMessages,
)
from littoral.eventing.model import (
    ACK_LABELS_MAX,
    ACK_TIMEOUT_S_MAX,
    ACKS_PENDING_MAX,
    BUILT_IN_ACKS,
    WEAK_ACK,
    Ack,
    AckStatistics,
    SignalKind,
)
from littoral.kernel.errors import Unavailable
from littoral.twin.statuses import problem, status_of

_LABEL = re.compile(r"[a-zA-Z0-9_:-]{3,100}")

Acks = Mapping[str, Ack]


def check_label(label: str) -> None:
    """Raise `InvalidAckLabel` if ``label`` is none."""
    if _LABEL.fullmatch(label) is None:
        raise InvalidAckLabel(
            f"{label[:100]!r} is not the label of an acknowledgement.",
            hint="Use 3 to 100 letters, digits, '-', '_' and ':'.",
        )


def combined_status(acks: Acks) -> int:
    """The status of several acknowledgements together.

    Spec: Ditto; one alone gives its own, all successful give 200, anything else 424.
    """
    if len(acks) == 1:
        return next(iter(acks.values())).status
    return 200 if all(200 <= ack.status < 300 for ack in acks.values()) else 424


def combined_document(acks: Acks) -> dict[str, object]:
    """The body of several acknowledgements together: label to status, payload and headers."""
    return {label: ack.document() for label, ack in acks.items()}


class Declaration:
    """Labels that one owner may acknowledge with. Made by `Acknowledgements.declare`."""

    __slots__ = ("_forget", "closed", "hears", "labels", "owner")

    def __init__(
        self,
        owner: object,
        labels: frozenset[str],
        forget: Callable[["Declaration"], None],
        hears: Callable[[SignalKind], bool],
    ) -> None:
        self.owner = owner
        self.labels = labels
        self.hears = hears
        self.closed = False
        self._forget = forget

    def close(self) -> None:
        """Give the labels back, for others to declare. Idempotent."""
        if not self.closed:
            self.closed = True
            self._forget(self)


class AckAggregate:
    """What one signal waits for. Made by `Acknowledgements.expect`; use it as a context manager.

    Invariant: the first acknowledgement of a label counts; after the end none does.
    """

    __slots__ = ("_acks", "_forget", "_future", "_open", "_timer", "key", "labels")

    def __init__(
        self,
        key: tuple[str, str],
        labels: tuple[str, ...],
        forget: Callable[["AckAggregate"], None],
    ) -> None:
        self.key = key
        self.labels = labels
        self._forget = forget
        self._acks: dict[str, Ack] = {}
        self._open = set(labels)
        self._future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._timer: asyncio.TimerHandle | None = None
        if not labels:
            self._future.set_result(None)

    @property
    def missing(self) -> frozenset[str]:
        """Labels that have not come yet."""
        return frozenset(self._open)

    async def result(self) -> dict[str, Ack]:
        """Wait until all are there or the time is over; what is missing then stands as 408.

        Labels are in the order in which they were asked for.

        Raises:
            Unavailable: the node stops.
        """
        try:
            await self._future
        finally:
            self.close()
        return {label: self._acks[label] for label in self.labels}

    def close(self) -> None:
        """Wait no more. Idempotent."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._forget(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def start(self, timeout_s: float, expired: Callable[["AckAggregate"], None]) -> None:
        """Set the clock; called once by `Acknowledgements`."""
        if self._open:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(timeout_s, expired, self)

    def put(self, label: str, ack: Ack) -> bool:
        """Take one; False if it was not asked for, or is there already."""
        if label not in self._open or self._future.done():
            return False
        self._open.discard(label)
        self._acks[label] = ack
        if not self._open:
            self._future.set_result(None)
        return True

    def give_up(self) -> int:
        """The time is over; return how many were missing."""
        missing = len(self._open)
        error = AckTimeout("the acknowledgement did not come in time.")
        for label in self._open:
            self._acks[label] = Ack(status_of(error), problem(error))
        self._open.clear()
        if not self._future.done():
            self._future.set_result(None)
        return missing

    def fail(self, error: Exception) -> None:
        """End the wait with an error."""
        if not self._future.done():
            self._future.set_exception(error)
            # Nobody may be left to look at it.
            self._future.exception()


class Acknowledgements:
    """The labels of a node and the signals that wait for them.

    Nothing is sent from here: who publishes a signal names in it which labels are wanted, and
    subscribers answer with `issue` (or, if they filtered it out, with `weak`).

    Invariant: a label has one owner; a signal waits no longer than its timeout; what comes late, or
    was not asked for, changes nothing.
    """

    def __init__(self) -> None:
        self._declared: dict[str, tuple[Declaration, ...]] = {}
        self._pending: dict[tuple[str, str], AckAggregate] = {}
        self._expected = self._acknowledged = self._weak = self._late = self._timed_out = 0

    # -- who may give them --------------------------------------------------------------------

    def declare(
        self,
        owner: object,
        labels: Iterable[str],
        *,
        hears: Callable[[SignalKind], bool] = lambda _: True,
    ) -> Declaration:
        """Let ``owner`` give these acknowledgements, all or none of them.

        Args:
            owner: compared by equality: members of one group, declaring the same, are one owner.
            labels: more than it may have declared before; each declaration is closed by itself.
            hears: whether the owner has signals of a kind sent to it now. For what it does not
                hear it is answered for at once.

        Raises:
            AckLabelNotUnique, AckLabelForbidden, InvalidAckLabel, TooManyMessages.
        """
        wanted = frozenset(labels)
        if len(wanted) > ACK_LABELS_MAX:
            raise TooManyMessages(f"one subscriber declares at most {ACK_LABELS_MAX} labels.")
        for label in sorted(wanted):
            check_label(label)
            _check_custom(label)
            other = self.declared(label)
            if other is not None and other != owner:
                raise AckLabelNotUnique(
                    f"the acknowledgement {label!r} is declared by another subscriber.",
                    hint="Choose another label, or close the other subscriber.",
                )
        declaration = Declaration(owner, wanted, self._undeclare, hears)
        for label in wanted:
            self._declared[label] = (*self._declared.get(label, ()), declaration)
        return declaration

    def declared(self, label: str) -> object | None:
        """Who has declared ``label`` now."""
        found = self._declared.get(label)
        return None if found is None else found[0].owner

    def _undeclare(self, declaration: Declaration) -> None:
        for label in declaration.labels:
            left = tuple(d for d in self._declared[label] if d is not declaration)
            if left:
                self._declared[label] = left
            else:
                del self._declared[label]

    def _owns(self, owner: object, label: str) -> bool:
        found = self._declared.get(label)
        return found is not None and found[0].owner == owner

    # -- who waits for them -------------------------------------------------------------------

    def expect(
        self,
        entity_id: str,
        correlation_id: str,
        labels: Iterable[str],
        timeout_s: float,
        *,
        kind: SignalKind | None = None,
    ) -> AckAggregate:
        """Wait for ``labels`` of the signal; call it before the signal can reach anybody.

        Args:
            entity_id: the thing (or policy) that the signal is about.
            correlation_id: with ``entity_id`` it names the signal.
            labels: built-in ones too, for whoever calls `acknowledge` for them. A label that
                nobody has declared is waited for all the same: its owner may be about to come.
            timeout_s: after it what is missing counts as 408.
            kind: what the signal is; None if it reaches nobody but whom it is handed to.

        Raises:
            DuplicateCorrelation, InvalidAckLabel, AckCorrelationMissing, TooManyMessages.
        """
        wanted = tuple(dict.fromkeys(labels))
        for label in wanted:
            check_label(label)
        if not correlation_id:
            raise AckCorrelationMissing("acknowledgements need a correlation-id to belong to.")
        if len(wanted) > ACK_LABELS_MAX or len(self._pending) >= ACKS_PENDING_MAX:
            raise TooManyMessages(
                f"{len(self._pending)} signals wait for acknowledgements.",
                hint=f"One asks for at most {ACK_LABELS_MAX}; try again later.",
            )
        key = (entity_id, correlation_id)
        if key in self._pending:
            raise DuplicateCorrelation(
                f"a signal to {entity_id!r} with this correlation-id waits already.",
                hint="Use a new correlation-id for every signal.",
            )
        aggregate = self._pending[key] = AckAggregate(key, wanted, self._forget)
        aggregate.start(min(timeout_s, ACK_TIMEOUT_S_MAX), self._expire)
        self._expected += 1
        if kind is not None:
            self._answer_for_the_deaf(aggregate, kind)
        return aggregate

    def _answer_for_the_deaf(self, aggregate: AckAggregate, kind: SignalKind) -> None:
        """Give weakly what is declared by those only who do not have such signals sent to them."""
        for label in aggregate.labels:
            declared = self._declared.get(label, ())
            if declared and not any(one.hears(kind) for one in declared):
                aggregate.put(label, Ack(200, headers={WEAK_ACK: True}))
                self._weak += 1

    def acknowledge(self, entity_id: str, correlation_id: str, label: str, ack: Ack) -> bool:
        """Give an acknowledgement without asking whose it is: the node's own, and links'.

        Returns:
            False if nobody waits for it (any more).
        """
        aggregate = self._pending.get((entity_id, correlation_id))
        if aggregate is None or not aggregate.put(label, ack):
            self._late += 1
            return False
        self._acknowledged += 1
        return True

    def issue(
        self, owner: object, entity_id: str, correlation_id: str, label: str, ack: Ack
    ) -> bool:
        """Give an acknowledgement as a subscriber, which must have declared the label.

        Raises:
            InvalidAckLabel, AckLabelForbidden, AckLabelNotDeclared, AckCorrelationMissing.
        """
        check_label(label)
        _check_custom(label)
        if not correlation_id:
            raise AckCorrelationMissing(f"the acknowledgement {label!r} has no correlation-id.")
        if not self._owns(owner, label):
            raise AckLabelNotDeclared(
                f"the acknowledgement {label!r} was not declared by this subscriber.",
                hint="Declare it when connecting: declared-acks.",
            )
        return self.acknowledge(entity_id, correlation_id, label, ack)

    def weak(
        self, owner: object, entity_id: str, correlation_id: str, labels: Iterable[str]
    ) -> None:
        """A subscriber filtered the signal out: answer in its place for those that are its own."""
        aggregate = self._pending.get((entity_id, correlation_id))
        if aggregate is None:
            return
        for label in labels:
            weak = Ack(200, headers={WEAK_ACK: True})
            if self._owns(owner, label) and aggregate.put(label, weak):
                self._weak += 1

    # -- ends ---------------------------------------------------------------------------------

    def close(self) -> None:
        """The node stops: everybody who waits gets `Unavailable`."""
        for aggregate in list(self._pending.values()):
            aggregate.fail(Unavailable("the node is stopping."))
            aggregate.close()

    def statistics(self) -> AckStatistics:
        """Counters since the start."""
        return AckStatistics(
            declared=len(self._declared),
            pending=len(self._pending),
            expected=self._expected,
            acknowledged=self._acknowledged,
            weak=self._weak,
            late=self._late,
            timed_out=self._timed_out,
        )

    def _expire(self, aggregate: AckAggregate) -> None:
        self._timed_out += aggregate.give_up()
        aggregate.close()

    def _forget(self, aggregate: AckAggregate) -> None:
        if self._pending.get(aggregate.key) is aggregate:
            del self._pending[aggregate.key]


def _check_custom(label: str) -> None:
    if label in BUILT_IN_ACKS:
        raise AckLabelForbidden(
            f"the acknowledgement {label!r} is given by the node itself.",
            hint="Choose a label of your own.",
        )
