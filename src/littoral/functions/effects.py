"""What handlers want done, done: commands, merges, alarms. Each as it comes, none waited for."""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass

from littoral.eventing import Inbox, Message, Reply
from littoral.functions.core.window import Entry
from littoral.functions.model import EFFECTS_OPEN_MAX
from littoral.functions.ports import FunctionLog, FunctionTwins, Runner
from littoral.functions.reports import Reports
from littoral.functions.wire import NO_CALL, Alarm, Answered, Command, Effect, Get, Merge, Note
from littoral.kernel import json
from littoral.kernel.errors import Forbidden, LittoralError
from littoral.kernel.ids import Subject, parse_thing_id
from littoral.kernel.limits import HOPS_MAX
from littoral.log import RecordClass
from littoral.policy import WRITE
from littoral.twin import Caller


@dataclass(slots=True)
class Counters:
    """What was done since the node started."""

    commands: int = 0
    merges: int = 0
    alarms: int = 0
    refused: int = 0
    loops_cut: int = 0


class Effects:
    """Carries out the effects of one function, as one caller, within its permissions."""

    def __init__(
        self,
        *,
        log: FunctionLog,
        twins: FunctionTwins,
        inbox: Inbox,
        runner: Runner,
        reports: Reports,
        subject: Subject,
        unrestricted: bool,
    ) -> None:
        self._log = log
        self._twins = twins
        self._inbox = inbox
        self._runner = runner
        self._reports = reports
        self._callers = [
            Caller(frozenset({subject}), hops=hops, unrestricted=unrestricted)
            for hops in range(HOPS_MAX + 1)
        ]
        self._tasks: asyncio.TaskGroup | None = None
        self._open = 0
        self._life = 0
        self.paused = False
        self.counters = Counters()

    def begin(self, tasks: asyncio.TaskGroup) -> None:
        """From now on effects may take time, as tasks of ``tasks``."""
        self._tasks = tasks

    def begin_life(self) -> None:
        """A new worker: answers for the one before it are dropped."""
        self._life += 1

    def perform(self, entry: Entry, effect: Effect) -> None:
        """Let one effect of ``entry`` happen; never raises for what user code asked for."""
        entry.effects += 1
        match effect:
            case Command():
                self._command(entry, effect)
            case Merge():
                self._merge(entry, effect)
            case Alarm():
                self._alarm(entry, effect)
            case Note():
                self._reports.note(effect.text)
            case Get():
                self._get(effect)

    def refuse_late(self, effect: Effect) -> None:
        """An effect whose handler had returned before it was asked for."""
        self.counters.refused += 1
        self._reports.report(
            "refused",
            f"a {type(effect).__name__.lower()} came after its handler had returned; a context is "
            "for the handler that was called with it, while it runs.",
        )

    def _command(self, entry: Entry, effect: Command) -> None:
        caller = self._callers[min(entry.hops, HOPS_MAX)]
        message = Message(
            effect.thing_id,
            effect.subject,
            effect.payload,
            effect.content_type,
            feature=effect.feature,
            # The same after a replay: a device can recognise what it has done already.
            correlation_id=f"{entry.key}-{entry.effects}",
            subjects=frozenset(caller.subjects),
            ttl_s=effect.lifetime_s,
        )
        try:
            parse_thing_id(effect.thing_id)
            self._check_may_send(caller, message)
            if effect.call == NO_CALL:
                self._inbox.post(message)
        except LittoralError as e:
            self._refuse("command", effect.thing_id, e)
            if effect.call != NO_CALL:
                self._answer(self._life, _refusal(effect.call, e))
            return
        self.counters.commands += 1
        if effect.call != NO_CALL:
            self._start(entry, self._await_answer(message, effect, self._life))

    def _check_may_send(self, caller: Caller, message: Message) -> None:
        if not self._twins.may_message(caller, message.thing_id, WRITE, message.resource):
            who = next(iter(caller.subjects))
            raise Forbidden(
                f"{who} may not send {message.subject!r} to {message.thing_id!r}.",
                hint=f"Grant {who} WRITE on {message.resource} (or message:/) in the thing's policy, "
                "and see that the thing exists.",
            )

    async def _await_answer(self, message: Message, effect: Command, life: int) -> None:
        try:
            reply: Reply = await self._inbox.send(message, timeout_s=effect.lifetime_s)
        except LittoralError as e:
            self._refuse("command", effect.thing_id, e)
            self._answer(life, _refusal(effect.call, e))
            return
        answered = Answered(effect.call, reply.status, reply.payload, reply.content_type)
        self._answer(life, answered)

    def _answer(self, life: int, answered: Answered) -> None:
        if life == self._life:
            self._runner.send(answered)

    def _merge(self, entry: Entry, effect: Merge) -> None:
        hops = entry.hops + 1
        if hops > HOPS_MAX:
            self.counters.loops_cut += 1
            self._reports.report(
                "loop",
                f"a merge into {effect.thing_id!r} was refused: {HOPS_MAX} functions have written "
                "in answer to one another. Give the handler a condition that ends the chain.",
                thing_id=effect.thing_id,
                path=effect.path,
            )
            return
        try:
            parse_thing_id(effect.thing_id)
            patch = json.decode(effect.patch)
        except LittoralError as e:
            self._refuse("merge", effect.thing_id, e)
            return
        self._start(entry, self._await_merge(self._callers[hops], effect, patch))

    async def _await_merge(self, caller: Caller, effect: Merge, patch: object) -> None:
        try:
            await self._twins.merge(caller, effect.thing_id, effect.path, patch)
        except LittoralError as e:
            self._refuse("merge", effect.thing_id, e)
            return
        self.counters.merges += 1

    def _alarm(self, entry: Entry, effect: Alarm) -> None:
        value = json.encode(
            {
                "severity": effect.severity,
                "text": effect.text,
                "thingId": effect.thing_id,
                "event": entry.key,
                "facts": json.decode(effect.facts),
            }
        )
        try:
            self._log.append(
                RecordClass.ALARM,
                "alarm.raised",
                # Not the thing's own entity: an alarm is no revision of it.
                f"alarm:{effect.thing_id}",
                0,
                0,
                "/",
                value,
                entry.work.device_time_ms,
            )
        except LittoralError as e:
            self._refuse("alarm", effect.thing_id, e)
            return
        self.counters.alarms += 1

    def _get(self, effect: Get) -> None:
        try:
            document = self._twins.peek(parse_thing_id(effect.thing_id))
        except LittoralError as e:
            self._answer(self._life, _refusal(effect.call, e))
            return
        if document is None:
            self._answer(self._life, Answered(effect.call, 404))
        else:
            self._answer(self._life, Answered(effect.call, 200, json.encode(document)))

    def _refuse(self, what: str, thing_id: str, error: LittoralError) -> None:
        self.counters.refused += 1
        self._reports.report(
            "refused", f"a {what} was refused: {error}", thing_id=thing_id, error=error.code
        )

    def _start(self, entry: Entry, work: Coroutine[object, object, None]) -> None:
        assert self._tasks is not None, "effects happen between begin and the end of its tasks"
        entry.open_effects += 1
        self._open += 1
        self._tasks.create_task(self._finish(entry, work))
        if self._open > EFFECTS_OPEN_MAX and not self.paused:
            self.paused = True
            self._runner.pause()

    async def _finish(self, entry: Entry, work: Coroutine[object, object, None]) -> None:
        # If the node stops meanwhile, the effect stays open: the cursor must not pass its event.
        await work
        entry.open_effects -= 1
        self._open -= 1
        if self.paused and self._open <= EFFECTS_OPEN_MAX // 2:
            self.paused = False
            self._runner.resume()


def _refusal(call: int, error: LittoralError) -> Answered:
    return Answered(call, error=error.code, message=str(error))
