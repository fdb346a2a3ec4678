"""The state of one thing or policy: bytes, a few stamps, and patches not folded in yet.

A parsed 1 kB document takes 6.6 kB of memory, its bytes 1 kB; so a hot thing is bytes. The merge
patches that came since are kept beside it, composed into one patch per feature, and folded when
somebody reads or the state is written out: a message costs one `dict.update`, not a document.
"""

from collections.abc import Iterable, Mapping
from zlib import crc32

import msgspec
import orjson

from littoral.kernel import json, merge
from littoral.kernel.time import ms_of
from littoral.log import Record
from littoral.twin.core import metadata
from littoral.twin.core.conflict import stamp_of
from littoral.twin.core.document import Document
from littoral.twin.core.paths import coarsened, keys_of, lane_of, lanes_touched, mark
from littoral.twin.errors import PolicyDamaged, StateDamaged
from littoral.twin.model import LANES_MAX, MESSAGE_IDS_MAX

Patch = dict[str, object]

_MEMBER = f'"{metadata.MEMBER}":'.encode()
"""How metadata begins; that data may look so does no harm."""

After = tuple[Document | None, bytes | None]
"""A document and its bytes."""

SILENT_KINDS = frozenset({"thing.conflict", "device.data"})
"""Records about a thing that do not change its document."""


