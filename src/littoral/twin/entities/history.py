"""What an entity was: its records and snapshots in the log, and late records put in their place."""

from dataclasses import dataclass

from littoral.kernel.time import ms_of
from littoral.log import Log, Record
from littoral.twin.core import state
from littoral.twin.core.conflict import conflict_of, conflict_of_leaves, stamp_of
from littoral.twin.core.document import Document
from littoral.twin.core.late import Leaves, flat_patch, learn, place
from littoral.twin.core.paths import mark, newest_overlapping, overlap
from littoral.twin.core.state import Hot, touched_by
from littoral.twin.errors import HistoryNotFound
from littoral.twin.model import LATE_LANES_MAX, REFOLD_RECORDS_MAX


@dataclass(frozen=True, slots=True)
class LateOutcome:
    """What placing a late record came to."""

    folded: bool
    """True if the history was folded for it: the result is worth a snapshot."""
    conflict: dict[str, object] | None
    """The body of the conflict event, if it lost something to another node."""
    placed: bool = True
    """False if too little of the past is kept to say where it belongs: it changed nothing."""


class History:
    """Reads the past of entities from the log.

    Invariant: folding the records of an entity in the order of their stamps over a snapshot that
    is older than all of them gives its document, whatever order they came in.
    """

    def __init__(self, log: Log) -> None:
        self._log = log
        self._leaves: dict[Hot, tuple[str, Leaves]] = {}

    def records(self, entity: str, last_seq: int, first: int, last: int) -> list[Record]:
        """Records with first <= revision <= last, ascending; ``last_seq`` is the newest one's seq."""
        if first > last:
            return []
        found = self._log.history(entity, last_seq, first=first, last=last)
        return [r for r in found if r.revision]

    def revision_at(self, hot: Hot, at_ms: int) -> int:
        """The newest revision accepted at or before ``at_ms``, found by halving.

        Raises:
            HistoryNotFound: it did not exist then, or nobody knows any more.
        """
        low, high = 0, hot.revision
        while low < high:
            middle = (low + high + 1) // 2
            found = self.records(hot.entity, hot.last_seq, middle, middle)
            # What is not kept any more is older than what is.
            if not found or ms_of(found[0].hlc) <= at_ms:
                low = middle
            else:
                high = middle - 1
        if low == 0:
            raise _unknown(hot, f"{hot.id} did not exist then.")
        return low

    def at(self, hot: Hot, revision: int) -> Hot:
        """What ``hot`` was at ``revision``.

        Raises:
            HistoryNotFound: not kept any more, or not happened yet.
        """
        if not 1 <= revision <= hot.revision:
            raise _unknown(
                hot, f"{hot.id} has no revision {revision}; it is at {hot.revision}.", revision
            )
        found = self._log.snapshot(hot.entity, at_or_below=revision)
        past = Hot(hot.entity) if found is None else state.unpack(hot.entity, found[1])
        records = self.records(hot.entity, hot.last_seq, past.revision + 1, revision)
        if [r.revision for r in records] != list(range(past.revision + 1, revision + 1)):
            raise _unknown(hot, f"revision {revision} of {hot.id} is not kept any more.", revision)
        for record in records:
            if is_in_place(past, record):
                state.apply(past, record)
                self.wrote(past, record)
            else:
                self.take_late(past, record, again=True)
        self.forget(past)
        return past

    def take_late(self, hot: Hot, record: Record, *, again: bool = False) -> LateOutcome:
        """Let a late record change ``hot`` as if it had come in its place.

        ``again`` says that it was placed before (replay, history): a snapshot of then is believed.
        """
        known = self._leaves.get(hot)
        if known is not None and known[0] == record.path:
            lost = place(hot, record, known[1])
            if lost is not None:
                hot.revision, hot.last_seq = record.revision, record.seq
                return LateOutcome(folded=False, conflict=conflict_of_leaves(record, lost))
        self.forget(hot)
        if again and self._restored(hot, record):
            return LateOutcome(folded=False, conflict=None)
        unsettled = self._unsettled(hot, record)
        if unsettled is None:
            hot.revision, hot.last_seq = record.revision, record.seq
            return LateOutcome(folded=False, conflict=None, placed=False)
        base, later = unsettled
        document = state.fold_in_order(base, [*later, record])
        settle(hot, record, document)
        if hot.doc is not None and len(later) <= REFOLD_RECORDS_MAX:
            learnt = learn(record, later)
            if learnt is not None:
                self._remember(hot, record.path, learnt)
        return LateOutcome(folded=True, conflict=conflict_of(record, later, document))

    def wrote(self, hot: Hot, record: Record) -> None:
        """Note a record that came in its place, for the late ones that may follow."""
        if not hot.watched:
            return
        known = self._leaves.get(hot)
        if known is None:
            return  # watched for its metadata only
        patch = flat_patch(record) if record.path == known[0] else None
        if patch is not None:
            known[1].write(patch, stamp_of(record))
        elif any(overlap(lane, known[0]) for lane in touched_by(record)):
            self.forget(hot)

    def forget(self, hot: Hot) -> None:
        """Nothing is known any more of how the lanes of ``hot`` stand: it was written elsewhere."""
        self._leaves.pop(hot, None)
        hot.watched = hot.annotated

    def _remember(self, hot: Hot, path: str, leaves: Leaves) -> None:
        self._leaves[hot] = (path, leaves)
        hot.watched = True
        if len(self._leaves) > LATE_LANES_MAX:
            self.forget(next(iter(self._leaves)))

    def _restored(self, hot: Hot, record: Record) -> bool:
        """Take over the snapshot that was kept when ``record`` came, if it is there."""
        found = self._log.snapshot(hot.entity, at_or_below=record.revision)
        if found is None or found[0] != record.revision:
            # It was placed leaf by leaf, or room was short and the snapshot is gone.
            return False
        kept = state.unpack(hot.entity, found[1])
        hot.replace(kept.document())
        hot.lanes = kept.lanes
        hot.created_ms, hot.modified_ms = kept.created_ms, kept.modified_ms
        hot.revision, hot.last_seq = record.revision, record.seq
        return True

    def _unsettled(self, hot: Hot, record: Record) -> tuple[Document | None, list[Record]] | None:
        """The document before the first record that may be newer than ``record``, and those after.

        None if retention took some of them, and no snapshot bridges the gap.

        Walks snapshots back to one that is older than ``record`` and older than every record that
        came after it, each in its own lanes: those may have been late themselves, and folding them
        over a base that has seen newer ones would put them in the wrong place.
        """
        later: list[Record] = []
        waiting = [(record.hlc, touched_by(record))]
        last, last_seq = hot.revision, hot.last_seq
        while last > 0:
            found = self._log.snapshot(hot.entity, at_or_below=last)
            base_revision, packed = (0, None) if found is None else found
            chunk = self.records(hot.entity, last_seq, base_revision + 1, last)
            later, whole = chunk + later, len(chunk) == last - base_revision
            if not whole:
                return (None, later) if _is_told_in(later, hot.revision) else None
            if packed is None:
                return None, later
            base = state.unpack(hot.entity, packed)
            if len(later) > REFOLD_RECORDS_MAX:
                return base.document(), later
            waiting += [(r.hlc, touched_by(r)) for r in chunk]
            if all(newest_overlapping(base.lanes, lanes) < hlc for hlc, lanes in waiting):
                return base.document(), later
            own = self.records(hot.entity, last_seq, base_revision, base_revision)
            if not own:
                return (None, later) if _is_told_in(later, hot.revision) else None
            waiting += [(r.hlc, touched_by(r)) for r in own]
            later = own + later
            last, last_seq = base_revision - 1, base.last_seq
        return None, later


