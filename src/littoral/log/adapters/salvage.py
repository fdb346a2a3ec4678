"""Opening a damaged log: find the damage, copy out what can be read, put the rest aside.

The new file is finished under another name before anything is renamed, so that a crash at any
moment leaves either the damaged file to salvage again, or the finished one to put in its place.
"""

import heapq
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import NamedTuple

import apsw

from littoral.kernel.ids import NodeId, Origin
from littoral.log.adapters.carving import Image, Row, Wal, read_wal, wal_damage
from littoral.log.adapters.database import (
    FILE,
    FORMAT,
    check_format,
    create_tables,
    is_damage,
    is_empty,
    root_pages,
    transaction,
)
from littoral.log.adapters.pages import (
    OriginNumbers,
    PageRow,
    checked_page,
    insert_page,
    page_crc,
    rows_of,
)
from littoral.log.codec import PageDamaged
from littoral.log.errors import LogTooNew
from littoral.log.model import BATCH_RECORDS_MAX, Record, Salvage
from littoral.log.ports import Files

VERIFY_BYTES_MAX = 64 << 20
"""A file up to this size is read whole at its opening; of a larger one only the newest part."""

SUSPECT = "suspect"
"""Name of a file that says: the last process found damage, verify everything."""

_WAL, _SHM = FILE + "-wal", FILE + "-shm"
_GROWING, _FINISHED = FILE + ".salvaging", FILE + ".salvaged"

_SEQ_JUMP = 1_000_000
"""Seqs left out after a salvage: what was lost at the end may have been seen by a reader."""

_GAPS_MAX = 1000
_KV_EACH = 1000

Connect = Callable[[str], apsw.Connection]


def find_damage(files: Files, connect: Connect) -> str | None:
    """What is wrong with the log's file; None if nothing is, or if there is no file.

    Raises:
        LogTooNew: nothing is wrong, but this release cannot use it.
    """
    size = files.size(FILE)
    wal_size = files.size(_WAL) or 0
    read = partial(files.read, _WAL)
    if wal_size and (damage := wal_damage(read, wal_size, None)) is not None:
        return damage
    if not size:
        # SQLite would throw away a WAL whose database is empty.
        lost = wal_size and read_wal(read, wal_size).pages
        return "the database file is missing or empty" if lost else None
    connection: apsw.Connection | None = None
    try:
        connection = connect(FILE)
        frames, _ = connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_NOOP)
        damage = wal_damage(read, wal_size, frames) if wal_size else None
        if damage is None:
            damage = _verify(connection, size, everything=files.size(SUSPECT) is not None)
    except apsw.Error as e:
        if not is_damage(e):
            raise
        damage = f"{type(e).__name__}: {e}"
    except PageDamaged as e:
        damage = str(e)
    finally:
        if connection is not None:
            # Whatever is wrong, closing must not write: the damaged files are evidence.
            connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
            connection.close()
    if damage is None:
        files.remove(SUSPECT)
    return damage


def _verify(connection: apsw.Connection, size: int, *, everything: bool) -> str | None:
    connection.execute("PRAGMA cell_size_check = on")
    if is_empty(connection):
        return None if size <= 4096 * 2 else "the database has lost its tables"
    check_format(connection)
    whole = everything or size <= VERIFY_BYTES_MAX
    if whole:
        answer = connection.execute("PRAGMA quick_check(1)").get
        if answer != "ok":
            return str(answer)
    checked = 0
    for seq_first, seq_last, cls, records, crc, blob in connection.execute(
        "SELECT seq_first, seq_last, cls, records, crc, blob FROM page ORDER BY grp DESC"
    ):
        # Not decoded: bytes that pass their checksum are what was encoded.
        if page_crc(seq_first, seq_last, cls, records, blob) != crc:
            return f"the page of records {seq_first} to {seq_last} fails its checksum"
        checked += len(blob)
        if not whole and checked > VERIFY_BYTES_MAX // 4:
            break
    return None


def finish_interrupted(files: Files, epoch: str) -> None:
    """Put a salvaged file in its place, if a crash came between; throw away a half-made one."""
    if files.size(_FINISHED) is not None:
        _put_in_place(files, epoch)
    for suffix in ("", "-wal", "-shm", "-journal"):
        files.remove(_GROWING + suffix)


