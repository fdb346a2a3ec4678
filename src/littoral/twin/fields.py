"""Ditto's `fields` selector: which parts of a document an answer shows. Pure.

``thingId,attributes(model,location/lat),features/*/properties(on)``: a comma list of JSON pointers,
nested groups in parentheses; ``*`` in place of a feature's id stands for every feature.
"""

from littoral.kernel.errors import LittoralError

FIELDS_CHARS_MAX = 8 * 1024
"""Length of a selector: what fits into a URI."""

FIELDS_DEPTH_MAX = 32
"""Nesting of groups."""

Fields = dict[str, "Fields"]
"""A tree of keys; a node that holds `WHOLE` selects everything below it."""

WHOLE = ""
"""No key of a document is empty, so this one is free."""


class InvalidFields(LittoralError):
    """The selector cannot be read."""

    code = "json.fieldselector.invalid"


def parse(text: str) -> Fields:
    """Read a selector; raise `InvalidFields` if it cannot be read."""
    if len(text) > FIELDS_CHARS_MAX:
        raise InvalidFields(f"a field selector has at most {FIELDS_CHARS_MAX} characters.")
    tree: Fields = {}
    at, closed = _group(text, 0, tree, depth=0)
    if closed or at != len(text):
        raise _invalid(text, at)
    return tree


def _group(text: str, at: int, tree: Fields, *, depth: int) -> tuple[int, bool]:
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


def _descend(text: str, path: str, tree: Fields, at: int) -> Fields:
    keys = path.removeprefix("/").split("/")
    for key in keys:
        if not key:
            raise _invalid(text, at)
        tree = tree.setdefault(key.replace("~1", "/").replace("~0", "~"), {})
    return tree


def _invalid(text: str, at: int) -> InvalidFields:
    return InvalidFields(
        f"the field selector {text[:200]!r} cannot be read at character {at + 1}.",
        hint="Example: thingId,attributes(model,location/lat),features/lamp/properties.",
    )


def select(document: object, fields: Fields) -> object:
    """The parts of ``document`` that ``fields`` names; what is missing is left out."""
    if WHOLE in fields or not isinstance(document, dict):
        return document
    chosen: dict[str, object] = {}
    for key, below in fields.items():
        for name in document if key == "*" else (key,):
            if name not in document:
                continue
            part = document[name]
            if WHOLE not in below:
                part = select(part, below) if isinstance(part, dict) else None
                if not part:
                    continue
            chosen[name] = _join(chosen.get(name), part)
    return chosen


def _join(old: object, new: object) -> object:
    if isinstance(old, dict) and isinstance(new, dict):
        return old | {key: _join(old.get(key), value) for key, value in new.items()}
    return new
