"""Sealing, retention and idle cursors: bounded pieces, on the committer, between batches."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Generic, TypeVar

from littoral.kernel.time import Clock
from littoral.log.core import (
    Cut,
    ledger_value,
    pinned_from,
    plan_cuts,
    snapshot_of,
    surplus_snapshots,
)
from littoral.log.cursor import Cursors
from littoral.log.errors import LogFull
from littoral.log.model import LEDGER_KIND, Loss, RecordClass, Retention
from littoral.log.ports import Store
from littoral.log.readable import Readable

EVERY_S = 0.25
"""Pause between two looks; a look that finds nothing to do costs some microseconds."""

_EXPIRE_EVERY_S = 3600.0
_FULL_PAUSE_S = 5.0
_PIECES_MAX = 128
_PIECE_PAUSE_S = 0.005
"""Pieces in one look, so that housekeeping yields to the commits of a busy node."""

_IDLE_LOOKS = 8
_CUTS_MAX = 64
_SNAPSHOTS_EACH = 256

_T = TypeVar("_T")


class _Answer(Generic[_T]):
    """Carries what a piece of work found from the committer to the loop."""

    value: _T | None = None

    def take(self, ask: Callable[[], _T]) -> None:
        self.value = ask()


class Housekeeper:
    """Keeps the log small and readable; every loss is in the ledger before it happens."""

    def __init__(
        self,
        log: Readable,
        store: Store,
        cursors: Cursors,
        clock: Clock,
        retention: Retention,
        *,
        run_piece: Callable[[Callable[[], None]], Awaitable[None]],
    ) -> None:
        self.retention = retention
        self.holds: list[Callable[[], int]] = []
        self._log = log
        self._store = store
        self._cursors = cursors
        self._clock = clock
        self._run_piece = run_piece
        self._snapshots_at_s = 0.0

    async def run(self) -> None:
        """Look every `EVERY_S`, until cancelled or the log breaks."""
        expire_at_s = self._clock.monotonic_s() + _EXPIRE_EVERY_S
        sealed, more, looks = -1, False, 0
        while True:
            await asyncio.sleep(EVERY_S)
            try:
                looks += 1
                # An idle log is looked at too, more rarely: a large file is verified bit by bit.
                if more or self._log.committed != sealed or looks % _IDLE_LOOKS == 0:
                    sealed = self._log.committed
                    more = await self.seal()
                await self.thin()
                if self._clock.monotonic_s() >= expire_at_s:
                    expire_at_s += _EXPIRE_EVERY_S
                    self._cursors.expire()
            except LogFull:
                # Housekeeping needs room too; the log's own probe finds out when there is some.
                await asyncio.sleep(_FULL_PAUSE_S)

    async def seal(self) -> bool:
        """Merge and index small pages, as many pieces as one look may; True if there is more."""
        for _ in range(_PIECES_MAX):
            more = _Answer[bool]()
            await self._run_piece(
                partial(more.take, partial(self._store.maintain, sealed_to=self._log.committed))
            )
            if not more.value:
                return False
            # Commits queue behind a piece: let some of them by before the next one.
            await asyncio.sleep(_PIECE_PAUSE_S)
        return True

    async def thin(self) -> None:
        """Make the log fit its budgets: the ledger record first, then the drop."""
        for _ in range(_CUTS_MAX):
            found = await self._next_loss()
            if found is None:
                return
            cut, loss = found
            if cut.reason == "total_bytes" and self._clock.monotonic_s() >= self._snapshots_at_s:
                self._snapshots_at_s = self._clock.monotonic_s() + _EXPIRE_EVERY_S
                if await self.thin_snapshots():
                    continue
            pins = self._cursors.pins()
            delivered = bool(pins) and loss.up_to < pinned_from(pins, loss.cls)
            seq = self._log.append(
                RecordClass.EVENT,
                LEDGER_KIND,
                f"log:{self._log.node}",
                0,
                0,
                "/",
                ledger_value(loss, cut.reason, delivered=delivered),
            )
            self._log.note_dropped(loss)
            await self._log.wait(seq)
            await self._run_piece(partial(self._store.drop, loss.cls, up_to=loss.up_to))
            self._log.forget_tail(loss.up_to)

    async def thin_snapshots(self) -> int:
        """Give up snapshots, in bounded pieces; return how many. Only when the total is over."""
        gone = 0
        after = ""
        mine: list[str] = []
        while True:
            rows = self._log.scan("snapshot", after=after, limit=_SNAPSHOTS_EACH)
            for key, _ in rows:
                if mine and snapshot_of(mine[0])[0] != snapshot_of(key)[0]:
                    gone += self._drop_snapshots(mine)
                    mine = []
                mine.append(key)
            if len(rows) < _SNAPSHOTS_EACH:
                break
            after = rows[-1][0]
            await self._log.wait()
        gone += self._drop_snapshots(mine)
        await self._log.wait()
        return gone

    def _drop_snapshots(self, keys: list[str]) -> int:
        surplus = surplus_snapshots(keys)
        for key in surplus:
            self._log.put("snapshot", key, None)
        return len(surplus)

    async def _next_loss(self) -> tuple[Cut, Loss] | None:
        used, _ = self._store.size()
        cuts = plan_cuts(
            self._store.usage(),
            self.retention,
            now_ms=self._clock.now_ms(),
            bytes_used=used,
            pins=self._cursors.pins(),
            hold=min((hold() for hold in self.holds), default=self._log.committed + 1),
        )
        for cut in cuts:
            answer = _Answer[Loss | None]()
            await self._run_piece(
                partial(
                    answer.take,
                    partial(
                        self._store.losses,
                        cut.cls,
                        older_than_ms=cut.older_than_ms,
                        bytes_over=cut.bytes_over,
                        below=cut.below,
                    ),
                )
            )
            if answer.value is not None:
                return cut, answer.value
        return None
