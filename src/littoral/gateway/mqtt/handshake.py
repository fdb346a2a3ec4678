"""The CONNECT and its answer: what is wrong with it, what both sides agree on.

Spec: MQTT 5.0 §3.1, §3.2; Hono A3.4.
"""

from dataclasses import dataclass

from littoral.gateway.mqtt.encode import encode
from littoral.gateway.mqtt.model import Limits
from littoral.gateway.mqtt.packets import Connack, Connect
from littoral.gateway.mqtt.properties import NO_PROPERTIES, Properties, Property, Value
from littoral.gateway.mqtt.reasons import PACKET_BYTES_MAX, RETURN_CODES, V5, PeerViolation, Reason

KEEP_ALIVE_GRACE = 1.5
"""Spec: MQTT 5.0 §3.1.2.10."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """What a CONNECT and this door's limits come to."""

    version: int
    client_id: str
    is_assigned: bool
    keep_alive_s: int
    wants_session: bool
    packet_bytes_max: int
    """The largest packet that the client takes."""
    receive_maximum: int
    """Messages of QoS 1 that the client takes at once."""
    wordy: bool
    """Whether the client wants reason strings."""

    @property
    def silence_s_max(self) -> float | None:
        """How long the client may say nothing."""
        return self.keep_alive_s * KEEP_ALIVE_GRACE if self.keep_alive_s else None


def check(connect: Connect, limits: Limits) -> tuple[str, str]:
    """Return user name and password of a CONNECT that may be tried.

    Raises:
        PeerViolation: with the reason of its refusal.
    """
    if Property.AUTH_METHOD in connect.properties:
        raise PeerViolation(Reason.BAD_AUTH_METHOD, "Only user name and password are known here.")
    if len(connect.client_id.encode()) > limits.client_id_bytes_max:
        raise PeerViolation(
            Reason.CLIENT_ID_INVALID,
            f"A client id has at most {limits.client_id_bytes_max} bytes here.",
        )
    if not connect.client_id and connect.version != V5 and not connect.clean_start:
        # Spec: MQTT 3.1.1 §3.1.3.1.
        raise PeerViolation(Reason.CLIENT_ID_INVALID, "A session needs a client id.")
    if connect.username is None or connect.password is None:
        raise PeerViolation(
            Reason.BAD_CREDENTIALS, "Give auth-id@tenant as user name, and the password."
        )
    try:
        return connect.username, connect.password.decode()
    except UnicodeDecodeError as e:
        raise PeerViolation(Reason.BAD_CREDENTIALS, "The password is not UTF-8.") from e


def agree(connect: Connect, limits: Limits, *, spare_client_id: str) -> Agreement:
    """What holds for the connection once it is accepted."""
    properties = connect.properties
    keep_alive_s = connect.keep_alive_s
    if connect.version == V5 and not 0 < keep_alive_s <= limits.keep_alive_s_max:
        keep_alive_s = limits.keep_alive_s_max
    return Agreement(
        version=connect.version,
        client_id=connect.client_id or spare_client_id,
        is_assigned=not connect.client_id,
        keep_alive_s=keep_alive_s,
        wants_session=_int(properties, Property.SESSION_EXPIRY, 0) > 0,
        packet_bytes_max=_int(properties, Property.MAXIMUM_PACKET_SIZE, PACKET_BYTES_MAX + 5),
        receive_maximum=min(
            _int(properties, Property.RECEIVE_MAXIMUM, 65_535), limits.commands_in_flight_max
        ),
        wordy=_int(properties, Property.REQUEST_PROBLEM_INFO, 1) != 0,
    )


def _int(properties: Properties, key: Property, default: int) -> int:
    value = properties.get(key, default)
    assert isinstance(value, int)
    return value


def greeting(agreed: Agreement, asked_keep_alive_s: int, limits: Limits) -> bytes:
    """The CONNACK that accepts; to MQTT 5 it tells every limit that the client could cross."""
    if agreed.version != V5:
        return encode(Connack(), agreed.version)
    told: dict[int, Value] = {
        Property.RECEIVE_MAXIMUM: limits.receive_maximum,
        Property.MAXIMUM_QOS: 1,
        Property.RETAIN_AVAILABLE: 0,
        Property.MAXIMUM_PACKET_SIZE: limits.packet_bytes_max,
        Property.TOPIC_ALIAS_MAXIMUM: 0,
        # Wildcards stay available: commands are subscribed to with `command///req/#`.
        Property.SUBSCRIPTION_IDS_AVAILABLE: 0,
        Property.SHARED_AVAILABLE: 0,
    }
    if agreed.wants_session:
        told[Property.SESSION_EXPIRY] = 0
    if agreed.is_assigned:
        told[Property.ASSIGNED_CLIENT_ID] = agreed.client_id
    if agreed.keep_alive_s != asked_keep_alive_s:
        told[Property.SERVER_KEEP_ALIVE] = agreed.keep_alive_s
    return encode(Connack(properties=told), V5)


def refusal(version: int, reason: Reason, text: str) -> bytes:
    """The CONNACK that refuses."""
    if version != V5:
        return encode(Connack(RETURN_CODES.get(reason, 5)), version)
    properties: Properties = {Property.REASON_STRING: text} if text else NO_PROPERTIES
    return encode(Connack(reason, properties=properties), V5)
