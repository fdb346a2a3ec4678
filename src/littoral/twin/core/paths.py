"""Places inside a thing: their nouns, their policy resources, and their lanes.

A *lane* is the unit by which concurrent writes are compared: two records of different lanes
commute, so only within a lane (or between a lane and one that contains it) their stamps matter.
"""

from collections.abc import Iterable
from functools import lru_cache

from littoral.kernel import pointer

_TOP = ("policyId", "definition", "attributes", "features")


@lru_cache(maxsize=4096)
def keys_of(path: str) -> tuple[str, ...]:
    """`pointer.parse`, remembered: the same few paths come again and again."""
    return pointer.parse(path)


def noun_of(keys: tuple[str, ...]) -> str:
    """Ditto's name of the part at ``keys``, as it stands in error codes."""
    match keys:
        case ():
            return "thing"
        case ("attributes",) | ("features",) | ("definition",) | ("policyId",):
            return keys[0]
        case ("attributes", *_):
            return "attribute"
        case ("features", _):
            return "feature"
        case ("features", _, "properties" | "desiredProperties" | "definition" as part):
            return f"feature.{part}"
        case ("features", _, "properties", *_):
            return "feature.property"
        case ("features", _, "desiredProperties", *_):
            return "feature.desiredProperty"
        case _:
            return "thing"


@lru_cache(maxsize=4096)
def lane_of(keys: tuple[str, ...]) -> str:
    """The lane that a value at ``keys`` lies in."""
    if not keys:
        return "/"
    if keys[0] != "features":
        return "/" + keys[0]
    return pointer.render(keys[:3])


def lanes_touched(keys: tuple[str, ...], value: object, *, merged: bool) -> list[str]:
    """The lanes that writing ``value`` at ``keys`` changes; a replacement touches its whole place."""
    if not merged or not isinstance(value, dict) or len(keys) >= 3:
        return [lane_of(keys)]
    if keys and keys[0] != "features":
        return [lane_of(keys)]
    lanes: list[str] = []
    for key, child in value.items():
        lanes += lanes_touched((*keys, key), child, merged=True)
    return lanes or [lane_of(keys)]


def overlap(lane: str, other: str) -> bool:
    """Whether one lane is the other or contains it."""
    if lane in (other, "/") or other == "/":
        return True
    return lane.startswith(other + "/") or other.startswith(lane + "/")


def newest_overlapping(lanes: dict[str, int], touched: Iterable[str]) -> int:
    """The newest stamp among ``lanes`` that overlap one of ``touched``; 0 if none does."""
    newest = 0
    for lane in touched:
        for other, stamp in lanes.items():
            if stamp > newest and overlap(lane, other):
                newest = stamp
    return newest


def coarsened(lanes: dict[str, int]) -> dict[str, int]:
    """Fewer lanes that say no less: each part of the top with the newest stamp in it.

    A record that is compared with a lane too wide is folded again for nothing, never put wrong.
    """
    coarse: dict[str, int] = {}
    for lane, stamp in lanes.items():
        top = lane[: lane.find("/", 1)] if "/" in lane[1:] else lane
        coarse[top] = max(stamp, coarse.get(top, 0))
    return coarse


def mark(lanes: dict[str, int], touched: Iterable[str], hlc: int, *, replaced: bool) -> None:
    """Note in ``lanes`` that ``touched`` were written at ``hlc``.

    A replacement covers the lanes inside it; their entries go, so a thing keeps few of them.
    """
    for lane in touched:
        if replaced:
            for inner in [
                k for k in lanes if k != lane and overlap(lane, k) and len(k) > len(lane)
            ]:
                if lanes[inner] <= hlc:
                    del lanes[inner]
        if hlc > lanes.get(lane, 0):
            lanes[lane] = hlc
