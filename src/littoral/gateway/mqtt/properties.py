"""MQTT 5 properties and the primitive fields of both versions.

Spec: MQTT 5.0 §1.5, §2.2.2. Readers take ``(data, at, end)``, return ``(value, next)`` and never
read at or beyond ``end``: it is the end of the packet, whatever the buffer holds after it.
"""

from collections.abc import Callable, Mapping
from enum import IntEnum
from types import MappingProxyType

from littoral.gateway.mqtt.reasons import Type, malformed, protocol_error

Value = int | str | bytes | tuple[int, ...] | tuple[tuple[str, str], ...]
Properties = Mapping[int, Value]
"""Values by property id; user properties and subscription ids are tuples, in order of arrival."""

NO_PROPERTIES: Properties = MappingProxyType({})


class Property(IntEnum):
    """Property identifiers. Spec: MQTT 5.0 §2.2.2.2."""

    PAYLOAD_FORMAT = 0x01
    MESSAGE_EXPIRY = 0x02
    CONTENT_TYPE = 0x03
    RESPONSE_TOPIC = 0x08
    CORRELATION_DATA = 0x09
    SUBSCRIPTION_ID = 0x0B
    SESSION_EXPIRY = 0x11
    ASSIGNED_CLIENT_ID = 0x12
    SERVER_KEEP_ALIVE = 0x13
    AUTH_METHOD = 0x15
    AUTH_DATA = 0x16
    REQUEST_PROBLEM_INFO = 0x17
    WILL_DELAY = 0x18
    REQUEST_RESPONSE_INFO = 0x19
    RESPONSE_INFO = 0x1A
    SERVER_REFERENCE = 0x1C
    REASON_STRING = 0x1F
    RECEIVE_MAXIMUM = 0x21
    TOPIC_ALIAS_MAXIMUM = 0x22
    TOPIC_ALIAS = 0x23
    MAXIMUM_QOS = 0x24
    RETAIN_AVAILABLE = 0x25
    USER_PROPERTY = 0x26
    MAXIMUM_PACKET_SIZE = 0x27
    WILDCARD_AVAILABLE = 0x28
    SUBSCRIPTION_IDS_AVAILABLE = 0x29
    SHARED_AVAILABLE = 0x2A


WILL = 0
"""Stands for the will's property list, which is no packet of its own."""

_P = Property
_ACK = frozenset({_P.REASON_STRING, _P.USER_PROPERTY})
_PUBLISHED = frozenset(
    {
        _P.PAYLOAD_FORMAT,
        _P.MESSAGE_EXPIRY,
        _P.CONTENT_TYPE,
        _P.RESPONSE_TOPIC,
        _P.CORRELATION_DATA,
        _P.USER_PROPERTY,
    }
)
ALLOWED: Mapping[int, frozenset[Property]] = {
    WILL: _PUBLISHED | {_P.WILL_DELAY},
    Type.CONNECT: frozenset(
        {
            _P.SESSION_EXPIRY,
            _P.AUTH_METHOD,
            _P.AUTH_DATA,
            _P.REQUEST_PROBLEM_INFO,
            _P.REQUEST_RESPONSE_INFO,
            _P.RECEIVE_MAXIMUM,
            _P.TOPIC_ALIAS_MAXIMUM,
            _P.USER_PROPERTY,
            _P.MAXIMUM_PACKET_SIZE,
        }
    ),
    Type.CONNACK: frozenset(
        {
            _P.SESSION_EXPIRY,
            _P.ASSIGNED_CLIENT_ID,
            _P.SERVER_KEEP_ALIVE,
            _P.AUTH_METHOD,
            _P.AUTH_DATA,
            _P.RESPONSE_INFO,
            _P.SERVER_REFERENCE,
            _P.REASON_STRING,
            _P.RECEIVE_MAXIMUM,
            _P.TOPIC_ALIAS_MAXIMUM,
            _P.MAXIMUM_QOS,
            _P.RETAIN_AVAILABLE,
            _P.USER_PROPERTY,
            _P.MAXIMUM_PACKET_SIZE,
            _P.WILDCARD_AVAILABLE,
            _P.SUBSCRIPTION_IDS_AVAILABLE,
            _P.SHARED_AVAILABLE,
        }
    ),
    Type.PUBLISH: _PUBLISHED | {_P.SUBSCRIPTION_ID, _P.TOPIC_ALIAS},
    Type.PUBACK: _ACK,
    Type.PUBREC: _ACK,
    Type.PUBREL: _ACK,
    Type.PUBCOMP: _ACK,
    Type.SUBSCRIBE: frozenset({_P.SUBSCRIPTION_ID, _P.USER_PROPERTY}),
    Type.SUBACK: _ACK,
    Type.UNSUBSCRIBE: frozenset({_P.USER_PROPERTY}),
    Type.UNSUBACK: _ACK,
    Type.DISCONNECT: _ACK | {_P.SESSION_EXPIRY, _P.SERVER_REFERENCE},
    Type.AUTH: _ACK | {_P.AUTH_METHOD, _P.AUTH_DATA},
}
"""Which properties each packet type may carry."""

