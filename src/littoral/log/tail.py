"""The newest committed records, in memory: readers near the head never touch the disk."""

from bisect import bisect_right
from collections import deque
from collections.abc import Iterator, Sequence

from littoral.kernel.ids import Origin
from littoral.log.model import TAIL_BYTES_MAX, TAIL_RECORDS_MAX, Record


class Tail:
    """Whole batches, oldest first; bounded by records and bytes.

    Invariant: every committed record with seq > `floor` is here.
    """

    def __init__(
        self,
        floor: int,
        *,
        records_max: int = TAIL_RECORDS_MAX,
        bytes_max: int = TAIL_BYTES_MAX,
    ) -> None:
        self.floor = floor
        self._batches: deque[tuple[list[Record], int]] = deque()
        self._count = 0
        self._bytes = 0
        self._records_max = records_max
        self._bytes_max = bytes_max

    def add(self, records: list[Record], size_bytes: int) -> None:
        """Take in a committed batch; the oldest ones make room."""
        self._batches.append((records, size_bytes))
        self._count += len(records)
        self._bytes += size_bytes
        while self._batches and (self._count > self._records_max or self._bytes > self._bytes_max):
            dropped, size = self._batches.popleft()
            self._count -= len(dropped)
            self._bytes -= size
            self.floor = dropped[-1].seq

    def read(
        self, after: int, *, limit: int, cls: int | None, origin: Origin | None
    ) -> list[Record] | None:
        """Like `Store.read`; None if ``after`` is before the tail."""
        if after < self.floor:
            return None
        found: list[Record] = []
        for records in self._from(after):
            if cls is None and origin is None:
                found.extend(records[: limit - len(found)])
            else:
                for record in records:
                    if (cls is None or record.cls == cls) and (
                        origin is None or record.origin == origin
                    ):
                        found.append(record)
                        if len(found) == limit:
                            break
            if len(found) >= limit:
                break
        return found

    def at(self, seq: int) -> Record | None:
        """The record with this seq, if it is here."""
        if seq <= self.floor:
            return None
        low, high = 0, len(self._batches)
        while low < high:
            middle = (low + high) // 2
            if self._batches[middle][0][-1].seq < seq:
                low = middle + 1
            else:
                high = middle
        if low == len(self._batches):
            return None
        records = self._batches[low][0]
        index = seq - records[0].seq
        # Seqs of one batch have no gap; between batches there may be one after a failed commit.
        return records[index] if index >= 0 else None

    def _from(self, after: int) -> Iterator[Sequence[Record]]:
        start = len(self._batches)
        while start and self._batches[start - 1][0][-1].seq > after:
            start -= 1
        for index in range(start, len(self._batches)):
            records = self._batches[index][0]
            if records[0].seq > after:
                yield records
            else:
                yield records[bisect_right(records, after, key=_seq) :]


def _seq(record: Record) -> int:
    return record.seq
