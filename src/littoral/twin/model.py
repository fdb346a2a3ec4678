"""Values at the front door of twins: who asks, under which conditions, and what comes back."""

from dataclasses import dataclass, field

from littoral.kernel.ids import Subject

HOT_ENTITIES_MAX = 200_000
"""Things and policies held in memory; more are evicted by use, clean ones first."""

PENDING_HOT_MAX = 16_384
"""Things whose newest changes are held as parsed patches; the others are folded to bytes."""

MESSAGE_IDS_MAX = 256
"""Newest message ids remembered per thing, to recognise a device's resends."""

MESSAGE_ID_CHARS_MAX = 128
"""Length of a device's message id."""

FEATURE_ID_CHARS_MAX = 1024
"""Length of a feature's id that a device may publish under."""

LANES_MAX = 512
"""Places of a thing whose newest stamps are kept apart; more are taken together."""

SNAPSHOT_EVERY = 256
"""Revisions between two snapshots of a thing: what reading an old revision folds at most."""

SNAPSHOTS_MAX = 1024
"""Snapshots kept per thing."""

FLUSH_LAG_RECORDS = 30_000
"""How old, in records, a change gets before its thing's state is written out."""

FLUSH_CHUNK_MIN = 256
"""States written with one commit at the least, when any is due."""

LATE_LANES_MAX = 4096
"""Things for which it is remembered how the lane of a late record stands."""

REFOLD_RECORDS_MAX = 50_000
"""History walked at most to put a late record in its place."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, as authenticated at a door.

    ``unrestricted`` is the administrator's and the node's own: policies do not bind it.
    ``hops`` counts how many functions wrote in answer to one another before this call.
    """

    subjects: frozenset[Subject]
    hops: int = 0
    unrestricted: bool = False
    own: str = ""
    """The thing that is the caller itself, if the caller is a device."""


@dataclass(frozen=True, slots=True)
class Conditions:
    """Preconditions of a command; texts as in the HTTP headers of the same names."""

    if_match: str | None = None
    if_none_match: str | None = None
    skip_if_equal: bool = False


NO_CONDITIONS = Conditions()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a write did; it is durable."""

    created: bool
    revision: int
    value: object = None
    """The value now at the path, for creations."""
    etag: str = ""


@dataclass(frozen=True, slots=True)
class View:
    """What a read found, cut down to what the caller may see."""

    value: object
    revision: int
    created_ms: int
    modified_ms: int
    etag: str


@dataclass(frozen=True, slots=True)
class TwinStatistics:
    """Counters of the twins of a node."""

    hot: int
    dirty: int
    loads: int
    evictions: int
    folds: int
    refolds: int
    conflicts: int
    duplicates: int
    late: int
    refused: dict[str, int] = field(default_factory=dict)
