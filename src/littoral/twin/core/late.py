"""Late records placed leaf by leaf, once the first of them has shown how the lane stands.

After an outage a site's events arrive before its telemetry, so every telemetry record of a feature
is older than the newest event there. To fold the thing again for each of them costs its history
each time; here the first one is folded, and leaves behind who wrote which property when. The next
ones then only have to look.
"""

from littoral.kernel import json
from littoral.log import Record
from littoral.twin.core.conflict import Stamp, stamp_of
from littoral.twin.core.metadata import change_in
from littoral.twin.core.paths import keys_of, overlap
from littoral.twin.core.state import Hot, Patch, touched_by


class Leaves:
    """When each property of one lane was last written, as far as that was after ``floor``.

    Invariant: a property that is not in ``stamps`` was last written before ``floor``.
    """

    __slots__ = ("floor", "stamps")

    def __init__(self, floor: Stamp) -> None:
        self.floor = floor
        self.stamps: dict[str, Stamp] = {}

    def write(self, patch: Patch, stamp: Stamp) -> None:
        """Note that ``patch`` was written; older stamps do not replace newer ones."""
        for key in patch:
            if stamp >= self.stamps.get(key, self.floor):
                self.stamps[key] = stamp


def flat_patch(record: Record) -> Patch | None:
    """The patch of a merge into one feature's properties that has no objects in it, else None.

    Such patches commute per key: the newest stamp of each key wins, as in the fold.
    """
    if record.kind != "thing.merged" or len(keys_of(record.path)) != 3:
        return None
    if change_in(record.headers) is not None:
        return None
    patch = json.decode(record.value)
    if not isinstance(patch, dict) or any(value.__class__ is dict for value in patch.values()):
        return None
    return patch


def learn(record: Record, later: list[Record]) -> Leaves | None:
    """How the lane of a late ``record`` stands, given all that was folded with it.

    Args:
        record: the late record; everything that is not in ``later`` is older than it.
        later: the records that were folded anew.

    Returns:
        None if the lane was written otherwise than by flat patches since.
    """
    flat = flat_patch(record)
    if flat is None:
        return None
    known = Leaves(stamp_of(record))
    known.write(flat, known.floor)
    for one in later:
        if stamp_of(one) < known.floor:
            continue
        if one.path == record.path and (patch := flat_patch(one)) is not None:
            known.write(patch, stamp_of(one))
        elif any(overlap(lane, record.path) for lane in touched_by(one)):
            return None
    return known


def place(hot: Hot, record: Record, known: Leaves) -> dict[str, Stamp] | None:
    """Let a late record change ``hot`` where nothing newer was written.

    Returns:
        The keys that it lost, with the stamps that won; None, with nothing changed, if this cannot
        be decided leaf by leaf.
    """
    stamp = stamp_of(record)
    if stamp <= known.floor or hot.doc is None or hot.annotated:
        return None
    others = (
        at for lane, at in hot.lanes.items() if lane != record.path and overlap(lane, record.path)
    )
    if any(at >= record.hlc for at in others):
        return None
    patch = flat_patch(record)
    if patch is None:
        return None
    lost = {key: at for key in patch if (at := known.stamps.get(key, known.floor)) > stamp}
    kept = {key: value for key, value in patch.items() if key not in lost}
    if kept:
        hot.accumulate(record.path, kept, len(record.value))
        known.write(kept, stamp)
    return lost
