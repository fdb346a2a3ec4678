"""A message's own MQTT 5 properties: the warm path.

What differs from message to message (``id``, ``ts``) is cut out; the rest is looked up as bytes
and read once, completely.
"""

from littoral.gateway.mqtt.properties import (
    Property,
    read_properties,
    read_varint,
    text_of,
    varint,
)
from littoral.gateway.mqtt.reasons import PeerViolation, Reason, Type, malformed, protocol_error
from littoral.gateway.mqtt.topics import Found, Route, Routes, vary

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


def refine(  # noqa: C901, PLR0912  # one loop, for speed
    routes: Routes, raw: bytes, found: Found, data: bytes, at: int, stop: int
) -> Found:
    """What ``found`` for the topic ``raw`` becomes with the properties in ``data[at:stop]``.

    Raises:
        PeerViolation: bytes or properties that a PUBLISH to a server may not carry.
    """
    route, device_time, message_id = found
    # A topic has no NUL, so the parts of the key cannot run into each other.
    key = raw + b"\0"
    known = routes.known.get(key + data[at:stop])
    if known is not None:
        return known, device_time, message_id
    stamp = number = None
    lasting_at = len(key)
    while at < stop:
        kind = data[at]
        if kind == _USER:
            name_at = at + 3
            value_at = name_at + 2
            if value_at <= stop:
                value_at += data[at + 1] << 8 | data[at + 2]
            if value_at > stop:
                raise malformed("a user property ends early.")
            after = value_at + (data[value_at - 2] << 8 | data[value_at - 1])
            if after > stop:
                raise malformed("a user property ends early.")
            name = data[name_at : value_at - 2]
            if name == b"id":
                number = text_of(data[value_at:after])
            elif name == b"ts":
                stamp = text_of(data[value_at:after])
            else:
                key += data[at:after]
            at = after
        elif kind == _CONTENT and at + 3 <= stop:
            after = at + 3 + (data[at + 1] << 8 | data[at + 2])
            key += data[at:after]
            at = after
        else:
            key += data[at:stop]
            break
    if at > stop:
        raise malformed("a content type ends early.")
    if len(key) > lasting_at:
        known = routes.known.get(key)
        if known is None:
            known, late_stamp, late_number = _learn(routes, route, key, lasting_at)
            stamp = stamp if late_stamp is None else late_stamp
            number = number if late_number is None else late_number
        route = known
    if stamp is not None or number is not None:
        route, new_time, new_id = vary(route, stamp, number)
        device_time = device_time if new_time is None else new_time
        message_id = message_id if new_id is None else new_id
    return route, device_time, message_id


def _learn(
    routes: Routes, base: Route, key: bytes, lasting_at: int
) -> tuple[Route, str | None, str | None]:
    """Read properties completely; also return ``ts`` and ``id`` that came behind unusual ones."""
    lasting = key[lasting_at:]
    whole = varint(len(lasting)) + lasting
    properties, _ = read_properties(whole, 0, len(whole), Type.PUBLISH)
    if Property.TOPIC_ALIAS in properties:
        raise PeerViolation(Reason.TOPIC_ALIAS_INVALID, "topic aliases are not offered here.")
    if Property.SUBSCRIPTION_ID in properties:
        raise protocol_error("only a server sends subscription identifiers.")
    route = base.copy()
    route.is_text = properties.get(Property.PAYLOAD_FORMAT) == 1
    content_type = properties.get(Property.CONTENT_TYPE)
    if isinstance(content_type, str):
        route.set("content-type", content_type)
    stamp = number = None
    users = properties.get(Property.USER_PROPERTY, ())
    assert isinstance(users, tuple)
    for pair in users:
        assert isinstance(pair, tuple)
        name, value = pair
        if name == "id":
            number = value
        elif name == "ts":
            stamp = value
        else:
            route.set(name, value)
    if base.cacheable and route.cacheable and stamp is None and number is None:
        routes.keep(key, route)
    return route, stamp, number
