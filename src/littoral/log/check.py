"""Whether the store could write and read back a record: asked before it is appended."""

from littoral.log.codec import headers_size
from littoral.log.errors import RecordInvalid
from littoral.log.model import HEADERS_BYTES_MAX, TEXT_CHARS_MAX, VALUE_BYTES_MAX, Headers, Record

INT_MAX = 1 << 62
"""What a number of a record stays below."""


def check(record: Record) -> None:
    """Raise `RecordInvalid` if the store could not write or read back this record."""
    _, hlc, device_time, cls, kind, entity, revision, prev_seq, path, value, headers, _, oseq = (
        record
    )
    if value.__class__ is not bytes or len(value) > VALUE_BYTES_MAX:
        raise RecordInvalid(
            f"a record's value is bytes, at most {VALUE_BYTES_MAX} of them.",
            hint="Split the payload, or send it as an object.",
        )
    if not 0 <= cls <= 4:
        raise RecordInvalid(f"{cls} is not a record class.")
    if len(kind) + len(entity) + len(path) > TEXT_CHARS_MAX:
        raise RecordInvalid(
            f"kind, entity and path of a record have at most {TEXT_CHARS_MAX} characters together."
        )
    for number in (device_time or 0, hlc, revision, prev_seq, oseq):
        if not -INT_MAX < number < INT_MAX:
            raise RecordInvalid(f"the number {number} does not fit a record.")
    try:
        for text in (kind, entity, path):
            text.encode()
    except UnicodeEncodeError as e:
        raise RecordInvalid(f"a record's text cannot be encoded: {e.reason}.") from e
    if headers is not None:
        check_headers(headers)


def check_headers(headers: Headers) -> None:
    """Raise `RecordInvalid` if these headers cannot be stored."""
    try:
        size = headers_size(headers)
    except (TypeError, ValueError, OverflowError) as e:
        raise RecordInvalid(f"a record's headers cannot be encoded: {e}.") from e
    if size > HEADERS_BYTES_MAX:
        raise RecordInvalid(f"a record's headers have at most {HEADERS_BYTES_MAX} bytes.")
