"""One function of a node: reads the log by its cursor, hands events to its worker, acts on effects."""

import asyncio
import contextlib
from collections.abc import Callable, Sequence

from littoral.eventing import Inbox, Router
from littoral.functions.core import matching
from littoral.functions.core.matching import THING, Matcher, Route, Trigger, concerns, holds
from littoral.functions.core.window import NO_SEQ, Entry, Window
from littoral.functions.effects import Effects
from littoral.functions.model import (
    ACKNOWLEDGE_EVERY_S,
    BYTES_IN_FLIGHT_MAX,
    EVENTS_IN_FLIGHT_MAX,
    HANDED_OUT_MAX,
    HEALTHY_S,
    READ_RECORDS_MAX,
    FunctionSettings,
    FunctionState,
    FunctionStatistics,
)
from littoral.functions.ports import FunctionLog, FunctionTwins, Runner
from littoral.functions.reports import Reports
from littoral.functions.seen import Seen
from littoral.functions.wire import Broken, Declared, Done, FromWorker, Ready, Run, Work
from littoral.kernel import json
from littoral.kernel.errors import LittoralError
from littoral.kernel.ids import Subject
from littoral.kernel.time import Clock, Entropy, ms_of
from littoral.log import CursorLost, Record

_WORK_OVERHEAD_BYTES = 100