class Hot:
    """One thing or policy in memory. Only `twin` changes it; ``gone`` tells holders to look anew."""

    __slots__ = (
        "annotated",
        "created_ms",
        "device_times",
        "dirty_since",
        "doc",
        "entity",
        "gone",
        "id",
        "ids",
        "ids_seq",
        "lanes",
        "last_seq",
        "modified_ms",
        "pending",
        "pending_bytes",
        "policy_id",
        "pressure",
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
        self.annotated = False
        """Whether the document has metadata, which goes with the data it belongs to."""
        self.watched = False
        """True while `History` knows how a lane stands, or there is metadata; who writes past the
        engine must say so to it."""
        self.pressure: tuple[int, int, int] | None = None
        """How many changes wait for their commit; see `entities.pressure`."""
        self.doc: bytes | None = None
        self.lanes: dict[str, int] = {}
        self.pending: dict[str, Patch] = {}
        self.pending_bytes = 0
        self.device_times: dict[str, int] | None = None
        self.ids: dict[str, None] | None = None
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
            self.doc = json.encode_to_keep(self.parsed())
            self.pending.clear()
            self.pending_bytes = 0
        return self.doc

    def parsed(self) -> Document | None:
        """A fresh parsed copy of the document, without folding: for who will write right away.

        It may share lists with the pending patches.
        """
        if self.doc is None:
            return None
        document: Document = orjson.loads(self.doc)
        for path, patch in self.pending.items():
            keys = keys_of(path)
            if self.annotated:
                metadata.forget_merged(document, keys, patch)
            merge.merge_at(document, keys, patch)
        return document

    def accumulate(self, path: str, patch: Patch, size: int) -> None:
        """Take in a merge patch of ``size`` bytes at ``path``; owns ``patch`` afterwards."""
        earlier = self.pending.get(path)
        if earlier is None:
            self.pending[path] = patch
        elif not compose(earlier, patch):
            self.fold()
            self.pending[path] = patch
        self.pending_bytes += size
        if self.annotated:
            self.settle()

    def settle(self) -> None:
        """Fold what may not be composed with a later patch: a deletion takes metadata with it."""
        if any(
            value is None or value.__class__ is dict
            for patch in self.pending.values()
            for value in patch.values()
        ):
            self.fold()

    def document(self) -> Document | None:
        """A fresh parsed copy of the document, or None; the caller owns it."""
        data = self.fold()
        return None if data is None else json.decode_object(data)

    def replace(self, document: Document | None) -> None:
        """Make ``document`` the whole content."""
        self.replace_by(document, None if document is None else json.encode_to_keep(document))

    def replace_by(self, document: Document | None, encoded: bytes | None) -> None:
        """`replace` by a document whose bytes are known."""
        self.pending.clear()
        self.pending_bytes = 0
        self.doc = encoded
        self.annotated = document is not None and metadata.MEMBER in document
        if self.annotated:
            self.watched = True
        self._note_policy(document)

    def _note_policy(self, document: Document | None) -> None:
        # A deleted thing keeps its last policy: it says who may see that it was deleted.
        if document is not None:
            policy_id = document.get("policyId")
            self.policy_id = policy_id if isinstance(policy_id, str) else ""

    def become(self, other: "Hot") -> None:
        """Take over the content of ``other`` with its stamps; revision and ids stay one's own."""
        self.replace_by(other.parsed(), other.fold())
        self.lanes, self.device_times = other.lanes, other.device_times
        self.created_ms, self.modified_ms = other.created_ms, other.modified_ms
        self.policy_id = other.policy_id

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


def apply(hot: Hot, record: Record, after: After | None = None) -> None:
    """Let a record that is in its place (newest of its lanes) change ``hot``.

    Used for local writes, for records from the link and for replay: one meaning everywhere.
    ``after`` is what the record makes of the document, and its bytes, if that is known already.
    """
    keys = keys_of(record.path)
    if record.device_time is not None and len(keys) == 3:
        hot.note_time(keys[1], record.device_time)
    headers = record.headers
    if after is not None:
        existed = hot.exists
        hot.replace_by(*after)
        _note(hot, record, touched_by(record), existed=existed)
        return
    value = json.decode(record.value) if record.value else None
    held = None if hot.doc is None else lane_patch(record.kind, keys, value)
    if held is not None and (headers is None or metadata.change_in(headers) is None):
        lane, patch = held
        hot.accumulate(lane, patch, len(record.value))
        hot.lanes[lane] = record.hlc
        hot.revision, hot.last_seq = record.revision, record.seq
        hot.modified_ms = max(hot.modified_ms, ms_of(record.hlc))
        return
    existed = hot.exists
    hot.replace(change(hot.parsed(), record.kind, keys, value, headers))
    _note(hot, record, touched_by(record), existed=existed)


def _note(hot: Hot, record: Record, touched: Iterable[str], *, existed: bool) -> None:
    if not existed and hot.exists:
        hot.created_ms = ms_of(record.hlc)
    mark(hot.lanes, touched, record.hlc, replaced=record.kind != "thing.merged")
    hot.revision = record.revision
    hot.last_seq = record.seq
    hot.modified_ms = max(hot.modified_ms, ms_of(record.hlc))


def lane_patch(kind: str, keys: tuple[str, ...], value: object) -> tuple[str, Patch] | None:
    """A record as a merge patch on one lane, and that lane; None if it is none.

    Such a record is held until somebody reads. To replace one property by what is no object is to
    merge it; a patch of a whole thing that leads to one lane only is a patch of that lane.
    """
    if kind == "thing.merged":
        while value.__class__ is dict and len(keys) < 3 and keys[:1] != _ATTRIBUTES:
            assert isinstance(value, dict)
            if len(value) != 1:
                return None
            ((key, value),) = value.items()
            keys = (*keys, key)
    elif kind != "thing.modified" or value.__class__ is dict:
        return None
    depth = _DEPTH.get(keys[0], _NONE) if keys else _NONE
    if value is None or len(keys) < depth or (len(keys) == depth and value.__class__ is not dict):
        return None
    patch = value
    for key in keys[: depth - 1 : -1]:
        patch = {key: patch}
    assert isinstance(patch, dict)
    return lane_of(keys), patch


_ATTRIBUTES = ("attributes",)
_NONE = 1 << 30
_DEPTH = {"attributes": 1, "features": 3}
"""How long the path of a lane is."""


def touched_by(record: Record) -> list[str]:
    """The lanes that a record changes."""
    keys = keys_of(record.path)
    merged = record.kind == "thing.merged"
    changed = None if record.headers is None else metadata.change_in(record.headers)
    more = [] if changed is None else metadata.lanes(keys, changed)
    if len(keys) >= 3:
        return [lane_of(keys), *more]
    value = json.decode(record.value) if record.value and merged else None
    return lanes_touched(keys, value, merged=merged) + more


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
    document: Document | None,
    kind: str,
    keys: tuple[str, ...],
    value: object,
    headers: Mapping[str, object] | None,
) -> Document | None:
    """What a record of ``kind`` makes of ``document``. May change it in place.

    An implicit creation (a device's first message) gives a thing its policy only if it has none:
    the cloud may have created it at the same time. Nothing but a whole document brings back what
    was deleted: a part that comes after a deletion would make a thing without a policy.
    """
    verb = kind.rpartition(".")[2]
    if document is None and verb != "created" and (keys or verb == "merged"):
        return None
    implicit = headers is not None and "implicit" in headers
    if document is not None and metadata.MEMBER in document and not implicit:
        _forget_metadata(document, verb, keys, value)
    result: object
    if implicit and isinstance(value, dict):
        result = {**value, **(document or {})}
    elif verb in ("created", "modified"):
        told = headers is not None and "told" in headers
        whole = document is not None and not keys and not told
        kept = document.get(metadata.MEMBER) if document is not None and whole else None
        result = merge.put_at(document, keys, value)
        if not keys and isinstance(result, dict):
            # ``value`` is the caller's; what is hidden comes along.
            result = dict(result) if kept is None else {**result, metadata.MEMBER: kept}
    elif verb == "merged":
        result = merge.merge_at(document, keys, value)
    elif verb == "deleted":
        result = merge.delete_at(document, keys)
    else:
        result = document
    if not isinstance(result, dict):
        return None
    changed = metadata.change_in(headers)
    if changed is not None:
        metadata.apply(result, keys, value, changed)
    return result


