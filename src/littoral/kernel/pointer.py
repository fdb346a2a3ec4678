"""JSON pointers (RFC 6901), as text and as tuples of keys.

Inside Littoral a path is text that begins with ``/`` (the root is ``/``, as in Ditto's protocol).
"""

from functools import lru_cache
from typing import NewType

from littoral.kernel.errors import InvalidKey, InvalidPointer
from littoral.kernel.limits import JSON_DEPTH_MAX, PATH_CHARS_MAX

Pointer = NewType("Pointer", str)


def parse(text: str) -> tuple[str, ...]:
    """Split a pointer into its keys; a missing leading slash is forgiven.

    Raises:
        InvalidPointer: too long, too deep, an empty key, or a ``~`` not followed by 0 or 1.
    """
    if len(text) > PATH_CHARS_MAX:
        raise InvalidPointer(f"a path has at most {PATH_CHARS_MAX} characters, not {len(text)}.")
    stripped = text.removeprefix("/")
    if not stripped:
        return ()
    keys = stripped.split("/")
    if len(keys) > JSON_DEPTH_MAX:
        raise InvalidPointer(f"a path has at most {JSON_DEPTH_MAX} parts, not {len(keys)}.")
    if "" in keys:
        raise InvalidPointer(f"{text!r} has an empty part.", hint="Remove the double slash.")
    if "~" not in text:
        return tuple(keys)
    return tuple(_unescape(key, text) for key in keys)


def _unescape(key: str, text: str) -> str:
    if "~" in key.replace("~0", "").replace("~1", ""):
        raise InvalidPointer(f"{text!r}: '~' stands for itself only as '~0'.")
    return key.replace("~1", "/").replace("~0", "~")


def render(keys: tuple[str, ...]) -> Pointer:
    """Join keys into a pointer; inverse of `parse`."""
    text = "/".join(keys)
    if "~" not in text and text.count("/") < len(keys):
        return Pointer("/" + text)
    return Pointer("/" + "/".join(k.replace("~", "~0").replace("/", "~1") for k in keys))


@lru_cache(maxsize=16384)
def check_key(key: str) -> str:
    """Return ``key`` if Ditto allows it inside a thing; raise `InvalidKey` if not."""
    if not key:
        raise InvalidKey("a key is empty.", hint="Give every member of an object a name.")
    if "/" in key or (
        not key.isprintable() and any(ord(c) < 0x20 or 0x7F <= ord(c) <= 0x9F for c in key)
    ):
        raise InvalidKey(f"the key {key!r} has a slash or a control character in it.")
    return key


def get(document: object, keys: tuple[str, ...]) -> object:
    """The value at ``keys``; raise `KeyError` if there is none."""
    for key in keys:
        if not isinstance(document, dict) or key not in document:
            raise KeyError(key)
        document = document[key]
    return document