def _put_in_place(files: Files, epoch: str) -> str:
    aside = f"{FILE}.damaged-{epoch}"
    for name in (FILE, _WAL):
        if files.size(name) is not None:
            files.rename(name, name.replace(FILE, aside, 1))
    files.remove(_SHM)
    files.rename(_FINISHED, FILE)
    files.remove(SUSPECT)
    files.sync()
    return aside


def salvage(files: Files, connect: Connect, *, node: NodeId, epoch: str, damage: str) -> Salvage:
    """Make a new file of what the damaged one still says; move the damaged one aside."""
    finish_interrupted(files, epoch)
    wal_size = files.size(_WAL) or 0
    wal = read_wal(partial(files.read, _WAL), wal_size) if wal_size else Wal()
    image = Image(partial(files.read, FILE), files.size(FILE) or 0, partial(files.read, _WAL), wal)
    found = Finder(image)
    target = connect(_GROWING)
    copy = _Copy(target, found)
    try:
        create_tables(target, str(found.meta.get("node", node)))
        copy.run()
    finally:
        target.close()
    files.rename(_GROWING, _FINISHED)
    files.sync()
    aside = _put_in_place(files, epoch)
    complete = found.whole and wal.damage is None
    return Salvage(
        moved_to=aside,
        records_kept=copy.kept,
        records_lost=sum(b - a + 1 for a, b in copy.gaps) if complete else None,
        seq_gaps=tuple(copy.gaps[:_GAPS_MAX]),
        detail=f"{damage}; kept {copy.kept} records and {copy.keys} keys, "
        f"could not read {copy.unreadable} pages of records",
    )


class Finder:
    """What tables the bytes of the file hold, whether or not SQLite can reach them."""

    def __init__(self, image: Image) -> None:
        self._image = image
        self.whole = image.has_header()
        """Whether every page on the way to the rows could be read."""
        self._roots = root_pages()
        for _, row in image.rows(1):
            if len(row) == 5 and row[1] in self._roots and isinstance(row[3], int):
                self._roots[str(row[1])] = row[3]
        self.meta: dict[str, object] = {
            row[0]: row[1]
            for row in image.index_rows(self._roots["meta"])
            if len(row) == 2 and isinstance(row[0], str)
        }
        needed = self.meta.get("min_reader")
        if isinstance(needed, int) and needed > FORMAT:
            raise LogTooNew(
                f"the log is damaged and was written in a format that needs a reader of {needed}.",
                hint="Install the release that wrote it; it salvages the file.",
            )
        self._orphans: list[int] | None = None

    def table(self, name: str, columns: int) -> Iterator[tuple[int, int, Row]]:
        """``(page number, rowid, values)`` of a table's rows.

        If its tree is damaged, every leaf that no tree reaches is searched for such rows too:
        after the reachable ones, because those are certain to be up to date.
        """
        leaves, whole = self._image.leaves(self._roots[name])
        self.whole = self.whole and whole
        for number in leaves:
            yield from self._rows(number, columns)
        if not whole:
            for number in self._unreached():
                yield from self._rows(number, columns)

    def _rows(self, number: int, columns: int) -> Iterator[tuple[int, int, Row]]:
        for rowid, row in self._image.rows(number):
            if len(row) == columns and row[0] is None:
                yield number, rowid, row

    def _unreached(self) -> list[int]:
        if self._orphans is None:
            reached = set(self._image.free())
            for name in ("epoch", "origin", "page", "kv"):
                reached.update(self._image.leaves(self._roots[name])[0])
            self._orphans = [
                n
                for n in range(2, self._image.pages + 1)
                if n not in reached and self._image.page(n)[:1] == b"\x0d"
            ]
        return self._orphans

    def page_row(self, number: int, rowid: int) -> PageRow:
        """Read a row of pages again; they are too large to be kept."""
        for found, row in self._image.rows(number):
            if found == rowid and len(row) == len(PageRow._fields) + 1:
                return _page_row(row)
        raise PageDamaged("the row is gone")


class _Where(NamedTuple):
    seq_first: int
    number: int
    rowid: int


