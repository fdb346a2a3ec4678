"""What every `PasswordHasher` does, and what only the one with a thread does."""

import asyncio
import threading
from collections.abc import Awaitable, Callable

import pytest

from littoral.registry import HasherBusy, PasswordHasher
from littoral.registry.adapters.argon2 import (
    LANES,
    MEMORY_KIB,
    PASSES,
    Argon2Hasher,
    InlineArgon2Hasher,
)

FOREIGN = "$argon2i$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$wWKIMhR9lyDFvRz9YTZweHKfbftvj+qf+YFY4NeBbtA"
"""Of the password "password": from the reference implementation's own tests."""


class Counter:
    """Entropy that tells who asked."""

    def __init__(self) -> None:
        self.threads: set[int] = set()
        self.count = 0

    def token(self, size: int) -> bytes:
        self.threads.add(threading.get_ident())
        self.count += 1
        return self.count.to_bytes(size)

    def uniform(self, low: float, high: float) -> float:
        return low


class HasherContract:
    def make(self) -> Argon2Hasher | InlineArgon2Hasher:
        raise NotImplementedError

    def with_hasher(self, story: Callable[[PasswordHasher], Awaitable[None]]) -> None:
        hasher = self.make()

        async def tell() -> None:
            await story(hasher)

        try:
            asyncio.run(tell())
        finally:
            hasher.close()
            hasher.close()

    def test_a_password_holds_for_its_own_hash_only(self) -> None:
        async def story(hasher: PasswordHasher) -> None:
            phc = await hasher.hash("correct horse")
            assert phc.startswith("$argon2id$v=19$m=")
            assert await hasher.verify("correct horse", phc)
            assert not await hasher.verify("correct horsf", phc)
            assert not await hasher.verify("", phc)

        self.with_hasher(story)

    def test_every_hash_has_its_own_salt(self) -> None:
        async def story(hasher: PasswordHasher) -> None:
            assert await hasher.hash("pw") != await hasher.hash("pw")

        self.with_hasher(story)

    @pytest.mark.slow
    def test_a_hash_that_was_made_elsewhere_is_checked_with_its_own_cost(self) -> None:
        async def story(hasher: PasswordHasher) -> None:
            assert await hasher.verify("password", FOREIGN)
            assert not await hasher.verify("password2", FOREIGN)

        self.with_hasher(story)

    @pytest.mark.parametrize(
        "text", ["", "x", "$", "$argon2id$", "$argon2id$v=19$m=8,t=1,p=1$a$b", "$2a$10$x"]
    )
    def test_a_text_that_is_no_hash_holds_for_nothing(self, text: str) -> None:
        async def story(hasher: PasswordHasher) -> None:
            assert not await hasher.verify("pw", text)

        self.with_hasher(story)

    def test_any_text_may_be_a_password(self) -> None:
        async def story(hasher: PasswordHasher) -> None:
            for password in ("é" * 500, "\x00", "\udc80", " "):
                assert await hasher.verify(password, await hasher.hash(password))
                await hasher.decoy(password)

        self.with_hasher(story)


class TestInline(HasherContract):
    def make(self) -> InlineArgon2Hasher:
        return InlineArgon2Hasher(Counter())


class TestThread(HasherContract):
    def make(self) -> Argon2Hasher:
        return Argon2Hasher(Counter(), memory_kib=8, passes=1)


class Gate:
    """Work that waits until it is let go."""

    def __init__(self) -> None:
        self.started = threading.Event()
        self.open = threading.Event()

    def hash(self, password: str, salt: bytes) -> str:
        self.open.wait(10)
        return "done"

    def verify(self, password: str, phc: str) -> bool:
        self.started.set()
        self.open.wait(10)
        return True

    def decoy(self, password: str) -> None:
        self.open.wait(10)


def gated(waiting_max: int) -> tuple[Argon2Hasher, Gate]:
    hasher = Argon2Hasher(Counter(), waiting_max=waiting_max)
    gate = Gate()
    hasher._work = gate  # type: ignore[assignment]
    return hasher, gate


def test_a_flood_is_refused_and_the_loop_goes_on() -> None:
    async def story() -> None:
        hasher, gate = gated(waiting_max=3)
        async with asyncio.TaskGroup() as tasks:
            waiting = [tasks.create_task(hasher.verify("pw", "x")) for _ in range(3)]
            await asyncio.sleep(0)
            for _ in range(1000):
                with pytest.raises(HasherBusy):
                    await hasher.verify("pw", "x")
            with pytest.raises(HasherBusy):
                await hasher.decoy("pw")
            gate.open.set()
        assert all(task.result() for task in waiting)
        assert await hasher.verify("pw", "x"), "there is room again"
        hasher.close()

    asyncio.run(story())


def test_who_hangs_up_does_not_make_room_while_the_work_still_runs() -> None:
    async def story() -> None:
        hasher, gate = gated(waiting_max=1)
        task = asyncio.get_running_loop().create_task(hasher.verify("pw", "x"))
        await asyncio.sleep(0)
        await asyncio.to_thread(gate.started.wait)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        with pytest.raises(HasherBusy):
            await hasher.verify("pw", "x")
        gate.open.set()
        hasher.close()

    asyncio.run(story())


def test_a_closed_hasher_refuses() -> None:
    async def story() -> None:
        hasher = Argon2Hasher(Counter(), waiting_max=1)
        hasher.close()
        for _ in range(3):
            with pytest.raises(HasherBusy, match="stopping"):
                await hasher.verify("pw", "x")

    asyncio.run(story())


def test_randomness_is_asked_for_on_the_loop() -> None:
    async def story() -> None:
        entropy = Counter()
        hasher = Argon2Hasher(entropy, memory_kib=8, passes=1)
        await hasher.hash("pw")
        assert entropy.threads == {threading.get_ident()}
        hasher.close()

    asyncio.run(story())


@pytest.mark.slow
def test_new_hashes_cost_what_owasp_asks_for() -> None:
    async def story() -> None:
        hasher = Argon2Hasher(Counter())
        phc = await hasher.hash("pw")
        assert phc.startswith(f"$argon2id$v=19$m={MEMORY_KIB},t={PASSES},p={LANES}$")
        assert (MEMORY_KIB, PASSES, LANES) == (19456, 2, 1)
        hasher.close()

    asyncio.run(story())
