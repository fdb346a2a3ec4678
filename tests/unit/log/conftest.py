"""A log over memory whose disk can be told to fail, on a loop that runs for one test."""

import asyncio
import itertools

import pytest

from littoral.log import DEFAULT_RETENTION, Log
from littoral.log.adapters.memory import MemoryStore


class SetClock:
    """A wall clock that stands where it is put; the other one is the loop's."""

    def __init__(self):
        self.ms = 1_000_000
        self.s = 0.0

    def now_ms(self):
        return self.ms

    def monotonic_s(self):
        return self.s


class CountingEntropy:
    def __init__(self):
        self._next = itertools.count(1)

    def token(self, size):
        return next(self._next).to_bytes(size, "big")

    def uniform(self, low, high):
        return low


class FlakyStore(MemoryStore):
    """Raises what it is told to, and notes the batches it was given."""

    def __init__(self):
        super().__init__()
        self.failure = None
        self.batches = []

    def apply(self, batch):
        if self.failure is not None:
            raise self.failure
        super().apply(batch)
        self.batches.append([r.seq for r in batch.records])

    def probe(self):
        if self.failure is not None:
            raise self.failure

    def read(self, after, **kwargs):
        if self.failure is not None:
            raise self.failure
        return super().read(after, **kwargs)


class HeldCommitter:
    """Does the work when it is told to: `finish` is the end of one commit."""

    def __init__(self, loop):
        self._loop = loop
        self.waiting = []
        self.hold = False
        self.closed = False

    def run(self, work, done):
        self.waiting.append((work, done))
        if not self.hold:
            self._loop.call_soon(self.finish)

    def finish(self):
        work, done = self.waiting.pop(0)
        try:
            work()
        except Exception as e:  # noqa: BLE001  # as a committer does
            done(e)
        else:
            done(None)

    def close(self):
        self.closed = True


class World:
    def __init__(self):
        self.clock = SetClock()
        self.entropy = CountingEntropy()
        self.store = FlakyStore()
        self.committer = None
        self.log = None

    def open(self, retention=DEFAULT_RETENTION):
        loop = asyncio.get_running_loop()
        self.committer = HeldCommitter(loop)
        self.log = Log.open(
            store=self.store,
            committer=self.committer,
            clock=self.clock,
            entropy=self.entropy,
            node="edge",
            loop=loop,
            retention=retention,
        )
        return self.log

    def add(self, entity="thing:a:b", cls=3, revision=1, prev=0, value=b"{}", **more):
        return self.log.append(
            cls, "thing.merged", entity, revision, prev, "/features", value, **more
        )

    async def turn(self, times=3):
        for _ in range(times):
            await asyncio.sleep(0)


@pytest.fixture
def world():
    return World()


@pytest.fixture
def play(world):
    """Run a scene with an open log, on a real loop without I/O."""

    def play(scene):
        async def main():
            world.open()
            await scene(world, world.log)

        asyncio.run(main())

    return play
