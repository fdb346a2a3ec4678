"""Values at the front door of twins: who asks, under which conditions, and what comes back."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import msgspec

from littoral.kernel.errors import InvalidHeader
from littoral.kernel.ids import Subject, namespace_of
from littoral.rql import Query

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

FLUSH_SOON_RECORDS = 20_000
"""From here on some of them are written with each commit, so that they need not all be at once."""

FLUSH_CHUNK_MIN = 256
"""States written with one commit at the least, when any is due."""

LATE_LANES_MAX = 4096
"""Things for which it is remembered how the lane of a late record stands."""

REFOLD_RECORDS_MAX = 50_000
"""History walked at most to put a late record in its place."""


MODIFICATIONS_WAITING_MAX = 4096
"""Changes of one thing that wait for their commit; more are refused."""

METADATA_MAX = 100
"""Pointers in one metadata header."""

METADATA_BYTES_MAX = 6 * 1024
"""Pointers and values of metadata that one command puts or deletes."""

KEYS_KNOWN_MAX = 16_384
"""Keys of objects that are remembered as allowed; more are looked at again."""

HISTORY_CHUNK_RECORDS = 256
"""Revisions that a stream of history reads at a time."""

TRANSACTION_COMMANDS_MAX = 100
"""Commands in one transaction."""

KEPT_HEADERS_BYTES_MAX = 1024
"""Headers of a command that are kept in the history; what is more is not kept."""


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
    name: str = ""
    """Its default subject, as others see it (``ditto-originator``); empty: the first by name."""
    claims: Mapping[str, object] | None = field(default=None, compare=False)
    """What its token says, if it came with one."""
    message_id: str = field(default="", compare=False)
    """A device's own number of the message that asks: kept with what is written for it."""

    @property
    def subject(self) -> str:
        """The one subject that stands for the caller; empty if it has none."""
        return self.name or min(self.subjects, default="")


class IfEqual(StrEnum):
    """What a write does that would change nothing. Source: Ditto's header ``if-equal``."""

    UPDATE = "update"
    SKIP = "skip"
    SKIP_MINIMIZING_MERGE = "skip-minimizing-merge"

    @classmethod
    def of(cls, header: str | None) -> "IfEqual":
        """Read the header; raise `InvalidHeader` for an unknown word."""
        try:
            return cls(header or cls.UPDATE)
        except ValueError:
            raise InvalidHeader(
                f"if-equal is {str(header)[:40]!r}.",
                hint="It is update, skip or skip-minimizing-merge.",
            ) from None


@dataclass(frozen=True, slots=True)
class MetadataPut:
    """One item of Ditto's header ``put-metadata``: a pointer with wildcards, and a JSON value."""

    key: str
    value: object


@dataclass(frozen=True, slots=True)
class Conditions:
    """Preconditions and modifiers of one command, parsed; see Ditto's headers of the same names."""

    if_match: str | None = None
    if_none_match: str | None = None
    if_equal: IfEqual = IfEqual.UPDATE
    condition: Query | None = None
    """An RQL query on the thing as it is before the command."""
    merge_conditions: Mapping[str, Query] = field(default_factory=dict)
    """Pointer into a merge patch → RQL query; parts whose query is false are dropped."""
    put_metadata: tuple[MetadataPut, ...] = ()
    delete_metadata: tuple[str, ...] = ()
    get_metadata: tuple[str, ...] = ()
    allow_policy_lockout: bool = False
    headers: Mapping[str, object] = field(default_factory=dict)
    """Of the command, by lower-case name: those that `TwinSettings` names stay in the history."""


NO_CONDITIONS = Conditions()


class Outcome(msgspec.Struct, frozen=True, gc=False):
    """What a write did; it is durable once the log has committed ``seq``."""

    created: bool
    revision: int
    value: object = None
    """The value now at the path, for creations."""
    etag: str = ""
    seq: int = 0
    """Of the record; 0 if nothing had to be written."""
    policy_seq: int = 0
    """Of the record of a policy that was made along with the thing; 0 if none was."""
    metadata: object | None = None
    """What ``get-metadata`` asked for, as it is after the write."""


class View(msgspec.Struct, frozen=True, gc=False):
    """What a read found, cut down to what the caller may see."""

    value: object
    revision: int
    created_ms: int
    modified_ms: int
    etag: str
    entity_id: str = ""
    policy_id: str = ""
    """Of the policy that guards the thing now."""
    metadata: object | None = None
    """What ``get-metadata`` asked for; None if nothing was asked or found."""
    headers: Mapping[str, object] = msgspec.field(default_factory=dict)
    """The historical headers that were kept with the revision that is shown."""

    annotations: object | None = None
    """All metadata of the thing, not cut down yet: ask `ThingReads.annotations`."""

    @property
    def namespace(self) -> str:
        """The namespace of the entity."""
        return namespace_of(self.entity_id)


@dataclass(frozen=True, slots=True)
class TwinSettings:
    """Given by the node's configuration."""

    historical_headers_to_persist: frozenset[str] = frozenset()
    """Names of headers that are kept with the change that came with them."""
    merge_drops_emptied_objects: bool = False
    """Whether objects that lost all members to ``merge-thing-patch-conditions`` are left out."""

    def kept_headers(self, headers: Mapping[str, object]) -> dict[str, object]:
        """Those of a command's headers that are kept, as far as there is room."""
        if not self.historical_headers_to_persist:
            return {}
        kept: dict[str, object] = {}
        room = KEPT_HEADERS_BYTES_MAX
        for name in sorted(self.historical_headers_to_persist & headers.keys()):
            room -= len(name) + len(str(headers[name]))
            if room < 0:
                break
            kept[name] = headers[name]
        return kept


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
    policies_compiled: int = 0
    subjects_removed: int = 0
    announcements: int = 0
    refused: dict[str, int] = field(default_factory=dict)
