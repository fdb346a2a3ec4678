"""Ditto's `fields` selector: which parts of a document an answer shows. Pure.

``thingId,attributes(model,location/lat),features/*/properties(on)``: a comma list of JSON pointers,
nested groups in parentheses; ``*`` in place of a feature's id stands for every feature.
"""

from collections.abc import Mapping
from functools import lru_cache

from littoral.kernel import time as instants
from littoral.kernel.errors import LittoralError
from littoral.kernel.ids import namespace_of

FIELDS_CHARS_MAX = 8 * 1024
"""Length of a selector: what fits into a URI."""

FIELDS_DEPTH_MAX = 32
"""Nesting of groups."""

Fields = Mapping[str, "Fields"]
"""A tree of keys; a node that holds `WHOLE` selects everything below it. Shared: never changed."""

_Tree = dict[str, "_Tree"]

WHOLE = ""
"""No key of a document is empty, so this one is free."""

METADATA = "_metadata"
POLICY = "_policy"
CONTEXT = "_context"
SPECIAL = frozenset(("_namespace", "_revision", "_created", "_modified", METADATA, POLICY, CONTEXT))
"""Members of a thing that are shown only if they are asked for by name."""

_ROOTS = SPECIAL | {"thingId", "policyId", "definition", "attributes", "features"}


class InvalidFields(LittoralError):
    """The selector cannot be read."""

    code = "json.fieldselector.invalid"


class UnknownFields(LittoralError):
    """The selector of an event names what no thing has."""

    code = "things:field.selection.invalid"


@lru_cache(maxsize=512)
def parse(text: str) -> Fields:
    """Read a selector, remembered; raise `InvalidFields` if it cannot be read."""
    if len(text) > FIELDS_CHARS_MAX:
        raise InvalidFields(f"a field selector has at most {FIELDS_CHARS_MAX} characters.")
    tree: _Tree = {}
    at, closed = _group(text, 0, tree, depth=0)
    if closed or at != len(text):
        raise _invalid(text, at)
    return tree


@lru_cache(maxsize=512)
def parse_event(text: str) -> Fields:
    """`parse` for what enriches or cuts events: its first segments must be members of a thing.

    Raises:
        InvalidFields, UnknownFields.
    """
    tree = parse(text)
    unknown = sorted(tree.keys() - _ROOTS)
    if unknown:
        raise UnknownFields(
            f"a thing has no member {unknown[0][:80]!r}.",
            hint=f"It has {', '.join(sorted(_ROOTS))}.",
        )
    return tree


def _group(text: str, at: int, tree: _Tree, *, depth: int) -> tuple[int, bool]:
    """Read a comma list into ``tree``; return where it ended, and whether by a parenthesis."""
    if depth > FIELDS_DEPTH_MAX:
        raise InvalidFields(f"a field selector nests at most {FIELDS_DEPTH_MAX} groups.")
    while True:
        start = at
        while at < len(text) and text[at] not in ",()":
            at += 1
        node = _descend(text, text[start:at].strip(), tree, at)
        nested = at < len(text) and text[at] == "("
        if nested:
            at, closed = _group(text, at + 1, node, depth=depth + 1)
            if not closed:
                raise _invalid(text, at)
        else:
            node[WHOLE] = {}
        if at == len(text):
            return at, False
        if text[at] == ")":
            return at + 1, True
        if text[at] != ",":
            raise _invalid(text, at)
        at += 1


def _descend(text: str, path: str, tree: _Tree, at: int) -> _Tree:
    for key in path.removeprefix("/").split("/"):
        if not key or ("~" in key and "~" in key.replace("~0", "").replace("~1", "")):
            raise _invalid(text, at)
        tree = tree.setdefault(key.replace("~1", "/").replace("~0", "~"), {})
    return tree


def _invalid(text: str, at: int) -> InvalidFields:
    return InvalidFields(
        f"the field selector {text[:200]!r} cannot be read at character {at + 1}.",
        hint="Example: thingId,attributes(model,location/lat),features/lamp/properties.",
    )


def select(document: object, fields: Fields, keys: tuple[str, ...] = ()) -> object:
    """The parts of ``document`` that ``fields`` names; what is missing is left out.

    ``keys`` is the place of ``document`` in its thing: where features are, ``*`` is all of them.
    The answer shares parts with ``document``, which is not changed.
    """
    if WHOLE in fields or not isinstance(document, dict):
        return document
    chosen: dict[str, object] = {}
    for key, below in fields.items():
        every = key == "*" and keys == ("features",)
        for name in document if every else (key,):
            if name not in document:
                continue
            part = document[name]
            if WHOLE not in below:
                part = select(part, below, (*keys, name)) if isinstance(part, dict) else None
                if not part:
                    continue
            chosen[name] = _join(chosen.get(name), part)
    return chosen


def _join(old: object, new: object) -> object:
    """Both parts of what two pointers chose; ``old`` is chosen from the same place as ``new``."""
    if isinstance(old, dict) and isinstance(new, dict):
        return old | {key: _join(old.get(key), value) for key, value in new.items()}
    return new


def special(
    thing_id: str, *, revision: int, created_ms: int = 0, modified_ms: int = 0
) -> dict[str, object]:
    """``_namespace``, ``_revision``, ``_created`` and ``_modified``; instants of 0 are left out."""
    members: dict[str, object] = {"_namespace": namespace_of(thing_id), "_revision": revision}
    if created_ms:
        members["_created"] = instants.render(created_ms)
    if modified_ms:
        members["_modified"] = instants.render(modified_ms)
    return members


def wants_special(fields: Fields) -> bool:
    """Whether ``fields`` names a member that is shown only if it is asked for."""
    return not SPECIAL.isdisjoint(fields)
