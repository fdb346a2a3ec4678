"""Decisions of the log: what to thin, what the ledger says, what a cursor has missed.

Pure functions over values; the clock's reading, the usage and the pins are arguments.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from littoral.kernel import json
from littoral.kernel.ids import Origin
from littoral.kernel.time import COUNTER_BITS
from littoral.log.model import ClassUsage, Loss, RecordClass, Retention, Salvage

_ORIGINS_SHOWN_MAX = 16
"""Origins that one ledger record names; the rest are counted together by its totals."""

_GAPS_SHOWN_MAX = 64

_SNAPSHOTS_KEPT = 8
"""Snapshots of one entity that thinning leaves side by side."""

_TOTAL_SLACK = 0.02
"""Share of the total budget that is freed beyond need, so that thinning does not run all the time."""


def next_stamp(last: int, now_ms: int) -> int:
    """The stamp after ``last`` at wall time ``now_ms``: never equal, never earlier.

    `Log.append` has this in line; a test holds the two equal.
    """
    wall = now_ms << COUNTER_BITS
    return wall if wall > last else last + 1


@dataclass(frozen=True, slots=True)
class Cut:
    """One thing that retention wants: the oldest records of a class, for a reason."""

    cls: RecordClass
    older_than_ms: int | None
    bytes_over: int
    below: int
    reason: str


@dataclass(frozen=True, slots=True)
class Pin:
    """A pinned cursor: it holds records after ``position`` of its class (None: of every class)."""

    position: int
    cls: int | None


def plan_cuts(
    usage: Sequence[ClassUsage],
    retention: Retention,
    *,
    now_ms: int,
    bytes_used: int,
    pins: Sequence[Pin],
    hold: int,
) -> list[Cut]:
    """What to thin now, most urgent first.

    Records from ``hold`` on are never touched: an opening has to replay them. Age respects pins;
    bytes do not, because a full disk would stop the node. The total is taken from the lowest class.
    """
    cuts: list[Cut] = []
    by_class = {u.cls: u for u in usage if u.records}
    over = bytes_used - retention.total_bytes_max
    if over > 0 and by_class:
        wanted = over + int(retention.total_bytes_max * _TOTAL_SLACK)
        cuts.extend(
            Cut(cls, None, wanted, hold, "total_bytes") for cls in sorted(by_class, reverse=True)
        )
    for cls, used in sorted(by_class.items(), reverse=True):
        budget = retention.classes.get(cls)
        if budget is None:
            continue
        if used.payload_bytes > budget.bytes_max:
            cuts.append(Cut(cls, None, used.payload_bytes - budget.bytes_max, hold, "class_bytes"))
        limit_ms = now_ms - budget.age_ms_max
        if used.oldest_ms is not None and used.oldest_ms < limit_ms:
            below = min(hold, pinned_from(pins, cls))
            cuts.append(Cut(cls, limit_ms, 0, below, "age"))
    return cuts


def pinned_from(pins: Sequence[Pin], cls: int) -> int:
    """The first seq of ``cls`` that some pin still needs; beyond all seqs if there is none."""
    return min((p.position + 1 for p in pins if p.cls is None or p.cls == cls), default=1 << 62)


def ledger_value(loss: Loss, reason: str, *, delivered: bool) -> bytes:
    """The value of the ledger record for ``loss``.

    ``delivered``: every pinned reader (the link) had passed these records, so that only local
    history lost them and the other side has no hole.
    """
    shown = sorted(loss.origins.items(), key=lambda item: -item[1][2])[:_ORIGINS_SHOWN_MAX]
    return json.encode(
        {
            "class": loss.cls.name.lower(),
            "from": loss.first,
            "to": loss.up_to,
            "count": loss.count,
            "from_ms": loss.from_ms,
            "to_ms": loss.to_ms,
            "reason": reason,
            "delivered": delivered,
            "origins": {
                origin: {"from": first, "to": last, "count": count}
                for origin, (first, last, count) in shown
            },
        }
    )


def salvage_value(salvage: Salvage) -> bytes:
    """The value of the ledger record that says what damage has cost."""
    return json.encode(
        {
            "class": None,
            "from": salvage.seq_gaps[0][0] if salvage.seq_gaps else None,
            "to": salvage.seq_gaps[-1][1] if salvage.seq_gaps else None,
            "count": salvage.records_lost,
            "gaps": [list(gap) for gap in salvage.seq_gaps[:_GAPS_SHOWN_MAX]],
            "reason": "damage",
            "detail": salvage.detail,
            "moved_to": salvage.moved_to,
        }
    )


def high_water_key(origin: Origin, cls: int) -> str:
    """Key in space ``hw`` of the highest oseq stored of ``origin`` and ``cls``."""
    return f"{origin}/{cls}"


_REVISION_MAX = 10**19


def snapshot_key(entity: str, revision: int) -> str:
    """Key in space ``snapshot``; the newest revision of an entity comes first in key order."""
    return f"{entity}\x00{_REVISION_MAX - revision:020d}"


def snapshot_of(key: str) -> tuple[str, int]:
    """Entity and revision of a key that `snapshot_key` made."""
    entity, _, inverted = key.rpartition("\x00")
    return entity, _REVISION_MAX - int(inverted)


def surplus_snapshots(keys: Sequence[str]) -> list[str]:
    """Which snapshots to give up when room is short, given all of one entity, newest first.

    The newest `_SNAPSHOTS_KEPT` stay, and of the older ones every second, fourth, eighth, …: what
    was long ago is reconstructed from farther away.
    """
    kept: set[int] = set()
    step, at = 1, 0
    while at < len(keys):
        kept.add(at)
        if len(kept) % _SNAPSHOTS_KEPT == 0:
            step *= 2
        at += step
    return [key for index, key in enumerate(keys) if index not in kept]


def merge_origins(
    parts: Iterable[tuple[Origin, int, int, int]],
) -> Mapping[Origin, tuple[int, int, int]]:
    """Join ``(origin, first oseq, last oseq, count)`` per page into one range per origin."""
    merged: dict[Origin, tuple[int, int, int]] = {}
    for origin, first, last, count in parts:
        low, high, total = merged.get(origin, (first, last, 0))
        merged[origin] = (min(low, first), max(high, last), total + count)
    return merged


@dataclass(frozen=True, slots=True)
class CursorState:
    """What is stored of a cursor, in space ``cursor`` under its name."""

    position: int
    cls: int | None
    pinned: bool
    lost_to: int
    """Losses up to this seq were told to the reader already."""
    used_ms: int

    def encode(self) -> bytes:
        """JSON bytes; `decode_cursor` reads them."""
        return json.encode(
            {
                "position": self.position,
                "class": self.cls,
                "pinned": self.pinned,
                "lost_to": self.lost_to,
                "used_ms": self.used_ms,
            }
        )


def decode_cursor(data: bytes) -> CursorState:
    """Read what `CursorState.encode` wrote; members that are not known are ignored."""
    members = json.decode_object(data)

    def whole(name: str) -> int:
        value = members.get(name)
        return value if isinstance(value, int) else 0

    cls = members.get("class")
    return CursorState(
        position=whole("position"),
        cls=cls if isinstance(cls, int) else None,
        pinned=bool(members.get("pinned")),
        lost_to=whole("lost_to"),
        used_ms=whole("used_ms"),
    )


def lost_range(position: int, told_to: int, dropped_to: int) -> tuple[int, int] | None:
    """What a reader at ``position`` has missed and was not told: inclusive seqs, or None."""
    first = max(position, told_to) + 1
    return (first, dropped_to) if dropped_to >= first else None
