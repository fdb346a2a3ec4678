"""Things and policies of a node in memory, in step with the log.

The record is the commit; the state table (space ``state``) is a snapshot that runs behind it and
is written coalesced, in key order, with later commits. Opening replays what it has not seen.
"""

import contextlib
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator

from littoral.kernel import json
from littoral.kernel.errors import LittoralError
from littoral.log import REPLAY_RECORDS_MAX, Headers, Log, Record, RecordClass
from littoral.twin.core import state
from littoral.twin.core.state import After, Hot
from littoral.twin.entities.history import History, is_in_place
from littoral.twin.errors import StateDamaged
from littoral.twin.model import (
    FLUSH_CHUNK_MIN,
    FLUSH_LAG_RECORDS,
    FLUSH_SOON_RECORDS,
    HOT_ENTITIES_MAX,
    PENDING_HOT_MAX,
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
        # In an ordered dict the oldest is at hand; in a dict it lies behind all that were taken out.
        self.dirty: OrderedDict[str, Hot] = OrderedDict()
        self.policies_changed = 0
        self.policy_hooks: list[Callable[[Hot | None], None]] = []
        """Called with each policy that changed; with None after changes were taken back."""
        self.loads = self.evictions = self.folds = self.refolds = 0
        self.conflicts = self.duplicates = self.late = 0
        self._hot_max = hot_max
        self._pending: OrderedDict[Hot, None] = OrderedDict()
        self._closing = False
        self._closed_at = log.head
        self._history = History(log)
        self._applied = self._durable = self._stored_position()
        self._replay(self._applied, None)
        log.hold(lambda: self._durable + 1)
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
        self.unwatch(hot)

    def unwatch(self, hot: Hot) -> None:
        """Called by who writes ``hot`` without `write`: what is known of its lanes is void."""
        if hot.watched:
            self._history.forget(hot)
            if hot.annotated:
                hot.settle()

    # -- writing ------------------------------------------------------------------------------

    def touch(self, hot: Hot, seq: int) -> None:
        """Note that ``hot`` changed with record ``seq``."""
        if not hot.dirty_since:
            self._soil(hot, seq)
        if hot.revision % SNAPSHOT_EVERY == 0:
            self.snapshot(hot)

    def keep_pending(self, hot: Hot) -> None:
        """Note that ``hot`` begins to hold a patch in parsed form; the oldest of too many is folded."""
        pending = self._pending
        pending.pop(hot, None)
        pending[hot] = None
        if len(pending) > PENDING_HOT_MAX:
            oldest, _ = pending.popitem(last=False)
            oldest.fold()
            self.folds += 1

    def touch_ids(self, hot: Hot) -> None:
        """Note that only the message ids of ``hot`` changed, with the newest record."""
        hot.ids_seq = self.log.head
        if not hot.dirty_since:
            self._soil(hot, self.log.head)

    def _soil(self, hot: Hot, seq: int) -> None:
        if self.log.dropped:
            self._keep_base(hot.entity)
        hot.dirty_since = seq
        self.dirty[hot.entity] = hot
        if hot.gone:
            # Evicted while its command was decided (by loading the policy): it is the truth again.
            other = self.hot.get(hot.entity)
            if other is not None:
                other.gone = True
            hot.gone = False
            self.hot[hot.entity] = hot

    def _keep_base(self, entity: str) -> None:
        """Keep the state before a change, if retention has taken what it is made of.

        What comes after it stays foldable: a late record finds all that it has to be folded with.
        """
        stored = self.log.get(SPACE, entity)
        if stored is None:
            return
        with contextlib.suppress(LittoralError):  # damaged, or no writes now
            before = state.unpack(entity, stored)
            found = self.log.snapshot(entity, at_or_below=before.revision)
            newest = 0 if found is None else state.unpack(entity, found[1]).last_seq
            if before.revision and newest < min(before.last_seq, self.log.dropped):
                self.log.put_snapshot(entity, before.revision, stored)
                if found is not None and found[0] % SNAPSHOT_EVERY:
                    self.log.drop_snapshot(entity, found[0])

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
        headers: Headers | None = None,
        after: After | None = None,
    ) -> Record:
        """Append a local change of ``hot`` and apply it. The caller has decided that it may be.

        ``after`` is what the change makes of the document, if the caller worked it out.
        """
        revision = hot.revision + 1
        seq = self.log.append(
            cls, kind, hot.entity, revision, hot.last_seq, path, value, device_time, headers
        )
        record = Record(
            seq, self.log.last_hlc, device_time, cls, kind, hot.entity, revision, hot.last_seq,
            path, value, headers, self.log.origin, seq,
        )  # fmt: skip
        before = hot.exists, hot.policy_id
        self._take(hot, record, after)
        self._history.wrote(hot, record)
        self._after(hot, seq, *before)
        return record

    def _take(self, hot: Hot, record: Record, after: After | None = None) -> None:
        """Let a record that is in its place change ``hot``."""
        idle = not hot.pending
        state.apply(hot, record, after)
        if idle and hot.pending:
            self.keep_pending(hot)

    def _after(self, hot: Hot, seq: int, existed: bool, policy_id: str) -> None:
        self.touch(hot, seq)
        if existed != hot.exists:
            # Written at once, so that listing ids needs the state table only.
            self.log.put(SPACE, hot.entity, state.pack(hot))
        if hot.entity.startswith("policy:"):
            self.policies_changed += 1
            for hook in self.policy_hooks:
                hook(hot)
        elif policy_id and hot.policy_id != policy_id:
            self.policies_changed += 1

    # -- records from the link ----------------------------------------------------------------

    def apply_remote(self, record: Record) -> bool:
        """Store a record of another node and let it take its place in the entity's state.

        Returns:
            False if it is older than what is known and its place is not: retention took the records
            that it would have to be folded with. Nothing changed; whoever knows has to tell.
        """
        headers = record.headers
        if record.kind in state.SILENT_KINDS or (headers is not None and "late" in headers):
            self.log.append_remote(record, 0, 0)
            return True
        try:
            hot = self.load(record.entity)
        except StateDamaged:
            # Kept, so that the link goes on and nothing is lost; it changes nothing here.
            self.log.append_remote(record, 0, 0)
            return True
        before = hot.exists, hot.policy_id
        revision, prev = hot.revision + 1, hot.last_seq
        in_place = placed = is_in_place(hot, record)
        seq = self.log.append_remote(record, revision, prev)
        stored = record._replace(seq=seq, revision=revision, prev_seq=prev)
        if in_place:
            self._take(hot, stored)
            self._history.wrote(hot, stored)
        else:
            idle = not hot.pending
            placed = self._place(hot, stored)
            if idle and hot.pending:
                self.keep_pending(hot)
        self._after(hot, seq, *before)
        return placed

    def adopt(self, hot: Hot, record: Record, whole: Hot) -> None:
        """Make ``hot`` what ``whole`` is; ``record`` says so, and comes from another node."""
        before = hot.exists, hot.policy_id
        seq = self.log.append_remote(record, hot.revision + 1, hot.last_seq)
        self._history.forget(hot)
        hot.become(whole)
        hot.revision, hot.last_seq = hot.revision + 1, seq
        self._after(hot, seq, *before)
        # At once: the record alone does not say how old each lane is.
        self.log.put(SPACE, hot.entity, state.pack(hot))
        del self.dirty[hot.entity]
        hot.dirty_since = 0

    def restamp(self, record: Record, headers: Headers) -> None:
        """Say an own record again: a peer would not take its stamp, which was too far ahead.

        It is applied as any new one, because that is what the peer will do: replicas fold by the
        new stamp, and what the old one did here is done again in its place.
        """
        if not record.revision:
            self.log.append(
                record.cls, record.kind, record.entity, 0, 0, record.path, record.value,
                record.device_time, headers,
            )  # fmt: skip
            return
        self.write(
            self.load(record.entity),
            record.cls,
            record.kind,
            record.path,
            record.value,
            device_time=record.device_time,
            headers=headers,
        )

    def _place(self, hot: Hot, record: Record) -> bool:
        """Put a record that is older than others of its lane in its place among them, if known."""
        outcome = self._history.take_late(hot, record)
        if outcome.folded:
            self.refolds += 1
            # Kept, so that reading this revision back, or replaying it, need not do this again.
            self.snapshot(hot)
        if outcome.conflict is not None:
            self.conflicts += 1
            self.log.append(
                RecordClass.EVENT,
                "thing.conflict",
                hot.entity,
                0,
                0,
                record.path,
                json.encode(outcome.conflict),
            )
        return outcome.placed

    # -- history ------------------------------------------------------------------------------

    def history(self, entity: str, *, first: int, last: int) -> list[Record]:
        """Records of an entity with first <= revision <= last, ascending."""
        return self._history.records(entity, self.load(entity).last_seq, first, last)

    def at_revision(self, entity: str, revision: int) -> Hot:
        """The entity as it was at ``revision``; raise `HistoryNotFound` if nobody knows."""
        return self._history.at(self.load(entity), revision)

    def revision_at(self, entity: str, at_ms: int) -> int:
        """The newest revision that was accepted at or before ``at_ms``.

        Raises:
            HistoryNotFound: it did not exist then, or nobody knows any more.
        """
        return self._history.revision_at(self.load(entity), at_ms)

    # -- opening, flushing, aborting ----------------------------------------------------------

    def _stored_position(self) -> int:
        data = self.log.get(_META, _APPLIED)
        return 0 if data is None else int(data)

    def _replay(self, after: int, spared: frozenset[str] | None) -> None:
        """Apply the log's records behind ``after`` that the state table has not seen.

        ``spared`` entities are hot and know them already.
        """
        origin = self.log.origin
        for record in self._tail(after):
            entity = record.entity
            if not entity.startswith(_OWN) or (spared is not None and entity in spared):
                continue
            try:
                hot = self.load(entity)
            except StateDamaged:
                continue  # whoever asks for it is told; the others go on
            if record.headers is not None:
                self._recall_id(hot, record)
            if not record.revision or record.seq <= hot.last_seq:
                continue
            # What this log has accepted itself was newer than all that it knew.
            if record.origin == origin or is_in_place(hot, record):
                self._take(hot, record)
                self._history.wrote(hot, record)
            else:
                self._history.take_late(hot, record, again=True)
            if not hot.dirty_since:
                self._soil(hot, record.seq)

    def _recall_id(self, hot: Hot, record: Record) -> None:
        """A device resends what it saw no acknowledgement for, also after we were killed."""
        if record.headers is None or "id" not in record.headers:
            return
        if record.origin.partition("/")[0] != self.log.node:
            return
        hot.remember_id(str(record.headers["id"]))
        if not hot.dirty_since:
            self._soil(hot, record.seq)

    def _tail(self, after: int) -> Iterator[Record]:
        while records := self.log.read(after, limit=_READ_CHUNK):
            yield from records
            after = records[-1].seq

    def _flush_some(self) -> None:
        """Called as a batch closes: write out the states that have waited longest, boundedly.

        A state costs 20 µs, which the whole loop waits for: so it begins early and slowly.
        """
        dirty = self.dirty
        head = self.log.head
        batch, self._closed_at = head - self._closed_at, head
        if head - self._applied < FLUSH_SOON_RECORDS and not self._closing:
            return
        oldest = next(iter(dirty.values())).dirty_since if dirty else head + 1
        lag = head - oldest
        if lag > REPLAY_RECORDS_MAX // 2 or self._closing:
            quota = len(dirty)
        elif lag >= FLUSH_LAG_RECORDS - 1:
            # Twice what this batch can have dirtied: the lag shrinks whatever the load is.
            quota = max(FLUSH_CHUNK_MIN, 2 * batch)
        elif lag >= FLUSH_SOON_RECORDS - 1:
            quota = max(FLUSH_CHUNK_MIN // 16, batch // 4)
        else:
            quota = 0  # what is behind changed no state: only the position moves on
        with contextlib.suppress(LittoralError):  # no writes now, so there is nothing to flush with
            self._flush(self._first(quota))

    def _first(self, count: int) -> list[Hot]:
        picked: list[Hot] = []
        for hot in self.dirty.values():
            if len(picked) >= count:
                break
            picked.append(hot)
        return picked

    def _flush(self, hots: Iterable[Hot]) -> None:
        for hot in sorted(hots, key=lambda h: h.entity):
            self.log.put(SPACE, hot.entity, state.pack(hot))
            del self.dirty[hot.entity]
            hot.dirty_since = 0
        oldest = next(iter(self.dirty.values())).dirty_since if self.dirty else self.log.head + 1
        applied = oldest - 1
        self.log.put(_META, _APPLIED, str(applied).encode())
        self._applied = applied
        self.log.on_commit(lambda error: self._durable_to(applied, error))

    def _durable_to(self, applied: int, error: LittoralError | None) -> None:
        if error is None:
            self._durable = applied

    def flush(self) -> None:
        """Write all dirty states into the open batch; for a clean end."""
        self._closing = True
        if self.dirty or self._applied < self.log.head:
            self._flush(list(self.dirty.values()))

    def _abort(self, error: LittoralError) -> None:
        """A commit failed: what was decided on top of it is void. Drop it and look anew."""
        del error
        committed = self.log.committed
        for entity, hot in list(self.hot.items()):
            # A flush in the failed batch is void too: who is clean in memory may be behind on disk.
            if not hot.dirty_since or hot.last_seq > committed or hot.ids_seq > committed:
                self.dirty.pop(entity, None)
                self.forget(hot)
        self.policies_changed += 1
        self._applied = self._stored_position()
        self._replay(self._applied, frozenset(self.hot))
        # What was read again is dirty since long ago: the oldest has to come first, as ever.
        self.dirty = OrderedDict(sorted(self.dirty.items(), key=lambda item: item[1].dirty_since))
        for hook in self.policy_hooks:
            hook(None)
