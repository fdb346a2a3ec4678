"""The committer of a virtual node: no thread, and still not at once."""

import asyncio
import random
from collections import deque
from collections.abc import Callable

from littoral.log import LogClosed

Work = Callable[[], None]
Done = Callable[[BaseException | None], None]


class VirtualCommitter:
    """Runs one piece of work at a time, inline, somewhere within a drawn latency.

    Args:
        loop: whose time passes between `run`, the work, and its ``done``.
        source: where latencies are drawn from.
        latency_s_max: the longest that one commit takes.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, source: random.Random, *, latency_s_max: float
    ) -> None:
        self._loop = loop
        self._source = source
        self._latency_s_max = latency_s_max
        self._waiting: deque[tuple[Work, Done]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._current: tuple[Work, Done] | None = None
        self._closed = False
        self._dead = False

    def run(self, work: Work, done: Done) -> None:
        """Run ``work`` soon, then call ``done`` later, on the loop.

        Raises:
            LogClosed: after `close`.
        """
        if self._dead:
            return
        if self._closed:
            raise LogClosed("the committer is closed.")
        self._waiting.append((work, done))
        if self._timer is None:
            self._begin()

    def close(self) -> None:
        """Run at once what waits, as one who joins a thread; then refuse."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        jobs = [self._current] if self._current is not None else []
        jobs += self._waiting
        self._current = None
        self._waiting.clear()
        for work, done in jobs:
            self._loop.call_soon(done, _outcome(work))

    def die(self) -> None:
        """The power went: nothing that waits is done, nothing is begun, nobody is told."""
        self._closed = self._dead = True
        self._waiting.clear()
        self._current = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _begin(self) -> None:
        self._current = self._waiting.popleft()
        self._timer = self._loop.call_later(self._latency(), self._work)

    def _latency(self) -> float:
        return self._source.uniform(0.0, self._latency_s_max / 2)

    def _work(self) -> None:
        assert self._current is not None
        work, done = self._current
        error = _outcome(work)
        if self._closed:
            return
        self._current = (_nothing, lambda _: done(error))
        self._timer = self._loop.call_later(self._latency(), self._finish)

    def _finish(self) -> None:
        assert self._current is not None
        _, done = self._current
        self._current = None
        self._timer = None
        done(None)
        if self._waiting and self._idle:
            self._begin()

    @property
    def _idle(self) -> bool:
        return self._timer is None and not self._closed


def _outcome(work: Work) -> BaseException | None:
    try:
        work()
    except Exception as e:  # noqa: BLE001  # a committer hands over whatever happened
        return e
    return None


def _nothing() -> None:
    """The work was done already."""
