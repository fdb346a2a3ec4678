"""Reading committed pages and keys, on a connection of its own."""

from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from operator import itemgetter

import apsw

from littoral.kernel.ids import Origin
from littoral.log.adapters.pages import OriginNumbers, checked_page
from littoral.log.adapters.sealing import decode_pairs
from littoral.log.model import Record

_DECODED_PAGES_MAX = 8
"""Decoded pages kept: a reader comes back for the next part, a history for the next revision."""

_PAGE = "id, grp, seq_first, seq_last, cls, records, crc, codec, blob"

# The group that holds ?1 begins at or before it; the groups after it begin later.
_FROM = "grp >= coalesce((SELECT max(grp) FROM page WHERE grp <= ?1), 0) AND seq_last >= ?1"

_by_seq = itemgetter(0)


class Reader:
    """See the reading half of `littoral.log.ports.Store`.

    Each question is one statement, so that it sees one state of the file whatever is sealed or
    dropped meanwhile.
    """

    def __init__(
        self,
        connection: apsw.Connection,
        origins: OriginNumbers,
        guarded: Callable[[str], AbstractContextManager[None]],
    ) -> None:
        self._connection = connection
        self._guarded = guarded
        self._origins = origins
        self._decoded: OrderedDict[tuple[int, int, int, int], list[Record]] = OrderedDict()

    def read(
        self, after: int, *, limit: int, cls: int | None, origin: Origin | None
    ) -> list[Record]:
        """See `littoral.log.ports.Store`."""
        where, values = _FROM, [after + 1]
        if cls is not None:
            where += " AND cls = ?"
            values.append(cls)
        if origin is not None:
            number = self._origins.known(origin)
            if number is None:
                return []
            where += " AND origin = ?"
            values.append(number)
        found: list[Record] = []
        group: list[Record] = []
        grp = -1
        statement = f"SELECT {_PAGE} FROM page WHERE {where} ORDER BY grp, seq_first"  # noqa: S608
        with self._guarded("reading records"):
            for row in self._connection.execute(statement, values):
                if row[1] != grp:
                    found += _next(group, limit - len(found))
                    group, grp = [], row[1]
                if len(found) >= limit or _enough(group, row[2], limit - len(found)):
                    break
                group += [r for r in self._page(row) if r.seq > after]
        return found + _next(group, limit - len(found))

    def by_seq(self, seqs: Iterable[int]) -> list[Record]:
        """See `littoral.log.ports.Store`."""
        found: list[Record] = []
        statement = (
            f"SELECT {_PAGE} FROM page "  # noqa: S608
            "WHERE grp = (SELECT max(grp) FROM page WHERE grp <= ?1) "
            "AND seq_first <= ?1 AND seq_last >= ?1"
        )
        with self._guarded("reading a record"):
            for seq in seqs:
                record = self._decoded_record(seq)
                if record is None:
                    for row in self._connection.execute(statement, (seq,)):
                        record = _find(self._page(row), seq)
                        if record is not None:
                            break
                if record is not None:
                    found.append(record)
        return found

    def history(self, entity: str, *, first: int, last: int) -> list[tuple[int, int]]:
        """See `littoral.log.ports.Store.sealed_history`."""
        found: list[tuple[int, int]] = []
        with self._guarded("reading the index of revisions"):
            for revision, seq, pairs in self._connection.execute(
                "SELECT revision, seq, pairs FROM entity WHERE name = ? AND revision <= ? "
                "ORDER BY revision DESC, seq DESC",
                (entity, last),
            ):
                found += decode_pairs(revision, seq, pairs)
                if revision <= first:
                    break
        return sorted({pair for pair in found if first <= pair[0] <= last})

    def get(self, space: str, key: str) -> bytes | None:
        """See `littoral.log.ports.Store`."""
        with self._guarded("reading a key"):
            row = self._connection.execute(
                "SELECT value FROM kv WHERE space = ? AND key = ?", (space, key)
            ).fetchone()
        return None if row is None else row[0]

    def scan(self, space: str, *, prefix: str, after: str, limit: int) -> list[tuple[str, bytes]]:
        """See `littoral.log.ports.Store`."""
        found: list[tuple[str, bytes]] = []
        if after >= prefix:
            statement, start = "key > ?", after
        else:
            statement, start = "key >= ?", prefix
        with self._guarded("reading keys"):
            for key, value in self._connection.execute(
                f"SELECT key, value FROM kv WHERE space = ? AND {statement} "  # noqa: S608
                "ORDER BY key LIMIT ?",
                (space, start, limit),
            ):
                if not key.startswith(prefix):
                    break
                found.append((key, value))
        return found

    def close(self) -> None:
        """Let go of the connection."""
        self._decoded.clear()
        self._connection.close(force=True)

    def _page(self, row: tuple[int, int, int, int, int, int, int, int, bytes]) -> list[Record]:
        id_, _, seq_first, seq_last, cls, count, crc, codec, blob = row
        # An id may be used again after its page was merged; with its range and count it is unique.
        key = (id_, seq_first, seq_last, count)
        records = self._decoded.get(key)
        if records is None:
            records = checked_page(seq_first, seq_last, cls, count, crc, codec, blob)
            self._decoded[key] = records
            if len(self._decoded) > _DECODED_PAGES_MAX:
                self._decoded.popitem(last=False)
        else:
            self._decoded.move_to_end(key)
        return records

    def _decoded_record(self, seq: int) -> Record | None:
        for (_, first, last, _), records in self._decoded.items():
            if first <= seq <= last:
                record = _find(records, seq)
                if record is not None:
                    return record
        return None


def _next(group: list[Record], limit: int) -> list[Record]:
    group.sort(key=_by_seq)
    return group[:limit]


def _enough(group: list[Record], seq_first: int, limit: int) -> bool:
    """Whether the pages decoded so far hold ``limit`` records before ``seq_first``."""
    return len(group) >= limit and sum(r.seq < seq_first for r in group) >= limit


def _find(records: list[Record], seq: int) -> Record | None:
    index = bisect_left(records, seq, key=_by_seq)
    if index < len(records) and records[index].seq == seq:
        return records[index]
    return None
