"""A log in memory: the specification that runs. Lists and dicts, no cleverness."""

from bisect import bisect_right, insort
from collections.abc import Iterable, Sequence

from littoral.kernel.ids import NodeId, Origin
from littoral.kernel.time import ms_of
from littoral.log.core import merge_origins
from littoral.log.errors import LogClosed, LogFull, LogInUse, LogOfAnotherNode
from littoral.log.model import Batch, ClassUsage, Epoch, Loss, Opened, Record, RecordClass

_LOSS_RECORDS_MAX = 8192


class MemoryStore:
    """What a store must do. It keeps its content from `close` to the next `open`.

    Args:
        capacity_bytes: the size of its "disk": values over it are refused with `LogFull`.
    """

    def __init__(self, *, capacity_bytes: int = 1 << 62) -> None:
        self.capacity_bytes = capacity_bytes
        self._records: list[Record] = []
        self._keys: dict[str, dict[str, bytes]] = {}
        self._order: dict[str, list[str]] = {}
        self._epochs: list[Epoch] = []
        self._dropped: dict[int, int] = {}
        self._head = 0
        self._hlc = 0
        self._bytes = 0
        self._open = False

    def open(self, *, origin: Origin) -> Opened:
        """See `littoral.log.ports.Store`."""
        if self._open:
            raise LogInUse("this log is open already.")
        node = NodeId(origin.partition("/")[0])
        previous = self._epochs[-1] if self._epochs else None
        if previous is not None and previous.origin.partition("/")[0] != node:
            raise LogOfAnotherNode(f"this is the log of {previous.origin}, not of {node}.")
        self._open = True
        self._epochs.append(
            Epoch(origin, None if previous is None else previous.origin, self._head)
        )
        return Opened(node, tuple(self._epochs), self._head, self._hlc, None)

    def apply(self, batch: Batch) -> None:
        """See `littoral.log.ports.Store`."""
        self._check_open()
        size = sum(_size(r) for r in batch.records) + sum(
            len(p.value or b"") + len(p.key) for p in batch.puts
        )
        if self._bytes + size > self.capacity_bytes:
            raise LogFull("the memory store is full.", hint="Raise capacity_bytes.")
        self._bytes += size
        for record in batch.records:
            self._records.append(record)
            self._hlc = max(self._hlc, record.hlc)
        if batch.records:
            self._head = batch.records[-1].seq
        for space, key, value in batch.puts:
            self._put(space, key, value)

    def probe(self) -> None:
        """See `littoral.log.ports.Store`."""
        self._check_open()
        if self._bytes >= self.capacity_bytes:
            raise LogFull("the memory store is full.")

    def read(
        self, after: int, *, limit: int, cls: int | None = None, origin: Origin | None = None
    ) -> list[Record]:
        """See `littoral.log.ports.Store`."""
        self._check_open()
        found: list[Record] = []
        for index in range(bisect_right(self._records, after, key=_seq), len(self._records)):
            record = self._records[index]
            if len(found) >= limit:
                break
            if cls in (None, record.cls) and origin in (None, record.origin):
                found.append(record)
        return found

    def by_seq(self, seqs: Iterable[int]) -> list[Record]:
        """See `littoral.log.ports.Store`."""
        self._check_open()
        found: list[Record] = []
        for seq in seqs:
            index = bisect_right(self._records, seq - 1, key=_seq)
            if index < len(self._records) and self._records[index].seq == seq:
                found.append(self._records[index])
        return found

    def indexed_to(self) -> int:
        """See `littoral.log.ports.Store`: this one follows the chain only."""
        return 0

    def sealed_history(self, entity: str, *, first: int, last: int) -> list[tuple[int, int]]:
        """See `littoral.log.ports.Store`."""
        return [
            (r.revision, r.seq)
            for r in self._records
            if r.entity == entity and first <= r.revision <= last and r.seq <= self.indexed_to()
        ]

    def get(self, space: str, key: str) -> bytes | None:
        """See `littoral.log.ports.Store`."""
        self._check_open()
        return self._keys.get(space, {}).get(key)

    def scan(
        self, space: str, *, prefix: str = "", after: str = "", limit: int
    ) -> list[tuple[str, bytes]]:
        """See `littoral.log.ports.Store`."""
        self._check_open()
        values = self._keys.get(space, {})
        keys = (k for k in self._order.get(space, []) if k > after and k.startswith(prefix))
        return [(k, values[k]) for k, _ in zip(keys, range(limit), strict=False)]

    def oldest(self, cls: int | None = None) -> int:
        """See `littoral.log.ports.Store`."""
        self._check_open()
        return next((r.seq for r in self._records if cls in (None, r.cls)), self._head + 1)

    def dropped_to(self, cls: int) -> int:
        """See `littoral.log.ports.Store`."""
        return self._dropped.get(cls, 0)

    def usage(self) -> Sequence[ClassUsage]:
        """See `littoral.log.ports.Store`."""
        found: list[ClassUsage] = []
        for cls in RecordClass:
            mine = [r for r in self._records if r.cls == cls]
            oldest = ms_of(mine[0].hlc) if mine else None
            found.append(ClassUsage(cls, len(mine), sum(_size(r) for r in mine), oldest))
        return found

    def size(self) -> tuple[int, int]:
        """See `littoral.log.ports.Store`."""
        return self._bytes, 0

    def maintain(self, *, sealed_to: int) -> bool:
        """See `littoral.log.ports.Store`: there is nothing to seal."""
        self._check_open()
        return sealed_to < 0

    def losses(
        self, cls: RecordClass, *, older_than_ms: int | None, bytes_over: int, below: int
    ) -> Loss | None:
        """See `littoral.log.ports.Store`."""
        taken: list[Record] = []
        freed = 0
        for record in self._records:
            if record.seq >= below or len(taken) == _LOSS_RECORDS_MAX:
                break
            if record.cls != cls:
                continue
            if older_than_ms is not None and ms_of(record.hlc) >= older_than_ms:
                break
            if older_than_ms is None and freed >= bytes_over:
                break
            taken.append(record)
            freed += _size(record)
        if not taken:
            return None
        stamps = [ms_of(r.hlc) for r in taken]
        return Loss(
            cls=cls,
            first=taken[0].seq,
            up_to=taken[-1].seq,
            count=len(taken),
            from_ms=min(stamps),
            to_ms=max(stamps),
            payload_bytes=freed,
            origins=merge_origins((r.origin, r.oseq, r.oseq, 1) for r in taken),
        )

    def drop(self, cls: RecordClass, *, up_to: int) -> None:
        """See `littoral.log.ports.Store`."""
        self._check_open()
        kept = [r for r in self._records if r.cls != cls or r.seq > up_to]
        gone = sum(_size(r) for r in self._records) - sum(_size(r) for r in kept)
        self._records = kept
        self._bytes -= gone
        self._dropped[cls] = max(self._dropped.get(cls, 0), up_to)

    def close(self) -> None:
        """See `littoral.log.ports.Store`."""
        self._open = False

    def _put(self, space: str, key: str, value: bytes | None) -> None:
        values = self._keys.setdefault(space, {})
        order = self._order.setdefault(space, [])
        old = values.get(key)
        if old is not None:
            self._bytes -= len(old) + len(key)
        if value is None:
            if values.pop(key, None) is not None:
                order.remove(key)
        else:
            if key not in values:
                insort(order, key)
            values[key] = value

    def _check_open(self) -> None:
        if not self._open:
            raise LogClosed("the memory store is closed.")


def _seq(record: Record) -> int:
    return record.seq


def _size(record: Record) -> int:
    return len(record.value) + 64
