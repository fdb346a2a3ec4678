"""A registry over a log in memory, without an event loop: time, commits and coroutines by hand."""

import random
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import pytest

from littoral.kernel.ids import NodeId
from littoral.log import Log
from littoral.log.adapters.committer import InlineCommitter
from littoral.log.adapters.memory import MemoryStore
from littoral.registry import Registry
from littoral.registry.adapters.argon2 import InlineArgon2Hasher

T = TypeVar("T")


class HandClock:
    def __init__(self) -> None:
        self.ms = 1_700_000_000_000

    def now_ms(self) -> int:
        return self.ms

    def monotonic_s(self) -> float:
        return self.ms / 1000


class Seeded:
    def __init__(self, seed: int = 7) -> None:
        self._rng = random.Random(seed)

    def token(self, size: int) -> bytes:
        return self._rng.randbytes(size)

    def uniform(self, low: float, high: float) -> float:
        return self._rng.uniform(low, high)


class HandLoop:
    """Callbacks wait until somebody settles."""

    def __init__(self) -> None:
        self._ready: list[tuple[Callable[..., object], tuple[object, ...]]] = []

    def call_soon(self, callback: Callable[..., object], *args: object) -> None:
        self._ready.append((callback, args))

    def call_later(self, _: float, callback: Callable[..., object], *args: object) -> None:
        """Never: nobody here waits for room."""

    def settle(self) -> None:
        while self._ready:
            callback, args = self._ready.pop(0)
            callback(*args)


class CountingHasher(InlineArgon2Hasher):
    """Counts runs of argon2; `interrupt` is called in the middle of each check."""

    def __init__(self, entropy: Seeded) -> None:
        super().__init__(entropy)
        self.checks = 0
        self.hashes = 0
        self.interrupt: Callable[[], object] = lambda: None

    async def hash(self, password: str) -> str:
        self.hashes += 1
        self.interrupt()
        return await super().hash(password)

    async def verify(self, password: str, phc: str) -> bool:
        self.checks += 1
        self.interrupt()
        return await super().verify(password, phc)

    async def decoy(self, password: str) -> None:
        self.checks += 1
        self.interrupt()
        await super().decoy(password)


class Node:
    """One log with one registry; `again` is what a restart finds."""

    def __init__(self, name: str = "cloud", *, replica: bool = False) -> None:
        self.name = name
        self.replica = replica
        self.clock = HandClock()
        self.entropy = Seeded()
        self.store = MemoryStore()
        self.loop = HandLoop()
        self.hasher = CountingHasher(self.entropy)
        self.told: list[Any] = []
        self._open()

    def _open(self) -> None:
        self.log = Log.open(
            store=self.store,
            committer=InlineCommitter(self.loop),
            clock=self.clock,
            entropy=self.entropy,
            node=NodeId(self.name),
            loop=self.loop,
        )
        self.registry = Registry(
            self.log, self.hasher, self.clock, self.entropy, replica=self.replica
        )
        self.registry.on_change(self.told.append)

    def commit(self) -> None:
        self.loop.settle()
        assert self.log.committed == self.log.head

    def again(self) -> None:
        """Open anew; what was not committed is gone."""
        self.store.close()
        self.loop = HandLoop()
        self._open()

    def records(self, after: int = 0) -> list[Any]:
        self.commit()
        return self.log.read(after, limit=10_000)

    def do(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run what never really waits, because the hasher works inline."""
        try:
            coroutine.send(None)
        except StopIteration as e:
            return e.value  # type: ignore[no-any-return]
        coroutine.close()
        raise AssertionError("it waited for something")

    def signs_in(self, username: str, password: str) -> str:
        """The device's id, or the code of the refusal."""
        from littoral.kernel.errors import LittoralError

        try:
            return self.do(self.registry.authenticate_device(username, password)).device
        except LittoralError as e:
            return e.code


@pytest.fixture
def node() -> Node:
    made = Node()
    made.registry.put_tenant("T", namespaces=["org.acme", "org.beta"])
    return made


@pytest.fixture
def site() -> Node:
    return Node("site", replica=True)
