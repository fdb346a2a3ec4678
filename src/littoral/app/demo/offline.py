"""Reads a stopped node's log, through the log's own adapter, for the verdict."""

from collections.abc import Iterator
from pathlib import Path

from littoral.app.demo.model import Stored
from littoral.kernel.ids import Origin
from littoral.log import Record
from littoral.log.adapters.files import Directory
from littoral.log.adapters.sqlite import SqliteStore

READ_RECORDS = 4096
THING = "thing:"


def read_stored(directory: Path, node: str) -> Iterator[Stored]:
    """All records of things in the log of ``node``, in the order of its seqs.

    The log is opened as the node itself would open it, which recovers what a SIGKILL left.
    """
    store = SqliteStore(Directory(directory))
    store.open(origin=Origin(f"{node}/{'f' * 16}"))
    try:
        after = 0
        while records := store.read(after, limit=READ_RECORDS):
            after = records[-1].seq
            for record in records:
                if record.entity.startswith(THING):
                    yield stored(record)
    finally:
        store.close()


def stored(record: Record) -> Stored:
    """What the verdict needs of ``record``."""
    number = record.headers.get("id") if record.headers else None
    return Stored(
        seq=record.seq,
        origin=record.origin,
        oseq=record.oseq,
        cls=int(record.cls),
        thing_id=record.entity.removeprefix(THING),
        number=int(number) if isinstance(number, str) and number.isdigit() else None,
    )
