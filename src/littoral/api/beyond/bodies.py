"""Reading request bodies into typed values, with one sentence for what is wrong."""

from collections.abc import Sequence
from typing import TypeVar

import msgspec

from littoral.api.errors import InvalidBody
from littoral.api.http import Request
from littoral.api.model import BODY_BYTES_MAX
from littoral.kernel.merge import check_depth
from littoral.rql import Query, parse
from littoral.search import parse_namespaces

T = TypeVar("T", bound=msgspec.Struct)


async def read_body(request: Request, kind: type[T], what: str, *, limit: int | None = None) -> T:
    """The body as a ``kind``.

    Args:
        request: with a body that was not read yet.
        kind: what it must be; unknown members are refused if the struct says so.
        what: what it is called in the refusal, ``a transaction``.
        limit: bytes; None: `BODY_BYTES_MAX`.

    Raises:
        InvalidBody: it is none; BodyTooLarge, InvalidJson: too large, too deep.
    """
    body = await request.body(limit or BODY_BYTES_MAX)
    try:
        raw = msgspec.json.decode(body)
        check_depth(raw)
        return msgspec.convert(raw, kind)
    except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError, RecursionError) as e:
        raise InvalidBody(f"this is not {what}: {str(e)[:300]}.") from e


def filter_of(text: str | None) -> Query | None:
    """A filter with Littoral's own operators; raise `InvalidExpression`."""
    return parse(text, extended=True) if text else None


def namespaces_of(names: Sequence[str] | None) -> tuple[str, ...] | None:
    """The namespaces of a search; raise `InvalidNamespaces`."""
    return None if names is None else parse_namespaces(",".join(names))