_ONE_BYTE = frozenset(
    {
        _P.PAYLOAD_FORMAT,
        _P.REQUEST_PROBLEM_INFO,
        _P.REQUEST_RESPONSE_INFO,
        _P.MAXIMUM_QOS,
        _P.RETAIN_AVAILABLE,
        _P.WILDCARD_AVAILABLE,
        _P.SUBSCRIPTION_IDS_AVAILABLE,
        _P.SHARED_AVAILABLE,
    }
)
_TWO_BYTES = frozenset(
    {_P.SERVER_KEEP_ALIVE, _P.RECEIVE_MAXIMUM, _P.TOPIC_ALIAS_MAXIMUM, _P.TOPIC_ALIAS}
)
_FOUR_BYTES = frozenset(
    {_P.MESSAGE_EXPIRY, _P.SESSION_EXPIRY, _P.WILL_DELAY, _P.MAXIMUM_PACKET_SIZE}
)
_BINARY = frozenset({_P.CORRELATION_DATA, _P.AUTH_DATA})
_NOT_ZERO = frozenset({_P.RECEIVE_MAXIMUM, _P.MAXIMUM_PACKET_SIZE, _P.SUBSCRIPTION_ID})


def read_u16(data: bytes, at: int, end: int) -> tuple[int, int]:
    """A two-byte integer."""
    if at + 2 > end:
        raise malformed("the packet ends inside a two-byte integer.")
    return data[at] << 8 | data[at + 1], at + 2


def read_binary(data: bytes, at: int, end: int) -> tuple[bytes, int]:
    """Bytes behind a two-byte length."""
    length, at = read_u16(data, at, end)
    if at + length > end:
        raise malformed("a length is larger than the rest of the packet.")
    return data[at : at + length], at + length


def read_text(data: bytes, at: int, end: int) -> tuple[str, int]:
    """A UTF-8 string; surrogates and U+0000 are refused. Spec: MQTT 5.0 §1.5.4."""
    raw, at = read_binary(data, at, end)
    return text_of(raw), at


def text_of(raw: bytes) -> str:
    """Decode the bytes of a UTF-8 string field."""
    try:
        text = raw.decode()
    except UnicodeDecodeError as e:
        raise malformed("a text field is not UTF-8.") from e
    if "\0" in text:
        raise malformed("a text field has U+0000 in it.")
    return text


def read_varint(data: bytes, at: int, end: int) -> tuple[int, int]:
    """A variable byte integer of at most four bytes."""
    value = 0
    for shift in (0, 7, 14, 21):
        if at >= end:
            raise malformed("the packet ends inside a variable byte integer.")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise malformed("a variable byte integer has more than four bytes.")


