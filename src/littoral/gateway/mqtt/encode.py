"""Packets to bytes, both directions, both versions; and short builders for clients.

Values are the caller's own: a text over 65,535 bytes is a bug there and raises OverflowError.
Spec: MQTT 5.0 §3; MQTT 3.1.1 §3.
"""

from collections.abc import Iterable
from typing import assert_never

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
    Properties,
    Property,
    binary,
    encode_properties,
    text,
    u16,
    varint,
)
from littoral.gateway.mqtt.reasons import V5, V311, Type

PINGREQ = b"\xc0\x00"
PINGRESP = b"\xd0\x00"
DISCONNECT = b"\xe0\x00"
"""A clean goodbye, in both versions."""


def packet(first: int, body: bytes) -> bytes:
    """Put the fixed header in front of ``body``."""
    return bytes((first,)) + varint(len(body)) + body


def encode(value: Packet, version: int = V311) -> bytes:
    """The bytes of one packet; what ``version`` cannot say is left out."""
    match value:
        case Publish():
            return _encode_publish(value, version)
        case Ack():
            return _encode_ack(value, version)
        case Connect():
            return _encode_connect(value)
        case Connack():
            head = bytes((value.session_present, value.reason))
            return packet(Type.CONNACK << 4, head + _properties(value.properties, version))
        case Subscribe() | Suback() | Unsubscribe() | Unsuback():
            return _encode_subscription(value, version)
        case Pingreq():
            return PINGREQ
        case Pingresp():
            return PINGRESP
        case Disconnect():
            return _with_reason(Type.DISCONNECT, value.reason, value.properties, version)
        case Auth():
            return _with_reason(Type.AUTH, value.reason, value.properties, version)
        case _:
            assert_never(value)


def _properties(properties: Properties, version: int) -> bytes:
    return encode_properties(properties) if version == V5 else b""


def _encode_subscription(value: Subscribe | Suback | Unsubscribe | Unsuback, version: int) -> bytes:
    body = u16(value.packet_id) + _properties(value.properties, version)
    match value:
        case Subscribe():
            for one in value.subscriptions:
                body += text(one.topic_filter) + bytes((one.options,))
            return packet(Type.SUBSCRIBE << 4 | 2, body)
        case Suback():
            return packet(Type.SUBACK << 4, body + bytes(value.reasons))
        case Unsubscribe():
            body += b"".join(text(one) for one in value.filters)
            return packet(Type.UNSUBSCRIBE << 4 | 2, body)
        case Unsuback():
            return packet(
                Type.UNSUBACK << 4, body + (bytes(value.reasons) if version == V5 else b"")
            )


def _with_reason(kind: Type, reason: int, properties: Properties, version: int) -> bytes:
    if version != V5 or (reason == 0 and not properties):
        return bytes((kind << 4, 0))
    if not properties:
        return bytes((kind << 4, 1, reason))
    return packet(kind << 4, bytes((reason,)) + encode_properties(properties))


def _encode_ack(value: Ack, version: int) -> bytes:
    first = value.type << 4 | (2 if value.type == Type.PUBREL else 0)
    body = u16(value.packet_id)
    if version == V5 and (value.reason or value.properties):
        body += bytes((value.reason,))
        if value.properties:
            body += encode_properties(value.properties)
    return packet(first, body)


def _encode_publish(value: Publish, version: int) -> bytes:
    first = 0x30 | value.dup << 3 | value.qos << 1 | value.retain
    body = text(value.topic)
    if value.qos:
        body += u16(value.packet_id)
    if version == V5:
        body += encode_properties(value.properties)
    return packet(first, body + value.payload)


def _encode_connect(value: Connect) -> bytes:
    flags = value.clean_start << 1
    tail = text(value.client_id)
    if value.will is not None:
        flags |= 4 | value.will.qos << 3 | value.will.retain << 5
        tail += _properties(value.will.properties, value.version)
        tail += text(value.will.topic) + binary(value.will.payload)
    if value.username is not None:
        flags |= 0x80
        tail += text(value.username)
    if value.password is not None:
        flags |= 0x40
        tail += binary(value.password)
    head = b"\0\x04MQTT" + bytes((value.version, flags)) + u16(value.keep_alive_s)
    head += _properties(value.properties, value.version)
    return packet(Type.CONNECT << 4, head + tail)


def encode_connect(
    client_id: str,
    *,
    username: str | None = None,
    password: str | bytes | None = None,
    version: int = V311,
    keep_alive_s: int = 60,
    clean_start: bool = True,
    will: Will | None = None,
    properties: Properties = NO_PROPERTIES,
) -> bytes:
    """A CONNECT, as a client sends it."""
    secret = password.encode() if isinstance(password, str) else password
    return _encode_connect(
        Connect(client_id, version, clean_start, keep_alive_s, username, secret, will, properties)
    )


def encode_publish(
    topic: str | bytes,
    payload: bytes,
    *,
    packet_id: int = 0,
    version: int = V311,
    dup: bool = False,
    content_type: str | None = None,
    user: Iterable[tuple[str, str]] = (),
) -> bytes:
    """A PUBLISH: QoS 1 if ``packet_id`` is given, else QoS 0.

    ``content_type`` and ``user`` properties need MQTT 5; with 3.1.1 write a property bag into the
    topic instead. Written without intermediate values: a fleet on one core calls it often.
    """
    name = topic.encode() if isinstance(topic, str) else topic
    body = len(name).to_bytes(2, "big") + name
    first = 0x30
    if packet_id:
        first = 0x3A if dup else 0x32
        body += packet_id.to_bytes(2, "big")
    if version == V5:
        listed = b"" if content_type is None else b"\x03" + text(content_type)
        for key, value in user:
            listed += b"\x26" + text(key) + text(value)
        body += varint(len(listed)) + listed
    size = len(body) + len(payload)
    if size < 0x80:
        return bytes((first, size)) + body + payload
    return bytes((first,)) + varint(size) + body + payload


def encode_subscribe(packet_id: int, *filters: str | tuple[str, int], version: int = V311) -> bytes:
    """A SUBSCRIBE; a bare filter asks for QoS 1, a pair says its own."""
    wanted = tuple(
        Subscription(*one) if isinstance(one, tuple) else Subscription(one, 1) for one in filters
    )
    return encode(Subscribe(packet_id, wanted), version)


def encode_puback(packet_id: int, reason: int = 0, reason_text: str = "") -> bytes:
    """A PUBACK; a ``reason`` other than 0 needs MQTT 5."""
    if reason == 0:
        return b"\x40\x02" + packet_id.to_bytes(2, "big")
    properties: Properties = {Property.REASON_STRING: reason_text} if reason_text else NO_PROPERTIES
    return _encode_ack(Ack(Type.PUBACK, packet_id, reason, properties), V5)
