"""Things and policies told as a whole: what is left to do when the records of a change are gone.

A node tells an entity as it is, with the stamp of each lane; another takes it over. What the taker
has written since and the teller has not heard is folded over it, by stamps as ever. So a telling
says no more than all the records would have said, to whom it is told before, with or after them.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import msgspec

from littoral.kernel import json, pointer
from littoral.kernel.ids import Origin
from littoral.kernel.merge import delete_at, put_at
from littoral.log import Record, RecordClass
from littoral.twin.core import state
from littoral.twin.core.conflict import stamp_of
from littoral.twin.core.document import Document
from littoral.twin.core.paths import keys_of, newest_overlapping
from littoral.twin.core.state import Hot
from littoral.twin.entities.engine import SPACE, Engine
from littoral.twin.entities.history import is_in_place
from littoral.twin.errors import StateDamaged
from littoral.twin.model import REFOLD_RECORDS_MAX

_HISTORY_CHUNK = 512


class Told(msgspec.Struct, array_like=True, frozen=True):
    """An entity as it is told. New members go at the end, with defaults."""

    doc: bytes | None
    """None: it was deleted."""
    lanes: dict[str, int]
    created_ms: int
    modified_ms: int
    policy_id: str
    device_times: dict[str, int] | None = None


class Adoption(NamedTuple):
    """What came of taking over an entity."""

    differs: bool
    """It is not here as it was told: something here was newer, or could not be placed."""
    skipped: list[Record]
    """Records that were written here, older than what was told: they are not in the state until the
    teller has put them in their place, and tells the entity again."""


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Told).decode


class Telling:
    """Tells entities of one engine, and takes over what others tell."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def after(self, prefix: str, after: str, *, limit: int) -> tuple[list[tuple[str, bytes]], str]:
        """Entities that begin with ``prefix`` beyond ``after``, also deleted ones, in order.

        Returns:
            At most ``limit`` of them as bytes; and the last one that was looked at, empty at the end.
        """
        rows = self._engine.log.scan(SPACE, prefix=prefix, after=after, limit=limit)
        told = []
        for entity, data in rows:
            found = self._of(entity, data)
            if found is not None:
                told.append((entity, found))
        return told, rows[-1][0] if len(rows) == limit else ""

    def one(self, entity: str) -> bytes | None:
        """One entity; None if there never was one, or it is damaged."""
        data = self._engine.log.get(SPACE, entity)
        if data is None and entity not in self._engine.hot:
            return None
        return self._of(entity, data or b"")

    def _of(self, entity: str, data: bytes) -> bytes | None:
        hot = self._engine.hot.get(entity)
        if hot is None:
            try:
                hot = state.unpack(entity, data)
            except StateDamaged:
                return None
        if not hot.revision:
            return None
        doc = hot.fold()
        return _encode(
            Told(doc, hot.lanes, hot.created_ms, hot.modified_ms, hot.policy_id, hot.device_times)
        )

    def adopt(
        self,
        entity: str,
        data: bytes,
        *,
        stamp: int,
        origin: Origin,
        heard: Callable[[Record], bool],
        heard_to: int,
    ) -> Adoption:
        """Take over ``entity`` as another node tells it, into the open batch.

        Args:
            entity: ``thing:…`` or ``policy:…``.
            data: what `after` or `one` gave there.
            stamp: the newest stamp that the teller had seen then.
            origin: under whose name the change is recorded.
            heard: whether the teller had a record of ours.
            heard_to: it had all of them up to this seq.

        Raises:
            msgspec.MsgspecError: ``data`` is no telling.
        """
        told = _decode(data)
        known = entity in self._engine.hot
        try:
            hot = self._engine.load(entity)
        except StateDamaged:
            return Adoption(differs=False, skipped=[])
        try:
            return self._take_over(hot, told, stamp, origin, heard, heard_to)
        finally:
            if not known and not hot.dirty_since and entity.startswith("thing:"):
                # Nobody has asked for it yet: a hundred thousand of them would fill memory.
                self._engine.forget(hot)

    def _take_over(
        self,
        hot: Hot,
        told: Told,
        stamp: int,
        origin: Origin,
        heard: Callable[[Record], bool],
        heard_to: int,
    ) -> Adoption:
        if hot.revision and hot.fold() == told.doc and hot.lanes == told.lanes:
            return Adoption(differs=False, skipped=[])
        merged, skipped = self._merge(hot, told, self._unheard(hot, heard, heard_to))
        differs = bool(skipped) or merged.fold() != told.doc
        if not hot.revision or merged.fold() != hot.fold() or merged.lanes != hot.lanes:
            self._become(hot, merged, stamp=stamp, origin=origin)
        return Adoption(differs, skipped)

    def _merge(self, hot: Hot, told: Told, unheard: list[Record]) -> tuple[Hot, list[Record]]:
        """What ``hot`` is to be: what was told, and over it what the teller has not heard."""
        merged = Hot(hot.entity)
        merged.replace_by(None if told.doc is None else json.decode_object(told.doc), told.doc)
        merged.lanes = dict(told.lanes)
        merged.created_ms, merged.modified_ms = told.created_ms, told.modified_ms
        merged.policy_id = told.policy_id
        merged.device_times = _newest(hot.device_times, told.device_times)
        skipped = []
        for record in unheard:
            if is_in_place(merged, record):
                state.apply(merged, record)
            else:
                skipped.append(record)
        _keep_newer(merged, hot)
        return merged, skipped

    def _unheard(self, hot: Hot, heard: Callable[[Record], bool], heard_to: int) -> list[Record]:
        """Records of ``hot`` that the teller has not heard, as far as they are kept, by stamp."""
        found: list[Record] = []
        last, size = hot.revision, 1
        if hot.last_seq <= heard_to:
            return found
        while last > 0 and len(found) < REFOLD_RECORDS_MAX:
            first = max(1, last - size + 1)
            chunk = self._engine.history(hot.entity, first=first, last=last)
            found += [r for r in chunk if not heard(r)]
            if not chunk or chunk[0].seq <= heard_to:
                break
            last, size = first - 1, min(_HISTORY_CHUNK, 4 * size)
        return sorted(found, key=stamp_of)

    def _become(self, hot: Hot, merged: Hot, *, stamp: int, origin: Origin) -> None:
        engine = self._engine
        doc = merged.fold()
        verb = "deleted" if doc is None else "modified" if hot.exists else "created"
        kind = f"{hot.entity.partition(':')[0]}.{verb}"
        cls = RecordClass.STATE
        number = engine.log.high_water(origin, cls) + 1
        record = Record(
            0, stamp, None, cls, kind, hot.entity, 0, 0, "/", doc or b"", {"told": True},
            origin, number,
        )  # fmt: skip
        engine.adopt(hot, record, merged)


