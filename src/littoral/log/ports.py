"""What the log needs from the world: a store that is synchronous, and someone to run its commits."""

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from littoral.kernel.ids import Origin
from littoral.log.model import Batch, ClassUsage, Loss, Opened, Record, RecordClass


class Store(Protocol):
    """Durable pages of records beside a table of keys and values. Blocking; no thread of its own.

    `apply`, `probe`, `maintain`, `losses` and `drop` are called by one thread at a time (the
    committer's); the reading methods by the loop's thread, also while `apply` runs, and see only
    what is committed. Any of them may raise `LogBroken`; then nothing is called again but `close`.
    """

    def open(self, *, origin: Origin) -> Opened:
        """Open or make the files, salvage what is damaged, and begin the epoch ``origin``.

        Raises:
            LogTooNew, LogInUse, LogOfAnotherNode, LogFull, LogBroken.
        """
        ...

    def apply(self, batch: Batch) -> None:
        """Make ``batch`` durable; when this returns, it survives a power cut.

        Raises:
            LogFull: nothing was written; the store goes on.
            LogBroken: unknown what was written; never call again.
        """
        ...

    def probe(self) -> None:
        """Raise `LogFull` unless there is room for a batch again."""
        ...

    def read(
        self,
        after: int,
        *,
        limit: int,
        cls: int | None = None,
        origin: Origin | None = None,
    ) -> list[Record]:
        """Committed records with ``seq > after`` in seq order, at most ``limit`` of them."""
        ...

    def by_seq(self, seqs: Iterable[int]) -> list[Record]:
        """The records with these seqs, in the order asked; missing ones are left out."""
        ...

    def indexed_to(self) -> int:
        """Up to this seq, `sealed_history` knows every record; 0 if there is no index yet."""
        ...

    def sealed_history(self, entity: str, *, first: int, last: int) -> list[tuple[int, int]]:
        """``(revision, seq)`` of the entity's indexed records, first <= revision <= last, ascending."""
        ...

    def get(self, space: str, key: str) -> bytes | None:
        """The committed value of a key."""
        ...

    def scan(
        self, space: str, *, prefix: str = "", after: str = "", limit: int
    ) -> list[tuple[str, bytes]]:
        """Committed keys of ``space`` that begin with ``prefix`` and are > ``after``, in key order."""
        ...

    def oldest(self, cls: int | None = None) -> int:
        """Seq of the oldest record kept (of that class); head + 1 if there is none."""
        ...

    def dropped_to(self, cls: int) -> int:
        """The highest seq of that class that retention took away; 0 if none."""
        ...

    def usage(self) -> Sequence[ClassUsage]:
        """What each class uses."""
        ...

    def size(self) -> tuple[int, int]:
        """Bytes in use (without free pages), and bytes of the write-ahead log."""
        ...

    def maintain(self, *, sealed_to: int) -> bool:
        """Do one bounded piece of housekeeping (seal pages up to ``sealed_to``, index, checkpoint).

        Called on the committer between batches. True if there is more to do.
        """
        ...

    def losses(
        self, cls: RecordClass, *, older_than_ms: int | None, bytes_over: int, below: int
    ) -> Loss | None:
        """The oldest records of ``cls`` that a cut would take, all with seq < ``below``.

        With ``older_than_ms``: only records accepted before it. Without: as many as free at least
        ``bytes_over``. A bounded number at a time, rounded to what the store can drop at once.
        """
        ...

    def drop(self, cls: RecordClass, *, up_to: int) -> None:
        """Drop the records of ``cls`` with seq <= ``up_to``; the ledger record is already durable."""
        ...

    def close(self) -> None:
        """Let go of the files. Idempotent."""
        ...


class Committer(Protocol):
    """Runs blocking work one piece at a time: a thread in `app`, inline in `simulate`."""

    def run(self, work: Callable[[], None], done: Callable[[BaseException | None], None]) -> None:
        """Run ``work``, in the order asked; then call ``done`` on the loop with what it raised.

        ``done`` is never called before `run` has returned.
        """
        ...

    def close(self) -> None:
        """Wait for what runs, then refuse. Idempotent."""
        ...


class Scheduler(Protocol):
    """What the log asks of the event loop. An asyncio loop is one."""

    def call_soon(self, callback: Callable[..., object], *args: object) -> object:
        """Call back in the next iteration."""
        ...

    def call_later(self, delay: float, callback: Callable[..., object], *args: object) -> object:
        """Call back in ``delay`` seconds."""
        ...


class Files(Protocol):
    """One directory, as far as the SQLite store handles files itself (salvage, lock)."""

    def path(self, name: str) -> str:
        """What SQLite is to open for ``name``."""
        ...

    def lock(self) -> None:
        """Make the directory ours until `unlock`; raise `LogInUse` if it is somebody else's."""
        ...

    def unlock(self) -> None:
        """Let go of the directory. Idempotent."""
        ...

    def size(self, name: str) -> int | None:
        """Bytes of a file; None if there is none."""
        ...

    def read(self, name: str, offset: int, size: int) -> bytes:
        """Bytes of a file, fewer at its end."""
        ...

    def write(self, name: str, offset: int, data: bytes) -> None:
        """Overwrite a part of a file, or make it; durable when this returns."""
        ...

    def rename(self, name: str, to: str) -> None:
        """Rename within the directory; durable after `sync`."""
        ...

    def remove(self, name: str) -> None:
        """Remove a file if it is there."""
        ...

    def sync(self) -> None:
        """Make names made, changed and removed durable."""
        ...
