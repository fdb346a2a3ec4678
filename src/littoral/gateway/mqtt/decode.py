"""Bytes to packets, both directions, both versions.

Rule 1: nothing but `PeerViolation` comes out of here, whatever the bytes. Rule 2: no reading beyond
the packet's own end.
Spec: MQTT 5.0 §3; MQTT 3.1.1 §3.
"""

from collections.abc import Callable, Mapping

from littoral.gateway.mqtt.packets import (
    Ack,
    Auth,
    Connack,
    Connect,
    Disconnect,
    Packet,
    Pingreq,
    Pingresp,
    Publish,
    Suback,
    Subscribe,
    Subscription,
    Unsuback,
    Unsubscribe,
    Will,
)
from littoral.gateway.mqtt.properties import (
    NO_PROPERTIES,
    WILL,
    Properties,
    read_binary,
    read_properties,
    read_text,
    read_u16,
)
from littoral.gateway.mqtt.reasons import (
    V5,
    V311,
    PeerViolation,
    Reason,
    Type,
    malformed,
    protocol_error,
)

FILTERS_MAX = 64
"""Filters in one SUBSCRIBE or UNSUBSCRIBE; a device here has use for two."""

_FLAGS_TWO = frozenset({Type.PUBREL, Type.SUBSCRIBE, Type.UNSUBSCRIBE})


def frame(data: bytes, at: int, end: int) -> tuple[int, int] | None:
    """Where the body of the packet that begins at ``at`` begins and ends; None: not all there.

    The body's end may lie beyond ``end``; whoever asks compares.
    """
    length = shift = 0
    at += 1
    while at < end:
        byte = data[at]
        at += 1
        length |= (byte & 0x7F) << shift
        if byte < 0x80:
            return at, at + length
        shift += 7
        if shift > 21:
            raise malformed("the remaining length has more than four bytes.")
    return None


def decode(first: int, data: bytes, at: int, end: int, version: int) -> Packet:
    """Read one packet whose first byte is ``first`` and whose body is ``data[at:end]``.

    Raises:
        PeerViolation: with the reason code that tells the peer why.
    """
    kind = first >> 4
    flags = first & 0x0F
    if kind == Type.PUBLISH:
        return read_publish(flags, data, at, end, version)
    if kind == 0:
        raise malformed("packet type 0 does not exist.")
    if flags != (2 if kind in _FLAGS_TWO else 0):
        raise malformed(f"the flags of a packet of type {kind} are wrong.")
    return _READERS[kind](Type(kind), data, at, end, version)


def _properties(data: bytes, at: int, end: int, version: int, owner: int) -> tuple[Properties, int]:
    if version != V5:
        return NO_PROPERTIES, at
    return read_properties(data, at, end, owner)


def _ended(at: int, end: int) -> None:
    if at != end:
        raise malformed("the packet is longer than its fields.")


def _packet_id(data: bytes, at: int, end: int) -> tuple[int, int]:
    packet_id, at = read_u16(data, at, end)
    if packet_id == 0:
        raise protocol_error("packet identifier 0 is not allowed.")
    return packet_id, at


def read_publish(flags: int, data: bytes, at: int, end: int, version: int) -> Publish:
    """The slow, complete reading of a PUBLISH, for clients and for everything unusual."""
    qos = flags >> 1 & 3
    if qos == 3:
        raise malformed("QoS 3 does not exist.")
    if flags & 8 and qos == 0:
        raise malformed("a message of QoS 0 cannot be a duplicate.")
    topic, at = read_text(data, at, end)
    if "+" in topic or "#" in topic:
        raise PeerViolation(Reason.TOPIC_NAME_INVALID, "a topic to publish on has no wildcards.")
    packet_id = 0
    if qos:
        packet_id, at = _packet_id(data, at, end)
    properties, at = _properties(data, at, end, version, Type.PUBLISH)
    return Publish(
        topic, data[at:end], qos, packet_id, bool(flags & 1), bool(flags & 8), properties
    )


def _read_connect(_: Type, data: bytes, at: int, end: int, __: int) -> Connect:
    name, at = read_binary(data, at, end)
    if name != b"MQTT" or at >= end:
        if name == b"MQIsdp":
            raise PeerViolation(Reason.UNSUPPORTED_VERSION, "MQTT 3.1 is not spoken here.")
        raise malformed("this is not MQTT.")
    version = data[at]
    if version not in (V311, V5):
        raise PeerViolation(Reason.UNSUPPORTED_VERSION, f"MQTT level {version} is unknown.")
    if at + 1 >= end:
        raise malformed("the packet ends before the connect flags.")
    flags = data[at + 1]
    if flags & 1:
        raise malformed("the reserved connect flag is set.")
    keep_alive_s, at = read_u16(data, at + 2, end)
    properties, at = _properties(data, at, end, version, Type.CONNECT)
    client_id, at = read_text(data, at, end)
    will, at = _read_will(flags, data, at, end, version)
    username: str | None = None
    password: bytes | None = None
    if flags & 0x80:
        username, at = read_text(data, at, end)
    if flags & 0x40:
        if version == V311 and username is None:
            raise malformed("a password without a user name needs MQTT 5.")
        password, at = read_binary(data, at, end)
    _ended(at, end)
    return Connect(
        client_id, version, bool(flags & 2), keep_alive_s, username, password, will, properties
    )


