"""The buffer between a commit and a slow reader: bounded, lossy at its old end, and honest."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from littoral.eventing.model import FEED_BYTES_MAX, FEED_ITEMS_MAX
from littoral.log import Record

Item = TypeVar("Item")

_RECORD_OVERHEAD = 200
"""Rough bytes of a record beside its value, so that many small ones weigh something."""


@dataclass(frozen=True, slots=True)
class Taken(Generic[Item]):
    """What a reader got: items in order, and how many were dropped before the first of them."""

    items: list[Item]
    dropped: int


class BoundedQueue(Generic[Item]):
    """Takes without ever waiting, drops the oldest when full, wakes its one reader at once.

    ``async for taken in queue`` ends when the queue is closed and empty. An item heavier than the
    whole queue is kept, alone.
    """

    def __init__(
        self,
        weigh: Callable[[Item], int],
        *,
        items_max: int = FEED_ITEMS_MAX,
        bytes_max: int = FEED_BYTES_MAX,
    ) -> None:
        assert items_max > 0
        assert bytes_max > 0
        self._weigh = weigh
        self._items_max = items_max
        self._bytes_max = bytes_max
        self._items: deque[tuple[int, Item]] = deque()
        self._bytes = 0
        self._dropped = 0
        self._ready = asyncio.Event()
        self.dropped = 0
        """Items dropped since the queue was made."""
        self.closed = False

    def __len__(self) -> int:
        return len(self._items)

    def put(self, items: Sequence[Item]) -> None:
        """Append ``items``; drop from the old end what does not fit any more."""
        if self.closed:
            return
        queue, weigh = self._items, self._weigh
        for item in items:
            weight = weigh(item)
            self._bytes += weight
            queue.append((weight, item))
        while len(queue) > self._items_max or (self._bytes > self._bytes_max and len(queue) > 1):
            weight, _ = queue.popleft()
            self._bytes -= weight
            self._dropped += 1
            self.dropped += 1
        if queue:
            self._ready.set()

    def close(self) -> None:
        """Take nothing more; the reader gets what is there, then the end. Idempotent."""
        self.closed = True
        self._ready.set()

    def take_nowait(self) -> Taken[Item]:
        """Everything that is there now; maybe nothing."""
        taken = Taken([item for _, item in self._items], self._dropped)
        self._items.clear()
        self._bytes = self._dropped = 0
        if not self.closed:
            self._ready.clear()
        return taken

    async def take(self) -> Taken[Item]:
        """Wait until something is there, and take everything. No items: the queue is closed.

        Wrap it in ``asyncio.timeout`` for a heartbeat: nothing is lost when that strikes.
        """
        if not self._items:
            await self._ready.wait()
        return self.take_nowait()

    async def __aiter__(self) -> AsyncIterator[Taken[Item]]:
        while (taken := await self.take()).items:
            yield taken


def record_bytes(record: Record) -> int:
    """About how much memory a record holds."""
    return len(record.value) + _RECORD_OVERHEAD
