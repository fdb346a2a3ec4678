"""The taking half: what a peer tells in place of records becomes what is known here, by stamps."""

import asyncio
from collections.abc import Mapping

import msgspec

from littoral.edge.blocked import SPACE
from littoral.edge.core import TakePart
from littoral.edge.core.frames import Item, Part
from littoral.edge.core.resume import resume, spans
from littoral.edge.inflow import Inflow
from littoral.edge.ports import LinkLog
from littoral.edge.states import Heard, States
from littoral.edge.teller import Teller
from littoral.kernel import json
from littoral.kernel.errors import Kind, LittoralError
from littoral.kernel.ids import NodeId, Origin
from littoral.kernel.limits import SKEW_MS_MAX
from littoral.kernel.time import hlc_of
from littoral.log import Record, RecordClass

CHUNK = 32
"""Items taken over before others on the loop get their turn: about 2 ms."""

_SCAN = 1000
_decode = msgspec.json.Decoder(dict[int, int]).decode


class Taker:
    """Takes what one peer tells, during one session.

    Args:
        follows: whether the peer has the last word where neither side can put records in order any
            more: a site follows its cloud. Who has it tells the other what it came to.
    """

    def __init__(
        self,
        log: LinkLog,
        states: States,
        inflow: Inflow,
        *,
        peer: NodeId,
        teller: Teller,
        follows: bool,
    ) -> None:
        self._log = log
        self._states = states
        self._inflow = inflow
        self._peer = peer
        self._teller = teller
        self._follows = follows
        self._prefix = f"again/{peer}/"
        self._again: dict[str, dict[int, int]] = {}
        self._asked: set[str] = set()
        after = ""
        while rows := log.scan(SPACE, prefix=self._prefix, after=after, limit=_SCAN):
            for key, value in rows:
                self._again[key.removeprefix(self._prefix)] = _decode(value)
            after = rows[-1][0]

    async def take(self, part: TakePart, *, now_ms: int) -> bool:
        """Take a piece into the open batch; False if its stamp is too far ahead to be taken now."""
        frame = part.frame
        if frame.hlc > hlc_of(now_ms + SKEW_MS_MAX):
            return False
        heard = self._heard(frame)
        origin = Origin(f"{frame.origin}+told")
        for number, item in enumerate(part.items):
            if number and number % CHUNK == 0:
                await asyncio.sleep(0)
            self._take_one(item, frame.hlc, origin, heard)
        if frame.telling:
            told = {key for key, _, _ in part.items}
            self._states.forget_rest(
                self._log.node, frame.tenants, frame.after, frame.upto, told, frame.hlc
            )
            name = None if frame.last else frame.telling.encode()
            self._log.put(SPACE, taking_key(self._peer), name)
        for known in frame.gaps:
            if known.origin.rpartition("/")[0] == self._peer and 0 <= known.cls < len(RecordClass):
                self._log.raise_high_water(Origin(known.origin), known.cls, known.oseq)
                self._inflow.remember(self._peer, known.cls, known.origin)
        return True

    def unplaced(self, entity: str) -> None:
        """A record of the peer's could not be put in its place: one of both has to tell the whole."""
        if self._follows:
            self._note(entity, self._again.get(entity, {}))
        else:
            self._teller.owe(entity)

    def due(self, positions: Mapping[int, int]) -> list[str]:
        """Entities to ask for: the peer has all of ours up to ``positions`` that it has to place."""
        found = [
            entity
            for entity, needed in self._again.items()
            if entity not in self._asked
            and all(positions.get(cls, 0) >= oseq for cls, oseq in needed.items())
        ]
        self._asked.update(found)
        return found

    def _take_one(self, item: Item, stamp: int, origin: Origin, heard: Heard) -> None:
        entity = item[0]
        try:
            adoption = self._states.take(item, stamp=stamp, origin=origin, heard=heard)
        except msgspec.MsgspecError as e:
            self._reject(entity, "link.peer", f"it cannot be read: {e}.")
            return
        except LittoralError as e:
            if e.kind is not Kind.PEER:
                raise
            self._reject(entity, e.code, e.message)
            return
        if adoption is None:
            return
        if not self._follows:
            if adoption.differs:
                self._teller.owe(entity)
            return
        needed = {
            cls: oseq
            for cls, oseq in self._again.get(entity, {}).items()
            if oseq > heard.marks[cls]
        }
        for record in adoption.skipped:
            needed[record.cls] = max(record.oseq, needed.get(record.cls, 0))
        if needed:
            self._note(entity, needed)
        elif self._again.pop(entity, None) is not None:
            self._asked.discard(entity)
            self._log.put(SPACE, self._prefix + entity, None)

    def _note(self, entity: str, needed: dict[int, int]) -> None:
        self._again[entity] = needed
        self._asked.discard(entity)
        self._log.put(SPACE, self._prefix + entity, msgspec.json.encode(needed))

    def _heard(self, frame: Part) -> Heard:
        log, peer = self._log, self._peer
        epochs = [(e.origin, e.previous_seq) for e in log.opened.epochs]
        marks, _ = resume(spans(epochs), frame.held, head=log.head)

        def has(record: Record) -> bool:
            node = record.origin.partition("/")[0]
            if node == log.node:
                # One that has another seq here was lost, and came back from the peer.
                return record.oseq != record.seq or record.oseq <= marks[record.cls]
            return node == peer

        return Heard(has, min(marks.values()), marks)

    def _reject(self, entity: str, code: str, message: str) -> None:
        report = {"peer": self._peer, "entity": entity, "error": code, "message": message}
        value = json.encode(report)
        self._log.append(
            RecordClass.EVENT, "link.rejected", f"log:{self._log.node}", 0, 0, "/", value
        )


def taking_key(peer: NodeId) -> str:
    """Where the telling stands of which some parts were taken, but not the last."""
    return f"taking/{peer}"


def unfinished(log: LinkLog, peer: NodeId) -> str:
    """That telling; empty if there is none."""
    stored = log.get(SPACE, taking_key(peer))
    return "" if stored is None else stored.decode()
