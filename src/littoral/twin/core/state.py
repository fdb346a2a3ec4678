"""The state of one thing or policy: bytes, a few stamps, and patches not folded in yet.

A parsed 1 kB document takes 6.6 kB of memory, its bytes 1 kB; so a hot thing is bytes. The merge
patches that came since are kept beside it, composed into one patch per feature, and folded when
somebody reads or the state is written out: a message costs one `dict.update`, not a document.
"""

from collections.abc import Iterable

import msgspec

from littoral.kernel import json, merge
from littoral.kernel.time import ms_of
from littoral.log import Record
from littoral.twin.core.conflict import stamp_of
from littoral.twin.core.document import Document
from littoral.twin.core.paths import coarsened, keys_of, lanes_touched, mark
from littoral.twin.model import LANES_MAX, MESSAGE_IDS_MAX

Patch = dict[str, object]

SILENT_KINDS = frozenset({"thing.conflict", "device.data"})
"""Records about a thing that do not change its document."""


class Hot:
    """One thing or policy in memory. Only `twin` changes it; ``gone`` tells holders to look anew."""

    __slots__ = (
        "created_ms",
        "device_times",
        "dirty_since",
        "doc",
        "entity",
        "gone",
        "id",
        "ids",
        "ids_seq",
        "ids_seq",
        "lanes",
        "last_seq",
        "modified_ms",
        "pending",
        "pending_bytes",
        "policy_id",
        "revision",
        "used",
        "watched",
    )

    def __init__(self, entity: str) -> None:
        self.entity = entity
        self.id = entity.partition(":")[2]
        self.revision = 0
        self.last_seq = 0
        self.created_ms = 0
        self.modified_ms = 0
        self.policy_id = ""
        self.watched = False
        """True while `History` knows how a lane stands; who writes past it must say so."""
        self.doc: bytes | None = None
        self.lanes: dict[str, int] = {}
        self.pending: dict[str, Patch] = {}
        self.pending_bytes = 0
        self.device_times: dict[str, int] | None = None
        self.ids: dict[str, None] | None = None
        self.ids_seq = 0
        self.ids_seq = 0
        """The newest record that changed nothing here but the ids."""
        self.dirty_since = 0
        self.used = True
        self.gone = False

    @property
    def exists(self) -> bool:
        """Whether there is a document; a deleted entity keeps its revision and stamps."""
        return self.doc is not None

    def fold(self) -> bytes | None:
        """Work the pending patches into the document; return its bytes, None if there is none."""
        if self.pending:
            assert self.doc is not None
            document: object = json.decode(self.doc)
            for path, patch in self.pending.items():
                document = merge.merge_at(document, keys_of(path), patch)
            self.doc = json.encode_to_keep(document)
            self.pending.clear()
            self.pending_bytes = 0
        return self.doc

    def accumulate(self, path: str, patch: Patch, size: int) -> None:
        """Take in a merge patch of ``size`` bytes at ``path``; owns ``patch`` afterwards."""
        earlier = self.pending.get(path)
        if earlier is None:
            self.pending[path] = patch
        elif not compose(earlier, patch):
            self.fold()
            self.pending[path] = patch
        self.pending_bytes += size

    def document(self) -> Document | None:
        """A fresh parsed copy of the document, or None; the caller owns it."""
        data = self.fold()
        return None if data is None else json.decode_object(data)

    def replace(self, document: Document | None) -> None:
        """Make ``document`` the whole content."""
        self.pending.clear()
        self.pending_bytes = 0
        self.doc = None if document is None else json.encode_to_keep(document)
        self._note_policy(document)

    def _note_policy(self, document: Document | None) -> None:
        # A deleted thing keeps its last policy: it says who may see that it was deleted.
        if document is not None:
            policy_id = document.get("policyId")
            self.policy_id = policy_id if isinstance(policy_id, str) else ""

    def note_time(self, feature: str, device_time: int) -> None:
        """Remember the newest device time of a feature: older data does not change the twin."""
        times = self.device_times
        if times is None:
            times = self.device_times = {}
        if device_time > times.get(feature, 0):
            times[feature] = device_time

    def remember_id(self, message_id: str) -> None:
        """Note a device's message id; the oldest of too many is forgotten."""
        ids = self.ids
        if ids is None:
            ids = self.ids = {}
        ids[message_id] = None
        if len(ids) > MESSAGE_IDS_MAX:
            del ids[next(iter(ids))]


