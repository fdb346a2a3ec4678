"""Reading rows out of the bytes of an SQLite file that SQLite itself refuses.

Spec: https://www.sqlite.org/fileformat2.html, §1.6 (b-tree pages), §2.1 (records), §4.1 (WAL).
Nothing here trusts a number that it reads: whatever does not fit is left out.
"""

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from littoral.log.adapters.database import PAGE_BYTES

Value = int | float | str | bytes | None
Row = list[Value]

_HEADER = b"SQLite format 3\x00"
_WAL_MAGIC = (0x377F0682, 0x377F0683)
_WAL_HEADER_BYTES = 32
_FRAME_HEADER_BYTES = 24
_DEPTH_MAX = 40
_LEAF_TABLE, _INTERIOR_TABLE, _LEAF_INDEX = 0x0D, 0x05, 0x0A


@dataclass(slots=True)
class Wal:
    """What a write-ahead log holds beyond the database file."""

    pages: dict[int, tuple[int, int]] = field(default_factory=dict)
    """Page number to (offset, size) of its newest committed content in the WAL file."""
    damage: str | None = None


def wal_damage(read: Callable[[int, int], bytes], size: int, frames: int | None) -> str | None:
    """What is wrong with a WAL, judged from its headers alone: cheap enough for every opening.

    A torn end is no damage: it is a commit that nobody was told of. But each commit is synced
    before the next begins, so two commits behind a broken frame mean that the disk lost something.

    Args:
        read: bytes of the WAL file at (offset, size).
        size: of the WAL file.
        frames: how many SQLite accepts; None if it was not asked yet.
    """
    header = read(0, _WAL_HEADER_BYTES)
    if len(header) < _WAL_HEADER_BYTES or not header.strip(b"\x00"):
        return None
    magic, _, page_bytes, _, salt1, salt2, *sums = struct.unpack(">8I", header)
    valid = magic in _WAL_MAGIC and page_bytes == PAGE_BYTES
    if not valid or [*_wal_sum(header[:24], 0, 0, big=bool(magic & 1))] != sums:
        return "the header of the write-ahead log is not readable"
    if frames is None:
        return None
    commits = 0
    each = _FRAME_HEADER_BYTES + PAGE_BYTES
    for offset in range(_WAL_HEADER_BYTES + frames * each, size - each + 1, each):
        _, commit, s1, s2, _, _ = struct.unpack(">6I", read(offset, _FRAME_HEADER_BYTES))
        commits += commit > 0 and (s1, s2) == (salt1, salt2)
    return "the write-ahead log is broken in the middle" if commits > 1 else None


def read_wal(read: Callable[[int, int], bytes], size: int) -> Wal:
    """Find the committed pages of a WAL, and whether it is damaged before its end."""
    wal = Wal()
    header = read(0, _WAL_HEADER_BYTES)
    if len(header) < _WAL_HEADER_BYTES or not header.strip(b"\x00"):
        return wal
    wal.damage = wal_damage(read, size, None)
    if wal.damage is not None:
        return wal
    magic, _, _, _, salt1, salt2, sum1, sum2 = struct.unpack(">8I", header)
    big = bool(magic & 1)
    pending: dict[int, tuple[int, int]] = {}
    running = (sum1, sum2)
    broken = False
    commits_behind = 0
    behind: dict[int, tuple[int, int]] = {}
    offset = _WAL_HEADER_BYTES
    while offset + _FRAME_HEADER_BYTES + PAGE_BYTES <= size:
        frame = read(offset, _FRAME_HEADER_BYTES + PAGE_BYTES)
        number, commit, s1, s2, c1, c2 = struct.unpack(">6I", frame[:_FRAME_HEADER_BYTES])
        at = (offset + _FRAME_HEADER_BYTES, PAGE_BYTES)
        offset += _FRAME_HEADER_BYTES + PAGE_BYTES
        if not broken:
            if (s1, s2) != (salt1, salt2):
                break  # the rest is of an earlier round
            running = _wal_sum(frame[:8], *running, big=big)
            running = _wal_sum(frame[_FRAME_HEADER_BYTES:], *running, big=big)
            broken = running != (c1, c2)
        if broken:
            if (s1, s2) == (salt1, salt2) and 0 < number < 1 << 31:
                behind[number] = at
                commits_behind += commit > 0
            continue
        pending[number] = at
        if commit:
            wal.pages.update(pending)
            pending.clear()
    if commits_behind > 1:
        wal.damage = "the write-ahead log is broken in the middle"
        wal.pages.update(pending)
        wal.pages.update(behind)
    return wal


def _wal_sum(data: bytes, s0: int, s1: int, *, big: bool) -> tuple[int, int]:
    words = struct.unpack(f"{'>' if big else '<'}{len(data) // 4}I", data)
    for index in range(0, len(words), 2):
        s0 = (s0 + words[index] + s1) & 0xFFFFFFFF
        s1 = (s1 + words[index + 1] + s0) & 0xFFFFFFFF
    return s0, s1


