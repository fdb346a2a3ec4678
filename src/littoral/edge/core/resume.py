"""Where a sender starts, given what the peer holds; and what a roll-back has lost."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from littoral.edge.core.frames import Known
from littoral.kernel.ids import Origin
from littoral.log import RecordClass


@dataclass(frozen=True, slots=True)
class Span:
    """One epoch of the own log: its records are those with ``start < seq <= end``."""

    origin: Origin
    start: int
    end: int | None
    """None for the epoch that is open."""


@dataclass(frozen=True, slots=True)
class Lost:
    """Own records that only the peer holds: ``after < oseq <= upto``."""

    origin: str
    cls: int
    after: int
    upto: int


def spans(chain: Sequence[tuple[str, int]]) -> list[Span]:
    """The epochs of a chain with their ends."""
    ends = [start for _, start in chain[1:]]
    return [
        Span(Origin(origin), start, end)
        for (origin, start), end in zip(chain, [*ends, None], strict=True)
    ]


def resume(
    epochs: Sequence[Span], known: Iterable[Known], *, head: int
) -> tuple[dict[int, int], tuple[Lost, ...]]:
    """Per class, the seq after which to send; and what the peer holds beyond this log.

    In a log, ``oseq`` of an own record is its ``seq``, and seqs go on over epochs; so one position
    stands for all epochs of the chain. A node that was restored reuses seqs, never an epoch: what
    the peer holds of an epoch beyond its end here, or of an epoch not in the chain, is lost here.
    """
    ends = {e.origin: (head if e.end is None else e.end) for e in epochs}
    positions = {int(cls): 0 for cls in RecordClass}
    lost: list[Lost] = []
    for origin, cls, oseq in known:
        end = ends.get(Origin(origin), 0)
        if oseq > end:
            lost.append(Lost(origin, cls, end, oseq))
        positions[cls] = max(positions.get(cls, 0), min(oseq, end))
    return positions, tuple(lost)
