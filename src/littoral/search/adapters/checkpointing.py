"""Checkpoints of the index's file, beside its questions: copying pages takes longer than answering."""

import threading
from contextlib import suppress

import apsw

from littoral.search.adapters import tables


class Checkpointer:
    """A thread with a connection of its own, which copies the write-ahead log into the file.

    It never blocks who writes or reads; what is committed meanwhile is copied the next time.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._due = threading.Event()
        self._ended = False
        self._thread = threading.Thread(
            target=self._serve, name="littoral-search-checkpoint", daemon=True
        )
        self._thread.start()

    def poke(self) -> None:
        """Something was committed that is worth a checkpoint."""
        self._due.set()

    def close(self) -> None:
        """Let a checkpoint that runs finish, then end. Idempotent."""
        self._ended = True
        self._due.set()
        self._thread.join()

    def _serve(self) -> None:
        connection: apsw.Connection | None = None
        while True:
            self._due.wait()
            self._due.clear()
            if self._ended:
                break
            # A damaged file shows up where it is written and read, too; there it is dealt with.
            with suppress(apsw.Error, OSError):
                connection = connection or tables.connect(self._path, cache_kib=256)
                connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        if connection is not None:
            with suppress(apsw.Error):
                connection.close(force=True)