class Image:
    """The pages of a database: the file, overlaid with its WAL."""

    def __init__(
        self,
        read: Callable[[int, int], bytes],
        size: int,
        read_wal_file: Callable[[int, int], bytes],
        wal: Wal,
    ) -> None:
        self._read = read
        self._read_wal = read_wal_file
        self._wal = wal
        self.pages = max(size // PAGE_BYTES, max(wal.pages, default=0))

    def page(self, number: int) -> bytes:
        """The content of a page, 1 being the first; empty if there is none."""
        if not 0 < number <= self.pages:
            return b""
        at = self._wal.pages.get(number)
        if at is not None:
            return self._read_wal(*at)
        data = self._read((number - 1) * PAGE_BYTES, PAGE_BYTES)
        return data if len(data) == PAGE_BYTES else b""

    def has_header(self) -> bool:
        """Whether the first page is what SQLite wrote."""
        first = self.page(1)
        return first[:16] == _HEADER and first[16:18] == PAGE_BYTES.to_bytes(2, "big")

    def free(self) -> set[int]:
        """Pages on the free list, as far as it can be followed: their content is outdated."""
        found: set[int] = set()
        if not self.has_header():
            return found
        trunk = int.from_bytes(self.page(1)[32:36], "big")
        while trunk and trunk not in found:
            found.add(trunk)
            data = self.page(trunk)
            if not data:
                break
            following, count = struct.unpack(">2I", data[:8])
            count = min(count, (PAGE_BYTES - 8) // 4)
            found.update(struct.unpack(f">{count}I", data[8 : 8 + 4 * count]))
            trunk = following
        return found

    def leaves(self, root: int) -> tuple[list[int], bool]:
        """Leaf pages of the table at ``root``, and whether every page on the way was readable."""
        found: list[int] = []
        seen: set[int] = set()
        whole = True
        waiting = [(root, 0)]
        while waiting:
            number, depth = waiting.pop()
            data = self.page(number)
            if number in seen or depth > _DEPTH_MAX:
                whole = False
                continue
            seen.add(number)
            start = 100 if number == 1 else 0
            kind = data[start] if data else 0
            if kind == _LEAF_TABLE:
                found.append(number)
            elif kind == _INTERIOR_TABLE:
                children = _children(data, start)
                waiting += [(child, depth + 1) for child in reversed(children)]
            else:
                whole = False
        return found, whole

    def rows(self, number: int) -> Iterator[tuple[int, Row]]:
        """``(rowid, values)`` of a leaf page of a table; cells that cannot be read are left out."""
        data = self.page(number)
        start = 100 if number == 1 else 0
        if not data or data[start] != _LEAF_TABLE:
            return
        for cell in _cells(data, start, 8):
            try:
                size, at = _varint(data, cell)
                rowid, at = _varint(data, at)
                local = _local(size, PAGE_BYTES - 35)
                yield rowid, _values(self._payload(data, at, size, local))
            except (IndexError, ValueError, struct.error):
                continue

    def index_rows(self, number: int) -> Iterator[Row]:
        """Values of a leaf page of a table without rowid."""
        data = self.page(number)
        if not data or data[0] != _LEAF_INDEX:
            return
        for cell in _cells(data, 0, 8):
            try:
                size, at = _varint(data, cell)
                local = _local(size, (PAGE_BYTES - 12) * 64 // 255 - 23)
                yield _values(self._payload(data, at, size, local))
            except (IndexError, ValueError, struct.error):
                continue

    def _payload(self, data: bytes, at: int, size: int, local: int) -> bytes:
        payload = data[at : at + local]
        if size == local:
            return payload
        parts = [payload]
        missing = size - local
        following = int.from_bytes(data[at + local : at + local + 4], "big")
        while missing > 0:
            page = self.page(following)
            if not page:
                raise ValueError("a part of the row is missing")
            parts.append(page[4 : 4 + missing])
            missing -= PAGE_BYTES - 4
            following = int.from_bytes(page[:4], "big")
        return b"".join(parts)


def _children(data: bytes, start: int) -> list[int]:
    children = [int.from_bytes(data[cell : cell + 4], "big") for cell in _cells(data, start, 12)]
    children.append(int.from_bytes(data[start + 8 : start + 12], "big"))
    return children


def _cells(data: bytes, start: int, header: int) -> list[int]:
    count = int.from_bytes(data[start + 3 : start + 5], "big")
    first = start + header
    offsets = data[first : first + 2 * min(count, PAGE_BYTES // 2)]
    cells = [int.from_bytes(offsets[i : i + 2], "big") for i in range(0, len(offsets) - 1, 2)]
    return [cell for cell in cells if first <= cell < PAGE_BYTES]


def _local(size: int, most: int) -> int:
    """How much of a payload lies in the page itself. Spec: file format §1.6."""
    if size <= most:
        return size
    least = (PAGE_BYTES - 12) * 32 // 255 - 23
    wanted = least + (size - least) % (PAGE_BYTES - 4)
    return wanted if wanted <= most else least


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for index in range(8):
        byte = data[at + index]
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, at + index + 1
    return value << 8 | data[at + 8], at + 9


def _values(payload: bytes) -> Row:
    """The columns of a record. Spec: file format §2.1."""
    header_size, at = _varint(payload, 0)
    types: list[int] = []
    while at < header_size:
        kind, at = _varint(payload, at)
        types.append(kind)
    values: Row = []
    for kind in types:
        value, at = _value(payload, at, kind)
        values.append(value)
    return values


_INTEGER_BYTES = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8}


def _value(payload: bytes, at: int, kind: int) -> tuple[Value, int]:
    if kind in _INTEGER_BYTES:
        size = _INTEGER_BYTES[kind]
        if at + size > len(payload):
            raise ValueError("the row ends early")
        return int.from_bytes(payload[at : at + size], "big", signed=True), at + size
    if kind == 0:
        return None, at
    if kind == 7:
        return struct.unpack(">d", payload[at : at + 8])[0], at + 8
    if kind in (8, 9):
        return kind - 8, at
    size = (kind - 12) // 2
    data = payload[at : at + size]
    if kind < 12 or len(data) != size:
        raise ValueError("the row ends early")
    return (data if kind % 2 == 0 else data.decode()), at + size
