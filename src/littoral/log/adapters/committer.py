"""Who runs the log's blocking work: a thread, or nobody but the loop itself."""

import queue
import threading
from collections.abc import Callable
from typing import Protocol

from littoral.log.errors import LogClosed
from littoral.log.ports import Scheduler

Work = Callable[[], None]
Done = Callable[[BaseException | None], None]


class ThreadsafeLoop(Protocol):
    """The part of an asyncio loop that another thread may call."""

    def call_soon_threadsafe(self, callback: Callable[..., object], *args: object) -> object: ...

    def is_closed(self) -> bool: ...


class ThreadCommitter:
    """One thread and a queue; ``done`` goes to the loop by `call_soon_threadsafe`."""

    def __init__(self, loop: ThreadsafeLoop, *, name: str = "littoral-log") -> None:
        self._loop = loop
        self._queue: queue.SimpleQueue[tuple[Work, Done] | None] = queue.SimpleQueue()
        self._closed = False
        self._thread = threading.Thread(target=self._serve, name=name, daemon=True)
        self._thread.start()

    def run(self, work: Work, done: Done) -> None:
        """Queue ``work``; see `littoral.log.ports.Committer`."""
        if self._closed:
            raise LogClosed("the committer is closed.")
        self._queue.put((work, done))

    def close(self) -> None:
        """Let what is queued finish, then end the thread. Idempotent."""
        if not self._closed:
            self._closed = True
            self._queue.put(None)
            self._thread.join()

    def _serve(self) -> None:
        while (item := self._queue.get()) is not None:
            work, done = item
            error: BaseException | None = None
            try:
                work()
            except BaseException as e:  # noqa: BLE001  # the loop decides what it means
                error = e
            if not self._loop.is_closed():
                self._loop.call_soon_threadsafe(done, error)
            del item, work, done, error


class InlineCommitter:
    """Runs work at once, on the loop; ``done`` comes in its next iteration.

    For simulation (which gives its own scheduler with a virtual latency) and for tests.
    """

    def __init__(self, loop: Scheduler) -> None:
        self._loop = loop
        self._closed = False

    def run(self, work: Work, done: Done) -> None:
        """Run ``work`` now; see `littoral.log.ports.Committer`."""
        if self._closed:
            raise LogClosed("the committer is closed.")
        try:
            work()
        except Exception as e:  # noqa: BLE001  # the log decides what it means
            self._loop.call_soon(done, e)
        else:
            self._loop.call_soon(done, None)

    def close(self) -> None:
        """Refuse from now on. Idempotent."""
        self._closed = True
