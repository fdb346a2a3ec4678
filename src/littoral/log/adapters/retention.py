"""Which pages a cut takes, and taking them."""

from dataclasses import dataclass, field

import apsw

from littoral.kernel.ids import Origin
from littoral.kernel.time import ms_of
from littoral.log.adapters.pages import OriginNumbers
from littoral.log.core import merge_origins
from littoral.log.model import Loss, RecordClass

_LOSS_RECORDS_MAX = 16_384
"""Records that one loss takes, unless one group has more: what one drop may cost."""


@dataclass(slots=True)
class _Group:
    """The pages of one class in one group: what is dropped at once."""

    grp: int
    first: int
    last: int = 0
    count: int = 0
    stored: int = 0
    from_hlc: int = 1 << 63
    to_hlc: int = 0
    origins: list[tuple[Origin, int, int, int]] = field(default_factory=list)


def find_loss(
    connection: apsw.Connection,
    origins: OriginNumbers,
    cls: RecordClass,
    *,
    older_than_ms: int | None,
    bytes_over: int,
    below: int,
) -> Loss | None:
    """See `littoral.log.ports.Store.losses`.

    Groups are taken whole: their ranges of seq do not overlap, so a cut between two of them never
    divides the records of another origin.
    """
    taken: list[_Group] = []
    count = freed = 0
    for group in _groups(connection, origins, cls):
        if group.last >= below or count >= _LOSS_RECORDS_MAX:
            break
        if older_than_ms is not None and ms_of(group.to_hlc) >= older_than_ms:
            break
        if older_than_ms is None and freed >= bytes_over:
            break
        taken.append(group)
        count += group.count
        freed += group.stored
    if not taken:
        return None
    return Loss(
        cls=cls,
        first=min(group.first for group in taken),
        up_to=max(group.last for group in taken),
        count=count,
        from_ms=ms_of(min(group.from_hlc for group in taken)),
        to_ms=ms_of(max(group.to_hlc for group in taken)),
        payload_bytes=freed,
        origins=merge_origins(part for group in taken for part in group.origins),
    )


def _groups(
    connection: apsw.Connection, origins: OriginNumbers, cls: RecordClass
) -> "list[_Group]":
    groups: list[_Group] = []
    count = 0
    for (
        grp,
        first,
        last,
        origin,
        records,
        stored,
        low,
        high,
        oseq_first,
        oseq_last,
    ) in connection.execute(
        "SELECT grp, seq_first, seq_last, origin, records, stored, hlc_first, hlc_last, "
        "oseq_first, oseq_last FROM page WHERE cls = ? ORDER BY grp, seq_first",
        (cls,),
    ):
        if not groups or groups[-1].grp != grp:
            if count > _LOSS_RECORDS_MAX:
                break
            groups.append(_Group(grp, first))
        group = groups[-1]
        group.last = max(group.last, last)
        group.count += records
        group.stored += stored
        group.from_hlc = min(group.from_hlc, low)
        group.to_hlc = max(group.to_hlc, high)
        group.origins.append((origins.name(origin), oseq_first, oseq_last, records))
        count += records
    return groups


def drop_pages(connection: apsw.Connection, cls: RecordClass, *, up_to: int) -> tuple[int, int]:
    """Delete the pages of ``cls`` whose records are all <= ``up_to``; (records, bytes) gone."""
    grp = connection.execute("SELECT max(grp) FROM page WHERE grp <= ?", (up_to,)).get
    found = connection.execute(
        "DELETE FROM page WHERE cls = ? AND grp <= ? AND seq_last <= ? RETURNING records, stored",
        (cls, grp, up_to),
    ).fetchall()
    counts: list[tuple[int, int]] = [(int(r or 0), int(s or 0)) for r, s in found]
    return sum(r for r, _ in counts), sum(s for _, s in counts)
