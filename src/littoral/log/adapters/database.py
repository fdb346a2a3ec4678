"""The SQLite file: its tables, how a connection is set up, and what its errors mean."""

from collections.abc import Iterator
from contextlib import contextmanager
from errno import EDQUOT

import apsw

from littoral.kernel.errors import LittoralError
from littoral.log.errors import LogBroken, LogFull, LogTooNew

FILE = "log.db"

FORMAT = 2
"""What this release writes. 2: states of entities and values of the registry carry checksums."""

MIN_READER = 2
"""The oldest release (by its `FORMAT`) that may open what this one writes, also for writing."""

SQLITE_MIN = (3, 51, 3)
"""Older ones can corrupt a file whose WAL is reset by one connection while another one writes."""

PAGE_BYTES = 4096

# Numbers come before the blob, so that SQLite reads them without its overflow pages. `grp` is the
# first seq of a range of seqs, and the ranges of two groups never overlap: a batch as it was
# committed, or several that were merged. Inside a group each class and origin has its own pages.
_TABLES = """
CREATE TABLE meta(key TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE epoch(
    id INTEGER PRIMARY KEY, origin TEXT NOT NULL UNIQUE, previous TEXT, previous_seq INTEGER
);
CREATE TABLE origin(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE page(
    id INTEGER PRIMARY KEY, grp INTEGER NOT NULL, seq_first INTEGER NOT NULL,
    seq_last INTEGER NOT NULL, cls INTEGER NOT NULL, origin INTEGER NOT NULL,
    records INTEGER NOT NULL, hlc_first INTEGER NOT NULL, hlc_last INTEGER NOT NULL,
    oseq_first INTEGER NOT NULL, oseq_last INTEGER NOT NULL, stored INTEGER NOT NULL,
    crc INTEGER NOT NULL, codec INTEGER NOT NULL, blob BLOB NOT NULL
);
CREATE INDEX page_seq ON page(grp, seq_first, seq_last, cls, origin);
CREATE INDEX page_cls ON page(cls, grp, seq_first, seq_last, origin, records, stored, hlc_last);
CREATE TABLE kv(
    id INTEGER PRIMARY KEY, space TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL
);
CREATE UNIQUE INDEX kv_key ON kv(space, key);
CREATE TABLE entity(
    name TEXT, revision INTEGER, seq INTEGER, seq_last INTEGER, pairs BLOB,
    PRIMARY KEY(name, revision, seq)
) WITHOUT ROWID;
"""


def check_library() -> None:
    """Refuse to run on an SQLite that is known to lose data."""
    found = tuple(int(part) for part in apsw.sqlite_lib_version().split("."))
    if found < SQLITE_MIN:
        raise LogBroken(
            f"SQLite {apsw.sqlite_lib_version()} can corrupt a log; "
            f"{'.'.join(map(str, SQLITE_MIN))} or later is needed.",
            hint="Upgrade the package apsw.",
        )


def connect(path: str, *, vfs: str | None, exclusive: bool, cache_kib: int) -> apsw.Connection:
    """Open the file in WAL with `synchronous=FULL`; nothing is checkpointed but on request.

    Args:
        path: of the database.
        vfs: name of a registered SQLite VFS, for simulation.
        exclusive: one connection only; a VFS without shared memory can have no more.
        cache_kib: page cache.
    """
    connection = apsw.Connection(path, vfs=vfs)
    # Anything that tunes a connection is set before the first access to the file.
    connection.set_busy_timeout(1000)
    if exclusive:
        connection.pragma("locking_mode", "exclusive")
    connection.pragma("page_size", PAGE_BYTES)
    connection.pragma("journal_mode", "wal")
    connection.pragma("synchronous", "full")
    connection.pragma("wal_autocheckpoint", 0)
    connection.pragma("cache_size", -cache_kib)
    connection.pragma("temp_store", "memory")
    connection.pragma("trusted_schema", value=False)
    return connection


