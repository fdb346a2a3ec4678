"""The log of a node: append, read, keys and values, cursors; the commit itself is `commit`'s."""

import contextlib
from bisect import bisect_left
from collections.abc import Callable, Sequence
from operator import itemgetter

from littoral.kernel.errors import LittoralError
from littoral.kernel.ids import NodeId, Origin
from littoral.kernel.time import Clock, Entropy
from littoral.log.check import INT_MAX, check, check_headers
from littoral.log.commit import GroupCommit
from littoral.log.core import high_water_key, salvage_value, snapshot_key, snapshot_of
from littoral.log.cursor import Cursor, Cursors
from littoral.log.errors import LogBroken, LogBusy, LogClosed
from littoral.log.housekeeping import Housekeeper
from littoral.log.model import (
    BATCH_BYTES_MAX,
    BATCH_RECORDS_MAX,
    DEFAULT_RETENTION,
    HASTEN_RECORDS,
    HLC_AHEAD_MS,
    LEDGER_KIND,
    TEXT_CHARS_MAX,
    VALUE_BYTES_MAX,
    ClassUsage,
    Headers,
    LogStatistics,
    Loss,
    Opened,
    Record,
    RecordClass,
    Retention,
)
from littoral.log.pending import OPEN_BYTES_EACH, Pending, changed, lookup
from littoral.log.ports import Committer, Scheduler, Store
from littoral.native import hot

_DROPPED = "dropped"
"""Space of `Log.own_dropped`, by class."""

_new_record = tuple.__new__
_HLC_AHEAD = HLC_AHEAD_MS << 16
_TEXT_QUICK = TEXT_CHARS_MAX // 2
"""Below it the full check of the texts' length cannot fail: a kind is a constant of ours."""


