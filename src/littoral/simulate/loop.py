"""An asyncio loop on virtual time: it never waits, and says so when nothing can happen any more.

Real platform code runs on it unchanged. There are no sockets, no threads and no processes here:
what would need one is refused, because it would bring a schedule that no seed can replay.
"""

import asyncio
import contextvars
import random
import threading
from collections.abc import Callable, Coroutine, Generator
from typing import Any, NoReturn, TypeVar

T = TypeVar("T")
Started = Coroutine[Any, Any, Any] | Generator[Any, None, Any]

IDLE_TURNS_MAX = 100_000
"""Turns of the loop at one virtual instant; more is a busy loop that would never end."""

CLEAN_UP_TURNS_MAX = 1_000
"""Rounds of cancellation that `run` gives to tasks which outlive the run."""


class Stuck(AssertionError):
    """Every task waits and no timer is set, or time stands still: a lost wake-up or a deadlock.

    An assertion: it is always a bug of ours, in the code under test or in the test.
    """


class Late(AssertionError):
    """The run did not end within its virtual deadline."""


class Unhandled(AssertionError):
    """A callback or a task failed, and nobody looked."""


class OutsideTheWorld(RuntimeError):
    """The code asked for a thread, a socket or a process, which the virtual world has not."""


class _NoWait:
    """In the place of the selector: instead of waiting, it moves the clock to the next timer."""

    def __init__(self, loop: "SimLoop") -> None:
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[Any]:
        self._loop.advance(timeout)
        return []

    def close(self) -> None:
        """There is nothing to let go of."""


class SimTask(asyncio.Task[Any]):
    """A task whose place in a set is the same in every run.

    A `TaskGroup` keeps its tasks in a set and cancels them in its order, which is that of memory
    addresses for plain tasks.
    """

    def __init__(
        self,
        coro: Started,
        *,
        loop: "SimLoop",
        context: contextvars.Context | None = None,
    ) -> None:
        self._number = loop.number()
        super().__init__(coro, loop=loop, name=f"task {self._number}", context=context)

    def __hash__(self) -> int:
        return self._number

    def __eq__(self, other: object) -> bool:
        return self is other


def _make_task(
    loop: asyncio.AbstractEventLoop,
    coro: Started,
    *,
    context: contextvars.Context | None = None,
) -> SimTask:
    assert isinstance(loop, SimLoop)
    return SimTask(coro, loop=loop, context=context)


class SimLoop(asyncio.BaseEventLoop):
    """A loop whose time is virtual.

    The ready queue is first in, first out, as asyncio promises: shuffling it would reorder byte
    streams. Randomness comes from the ports.
    """

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        self.random = random.Random(seed)
        self.turns = 0
        self.unhandled: list[dict[str, Any]] = []
        self._numbers = 0
        self._virtual_s = 0.0
        self._idle_turns = 0
        self._deadline_s: float | None = None
        self._thread = threading.get_ident()
        self._selector = _NoWait(self)
        # The default is 1 ns, finer than a float of a year in seconds: timers would never be due.
        self._clock_resolution = 1e-6
        self.set_task_factory(_make_task)
        self.set_exception_handler(lambda _loop, context: self.unhandled.append(context))

    def time(self) -> float:
        return self._virtual_s

    def number(self) -> int:
        """A number that this loop gives out once."""
        self._numbers += 1
        return self._numbers

    def expire_at(self, deadline_s: float | None) -> None:
        """Let the loop raise `Late` once its time is beyond ``deadline_s``."""
        self._deadline_s = deadline_s

    def advance(self, timeout: float | None) -> None:
        """What happens where a real loop would wait for ``timeout`` seconds."""
        self.turns += 1
        if timeout is None:
            raise Stuck(f"at {self._virtual_s:.3f} s nothing can happen any more:{self._waiting()}")
        if timeout > 0:
            self._virtual_s += timeout
            self._idle_turns = 0
            if self._deadline_s is not None and self._virtual_s > self._deadline_s:
                deadline_s, self._deadline_s = self._deadline_s, None
                raise Late(f"not done after {deadline_s:g} virtual seconds:{self._waiting()}")
            return
        self._idle_turns += 1
        if self._idle_turns > IDLE_TURNS_MAX:
            self._idle_turns = 0
            raise Stuck(
                f"time stands still at {self._virtual_s:.3f} s: "
                f"{IDLE_TURNS_MAX} turns without a wait:{self._waiting()}"
            )

    def _waiting(self) -> str:
        lines = []
        for task in sorted(asyncio.all_tasks(self), key=lambda t: t.get_name()):
            frames = task.get_stack(limit=None)
            places = [f"{f.f_code.co_qualname}:{f.f_lineno}" for f in frames[-3:]]
            lines.append(f"\n  {task.get_name()} at {' > '.join(places) or '(not started)'}")
        return "".join(lines) or " no task is left"

    def _process_events(self, event_list: list[Any]) -> None:
        """No descriptor is ever ready."""

    def _write_to_self(self) -> None:
        if threading.get_ident() != self._thread:
            raise OutsideTheWorld("a thread woke the virtual loop; use the Committer port.")