def create_tables(connection: apsw.Connection, node: str) -> None:
    """Make the tables of an empty file, in one transaction."""
    with transaction(connection):
        connection.execute(_TABLES)
        connection.executemany(
            "INSERT INTO meta VALUES(?, ?)",
            [("format", FORMAT), ("min_reader", MIN_READER), ("node", node)],
        )


def root_pages() -> dict[str, int]:
    """Where the tables of a file begin: the same in each, because each is made by one script."""
    template = apsw.Connection(":memory:")
    try:
        template.pragma("page_size", PAGE_BYTES)
        template.execute(_TABLES)
        return dict(
            template.execute("SELECT name, rootpage FROM sqlite_schema WHERE type = 'table'")
        )
    finally:
        template.close()


def is_empty(connection: apsw.Connection) -> bool:
    """Whether nothing was ever committed to this file."""
    return bool(connection.execute("SELECT count(*) = 0 FROM sqlite_schema").get)


def check_format(connection: apsw.Connection) -> None:
    """Raise `LogTooNew` if this release may not touch the file.

    A newer file says by ``min_reader`` who can still work with it: releases expand the format
    first (new tables, columns and fields that old ones ignore) and contract it a release later.
    """
    meta = dict(connection.execute("SELECT key, value FROM meta"))
    needed = meta.get("min_reader")
    if not isinstance(needed, int):
        raise apsw.CorruptError("meta has no min_reader")
    if needed > FORMAT:
        raise LogTooNew(
            f"the log was written in format {meta.get('format')}; it needs a release that reads "
            f"format {needed}, and this one reads {FORMAT}.",
            hint="Install the release that wrote it, or start with another data directory.",
            format=meta.get("format"),
            min_reader=needed,
        )


def raise_format(connection: apsw.Connection) -> None:
    """Note in an older file that this release writes into it from now on."""
    with transaction(connection):
        for key, value in (("format", FORMAT), ("min_reader", MIN_READER)):
            connection.execute("UPDATE meta SET value = max(value, ?) WHERE key = ?", (value, key))


@contextmanager
def transaction(connection: apsw.Connection) -> Iterator[None]:
    """All or nothing; durable when the block has ended."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


@contextmanager
def translated(doing: str, connection: apsw.Connection | None = None) -> Iterator[None]:
    """Turn SQLite's errors into the log's; what the system said is asked of ``connection``."""
    try:
        yield
    except apsw.Error as e:
        raise refusal_of(e, doing, 0 if connection is None else connection.system_errno) from e
    except OSError as e:
        raise LogBroken(f"{doing}: {e}.", hint="Look at the disk and the kernel's log.") from e


def refusal_of(error: apsw.Error, doing: str, system_errno: int = 0) -> LittoralError:
    """What an SQLite error means for the log."""
    # A full disk shows up as FULL, or, when SQLite's shared memory cannot grow, as this I/O error;
    # a used up quota as a write that failed. A sync that failed is another matter, whatever the reason.
    extended = getattr(error, "extendedresult", 0)
    over_quota = extended == apsw.SQLITE_IOERR_WRITE and system_errno == EDQUOT
    if isinstance(error, apsw.FullError) or extended == apsw.SQLITE_IOERR_SHMSIZE or over_quota:
        return LogFull(
            f"{doing}: the {'quota is used up' if over_quota else 'disk is full'}.",
            hint="Make room, or lower the log's total budget; reading goes on meanwhile.",
        )
    return LogBroken(
        f"{doing}: {type(error).__name__}: {error}.",
        hint="The process has to end; the next start reads what can be read.",
    )


def is_damage(error: BaseException) -> bool:
    """Whether the file's content is wrong, so that salvage can help."""
    # SQLError: a table is missing; SHORT_READ: the file ends before a page that must be there.
    short = getattr(error, "extendedresult", 0) == apsw.SQLITE_IOERR_SHORT_READ
    return short or isinstance(error, apsw.CorruptError | apsw.NotADBError | apsw.SQLError)
