"""A message's own MQTT 5 properties, read without values in between: the warm path.

Only what a `Route` understands is kept; everything is checked.
"""

from littoral.gateway.mqtt.properties import Property, read_properties, read_varint, text_of
from littoral.gateway.mqtt.reasons import PeerViolation, Reason, Type, malformed
from littoral.gateway.mqtt.topics import Route

_USER = int(Property.USER_PROPERTY)
_CONTENT = int(Property.CONTENT_TYPE)


def end_of_properties(data: bytes, at: int, end: int) -> tuple[int, int]:
    """Where the property list at ``at`` begins and ends."""
    if at < end and data[at] < 0x80:
        stop = at + 1 + data[at]
        at += 1
    else:
        length, at = read_varint(data, at, end)
        stop = at + length
    if stop > end:
        raise malformed("the properties are longer than the packet.")
    return at, stop


def refine(base: Route, data: bytes, at: int, stop: int) -> Route:
    """``base`` with the properties in ``data[at:stop]``.

    Raises:
        PeerViolation: bytes or properties that a PUBLISH to a server may not carry.
    """
    route = base.copy()
    seen = 0
    start = at
    while at < stop:
        key = data[at]
        if key == _USER:
            name_at = at + 3
            if name_at + 2 > stop:
                raise malformed("a user property ends early.")
            value_at = name_at + (data[at + 1] << 8 | data[at + 2]) + 2
            if value_at > stop:
                raise malformed("a user property ends early.")
            at = value_at + (data[value_at - 2] << 8 | data[value_at - 1])
            if at > stop:
                raise malformed("a user property ends early.")
            route.set(text_of(data[name_at : value_at - 2]), text_of(data[value_at:at]))
        elif key == _CONTENT and not seen:
            seen = 1
            value_at = at + 3
            if value_at > stop:
                raise malformed("a content type ends early.")
            at = value_at + (data[at + 1] << 8 | data[at + 2])
            if at > stop:
                raise malformed("a content type ends early.")
            route.set("content-type", text_of(data[value_at:at]))
        else:
            return _refine_all(base, data, start, stop)
    return route


def _refine_all(base: Route, data: bytes, at: int, stop: int) -> Route:
    """The complete reading, for lists with anything unusual in them."""
    length = stop - at
    head = bytearray()
    while length >= 0x80:
        head.append(length & 0x7F | 0x80)
        length >>= 7
    head.append(length)
    whole = bytes(head) + data[at:stop]
    found, _ = read_properties(whole, 0, len(whole), Type.PUBLISH)
    if Property.TOPIC_ALIAS in found:
        raise PeerViolation(Reason.TOPIC_ALIAS_INVALID, "topic aliases are not offered here.")
    if Property.SUBSCRIPTION_ID in found:
        raise PeerViolation(Reason.PROTOCOL_ERROR, "only a server sends subscription identifiers.")
    route = base.copy()
    route.is_text = found.get(Property.PAYLOAD_FORMAT) == 1
    content_type = found.get(Property.CONTENT_TYPE)
    if isinstance(content_type, str):
        route.set("content-type", content_type)
    users = found.get(Property.USER_PROPERTY, ())
    assert isinstance(users, tuple)
    for pair in users:
        assert isinstance(pair, tuple)
        route.set(*pair)
    return route
