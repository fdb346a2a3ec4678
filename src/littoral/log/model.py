"""What the log is made of: records, their classes, batches, and what an opening finds."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import NamedTuple

from littoral.kernel.ids import NodeId, Origin

BATCH_RECORDS_MAX = 4096
"""Records in one group commit; more wait for the next."""

HASTEN_RECORDS = 192
"""Open records that are worth a commit of their own before the loop's iteration ends."""

PACE_RECORDS = 16
"""After a commit of so many records the next one waits until `PACE_S` after its beginning."""

PACE_S = 0.003

PAGE_RECORDS_MAX = 1024
"""Records in one stored page: what one read must decode at the most."""

PAGE_BYTES_MAX = 1 << 20
"""Uncompressed bytes of one stored page, unless a single record is larger."""

BATCH_BYTES_MAX = 8 << 20
"""Bytes of values in one group commit."""

PENDING_BYTES_MAX = 128 << 20
"""Bytes of values that wait for their commit; more are refused until the disk has caught up."""

VALUE_BYTES_MAX = 1 << 20
"""Size of one record's value."""

TEXT_CHARS_MAX = 8 * 1024
"""Length of a record's kind, entity and path, each."""

HEADERS_BYTES_MAX = 8 * 1024
"""Size of one record's headers, encoded."""

TAIL_RECORDS_MAX = 16_384
"""Committed records kept in memory for readers near the head."""

TAIL_BYTES_MAX = 8 << 20
"""Bytes of values in that tail."""

REPLAY_RECORDS_MAX = 100_000
"""How far the state table may be behind the log, and so what an opening replays at most."""

HLC_AHEAD_MS = 10_000
"""How far ahead the clock's floor is stored, so that no stamp is ever issued twice."""

CURSOR_IDLE_MS_MAX = 30 * 24 * 3600 * 1000
"""A cursor that is not pinned and was not used for this long is forgotten."""

LEDGER_KIND = "ledger.lost"
"""Kind of the record that says what retention took away."""

Headers = Mapping[str, object]


class RecordClass(IntEnum):
    """Importance, most important first: the order of delivery and the reverse order of loss."""

    ALARM = 0
    EVENT = 1
    STATE = 2
    TELEMETRY = 3
    BULK = 4


class Record(NamedTuple):
    """One accepted fact. A tuple, because a hundred thousand a second are made.

    Identity everywhere is ``(origin, oseq)``; ``seq`` is local to the log that holds the record.
    """

    seq: int
    """Strictly increasing in this log; a gap means nothing."""
    hlc: int
    """Hybrid logical stamp of the acceptance; never altered by a receiver."""
    device_time: int | None
    """When it happened, as the device said, in ms since the epoch."""
    cls: int
    """A `RecordClass` value, as a plain int."""
    kind: str
    """What happened, for CloudEvents' ``type``: ``thing.merged``, ``device.modified``, …"""
    entity: str
    """``thing:ns:name``, ``policy:ns:name``, ``tenant:ID``, ``device:TENANT/ID``, …"""
    revision: int
    """The entity's revision after this record, local to this node; 0 if it has none."""
    prev_seq: int
    """The entity's record before this one in this log; 0 if none. The open tail's history chain."""
    path: str
    """JSON pointer of what changed, ``/`` for the whole."""
    value: bytes
    """JSON, or raw bytes for `RecordClass.BULK`; empty where the kind needs none."""
    headers: Headers | None
    """Small extras: ``id`` (the device's message number), ``hops``, ``late``, ``actor``, …"""
    origin: Origin
    """The log that first accepted it."""
    oseq: int
    """Its seq there."""


class Put(NamedTuple):
    """One write to the key-value side of the log's database; ``value=None`` deletes."""

    space: str
    key: str
    value: bytes | None


@dataclass(slots=True)
class Batch:
    """What one group commit makes durable, all or nothing."""

    records: list[Record] = field(default_factory=list)
    puts: list[Put] = field(default_factory=list)
    """Each key at most once."""
    hlc_ahead: int | None = None
    """New floor of the clock, if it has to be moved: no stamp below it is issued after a crash."""


@dataclass(frozen=True, slots=True)
class Epoch:
    """One opening of a log: its name, and where the one before it ended."""

    origin: Origin
    previous: Origin | None
    previous_seq: int


@dataclass(frozen=True, slots=True)
class Salvage:
    """What opening a damaged file could not read."""

    moved_to: str
    """Where the damaged file lies now."""
    records_kept: int
    records_lost: int | None
    """None if nobody can say."""
    seq_gaps: tuple[tuple[int, int], ...]
    """Inclusive ranges of seq that are missing."""
    detail: str


@dataclass(frozen=True, slots=True)
class Opened:
    """What a store holds at its opening."""

    node: NodeId
    epochs: tuple[Epoch, ...]
    """Oldest first; the last is the one that this opening made."""
    head: int
    hlc_ahead: int
    salvage: Salvage | None


@dataclass(frozen=True, slots=True)
class ClassUsage:
    """How much of its budget one class uses."""

    cls: RecordClass
    records: int
    payload_bytes: int
    """What its pages take on disk, compressed."""
    oldest_ms: int | None


@dataclass(frozen=True, slots=True)
class Loss:
    """The oldest records of one class, about to be dropped: what the ledger will say."""

    cls: RecordClass
    first: int
    up_to: int
    count: int
    from_ms: int
    to_ms: int
    payload_bytes: int
    origins: Mapping[Origin, tuple[int, int, int]]
    """Per origin: first oseq, last oseq, count."""


@dataclass(frozen=True, slots=True)
class Budget:
    """How much of one class is kept; what is over it is thinned, oldest first, into the ledger."""

    bytes_max: int
    age_ms_max: int


@dataclass(frozen=True, slots=True)
class Retention:
    """The rule of what is kept: a total, and a budget per class."""

    total_bytes_max: int
    classes: Mapping[RecordClass, Budget]


_GIB = 1 << 30
_DAY_MS = 24 * 3600 * 1000

DEFAULT_RETENTION = Retention(
    total_bytes_max=8 * _GIB,
    classes={
        RecordClass.ALARM: Budget(bytes_max=1 * _GIB, age_ms_max=3650 * _DAY_MS),
        RecordClass.EVENT: Budget(bytes_max=2 * _GIB, age_ms_max=365 * _DAY_MS),
        RecordClass.STATE: Budget(bytes_max=2 * _GIB, age_ms_max=365 * _DAY_MS),
        RecordClass.TELEMETRY: Budget(bytes_max=4 * _GIB, age_ms_max=90 * _DAY_MS),
        RecordClass.BULK: Budget(bytes_max=2 * _GIB, age_ms_max=30 * _DAY_MS),
    },
)
"""Kept unless a node is told otherwise."""


@dataclass(frozen=True, slots=True)
class LogStatistics:
    """What the log would tell about itself; read by metrics, status and tests."""

    head: int
    committed: int
    batches: int
    records: int
    open_records: int
    bytes_used: int
    bytes_max: int
    wal_bytes: int
    refused: str | None
    """Why writes are refused now (a full disk), or None."""
