"""The log's pages and keys in one SQLite file.

One connection writes, checkpoints and is used by the committer alone; another one reads, on the
loop's thread. Each commit is one transaction of few, large rows. Who checkpoints: the committer's
thread, by `maintain` when the WAL is over `WAL_BYTES_SOFT`, or after a commit when it is over
`WAL_BYTES_HARD`; SQLite's own automatic checkpoint is off.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress

import apsw

from littoral.kernel.ids import NodeId, Origin
from littoral.log.adapters.database import (
    FILE,
    FORMAT,
    PAGE_BYTES,
    check_format,
    check_library,
    connect,
    create_tables,
    is_damage,
    is_empty,
    raise_format,
    transaction,
    translated,
)
from littoral.log.adapters.pages import OriginNumbers, insert_page, rows_of
from littoral.log.adapters.reading import Reader
from littoral.log.adapters.retention import drop_pages, find_loss
from littoral.log.adapters.salvage import (
    SUSPECT,
    VERIFY_BYTES_MAX,
    find_damage,
    finish_interrupted,
    salvage,
)
from littoral.log.adapters.sealing import Sealer
from littoral.log.adapters.usage import Usage
from littoral.log.codec import PageDamaged
from littoral.log.errors import LogBroken, LogClosed, LogFull, LogOfAnotherNode
from littoral.log.model import Batch, ClassUsage, Epoch, Loss, Opened, Put, Record, RecordClass
from littoral.log.ports import Files

WAL_BYTES_SOFT = 2 << 20
"""From here on housekeeping checkpoints."""

WAL_BYTES_HARD = 16 << 20
"""From here on a commit is followed by a checkpoint: the bound that holds without housekeeping."""

_PUTS_EACH = 64
_MEASURE_EVERY = 64
"""Commits between two looks at the file's size: each look is two statements."""
_PROBE_BYTES = 1 << 20

_UPSERT = " ON CONFLICT(space, key) DO UPDATE SET value = excluded.value"
_PUT_ONE = "INSERT INTO kv(space, key, value) VALUES (?, ?, ?)" + _UPSERT  # noqa: S608
# One statement for many rows: each step of a statement lets go of the GIL and fights for it again.
_PUT_MANY = (
    "INSERT INTO kv(space, key, value) VALUES "  # noqa: S608
    + ", ".join(["(?, ?, ?)"] * _PUTS_EACH)
    + _UPSERT
)


