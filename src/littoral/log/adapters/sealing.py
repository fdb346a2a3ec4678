"""Housekeeping inside the file: small pages become large ones, and get an index by entity.

Each call does one bounded piece (a millisecond or two), because a commit may wait behind it.
"""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

import apsw
import msgspec

from littoral.log.adapters.database import transaction
from littoral.log.adapters.pages import COLUMNS, PageRow, insert_page, page_crc
from littoral.log.adapters.usage import Usage
from littoral.log.codec import PageDamaged, decode_keys, encode_merged, merge_pages
from littoral.log.model import PAGE_BYTES_MAX, PAGE_RECORDS_MAX

SEAL_RECORDS = 1024
"""Records that one piece merges: one large page, in about 2 ms (4096 held commits up by 20 ms)."""

SEAL_GROUPS = 256
"""Batches that are merged together although they hold fewer records: a slow node's."""

_WELL_FILLED = 256
"""Records per page from which merging costs more than it brings."""

INDEX_RECORDS = 32_768
"""Records of one segment of the index: an entity has one row in it, however often it changed."""

_INDEX_ROWS_EACH = 64
_PURGE_ROWS_EACH = 512
_SCRUB_PAGES_EACH = 32

_READ_PAGES_EACH = 32
_READ_BYTES_EACH = 256 * 1024

_RIPE_PAGES_MAX = 8 * SEAL_GROUPS
"""Pages looked at for one piece."""

_COLUMNS_AS_TEXT = COLUMNS.replace("blob", "hex(blob)")

_pairs = msgspec.msgpack.Decoder(list[int])


def encode_pairs(pairs: Sequence[tuple[int, int]]) -> bytes:
    """``(revision, seq)`` pairs as small differences."""
    flat: list[int] = []
    revision, seq = pairs[0]
    for r, s in pairs:
        flat += (r - revision, s - seq)
        revision, seq = r, s
    return msgspec.msgpack.encode(flat)


def decode_pairs(revision: int, seq: int, data: bytes) -> list[tuple[int, int]]:
    """Inverse of `encode_pairs`, given its first pair."""
    flat = _pairs.decode(data)
    found: list[tuple[int, int]] = []
    for r, s in zip(flat[::2], flat[1::2], strict=True):
        revision, seq = revision + r, seq + s
        found.append((revision, seq))
    return found


class _Small(NamedTuple):
    """What has to be known of a page before it is worth reading."""

    id: int
    grp: int
    seq_last: int
    records: int
    stored: int


_smalls = msgspec.json.Decoder(list[_Small])


class _Gone(Exception):
    """Pages that were to be merged are not there any more."""


def _portions(pages: Sequence[_Small]) -> Iterator[list[_Small]]:
    """Pages to be read in one piece: few, and not too many bytes unless one page alone has them."""
    some: list[_Small] = []
    size = 0
    for page in pages:
        if some and (len(some) == _READ_PAGES_EACH or size + page.stored > _READ_BYTES_EACH):
            yield some
            some, size = [], 0
        some.append(page)
        size += page.stored
    if some:
        yield some


def _ids(pages: Sequence[_Small]) -> str:
    return msgspec.json.encode([page.id for page in pages]).decode()


def _is_ripe(groups: int, records: int, stored: int) -> bool:
    return records >= SEAL_RECORDS or groups >= SEAL_GROUPS or stored >= PAGE_BYTES_MAX


