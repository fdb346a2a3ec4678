"""JSON merge patch (RFC 7396), and writing and deleting at a path.

Functions take a document as parsed JSON and may change it in place; they return the result.
"""

from typing import Any

from littoral.kernel.errors import InvalidJson
from littoral.kernel.limits import JSON_DEPTH_MAX


def merge(target: object, patch: object) -> object:
    """Merge ``patch`` into ``target`` in place where it can be; return the result.

    Spec: RFC 7396 §2. ``null`` deletes; a list replaces.
    """
    if not isinstance(patch, dict):
        return patch
    if not isinstance(target, dict):
        target = {}
    for key, value in patch.items():
        if value is None:
            target.pop(key, None)
        elif isinstance(value, dict):
            target[key] = merge(target.get(key), value)
        else:
            target[key] = value
    return target


def merge_at(document: object, keys: tuple[str, ...], patch: object) -> object:
    """Merge ``patch`` at ``keys``; the objects on the way are made. A ``None`` patch deletes."""
    if not keys:
        return merge(document, patch)
    if patch is None:
        return delete_at(document, keys)
    root = document if isinstance(document, dict) else {}
    parent = _descend(root, keys)
    parent[keys[-1]] = merge(parent.get(keys[-1]), patch)
    return root


def put_at(document: object, keys: tuple[str, ...], value: object) -> object:
    """Replace what is at ``keys`` by ``value``; the objects on the way are made."""
    if not keys:
        return value
    root = document if isinstance(document, dict) else {}
    _descend(root, keys)[keys[-1]] = value
    return root


def delete_at(document: object, keys: tuple[str, ...]) -> object:
    """Remove what is at ``keys``; nothing happens if there is nothing. The root becomes None."""
    if not keys:
        return None
    parent = document
    for key in keys[:-1]:
        if not isinstance(parent, dict) or key not in parent:
            return document
        parent = parent[key]
    if isinstance(parent, dict):
        parent.pop(keys[-1], None)
    return document


def _descend(root: dict[str, object], keys: tuple[str, ...]) -> dict[str, object]:
    for key in keys[:-1]:
        child = root.get(key)
        if not isinstance(child, dict):
            child = root[key] = {}
        root = child
    return root


def strip_nulls(value: object) -> object:
    """``value`` without object members that are null, as a merge into nothing would leave it."""
    return merge(None, value) if isinstance(value, dict) else value


def check_depth(value: object, limit: int = JSON_DEPTH_MAX) -> None:
    """Raise `InvalidJson` if ``value`` nests deeper than ``limit``; never recurses itself."""
    level: list[Any] = [value] if isinstance(value, dict | list) else []
    for _ in range(limit):
        if not level:
            return
        level = [
            child
            for node in level
            for child in (node.values() if isinstance(node, dict) else node)
            if isinstance(child, dict | list)
        ]
    if level:
        raise InvalidJson(f"the document nests deeper than {limit} levels.", hint="Flatten it.")
