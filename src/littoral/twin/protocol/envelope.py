"""One message of the Ditto Protocol as it comes in: read, bounded and checked for its form. Pure."""

from enum import Enum

import msgspec

from littoral.kernel import json
from littoral.kernel.errors import InvalidHeader
from littoral.kernel.limits import JSON_DEPTH_MAX
from littoral.kernel.merge import check_depth
from littoral.twin.protocol.errors import InvalidEnvelope
from littoral.twin.protocol.topics import Topic, parse_topic

ENVELOPE_HEADERS_MAX = 64
"""Headers in one envelope. Source: Ditto's limit for HTTP."""

HEADER_CHARS_MAX = 16 * 1024
"""Length of one header value. Source: Ditto's default."""

_STATUS_MIN, _STATUS_MAX = 200, 599  # below 200 no answer is final: HTTP would wait for another


class Absent(Enum):
    """The type of `ABSENT`: a member that is not there, where ``null`` is a value."""

    ABSENT = "absent"


ABSENT = Absent.ABSENT


class Envelope(msgspec.Struct, frozen=True):
    """One message of the Ditto Protocol. Header names are lower case."""

    topic: Topic
    path: str
    headers: dict[str, object] = msgspec.field(default_factory=dict)
    value: object = ABSENT
    fields: str | None = None
    status: int | None = None

    @property
    def correlation_id(self) -> str:
        """The text that links an answer to this; empty if the sender gave none."""
        found = self.headers.get("correlation-id")
        return found if isinstance(found, str) else ""

    @property
    def response_required(self) -> bool:
        """False only if the sender said so."""
        return self.headers.get("response-required") not in {False, "false"}


def parse_envelope(data: bytes | str) -> Envelope:
    """Read one message. The caller has bounded its size; its depth is bounded here.

    Raises:
        InvalidJson, InvalidEnvelope, InvalidHeader, UnknownTopic, UnknownChannel.
    """
    members = json.decode_object(data)
    _check_depth(data, members)
    get = members.get
    topic = get("topic")
    if type(topic) is not str:
        raise InvalidEnvelope("the envelope has no 'topic', or it is not a string.")
    path = get("path", "/")
    if type(path) is not str:
        raise InvalidEnvelope("the envelope's 'path' is not a string.")
    headers = get("headers")
    if headers is None:
        headers = {}
    elif type(headers) is not dict:
        raise InvalidEnvelope("the envelope's 'headers' are not an object.")
    fields = get("fields")
    if fields is not None and type(fields) is not str:
        raise InvalidEnvelope("the envelope's 'fields' are not a string.")
    status = get("status")
    if status is not None and (type(status) is not int or not _STATUS_MIN <= status <= _STATUS_MAX):
        raise InvalidEnvelope("the envelope's 'status' is not an HTTP status.")
    return Envelope(
        parse_topic(topic), path or "/", _checked(headers), get("value", ABSENT), fields, status
    )


def correlation_id_in(data: bytes | str) -> str:
    """The correlation id of a text that may be no envelope, so that its error finds its way back."""
    try:
        headers = json.decode_object(data).get("headers")
    except Exception:  # noqa: BLE001  # whatever it is, it has no correlation id
        return ""
    found = headers.get("correlation-id") if isinstance(headers, dict) else None
    return found if isinstance(found, str) and len(found) <= HEADER_CHARS_MAX else ""


def _check_depth(data: bytes | str, members: dict[str, object]) -> None:
    """`check_depth`, walked only if the text has enough brackets to be too deep at all."""
    if isinstance(data, str):
        brackets = data.count("{") + data.count("[")
    else:
        brackets = data.count(b"{") + data.count(b"[")
    if brackets > JSON_DEPTH_MAX:
        check_depth(members)


def _checked(headers: dict[str, object]) -> dict[str, object]:
    if len(headers) > ENVELOPE_HEADERS_MAX:
        raise InvalidHeader(
            f"an envelope has at most {ENVELOPE_HEADERS_MAX} headers, not {len(headers)}."
        )
    lower = True
    for name, value in headers.items():
        if type(value) is str and len(value) > HEADER_CHARS_MAX:
            raise InvalidHeader(
                f"the header {name[:80]!r} is longer than {HEADER_CHARS_MAX} characters."
            )
        lower = lower and name.islower()
    if lower:
        return headers
    return {name.lower(): value for name, value in headers.items()}
