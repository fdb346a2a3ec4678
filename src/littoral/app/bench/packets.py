"""The few MQTT packets that a load generator sends, built by hand; and PUBACKs read by slices.

Not `littoral.gateway.mqtt`: what measures a codec must not share its cost or its mistakes.
"""

V311 = 4
V5 = 5

CONNACK = 0x20
PUBLISH = 0x30
PUBACK = 0x40
SUBACK = 0x90

COUNTER_MIN = 1_000_000_000
"""First number of a payload: ten digits, so that it can be patched without moving a byte."""

_COUNTER = b"\x00COUNTER\x00\x00"


def variable_length(size: int) -> bytes:
    """MQTT's variable byte integer. Spec: MQTT 5.0 §1.5.5."""
    assert 0 <= size < 1 << 28
    out = bytearray()
    while True:
        size, digit = divmod(size, 128)
        out.append(digit | (0x80 if size else 0))
        if not size:
            return bytes(out)


def text(value: str) -> bytes:
    data = value.encode()
    return len(data).to_bytes(2, "big") + data


def packet(first: int, body: bytes) -> bytes:
    return bytes((first,)) + variable_length(len(body)) + body


def connect(
    version: int,
    client_id: str,
    username: str | None,
    password: str | None,
    *,
    keep_alive_s: int = 600,
    clean: bool = True,
) -> bytes:
    """A CONNECT without a will. In MQTT 5 a session that is not clean lives for an hour."""
    flags = (0x02 if clean else 0) | (0x80 if username else 0) | (0x40 if password else 0)
    body = text("MQTT") + bytes((version, flags)) + keep_alive_s.to_bytes(2, "big")
    if version == V5:
        body += b"\x00" if clean else b"\x05\x11" + (3600).to_bytes(4, "big")
    body += text(client_id)
    if username:
        body += text(username)
    if password:
        body += text(password)
    return packet(0x10, body)


def subscribe(version: int, packet_id: int, topic: str, qos: int = 1) -> bytes:
    properties = b"\x00" if version == V5 else b""
    return packet(0x82, packet_id.to_bytes(2, "big") + properties + text(topic) + bytes((qos,)))


def disconnect() -> bytes:
    return b"\xe0\x00"


def payload(size: int) -> tuple[bytes, bytes]:
    """A JSON object of ``size`` bytes, cut where its ten-digit counter goes."""
    head = b'{"n":' + _COUNTER
    tail = (
        b',"temperature":21.52,"humidity":47.3,"pressure":1013.25,"voltage":3.712,'
        b'"current":0.284,"rssi":-61,"state":"'
    )
    filler = size - len(head) - len(tail) - 2
    if filler < 0:
        tail, filler = b',"s":"', size - len(head) - 8
    assert filler >= 0, f"a payload has at least {len(head) + 8} bytes"
    whole = head + tail + b"r" * filler + b'"}'
    before, after = whole.split(_COUNTER)
    return before, after


def publish_halves(
    version: int, topic: str, packet_id: int, payload_bytes: int
) -> tuple[bytes, bytes]:
    """A QoS 1 PUBLISH cut where the payload's counter goes: ``before + b"%010d" % n + after``."""
    before, after = payload(payload_bytes)
    properties = b"\x00" if version == V5 else b""
    body = text(topic) + packet_id.to_bytes(2, "big") + properties
    size = len(body) + payload_bytes
    return b"\x32" + variable_length(size) + body + before, after


def read_pubacks(data: bytes) -> tuple[bytes | list[int], bytes]:
    """Packet ids of the PUBACKs in ``data`` (as bytes when all are < 256), and what is left over.

    A server answers in runs of equal packets, so a run is recognised by slices; anything else
    goes packet by packet.

    Raises:
        ValueError: another packet, or an acknowledgement that refuses.
    """
    stride = 2 + data[1] if len(data) > 1 else 4
    count, rest = divmod(len(data), stride)
    if (
        not rest
        and (stride == 4 or (stride in (5, 6) and not any(b & 0x80 for b in data[4::stride])))
        and data[0::stride] == b"\x40" * count
        and data[1::stride] == data[1:2] * count
        and not any(data[2::stride])
    ):
        return data[3::stride], b""
    return _read_one_by_one(data)


def _read_one_by_one(data: bytes) -> tuple[list[int], bytes]:
    ids: list[int] = []
    at = 0
    while len(data) - at >= 2:
        end = at + 2 + data[at + 1]
        if data[at] == 0xE0:
            raise ValueError(f"the server disconnects: {data[at:end].hex()}")
        if data[at] != PUBACK or data[at + 1] > 127:
            raise ValueError(f"a PUBACK is wanted, not {data[at : at + 4].hex()}")
        if end > len(data):
            break
        if end - at > 4 and data[at + 4] & 0x80:
            raise ValueError(f"the server refuses a message: reason {data[at + 4]:#x}")
        ids.append(int.from_bytes(data[at + 2 : at + 4], "big"))
        at = end
    return ids, data[at:]