def _is_told_in(records: list[Record], last: int) -> bool:
    """Whether ``records`` go back from revision ``last`` to one that told the whole entity.

    Its stamp is above all that it contains: folded in order, nothing older than it counts.
    """
    told = [r.revision for r in records if r.headers is not None and "told" in r.headers]
    return bool(told) and sum(r.revision >= told[-1] for r in records) == last - told[-1] + 1


def _unknown(hot: Hot, message: str, revision: int | None = None) -> HistoryNotFound:
    facts = {} if revision is None else {"revision": revision}
    noun = "policies:policy" if hot.entity.startswith("policy:") else "things:thing"
    return HistoryNotFound(
        message,
        code=f"{noun}.history.notfound",
        hint="How much history is kept is set by the log's retention.",
        **facts,
    )


def is_in_place(hot: Hot, record: Record) -> bool:
    """Whether ``record`` is newer than everything of ``hot`` that it touches."""
    return newest_overlapping(hot.lanes, touched_by(record)) < record.hlc


def settle(hot: Hot, record: Record, document: Document | None) -> None:
    """Make ``document`` what a late record has made of ``hot``."""
    existed = hot.exists
    hot.replace(document)
    if not existed and hot.exists:
        hot.created_ms = ms_of(record.hlc)
    hot.revision, hot.last_seq = record.revision, record.seq
    mark(hot.lanes, touched_by(record), record.hlc, replaced=False)
    hot.modified_ms = max(hot.modified_ms, ms_of(record.hlc))
