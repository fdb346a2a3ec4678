"""The database of the index: its tables, how it is opened, and what its errors mean."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import apsw

from littoral.rql import fold
from littoral.search.errors import IndexDamaged, QueryTimeExceeded

FORMAT = "2"
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
CREATE INDEX thing_modified ON thing(modified, place);
CREATE TABLE leaf(
    thing BLOB, wild INTEGER, path INTEGER, i INTEGER, v, PRIMARY KEY(thing, wild, path, i)
) WITHOUT ROWID;
"""
_VALUES = "CREATE INDEX IF NOT EXISTS leaf_value ON leaf(wild, v, thing, path)"

_TEMPORARY = """
CREATE TEMP TABLE incoming(thing BLOB, wild, path, i, v, PRIMARY KEY(thing, wild, path, i))
WITHOUT ROWID;
CREATE TEMP TABLE audience(aud, policy, klass, PRIMARY KEY(aud, policy)) WITHOUT ROWID;
CREATE TEMP TABLE seen(aud, klass, path, PRIMARY KEY(aud, klass, path)) WITHOUT ROWID;
CREATE TEMP TABLE absent(prop, place, PRIMARY KEY(prop, place)) WITHOUT ROWID;
"""

_STEPS = (256, 64, 16, 4, 1)
"""Rows per statement: each step of a statement hands the interpreter over and waits for it."""


def connect(path: str, *, cache_kib: int) -> apsw.Connection:
    """Open the file in WAL with ``synchronous=NORMAL``; nothing is checkpointed but on request."""
    connection = apsw.Connection(path)
    connection.set_busy_timeout(1000)
    connection.pragma("page_size", PAGE_BYTES)
    connection.pragma("journal_mode", "wal")
    connection.pragma("synchronous", "normal")
    connection.pragma("wal_autocheckpoint", 0)
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


def index_values(connection: apsw.Connection) -> None:
    """Make the index of values; an index that is being filled does without it."""
    connection.execute(_VALUES)


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