class Sealer:
    """Knows how far pages are merged and indexed; works on the write connection."""

    def __init__(self, connection: apsw.Connection, usage: Usage) -> None:
        self._connection = connection
        self._usage = usage
        self.sealed_to = self._meta("sealed_to")
        self.indexed_to = self._meta("indexed_to")
        self._purged_below = self._meta("purged_below")
        self.scrub_after: int | None = None
        """Id of the page up to which the file was verified; None: nothing is left to verify."""
        self._merging: Iterator[None] | None = None
        self._indexing: Iterator[None] | None = None
        self._purging: Iterator[None] | None = None

    def piece(self, limit: int) -> bool:
        """Do one piece for records up to ``limit``; False if there is nothing to do now."""
        more = self._merge_piece(limit) or self._index_piece() or self._purge_piece()
        if not more and self.scrub_after is not None:
            self._scrub_piece(self.scrub_after)
        return more

    def _meta(self, key: str) -> int:
        found = self._connection.execute("SELECT value FROM meta WHERE key = ?", (key,)).get
        return _number(found)

    def _set(self, key: str, value: int) -> None:
        self._connection.execute(
            "INSERT INTO meta VALUES(?, ?) ON CONFLICT(key) DO UPDATE SET value = excluded.value",
            (key, value),
        )

    # Merging.

    def _merge_piece(self, limit: int) -> bool:
        if self._merging is None:
            pages = self._ripe_pages(limit)
            if not pages:
                return False
            if sum(page.records for page in pages) >= len(pages) * _WELL_FILLED:
                # Nothing to win here. That we were here is stored with the next merge.
                self.sealed_to = max(page.seq_last for page in pages)
                return True
            self._merging = self._merge(pages)
        try:
            next(self._merging)
        except StopIteration:
            self._merging = None
        except BaseException:
            self._merging = None
            raise
        return True

    def _ripe_pages(self, limit: int) -> list[_Small]:
        """The pages of the next whole groups to seal; empty if they are too few yet."""
        found: list[_Small] = []
        groups = records = stored = whole = 0
        grp = -1
        # As one row: every step of a statement hands the interpreter to a busy loop.
        rows = self._connection.execute(
            "SELECT json_group_array(json_array(id, grp, seq_last, records, stored)) FROM "
            "(SELECT * FROM page WHERE grp > ? ORDER BY grp, seq_first LIMIT ?)",
            (self.sealed_to, _RIPE_PAGES_MAX),
        ).get
        for page in _smalls.decode(str(rows)):
            if page.grp != grp:
                whole = len(found)
                if _is_ripe(groups, records, stored):
                    return found
                grp = page.grp
                groups += 1
            if page.seq_last > limit:
                # This group is not to be sealed yet, and none after it.
                return found[:whole] if _is_ripe(groups - 1, records, stored) else []
            found.append(page)
            records += page.records
            stored += page.stored
        return found if _is_ripe(groups, records, stored) else []

    def _merge(self, pages: Sequence[_Small]) -> Iterator[None]:
        """Replace pages by larger ones of one group: read some, join, write; commits come between.

        Retention may come between too: if it has taken some of them, the next piece looks anew.
        """
        rows: list[PageRow] = []
        for some in _portions(pages):
            rows += self._read_pages(some)
            yield
        if len(rows) != len(pages):
            return
        rows.sort(key=lambda row: (row.cls, row.origin, row.seq_first))
        merged: list[PageRow] = []
        for _, stream in groupby(rows, key=lambda row: (row.cls, row.origin)):
            for run in _runs(list(stream)):
                merged.append(_merged(pages[0].grp, run))
                yield
        try:
            self._replace(pages, merged)
        except _Gone:
            return
        for row in rows:
            self._usage.changed(row.cls, records=0, stored=-row.stored)
        for row in merged:
            self._usage.changed(row.cls, records=0, stored=row.stored)

    def _read_pages(self, pages: Sequence[_Small]) -> list[PageRow]:
        """Pages whose checksums are right, as one row of one statement: see `_ripe_pages`."""
        found = self._connection.execute(
            f"SELECT json_group_array(json_array({_COLUMNS_AS_TEXT})) FROM "  # noqa: S608
            "(SELECT * FROM page WHERE id IN (SELECT value FROM json_each(?)) ORDER BY id)",
            (_ids(pages),),
        ).get
        rows = [
            PageRow._make((*fields[:-1], bytes.fromhex(fields[-1])))
            for fields in msgspec.json.decode(str(found))
        ]
        for row in rows:
            if page_crc(row.seq_first, row.seq_last, row.cls, row.records, row.blob) != row.crc:
                raise PageDamaged(f"the page of records {row.seq_first} to {row.seq_last}")
        return rows

    def _replace(self, pages: Sequence[_Small], merged: Sequence[PageRow]) -> None:
        """Put the merged pages in the place of the small ones, if those are all still there.

        It is not synced: nobody is told that it is done, and if the power goes before the next
        commit, which syncs it too, the small pages are there as before.
        """
        connection = self._connection
        last = max(page.seq_last for page in pages)
        before = _number(connection.pragma("synchronous"))
        connection.pragma("synchronous", "normal")
        try:
            with transaction(connection):
                connection.execute(
                    "DELETE FROM page WHERE id IN (SELECT value FROM json_each(?))", (_ids(pages),)
                )
                if connection.changes() != len(pages):
                    raise _Gone
                for row in merged:
                    insert_page(connection, row)
                self._set("sealed_to", last)
        finally:
            connection.pragma("synchronous", before)
        self.sealed_to = last

    # The index by entity.

    def _index_piece(self) -> bool:
        if self._indexing is None:
            if self.sealed_to - self.indexed_to < INDEX_RECORDS:
                return False
            self._indexing = self._index()
        try:
            next(self._indexing)
        except StopIteration:
            self._indexing = None
        except BaseException:
            self._indexing = None
            raise
        return True

    def _index(self) -> Iterator[None]:
        """Index the next segment, a few pages and then a few rows at a time."""
        found: dict[str, list[tuple[int, int]]] = {}
        position, records = self.indexed_to, 0
        while records < INDEX_RECORDS and position < self.sealed_to:
            pages = self._next_group(position)
            if not pages:
                position = self.sealed_to
            for seq_last, count, codec, blob in pages:
                for key in decode_keys(codec, blob):
                    if key.revision > 0:
                        found.setdefault(key.entity, []).append((key.revision, key.seq))
                position = max(position, seq_last)
                records += count
            yield
        # The same rows are written again if a crash comes between two pieces.
        names = sorted(found)
        for start in range(0, len(names), _INDEX_ROWS_EACH):
            with transaction(self._connection):
                some = names[start : start + _INDEX_ROWS_EACH]
                fields: list[str | int | bytes] = []
                for name in some:
                    pairs = sorted(found[name])
                    fields += (name, *pairs[0], max(s for _, s in pairs), encode_pairs(pairs))
                # One statement: each one hands the interpreter to a busy loop some times.
                self._connection.execute(
                    "INSERT OR REPLACE INTO entity VALUES" + ",".join(["(?,?,?,?,?)"] * len(some)),
                    fields,
                )
            yield
        with transaction(self._connection):
            self._set("indexed_to", position)
        self.indexed_to = position

    def _next_group(self, after: int) -> list[tuple[int, int, int, bytes]]:
        return [
            (seq_last, count, codec, blob)
            for seq_last, count, codec, blob in self._connection.execute(
                "SELECT seq_last, records, codec, blob FROM page WHERE grp = "
                "(SELECT min(grp) FROM page WHERE grp > ? AND grp <= ?)",
                (after, self.sealed_to),
            )
        ]

    def _purge_piece(self) -> bool:
        """Take rows of dropped records out of the index, some time after the drop."""
        if self._purging is None:
            oldest = self._usage.oldest(None)
            if oldest is None or oldest - self._purged_below < INDEX_RECORDS or not self.indexed_to:
                return False
            self._purging = self._purge(oldest)
        try:
            next(self._purging)
        except StopIteration:
            self._purging = None
        except BaseException:
            self._purging = None
            raise
        return True

    def _purge(self, oldest: int) -> Iterator[None]:
        key: tuple[str, int, int] = ("", 0, 0)
        while True:
            rows = self._connection.execute(
                "SELECT name, revision, seq, seq_last FROM entity "
                "WHERE (name, revision, seq) > (?, ?, ?) ORDER BY name, revision, seq LIMIT ?",
                (*key, _PURGE_ROWS_EACH),
            ).fetchall()
            if not rows:
                break
            with transaction(self._connection):
                for name, revision, seq, seq_last in rows:
                    if _number(seq_last) < oldest:
                        self._connection.execute(
                            "DELETE FROM entity WHERE name = ? AND revision = ? AND seq = ?",
                            (name, revision, seq),
                        )
            name, revision, seq, _ = rows[-1]
            key = (str(name), _number(revision), _number(seq))
            yield
        with transaction(self._connection):
            self._set("purged_below", oldest)
        self._purged_below = oldest

    # Verifying what the opening of a large file had no time for; slowly, it is not urgent.

    def _scrub_piece(self, after: int) -> None:
        checked = None
        for id_, seq_first, seq_last, cls, records, crc, blob in self._connection.execute(
            "SELECT id, seq_first, seq_last, cls, records, crc, blob FROM page "
            "WHERE id > ? ORDER BY id LIMIT ?",
            (after, _SCRUB_PAGES_EACH),
        ):
            if page_crc(seq_first, seq_last, cls, records, blob) != crc:
                raise PageDamaged(
                    f"the page of records {seq_first} to {seq_last} fails its checksum"
                )
            checked = id_
        self.scrub_after = checked


