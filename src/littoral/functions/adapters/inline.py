"""User code on the node's own loop: for the virtual world, where there are no processes.

Handlers run one at a time in the order of their events, as in a worker. A handler may not wait for
an answer: nothing else would happen meanwhile. An async handler may await anything of the loop's.
"""

import asyncio
from collections import deque
from collections.abc import Callable

from littoral.functions.errors import CannotWait, FunctionNotLoaded
from littoral.functions.ports import Host
from littoral.functions.program import Program, explain
from littoral.functions.wire import (
    Answered,
    Broken,
    Command,
    Done,
    Effect,
    FromWorker,
    Get,
    Ready,
    Run,
    ToWorker,
    Work,
)


class InlineRunner:
    """Runs a program without a process. A `Runner`, and the `Outlet` of its handlers.

    Args:
        load: makes the program anew for each life, so that a crash forgets what its module knew.
        filename: for messages.
    """

    def __init__(self, load: Callable[[], Program], *, filename: str = "function.py") -> None:
        self._load = load
        self._filename = filename
        self._host: Host | None = None
        self._works: deque[Work] = deque()
        self._answers: dict[int, Answered] = {}
        self._calls = 0
        self._wake = asyncio.Event()
        self._paused = False
        self._killed = ""
        self._main: asyncio.Task[object] | None = None

    async def run(self, host: Host) -> str:
        self._host = host
        self._works.clear()
        self._killed = ""
        try:
            program = self._load()
        except FunctionNotLoaded as e:
            host.receive(Broken(str(e)))
            return "its file cannot be loaded"
        host.receive(Ready(program.declared))
        try:
            async with asyncio.TaskGroup() as life:
                self._main = life.create_task(self._serve(program))
        finally:
            self._host = self._main = None
        return self._killed

    async def _serve(self, program: Program) -> None:
        while not self._killed:
            if self._paused or not self._works:
                self._wake.clear()
                await self._wake.wait()
                continue
            work = self._works.popleft()
            error = ""
            try:
                awaitable = program.run(work, self)
                if awaitable is not None:
                    await awaitable
            except Exception as e:  # noqa: BLE001  # user code may raise anything
                error = explain(e, self._filename)
            self._say(Done(work.token, error))
            # Let the node have its turn between two events, as two processes would.
            await asyncio.sleep(0)

    def send(self, message: ToWorker) -> None:
        match message:
            case Run(works):
                self._works.extend(works)
                self._wake.set()
            case Answered():
                self._answers[message.call] = message

    def kill(self, reason: str) -> None:
        if self._main is not None and not self._killed:
            self._killed = reason
            self._main.cancel()

    def pause(self) -> None:
        self._paused = True

    def resume(self) -> None:
        self._paused = False
        self._wake.set()

    def emit(self, effect: Effect) -> None:
        self._say(effect)

    def ask(self, effect: Command | Get) -> Answered:
        if isinstance(effect, Command):
            raise CannotWait(
                "a handler cannot wait for an answer in the virtual world.",
                hint="Send the command without timeout_s.",
            )
        self._say(effect)
        return self._answers.pop(effect.call)

    def next_call(self) -> int:
        self._calls += 1
        return self._calls

    def _say(self, message: FromWorker) -> None:
        assert self._host is not None, "handlers run only while the runner does"
        self._host.receive(message)
