"""Clocks of virtual nodes: each one wrong in its own way, all of them driven by the loop."""

from typing import Protocol

EPOCH_MS = 1_800_000_000_000
"""Wall time at which every world begins (2027-01-15T08:00:00Z); any fixed instant would do."""


class Timeline(Protocol):
    """The part of a loop that a clock reads."""

    def time(self) -> float:
        """Virtual seconds since the world began."""
        ...


class VirtualClock:
    """A node's clock: true time plus a skew, a drift and the jumps it was made to take.

    Args:
        loop: whose virtual time is the truth.
        skew_ms: how far it is ahead (behind, if negative) when the world begins.
        drift_ppm: how much faster it runs, in millionths.
    """

    def __init__(self, loop: Timeline, *, skew_ms: int = 0, drift_ppm: float = 0.0) -> None:
        self._loop = loop
        self._offset_ms = EPOCH_MS + skew_ms
        self._rate = 1000.0 * (1.0 + drift_ppm / 1e6)

    def now_ms(self) -> int:
        return self._offset_ms + int(self._loop.time() * self._rate)

    def monotonic_s(self) -> float:
        return self._loop.time()

    def jump(self, by_ms: int) -> None:
        """Set the wall clock forward, or back; monotonic time does not notice."""
        self._offset_ms += by_ms

    def error_ms(self) -> int:
        """How far it is ahead of the truth now."""
        return self.now_ms() - EPOCH_MS - int(self._loop.time() * 1000.0)
