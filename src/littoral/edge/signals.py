"""How a live command, its response and a live event travel over a link."""

from collections.abc import Mapping

import msgspec

from littoral.edge.core.frames import UNREADABLE
from littoral.edge.errors import LinkPeerError
from littoral.eventing import LiveKind, LiveResponse, LiveSignal
from littoral.twin.protocol import ABSENT

LIVE_TOPIC = "live"


class WireSignal(msgspec.Struct, frozen=True, array_like=True):
    """A command or an event; its deadline travels in the frame. ``value`` is a list of at most one."""

    kind: str
    thing_id: str
    action: str
    path: str
    value: list[object]
    fields: str | None
    correlation_id: str
    originator: str
    headers: Mapping[str, object]


class WireResponse(msgspec.Struct, frozen=True, array_like=True):
    """What a subscriber beyond the link answered."""

    status: int
    value: list[object]
    headers: Mapping[str, object]
    action: str


_signal = msgspec.msgpack.Decoder(WireSignal)
_response = msgspec.msgpack.Decoder(WireResponse)


def encode_signal(signal: LiveSignal) -> bytes:
    """The signal as bytes for a `Live` frame."""
    return msgspec.msgpack.encode(
        WireSignal(
            signal.kind.value,
            signal.thing_id,
            signal.action,
            signal.path,
            [] if signal.value is ABSENT else [signal.value],
            signal.fields,
            signal.correlation_id,
            signal.originator,
            signal.headers,
        )
    )


def decode_signal(data: bytes, *, ttl_s: float, wanted: bool) -> LiveSignal:
    """The signal in a `Live` frame; raise `LinkPeerError` if it is none."""
    try:
        wire = _signal.decode(data)
        kind = LiveKind(wire.kind)
    except (*UNREADABLE, ValueError) as e:
        raise LinkPeerError(f"the peer sent a live signal that cannot be read: {e}.") from e
    return LiveSignal(
        kind,
        wire.thing_id,
        wire.action,
        wire.path,
        wire.value[0] if wire.value else ABSENT,
        wire.fields,
        wire.correlation_id,
        wire.originator,
        wire.headers,
        response_required=wanted,
        timeout_s=ttl_s,
    )


def encode_response(response: LiveResponse) -> bytes:
    """The response as bytes for an `Answer` frame."""
    value = [] if response.value is ABSENT else [response.value]
    return msgspec.msgpack.encode(
        WireResponse(response.status, value, response.headers, response.action)
    )


def decode_response(data: bytes) -> LiveResponse:
    """The response in an `Answer` frame; raise `LinkPeerError` if it is none."""
    try:
        wire = _response.decode(data)
    except UNREADABLE as e:
        raise LinkPeerError(f"the peer sent a response that cannot be read: {e}.") from e
    value = wire.value[0] if wire.value else ABSENT
    return LiveResponse(wire.status, value, wire.headers, wire.action)
