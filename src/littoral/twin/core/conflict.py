"""What a late record lost to another node, to be told in a conflict event."""

from collections.abc import Iterable, Iterator

from littoral.kernel import json, pointer
from littoral.log import Record
from littoral.twin.core.document import Document
from littoral.twin.core.paths import keys_of

Keys = tuple[str, ...]


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
    winner = max(newer, key=stamp_of)
    return {
        "lost": lost,
        "lostOrigin": record.origin,
        "lostHlc": record.hlc,
        "wonOrigin": winner.origin,
        "wonHlc": winner.hlc,
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
