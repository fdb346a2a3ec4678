"""Cursors: where a page ended, as text that nobody needs to understand."""

import base64
import binascii
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import orjson

from littoral.rql import InvalidOption, SortBy
from littoral.search.model import After

_BYTES_MAX = 64 * 1024


@dataclass(frozen=True, slots=True)
class Bookmark:
    """A cursor, read."""

    after: After
    sort: tuple[SortBy, ...]
    size: int


def encode(bookmark: Bookmark, *, question: str) -> str:
    """Write a cursor for the page after ``bookmark``, good for the same ``question`` only."""
    keys = [["b", key.hex()] if isinstance(key, bytes) else key for key in bookmark.after.keys]
    sort = [("-" if key.descending else "+") + key.property for key in bookmark.sort]
    body = orjson.dumps(
        [bookmark.after.thing_id, keys, sort, bookmark.size, _mark(question)],
    )
    return base64.urlsafe_b64encode(zlib.compress(body)).decode().rstrip("=")


def decode(text: str, *, question: str, sort: Sequence[SortBy]) -> Bookmark:
    """Read a cursor.

    Raises:
        InvalidOption: it is none, or it was made for another filter, namespaces or order.
    """
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        body = zlib.decompressobj().decompress(data, _BYTES_MAX)
        thing_id, keys, names, size, mark = orjson.loads(body)
        after = After(
            str(thing_id),
            tuple(bytes.fromhex(key[1]) if isinstance(key, list) else key for key in keys),
        )
        kept = tuple(SortBy(name[1:], descending=name[0] == "-") for name in names)
        bookmark = Bookmark(after, kept, int(size))
    except (binascii.Error, zlib.error, ValueError, TypeError, IndexError, KeyError) as e:
        raise InvalidOption("the cursor is not one of ours.", hint="Start without one.") from e
    if len(after.keys) != len(kept):
        raise InvalidOption("the cursor is not one of ours.", hint="Start without one.")
    if mark != _mark(question) or (sort and tuple(sort) != kept):
        raise InvalidOption(
            "the cursor belongs to another search.",
            hint="Give the same filter, namespaces and sort as for the first page.",
        )
    return bookmark


def _mark(question: str) -> int:
    return zlib.crc32(question.encode())
