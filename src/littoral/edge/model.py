"""What a link is made of, as values: limits, settings, status."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from littoral.kernel.ids import NodeId

NOBODY = NodeId("")
"""A peer that has not said its name yet."""

VERSION_MIN = 1
VERSION_MAX = 1
"""Versions of the link that this release speaks; the hello picks the highest in common."""

FRAME_BYTES_MAX = 8 * 1024 * 1024
"""One frame on the wire; the transport refuses a larger one before it is read."""

RAW_BYTES_MAX = 16 * 1024 * 1024
"""One frame's records after decompression; checked against the header before inflating."""

FRAME_RECORDS_MAX = 512
"""Records in one frame: about 5 ms of the receiver's loop."""

FRAME_RAW_TARGET = 512 * 1024
"""Bytes of values after which a sender closes a frame."""

PART_ITEMS_MAX = 256
"""Things, policies and keys of the registry in one piece of what a peer is told whole."""

COUNTED_MAX = 20_000
"""Records of a class that are counted for a site when its session opens; more wait uncounted."""

COMPRESS_FROM_BYTES = 512
"""Smaller blobs are sent as they are: zstd would not pay."""

WINDOW_RECORDS = 8192
"""Records that a receiver lets be in flight on one session."""

WINDOW_BYTES = 8 * 1024 * 1024
"""Bytes (after decompression) that a receiver lets be in flight on one session."""

KNOWN_ORIGINS_MAX = 32
"""Newest origins per class that a node names to its peer in the hello."""

CHAIN_MAX = 256
"""Newest epochs that a node names in the hello."""

LIVE_PENDING_MAX = 1024
"""Live messages that wait for an answer on one session."""

LIVE_BYTES_MAX = 1024 * 1024
"""One live message with all that belongs to it."""

HOMES_CACHED_MAX = 65_536
"""Things whose home site is remembered in memory; all are in the log's `home` space."""

HELD_RANGES_MAX = 1024
"""Ranges of records that wait to be stamped anew, per class; beyond it they are joined."""

CERTIFICATE_DAYS = 30
RENEW_AT_FRACTION = 2 / 3
"""A certificate is renewed over the link when this part of its life is over."""

ENROL_REPEAT_MS = 10 * 60 * 1000
"""How long the same token with the same key gets the same certificate again."""

ENROL_BYTES_MAX = 32 * 1024
"""One enrolment message."""


class LinkPhase(StrEnum):
    """How far a session is."""

    OPENING = "opening"
    OPEN = "open"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Scope:
    """What a peer may see of our records: everything, or what belongs to some tenants."""

    everything: bool = False
    node: NodeId = NOBODY
    tenants: frozenset[str] = frozenset()
    namespaces: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class LinkSettings:
    """How a session and an uplink behave. All times in seconds of the loop's clock."""

    ping_every_s: float = 10.0
    ping_timeout_s: float = 20.0
    hello_timeout_s: float = 10.0
    linger_s: float = 0.02
    """How long telemetry waits for company before a small frame leaves; alarms never wait."""
    reconnect_s_min: float = 0.2
    reconnect_s_max: float = 30.0
    rival_ping_s: float = 5.0
    """How long an older session of the same node has to prove that it lives."""
    window_records: int = WINDOW_RECORDS
    window_bytes: int = WINDOW_BYTES


@dataclass(frozen=True, slots=True)
class ClassBacklog:
    """What of one class the peer has not acknowledged yet."""

    records: int
    payload_bytes: int


@dataclass(frozen=True, slots=True)
class LinkStatistics:
    """One site's link, honestly: four separate answers to "is it connected", and the backlog.

    The same record is made on both sides; each tells about what *it* sends and what it receives.
    """

    peer: str
    link: bool
    """The transport is up."""
    session: bool
    """Both hellos are done."""
    flow: bool
    """Nothing waits, or something was acknowledged within the last ping period."""
    fresh_ms: int | None
    """Age of the newest record received from the peer; None if there was none."""
    skew_ms: int | None
    """The peer's clock minus ours, as the last ping measured it."""
    round_trip_ms: float | None
    since_ms: int | None
    """When the current state of `session` began."""
    backlog: Mapping[str, ClassBacklog]
    """Per class name."""
    backlog_records: int
    held_records: int
    """Records that wait to be stamped anew because their stamp was too far ahead."""
    sent_records: int
    received_records: int
    applied_records: int
    """Received and not seen before."""
    drain_per_s: float
    """Own records acknowledged per second, lately."""
    fill_per_s: float
    """Own records accepted per second, lately."""
    received_per_s: float
    catch_up_s: float | None
    """Until nothing waits, at these rates; None if it never ends so."""
    autonomy_h: float | None
    """Hours until the log's budget is full at this rate; None if it does not fill."""
    sessions: int
    """Sessions opened since this node started."""
    last_error: str
    """Why the last session or attempt ended; empty if none did."""
