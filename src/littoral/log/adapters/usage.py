"""How much each class uses, kept up to date so that asking costs nothing."""

from collections.abc import Sequence

import apsw

from littoral.kernel.time import ms_of
from littoral.log.adapters.pages import PageRow
from littoral.log.model import ClassUsage, RecordClass


class Usage:
    """Records, bytes and the oldest page per class; written by the committer, read by the loop.

    Invariant: it equals what a scan of the pages would find (a test compares).
    """

    def __init__(self) -> None:
        self._records = dict.fromkeys(RecordClass, 0)
        self._bytes = dict.fromkeys(RecordClass, 0)
        self._oldest: dict[RecordClass, tuple[int, int] | None] = dict.fromkeys(RecordClass)
        self.newest_hlc = 0

    def load(self, connection: apsw.Connection) -> None:
        """Scan the index that covers this; it also shows whether that index can be read."""
        for cls in RecordClass:
            count, stored, newest = next(
                connection.execute(
                    "SELECT coalesce(sum(records), 0), coalesce(sum(stored), 0), "
                    "coalesce(max(hlc_last), 0) FROM page INDEXED BY page_cls WHERE cls = ?",
                    (cls,),
                )
            )
            self._records[cls], self._bytes[cls] = count, stored
            self.newest_hlc = max(self.newest_hlc, newest)
            self.reload_oldest(connection, cls)

    def reload_oldest(self, connection: apsw.Connection, cls: RecordClass) -> None:
        """Look up the first page of a class again, after a drop."""
        found = connection.execute(
            "SELECT seq_first, hlc_first FROM page WHERE cls = ? ORDER BY grp, seq_first LIMIT 1",
            (cls,),
        ).fetchone()
        self._oldest[cls] = None if found is None else (found[0], found[1])

    def added(self, row: PageRow) -> None:
        """A page was committed."""
        cls = RecordClass(row.cls)
        self._records[cls] += row.records
        self._bytes[cls] += row.stored
        self.newest_hlc = max(self.newest_hlc, row.hlc_last)
        oldest = self._oldest[cls]
        # The pages of one batch come in the order of their streams, not of their seqs.
        if oldest is None or row.seq_first < oldest[0]:
            self._oldest[cls] = (row.seq_first, row.hlc_first)

    def changed(self, cls: int, *, records: int, stored: int) -> None:
        """Pages were merged (records 0) or dropped."""
        of = RecordClass(cls)
        self._records[of] += records
        self._bytes[of] += stored

    def oldest(self, cls: int | None) -> int | None:
        """Seq of the oldest record of a class, or of all."""
        if cls is not None:
            found = self._oldest[RecordClass(cls)]
            return None if found is None else found[0]
        return min((o[0] for o in self._oldest.values() if o is not None), default=None)

    def report(self) -> Sequence[ClassUsage]:
        """What each class uses now."""
        found: list[ClassUsage] = []
        for cls in RecordClass:
            oldest = self._oldest[cls]
            found.append(
                ClassUsage(
                    cls,
                    self._records[cls],
                    self._bytes[cls],
                    None if oldest is None else ms_of(oldest[1]),
                )
            )
        return found
