"""When to look at which connection again: one wheel for a door instead of a timer per packet."""

import heapq
from typing import Generic, TypeVar

T = TypeVar("T")

TICK_S = 0.25
"""Deadlines are met up to this much late; devices wait for whole seconds."""

NEVER = 1 << 62


class Wheel(Generic[T]):
    """Sets of things to look at, by tick. Who looks decides whether it was in vain.

    So a connection that was heard of pays nothing: it is looked at when its old deadline comes,
    and put in again at its new one. One that is gone is taken out: its deadline may be an hour
    away, and thousands may come and go until then.
    """

    def __init__(self) -> None:
        self._slots: dict[int, dict[T, None]] = {}
        self._ticks: list[int] = []

    def add(self, item: T, at_s: float) -> int:
        """Look at ``item`` at the first tick that is not before ``at_s``; return that tick."""
        tick = int(at_s / TICK_S) + 1
        slot = self._slots.get(tick)
        if slot is None:
            self._slots[tick] = {item: None}
            heapq.heappush(self._ticks, tick)
        else:
            slot[item] = None
        return tick

    def remove(self, item: T, tick: int) -> None:
        """Do not look at ``item`` at ``tick``. Idempotent."""
        slot = self._slots.get(tick)
        if slot is not None:
            slot.pop(item, None)

    def next_s(self) -> float | None:
        """When the next tick with entries is; None if there is none."""
        return self._ticks[0] * TICK_S if self._ticks else None

    def take_due(self, now_s: float) -> list[tuple[int, T]]:
        """Take out what is due at ``now_s``, with its tick, in order."""
        due: list[tuple[int, T]] = []
        while self._ticks and self._ticks[0] * TICK_S <= now_s:
            tick = heapq.heappop(self._ticks)
            due += [(tick, item) for item in self._slots.pop(tick)]
        return due