def apply(hot: Hot, record: Record) -> None:
    """Let a record that is in its place (newest of its lanes) change ``hot``.

    Used for local writes, for records from the link and for replay: one meaning everywhere.
    """
    keys = keys_of(record.path)
    headers = record.headers
    if record.device_time is not None and len(keys) == 3:
        hot.note_time(keys[1], record.device_time)
    merged = record.kind == "thing.merged"
    patch = json.decode(record.value) if merged and len(keys) == 3 else None
    if isinstance(patch, dict) and hot.doc is not None:
        hot.accumulate(record.path, patch, len(record.value))
        hot.lanes[record.path] = record.hlc
    else:
        value = json.decode(record.value) if record.value else None
        existed = hot.exists
        implicit = headers is not None and "implicit" in headers
        hot.replace(change(hot.document(), record.kind, keys, value, implicit=implicit))
        if not existed and hot.exists:
            hot.created_ms = ms_of(record.hlc)
        mark(hot.lanes, lanes_touched(keys, value, merged=merged), record.hlc, replaced=not merged)
    hot.revision = record.revision
    hot.last_seq = record.seq
    hot.modified_ms = max(hot.modified_ms, ms_of(record.hlc))


def touched_by(record: Record) -> list[str]:
    """The lanes that a record changes."""
    keys = keys_of(record.path)
    merged = record.kind == "thing.merged"
    if merged and len(keys) == 3:
        return [record.path]
    value = json.decode(record.value) if record.value else None
    return lanes_touched(keys, value, merged=merged)


def compose(earlier: Patch, later: Patch) -> bool:
    """Make ``earlier`` the one merge patch that does what both do, one after the other.

    Returns:
        False, with ``earlier`` as it was, if no merge patch does that: an object that comes after
        a value or a deletion replaces it, where a merge patch could only merge into what is there.
    """
    if not _composable(earlier, later):
        return False
    nested = {}
    for key, value in later.items():
        if value.__class__ is dict and key in earlier:
            nested[key] = earlier[key]
    earlier.update(later)
    for key, inner in nested.items():
        value = later[key]
        assert isinstance(inner, dict)
        assert isinstance(value, dict)
        compose(inner, value)
        earlier[key] = inner
    return True


def _composable(earlier: Patch, later: Patch) -> bool:
    for key, value in later.items():
        if value.__class__ is dict and key in earlier:
            inner = earlier[key]
            assert isinstance(value, dict)
            if not isinstance(inner, dict) or not _composable(inner, value):
                return False
    return True


def change(
    document: Document | None, kind: str, keys: tuple[str, ...], value: object, *, implicit: bool
) -> Document | None:
    """What a record of ``kind`` makes of ``document``. May change it in place.

    An implicit creation (a device's first message) gives a thing its policy only if it has none:
    the cloud may have created it at the same time. Nothing but a whole document brings back what
    was deleted: a part that comes after a deletion would make a thing without a policy.
    """
    verb = kind.rpartition(".")[2]
    if document is None and verb != "created" and (keys or verb == "merged"):
        return None
    result: object
    if implicit and isinstance(value, dict):
        result = {**value, **(document or {})}
    elif verb in ("created", "modified"):
        result = merge.put_at(document, keys, value)
    elif verb == "merged":
        result = merge.merge_at(document, keys, value)
    elif verb == "deleted":
        result = merge.delete_at(document, keys)
    else:
        result = document
    return result if isinstance(result, dict) else None


def fold_in_order(base: Document | None, records: Iterable[Record]) -> Document | None:
    """Fold records over ``base`` in the total order of their stamps."""
    document = base
    for record in sorted(records, key=stamp_of):
        value = json.decode(record.value) if record.value else None
        implicit = record.headers is not None and "implicit" in record.headers
        document = change(document, record.kind, keys_of(record.path), value, implicit=implicit)
    return document


class _Packed(msgspec.Struct, array_like=True, frozen=True):
    """The stored form of `Hot`. New members go at the end, with defaults: expand, then contract."""

    revision: int
    last_seq: int
    created_ms: int
    modified_ms: int
    policy_id: str
    doc: bytes | None
    lanes: dict[str, int]
    device_times: dict[str, int] | None = None
    ids: list[str] | None = None


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Packed).decode


def pack(hot: Hot) -> bytes:
    """``hot`` as stored in the state table and in snapshots."""
    if len(hot.lanes) > LANES_MAX:
        hot.lanes = coarsened(hot.lanes)
    return _encode(
        _Packed(
            hot.revision,
            hot.last_seq,
            hot.created_ms,
            hot.modified_ms,
            hot.policy_id,
            hot.fold(),
            hot.lanes,
            hot.device_times,
            None if hot.ids is None else list(hot.ids),
        )
    )


def unpack(entity: str, data: bytes) -> Hot:
    """Inverse of `pack`."""
    packed = _decode(data)
    hot = Hot(entity)
    hot.revision, hot.last_seq = packed.revision, packed.last_seq
    hot.created_ms, hot.modified_ms = packed.created_ms, packed.modified_ms
    hot.policy_id, hot.doc, hot.lanes = packed.policy_id, packed.doc, packed.lanes
    hot.device_times = packed.device_times
    hot.ids = None if packed.ids is None else dict.fromkeys(packed.ids)
    return hot