def _forget_metadata(document: Document, verb: str, keys: tuple[str, ...], value: object) -> None:
    """Metadata goes with the data it belongs to."""
    if verb == "merged":
        metadata.forget_merged(document, keys, value)
    elif verb == "deleted":
        metadata.forget_deleted(document, keys)
    elif verb in ("created", "modified"):
        metadata.forget_replaced(document, keys, value)


def fold_in_order(base: Document | None, records: Iterable[Record]) -> Document | None:
    """Fold records over ``base`` in the total order of their stamps."""
    document = base
    for record in sorted(records, key=stamp_of):
        value = json.decode(record.value) if record.value else None
        document = change(document, record.kind, keys_of(record.path), value, record.headers)
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
_CHECKED = b"\xc1"
"""Begins a state with a checksum; no MessagePack begins so. Older states have none."""


def _checked(data: bytes) -> bytes:
    if data[:1] != _CHECKED:
        return data
    packed = data[5:]
    if crc32(packed).to_bytes(4, "big") != data[1:5]:
        raise ValueError("it fails its checksum")
    return packed


def pack(hot: Hot) -> bytes:
    """``hot`` as stored in the state table and in snapshots."""
    if len(hot.lanes) > LANES_MAX:
        hot.lanes = coarsened(hot.lanes)
    data = _encode(
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
    return _CHECKED + crc32(data).to_bytes(4, "big") + data


def unpack(entity: str, data: bytes) -> Hot:
    """Inverse of `pack`; raise `StateDamaged` if ``data`` is not what was packed."""
    try:
        packed = _decode(_checked(data))
    except (ValueError, msgspec.DecodeError) as e:
        damaged = PolicyDamaged if entity.startswith("policy:") else StateDamaged
        raise damaged(
            f"what is stored of {entity} is damaged: {e}.", hint="Restore the node from a backup."
        ) from e
    hot = Hot(entity)
    hot.revision, hot.last_seq = packed.revision, packed.last_seq
    hot.created_ms, hot.modified_ms = packed.created_ms, packed.modified_ms
    hot.policy_id, hot.doc, hot.lanes = packed.policy_id, packed.doc, packed.lanes
    hot.annotated = hot.watched = packed.doc is not None and _MEMBER in packed.doc
    hot.device_times = packed.device_times
    hot.ids = None if packed.ids is None else dict.fromkeys(packed.ids)
    return hot
