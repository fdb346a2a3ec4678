"""Things and policies of a node in memory, in step with the log.

The record is the commit; the state table (space ``state``) is a snapshot that runs behind it and
is written coalesced, in key order, with later commits. Opening replays what it has not seen.
"""

from collections import deque
from collections.abc import Iterable, Iterator

from littoral.kernel import json
from littoral.kernel.errors import LittoralError
from littoral.kernel.time import ms_of
from littoral.log import REPLAY_RECORDS_MAX, Log, Record, RecordClass
from littoral.twin.core import state
from littoral.twin.core.document import Document
from littoral.twin.core.paths import keys_of, lanes_touched, mark, newest_overlapping
from littoral.twin.core.state import Hot
from littoral.twin.errors import HistoryNotFound
from littoral.twin.model import (
    FLUSH_CHUNK_MIN,
    FLUSH_LAG_RECORDS,
    HOT_ENTITIES_MAX,
    PENDING_HOT_MAX,
    REFOLD_RECORDS_MAX,
    SNAPSHOT_EVERY,
    SNAPSHOTS_MAX,
)

SPACE = "state"
_META = "twin"
_APPLIED = "applied"
_READ_CHUNK = 4096
_OWN = ("thing:", "policy:")


class Engine:
    """The hot set: loads, applies, writes out, evicts.

    Invariant: a hot entity equals the fold of all records of it in the log up to ``log.head``.
    Invariant: a dirty entity is never evicted; so state table + replay is never behind memory.
    """

    def __init__(self, log: Log, *, hot_max: int = HOT_ENTITIES_MAX) -> None:
        self.log = log
        self.hot: dict[str, Hot] = {}
        self.dirty: dict[str, Hot] = {}
        self.policies_changed = 0
        self.loads = self.evictions = self.folds = self.refolds = 0
        self.conflicts = self.duplicates = self.late = 0
        self._hot_max = hot_max
        self._pending: deque[Hot] = deque()
        self._closing = False
        self._closed_at = log.head
        self._replay(self._applied(), None)
        log.hold(lambda: self._applied() + 1)
        log.before_close(self._flush_some)
        log.on_abort(self._abort)

    # -- loading ------------------------------------------------------------------------------

    def load(self, entity: str) -> Hot:
        """The hot state of ``entity``; an empty one if it never existed."""
        hot = self.hot.get(entity)
        if hot is not None:
            hot.used = True
            return hot
        self.loads += 1
        data = self.log.get(SPACE, entity)
        hot = Hot(entity) if data is None else state.unpack(entity, data)
        self.hot[entity] = hot
        if len(self.hot) > self._hot_max:
            self._evict()
        return hot

    def _evict(self) -> None:
        """Drop clean entities that nobody used since the last sweep, until 1/16 is free."""
        goal = self._hot_max - self._hot_max // 16
        for _ in range(2):
            for hot in list(self.hot.values()):
                if len(self.hot) <= goal:
                    return
                if hot.used:
                    hot.used = False
                elif not hot.dirty_since:
                    self.forget(hot)
                    self.evictions += 1

    def forget(self, hot: Hot) -> None:
        """Let go of a hot entity; whoever holds it sees ``gone`` and loads anew."""
        hot.gone = True
        self.hot.pop(hot.entity, None)

    # -- writing ------------------------------------------------------------------------------

    def touch(self, hot: Hot, seq: int) -> None:
        """Note that ``hot`` changed with record ``seq``."""
        if not hot.dirty_since:
            hot.dirty_since = seq
            self.dirty[hot.entity] = hot
        if hot.revision % SNAPSHOT_EVERY == 0:
            self.snapshot(hot)

    def keep_pending(self, hot: Hot) -> None:
        """Note that ``hot`` begins to hold a patch in parsed form; the oldest of too many is folded."""
        self._pending.append(hot)
        if len(self._pending) > PENDING_HOT_MAX:
            self._pending.popleft().fold()
            self.folds += 1

    def touch_ids(self, hot: Hot) -> None:
        """Note that only the message ids of ``hot`` changed, with the newest record."""
        hot.ids_seq = self.log.head
        if not hot.dirty_since:
            hot.dirty_since = self.log.head
            self.dirty[hot.entity] = hot

    def snapshot(self, hot: Hot) -> None:
        """Keep ``hot`` as it is now, so that old revisions are folded from near by."""
        self.log.put_snapshot(hot.entity, hot.revision, state.pack(hot))
        oldest = hot.revision - SNAPSHOT_EVERY * SNAPSHOTS_MAX
        if oldest > 0:
            self.log.drop_snapshot(hot.entity, oldest)

    def write(
        self,
        hot: Hot,
        cls: int,
        kind: str,
        path: str,
        value: bytes,
        *,
        device_time: int | None = None,
        headers: dict[str, object] | None = None,
    ) -> Record:
        """Append a local change of ``hot`` and apply it. The caller has decided that it may be."""
        revision = hot.revision + 1
        seq = self.log.append(
            cls, kind, hot.entity, revision, hot.last_seq, path, value, device_time, headers
        )
        record = Record(
            seq, self.log.last_hlc, device_time, cls, kind, hot.entity, revision, hot.last_seq,
            path, value, headers, self.log.origin, seq,
        )  # fmt: skip
        existed = hot.exists
        state.apply(hot, record)
        self._after(hot, seq, existed=existed)
        return record

    def _after(self, hot: Hot, seq: int, *, existed: bool) -> None:
        self.touch(hot, seq)
        if existed != hot.exists:
            # Written at once, so that listing ids needs the state table only.
            self.log.put(SPACE, hot.entity, state.pack(hot))
        if hot.entity.startswith("policy:"):
            self.policies_changed += 1

    # -- records from the link ----------------------------------------------------------------

    def apply_remote(self, record: Record) -> None:
        """Store a record of another node and let it take its place in the entity's state."""
        headers = record.headers
        if record.kind in state.SILENT_KINDS or (headers is not None and "late" in headers):
            self.log.append_remote(record, 0, 0)
            return
        hot = self.load(record.entity)
        existed = hot.exists
        revision, prev = hot.revision + 1, hot.last_seq
        keys = keys_of(record.path)
        merged = record.kind == "thing.merged"
        if merged and len(keys) == 3:
            touched = [record.path]
        else:
            value = json.decode(record.value) if record.value else None
            touched = lanes_touched(keys, value, merged=merged)
        in_place = newest_overlapping(hot.lanes, touched) < record.hlc
        seq = self.log.append_remote(record, revision, prev)
        stored = record._replace(seq=seq, revision=revision, prev_seq=prev)
        if in_place:
            state.apply(hot, stored)
        else:
            self._refold(hot, stored, touched)
        self._after(hot, seq, existed=existed)

    def _refold(self, hot: Hot, record: Record, touched: list[str]) -> None:
        """Put a record that is older than others of its lane in its place among them."""
        self.refolds += 1
        base, later = self._unsettled(hot, record)
        document = state.fold_in_order(base, [*later, record])
        existed = hot.exists
        hot.replace(document)
        if not existed and hot.exists and not hot.created_ms:
            hot.created_ms = ms_of(record.hlc)
        hot.revision, hot.last_seq = record.revision, record.seq
        mark(hot.lanes, touched, record.hlc, replaced=False)
        hot.modified_ms = max(hot.modified_ms, ms_of(record.hlc))
        # Kept, so that reading this revision back, or replaying it, never has to do this again.
        self.snapshot(hot)
        self._report_conflict(hot, record, later, document)

    def _unsettled(self, hot: Hot, record: Record) -> tuple[Document | None, list[Record]]:
        """The document before the first record that may be newer than ``record``, and those after.

        Walks snapshots back to one that is older than ``record`` and older than every record that
        came after it, each in its own lanes: those may have been late themselves, and folding them
        over a base that has seen newer ones would put them in the wrong place.
        """
        later: list[Record] = []
        waiting = [(record.hlc, _touched(record))]
        last = hot.revision
        last_seq = hot.last_seq
        while last > 0:
            found = self.log.snapshot(hot.entity, at_or_below=last)
            base_revision, packed = (0, None) if found is None else found
            chunk = self._records(hot.entity, last_seq, base_revision + 1, last)
            later = chunk + later
            if packed is None or len(later) > REFOLD_RECORDS_MAX:
                base = None if packed is None else state.unpack(hot.entity, packed)
                return (None if base is None else base.document()), later
            waiting += [(r.hlc, _touched(r)) for r in chunk]
            base = state.unpack(hot.entity, packed)
            if all(newest_overlapping(base.lanes, lanes) < hlc for hlc, lanes in waiting):
                return base.document(), later
            later_first = self._records(hot.entity, last_seq, base_revision, base_revision)
            waiting += [(r.hlc, _touched(r)) for r in later_first]
            later = later_first + later
            last, last_seq = base_revision - 1, base.last_seq
        return None, later

    def _report_conflict(
        self, hot: Hot, record: Record, later: list[Record], document: Document | None
    ) -> None:
        """Tell, as an event, what the late record lost to records of another node."""
        if record.headers is not None and "implicit" in record.headers:
            return
        node = record.origin.partition("/")[0]
        newer = [
            r
            for r in later
            if (r.hlc, r.origin, r.oseq) > (record.hlc, record.origin, record.oseq)
            and r.origin.partition("/")[0] != node
        ]
        if not newer:
            return
        keys = keys_of(record.path)
        value = json.decode(record.value) if record.value else None
        lost = [(k, v) for k, v in leaves(keys, value) if _at(document, k) != v]
        if not lost:
            return
        self.conflicts += 1
        winner = max(newer, key=lambda r: (r.hlc, r.origin, r.oseq))
        body = {
            "lost": {"/" + "/".join(k): v for k, v in lost},
            "lostOrigin": record.origin,
            "lostHlc": record.hlc,
            "wonOrigin": winner.origin,
            "wonHlc": winner.hlc,
        }
        self.log.append(
            RecordClass.EVENT, "thing.conflict", hot.entity, 0, 0, record.path, json.encode(body)
        )

    # -- history ------------------------------------------------------------------------------

    def _records(self, entity: str, last_seq: int, first: int, last: int) -> list[Record]:
        if first > last:
            return []
        return [r for r in self.log.history(entity, last_seq, first=first, last=last) if r.revision]

    def history(self, entity: str, *, first: int, last: int) -> list[Record]:
        """Records of an entity with first <= revision <= last, ascending."""
        return self._records(entity, self.load(entity).last_seq, first, last)

    def at_revision(self, entity: str, revision: int) -> Hot:
        """The entity as it was at ``revision``.

        Raises:
            HistoryNotFound: not kept any more, or not happened yet.
        """
        hot = self.load(entity)
        if not 1 <= revision <= hot.revision:
            raise HistoryNotFound(
                f"{hot.id} has no revision {revision}; it is at {hot.revision}.",
                revision=revision,
            )
        found = self.log.snapshot(entity, at_or_below=revision)
        past = Hot(entity) if found is None else state.unpack(entity, found[1])
        records = self._records(entity, hot.last_seq, past.revision + 1, revision)
        if [r.revision for r in records] != list(range(past.revision + 1, revision + 1)):
            raise HistoryNotFound(
                f"revision {revision} of {hot.id} is not kept any more.",
                hint="Raise the log's retention to keep more history.",
                revision=revision,
            )
        for record in records:
            state.apply(past, record)
        return past

    # -- opening, flushing, aborting ----------------------------------------------------------

    def _applied(self) -> int:
        data = self.log.get(_META, _APPLIED)
        return 0 if data is None else int(data)

    def _replay(self, after: int, only: frozenset[str] | None) -> None:
        """Apply the log's records behind ``after`` that the state table has not seen."""
        for record in self._tail(after):
            entity = record.entity
            if not entity.startswith(_OWN) or (only is not None and entity not in only):
                continue
            hot = self.load(entity)
            self._recall_id(hot, record)
            if not record.revision:
                continue
            if record.seq <= hot.last_seq:
                continue
            existed = hot.exists
            keys = keys_of(record.path)
            merged = record.kind == "thing.merged"
            if record.origin == self.log.origin or (merged and len(keys) == 3):
                touched = [record.path] if merged else []
            else:
                value = json.decode(record.value) if record.value else None
                touched = lanes_touched(keys, value, merged=merged)
            if newest_overlapping(hot.lanes, touched) < record.hlc:
                state.apply(hot, record)
            else:
                self._restore(hot, record)
            if not hot.dirty_since:
                hot.dirty_since = record.seq
                self.dirty[entity] = hot
            if existed != hot.exists and entity.startswith("policy:"):
                self.policies_changed += 1

    def _recall_id(self, hot: Hot, record: Record) -> None:
        """A device resends what it saw no acknowledgement for, also after we were killed."""
        if record.headers is None or "id" not in record.headers:
            return
        if record.origin.partition("/")[0] != self.log.node:
            return
        hot.remember_id(str(record.headers["id"]))
        if not hot.dirty_since:
            hot.dirty_since = record.seq
            self.dirty[hot.entity] = hot

    def _restore(self, hot: Hot, record: Record) -> None:
        """Take over what `_refold` made of a late record; it left a snapshot in the same batch."""
        found = self.log.snapshot(hot.entity, at_or_below=record.revision)
        if found is None or found[0] != record.revision:
            state.apply(hot, record)
            return
        kept = state.unpack(hot.entity, found[1])
        hot.replace(kept.document())
        hot.lanes = kept.lanes
        hot.created_ms, hot.modified_ms = kept.created_ms, kept.modified_ms
        hot.revision, hot.last_seq = record.revision, record.seq

    def _tail(self, after: int) -> Iterator[Record]:
        while records := self.log.read(after, limit=_READ_CHUNK):
            yield from records
            after = records[-1].seq

    def _flush_some(self) -> None:
        """Called as a batch closes: write out the states that have waited longest, boundedly."""
        dirty = self.dirty
        if not dirty:
            return
        head = self.log.head
        oldest = next(iter(dirty.values())).dirty_since
        lag = head - oldest
        if lag < FLUSH_LAG_RECORDS and not self._closing:
            return
        # Twice what this batch can have dirtied: the lag shrinks whatever the load is.
        quota = max(FLUSH_CHUNK_MIN, 2 * (head - self._closed_at))
        self._closed_at = head
        if lag > REPLAY_RECORDS_MAX // 2 or self._closing:
            quota = len(dirty)
        self._flush(self._first(quota))

    def _first(self, count: int) -> list[Hot]:
        picked = []
        for hot in self.dirty.values():
            picked.append(hot)
            if len(picked) >= count:
                break
        return picked

    def _flush(self, hots: Iterable[Hot]) -> None:
        for hot in sorted(hots, key=lambda h: h.entity):
            self.log.put(SPACE, hot.entity, state.pack(hot))
            del self.dirty[hot.entity]
            hot.dirty_since = 0
        oldest = next(iter(self.dirty.values())).dirty_since if self.dirty else self.log.head + 1
        self.log.put(_META, _APPLIED, str(oldest - 1).encode())

    def flush(self) -> None:
        """Write all dirty states into the open batch; for a clean end."""
        self._closing = True
        if self.dirty:
            self._flush(list(self.dirty.values()))

    def _abort(self, error: LittoralError) -> None:
        """A commit failed: what was decided on top of it is void. Drop it and look anew."""
        del error
        committed = self.log.committed
        void = frozenset(
            e for e, h in self.hot.items() if h.last_seq > committed or h.ids_seq > committed
        )
        # A flush in the failed batch is void too: whoever is clean in memory may be behind on disk.
        flushed = frozenset(e for e, h in self.hot.items() if not h.dirty_since)
        for entity in void | flushed:
            self.dirty.pop(entity, None)
            self.forget(self.hot[entity])
        self.policies_changed += 1
        self._replay(self._applied(), void | flushed)


def _touched(record: Record) -> list[str]:
    """The lanes that a record changes."""
    value = json.decode(record.value) if record.value else None
    return lanes_touched(keys_of(record.path), value, merged=record.kind == "thing.merged")


def leaves(keys: tuple[str, ...], value: object) -> Iterator[tuple[tuple[str, ...], object]]:
    """Every leaf of ``value`` with its path; an empty object is a leaf."""
    if isinstance(value, dict) and value:
        for key, child in value.items():
            yield from leaves((*keys, key), child)
    else:
        yield keys, value


def _at(document: object, keys: tuple[str, ...]) -> object:
    for key in keys:
        if not isinstance(document, dict):
            return None
        document = document.get(key)
    return document
