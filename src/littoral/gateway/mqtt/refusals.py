"""One table of what a refusal is in MQTT 5's numbers and in Hono's, and the words that go along.

Spec: MQTT 5.0 §3.4.2.1, §3.2.2.2; Hono A3.3, A3.4.
"""

from collections.abc import Mapping

from littoral.gateway.mqtt.encode import encode
from littoral.gateway.mqtt.packets import Ack
from littoral.gateway.mqtt.properties import NO_PROPERTIES, Properties, Property
from littoral.gateway.mqtt.reasons import V5, Reason, Type
from littoral.kernel import json
from littoral.kernel.errors import Kind, LittoralError
from littoral.kernel.time import render

REASON_TEXT_CHARS_MAX = 200


class WrongTopic(LittoralError):
    """Nothing here is published on such a topic.

    Publish on ``telemetry``, ``event`` or ``command///res/{request}/{status}``.
    """

    code = "gateway.mqtt.topic_unknown"


class WrongQos(LittoralError):
    """An event is at least once: publish it with QoS 1."""

    code = "gateway.mqtt.qos_wrong"


class OtherDevice(LittoralError):
    """A device speaks for itself only; gateways are registered as such."""

    code = "gateway.mqtt.device_foreign"
    kind = Kind.FORBIDDEN


class WrongResponse(LittoralError):
    """The response's topic or status is not one."""

    code = "gateway.mqtt.response_invalid"


class WrongText(LittoralError):
    """The payload is said to be UTF-8 text and is not, or a message id is too long."""

    code = "gateway.mqtt.payload_invalid"


class NotTaken(LittoralError):
    """The device's connection cannot take a command now."""

    code = "gateway.mqtt.command_not_taken"
    kind = Kind.UNAVAILABLE
    retryable = True


_PUBACK_REASONS: Mapping[Kind, Reason] = {
    Kind.INVALID: Reason.PAYLOAD_FORMAT_INVALID,
    Kind.UNAUTHENTICATED: Reason.NOT_AUTHORIZED,
    Kind.FORBIDDEN: Reason.NOT_AUTHORIZED,
    Kind.MISSING: Reason.IMPLEMENTATION_SPECIFIC,
    Kind.CONFLICT: Reason.IMPLEMENTATION_SPECIFIC,
    Kind.PRECONDITION: Reason.IMPLEMENTATION_SPECIFIC,
    Kind.TOO_LARGE: Reason.QUOTA_EXCEEDED,
    Kind.LIMIT: Reason.QUOTA_EXCEEDED,
    Kind.TIMEOUT: Reason.UNSPECIFIED,
    Kind.UNAVAILABLE: Reason.UNSPECIFIED,
    Kind.PEER: Reason.IMPLEMENTATION_SPECIFIC,
    Kind.UNSUPPORTED: Reason.IMPLEMENTATION_SPECIFIC,
}
_PUBACK_REASONS_OF_CODE: Mapping[str, Reason] = {
    WrongTopic.code: Reason.TOPIC_NAME_INVALID,
    WrongResponse.code: Reason.TOPIC_NAME_INVALID,
    "log.full": Reason.QUOTA_EXCEEDED,
}

_HONO_STATUS: Mapping[Kind, int] = {
    Kind.UNAUTHENTICATED: 401,
    Kind.FORBIDDEN: 403,
    Kind.MISSING: 404,
    Kind.TOO_LARGE: 413,
    Kind.LIMIT: 429,
    Kind.TIMEOUT: 503,
    Kind.UNAVAILABLE: 503,
}

_CONNACK_REASONS: Mapping[Kind, Reason] = {
    Kind.UNAUTHENTICATED: Reason.BAD_CREDENTIALS,
    Kind.MISSING: Reason.BAD_CREDENTIALS,
    Kind.INVALID: Reason.BAD_CREDENTIALS,
    Kind.FORBIDDEN: Reason.NOT_AUTHORIZED,
    Kind.LIMIT: Reason.QUOTA_EXCEEDED,
    Kind.UNAVAILABLE: Reason.SERVER_UNAVAILABLE,
    Kind.TIMEOUT: Reason.SERVER_UNAVAILABLE,
}


def puback_reason(error: LittoralError) -> Reason:
    """The reason code of a PUBACK that refuses."""
    if isinstance(error, WrongQos):
        return Reason.QOS_NOT_SUPPORTED
    return _PUBACK_REASONS_OF_CODE.get(error.code) or _PUBACK_REASONS[error.kind]


def connack_reason(error: LittoralError) -> Reason:
    """The reason code of a CONNACK that refuses."""
    return _CONNACK_REASONS.get(error.kind, Reason.UNSPECIFIED)


def hono_status(error: LittoralError) -> int:
    """The code that Hono's error topic names."""
    return _HONO_STATUS.get(error.kind, 400)


def reason_text(error: LittoralError) -> str:
    """The error's sentence, short enough for a packet, without what a text field may not hold."""
    return str(error)[:REASON_TEXT_CHARS_MAX].replace("\0", "")


def puback(packet_id: int, error: LittoralError, *, wordy: bool) -> bytes:
    """A PUBACK of MQTT 5 that refuses one publish."""
    properties: Properties = NO_PROPERTIES
    if wordy:
        properties = {Property.REASON_STRING: reason_text(error)}
    return encode(Ack(Type.PUBACK, packet_id, puback_reason(error), properties), V5)


def error_document(error: LittoralError, *, correlation_id: str, now_ms: int) -> bytes:
    """The payload on the error topic. Source: Hono A3.3."""
    return json.encode(
        {
            "code": hono_status(error),
            "message": str(error),
            "timestamp": render(now_ms).replace("Z", "+0000"),
            "correlation-id": correlation_id,
            "error": error.code,
        }
    )
