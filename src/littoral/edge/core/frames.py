"""The frames of a link, and how they become bytes.

A frame is a msgpack array that begins with its type's letter. Fields are only ever added at the
end, so a reader of an older release ignores what it does not know; whole unknown frames too.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
import zstandard

from littoral.edge.errors import LinkPeerError
from littoral.edge.model import COMPRESS_FROM_BYTES, RAW_BYTES_MAX
from littoral.log import Record, RecordClass

REPLAY = 1
"""Flag: these records waited in a backlog; readers are told."""
TAIL = 2
"""Flag: these are the receiver's own records, offered back after its roll-back."""


class Known(NamedTuple):
    """Up to which ``oseq`` a node holds an origin's records of one class."""

    origin: str
    cls: int
    oseq: int


class Frame(msgspec.Struct, frozen=True, array_like=True):
    """What travels; see the subclasses."""


class Hello(Frame, frozen=True, array_like=True, tag="h"):
    """Who I am, what I speak, which epochs my log had, and how much may be in flight to me."""

    node: str
    version_min: int
    version_max: int
    chain: list[tuple[str, int]]
    """My epochs, oldest first: origin, and the seq after which it began."""
    head: int
    window_records: int
    window_bytes: int
    now_ms: int
    software: str = ""
    takes: bool = False
    """Whether I take state in parts, where records are gone; older releases do not."""


class Holdings(Frame, frozen=True, array_like=True, tag="k"):
    """What I have of your records; your sender starts there. The hello's second half."""

    known: list[Known]
    unfinished: str = ""
    """The telling of which I have some parts, but not the last; empty if there is none."""


class Records(Frame, frozen=True, array_like=True, tag="r"):
    """Records of one origin and class, in order, and how far the sender has looked."""

    origin: str
    cls: int
    first: int
    last: int
    """oseq of the first and the last record; 0 if there is none."""
    scanned_to: int
    """All records of this origin and class up to here were sent, or are not for the receiver."""
    count: int
    raw_bytes: int
    flags: int
    zipped: bool
    blob: bytes


class Ack(Frame, frozen=True, array_like=True, tag="a"):
    """Committed here: everything of these origins and classes up to these oseqs."""

    entries: list[Known]


class Credit(Frame, frozen=True, array_like=True, tag="c"):
    """So many more records and bytes may be in flight to me."""

    records: int
    raw_bytes: int


class Refused(Frame, frozen=True, array_like=True, tag="x"):
    """Not taken: these ranges of your records; their stamps are ahead of my clock by too much."""

    origin: str
    cls: int
    ranges: list[tuple[int, int]]
    now_ms: int


class Settled(Frame, frozen=True, array_like=True, tag="s"):
    """What you refused of these records up to ``oseq`` is durably taken care of here."""

    origin: str
    cls: int
    oseq: int


class Wanted(Frame, frozen=True, array_like=True, tag="w"):
    """I have lost my own records of this origin and class after ``oseq``: send them back."""

    origin: str
    cls: int
    oseq: int


class Part(Frame, frozen=True, array_like=True, tag="t"):
    """A piece of what I know, as it is now: in place of records that are not kept any more."""

    origin: str
    """My epoch."""
    telling: str
    """To which telling it belongs; empty for what had to be told again."""
    number: int
    """Counted in each session; answered by `Taken`."""
    after: str
    upto: str
    """Of a telling: these are all keys with after < key <= upto; an empty ``upto`` is the end."""
    last: bool
    tenants: list[str]
    """Those whose registry this is about."""
    hlc: int
    """The newest stamp that I had seen."""
    held: list[Known]
    """Up to where I had the receiver's records."""
    gaps: list[Known]
    """With the last part: after these the records go on."""
    count: int
    raw_bytes: int
    zipped: bool
    blob: bytes


class Taken(Frame, frozen=True, array_like=True, tag="d"):
    """The part is committed here; or it was refused, because its stamp is too far ahead."""

    number: int
    refused: bool = False


class Again(Frame, frozen=True, array_like=True, tag="g"):
    """Tell me these entities as they are now: what I have cannot be put in order."""

    entities: list[str]


class Live(Frame, frozen=True, array_like=True, tag="m"):
    """A live message; worth nothing after ``ttl_ms``."""

    id: int
    topic: str
    ttl_ms: int
    body: bytes
    wants_answer: bool = True


class Answer(Frame, frozen=True, array_like=True, tag="p"):
    """The answer to a live message: a body, or the code and sentence of a refusal."""

    id: int
    body: bytes
    code: str = ""
    message: str = ""


class Ping(Frame, frozen=True, array_like=True, tag="i"):
    """Are you there, and what time is it with you?"""

    id: int


class Pong(Frame, frozen=True, array_like=True, tag="o"):
    """Here I am; it is ``now_ms`` here."""

    id: int
    now_ms: int


class Bye(Frame, frozen=True, array_like=True, tag="b"):
    """The session ends; ``code`` is for programs, ``reason`` for people."""

    code: str
    reason: str


AnyFrame = (
    Hello
    | Holdings
    | Records
    | Ack
    | Credit
    | Refused
    | Settled
    | Wanted
    | Part
    | Taken
    | Again
    | Live
    | Answer
    | Ping
    | Pong
    | Bye
)
_TAGS = frozenset("hkracxswtdgmpiob")

