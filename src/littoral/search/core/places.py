"""Places: keys that sort as the ids of things do, and are short.

A thing's place is given when it comes in, between the places of its neighbours by id. So the index
holds equal values in the order of ids, and a page needs no sorting; no place ever has to move.
"""

START = b"\x80\x00\x00\x00\x00\x00"
"""The place of the first thing of all."""

_STEP = 1 << 24
_UNIT = 4


def spread(count: int) -> list[bytes]:
    """Places of ``count`` things that come in order, far apart."""
    return [((index + 1) << 22).to_bytes(6, "big") for index in range(count)]


def between(low: bytes | None, high: bytes | None, *, hint: int = 0) -> bytes:
    """A place after ``low`` and before ``high``; None means that there is no neighbour.

    Args:
        low: the neighbour before.
        high: the neighbour after.
        hint: +1 if things come in ascending order here, so near ``low``; -1 descending; 0 unknown.
    """
    if low is None and high is None:
        return START
    size = max(len(low or b""), len(high or b""), len(START))
    while True:
        first = int.from_bytes((low or b"").ljust(size, b"\x00"), "big") if low else 0
        last = int.from_bytes(high.ljust(size, b"\x00"), "big") if high else 1 << (8 * size)
        gap = last - first
        if gap > 1:
            break
        size += _UNIT
    if high is None or hint > 0:
        step = min(_STEP, gap // 2) if high is None else min(_STEP, max(1, gap >> 12))
        place = first + step
    elif low is None or hint < 0:
        step = min(_STEP, gap // 2) if low is None else min(_STEP, max(1, gap >> 12))
        place = last - step
    else:
        place = first + gap // 2
    return place.to_bytes(size, "big")


def after() -> bytes:
    """A place after that of any thing."""
    return b"\xff" * 64
