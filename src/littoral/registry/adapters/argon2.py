"""Argon2id off the loop, with a bounded queue; argon2-cffi is imported at the first password."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from littoral.kernel.time import Entropy
from littoral.registry.errors import HasherBusy

T = TypeVar("T")

MEMORY_KIB = 19 * 1024
PASSES = 2
LANES = 1
"""OWASP's first choice for argon2id: 19 MiB, two passes, one lane; about 20 ms here."""
WAITING_MAX = 64
"""Passwords that wait or run; more are refused, so a flood costs neither memory nor the loop."""
_HASH_BYTES = 32
_SALT_BYTES = 16


class Argon2Hasher:
    """`PasswordHasher` on one thread (or two), as real nodes use it.

    Args:
        memory_kib, passes: cost of new hashes; stored ones carry their own.
    """

    def __init__(
        self,
        entropy: Entropy,
        *,
        threads: int = 1,
        waiting_max: int = WAITING_MAX,
        memory_kib: int = MEMORY_KIB,
        passes: int = PASSES,
    ) -> None:
        self._entropy = entropy
        self._work = Argon2Work(memory_kib=memory_kib, passes=passes)
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="littoral-argon2")
        self._room = threading.BoundedSemaphore(waiting_max)

    async def hash(self, password: str) -> str:
        """See `littoral.registry.ports.PasswordHasher`."""
        salt = self._entropy.token(_SALT_BYTES)
        return await self._run(lambda: self._work.hash(password, salt))

    async def verify(self, password: str, phc: str) -> bool:
        """See `littoral.registry.ports.PasswordHasher`."""
        return await self._run(lambda: self._work.verify(password, phc))

    async def decoy(self, password: str) -> None:
        """See `littoral.registry.ports.PasswordHasher`."""
        await self._run(lambda: self._work.decoy(password))

    def close(self) -> None:
        """Let go of the thread; what waits is dropped. Idempotent."""
        self._executor.shutdown(wait=True, cancel_futures=True)

    async def _run(self, work: Callable[[], T]) -> T:
        if not self._room.acquire(blocking=False):
            raise HasherBusy(
                "too many passwords wait to be checked.", hint="Try again in some seconds."
            )
        try:
            future = self._executor.submit(work)
        except RuntimeError as e:
            self._room.release()
            raise HasherBusy("the node is stopping.") from e
        # Released when the work ended or was cancelled in the queue, not when the caller left:
        # a peer that hangs up at once must not make room for more.
        future.add_done_callback(self._release)
        return await asyncio.wrap_future(future)

    def _release(self, _: Future[T]) -> None:
        self._room.release()


class InlineArgon2Hasher:
    """`PasswordHasher` on the loop itself, for the virtual world and tests: cheap by default."""

    def __init__(self, entropy: Entropy, *, memory_kib: int = 8, passes: int = 1) -> None:
        self._entropy = entropy
        self._work = Argon2Work(memory_kib=memory_kib, passes=passes)

    async def hash(self, password: str) -> str:
        """See `littoral.registry.ports.PasswordHasher`."""
        return self._work.hash(password, self._entropy.token(_SALT_BYTES))

    async def verify(self, password: str, phc: str) -> bool:
        """See `littoral.registry.ports.PasswordHasher`."""
        return self._work.verify(password, phc)

    async def decoy(self, password: str) -> None:
        """See `littoral.registry.ports.PasswordHasher`."""
        self._work.decoy(password)

    def close(self) -> None:
        """Nothing to let go of."""


class Argon2Work:
    """The blocking work itself; may run on any thread."""

    def __init__(self, *, memory_kib: int, passes: int) -> None:
        self._memory_kib = memory_kib
        self._passes = passes

    def hash(self, password: str, salt: bytes) -> str:
        """A PHC string of ``password``."""
        from argon2.low_level import Type, hash_secret  # noqa: PLC0415  # 2 MB; most never need it

        return hash_secret(
            _raw(password),
            salt,
            time_cost=self._passes,
            memory_cost=self._memory_kib,
            parallelism=LANES,
            hash_len=_HASH_BYTES,
            type=Type.ID,
        ).decode()

    def verify(self, password: str, phc: str) -> bool:
        """True if ``phc`` was made of ``password``; a string that is none holds for nothing."""
        from argon2.exceptions import (  # noqa: PLC0415
            InvalidHashError,
            VerificationError,
        )
        from argon2.low_level import Type, verify_secret  # noqa: PLC0415

        kinds = {"argon2id": Type.ID, "argon2i": Type.I, "argon2d": Type.D}
        kind = kinds.get(phc.split("$", 2)[1] if phc.startswith("$") else "")
        if kind is None:
            return False
        try:
            return verify_secret(phc.encode(), _raw(password), kind)
        except (VerificationError, InvalidHashError):
            return False

    def decoy(self, password: str) -> None:
        """As much work as `verify` has with a string of `hash`."""
        from argon2.low_level import Type, hash_secret_raw  # noqa: PLC0415

        hash_secret_raw(
            _raw(password),
            b"\x00" * _SALT_BYTES,
            time_cost=self._passes,
            memory_cost=self._memory_kib,
            parallelism=LANES,
            hash_len=_HASH_BYTES,
            type=Type.ID,
        )


def _raw(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