WireRecord = tuple[
    int, int, int | None, str, str, str, bytes, Mapping[str, Any] | None
]  # oseq, hlc, device_time, kind, entity, path, value, headers

Item = tuple[str, bytes, str]
"""A key of a node's state, what is under it, and (of a thing) the node where it lives."""

_encoder = msgspec.msgpack.Encoder()
_frames: msgspec.msgpack.Decoder[AnyFrame] = msgspec.msgpack.Decoder(AnyFrame)
_records: msgspec.msgpack.Decoder[list[WireRecord]] = msgspec.msgpack.Decoder(list[WireRecord])
_items: msgspec.msgpack.Decoder[list[Item]] = msgspec.msgpack.Decoder(list[Item])
_compressor = zstandard.ZstdCompressor(level=1)
_decompressor = zstandard.ZstdDecompressor()

UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What decoding bytes of a peer may raise."""

encode = _encoder.encode
"""Frame to bytes."""


def decode(data: bytes) -> AnyFrame | None:
    """Read one frame; None if it is of a type that this release does not know.

    Raises:
        LinkPeerError: not a frame.
    """
    try:
        return _frames.decode(data)
    except UNREADABLE as e:
        if _is_unknown(data):
            return None
        raise LinkPeerError(f"the peer sent a frame that cannot be read: {e}.") from e


def _is_unknown(data: bytes) -> bool:
    try:
        parts = msgspec.msgpack.decode(data, type=list[Any])
    except UNREADABLE:
        return False
    return bool(parts) and isinstance(parts[0], str) and parts[0] not in _TAGS


def pack(records: Sequence[Record]) -> tuple[bytes, int, bool]:
    """Records as a blob; its size before compression, and whether it is compressed."""
    return deflate([(r[12], r[1], r[2], r[4], r[5], r[8], r[9], r[10]) for r in records])


def deflate(items: Sequence[WireRecord] | Sequence[Item]) -> tuple[bytes, int, bool]:
    """Values as a blob; its size before compression, and whether it is compressed."""
    raw = _encoder.encode(items)
    if len(raw) < COMPRESS_FROM_BYTES:
        return raw, len(raw), False
    return _compressor.compress(raw), len(raw), True


def check_header(frame: Records, *, owner: str) -> None:
    """Raise `LinkPeerError` unless a frame speaks of records of ``owner`` and of a known class."""
    if frame.origin.rpartition("/")[0] != owner:
        raise LinkPeerError(f"the peer sent records of {frame.origin!r}, which are not its own.")
    if not 0 <= frame.cls < len(RecordClass):
        raise LinkPeerError(f"the peer sent records of an unknown class {frame.cls}.")
    if frame.count < 0 or frame.raw_bytes < 0:
        raise LinkPeerError("a frame says that it is smaller than nothing.")


def unpack(frame: Records) -> list[WireRecord]:
    """The records of a frame, checked against what its header says.

    Raises:
        LinkPeerError: damaged, too large, or not what the header announced.
    """
    blob = _inflate(frame)
    try:
        wire = _records.decode(blob)
    except UNREADABLE as e:
        raise LinkPeerError(f"a blob holds no records: {e}.") from e
    _check(frame, wire)
    return wire


def unpack_part(frame: Part, *, owner: str) -> list[Item]:
    """The same for a piece of state of ``owner``."""
    if frame.origin.rpartition("/")[0] != owner:
        raise LinkPeerError(f"the peer told what {frame.origin!r} knows, which is not it.")
    if frame.count < 0 or frame.raw_bytes < 0:
        raise LinkPeerError("a frame says that it is smaller than nothing.")
    blob = _inflate(frame)
    try:
        items = _items.decode(blob)
    except UNREADABLE as e:
        raise LinkPeerError(f"a blob holds no state: {e}.") from e
    if len(items) != frame.count:
        raise LinkPeerError(f"a frame holds {len(items)} items, not {frame.count}.")
    return items


def _inflate(frame: Records | Part) -> bytes:
    blob = frame.blob
    if frame.zipped:
        try:
            size = zstandard.frame_content_size(blob)
            if not 0 <= size <= RAW_BYTES_MAX or size != frame.raw_bytes:
                raise LinkPeerError(f"a blob says that it holds {size} bytes.")
            blob = _decompressor.decompress(blob)
        except zstandard.ZstdError as e:
            raise LinkPeerError(f"a blob cannot be inflated: {e}.") from e
    if len(blob) != frame.raw_bytes:
        raise LinkPeerError(f"a blob has {len(blob)} bytes, not {frame.raw_bytes}.")
    return blob


def _check(frame: Records, wire: list[WireRecord]) -> None:
    if len(wire) != frame.count:
        raise LinkPeerError(f"a frame holds {len(wire)} records, not {frame.count}.")
    last = frame.first - 1
    for item in wire:
        if item[0] <= last:
            raise LinkPeerError("the records of a frame are out of order.")
        last = item[0]
    if wire and (wire[0][0] != frame.first or last != frame.last or last > frame.scanned_to):
        raise LinkPeerError("a frame's records are not those that it announces.")
