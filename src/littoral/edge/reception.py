"""The receiving half of a conversation: frames into the log's open batch, answers after its commit."""

import asyncio
from collections.abc import Mapping
from typing import Protocol

from littoral.edge.core import Apply, Forget, LinkSession, Now, Restamp, TakePart
from littoral.edge.inflow import Inflow
from littoral.edge.meter import Meter
from littoral.edge.parts import LinkParts
from littoral.edge.refusals import ranges_of
from littoral.edge.taker import Taker
from littoral.kernel.errors import LittoralError
from littoral.kernel.ids import NodeId

APPLY_CHUNK = 128
"""Records applied before others on the loop get their turn: about 2 ms."""


class Shell(Protocol):
    """The conversation, as its receiving half sees it."""

    peer: NodeId
    inflow: Inflow
    meter: Meter

    def stop(self, code: str, reason: str) -> None:
        """End the session."""
        ...

    def perform(self) -> None:
        """Do what the session asks, and wake the sender."""
        ...


class Reception:
    """Takes what the peer sends, one frame after the other."""

    def __init__(self, parts: LinkParts, shell: Shell, session: LinkSession) -> None:
        self.taker: Taker | None = None
        """What takes states over; None before the session is open."""
        self._shell = shell
        self._session = session
        self._log = parts.log
        self._gate = parts.gate
        self._refusals = parts.refusals
        self._clock = parts.clock
        self._positions: Mapping[int, int] = {}

    def ask_again(self, positions: Mapping[int, int] | None = None) -> None:
        """Ask for what has to be told again, if the peer has all of ours up to ``positions``."""
        self._positions = self._positions if positions is None else positions
        if self.taker is not None and (due := self.taker.due(self._positions)):
            self._session.telling.ask_again(due)

    async def apply(self, frame: Apply) -> None:
        await self._gate.enter(frame.raw_bytes)
        taken = False
        try:
            await self._take(frame)
            taken = True
        finally:
            # Also after an error: what was appended before it is in the batch.
            whole = taken
            self._log.on_commit(lambda error: self._committed(frame, error, taken=whole))
        await asyncio.sleep(0)

    async def _take(self, frame: Apply) -> None:
        refused: list[int] = []
        for start in range(0, len(frame.records), APPLY_CHUNK):
            if start:
                await asyncio.sleep(0)
            part = frame.records[start : start + APPLY_CHUNK]
            now_ms = self._clock.now_ms()
            blocked = self._refusals.blocked(self._shell.peer)
            passed = self._shell.inflow.apply(
                frame, part, peer=self._shell.peer, now_ms=now_ms, blocked=blocked
            )
            if self.taker is not None:
                for entity in self._shell.inflow.take_unplaced():
                    self.taker.unplaced(entity)
            if passed:
                # At once: what comes behind them may be committed before the frame's next part.
                self._refusals.note(frame.origin, frame.cls, ranges_of(passed))
                refused += passed
        if refused:
            self._session.refuse(frame.origin, frame.cls, ranges_of(refused), self._now())
        self._shell.inflow.finish(frame, peer=self._shell.peer)
        state = self._shell.meter.state
        state.received_records += len(frame.records)
        state.received.add(len(frame.records), self._now().s)

    def _committed(self, frame: Apply, error: LittoralError | None, *, taken: bool) -> None:
        self._gate.leave(frame.raw_bytes)
        if error is not None:
            self._shell.stop(error.code, f"the records could not be stored: {error}")
        elif taken:
            self._session.committed(frame)
            self._shell.perform()

    async def take_part(self, part: TakePart) -> None:
        frame, taker = part.frame, self.taker
        if taker is None:
            return
        await self._gate.enter(frame.raw_bytes)
        taken: bool | None = None

        def committed(error: LittoralError | None) -> None:
            self._gate.leave(frame.raw_bytes)
            if error is not None:
                self._shell.stop(error.code, f"what was told could not be stored: {error}")
            elif taken is not None:
                self._session.telling.took(frame, refused=not taken)
                self.ask_again()
                self._shell.perform()

        try:
            taken = await taker.take(part, now_ms=self._clock.now_ms())
        finally:
            self._log.on_commit(committed)

    def about_stamps(self, effect: Restamp | Forget) -> None:
        """The peer refused records for their stamps, or has taken care of such."""
        match effect:
            case Restamp(origin, cls, ranges):
                self._hold(origin, cls, ranges)
            case Forget(origin, cls, oseq):
                self._refusals.settled(origin, cls, oseq)

    def _hold(self, origin: str, cls: int, ranges: tuple[tuple[int, int], ...]) -> None:
        done = self._refusals.hold(self._shell.peer, origin, cls, ranges)

        def tell(error: LittoralError | None) -> None:
            if error is None:
                self._session.settle(origin, cls, done)
                self._shell.perform()

        self._log.on_commit(tell)

    def _now(self) -> Now:
        return Now(self._clock.monotonic_s(), self._clock.now_ms())
