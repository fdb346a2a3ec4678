"""Group commit: which batch is open, which one flies, and what happens when the disk says no."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TypeVar

from littoral.kernel.errors import LittoralError
from littoral.kernel.ids import Origin
from littoral.kernel.time import Clock
from littoral.log.core import high_water_key
from littoral.log.errors import LogBroken, LogBusy, LogClosed, LogFull
from littoral.log.model import (
    HASTEN_RECORDS,
    PACE_RECORDS,
    PACE_S,
    PENDING_BYTES_MAX,
    Batch,
    Opened,
    Put,
    Record,
)
from littoral.log.pending import Pending
from littoral.log.ports import Committer, Scheduler, Store
from littoral.log.tail import Tail
from littoral.log.waiting import Waiters

_T = TypeVar("_T")
_PROBE_EVERY_S = 1.0


class GroupCommit:
    """What is appended in one iteration of the loop, and while a commit runs, is one batch.

    Invariant: batches become durable in the order in which they were closed; after a failure
    everything that was not durable is void, and its seqs are never given out again.
    """

    __slots__ = (
        "__dict__",
        "_armed",
        "_before_close",
        "_began_s",
        "_clock",
        "_closing",
        "_commits",
        "_committer",
        "_floor",
        "_floor_committed",
        "_flying",
        "_high",
        "_listeners",
        "_looking",
        "_loop",
        "_next",
        "_on_abort",
        "_on_broken",
        "_open",
        "_probe_at_s",
        "_probing",
        "_push",
        "_ready",
        "_ready_bytes",
        "_refusal",
        "_store",
        "_stored",
        "_tail",
        "_waiters",
        "batch",
        "committed",
        "head",
        "last_hlc",
    )

    def __init__(
        self, opened: Opened, *, store: Store, committer: Committer, clock: Clock, loop: Scheduler
    ) -> None:
        self.head = self.committed = opened.head
        """Last seq given out, and last seq that is durable."""
        self.batch = 1
        """Number of the open batch, for callers that register once per batch."""
        self.last_hlc = opened.hlc_ahead
        """Stamp of the record that was appended last."""
        self._store = store
        self._committer = committer
        self._clock = clock
        self._began_s = 0.0
        self._loop = loop
        self._next = opened.head + 1
        self._floor = self._floor_committed = 0
        self._refusal: LittoralError | None = None
        self._probe_at_s = 0.0
        self._probing = self._looking = False
        self._armed = False
        self._closing = False
        self._flying: Pending | None = None
        self._ready: deque[Pending] = deque()
        self._ready_bytes = 0
        self._high: dict[tuple[Origin, int], int] = {}
        self._tail = Tail(opened.head)
        self._waiters = Waiters()
        self._listeners: list[Callable[[Sequence[Record]], None]] = []
        self._before_close: list[Callable[[], None]] = []
        self._on_abort: list[Callable[[LittoralError], None]] = []
        self._on_broken: list[Callable[[LittoralError], None]] = []
        self._commits = self._stored = 0
        self._open = Pending()
        self._push = self._open.records.append

    def on_commit(self, callback: Callable[[LittoralError | None], None]) -> None:
        """Call ``callback`` once: with None when what is open now is durable, or with the error."""
        self._open.callbacks.append(callback)
        if not self._armed:
            self._arm()

    def hasten(self) -> None:
        """Begin a commit now if none runs and the open batch is worth one.

        Without this a batch closes at the end of the loop's iteration, which under load reads from
        a thousand sockets: all peers would be answered at once, then send at once, and loop and
        disk would wait for each other in turn. To be called when nobody is amid a change.
        """
        if self._flying is None and len(self._open.records) >= HASTEN_RECORDS and self._armed:
            self._flush()

    async def wait(self, seq: int | None = None) -> None:
        """Return when the record ``seq`` is durable; raise why it is not.

        Without ``seq``: when everything appended and put until now is.
        """
        if seq is None:
            if self._open or self._flying is not None or self._ready:
                await self._waiters.open_batch(self.on_commit)
            return
        failure = self._waiters.failure(seq)
        if failure is not None:
            raise failure
        if seq <= self.committed:
            return
        if isinstance(self._refusal, LogBroken | LogClosed):
            raise self._refusal
        await self._waiters.durable(seq)

    def before_close(self, hook: Callable[[], None]) -> None:
        """Call ``hook`` whenever a batch is about to be handed over; it may `put`, not `append`."""
        self._before_close.append(hook)

    def on_abort(self, hook: Callable[[LittoralError], None]) -> None:
        """Call ``hook`` when a commit failed: everything after `committed` is void."""
        self._on_abort.append(hook)

    def on_broken(self, hook: Callable[[LittoralError], None]) -> None:
        """Call ``hook`` when the disk has failed: the process has to end and open anew."""
        self._on_broken.append(hook)

    def listen(self, listener: Callable[[Sequence[Record]], None]) -> None:
        """Call ``listener`` with the records of each commit, in order; it must not block."""
        self._listeners.append(listener)

    # Closing and handing over. Only callbacks of the loop close a batch: between two of them,
    # what appends has finished its own changes, so hooks see a state that fits the batch.

    def _arm(self) -> None:
        """See to it that what is open will be committed."""
        self._armed = True
        self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        if self._flying is None:
            self._close_batch()
            self._hand_over()

    def _go_on(self, records: int) -> None:
        """Begin the next commit: at once, or, under a steady load, when it has gathered a little.

        A commit costs as much as some tens of records; at 20,000 records a second unpaced commits
        of 25 took half of a core. One commit alone is never held up.
        """
        if records >= PACE_RECORDS and not self._ready and self._open:
            wait_s = self._began_s + PACE_S - self._clock.monotonic_s()
            if wait_s > 0 and len(self._open.records) < HASTEN_RECORDS:
                self._armed = True
                self._loop.call_later(wait_s, self._flush)
                return
        self._close_batch()
        self._hand_over()

    def _overflow(self) -> None:
        """The open batch is large enough while another one flies: close it in the next iteration."""
        if not self._closing:
            self._closing = True
            self._loop.call_soon(self._close_large)

    def _check_busy(self) -> None:
        """Refuse what comes from now on while too much waits for the disk.

        Only called where batches are closed and handed over, never amid a change: who is refused
        has stored nothing, and who was taken is not refused afterwards.
        """
        if self._ready_bytes > PENDING_BYTES_MAX:
            if self._refusal is None:
                self._refusal = LogBusy(
                    f"more than {PENDING_BYTES_MAX >> 20} MiB wait for the disk.",
                    hint="Send less at a time, or look at the disk's latency.",
                )
        elif isinstance(self._refusal, LogBusy):
            self._refusal = None

    def _close_large(self) -> None:
        self._close_batch()
        self._hand_over()

    def _close_batch(self) -> None:
        """Move the open batch to those that are ready, and begin a new one."""
        self._closing = False
        pending = self._open
        if not pending:
            return
        if pending.writes:
            for hook in self._before_close:
                self._call_hook(hook)
            for origin, cls in pending.high:
                key = high_water_key(origin, cls)
                pending.puts["hw", key] = b"%d" % self._high[origin, cls]
        self._ready.append(pending)
        self._ready_bytes += pending.bytes
        self._open = Pending()
        self._push = self._open.records.append
        self.batch += 1
        self._check_busy()

    def _hand_over(self) -> None:
        """Give the next batch to the committer, if it is idle and there is one."""
        if self._flying is not None:
            return
        while self._ready:
            pending = self._ready.popleft()
            self._ready_bytes -= pending.bytes
            self._check_busy()
            if pending.writes:
                self._flying = pending
                self._armed = True
                self._began_s = self._clock.monotonic_s()
                batch = Batch(
                    pending.records,
                    [Put(space, key, value) for (space, key), value in pending.puts.items()],
                    pending.hlc_ahead,
                )
                self._committer.run(partial(self._store.apply, batch), partial(self._done, pending))
                return
            # Not now: the batch before it is announced first.
            dead = isinstance(self._refusal, LogBroken | LogClosed)
            self._loop.call_soon(self._call, pending.callbacks, self._refusal if dead else None)
        self._armed = False
        if self._open:
            self._arm()

    def _done(self, pending: Pending, error: BaseException | None) -> None:
        """A commit ended. The next one starts before anybody hears of this one."""
        if self._flying is not pending:
            return  # the log broke meanwhile, and everybody was told
        self._flying = None
        if error is not None:
            self._fail(_as_refusal(error), [pending])
            return
        self._commits += 1
        records = pending.records
        if records:
            self._stored += len(records)
            self.committed = records[-1].seq
            self._tail.add(records, pending.bytes)
        if pending.hlc_ahead is not None:
            self._floor_committed = pending.hlc_ahead
        self._go_on(len(records))
        if records:
            for listener in self._listeners:
                self._call_one(listener, records)
            self._waiters.committed(self.committed)
        self._call(pending.callbacks, None)

    # Failing.

    def _fail(self, error: LittoralError, flying: list[Pending]) -> None:
        """Void everything that is not durable, and tell everybody: abort hooks first."""
        void = [*flying, *self._ready, self._open]
        self._ready.clear()
        self._ready_bytes = 0
        self._open = Pending()
        self._push = self._open.records.append
        self.batch += 1
        self._armed = self._closing = False
        self._flying = None
        first, last = self.committed + 1, self._next - 1
        self.head = self.committed
        self._floor = self._floor_committed
        for pending in void:
            for key in pending.high:
                self._high.pop(key, None)
        if not isinstance(self._refusal, LogBroken | LogClosed):
            self._refusal = error
            self._probe_at_s = self._clock.monotonic_s() + _PROBE_EVERY_S
            if isinstance(error, LogFull):
                self._keep_looking()
        for hook in self._on_abort:
            self._call_one(hook, error)
        self._waiters.failed(first, last, error)
        for pending in void:
            self._call(pending.callbacks, error)
        if isinstance(error, LogBroken):
            for hook in self._on_broken:
                self._call_one(hook, error)

    def _break(self, error: LogBroken) -> None:
        """The disk failed outside a commit (a read, housekeeping): nothing may be believed."""
        if isinstance(self._refusal, LogBroken | LogClosed):
            return
        flying = [] if self._flying is None else [self._flying]
        self._fail(error, flying)

    def refusal(self) -> str | None:
        """Why nothing may be appended now; None if it may.

        After a full disk, asking makes the log look for room, so whoever waits for it need not write.
        """
        self._look_for_room()
        return None if self._refusal is None else self._refusal.message

    def _refuse(self) -> None:
        """Raise why nothing may be appended now."""
        refusal = self._refusal
        assert refusal is not None
        self._look_for_room()
        # A new exception each time: a shared one would gather tracebacks without end.
        raise type(refusal)(refusal.message, hint=refusal.hint, **refusal.facts)

    def _keep_looking(self) -> None:
        """Look for room also while nobody writes, so that the first who does is not refused."""
        if not self._looking:
            self._looking = True
            self._loop.call_later(_PROBE_EVERY_S, self._look_and_go_on)

    def _look_and_go_on(self) -> None:
        self._looking = False
        if isinstance(self._refusal, LogFull):
            self._look_for_room()
            self._keep_looking()

    def _look_for_room(self) -> None:
        """After a full disk, look from time to time."""
        if not isinstance(self._refusal, LogFull) or self._probing:
            return
        now_s = self._clock.monotonic_s()
        if now_s >= self._probe_at_s:
            self._probing = True
            self._probe_at_s = now_s + _PROBE_EVERY_S
            self._committer.run(self._store.probe, self._probed)

    def _probed(self, error: BaseException | None) -> None:
        self._probing = False
        if error is None:
            if isinstance(self._refusal, LogFull):
                self._refusal = None
        elif isinstance(refusal := _as_refusal(error), LogBroken):
            self._break(refusal)

    async def _run_piece(self, work: Callable[[], None]) -> None:
        """Run a piece of housekeeping on the committer, between batches."""
        if isinstance(self._refusal, LogBroken | LogClosed):
            raise self._refusal
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def done(error: BaseException | None) -> None:
            refusal = None if error is None else _as_refusal(error)
            if isinstance(refusal, LogBroken):
                self._break(refusal)
            if future.done():
                return
            if refusal is None:
                future.set_result(None)
            else:
                future.set_exception(refusal)

        self._committer.run(work, done)
        await future

    # Calling others: one that raises must not keep the rest from hearing.

    def _call(
        self,
        callbacks: Iterable[Callable[[LittoralError | None], None]],
        error: LittoralError | None,
    ) -> None:
        for callback in callbacks:
            try:
                callback(error)
            except Exception as e:  # noqa: BLE001  # it goes to the loop's handler
                self._loop.call_soon(_raise, e)

    def _call_hook(self, hook: Callable[[], None]) -> None:
        try:
            hook()
        except Exception as e:  # noqa: BLE001  # it goes to the loop's handler
            self._loop.call_soon(_raise, e)

    def _call_one(self, callback: Callable[[_T], None], argument: _T) -> None:
        try:
            callback(argument)
        except Exception as e:  # noqa: BLE001  # it goes to the loop's handler
            self._loop.call_soon(_raise, e)


def _raise(error: Exception) -> None:
    raise error


def _as_refusal(error: BaseException) -> LittoralError:
    """What the store raised, as something a caller may branch on; a surprise is a broken log."""
    if isinstance(error, LogFull | LogBroken | LogClosed):
        return error
    broken = LogBroken(
        f"a commit failed in an unforeseen way: {type(error).__name__}: {error}.",
        hint="The process has to end and open the log anew.",
    )
    broken.__cause__ = error
    return broken