def _read_int(data: bytes, at: int, end: int, size: int) -> tuple[int, int]:
    if at + size > end:
        raise malformed("the packet ends inside a property.")
    return int.from_bytes(data[at : at + size], "big"), at + size


def _read_value(key: int, data: bytes, at: int, end: int) -> tuple[Value, int]:
    value: Value
    if key in _ONE_BYTE:
        value, at = _read_int(data, at, end, 1)
        if value > 1:
            raise protocol_error(f"property 0x{key:02x} is 0 or 1, not {value}.")
    elif key in _TWO_BYTES:
        value, at = _read_int(data, at, end, 2)
    elif key in _FOUR_BYTES:
        value, at = _read_int(data, at, end, 4)
    elif key in _BINARY:
        value, at = read_binary(data, at, end)
    else:
        value, at = read_text(data, at, end)
    if value == 0 and key in _NOT_ZERO:
        raise protocol_error(f"property 0x{key:02x} must not be 0.")
    return value, at


def read_properties(data: bytes, at: int, end: int, owner: int) -> tuple[Properties, int]:
    """The property list of a packet of type ``owner`` (or `WILL`).

    Raises:
        PeerViolation: a property that this packet may not carry, twice the same, or bad bytes.
    """
    length, at = read_varint(data, at, end)
    if length == 0:
        return NO_PROPERTIES, at
    stop = at + length
    if stop > end:
        raise malformed("the properties are longer than the packet.")
    allowed = ALLOWED[owner]
    found: dict[int, Value] = {}
    users: list[tuple[str, str]] = []
    subscriptions: list[int] = []
    while at < stop:
        key = data[at]
        at += 1
        if key not in allowed:
            raise protocol_error(f"property 0x{key:02x} does not belong into this packet.")
        if key == _P.USER_PROPERTY:
            name, at = read_text(data, at, stop)
            text, at = read_text(data, at, stop)
            users.append((name, text))
        elif key == _P.SUBSCRIPTION_ID:
            number, at = read_varint(data, at, stop)
            if number == 0 or (subscriptions and owner == Type.SUBSCRIBE):
                raise protocol_error("a subscription identifier is 0 or is given twice.")
            subscriptions.append(number)
        elif key in found:
            raise protocol_error(f"property 0x{key:02x} is given twice.")
        else:
            found[key], at = _read_value(key, data, at, stop)
    if users:
        found[_P.USER_PROPERTY] = tuple(users)
    if subscriptions:
        found[_P.SUBSCRIPTION_ID] = tuple(subscriptions)
    return found, at


def u16(value: int) -> bytes:
    """Two bytes."""
    return value.to_bytes(2, "big")


def binary(value: bytes) -> bytes:
    """Bytes behind a two-byte length; longer than that raises OverflowError, a bug of the caller."""
    return len(value).to_bytes(2, "big") + value


def text(value: str) -> bytes:
    """A UTF-8 string behind a two-byte length."""
    return binary(value.encode())


def varint(value: int) -> bytes:
    """A variable byte integer."""
    if value < 0x80:
        return bytes((value,))
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


_INTS: Mapping[int, Callable[[int], bytes]] = {
    **{key: lambda value: bytes((value,)) for key in _ONE_BYTE},
    **dict.fromkeys(_TWO_BYTES, u16),
    **{key: lambda value: value.to_bytes(4, "big") for key in _FOUR_BYTES},
}


def encode_properties(properties: Properties) -> bytes:
    """A property list with its length in front."""
    if not properties:
        return b"\0"
    out = bytearray()
    for key, value in properties.items():
        match value:
            case int():
                out += bytes((key,)) + _INTS[key](value)
            case str():
                out += bytes((key,)) + text(value)
            case bytes():
                out += bytes((key,)) + binary(value)
            case tuple():
                for item in value:
                    out.append(key)
                    if isinstance(item, int):
                        out += varint(item)
                    else:
                        out += text(item[0]) + text(item[1])
    return varint(len(out)) + bytes(out)
