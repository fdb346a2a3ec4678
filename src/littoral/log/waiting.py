"""Who waits for a commit: futures, woken by the commit itself."""

import asyncio
from collections.abc import Callable

from littoral.kernel.errors import LittoralError

_VOID_MAX = 64
"""Failed ranges that are remembered for those who ask late."""


class Waiters:
    """Futures by seq, and the seqs whose commit failed."""

    def __init__(self) -> None:
        self._by_seq: list[tuple[int, asyncio.Future[None]]] = []
        self._void: list[tuple[int, int, LittoralError]] = []

    def failure(self, seq: int) -> LittoralError | None:
        """Why the record ``seq`` was not stored, if its commit failed."""
        for first, last, error in reversed(self._void):
            if first <= seq <= last:
                return error
        return None

    async def durable(self, seq: int) -> None:
        """Return when `committed` reaches ``seq``; raise what its commit raised."""
        future = asyncio.get_running_loop().create_future()
        self._by_seq.append((seq, future))
        await future

    async def open_batch(
        self, on_commit: Callable[[Callable[[LittoralError | None], None]], None]
    ) -> None:
        """Return when the batch that is open now is durable; raise what its commit raised."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def settle(error: LittoralError | None) -> None:
            _settle(future, error)

        on_commit(settle)
        await future

    def committed(self, seq: int) -> None:
        """Wake those who wait for ``seq`` or less."""
        if self._by_seq:
            waiting, self._by_seq = self._by_seq, []
            for wanted, future in waiting:
                if wanted <= seq:
                    _settle(future, None)
                else:
                    self._by_seq.append((wanted, future))

    def failed(self, first: int, last: int, error: LittoralError) -> None:
        """Tell those who wait for the void range; remember it."""
        if first <= last:
            self._void.append((first, last, error))
            del self._void[:-_VOID_MAX]
        waiting, self._by_seq = self._by_seq, []
        for _, future in waiting:
            _settle(future, error)

    def close(self, error: LittoralError) -> None:
        """Nobody will be woken again: tell everybody."""
        self.failed(1, 0, error)


def _settle(future: "asyncio.Future[None]", error: LittoralError | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(None)
    else:
        future.set_exception(error)
