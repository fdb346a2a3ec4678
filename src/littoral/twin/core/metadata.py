"""Metadata of a thing: a tree beside its data, in the document's hidden member ``_metadata``.

The tree mirrors the thing: what is known of ``/features/lamp/properties/on`` lies at
``/_metadata/features/lamp/properties/on``. A command says what to put or delete by pointers with
wildcards, relative to the place that it writes; so a record carries those few pointers in its
headers, and whoever folds the record works them out anew against the data, with one result.

Invariant: metadata changes only in the lanes that `lanes` names, so records of other lanes commute.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from littoral.kernel import json, pointer
from littoral.kernel.errors import InvalidHeader, InvalidKey, InvalidPointer, LittoralError
from littoral.kernel.merge import put_at
from littoral.twin.core.conflict import leaves
from littoral.twin.core.paths import lane_of
from littoral.twin.errors import MetadataNotModifiable
from littoral.twin.model import METADATA_BYTES_MAX, MetadataPut

Keys = tuple[str, ...]
Document = dict[str, object]

MEMBER = "_metadata"
"""Of a document; shown only to who asks for it."""

PUT_HEADER = "metadata"
DELETE_HEADER = "metadata-deleted"

_PARTS = frozenset(("properties", "desiredProperties"))


class MetadataChange(NamedTuple):
    """What a record does to metadata, as its headers say it."""

    puts: Sequence[tuple[Keys, object]]
    deletes: Sequence[Keys]


def change_in(headers: Mapping[str, object] | None) -> MetadataChange | None:
    """The change that a record's headers tell of; None if there is none."""
    if headers is None or (PUT_HEADER not in headers and DELETE_HEADER not in headers):
        return None
    puts = headers.get(PUT_HEADER)
    deletes = headers.get(DELETE_HEADER)
    return MetadataChange(
        [(pointer.parse(str(key)), value) for key, value in puts]
        if isinstance(puts, list | tuple)
        else (),
        [pointer.parse(str(key)) for key in deletes] if isinstance(deletes, list | tuple) else (),
    )


def headers_for(
    keys: Keys, puts: Sequence[MetadataPut], deletes: Sequence[str]
) -> dict[str, object]:
    """What the headers of a record say for a command at ``keys``; raise what `parse_key` raises."""
    headers: dict[str, object] = {}
    if puts:
        headers[PUT_HEADER] = [
            [str(pointer.render(parse_key(keys, put.key))), put.value] for put in puts
        ]
    if deletes:
        headers[DELETE_HEADER] = [str(pointer.render(parse_key(keys, key))) for key in deletes]
    if headers and len(json.encode(headers)) > METADATA_BYTES_MAX:
        raise InvalidHeader(
            f"a command changes at most {METADATA_BYTES_MAX} bytes of metadata.",
            hint="Use wildcards, or send several commands.",
        )
    return headers


def apply(document: Document, keys: Keys, value: object, change: MetadataChange) -> None:
    """Do ``change`` on ``document``, which has ``value`` at ``keys`` already."""
    found = document.get(MEMBER)
    tree: object = found if isinstance(found, dict) else {}
    for key, content in change.puts:
        # Each place gets one of its own: what is put later may change it.
        encoded = json.encode(content)
        for target in _touched(keys, key, value):
            tree = put_at(tree, target, json.decode(encoded))
    for key in change.deletes:
        for target in _present(document, keys, key):
            _delete(tree, target)
    if isinstance(tree, dict) and tree:
        document[MEMBER] = tree
    else:
        document.pop(MEMBER, None)


def lanes(keys: Keys, change: MetadataChange) -> list[str]:
    """The lanes in which ``change``, made by a write at ``keys``, changes metadata."""
    touched = []
    for key in (*(key for key, _ in change.puts), *change.deletes):
        fixed = key[: key.index("*")] if "*" in key else key
        touched.append(lane_of((*keys, *fixed)))
    return touched


# -- what goes with the data ------------------------------------------------------------------


def forget_deleted(document: Document, keys: Keys) -> None:
    """Drop the metadata at and below ``keys``: the data there is about to be deleted."""
    tree = document.get(MEMBER)
    _delete(tree, keys)
    if not tree:
        document.pop(MEMBER, None)


def forget_replaced(document: Document, keys: Keys, new: object) -> None:
    """Drop the metadata of what the value at ``keys`` has and ``new``, which replaces it, has not."""
    _forget(document, keys, new, merged=False)


def forget_merged(document: Document, keys: Keys, patch: object) -> None:
    """Drop the metadata of what a merge of ``patch`` at ``keys`` is about to delete."""
    if patch is None:
        forget_deleted(document, keys)
    else:
        _forget(document, keys, patch, merged=True)


def _forget(document: Document, keys: Keys, new: object, *, merged: bool) -> None:
    tree: object = document.get(MEMBER)
    old: object = document
    above: list[tuple[Document, str]] = []
    for key in keys:
        if not isinstance(old, dict) or not isinstance(tree, dict):
            return
        if key not in old or key not in tree:
            return
        above.append((tree, key))
        old, tree = old[key], tree[key]
    if isinstance(tree, dict):
        _vanish(tree, old, new, merged=merged)
        _prune(tree, above)
    if not document.get(MEMBER):
        document.pop(MEMBER, None)