class _Copy:
    """Writes what `Finder` finds into a new file."""

    def __init__(self, target: apsw.Connection, found: Finder) -> None:
        self._target = target
        self._found = found
        self.kept = self.keys = self.unreadable = 0
        self.gaps: list[tuple[int, int]] = []
        self._last = 0
        self._dropped_to = max(
            (v for k, v in found.meta.items() if k.startswith("dropped/") and isinstance(v, int)),
            default=0,
        )

    def run(self) -> None:
        """Copy everything, in bounded transactions."""
        self._copy_keys()
        self._copy_epochs()
        numbers = OriginNumbers()
        names = {
            rowid: Origin(row[1])
            for _, rowid, row in self._found.table("origin", 2)
            if isinstance(row[1], str)
        }
        for name in names.values():
            numbers.of(name)
        batch: list[Record] = []
        for record in self._records():
            self._note(record.seq)
            batch.append(record)
            if len(batch) == BATCH_RECORDS_MAX:
                self._write(batch, numbers)
                batch = []
        self._write(batch, numbers)
        self._copy_meta()

    def _write(self, batch: list[Record], numbers: OriginNumbers) -> None:
        rows = list(rows_of(batch, numbers))
        with transaction(self._target):
            numbers.write_new(self._target)
            for row in rows:
                insert_page(self._target, row)
        numbers.committed()
        self.kept += len(batch)

    def _note(self, seq: int) -> None:
        # Below the last drop a gap is what retention took, and the ledger has it.
        first = max(self._last, self._dropped_to) + 1
        if seq > first:
            self.gaps.append((first, seq - 1))
        self._last = seq

    def _records(self) -> Iterator[Record]:
        """Every readable record once, in order of seq."""
        where: list[_Where] = []
        for number, rowid, row in self._found.table("page", len(PageRow._fields) + 1):
            try:
                where.append(_Where(_page_row(row).seq_first, number, rowid))
            except PageDamaged:
                self.unreadable += 1
        where.sort()
        heap: list[Record] = []
        last = 0
        for at in where:
            while heap and heap[0].seq < at.seq_first:
                record = heapq.heappop(heap)
                if record.seq > last:
                    last = record.seq
                    yield record
            for record in self._page(at):
                heapq.heappush(heap, record)
        while heap:
            record = heapq.heappop(heap)
            if record.seq > last:
                last = record.seq
                yield record

    def _page(self, at: _Where) -> Iterable[Record]:
        try:
            row = self._found.page_row(at.number, at.rowid)
            return checked_page(
                row.seq_first, row.seq_last, row.cls, row.records, row.crc, row.codec, row.blob
            )
        except PageDamaged:
            self.unreadable += 1
            return ()

    def _copy_keys(self) -> None:
        rows: list[tuple[str, str, bytes]] = []
        for _, _, (_, space, key, value) in self._found.table("kv", 4):
            if isinstance(space, str) and isinstance(key, str) and isinstance(value, bytes):
                rows.append((space, key, value))
            if len(rows) == _KV_EACH:
                self._write_keys(rows)
                rows = []
        self._write_keys(rows)
        self.keys = int(str(self._target.execute("SELECT count(*) FROM kv").get))

    def _write_keys(self, rows: list[tuple[str, str, bytes]]) -> None:
        with transaction(self._target):
            self._target.executemany(
                "INSERT OR IGNORE INTO kv(space, key, value) VALUES(?, ?, ?)", rows
            )

    def _copy_epochs(self) -> None:
        with transaction(self._target):
            for _, rowid, row in self._found.table("epoch", 4):
                if isinstance(row[1], str) and "/" in row[1]:
                    self._target.execute(
                        "INSERT OR IGNORE INTO epoch VALUES(?, ?, ?, ?)", (rowid, *row[1:])
                    )

    def _copy_meta(self) -> None:
        with transaction(self._target):
            for key, value in self._found.meta.items():
                if key.startswith("dropped") or key == "hlc_ahead":
                    self._target.execute(
                        "INSERT OR REPLACE INTO meta VALUES(?, ?)", (key, _number(value))
                    )
            head = max(self._last, _number(self._found.meta.get("dropped_head"))) + _SEQ_JUMP
            stamp = max(
                _number(self._found.meta.get("hlc_ahead")),
                _number(self._found.meta.get("dropped_hlc")),
            )
            self._target.executemany(
                "INSERT OR REPLACE INTO meta VALUES(?, ?)",
                [("dropped_head", head), ("dropped_hlc", stamp)],
            )


def _page_row(row: Row) -> PageRow:
    numbers = [v for v in row[1:-1] if isinstance(v, int)]
    blob = row[-1]
    if len(numbers) != len(PageRow._fields) - 1 or not isinstance(blob, bytes):
        raise PageDamaged("the row has other columns")
    return PageRow._make((*numbers, blob))


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0