def _read_will(flags: int, data: bytes, at: int, end: int, version: int) -> tuple[Will | None, int]:
    qos = flags >> 3 & 3
    if not flags & 4:
        if flags & 0x38:
            raise malformed("will flags are set without a will.")
        return None, at
    if qos == 3:
        raise malformed("QoS 3 does not exist.")
    properties, at = _properties(data, at, end, version, WILL)
    topic, at = read_text(data, at, end)
    payload, at = read_binary(data, at, end)
    return Will(topic, payload, qos, bool(flags & 0x20), properties), at


def _read_connack(_: Type, data: bytes, at: int, end: int, version: int) -> Connack:
    if end - at < 2:
        raise malformed("a CONNACK has at least two bytes.")
    if data[at] > 1:
        raise malformed("the connect acknowledge flags are wrong.")
    properties, after = _properties(data, at + 2, end, version, Type.CONNACK)
    _ended(after, end)
    return Connack(data[at + 1], bool(data[at]), properties)


def _read_ack(kind: Type, data: bytes, at: int, end: int, version: int) -> Ack:
    packet_id, at = _packet_id(data, at, end)
    if version != V5 or at == end:
        _ended(at, end)
        return Ack(kind, packet_id)
    reason = data[at]
    at += 1
    properties = NO_PROPERTIES
    if at < end:
        properties, at = read_properties(data, at, end, kind)
    _ended(at, end)
    return Ack(kind, packet_id, reason, properties)


def _read_subscribe(_: Type, data: bytes, at: int, end: int, version: int) -> Subscribe:
    packet_id, at = _packet_id(data, at, end)
    properties, at = _properties(data, at, end, version, Type.SUBSCRIBE)
    found: list[Subscription] = []
    while at < end:
        topic_filter, at = read_text(data, at, end)
        if at >= end:
            raise malformed("a filter has no options byte.")
        options = data[at]
        at += 1
        if options & 3 == 3 or options & (0xC0 if version == V5 else 0xFC):
            raise malformed("the subscription options are wrong.")
        if options & 0x30 == 0x30:
            raise protocol_error("retain handling 3 does not exist.")
        found.append(Subscription(topic_filter, options))
        _bounded(len(found))
    if not found:
        raise protocol_error("a SUBSCRIBE has at least one filter.")
    return Subscribe(packet_id, tuple(found), properties)


def _bounded(filters: int) -> None:
    if filters > FILTERS_MAX:
        raise PeerViolation(
            Reason.QUOTA_EXCEEDED, f"one packet has at most {FILTERS_MAX} filters here."
        )


def _read_suback(_: Type, data: bytes, at: int, end: int, version: int) -> Suback:
    packet_id, at = _packet_id(data, at, end)
    properties, at = _properties(data, at, end, version, Type.SUBACK)
    return Suback(packet_id, tuple(data[at:end]), properties)


def _read_unsubscribe(_: Type, data: bytes, at: int, end: int, version: int) -> Unsubscribe:
    packet_id, at = _packet_id(data, at, end)
    properties, at = _properties(data, at, end, version, Type.UNSUBSCRIBE)
    filters: list[str] = []
    while at < end:
        topic_filter, at = read_text(data, at, end)
        filters.append(topic_filter)
        _bounded(len(filters))
    if not filters:
        raise protocol_error("an UNSUBSCRIBE has at least one filter.")
    return Unsubscribe(packet_id, tuple(filters), properties)


def _read_unsuback(_: Type, data: bytes, at: int, end: int, version: int) -> Unsuback:
    packet_id, at = _packet_id(data, at, end)
    if version != V5:
        _ended(at, end)
        return Unsuback(packet_id)
    properties, at = read_properties(data, at, end, Type.UNSUBACK)
    return Unsuback(packet_id, tuple(data[at:end]), properties)


def _read_pingreq(_: Type, data: bytes, at: int, end: int, __: int) -> Pingreq:
    del data
    _ended(at, end)
    return Pingreq()


def _read_pingresp(_: Type, data: bytes, at: int, end: int, __: int) -> Pingresp:
    del data
    _ended(at, end)
    return Pingresp()


def _reason_and_properties(
    kind: Type, data: bytes, at: int, end: int, version: int
) -> tuple[int, Properties]:
    if version != V5:
        _ended(at, end)
    if at == end:
        return 0, NO_PROPERTIES
    reason = data[at]
    properties, at = (
        read_properties(data, at + 1, end, kind) if at + 1 < end else (NO_PROPERTIES, at + 1)
    )
    _ended(at, end)
    return reason, properties


def _read_disconnect(kind: Type, data: bytes, at: int, end: int, version: int) -> Disconnect:
    return Disconnect(*_reason_and_properties(kind, data, at, end, version))


def _read_auth(kind: Type, data: bytes, at: int, end: int, version: int) -> Auth:
    if version != V5:
        raise malformed("packet type 15 does not exist in MQTT 3.1.1.")
    return Auth(*_reason_and_properties(kind, data, at, end, version))


_READERS: Mapping[int, Callable[[Type, bytes, int, int, int], Packet]] = {
    Type.CONNECT: _read_connect,
    Type.CONNACK: _read_connack,
    Type.PUBACK: _read_ack,
    Type.PUBREC: _read_ack,
    Type.PUBREL: _read_ack,
    Type.PUBCOMP: _read_ack,
    Type.SUBSCRIBE: _read_subscribe,
    Type.SUBACK: _read_suback,
    Type.UNSUBSCRIBE: _read_unsubscribe,
    Type.UNSUBACK: _read_unsuback,
    Type.PINGREQ: _read_pingreq,
    Type.PINGRESP: _read_pingresp,
    Type.DISCONNECT: _read_disconnect,
    Type.AUTH: _read_auth,
}
