"""Pages as bytes: an array of record tuples in MessagePack, compressed when that pays.

A tuple may grow at its end in a later release: fields that are not known are kept when pages are
merged and ignored when records are read.
"""

import threading
import zlib
from collections.abc import Iterator, Sequence

import msgspec
import zstandard

from littoral.log.model import PAGE_BYTES_MAX, PAGE_RECORDS_MAX, Headers, Record

PLAIN = 0
ZSTD = 1

_COMPRESS_BYTES_MIN = 4096
_FIELDS = len(Record._fields)

_encoder = msgspec.msgpack.Encoder()
_records = msgspec.msgpack.Decoder(list[Record])
_grown = msgspec.msgpack.Decoder(list[list[object]])
_raw = msgspec.msgpack.Decoder(list[msgspec.Raw])


class PageDamaged(Exception):
    """The bytes of a page are not what was written. Raised to the store, never to a caller."""


class RecordKey(msgspec.Struct, array_like=True, gc=False, frozen=True):
    """The first fields of a record: enough to index it without making the rest."""

    seq: int
    hlc: int
    device_time: int | None
    cls: int
    kind: msgspec.Raw
    entity: str
    revision: int


_keys = msgspec.msgpack.Decoder(list[RecordKey])


def encode_page(records: Sequence[Record]) -> tuple[int, bytes]:
    """``(codec, bytes)`` of some records."""
    return _pack(_encoder.encode(records), level=1)


def decode_page(codec: int, blob: bytes) -> list[Record]:
    """The records of a page; raises `PageDamaged`."""
    data = _unpack(codec, blob)
    try:
        return _decoded(data)
    except msgspec.DecodeError as e:
        raise PageDamaged(str(e)) from e


def decode_keys(codec: int, blob: bytes) -> list[RecordKey]:
    """What an index needs of a page's records; raises `PageDamaged`."""
    try:
        return _keys.decode(_unpack(codec, blob))
    except msgspec.DecodeError as e:
        raise PageDamaged(str(e)) from e


def merge_pages(pages: Sequence[tuple[int, bytes]]) -> list[bytes]:
    """The records of several pages, each still encoded, in order; raises `PageDamaged`."""
    found: list[bytes] = []
    for codec, blob in pages:
        try:
            found.extend(bytes(raw) for raw in _raw.decode(_unpack(codec, blob)))
        except msgspec.DecodeError as e:
            raise PageDamaged(str(e)) from e
    return found


def encode_merged(records: Sequence[bytes]) -> tuple[int, bytes]:
    """``(codec, bytes)`` of records that are encoded already."""
    return _pack(_encoder.encode([msgspec.Raw(r) for r in records]), level=3)


def chunks(sizes: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Ranges (start, stop) of records that fit one page each, by number and by bytes."""
    start = total = 0
    for index, size in enumerate(sizes):
        if index > start and (index - start >= PAGE_RECORDS_MAX or total + size > PAGE_BYTES_MAX):
            yield start, index
            start, total = index, 0
        total += size
    if start < len(sizes):
        yield start, len(sizes)


def checksum(blob: bytes) -> int:
    """CRC-32 of a page's bytes as stored."""
    return zlib.crc32(blob)


def headers_size(headers: Headers) -> int:
    """Encoded size of a record's headers; raises what the encoder raises for what it cannot write."""
    return len(_encoder.encode(headers))


def _pack(data: bytes, *, level: int) -> tuple[int, bytes]:
    if len(data) < _COMPRESS_BYTES_MIN:
        return PLAIN, data
    return ZSTD, _compressor(level).compress(data)


class _Compressors(threading.local):
    """Compressors are reused, which saves their tables; one may serve one thread at a time."""

    def __init__(self) -> None:
        self.by_level: dict[int, zstandard.ZstdCompressor] = {}


_compressors = _Compressors()


def _compressor(level: int) -> zstandard.ZstdCompressor:
    found = _compressors.by_level.get(level)
    if found is None:
        found = _compressors.by_level[level] = zstandard.ZstdCompressor(level=level)
    return found


def _unpack(codec: int, blob: bytes) -> bytes:
    if codec == PLAIN:
        return blob
    if codec != ZSTD:
        raise PageDamaged(f"page codec {codec} is not known")
    try:
        return zstandard.ZstdDecompressor().decompress(blob)
    except zstandard.ZstdError as e:
        raise PageDamaged(str(e)) from e


def _decoded(data: bytes) -> list[Record]:
    try:
        return _records.decode(data)
    except msgspec.ValidationError:
        # A later release wrote longer tuples, or this is no page.
        return [_shortened(fields) for fields in _grown.decode(data)]


def _shortened(fields: list[object]) -> Record:
    if len(fields) < _FIELDS:
        raise PageDamaged(f"a record has {len(fields)} fields")
    return msgspec.convert(fields[:_FIELDS], Record)
