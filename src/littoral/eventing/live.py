"""The live channel: commands and events that go to whoever listens now, and the first answer back.

Messages have their own way, `Inbox`: they may wait for a device, these do not.
"""

import asyncio
from collections.abc import Callable

from littoral.eventing.errors import AckCorrelationMissing, DuplicateCorrelation, TooManyMessages
from littoral.eventing.model import (
    LIVE_PENDING_MAX,
    LIVE_TIMEOUT_S_MAX,
    LiveKind,
    LiveResponse,
    LiveSignal,
    LiveStatistics,
)
from littoral.eventing.ports import LiveReceiver
from littoral.kernel.errors import LittoralError, Unavailable


class LiveAttachment:
    """One receiver's place in a `LiveChannel`. Made by its ``attach`` methods."""

    __slots__ = ("_detach", "accepts", "closed", "kinds", "receiver")

    def __init__(
        self,
        receiver: LiveReceiver,
        kinds: frozenset[LiveKind],
        detach: Callable[["LiveAttachment"], None],
        accepts: Callable[[str], bool] | None = None,
    ) -> None:
        self.receiver = receiver
        self.kinds = kinds
        self.accepts = accepts
        self.closed = False
        self._detach = detach

    def close(self) -> None:
        """Get no signal any more, from this moment on. Idempotent."""
        if not self.closed:
            self.closed = True
            self._detach(self)


class _Pending:
    """A live command that waits for its response."""

    __slots__ = ("future", "signal", "taken_by")

    def __init__(self, signal: LiveSignal) -> None:
        self.signal = signal
        self.future: asyncio.Future[LiveResponse] = asyncio.get_running_loop().create_future()
        self.taken_by: list[LiveReceiver] = []


