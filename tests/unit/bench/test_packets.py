"""The generator's own packets, checked against the gateway's codec and by hand."""

import json

import pytest

from littoral.app.bench import packets
from littoral.gateway.mqtt import Connect, Publish, decode, frame


def decoded(data, version):
    body = frame(data, 0, len(data))
    assert body is not None
    assert body[1] == len(data)
    return decode(data[0], data, body[0], body[1], version)


@pytest.mark.parametrize("version", [packets.V311, packets.V5])
def test_a_connect_says_who_it_is(version):
    packet = decoded(packets.connect(version, "d-1", "d-1@bench", "secret"), version)
    assert isinstance(packet, Connect)
    assert (packet.client_id, packet.username, packet.password) == ("d-1", "d-1@bench", b"secret")


@pytest.mark.parametrize("version", [packets.V311, packets.V5])
@pytest.mark.parametrize("size", [40, 150, 1000])
def test_the_halves_of_a_publish_and_a_counter_make_json_of_the_size_asked(version, size):
    head, tail = packets.publish_halves(version, "telemetry", 7, size)
    packet = decoded(head + b"%010d" % 1_000_000_042 + tail, version)
    assert isinstance(packet, Publish)
    assert (packet.topic, packet.packet_id, packet.qos) == ("telemetry", 7, 1)
    assert len(packet.payload) == size
    assert json.loads(packet.payload)["n"] == 1_000_000_042


def ack(number, tail=b""):
    return bytes((0x40, 2 + len(tail))) + number.to_bytes(2, "big") + tail


@pytest.mark.parametrize(
    ("data", "ids", "rest"),
    [
        (ack(1) + ack(2) + ack(3), [1, 2, 3], b""),
        (ack(1, b"\x10") + ack(2, b"\x10"), [1, 2], b""),
        (ack(1, b"\x00\x00") + ack(2, b"\x00\x00"), [1, 2], b""),
        (ack(1) + ack(2, b"\x10"), [1, 2], b""),
        (ack(1) + ack(2)[:3], [1], ack(2)[:3]),
        (ack(300) + ack(2), [300, 2], b""),
        (b"\x40", [], b"\x40"),
    ],
)
def test_pubacks_are_read_by_slices_and_one_by_one(data, ids, rest):
    found, left = packets.read_pubacks(data)
    assert (list(found), left) == (ids, rest)


@pytest.mark.parametrize("data", [b"\xe0\x02\x8e\x00", ack(1, b"\x97"), b"\x30\x02\x00\x00"])
def test_a_refusal_is_an_error(data):
    with pytest.raises(ValueError, match=r"0x97|disconnects|wanted"):
        packets.read_pubacks(data)
