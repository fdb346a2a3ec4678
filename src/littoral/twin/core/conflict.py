"""What a late record lost to another node, to be told in a conflict event."""

from collections.abc import Iterable, Iterator

from littoral.kernel import json, pointer
from littoral.log import Record
from littoral.twin.core.document import Document
from littoral.twin.core.paths import keys_of

Keys = tuple[str, ...]


Stamp = tuple[int, str, int]
"""``(hlc, origin, oseq)``: the total order of records."""


def conflict_of(
    record: Record, others: Iterable[Record], document: Document | None
) -> dict[str, object] | None:
    """The body of the event; None if ``record`` lost nothing, or only to its own node.

    Args:
        record: the record that came late.
        others: the records that it was folded with.
        document: what they all make together.
    """
    if record.headers is not None and "implicit" in record.headers:
        return None
    node = record.origin.partition("/")[0]
    newer = [
        r for r in others if stamp_of(r) > stamp_of(record) and r.origin.partition("/")[0] != node
    ]
    if not newer:
        return None
    value = json.decode(record.value) if record.value else None
    lost = {
        str(pointer.render(keys)): leaf
        for keys, leaf in leaves(keys_of(record.path), value)
        if not _is_at(document, keys, leaf)
    }
    if not lost:
        return None
    return _body(record, lost, stamp_of(max(newer, key=stamp_of)))


def conflict_of_leaves(record: Record, lost: dict[str, Stamp]) -> dict[str, object] | None:
    """The same for a record that was placed leaf by leaf: ``lost`` keys and the stamps that won."""
    node = record.origin.partition("/")[0]
    foreign = {k: at for k, at in lost.items() if at[1].partition("/")[0] != node}
    if not foreign:
        return None
    value = json.decode(record.value)
    assert isinstance(value, dict)
    place = keys_of(record.path)
    body = {str(pointer.render((*place, key))): value[key] for key in foreign}
    return _body(record, body, max(foreign.values()))


def _body(record: Record, lost: dict[str, object], winner: Stamp) -> dict[str, object]:
    return {
        "lost": lost,
        "lostOrigin": record.origin,
        "lostHlc": record.hlc,
        "wonOrigin": winner[1],
        "wonHlc": winner[0],
    }


def stamp_of(record: Record) -> tuple[int, str, int]:
    """What records are ordered by, the same at every replica."""
    return record.hlc, record.origin, record.oseq


def leaves(keys: Keys, value: object) -> Iterator[tuple[Keys, object]]:
    """Every leaf of ``value`` with its path; an empty object is a leaf."""
    if isinstance(value, dict) and value:
        for key, child in value.items():
            yield from leaves((*keys, key), child)
    else:
        yield keys, value


def _is_at(document: Document | None, keys: Keys, leaf: object) -> bool:
    """Whether ``document`` has ``leaf`` at ``keys``; a null leaf means that nothing is there."""
    try:
        found = None if document is None else pointer.get(document, keys)
    except KeyError:
        found = None
    if isinstance(leaf, dict):
        return isinstance(found, dict)  # an empty object merges into any
    return json.encode(found) == json.encode(leaf)