def _refuse(_loop: SimLoop, *_args: Any, **_kwargs: Any) -> NoReturn:
    raise OutsideTheWorld(
        "there are no threads, sockets and processes in the virtual world: take a port for it "
        "(blocking work goes to the Committer)."
    )


for _name in (
    "add_reader",
    "add_signal_handler",
    "add_writer",
    "connect_accepted_socket",
    "connect_read_pipe",
    "connect_write_pipe",
    "create_connection",
    "create_datagram_endpoint",
    "create_server",
    "create_unix_connection",
    "create_unix_server",
    "run_in_executor",
    "subprocess_exec",
    "subprocess_shell",
):
    setattr(SimLoop, _name, _refuse)


def run(
    main: Coroutine[Any, Any, T] | Callable[[], Coroutine[Any, Any, T]],
    *,
    seed: int = 0,
    deadline_s: float | None = None,
) -> T:
    """Run ``main`` to its end on a new `SimLoop` and return what it returns.

    Args:
        main: a coroutine, or something that makes one (once the loop is the current one).
        seed: of ``loop.random``, from which a world draws everything.
        deadline_s: virtual seconds after which `Late` is raised; None for no limit.

    Raises:
        Stuck: nothing could happen any more.
        Late: the deadline passed.
        Unhandled: ``main`` succeeded, and a callback or a forgotten task failed.
    """
    loop = SimLoop(seed)
    loop.expire_at(deadline_s)
    try:
        asyncio.set_event_loop(loop)
        coroutine = main if asyncio.iscoroutine(main) else _started(main)
        result = loop.run_until_complete(coroutine)
    finally:
        loop.expire_at(None)
        try:
            _clean_up(loop)
        finally:
            asyncio.set_event_loop(None)
            loop.close()
    if loop.unhandled:
        raise unhandled(loop)
    return result


async def _started(main: Callable[[], Coroutine[Any, Any, T]]) -> T:
    return await main()


def unhandled(loop: SimLoop) -> Unhandled:
    """One exception for everything that nobody looked at."""
    causes = [context.get("exception") for context in loop.unhandled]
    text = "; ".join(
        f"{context.get('message')} ({cause!r})"
        for context, cause in zip(loop.unhandled, causes, strict=True)
    )
    error = Unhandled(text)
    error.__cause__ = next((cause for cause in causes if cause is not None), None)
    return error


def _clean_up(loop: SimLoop) -> None:
    """Cancel what is left, so that no task is destroyed while it waits."""
    for _ in range(CLEAN_UP_TURNS_MAX):
        left = sorted(asyncio.all_tasks(loop), key=lambda t: t.get_name())
        if not left:
            break
        for task in left:
            task.cancel()
        try:
            loop.run_until_complete(_gone(left))
        except Stuck:
            continue
    loop.run_until_complete(loop.shutdown_asyncgens())


async def _gone(tasks: list[asyncio.Task[Any]]) -> None:
    await asyncio.wait(tasks)
    for task in tasks:
        if not task.cancelled():
            _ = task.exception()
