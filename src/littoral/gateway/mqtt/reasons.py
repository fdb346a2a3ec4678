"""MQTT's numbers: packet types, reason codes, and the one error that ends a session.

Spec: MQTT 5.0 §2.1.2, §2.4; MQTT 3.1.1 §2.2.1, §3.2.2.3.
"""

from enum import IntEnum

from littoral.kernel.errors import Kind, LittoralError

V311 = 4
"""Protocol level of MQTT 3.1.1."""

V5 = 5
"""Protocol level of MQTT 5.0."""

PACKET_BYTES_MAX = 268_435_455
"""The largest remaining length that four bytes can say."""


class Type(IntEnum):
    """The upper four bits of a packet's first byte."""

    CONNECT = 1
    CONNACK = 2
    PUBLISH = 3
    PUBACK = 4
    PUBREC = 5
    PUBREL = 6
    PUBCOMP = 7
    SUBSCRIBE = 8
    SUBACK = 9
    UNSUBSCRIBE = 10
    UNSUBACK = 11
    PINGREQ = 12
    PINGRESP = 13
    DISCONNECT = 14
    AUTH = 15


class Reason(IntEnum):
    """MQTT 5 reason codes that this platform says or understands."""

    SUCCESS = 0x00
    GRANTED_QOS_1 = 0x01
    DISCONNECT_WITH_WILL = 0x04
    NO_MATCHING_SUBSCRIBERS = 0x10
    NO_SUBSCRIPTION_EXISTED = 0x11
    UNSPECIFIED = 0x80
    MALFORMED = 0x81
    PROTOCOL_ERROR = 0x82
    IMPLEMENTATION_SPECIFIC = 0x83
    UNSUPPORTED_VERSION = 0x84
    CLIENT_ID_INVALID = 0x85
    BAD_CREDENTIALS = 0x86
    NOT_AUTHORIZED = 0x87
    SERVER_UNAVAILABLE = 0x88
    SERVER_BUSY = 0x89
    BANNED = 0x8A
    SERVER_SHUTTING_DOWN = 0x8B
    BAD_AUTH_METHOD = 0x8C
    KEEP_ALIVE_TIMEOUT = 0x8D
    SESSION_TAKEN_OVER = 0x8E
    TOPIC_FILTER_INVALID = 0x8F
    TOPIC_NAME_INVALID = 0x90
    PACKET_ID_IN_USE = 0x91
    PACKET_ID_NOT_FOUND = 0x92
    RECEIVE_MAXIMUM_EXCEEDED = 0x93
    TOPIC_ALIAS_INVALID = 0x94
    PACKET_TOO_LARGE = 0x95
    MESSAGE_RATE_TOO_HIGH = 0x96
    QUOTA_EXCEEDED = 0x97
    ADMINISTRATIVE_ACTION = 0x98
    PAYLOAD_FORMAT_INVALID = 0x99
    RETAIN_NOT_SUPPORTED = 0x9A
    QOS_NOT_SUPPORTED = 0x9B
    USE_ANOTHER_SERVER = 0x9C
    SERVER_MOVED = 0x9D
    SHARED_SUBSCRIPTIONS_NOT_SUPPORTED = 0x9E
    CONNECTION_RATE_EXCEEDED = 0x9F
    MAXIMUM_CONNECT_TIME = 0xA0
    SUBSCRIPTION_IDS_NOT_SUPPORTED = 0xA1
    WILDCARD_NOT_SUPPORTED = 0xA2


RETURN_CODES = {
    Reason.SUCCESS: 0,
    Reason.UNSUPPORTED_VERSION: 1,
    Reason.CLIENT_ID_INVALID: 2,
    Reason.SERVER_UNAVAILABLE: 3,
    Reason.SERVER_BUSY: 3,
    Reason.SERVER_SHUTTING_DOWN: 3,
    Reason.USE_ANOTHER_SERVER: 3,
    Reason.BAD_CREDENTIALS: 4,
}
"""CONNACK return codes of 3.1.1; every other reason is 5. Source: Hono's table of refusals."""


class PeerViolation(LittoralError):
    """The peer broke MQTT's rules, or a limit that it was told; its connection ends.

    ``reason`` is the MQTT 5 reason code that a DISCONNECT or CONNACK carries.
    """

    code = "gateway.mqtt.violation"
    kind = Kind.PEER

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message, reason=int(reason))
        self.reason = reason


def malformed(message: str) -> PeerViolation:
    """The bytes are not a packet: reason 0x81."""
    return PeerViolation(Reason.MALFORMED, message)


def protocol_error(message: str) -> PeerViolation:
    """The packet is one, but not here or not like this: reason 0x82."""
    return PeerViolation(Reason.PROTOCOL_ERROR, message)
