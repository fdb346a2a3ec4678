"""Where the index's work is done: on its worker, or at once on the loop if it is a trifle.

A trip to the worker costs a trifle many times its own time while the loop is busy: each statement
lets go of the interpreter, and has to wait for it. What is large would keep the loop from the rest.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Hashable
from math import inf
from typing import Generic, TypeVar

from littoral.kernel.time import Clock
from littoral.search.errors import IndexDamaged, QueryTimeExceeded
from littoral.search.model import INLINE_PAUSE_S, INLINE_S_MAX, KINDS_MAX, QUERY_S_MAX
from littoral.search.ports import Worker

T = TypeVar("T")


class Question(Generic[T]):
    """Something that is asked of the index.

    Args:
        ask: asks it, and takes no longer than the seconds that it is given (`QueryTimeExceeded`).
        kind: the same for all questions that cost about the same; None if it is asked once.
    """

    __slots__ = ("ask", "kind")

    def __init__(self, ask: Callable[[float], T], kind: Hashable) -> None:
        self.ask = ask
        self.kind = kind


class Workplace:
    """Does one piece of work at a time.

    Invariant: nothing is done on the loop while the worker has something to do.
    """

    def __init__(
        self, worker: Worker, clock: Clock, broken: Callable[[IndexDamaged], None]
    ) -> None:
        self._worker = worker
        self._clock = clock
        self._broken = broken
        self._sent = 0
        self._away_until_s = 0.0
        self._trifles: OrderedDict[Hashable, None] = OrderedDict()
        self.inline = 0
        """Pieces of work that were done on the loop."""

    async def do(self, what: Callable[[], T], *, small: bool = False) -> T:
        """Do something, on the loop if it is small and may be; raise what it raises."""
        if small:
            await asyncio.sleep(0)  # others have their turn between two pieces
        return self._here(what) if small and self._may_stay() else await self._there(what)

    async def ask(self, question: Question[T]) -> T:
        """Ask something: on the loop if the last question of its kind was a trifle."""
        if self.is_trifle(question):
            try:
                return self._here(lambda: question.ask(INLINE_S_MAX))
            except QueryTimeExceeded:
                del self._trifles[question.kind]
        began_s = self._clock.monotonic_s()
        found = await self._there(lambda: question.ask(QUERY_S_MAX))
        if question.kind is not None and self._clock.monotonic_s() - began_s < INLINE_S_MAX:
            self._trifles[question.kind] = None
            if len(self._trifles) > KINDS_MAX:
                self._trifles.popitem(last=False)
        return found

    def is_trifle(self, question: Question[T]) -> bool:
        """Whether it would be asked on the loop."""
        return self._may_stay() and question.kind in self._trifles

    def close(self) -> None:
        """From now on all goes to the worker, which may refuse it."""
        self._away_until_s = inf

    def _may_stay(self) -> bool:
        return not self._sent and self._clock.monotonic_s() >= self._away_until_s

    def _here(self, what: Callable[[], T]) -> T:
        self.inline += 1
        began_s = self._clock.monotonic_s()
        try:
            return what()
        except IndexDamaged as e:
            self._broken(e)
            raise
        finally:
            now_s = self._clock.monotonic_s()
            if now_s - began_s > INLINE_S_MAX:
                # A slow disk, most likely: the loop is not to wait for it.
                self._away_until_s = now_s + INLINE_PAUSE_S

    async def _there(self, what: Callable[[], T]) -> T:
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        result: list[T] = []

        def done(error: BaseException | None) -> None:
            self._sent -= 1
            if isinstance(error, IndexDamaged):
                self._broken(error)
            if future.done():
                return
            if error is None:
                future.set_result(result[0])
            else:
                future.set_exception(error)

        self._worker.run(lambda: result.append(what()), done)
        self._sent += 1
        return await future
