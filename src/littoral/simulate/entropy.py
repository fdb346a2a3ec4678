"""Randomness that a seed repeats."""

import random


class SeededEntropy:
    """The `Entropy` port on a seeded generator. Never for real secrets."""

    def __init__(self, source: random.Random) -> None:
        self._source = source

    def token(self, size: int) -> bytes:
        return self._source.randbytes(size)

    def uniform(self, low: float, high: float) -> float:
        return self._source.uniform(low, high)