def _keep_newer(merged: Hot, hot: Hot) -> None:
    """Lanes that are newer here although no record says so: retention took it before it was told.

    They stay as they are here, whole: nobody knows any more which of their properties is how old.
    """
    for lane, stamp in sorted(hot.lanes.items(), key=lambda item: item[1]):
        if newest_overlapping(merged.lanes, [lane]) >= stamp:
            continue
        document = merged.parsed()
        merged.replace(_with_lane(document, lane, hot.parsed()))
        for inner in [x for x in merged.lanes if x != lane and x.startswith(_below(lane))]:
            del merged.lanes[inner]
        merged.lanes[lane] = stamp
        merged.modified_ms = max(merged.modified_ms, hot.modified_ms)


def _below(lane: str) -> str:
    return lane if lane == "/" else f"{lane}/"


def _with_lane(document: Document | None, lane: str, source: Document | None) -> Document | None:
    """``document`` with what ``source`` has in ``lane``."""
    keys = keys_of(lane)
    if not keys:
        return source
    if document is None:
        return None
    try:
        value = None if source is None else pointer.get(source, keys)
    except KeyError:
        value = None
    result = delete_at(document, keys) if value is None else put_at(document, keys, value)
    return result if isinstance(result, dict) else None


def _newest(
    one: Mapping[str, int] | None, other: Mapping[str, int] | None
) -> dict[str, int] | None:
    if not one or not other:
        found = one or other
        return None if found is None else dict(found)
    return {key: max(one.get(key, 0), other.get(key, 0)) for key in {*one, *other}}