class SqliteStore:
    """See `littoral.log.ports.Store`.

    Args:
        files: the directory that holds the log.
        vfs: a registered SQLite VFS instead of the operating system's, for simulation.
        exclusive: use one connection for everything; for a VFS without shared memory, and only
            with a committer that has no thread.
    """

    def __init__(self, files: Files, *, vfs: str | None = None, exclusive: bool = False) -> None:
        check_library()
        self._files = files
        self._vfs = vfs
        self._exclusive = exclusive
        self._write: apsw.Connection | None = None
        self._reader: Reader | None = None
        self._sealer: Sealer | None = None
        self._origins = OriginNumbers()
        self._usage = Usage()
        self._dropped: dict[int, int] = {}
        self._head = 0
        self._wal_pages = 0
        self._used_bytes = 0
        self._applied = 0

    # Opening.

    def open(self, *, origin: Origin) -> Opened:
        """See `littoral.log.ports.Store`."""
        self._files.lock()
        try:
            with translated("opening the log"):
                return self._open(origin)
        except BaseException:
            self.close()
            raise

    def _open(self, origin: Origin) -> Opened:
        node, _, epoch = origin.partition("/")
        finish_interrupted(self._files, epoch)
        salvaged = None
        damage = find_damage(self._files, self._connect)
        if damage is not None:
            salvaged = salvage(
                self._files, self._connect, node=NodeId(node), epoch=epoch, damage=damage
            )
        write = self._write = self._connect(FILE)
        if is_empty(write):
            create_tables(write, node)
            self._files.sync()
        check_format(write)
        stored_node = _meta(write, "node")
        if stored_node != node:
            raise LogOfAnotherNode(
                f"this directory holds the log of node {stored_node!r}, not of {node!r}.",
                hint="Use the old name, or another data directory.",
            )
        if _number(_meta(write, "format")) < FORMAT:
            raise_format(write)
        # Frames of a commit that a crash tore must not lie behind new ones: begin the WAL anew.
        write.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        write.set_wal_hook(self._on_wal)
        self._load(write)
        epochs = self._begin_epoch(write, origin)
        self._sealer = Sealer(write, self._usage)
        if (self._files.size(FILE) or 0) > VERIFY_BYTES_MAX:
            self._sealer.scrub_after = 0
        connection = write if self._exclusive else self._connect(FILE)
        self._reader = Reader(connection, self._origins, self._guarded)
        return Opened(NodeId(node), epochs, self._head, self._hlc(write), salvaged)

    def _connect(self, name: str) -> apsw.Connection:
        return connect(
            self._files.path(name), vfs=self._vfs, exclusive=self._exclusive, cache_kib=2048
        )

    def _load(self, write: apsw.Connection) -> None:
        self._origins = OriginNumbers()
        self._origins.load(write)
        self._usage = Usage()
        self._usage.load(write)
        for cls in RecordClass:
            self._dropped[cls] = _number(_meta(write, f"dropped/{cls:d}"))
        last = write.execute(
            "SELECT max(seq_last) FROM page WHERE grp = (SELECT max(grp) FROM page)"
        ).get
        self._head = max(_number(last), _number(_meta(write, "dropped_head")))
        self._used_bytes = _used_bytes(write)

    def _begin_epoch(self, write: apsw.Connection, origin: Origin) -> tuple[Epoch, ...]:
        epochs = [
            Epoch(Origin(of), previous, seq)
            for of, previous, seq in write.execute(
                "SELECT origin, previous, previous_seq FROM epoch ORDER BY id"
            )
        ]
        previous = epochs[-1].origin if epochs else None
        with transaction(write):
            write.execute(
                "INSERT INTO epoch(origin, previous, previous_seq) VALUES(?, ?, ?)",
                (origin, previous, self._head),
            )
        return (*epochs, Epoch(origin, previous, self._head))

    def _hlc(self, write: apsw.Connection) -> int:
        """The stamp after which the clock goes on: the newest one that was committed.

        A stamp whose commit failed was seen by nobody. The floor stored ahead counts only where
        the file has lost records and cannot say what the newest stamp was.
        """
        newest = max(self._usage.newest_hlc, _number(_meta(write, "dropped_hlc")))
        return newest or _number(_meta(write, "hlc_ahead"))

    # Writing: the committer's thread.

    def apply(self, batch: Batch) -> None:
        """See `littoral.log.ports.Store`."""
        write = self._writing()
        try:
            with self._guarded("committing a batch"):
                rows = list(rows_of(batch.records, self._origins))
                with transaction(write):
                    self._origins.write_new(write)
                    for row in rows:
                        insert_page(write, row)
                    _put_all(write, batch.puts)
                    if batch.hlc_ahead is not None:
                        _set_meta(write, "hlc_ahead", batch.hlc_ahead)
        except BaseException:
            self._origins.aborted()
            raise
        self._origins.committed()
        for row in rows:
            self._usage.added(row)
        if batch.records:
            self._head = batch.records[-1].seq
        self._applied += 1
        if self._applied % _MEASURE_EVERY == 0:
            self._used_bytes = _used_bytes(write)
        else:
            self._used_bytes += sum(row.stored for row in rows)
            self._used_bytes += sum(len(put.value) for put in batch.puts if put.value is not None)
        if self._wal_pages * PAGE_BYTES > WAL_BYTES_HARD:
            self._checkpoint(write)

    def probe(self) -> None:
        """See `littoral.log.ports.Store`. What it claims stays free inside the file."""
        write = self._writing()
        with self._guarded("looking for room"):
            with transaction(write):
                write.execute(
                    "INSERT INTO meta VALUES('probe', zeroblob(?)) "
                    "ON CONFLICT(key) DO UPDATE SET value = excluded.value",
                    (_PROBE_BYTES,),
                )
            with transaction(write):
                write.execute("DELETE FROM meta WHERE key = 'probe'")
        self._checkpoint(write)

    def maintain(self, *, sealed_to: int) -> bool:
        """See `littoral.log.ports.Store`."""
        write = self._writing()
        assert self._sealer is not None
        with self._guarded("sealing pages"):
            more = self._sealer.piece(sealed_to)
            self._used_bytes = _used_bytes(write)
        if self._wal_pages * PAGE_BYTES > WAL_BYTES_SOFT:
            self._checkpoint(write)
        return more

    def losses(
        self, cls: RecordClass, *, older_than_ms: int | None, bytes_over: int, below: int
    ) -> Loss | None:
        """See `littoral.log.ports.Store`. Whole groups at a time."""
        with self._guarded("planning retention"):
            return find_loss(
                self._writing(),
                self._origins,
                cls,
                older_than_ms=older_than_ms,
                bytes_over=bytes_over,
                below=below,
            )

    def drop(self, cls: RecordClass, *, up_to: int) -> None:
        """See `littoral.log.ports.Store`."""
        write = self._writing()
        with self._guarded("dropping records"):
            with transaction(write):
                records, stored = drop_pages(write, cls, up_to=up_to)
                _set_meta(write, f"dropped/{cls:d}", max(up_to, self._dropped[cls]))
                _set_meta(write, "dropped_head", self._head)
                _set_meta(write, "dropped_hlc", self._usage.newest_hlc)
            self._dropped[cls] = max(up_to, self._dropped[cls])
            self._usage.changed(cls, records=-records, stored=-stored)
            self._usage.reload_oldest(write, cls)
            self._used_bytes = _used_bytes(write)

    def _checkpoint(self, write: apsw.Connection) -> None:
        """Copy the WAL into the file and let it begin anew.

        RESTART keeps the WAL's length, so that commits overwrite blocks that the file system has
        allocated. A reader that is in the way, or a full disk, puts it off; nothing is lost.
        """
        try:
            with self._guarded("checkpointing"):
                write.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_RESTART)
                self._wal_pages = 0
        except LogFull:
            return
        except LogBroken as e:
            if not isinstance(e.__cause__, apsw.BusyError | apsw.LockedError):
                raise

    def _on_wal(self, _connection: apsw.Connection, _name: str, pages: int) -> int:
        self._wal_pages = pages
        return apsw.SQLITE_OK

    @contextmanager
    def _guarded(self, doing: str) -> Iterator[None]:
        """Turn errors into the log's; if the content is wrong, have the next opening verify it all."""
        try:
            with translated(doing, self._write):
                yield
        except PageDamaged as e:
            self._suspect()
            raise LogBroken(f"{doing}: {e}.", hint="The next start salvages the log.") from e
        except LogBroken as e:
            if e.__cause__ is not None and is_damage(e.__cause__):
                self._suspect()
            raise

    def _suspect(self) -> None:
        # On a broken disk this may fail too; then the next opening verifies what it always does.
        with suppress(OSError):
            self._files.write(SUSPECT, 0, b"1")

    def _writing(self) -> apsw.Connection:
        if self._write is None:
            raise LogClosed("the log's file is closed.")
        return self._write

    # Reading: the loop's thread.

    def read(
        self, after: int, *, limit: int, cls: int | None = None, origin: Origin | None = None
    ) -> list[Record]:
        """See `littoral.log.ports.Store`."""
        return self._reading().read(after, limit=limit, cls=cls, origin=origin)

    def by_seq(self, seqs: Iterable[int]) -> list[Record]:
        """See `littoral.log.ports.Store`."""
        return self._reading().by_seq(seqs)

    def indexed_to(self) -> int:
        """See `littoral.log.ports.Store`."""
        return 0 if self._sealer is None else self._sealer.indexed_to

    def sealed_history(self, entity: str, *, first: int, last: int) -> list[tuple[int, int]]:
        """See `littoral.log.ports.Store`."""
        return self._reading().history(entity, first=first, last=last)

    def get(self, space: str, key: str) -> bytes | None:
        """See `littoral.log.ports.Store`."""
        return self._reading().get(space, key)

    def scan(
        self, space: str, *, prefix: str = "", after: str = "", limit: int
    ) -> list[tuple[str, bytes]]:
        """See `littoral.log.ports.Store`."""
        return self._reading().scan(space, prefix=prefix, after=after, limit=limit)

    def _reading(self) -> Reader:
        if self._reader is None:
            raise LogClosed("the log's file is closed.")
        return self._reader

    # From memory.

    def oldest(self, cls: int | None = None) -> int:
        """See `littoral.log.ports.Store`."""
        found = self._usage.oldest(cls)
        return self._head + 1 if found is None else found

    def dropped_to(self, cls: int) -> int:
        """See `littoral.log.ports.Store`."""
        return self._dropped[cls]

    def usage(self) -> Sequence[ClassUsage]:
        """See `littoral.log.ports.Store`."""
        return self._usage.report()

    def size(self) -> tuple[int, int]:
        """See `littoral.log.ports.Store`. As of the last commit or housekeeping."""
        return self._used_bytes, self._wal_pages * PAGE_BYTES

    def close(self) -> None:
        """See `littoral.log.ports.Store`."""
        reader, self._reader = self._reader, None
        write, self._write = self._write, None
        self._sealer = None
        if reader is not None and not self._exclusive:
            reader.close()
        if write is not None:
            try:
                # The last connection to close empties the WAL, unless the disk is broken.
                write.close()
            except apsw.Error:
                write.close(force=True)
        self._files.unlock()


def _put_all(write: apsw.Connection, puts: Sequence[Put]) -> None:
    """Write keys: many per statement; a key that is deleted costs a statement of its own."""
    kept = [put for put in puts if put.value is not None]
    whole = len(kept) - len(kept) % _PUTS_EACH
    for start in range(0, whole, _PUTS_EACH):
        fields = [field for put in kept[start : start + _PUTS_EACH] for field in put]
        write.execute(_PUT_MANY, fields)
    for put in kept[whole:]:
        write.execute(_PUT_ONE, put)
    for put in puts:
        if put.value is None:
            write.execute("DELETE FROM kv WHERE space = ? AND key = ?", (put.space, put.key))


def _set_meta(write: apsw.Connection, key: str, value: int) -> None:
    write.execute(
        "INSERT INTO meta VALUES(?, ?) ON CONFLICT(key) DO UPDATE SET value = excluded.value",
        (key, value),
    )


def _meta(write: apsw.Connection, key: str) -> object:
    return write.execute("SELECT value FROM meta WHERE key = ?", (key,)).get


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0


def _used_bytes(write: apsw.Connection) -> int:
    total = _number(write.pragma("page_count"))
    free = _number(write.pragma("freelist_count"))
    return (total - free) * PAGE_BYTES
