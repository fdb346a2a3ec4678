"""When to look at which connection again: one wheel for a door instead of a timer per packet."""

import heapq
from typing import Generic, TypeVar

T = TypeVar("T")

TICK_S = 0.25
"""Deadlines are met up to this much late; devices wait for whole seconds."""

NEVER = 1 << 62


class Wheel(Generic[T]):
    """Sets of things to look at, by tick. Entries are never removed: who looks decides.

    So a connection that was heard of pays nothing: it is looked at when its old deadline comes,
    and put in again at its new one.
    """

    def __init__(self) -> None:
        self._slots: dict[int, list[T]] = {}
        self._ticks: list[int] = []

    def add(self, item: T, at_s: float) -> int:
        """Look at ``item`` at the first tick that is not before ``at_s``; return that tick."""
        tick = int(at_s / TICK_S) + 1
        slot = self._slots.get(tick)
        if slot is None:
            self._slots[tick] = [item]
            heapq.heappush(self._ticks, tick)
        else:
            slot.append(item)
        return tick

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
