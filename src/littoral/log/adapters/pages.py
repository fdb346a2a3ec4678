"""Rows of the table of pages: made from records, written, checked, decoded."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from operator import itemgetter
from typing import NamedTuple
from zlib import crc32

import apsw

from littoral.kernel.ids import Origin
from littoral.log.codec import PageDamaged, chunks, decode_page, encode_page
from littoral.log.model import PAGE_BYTES_MAX, PAGE_RECORDS_MAX, Record


class PageRow(NamedTuple):
    """One row, without its id."""

    grp: int
    seq_first: int
    seq_last: int
    cls: int
    origin: int
    records: int
    hlc_first: int
    hlc_last: int
    oseq_first: int
    oseq_last: int
    stored: int
    crc: int
    codec: int
    blob: bytes


COLUMNS = ", ".join(PageRow._fields)
_INSERT = f"INSERT INTO page({COLUMNS}) VALUES ({', '.join('?' * len(PageRow._fields))})"  # noqa: S608


# By position and in C: this runs for every record, on the committer, while it holds the GIL.
_hlc = itemgetter(1)
_stream = itemgetter(3, 11)
_value = itemgetter(9)


def rows_of(records: Sequence[Record], numbers: "OriginNumbers") -> Iterator[PageRow]:
    """The pages of one batch: per class and origin, cut to a bounded size."""
    if not records:
        return
    grp = records[0].seq
    keys = set(map(_stream, records))
    streams: dict[tuple[int, Origin], Sequence[Record]] = {}
    if len(keys) == 1:
        streams[keys.pop()] = records
    else:
        found: defaultdict[tuple[int, Origin], list[Record]] = defaultdict(list)
        for record in records:
            found[record.cls, record.origin].append(record)
        streams.update(found)
    for (cls, origin), stream in streams.items():
        number = numbers.of(origin)
        for start in range(0, len(stream), PAGE_RECORDS_MAX):
            part = stream[start : start + PAGE_RECORDS_MAX]
            if sum(map(len, map(_value, part))) < PAGE_BYTES_MAX // 2:
                yield _row(grp, cls, number, part)
                continue
            for first, stop in chunks([len(r.value) + 128 for r in part]):
                yield _row(grp, cls, number, part[first:stop])


def _row(grp: int, cls: int, origin: int, records: Sequence[Record]) -> PageRow:
    codec, blob = encode_page(records)
    first, last = records[0], records[-1]
    stamps = list(map(_hlc, records))
    return PageRow(
        grp=grp,
        seq_first=first.seq,
        seq_last=last.seq,
        cls=cls,
        origin=origin,
        records=len(records),
        hlc_first=min(stamps),
        hlc_last=max(stamps),
        oseq_first=first.oseq,
        oseq_last=last.oseq,
        stored=len(blob),
        crc=page_crc(first.seq, last.seq, cls, len(records), blob),
        codec=codec,
        blob=blob,
    )


def insert_page(connection: apsw.Connection, row: PageRow) -> None:
    """Write one page."""
    connection.execute(_INSERT, row)


def page_crc(seq_first: int, seq_last: int, cls: int, count: int, blob: bytes) -> int:
    """CRC-32 of a page's bytes and of what its row says about them."""
    return crc32(blob, crc32(b"%d %d %d %d" % (seq_first, seq_last, cls, count)))


def checked_page(
    seq_first: int, seq_last: int, cls: int, count: int, crc: int, codec: int, blob: bytes
) -> list[Record]:
    """The records of a row as read; raises `PageDamaged`."""
    if page_crc(seq_first, seq_last, cls, count, blob) != crc:
        raise PageDamaged(f"the page of records {seq_first} to {seq_last} fails its checksum")
    return decode_page(codec, blob)


class OriginNumbers:
    """Origins as small numbers; new ones are known to readers only after their commit."""

    def __init__(self) -> None:
        self._numbers: dict[Origin, int] = {}
        self._names: dict[int, Origin] = {}
        self._new: dict[Origin, int] = {}

    def load(self, connection: apsw.Connection) -> None:
        """Read the table."""
        for number, name in connection.execute("SELECT id, name FROM origin"):
            self._numbers[Origin(name)] = number
            self._names[number] = Origin(name)

    def of(self, origin: Origin) -> int:
        """The number of ``origin`` for a batch that is being written."""
        number = self._numbers.get(origin) or self._new.get(origin)
        if number is None:
            number = self._new[origin] = len(self._numbers) + len(self._new) + 1
        return number

    def known(self, origin: Origin) -> int | None:
        """The number of ``origin`` if a committed page has it."""
        return self._numbers.get(origin)

    def name(self, number: int) -> Origin:
        """The origin with this number."""
        return self._names[number]

    def write_new(self, connection: apsw.Connection) -> None:
        """Write what `of` has made, in the batch's transaction."""
        for name, number in self._new.items():
            connection.execute("INSERT INTO origin(id, name) VALUES(?, ?)", (number, name))

    def committed(self) -> None:
        """The batch is durable."""
        for name, number in self._new.items():
            self._numbers[name] = number
            self._names[number] = name
        self._new.clear()

    def aborted(self) -> None:
        """The batch is void."""
        self._new.clear()