class FunctionHost:
    """Runs one user's file at a node.

    Args:
        name: of the function: its cursor, its subject ``function:<site>:<name>``, its reports.
        site: the node's name.
        log, router, twins, inbox: of the node.
        runner: runs the file.
        clock, entropy: of the node.
        settings: deadline, attempts, back-off.
        unrestricted: let policies not bind it. By default its subject needs WRITE like anybody.

    Invariant: a handler that blocks, crashes or never ends delays its own function and nothing
    else: events wait in the log, not in memory.
    """

    def __init__(
        self,
        name: str,
        *,
        site: str,
        log: FunctionLog,
        router: Router,
        twins: FunctionTwins,
        inbox: Inbox,
        runner: Runner,
        clock: Clock,
        entropy: Entropy,
        settings: FunctionSettings | None = None,
        unrestricted: bool = False,
    ) -> None:
        self.name = name
        self.state = FunctionState.STOPPED
        self._log = log
        self._router = router
        self._twins = twins
        self._runner = runner
        self._clock = clock
        self._entropy = entropy
        self._settings = settings or FunctionSettings()
        self._reports = Reports(log, clock, site=site, name=name)
        self._effects = Effects(
            log=log,
            twins=twins,
            inbox=inbox,
            runner=runner,
            reports=self._reports,
            subject=Subject(f"function:{site}:{name}"),
            unrestricted=unrestricted,
        )
        self._cursor = log.cursor(f"function:{name}", start=log.committed)
        self._position = self._cursor.position
        self._replayed_to = log.committed
        self._sent_to = 0
        self._resume_at = (0, 0)
        self._caught_up = False
        self._pumping = False
        self._window = Window()
        self._matcher = Matcher(())
        self._declared: list[Declared] = []
        self._ticking: set[int] = set()
        self._tokens = 0
        self._head_since_s = 0.0
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._wake = asyncio.Event()
        self._started = asyncio.Event()
        self._reloading = False
        self._suspect = ("", 0)
        self._problem = ""
        self._events = self._failed = self._skipped = self._lives = self._lost = 0

    async def run(self) -> None:
        """Run until cancelled. The worker and all effects end with it."""
        subscription = self._router.subscribe(self._committed)
        try:
            async with asyncio.TaskGroup() as tasks:
                self._effects.begin(tasks)
                await self._live()
        finally:
            subscription.close()
            self._acknowledge()
            self._stop_timers()
            self.state = FunctionState.STOPPED

    async def wait_started(self) -> None:
        """Return once the file was loaded, or was found broken, for the first time."""
        await self._started.wait()

    def reload(self) -> None:
        """Start again with the file as it is now; events that are not done are read again."""
        self._reloading = True
        self._wake.set()
        self._runner.kill("reloaded")

    def statistics(self) -> FunctionStatistics:
        counters = self._effects.counters
        return FunctionStatistics(
            name=self.name,
            state=self.state,
            problem=self._problem,
            handlers=len(self._declared),
            in_flight=len(self._window),
            lag_records=max(0, self._log.committed - self._position),
            events=self._events,
            failed=self._failed,
            skipped=self._skipped,
            restarts=max(0, self._lives - 1),
            commands=counters.commands,
            merges=counters.merges,
            alarms=counters.alarms,
            refused=counters.refused,
            loops_cut=counters.loops_cut,
            lost_records=self._lost,
        )

    # Lives of the worker.

    async def _live(self) -> None:
        failures = 0
        while True:
            self._begin_life()
            began_s = self._now_s()
            reason = await self._runner.run(self)
            is_healthy = self._now_s() - began_s >= HEALTHY_S
            self._end_life(reason)
            if self.state is FunctionState.BROKEN:
                await self._wake.wait()
            if self._reloading:
                failures = 0
                continue
            failures = 0 if is_healthy else failures + 1
            settings = self._settings
            limit_s = min(settings.backoff_s_max, settings.backoff_s_min * 2.0 ** min(failures, 32))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._entropy.uniform(0.0, limit_s)):
                    await self._wake.wait()

    def _begin_life(self) -> None:
        self._lives += 1
        self._reloading = False
        self._wake.clear()
        self._effects.begin_life()
        self.state = FunctionState.STARTING
        start_s = self._settings.start_s
        self._set_timer(
            "start", self._now_s() + start_s, self._runner.kill, f"not loaded within {start_s:g} s"
        )

    def _end_life(self, reason: str) -> None:
        """Put back what the worker did not finish; find out whether an event is to blame."""
        self._started.set()
        self._stop_timers()
        self._ticking.clear()
        head = self._window.head
        first = next((entry for entry in self._window if entry.seq != NO_SEQ), None)
        self._window.drop_waiting()
        self._caught_up = False
        self._replayed_to = max(self._replayed_to, self._sent_to)
        if first is not None:
            self._position = first.seq - 1
            self._resume_at = (first.seq, first.work.handler)
        if self._reloading:
            # Handlers may have other numbers now.
            self._resume_at = (0, 0)
            return
        if self.state is FunctionState.BROKEN:
            return
        self.state = FunctionState.BACKING_OFF
        self._problem = reason
        during = f" during {self._name_of(head)}" if head is not None else ""
        self._reports.report("ended", f"the worker ended{during}: {reason}.", reason=reason)
        if head is not None:
            self._blame(head, reason)

    def _blame(self, entry: Entry, reason: str) -> None:
        key, attempts = self._suspect
        attempts = attempts + 1 if key == entry.key else 1
        self._suspect = (entry.key, attempts)
        if entry.seq == NO_SEQ or attempts < self._settings.attempts_max:
            return
        self._skipped += 1
        self._resume_at = (entry.seq, entry.work.handler + 1)
        self._reports.report(
            "skipped",
            f"{self._name_of(entry)} ended the worker {attempts} times at revision "
            f"{entry.work.revision} of {entry.work.thing_id!r}; the event is skipped.",
            thing_id=entry.work.thing_id,
            revision=entry.work.revision,
            reason=reason,
        )

    def _name_of(self, entry: Entry) -> str:
        return self._declared[entry.work.handler].name

    # What the worker says.

    def receive(self, message: FromWorker) -> None:
        """Take one message of the worker; see `Host`."""
        match message:
            case Ready():
                self._ready(message)
            case Broken():
                self.state = FunctionState.BROKEN
                self._problem = message.message
                self._reports.report("broken", message.message)
                self._started.set()
            case Done():
                self._done(message)
            case _:
                entry = self._window.at(message.token)
                if entry is None:
                    self._effects.refuse_late(message)
                else:
                    self._effects.perform(entry, message)

    def _ready(self, message: Ready) -> None:
        try:
            triggers = [
                Trigger.of(index, declared)
                for index, declared in enumerate(message.handlers)
                if not declared.every_s
            ]
        except LittoralError as e:
            self._runner.kill(f"it declared what cannot be: {e}")
            return
        self._timers.pop("start").cancel()
        self._declared = message.handlers
        self._matcher = Matcher(triggers)
        self.state = FunctionState.RUNNING
        self._problem = ""
        self._started.set()
        now_s = self._now_s()
        for index, declared in enumerate(message.handlers):
            if declared.every_s:
                self._tick_at(now_s + declared.every_s, index)
        self._pump()

    def _done(self, message: Done) -> None:
        entry = self._window.finish(message.token)
        if entry is None:
            self._runner.kill("it finished an event out of turn")
            return
        self._head_since_s = self._now_s()
        if entry.seq == NO_SEQ:
            self._ticking.discard(entry.work.handler)
        if message.error:
            self._failed += 1
            self._problem = f"{self._name_of(entry)}: {message.error}"
            self._reports.report(
                "failed",
                f"{self._name_of(entry)} raised {message.error}",
                thing_id=entry.work.thing_id,
                revision=entry.work.revision,
            )
        self._progressed()
        if not self._caught_up and len(self._window) <= EVENTS_IN_FLIGHT_MAX // 2:
            self._pump()

    # Events to the worker.

    def _committed(self, records: Sequence[Record]) -> None:
        """A commit: hand out at once what is for this function, if nothing waits before it."""
        if not self._caught_up or records[-1].seq <= self._position:
            return
        if records[0].seq <= self._position or not self._has_room():
            self._caught_up = False
            return
        self._take(records)

    def _pump(self) -> None:
        """Read on from where this function is, a bounded piece for each turn of the loop."""
        if self._pumping or self.state is not FunctionState.RUNNING or not self._has_room():
            return
        records = self._read_on()
        if not records:
            self._caught_up = True
            return
        self._caught_up = False
        self._take(records)

    def _pump_soon(self) -> None:
        if not self._pumping:
            self._pumping = True
            asyncio.get_running_loop().call_soon(self._pump_on)

    def _pump_on(self) -> None:
        self._pumping = False
        self._pump()

    def _read_on(self) -> list[Record]:
        try:
            return self._cursor.read(READ_RECORDS_MAX, after=self._position)
        except CursorLost as e:
            first, last = e.facts["lost_from"], e.facts["lost_to"]
            assert isinstance(first, int)
            assert isinstance(last, int)
            # Some of them may have been kept, and some may have been handled before.
            self._lost += max(0, last - max(first - 1, self._position))
            self._reports.report("lost", f"records were dropped before they were read: {e}")
            return self._cursor.read(READ_RECORDS_MAX, after=self._position)

    def _has_room(self) -> bool:
        window = self._window
        return len(window) < EVENTS_IN_FLIGHT_MAX and window.bytes_used < BYTES_IN_FLIGHT_MAX

    def _take(self, records: Sequence[Record]) -> None:
        """Hand out what of ``records`` is for a handler, as far as there is room."""
        works: list[Work] = []
        things: dict[str, Seen] = {}
        routes_of = self._matcher.routes
        position = self._position
        for record in records:
            routes = routes_of(record.kind, record.path)
            if routes and record.entity.startswith(THING):
                if len(works) >= HANDED_OUT_MAX or not self._has_room():
                    self._caught_up = False
                    break
                try:
                    self._offer(record, routes, things, works)
                except LittoralError as e:
                    self._skipped += 1
                    self._reports.report("skipped", f"record {record.seq} cannot be read: {e}")
            position = record.seq
        self._position = position
        if works:
            self._send(works)
        self._progressed()
        if not self._caught_up:
            self._pump_soon()

    def _offer(
        self, record: Record, routes: Sequence[Route], things: dict[str, Seen], works: list[Work]
    ) -> None:
        """Make work of ``record`` for every handler that it is for; the cheap questions first."""
        thing_id = record.entity[len(THING) :]
        routes = [route for route in routes if matching.is_for_thing(route, thing_id)]
        if not routes:
            return
        value = json.decode(record.value) if record.value else None
        seen = things.get(thing_id)
        if seen is None:
            seen = things[thing_id] = Seen(self._twins, thing_id)
        resume_seq, resume_handler = self._resume_at
        for route in routes:
            handler = route.trigger.index
            if record.seq == resume_seq and handler < resume_handler:
                continue
            at_ms = ms_of(record.hlc)
            if concerns(route, value) and holds(route, seen.thing, record.kind, value, at_ms):
                works.append(self._work(record, handler, thing_id, seen.json()))

    def _work(self, record: Record, handler: int, thing_id: str, thing_json: bytes) -> Work:
        headers = record.headers or {}
        hops = headers.get("hops", 0)
        accepted_ms = ms_of(record.hlc)
        self._tokens += 1
        work = Work(
            token=self._tokens,
            handler=handler,
            thing_id=thing_id,
            kind=record.kind,
            path=record.path,
            value=record.value,
            revision=record.revision,
            time_ms=accepted_ms,
            device_time_ms=record.device_time,
            replayed=record.seq <= self._replayed_to or bool(headers.get("replayed")),
            age_s=max(0, self._clock.now_ms() - accepted_ms) / 1000,
            thing=thing_json,
        )
        self._sent_to = max(self._sent_to, record.seq)
        epoch = record.origin.rpartition("/")[2]
        self._enter(
            Entry(
                work,
                record.seq,
                hops if isinstance(hops, int) else 0,
                f"{self.name}-{epoch}-{record.oseq}-{handler}",
                len(thing_json) + len(record.value) + _WORK_OVERHEAD_BYTES,
            )
        )
        return work

    def _enter(self, entry: Entry) -> None:
        if not self._window:
            self._head_since_s = self._now_s()
        self._window.add(entry)

    def _send(self, works: list[Work]) -> None:
        self._events += len(works)
        self._runner.send(Run(works))
        if "deadline" not in self._timers:
            self._set_timer("deadline", self._head_since_s + self._settings.deadline_s, self._watch)

    # Time.

    def _watch(self) -> None:
        """End the worker if what it runs takes too long; otherwise look again when it might."""
        del self._timers["deadline"]
        head = self._window.head
        if head is None:
            return
        now_s = self._now_s()
        if self._effects.paused:
            self._head_since_s = now_s  # it waits for us, not we for it
        due_s = self._head_since_s + self._settings.deadline_s
        if due_s <= now_s:
            self._runner.kill(
                f"{self._name_of(head)} took longer than {self._settings.deadline_s:g} s"
            )
            return
        self._set_timer("deadline", due_s, self._watch)

    def _tick_at(self, at_s: float, index: int) -> None:
        self._set_timer(f"tick {index}", at_s, self._tick, at_s, index)

    def _tick(self, at_s: float, index: int) -> None:
        every_s = self._declared[index].every_s
        now_s = self._now_s()
        # Ticks keep their beat; those that were missed altogether are left out.
        missed = int((now_s - at_s) / every_s)
        self._skipped += missed
        self._tick_at(at_s + (missed + 1) * every_s, index)
        if index in self._ticking:
            self._skipped += 1
            return
        self._ticking.add(index)
        self._tokens += 1
        work = Work(token=self._tokens, handler=index, time_ms=self._clock.now_ms())
        self._enter(Entry(work, NO_SEQ, 0, f"{self.name}-tick-{work.time_ms}-{index}"))
        self._send([work])

    def _progressed(self) -> None:
        if "acknowledge" not in self._timers:
            at_s = self._now_s() + ACKNOWLEDGE_EVERY_S
            self._set_timer("acknowledge", at_s, self._acknowledge)

    def _acknowledge(self) -> None:
        self._timers.pop("acknowledge", None)
        settled = self._window.settled(self._position)
        if settled > self._cursor.position:
            # A log that refuses writes keeps the cursor where it is: events come again.
            with contextlib.suppress(LittoralError):
                self._cursor.advance(settled)

    def _set_timer(
        self, name: str, at_s: float, callback: Callable[..., None], *args: object
    ) -> None:
        loop = asyncio.get_running_loop()
        self._timers[name] = loop.call_at(at_s, callback, *args)

    def _stop_timers(self) -> None:
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    @staticmethod
    def _now_s() -> float:
        return asyncio.get_running_loop().time()
