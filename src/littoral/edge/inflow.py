"""The receiving half: hand each record to the part that it is for, once, in order.

What is applied here goes into the log's open batch together with the high-water mark that keeps it
from being applied again; the ack follows that batch's commit.
"""

from collections.abc import Callable, Sequence

from littoral.edge.blocked import SPACE, Blocked
from littoral.edge.core import Apply, Known
from littoral.edge.core.frames import WireRecord
from littoral.edge.homes import Homes
from littoral.edge.model import KNOWN_ORIGINS_MAX
from littoral.edge.ports import Applies, LinkLog
from littoral.kernel import json
from littoral.kernel.errors import Kind, LittoralError
from littoral.kernel.ids import NodeId, Origin
from littoral.kernel.limits import SKEW_MS_MAX
from littoral.kernel.time import hlc_of, ms_of
from littoral.log import Headers, Record, RecordClass

PENDING_BYTES_MAX = 32 * 1024 * 1024
"""What all sessions together may have in the log's open batches."""

_REPLAYED: Headers = {"replayed": True}
_POISON = (Kind.INVALID, Kind.TOO_LARGE)
_TWINS = ("thing:", "policy:")
_REGISTRY = ("tenant:", "device:", "site:", "credentials:")


class Gate:
    """Bounds what all sessions of a node have put into the log and wait to see committed."""

    def __init__(self, log: LinkLog) -> None:
        self._log = log
        self.pending_bytes = 0

    async def enter(self, raw_bytes: int) -> None:
        """Wait until the disk has caught up, then count ``raw_bytes`` in."""
        while self.pending_bytes > PENDING_BYTES_MAX:
            await self._log.wait()
        self.pending_bytes += raw_bytes

    def leave(self, raw_bytes: int) -> None:
        """That much is committed, or void."""
        self.pending_bytes -= raw_bytes


class Inflow:
    """Takes a peer's records into this node."""

    def __init__(self, log: LinkLog, *, twins: Applies, registry: Applies, homes: Homes) -> None:
        self._log = log
        self._twins = twins
        self._registry = registry
        self._homes = homes
        self.applied = 0
        self.rejected = 0
        self.newest_ms: int | None = None
        self._unplaced: list[str] = []

    def take_unplaced(self) -> list[str]:
        """Entities of which a record could not be put in its place; empties the list."""
        found, self._unplaced = self._unplaced, []
        return found

    def held(self, peer: NodeId) -> list[Known]:
        """What this node holds of the peer's records: what its hello has to know."""
        return [
            Known(origin, int(cls), self._log.high_water(Origin(origin), int(cls)))
            for cls in RecordClass
            for origin in self._origins(peer, int(cls))
        ]

    def apply(
        self,
        frame: Apply,
        part: Sequence[WireRecord],
        *,
        peer: NodeId,
        now_ms: int,
        blocked: Blocked,
    ) -> list[int]:
        """Take ``part`` of a frame; return the oseqs refused for their stamps, or as `blocked`."""
        # A backfill's marks are those of an origin of its own: `origin+lane`.
        marked, cls = Origin(frame.origin), frame.cls
        origin = Origin(frame.origin.partition("+")[0])
        seen = self._log.high_water(marked, cls)
        ahead = hlc_of(now_ms + SKEW_MS_MAX)
        refused: list[int] = []
        for oseq, hlc, device_time, kind, entity, path, value, sent_headers in part:
            if oseq <= seen:
                continue
            anew = sent_headers is not None and "restamped" in sent_headers
            if anew and blocked and not frame.tail:
                assert sent_headers is not None
                blocked.came_anew(entity, cls, sent_headers)
            if (hlc > ahead or (blocked and not anew and entity in blocked)) and not frame.tail:
                blocked.refuse(entity, origin, cls, oseq)
                refused.append(oseq)
                continue
            headers: Headers | None = sent_headers
            if frame.replay:
                headers = {**headers, "replayed": True} if headers else _REPLAYED
            record = Record(
                0, hlc, device_time, cls, kind, entity, 0, 0, path, value, headers, origin, oseq
            )
            try:
                if self._dispatch(entity)(record) is False:
                    self._unplaced.append(entity)
            except LittoralError as e:
                if e.kind not in _POISON:
                    raise
                self._reject(record, e)
            if entity.startswith("thing:") and not frame.tail:
                self._homes.learn(entity[6:], peer, cls)
            self.applied += 1
        if part and marked != origin:
            self._log.raise_high_water(marked, cls, part[-1][0])
        if part:
            self.newest_ms = max(self.newest_ms or 0, min(ms_of(part[-1][1]), now_ms))
        return refused

    def finish(self, frame: Apply, *, peer: NodeId) -> None:
        """All parts of a frame are taken: its end is this node's new high-water mark."""
        origin = Origin(frame.origin)
        if frame.scanned_to > self._log.high_water(origin, frame.cls):
            self._log.raise_high_water(origin, frame.cls, frame.scanned_to)
        if not frame.tail:
            self.remember(peer, frame.cls, frame.origin)

    def _dispatch(self, entity: str) -> Callable[[Record], object]:
        if entity.startswith(_TWINS):
            return self._twins.apply_remote
        if entity.startswith(_REGISTRY):
            return self._registry.apply_remote
        return self._store

    def _reject(self, record: Record, error: LittoralError) -> None:
        """One record that cannot be taken must not stop all that come after it: say so, go on."""
        self.rejected += 1
        report = {
            "origin": record.origin,
            "oseq": record.oseq,
            "kind": record.kind,
            "entity": record.entity,
            "error": error.code,
            "message": error.message,
        }
        entity = f"log:{self._log.node}"
        value = json.encode(report)
        self._log.append(RecordClass.EVENT, "link.rejected", entity, 0, 0, "/", value)
        self._log.raise_high_water(record.origin, record.cls, record.oseq)

    def _store(self, record: Record) -> None:
        """Kinds that nobody here knows are kept as history, and passed on to readers."""
        self._log.append_remote(record, 0, 0)

    def _origins(self, peer: NodeId, cls: int) -> list[str]:
        stored = self._log.get(SPACE, f"origins/{peer}/{cls}")
        if stored is None:
            return []
        names = json.decode(stored)
        assert isinstance(names, list)
        return [str(name) for name in names]

    def remember(self, peer: NodeId, cls: int, origin: str) -> None:
        """Note an origin of the peer's, to be named in the next hello."""
        known = self._origins(peer, cls)
        if known and known[-1] == origin:
            return
        newest = [*(x for x in known if x != origin), origin][-KNOWN_ORIGINS_MAX:]
        self._log.put(SPACE, f"origins/{peer}/{cls}", json.encode(newest))