def _runs(rows: list[PageRow]) -> Iterator[list[PageRow]]:
    """Neighbouring pages of one stream that fit into one."""
    run: list[PageRow] = []
    count = size = 0
    for row in rows:
        if run and (count + row.records > PAGE_RECORDS_MAX or size + row.stored > PAGE_BYTES_MAX):
            yield run
            run, count, size = [], 0, 0
        run.append(row)
        count += row.records
        size += row.stored
    if run:
        yield run


def _merged(grp: int, rows: list[PageRow]) -> PageRow:
    first, last = rows[0], rows[-1]
    count = sum(row.records for row in rows)
    codec, blob = encode_merged(merge_pages([(row.codec, row.blob) for row in rows]))
    return PageRow(
        grp=grp,
        seq_first=first.seq_first,
        seq_last=last.seq_last,
        cls=first.cls,
        origin=first.origin,
        records=count,
        hlc_first=min(row.hlc_first for row in rows),
        hlc_last=max(row.hlc_last for row in rows),
        oseq_first=min(row.oseq_first for row in rows),
        oseq_last=max(row.oseq_last for row in rows),
        stored=len(blob),
        crc=page_crc(first.seq_first, last.seq_last, first.cls, count, blob),
        codec=codec,
        blob=blob,
    )


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0
