"""The database of the index: its tables, how it is opened, and what its errors mean."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import apsw

from littoral.rql import fold
from littoral.search.errors import IndexDamaged, QueryTimeExceeded

FORMAT = "3"
"""Of the tables. An index of another format is thrown away: it is made of what the log has."""

PAGE_BYTES = 2048
"""Small, because a change touches a few rows that lie far apart."""

_TABLES = """
CREATE TABLE meta(key TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE path(
    no INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE, wild INTEGER NOT NULL, parent INTEGER,
    many INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX path_wild ON path(wild);
CREATE TABLE policy(
    no INTEGER PRIMARY KEY, id TEXT NOT NULL, namespace TEXT NOT NULL, UNIQUE(id, namespace)
);
CREATE TABLE subject(no INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE);
CREATE TABLE shape(no INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE);
CREATE TABLE access(
    subject INTEGER, policy INTEGER, shape INTEGER NOT NULL, PRIMARY KEY(subject, policy)
) WITHOUT ROWID;
CREATE INDEX access_policy ON access(policy);
CREATE TABLE thing(
    place BLOB PRIMARY KEY, id TEXT NOT NULL, policy INTEGER NOT NULL, revision INTEGER NOT NULL,
    created INTEGER NOT NULL, modified INTEGER NOT NULL, seq INTEGER NOT NULL,
    hidden INTEGER NOT NULL
) WITHOUT ROWID;
CREATE UNIQUE INDEX thing_id ON thing(id);
CREATE TABLE leaf(
    thing BLOB, wild INTEGER, path INTEGER, i INTEGER, v, PRIMARY KEY(thing, wild, path, i)
) WITHOUT ROWID;
"""
_VALUES = "CREATE INDEX IF NOT EXISTS leaf_value ON leaf(wild, v, thing, path)"
_MODIFIED = "CREATE INDEX IF NOT EXISTS thing_modified ON thing(modified, place)"

_TEMPORARY = """
CREATE TEMP TABLE incoming(thing BLOB, wild, path, i, v, PRIMARY KEY(thing, wild, path, i))
WITHOUT ROWID;
CREATE TEMP TABLE audience(aud, policy, klass, PRIMARY KEY(aud, policy)) WITHOUT ROWID;
CREATE TEMP TABLE seen(aud, klass, path, PRIMARY KEY(aud, klass, path)) WITHOUT ROWID;
CREATE TEMP TABLE absent(prop, place, PRIMARY KEY(prop, place)) WITHOUT ROWID;
CREATE TEMP VIEW change(id, wild, path, v, seq, revision, modified) AS
SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL;
CREATE TEMP TRIGGER change_leaf INSTEAD OF INSERT ON change WHEN new.id IS NOT NULL BEGIN
    UPDATE leaf SET v = new.v WHERE thing = (SELECT place FROM thing
            WHERE id = new.id AND seq <= new.seq AND NOT hidden)
        AND wild = new.wild AND path = new.path AND i = 0
        AND v IS NOT NULL AND (v < x'' OR v >= x'30');
    SELECT unfit(new.id) WHERE changes() = 0
        AND NOT EXISTS (SELECT 1 FROM thing WHERE id = new.id AND seq > new.seq);
    UPDATE thing SET revision = new.revision, modified = max(modified, new.modified), seq = new.seq
        WHERE id = new.id AND seq < new.seq;
END;
"""
"""A row of ``change`` sets a leaf that is there to a scalar. Where that cannot be done, because the
leaf is not there or is no scalar, the thing has another form now and is told to ``unfit``."""

_STEPS = (256, 64, 16, 4, 1)
"""Rows per statement: each step of a statement hands the interpreter over and waits for it."""


def connect(path: str, *, cache_kib: int) -> apsw.Connection:
    """Open the file for this connection alone, without a journal: see `begin`."""
    connection = apsw.Connection(path)
    connection.set_busy_timeout(1000)
    connection.pragma("page_size", PAGE_BYTES)
    connection.pragma("locking_mode", "exclusive")
    connection.pragma("journal_mode", "off")
    connection.pragma("cache_size", -cache_kib)
    connection.pragma("temp_store", "memory")
    connection.pragma("trusted_schema", value=False)
    connection.create_scalar_function("fold", _fold, 1, deterministic=True)
    return connection


def create(connection: apsw.Connection) -> None:
    """Make the tables of an empty file."""
    connection.execute("BEGIN IMMEDIATE")
    connection.execute(_TABLES)
    connection.execute("INSERT INTO meta VALUES('format', ?)", (FORMAT,))
    connection.execute("COMMIT")


def begin(connection: apsw.Connection) -> None:
    """Note in the file that it is being changed, and begin the one transaction that changes it.

    Nothing is journalled and nothing synced until `end`: a file that was not ended is worth nothing.
    """
    connection.pragma("synchronous", "full")
    set_meta(connection, "ended", 0)
    connection.pragma("synchronous", "off")
    connection.execute("BEGIN IMMEDIATE")


def end(connection: apsw.Connection, *, position: int) -> None:
    """Write all changes, and only when they are on the disk, that they are."""
    connection.execute("COMMIT")
    connection.pragma("synchronous", "full")
    set_meta(connection, "position", position)
    set_meta(connection, "ended", 1)


def is_sound(connection: apsw.Connection) -> bool:
    """Whether the file was ended, and nothing in it is damaged."""
    return (
        get_meta(connection, "ended") == 1
        and connection.execute("PRAGMA quick_check(1)").get == "ok"
    )


def index_values(connection: apsw.Connection) -> None:
    """Make the index of values; an index that is being filled does without it."""
    connection.execute(_VALUES)


def index_modified(connection: apsw.Connection) -> None:
    """Make the index of the last change, if there is none: each change would move an entry of it."""
    connection.execute(_MODIFIED)


def forget_modified(connection: apsw.Connection) -> None:
    """Drop what `index_modified` made."""
    connection.execute("DROP INDEX IF EXISTS thing_modified")


def create_temporary(connection: apsw.Connection) -> None:
    """Make the tables that live as long as the connection."""
    connection.execute(_TEMPORARY)


def empty(connection: apsw.Connection) -> bool:
    """Whether nothing was ever committed to this file."""
    return bool(connection.execute("SELECT count(*) = 0 FROM sqlite_schema").get)


def get_meta(connection: apsw.Connection, key: str) -> object:
    """A value of the file's own; None if there is none."""
    return connection.execute("SELECT value FROM meta WHERE key = ?", (key,)).get


def set_meta(connection: apsw.Connection, key: str, value: str | int) -> None:
    """Write a value of the file's own."""
    connection.execute("INSERT OR REPLACE INTO meta VALUES(?, ?)", (key, value))


def write_rows(
    connection: apsw.Connection, head: str, tail: str, rows: Sequence[Sequence[object]]
) -> int:
    """Run ``head (VALUES …) tail`` for all rows, many at a time; return how many rows it changed."""
    changed = 0
    at = 0
    while at < len(rows):
        count = next(step for step in _STEPS if step <= len(rows) - at)
        marks = f"({', '.join('?' * len(rows[at]))})"
        fields = [field for row in rows[at : at + count] for field in row]
        connection.execute(f"{head} (VALUES {', '.join([marks] * count)}) {tail}", fields)
        changed += connection.changes()
        at += count
    return changed


@contextmanager
def translated(doing: str) -> Iterator[None]:
    """Turn SQLite's errors into those of search."""
    try:
        yield
    except apsw.InterruptError as e:
        raise QueryTimeExceeded(
            "the search took too long.",
            hint="Narrow the filter down, or sort by thingId.",
        ) from e
    except (apsw.Error, OSError) as e:
        raise IndexDamaged(f"{doing}: {type(e).__name__}: {e}.") from e


def _fold(*texts: Any) -> str:
    (text,) = texts
    return fold(text) if isinstance(text, str) else ""