class LiveChannel:
    """Passes live commands and live events on to their subscribers.

    Who sends has been authorised by its door; who receives decides itself whether it may see the
    signal (its ``deliver_live`` knows its caller, its namespaces and its filter).

    Invariant: a signal reaches a receiver at most once; the first response wins; only who got a
    command may answer it; nothing is kept for those who come later.
    """

    def __init__(self) -> None:
        self._attached: tuple[LiveAttachment, ...] = ()
        self._defaults: tuple[LiveAttachment, ...] = ()
        self._pending: dict[tuple[str, str], _Pending] = {}
        self._commands = self._events = self._delivered = 0
        self._answered = self._timed_out = self._late = self._failed = 0

    def attach(
        self, receiver: LiveReceiver, kinds: frozenset[LiveKind] = frozenset(LiveKind)
    ) -> LiveAttachment:
        """Let ``receiver`` see live signals of these kinds, of all things."""

        def detach(attachment: LiveAttachment) -> None:
            self._attached = tuple(a for a in self._attached if a is not attachment)

        attachment = LiveAttachment(receiver, kinds, detach)
        self._attached = (*self._attached, attachment)
        return attachment

    def attach_default(
        self, receiver: LiveReceiver, *, accepts: Callable[[str], bool] | None = None
    ) -> LiveAttachment:
        """Let ``receiver`` take commands that nobody here has taken, and every event.

        Args:
            receiver: a route to where things live.
            accepts: whether a thing lives there, asked for each signal; None for all.
        """

        def detach(attachment: LiveAttachment) -> None:
            self._defaults = tuple(a for a in self._defaults if a is not attachment)

        attachment = LiveAttachment(receiver, frozenset(LiveKind), detach, accepts)
        self._defaults = (*self._defaults, attachment)
        return attachment

    async def send(
        self, signal: LiveSignal, *, timeout_s: float, source: LiveReceiver | None = None
    ) -> LiveResponse | None:
        """Deliver a command and wait for its first response.

        Args:
            signal: it has a correlation id, which nobody else uses with the same thing now.
            timeout_s: how long to wait at the most.
            source: whom it came from: it is not sent back there, if that is a route.

        Returns:
            None if nobody responded in time (or nobody is there).

        Raises:
            DuplicateCorrelation, AckCorrelationMissing, TooManyMessages, Unavailable.
        """
        key = (signal.thing_id, signal.correlation_id)
        if not signal.correlation_id:
            raise AckCorrelationMissing("a live command needs a correlation-id for its response.")
        if key in self._pending:
            raise DuplicateCorrelation(
                f"a live command to {signal.thing_id!r} with this correlation-id waits already.",
                hint="Use a new correlation-id for every signal.",
            )
        if len(self._pending) >= LIVE_PENDING_MAX:
            raise TooManyMessages(f"{LIVE_PENDING_MAX} live commands wait already.")
        pending = self._pending[key] = _Pending(signal)
        self._commands += 1
        try:
            self._deliver(signal, source, pending.taken_by)
            async with asyncio.timeout(min(timeout_s, LIVE_TIMEOUT_S_MAX)):
                return await pending.future
        except TimeoutError:
            self._timed_out += 1
            return None
        finally:
            if self._pending.get(key) is pending:
                del self._pending[key]

    def publish(self, signal: LiveSignal, *, source: LiveReceiver | None = None) -> int:
        """Deliver an event, or a command that wants no response; return how many took it."""
        if signal.kind is LiveKind.EVENT:
            self._events += 1
        else:
            self._commands += 1
        taken: list[LiveReceiver] = []
        self._deliver(signal, source, taken)
        return len(taken)

    def respond(
        self,
        thing_id: str,
        correlation_id: str,
        response: LiveResponse,
        *,
        source: LiveReceiver | None = None,
    ) -> bool:
        """Answer a live command.

        Args:
            thing_id: with ``correlation_id`` it names the command.
            correlation_id: as the command had it.
            response: the first one is passed on.
            source: who answers; if given, it must have got the command.

        Returns:
            False if nobody waits for it: too late, another was faster, or it is not its to answer.
        """
        pending = self._pending.get((thing_id, correlation_id))
        if (
            pending is None
            or pending.future.done()
            or (source is not None and not any(source is one for one in pending.taken_by))
            or (response.action and response.action != pending.signal.action)
        ):
            self._late += 1
            return False
        pending.future.set_result(response)
        self._answered += 1
        return True

    def close(self) -> None:
        """Give up on everything that waits: its senders get `Unavailable`."""
        for pending in list(self._pending.values()):
            if not pending.future.done():
                pending.future.set_exception(Unavailable("the node is stopping."))

    def statistics(self) -> LiveStatistics:
        """Counters since the start."""
        return LiveStatistics(
            receivers=len(self._attached) + len(self._defaults),
            pending=len(self._pending),
            commands=self._commands,
            events=self._events,
            delivered=self._delivered,
            answered=self._answered,
            timed_out=self._timed_out,
            late=self._late,
            failed=self._failed,
        )

    def _deliver(
        self, signal: LiveSignal, source: LiveReceiver | None, taken: list[LiveReceiver]
    ) -> None:
        for attachment in self._attached:
            self._offer(attachment, signal, taken)
        if taken and signal.kind is LiveKind.COMMAND:
            return
        for attachment in self._defaults:
            if attachment.receiver is not source:
                self._offer(attachment, signal, taken)

    def _offer(
        self, attachment: LiveAttachment, signal: LiveSignal, taken: list[LiveReceiver]
    ) -> None:
        receiver, accepts = attachment.receiver, attachment.accepts
        if (
            attachment.closed
            or signal.kind not in attachment.kinds
            or (accepts is not None and not accepts(signal.thing_id))
            or any(receiver is one for one in taken)
        ):
            return
        # In this order: it may answer within `deliver_live`.
        taken.append(receiver)
        took = False
        try:
            took = receiver.deliver_live(signal)
        except LittoralError:
            self._failed += 1
        if took:
            self._delivered += 1
        else:
            taken.pop()