class Log(GroupCommit):
    """One node's append-only log. Everything is called on the loop's thread.

    Invariant: a record is read, listened to or acknowledged only after it is durable; a seq is
    given out once in the life of an epoch, also if its commit failed.
    """

    __slots__ = ("_cursors", "_housekeeper", "_now_ms", "dropped", "node", "opened", "origin")

    def __init__(
        self,
        opened: Opened,
        *,
        store: Store,
        committer: Committer,
        clock: Clock,
        loop: Scheduler,
        retention: Retention,
    ) -> None:
        super().__init__(opened, store=store, committer=committer, clock=clock, loop=loop)
        self.opened = opened
        self.node: NodeId = opened.node
        self.origin: Origin = opened.epochs[-1].origin
        self._now_ms = clock.now_ms
        self.dropped: int = max(store.dropped_to(cls) for cls in RecordClass)
        """The highest seq that retention has taken; what is older may be there or not."""
        self._cursors = Cursors(self, store, clock)
        self._housekeeper = Housekeeper(
            self, store, self._cursors, clock, retention, run_piece=self._run_piece
        )

    @classmethod
    def open(
        cls,
        *,
        store: Store,
        committer: Committer,
        clock: Clock,
        entropy: Entropy,
        node: NodeId,
        loop: Scheduler,
        retention: Retention = DEFAULT_RETENTION,
    ) -> "Log":
        """Open the files, salvage what is damaged, and begin a new epoch.

        Raises:
            LogTooNew, LogInUse, LogOfAnotherNode, LogFull, LogBroken.
        """
        opened = store.open(origin=Origin(f"{node}/{entropy.token(8).hex()}"))
        log = cls(
            opened, store=store, committer=committer, clock=clock, loop=loop, retention=retention
        )
        if opened.salvage is not None:
            log.append(
                RecordClass.EVENT, LEDGER_KIND, f"log:{node}", 0, 0, "/",
                salvage_value(opened.salvage),
            )  # fmt: skip
            for _, last in opened.salvage.seq_gaps[-1:]:
                for each in RecordClass:
                    log.put(_DROPPED, str(int(each)), str(last).encode())
        return log

    # The hot path: one tuple and one list append per record. Everything else is per batch.

    def admit(self, records: Sequence[Record]) -> None:
        """Raise now whatever appending one of these facts would raise.

        Who appends them at once afterwards, within one turn of the loop, appends all in one batch.
        """
        if self._refusal is not None:
            self._refuse()
        for record in records:
            check(record)

    def append(
        self,
        cls: int,
        kind: str,
        entity: str,
        revision: int,
        prev_seq: int,
        path: str,
        value: bytes,
        device_time: int | None = None,
        headers: Headers | None = None,
    ) -> int:
        """Stamp a fact and put it into the open batch; return its seq.

        Raises:
            RecordInvalid: it cannot be stored; nothing else is touched.
            LogFull, LogBusy, LogBroken, LogClosed: no writes now.
        """
        if self._refusal is not None:
            self._refuse()
        if (
            value.__class__ is not bytes
            or len(value) > VALUE_BYTES_MAX
            or not 0 <= cls <= 4
            or not (entity.isascii() and path.isascii())
            or len(path) + len(entity) > _TEXT_QUICK
            or (device_time is not None and not -INT_MAX < device_time < INT_MAX)
        ):
            check(
                Record(
                    0, 0, device_time, cls, kind, entity, revision,
                    prev_seq, path, value, headers, self.origin, 0,
                )
            )  # fmt: skip
        elif headers is not None:
            check_headers(headers)
        stamp = self._now_ms() << 16
        if stamp <= self.last_hlc:
            stamp = self.last_hlc + 1
        self.last_hlc = stamp
        if stamp > self._floor:
            self._move_floor(stamp)
        self.head = seq = self._next
        self._next = seq + 1
        self._push(
            _new_record(
                Record,
                (
                    seq, stamp, device_time, cls, kind, entity, revision,
                    prev_seq, path, value, headers, self.origin, seq,
                ),
            )
        )  # fmt: skip
        pending = self._open
        pending.bytes += len(value) + OPEN_BYTES_EACH
        if not self._armed:
            self._arm()
        elif pending.bytes > BATCH_BYTES_MAX or len(pending.records) >= BATCH_RECORDS_MAX:
            self._overflow()
        return seq

    def append_plain(
        self,
        cls: int,
        kind: str,
        entity: str,
        revision: int,
        prev_seq: int,
        path: str,
        value: bytes,
    ) -> int:
        """`append` without headers or device time, for callers that have checked what repeats.

        ``entity`` and ``path`` are short and were taken by an earlier `append`; ``value`` is within
        `VALUE_BYTES_MAX`. The wall clock is read for every 32nd record of a batch and for its first; in between the
        counter alone grows, which is what a hybrid clock's counter is for.
        """
        if self._refusal is not None:
            self._refuse()
        seq = self._next
        if seq & 31 and self._armed:
            stamp = self.last_hlc + 1
        else:
            stamp = self._now_ms() << 16
            if stamp <= self.last_hlc:
                stamp = self.last_hlc + 1
        self.last_hlc = stamp
        if stamp > self._floor:
            self._move_floor(stamp)
        self.head = seq
        self._next = seq + 1
        self._push(
            _new_record(
                Record,
                (
                    seq, stamp, None, cls, kind, entity, revision,
                    prev_seq, path, value, None, self.origin, seq,
                ),
            )
        )  # fmt: skip
        pending = self._open
        pending.bytes += len(value) + OPEN_BYTES_EACH
        if not self._armed:
            self._arm()
        elif pending.bytes > BATCH_BYTES_MAX or len(pending.records) >= BATCH_RECORDS_MAX:
            self._overflow()
        return seq

    def append_remote(self, record: Record, revision: int, prev_seq: int) -> int:
        """Put a record of another log into the open batch, with its own stamp and identity.

        Its high-water mark rises in the same batch. The caller has seen that it is new.
        """
        if self._refusal is not None:
            self._refuse()
        check(record)
        self.observe(record.hlc)
        self.head = seq = self._next
        self._next = seq + 1
        self._push(record._replace(seq=seq, revision=revision, prev_seq=prev_seq))
        self.raise_high_water(record.origin, record.cls, record.oseq)
        pending = self._open
        pending.bytes += len(record.value) + OPEN_BYTES_EACH
        if pending.bytes > BATCH_BYTES_MAX or len(pending.records) >= BATCH_RECORDS_MAX:
            self._overflow()
        return seq

    def observe(self, hlc: int) -> None:
        """Take in a stamp of another log: ours will be later. Too far ahead is the link's to refuse."""
        self.last_hlc = max(self.last_hlc, hlc)
        if hlc > self._floor:
            self._move_floor(hlc)

    def high_water(self, origin: Origin, cls: int) -> int:
        """The highest oseq of ``origin`` and ``cls`` that is stored or in a batch; 0 if none."""
        key = (origin, cls)
        known = self._high.get(key)
        if known is None:
            data = self._store_get("hw", high_water_key(origin, cls))
            known = self._high[key] = int(data) if data else 0
        return known

    def raise_high_water(self, origin: Origin, cls: int, oseq: int) -> None:
        """Note that everything of ``origin`` and ``cls`` up to ``oseq`` is here or was filtered out."""
        if oseq > self.high_water(origin, cls):
            self._high[origin, cls] = oseq
            self._open.high.add((origin, cls))
            if not self._armed:
                self._arm()

    # Keys and values.

    def put(self, space: str, key: str, value: bytes | None) -> None:
        """Write a key in the open batch (None deletes it); `get` sees it at once."""
        if self._refusal is not None:
            self._refuse()
        self._open.puts[space, key] = value
        self._open.bytes += OPEN_BYTES_EACH + (len(value) if value is not None else 0)
        if not self._armed:
            self._arm()

    def get(self, space: str, key: str) -> bytes | None:
        """The newest value of a key, durable or not yet."""
        found, value = lookup(self._layers(), space, key)
        return value if found else self._store_get(space, key)

    def scan(
        self, space: str, *, prefix: str = "", after: str = "", limit: int = 1000
    ) -> list[tuple[str, bytes]]:
        """Keys of ``space`` that begin with ``prefix`` and are > ``after``, in order, as `get` sees them."""
        newer = changed(self._layers(), space, prefix, after)
        try:
            stored = self._store.scan(space, prefix=prefix, after=after, limit=limit + len(newer))
        except LogBroken as e:
            self._break(e)
            raise
        if not newer:
            return stored
        rows: dict[str, bytes | None] = {**dict(stored), **newer}
        return [(k, v) for k, v in sorted(rows.items()) if v is not None][:limit]

    # Reading.

    def read(
        self, after: int, *, limit: int, cls: int | None = None, origin: Origin | None = None
    ) -> list[Record]:
        """Committed records with seq > ``after``, in order, at most ``limit``."""
        if after >= self.committed:
            return []
        found = self._tail.read(after, limit=limit, cls=cls, origin=origin)
        if found is not None:
            return found
        try:
            found = self._store.read(after, limit=limit, cls=cls, origin=origin)
        except LogBroken as e:
            self._break(e)
            raise
        # The committer's thread may be ahead of what the loop knows: not visible yet.
        while found and found[-1].seq > self.committed:
            found.pop()
        return found

    def history(self, entity: str, last_seq: int, *, first: int, last: int) -> list[Record]:
        """Records of ``entity`` with first <= revision <= last, ascending; dropped ones are missing.

        ``last_seq`` is the entity's newest record, durable or not yet. In the open tail the chain of
        ``prev_seq`` leads back; below it, the index of the sealed pages.
        """
        found: list[Record] = []
        seq = last_seq
        try:
            indexed = self._store.indexed_to()
            while seq > indexed:
                record = (
                    self._pending_at(seq)
                    or self._tail.at(seq)
                    or next(iter(self._store.by_seq([seq])), None)
                )
                if record is None or record.entity != entity or record.revision < first:
                    return found[::-1]
                if record.revision <= last:
                    found.append(record)
                seq = record.prev_seq
            found.reverse()
            if seq:
                pairs = self._store.sealed_history(entity, first=first, last=last)
                below = found[0].seq if found else indexed + 1
                return self._store.by_seq([s for _, s in pairs if s < below]) + found
        except LogBroken as e:
            self._break(e)
            raise
        return found

    def cursor(
        self, name: str, *, pinned: bool = False, cls: int | None = None, start: int | None = None
    ) -> Cursor:
        """The durable cursor of that name; made at ``start`` (default: before the oldest record)."""
        return self._cursors.cursor(name, pinned=pinned, cls=cls, start=start)

    def cursors(self) -> list[Cursor]:
        """Every cursor that is stored or open."""
        return self._cursors.all()

    def forget_cursor(self, name: str) -> None:
        """Called by `Cursor.remove`."""
        self._cursors.forget(name)

    def forget_tail(self, up_to: int) -> None:
        """Retention dropped records up to ``up_to``: the tail must not show them any more."""
        self._tail.floor = max(self._tail.floor, up_to)
        self.dropped = max(self.dropped, up_to)

    def note_dropped(self, loss: Loss) -> None:
        """Retention is about to drop this: note what of it was said here first, for `own_dropped`."""
        own = [
            last for at, (_, last, _) in loss.origins.items() if at.partition("/")[0] == self.node
        ]
        if own:
            self.put(_DROPPED, str(int(loss.cls)), str(max(own)).encode())
        elif self.get(_DROPPED, str(int(loss.cls))) is None:
            self.put(_DROPPED, str(int(loss.cls)), str(self.own_dropped(loss.cls)).encode())

    def own_dropped(self, cls: int) -> int:
        """The highest seq among the records of ``cls`` first said here that are not kept any more.

        Retention took them, or damage. 0 if there were none. A log of an older release knows it
        only of all records, and says that until the next drop.
        """
        noted = self.get(_DROPPED, str(int(cls)))
        return self._store.dropped_to(cls) if noted is None else int(noted)

    def hold(self, hook: Callable[[], int]) -> None:
        """Never drop a record whose seq is >= ``hook()``, whatever the budget: it is to be replayed."""
        self._housekeeper.holds.append(hook)

    def put_snapshot(self, entity: str, revision: int, value: bytes) -> None:
        """Keep what ``entity`` was at ``revision``, whatever retention takes away."""
        self.put("snapshot", snapshot_key(entity, revision), value)

    def snapshot(self, entity: str, *, at_or_below: int) -> tuple[int, bytes] | None:
        """The newest snapshot with revision <= ``at_or_below``: (revision, value)."""
        found = self.scan(
            "snapshot",
            prefix=f"{entity}\x00",
            after=snapshot_key(entity, at_or_below + 1),
            limit=1,
        )
        if not found:
            return None
        key, value = found[0]
        return snapshot_of(key)[1], value

    def drop_snapshot(self, entity: str, revision: int) -> None:
        """Forget the snapshot of exactly ``revision``, if there is one."""
        self.put("snapshot", snapshot_key(entity, revision), None)

    def oldest(self, cls: int | None = None) -> int:
        """Seq of the oldest record kept (of that class); head + 1 if there is none."""
        return self._store.oldest(cls)

    def usage(self) -> Sequence[ClassUsage]:
        """How much of its budget each class uses."""
        return self._store.usage()

    def statistics(self) -> LogStatistics:
        """What the log would tell about itself."""
        used, wal = self._store.size()
        return LogStatistics(
            head=self.head,
            committed=self.committed,
            batches=self._commits,
            records=self._stored,
            open_records=len(self._open.records),
            bytes_used=used,
            bytes_max=self._housekeeper.retention.total_bytes_max,
            wal_bytes=wal,
            refused=None if self._refusal is None else self._refusal.message,
        )

    def retain(self, retention: Retention) -> None:
        """Keep from now on what ``retention`` says."""
        self._housekeeper.retention = retention

    async def run(self) -> None:
        """Housekeeping (sealing, retention, idle cursors) until cancelled."""
        await self._housekeeper.run()

    async def close(self) -> None:
        """Make durable what is open, then let go of the files. Idempotent."""
        if isinstance(self._refusal, LogClosed):
            return
        writes = self._refusal is None or isinstance(self._refusal, LogBusy)
        if writes and (self._open or self._flying or self._ready):
            # Those who waited were told why; the files are closed all the same.
            with contextlib.suppress(LittoralError):
                await self._waiters.open_batch(self.on_commit)
        self._refusal = LogClosed("the log is closed.")
        self._committer.close()
        self._store.close()
        self._waiters.close(self._refusal)

    def _pending_at(self, seq: int) -> Record | None:
        """A record that is not durable yet."""
        if seq <= self.committed:
            return None
        for layer in self._layers():
            records = layer.records
            if records and records[0].seq <= seq <= records[-1].seq:
                at = bisect_left(records, seq, key=itemgetter(0))
                return records[at] if records[at].seq == seq else None
        return None

    def _layers(self) -> list[Pending]:
        """Batches that are not durable yet, oldest first."""
        flying = [] if self._flying is None else [self._flying]
        return [*flying, *self._ready, self._open]

    def _store_get(self, space: str, key: str) -> bytes | None:
        try:
            return self._store.get(space, key)
        except LogBroken as e:
            self._break(e)
            raise

    def _move_floor(self, stamp: int) -> None:
        """Have the open batch store that no stamp up to 10 s from here is issued after a crash."""
        self._open.hlc_ahead = self._floor = stamp + _HLC_AHEAD


if hot is not None:
    hot.bind(hot.LOG, Log)
    hot.bind(hot.PENDING, Pending)
    hot.bind(hot.RECORD, Record)
    hot.configure(
        batch_bytes_max=BATCH_BYTES_MAX,
        batch_records_max=BATCH_RECORDS_MAX,
        open_bytes_each=OPEN_BYTES_EACH,
        hasten_records=HASTEN_RECORDS,
    )
