"""What the log needs from the world: a store that is synchronous, and someone to run its commits."""

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from littoral.kernel.ids import Origin
from littoral.log.model import Batch, ClassUsage, Opened, Record, RecordClass, Salvage


class Store(Protocol):
    """Durable pages of records beside a table of keys and values. Blocking; no thread of its own.

    `apply` and `drop` are called by one thread at a time (the committer's); the reading methods
    by the loop's thread, also while `apply` runs, and see only what is committed.
    """

    def open(self, *, origin: Origin) -> Opened:
        """Open or make the files, salvage what is damaged, and begin the epoch ``origin``.

        Raises:
            LogTooNew, LogInUse, LogBroken.
        """
        ...

    def apply(self, batch: Batch) -> None:
        """Make ``batch`` durable; when this returns, it survives a power cut.

        Raises:
            LogFull: nothing was written; the store goes on.
            LogBroken: unknown what was written; never call again.
        """
        ...

    def read(
        self,
        after: int,
        *,
        limit: int,
        cls: RecordClass | None = None,
        origin: Origin | None = None,
    ) -> list[Record]:
        """Committed records with ``seq > after`` in seq order, at most ``limit`` of them."""
        ...

    def by_seq(self, seqs: Iterable[int]) -> list[Record]:
        """The records with these seqs, in the order asked; missing ones are left out."""
        ...

    def sealed_history(self, entity: str, *, first: int, last: int) -> list[tuple[int, int]]:
        """``(revision, seq)`` of the entity's sealed records with first <= revision <= last."""
        ...

    def get(self, space: str, key: str) -> bytes | None:
        """The committed value of a key."""
        ...

    def scan(self, space: str, *, prefix: str = "", after: str = "", limit: int) -> list[tuple[str, bytes]]:
        """Committed keys of ``space`` that begin with ``prefix`` and are > ``after``, in key order."""
        ...

    def oldest(self, cls: RecordClass | None = None) -> int:
        """Seq of the oldest record kept (of that class); head + 1 if there is none."""
        ...

    def usage(self) -> Sequence[ClassUsage]:
        """What each class uses."""
        ...

    def maintain(self, *, sealed_to: int) -> bool:
        """Do one bounded piece of housekeeping (seal pages up to ``sealed_to``, checkpoint).

        Called on the committer between batches. True if there is more to do.
        """
        ...

    def drop(self, cls: RecordClass, *, up_to: int) -> Sequence[Record]:
        """Drop records of ``cls`` with seq <= ``up_to``, a bounded number; return what was dropped.

        The caller writes the ledger record first. Empty means that nothing is left to drop.
        """
        ...

    def close(self) -> None:
        """Let go of the files. Idempotent."""
        ...


class Committer(Protocol):
    """Runs blocking work one piece at a time: a thread in `app`, inline in `simulate`."""

    def run(self, work: Callable[[], None], done: Callable[[BaseException | None], None]) -> None:
        """Run ``work`` off the loop; then call ``done`` on the loop, with what it raised."""
        ...

    def close(self) -> None:
        """Wait for what runs, then refuse. Idempotent."""
        ...


__all__ = ["Committer", "Salvage", "Store"]