def _vanish(tree: Document, old: object, new: object, *, merged: bool) -> None:
    """Drop from ``tree`` what belongs to keys of ``old`` that are not there after ``new``."""
    if not isinstance(old, dict):
        return
    for key in [key for key in old if key in tree]:
        if not isinstance(new, dict):
            del tree[key]
            continue
        if key not in new:
            if not merged:
                del tree[key]
            continue
        below = tree[key]
        if merged and new[key] is None:
            del tree[key]
        elif isinstance(below, dict):
            _vanish(below, old[key], new[key], merged=merged)
            if not below:
                del tree[key]


def _delete(tree: object, keys: Keys) -> None:
    above: list[tuple[Document, str]] = []
    for key in keys:
        if not isinstance(tree, dict) or key not in tree:
            return
        above.append((tree, key))
        tree = tree[key]
    if above:
        parent, key = above.pop()
        del parent[key]
        _prune(parent, above)


def _prune(tree: Document, above: list[tuple[Document, str]]) -> None:
    """Drop ``tree`` and what is above it as far as it is empty."""
    for parent, key in reversed(above):
        if tree:
            return
        del parent[key]
        tree = parent


# -- wildcards --------------------------------------------------------------------------------


def _touched(keys: Keys, key: Keys, value: object) -> Iterator[Keys]:
    """Where a put of ``key`` goes, after a write of ``value`` at ``keys``; nulls delete, so no."""
    if "*" not in key:
        yield (*keys, *key)
        return
    for place in _expanded(key, value):
        yield (*keys, *place)


def _present(document: Document, keys: Keys, key: Keys) -> Iterator[Keys]:
    """Where a deletion of ``key`` goes, by the data that is at ``keys`` of ``document``."""
    if "*" not in key:
        yield (*keys, *key)
        return
    try:
        value = pointer.get(document, keys)
    except KeyError:
        return
    if not keys and isinstance(value, dict):
        value = {k: v for k, v in value.items() if k != MEMBER}
    for place in _expanded(key, value):
        yield (*keys, *place)


def _expanded(key: Keys, value: object) -> Iterator[Keys]:
    if len(key) == 2 and key[0] == "*":
        for place, leaf in leaves((), value):
            if leaf is not None or not place:
                yield (*place, key[1])
        return
    yield from _walk((), key, value)


def _walk(place: Keys, rest: Keys, value: object) -> Iterator[Keys]:
    if len(rest) == 1:
        yield (*place, rest[0])
        return
    if not isinstance(value, dict):
        return
    for name in list(value) if rest[0] == "*" else rest[:1]:
        if value.get(name) is not None:
            yield from _walk((*place, name), rest[1:], value[name])


def _is_pattern(tokens: Keys) -> bool:
    """Whether ``tokens``, from the thing's root, are one of Ditto's patterns."""
    match tokens:
        case ("attributes", "*", k) | ("features", "*", "definition", k):
            return k != "*"
        case ("features", "*", part, "*", k) if part in _PARTS:
            return k != "*"
        case ("features", "*", part, p, k) if part in _PARTS:
            return "*" not in {p, k}
        case ("features", f, part, "*", k) if part in _PARTS:
            return "*" not in {f, k}
        case _:
            return False


def parse_key(keys: Keys, text: str, *, error: type[LittoralError] = MetadataNotModifiable) -> Keys:
    """Read a pointer of a metadata header of a command at ``keys``.

    Raises:
        InvalidHeader: it is no pointer. ``error``: its wildcards are none that Ditto knows.
    """
    try:
        key = pointer.parse(text)
        for part in key:
            pointer.check_key(part)
    except (InvalidPointer, InvalidKey) as e:
        raise InvalidHeader(
            f"{text[:200]!r} is no pointer to metadata.", hint="Example: properties/on/unit."
        ) from e
    if not key:
        raise InvalidHeader("a pointer to metadata names at least one key.")
    leaf = len(key) == 2 and key[0] == "*" and key[1] != "*"
    if "*" in key and not leaf and not _is_pattern((*keys, *key)):
        raise error(
            f"{text[:200]!r} has wildcards where none may be.",
            hint="Known are */k, attributes/*/k, features/*/definition/k, and "
            "features/F/properties/P/k with * for F, P or both.",
        )
    return key


def parse_keys(keys: Keys, texts: Sequence[str]) -> list[Keys]:
    """Read the pointers of ``get-metadata``; raise `InvalidHeader` if one means nothing."""
    return [parse_key(keys, text, error=InvalidHeader) for text in texts]


# -- reading ----------------------------------------------------------------------------------


def selected(document: Document, keys: Keys, wanted: Sequence[Keys], tree: object) -> object | None:
    """What of ``tree`` (metadata that may be seen) the pointers name, relative to ``keys``."""
    found: object = {}
    for key in wanted:
        for place in _present(document, keys, key):
            try:
                content = pointer.get(tree, place)
            except KeyError:
                continue
            found = put_at(found, place[len(keys) :], content)
    return found or None
