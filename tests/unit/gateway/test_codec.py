"""The codec by table: every packet type, both versions, bytes as the specifications write them."""

import pytest

from littoral.gateway.mqtt import (
    V5,
    V311,
    Ack,
    Auth,
    ClientCodec,
    Connack,
    Connect,
    Disconnect,
    PeerViolation,
    Pingreq,
    Pingresp,
    Property,
    Publish,
    Reason,
    Suback,
    Subscribe,
    Subscription,
    Type,
    Unsuback,
    Unsubscribe,
    Will,
    decode,
    encode,
    encode_connect,
    encode_puback,
    encode_publish,
    encode_subscribe,
    frame,
)
from littoral.gateway.mqtt.properties import varint

WILL = Will("w", b"bye", 1, retain=True, properties={Property.WILL_DELAY: 5})

TABLE = [
    (V311, Connect("c"), "10 0d 0004 4d515454 04 02 0000 0001 63"),
    (V5, Connect("c", V5), "10 0e 0004 4d515454 05 02 0000 00 0001 63"),
    (
        V311,
        Connect("", username="u", password=b"p", keep_alive_s=10, clean_start=False),
        "10 12 0004 4d515454 04 c0 000a 0000 0001 75 0001 70",
    ),
    (
        V5,
        Connect("c", V5, will=WILL, properties={Property.SESSION_EXPIRY: 1}),
        "10 21 0004 4d515454 05 2e 0000 05 11 00000001 0001 63 05 18 00000005 0001 77 0003 627965",
    ),
    (V311, Connack(), "20 02 00 00"),
    (V311, Connack(5), "20 02 00 05"),
    (V5, Connack(session_present=True), "20 03 01 00 00"),
    (
        V5,
        Connack(0x87, properties={Property.RECEIVE_MAXIMUM: 10, Property.MAXIMUM_QOS: 1}),
        "20 08 00 87 05 21 000a 24 01",
    ),
    (V311, Publish("a/b", b"hi"), "30 07 0003 612f62 6869"),
    (V311, Publish("a", b"", 1, 10, dup=True), "3a 05 0001 61 000a"),
    (V311, Publish("a", b"x", 2, 1, retain=True), "35 06 0001 61 0001 78"),
    (V5, Publish("a", b"x", 1, 1), "32 07 0001 61 0001 00 78"),
    (
        V5,
        Publish(
            "a",
            b"x",
            properties={
                Property.CONTENT_TYPE: "t",
                Property.USER_PROPERTY: (("k", "v"), ("k", "w")),
            },
        ),
        "30 17 0001 61 12 03 0001 74 26 0001 6b 0001 76 26 0001 6b 0001 77 78",
    ),
    (V311, Ack(Type.PUBACK, 1), "40 02 0001"),
    (V5, Ack(Type.PUBACK, 1), "40 02 0001"),
    (V5, Ack(Type.PUBACK, 1, 0x10), "40 03 0001 10"),
    (
        V5,
        Ack(Type.PUBACK, 1, 0x97, {Property.REASON_STRING: "no"}),
        "40 09 0001 97 05 1f 0002 6e6f",
    ),
    (V311, Ack(Type.PUBREC, 2), "50 02 0002"),
    (V311, Ack(Type.PUBREL, 2), "62 02 0002"),
    (V5, Ack(Type.PUBREL, 2, 0x92), "62 03 0002 92"),
    (V311, Ack(Type.PUBCOMP, 65535), "70 02 ffff"),
    (V311, Subscribe(1, (Subscription("a/#", 1),)), "82 08 0001 0003 612f23 01"),
    (
        V5,
        Subscribe(
            1,
            (Subscription("a", 0x2D), Subscription("b")),
            {Property.SUBSCRIPTION_ID: (200,)},
        ),
        "82 0e 0001 03 0b c801 0001 61 2d 0001 62 00",
    ),
    (V311, Suback(1, (1, 0x80)), "90 04 0001 01 80"),
    (V5, Suback(1, (1,)), "90 04 0001 00 01"),
    (V311, Unsubscribe(3, ("a", "b")), "a2 08 0003 0001 61 0001 62"),
    (V5, Unsubscribe(3, ("a",)), "a2 06 0003 00 0001 61"),
    (V311, Unsuback(3), "b0 02 0003"),
    (V5, Unsuback(3, (0, 0x11)), "b0 05 0003 00 00 11"),
    (V311, Pingreq(), "c0 00"),
    (V5, Pingresp(), "d0 00"),
    (V311, Disconnect(), "e0 00"),
    (V5, Disconnect(), "e0 00"),
    (V5, Disconnect(0x8E), "e0 01 8e"),
    (V5, Disconnect(0x81, {Property.REASON_STRING: "x"}), "e0 06 81 04 1f 0001 78"),
    (V5, Auth(), "f0 00"),
    (V5, Auth(0x18, {Property.AUTH_METHOD: "m", Property.AUTH_DATA: b"\x01"}),
     "f0 0a 18 08 15 0001 6d 16 0001 01"),
]  # fmt: skip


def read(data: bytes, version: int):
    found = frame(data, 0, len(data))
    assert found is not None
    at, end = found
    assert end == len(data)
    return decode(data[0], data, at, end, version)


@pytest.mark.parametrize(("version", "packet", "text"), TABLE)
def test_every_packet_is_written_and_read_as_the_specification_says(version, packet, text):
    data = bytes.fromhex(text)
    assert encode(packet, version) == data
    assert read(data, version) == packet


@pytest.mark.parametrize(("version", "packet", "text"), TABLE)
def test_a_packet_that_is_cut_short_is_malformed_or_means_less(version, packet, text):
    data = bytes.fromhex(text)
    for size in range(2, len(data)):
        cut = bytes((data[0], size - 2)) + data[2:size]
        try:
            found = read(cut, version)
        except PeerViolation:
            continue
        assert found != packet


@pytest.mark.parametrize(
    ("value", "data"),
    [(0, "00"), (127, "7f"), (128, "8001"), (16_383, "ff7f"), (268_435_455, "ffffff7f")],
)
def test_a_variable_byte_integer_has_one_to_four_bytes(value, data):
    assert varint(value) == bytes.fromhex(data)
    whole = b"\xc0" + bytes.fromhex(data)
    assert frame(whole, 0, len(whole)) == (len(whole), len(whole) + value)


@pytest.mark.parametrize(
    ("version", "text", "reason"),
    [
        (V5, "e0 02 00 80", Reason.MALFORMED),
        (V5, "e0 04 00 02 11 00", Reason.MALFORMED),
        (V5, "e0 04 00 02 24 00", Reason.PROTOCOL_ERROR),
        (V5, "20 07 00 00 04 24 01 24 01", Reason.PROTOCOL_ERROR),
        (V5, "20 05 00 00 02 24 02", Reason.PROTOCOL_ERROR),
        (V5, "20 06 00 00 03 21 0000", Reason.PROTOCOL_ERROR),
        (V5, "82 0b 0001 04 0b01 0b02 0001 61 00", Reason.PROTOCOL_ERROR),
        (V5, "82 07 0001 00 0001 61 40", Reason.MALFORMED),
        (V5, "82 07 0001 00 0001 61 30", Reason.PROTOCOL_ERROR),
        (V311, "82 06 0001 0001 61 04", Reason.MALFORMED),
        (V311, "82 06 0001 0001 61 03", Reason.MALFORMED),
        (V311, "82 06 0000 0001 61 00", Reason.PROTOCOL_ERROR),
        (V311, "80 06 0001 0001 61 00", Reason.MALFORMED),
        (V311, "82 02 0001", Reason.PROTOCOL_ERROR),
        (V311, "a2 02 0001", Reason.PROTOCOL_ERROR),
        (V311, "20 02 02 00", Reason.MALFORMED),
        (V311, "20 03 00 00 00", Reason.MALFORMED),
        (V311, "40 03 0001 00", Reason.MALFORMED),
        (V311, "e0 01 00", Reason.MALFORMED),
        (V311, "f0 00", Reason.MALFORMED),
        (V311, "30 03 0001 2b", Reason.TOPIC_NAME_INVALID),
        (V311, "30 05 0003 eda080", Reason.MALFORMED),
        (V311, "10 0d 0004 4d515454 04 06 0000 0001 63", Reason.MALFORMED),
        (V311, "10 0d 0004 4d515454 04 1e 0000 0001 63", Reason.MALFORMED),
        (V311, "10 0d 0004 4d515454 04 0a 0000 0001 63", Reason.MALFORMED),
        (V311, "10 10 0004 4d515454 04 42 0000 0001 63 0001 70", Reason.MALFORMED),
        (V311, "10 0e 0004 4d515454 04 02 0000 0001 63 00", Reason.MALFORMED),
    ],
)
def test_broken_packets_have_their_reason(version, text, reason):
    with pytest.raises(PeerViolation) as caught:
        read(bytes.fromhex(text), version)
    assert caught.value.reason == reason


def test_a_packet_has_a_bounded_number_of_filters():
    with pytest.raises(PeerViolation) as caught:
        read(encode(Unsubscribe(1, ("a",) * 65)), V311)
    assert caught.value.reason == Reason.QUOTA_EXCEEDED


def test_the_builders_for_clients_say_what_the_packets_say():
    assert encode_connect("c", username="u", password="p", version=V5, keep_alive_s=9) == encode(
        Connect("c", V5, keep_alive_s=9, username="u", password=b"p")
    )
    for size in (0, 50, 200, 20_000):
        payload = b"x" * size
        assert encode_publish("a", payload) == encode(Publish("a", payload))
        assert encode_publish(b"a", payload, packet_id=3, dup=True) == encode(
            Publish("a", payload, 1, 3, dup=True)
        )
    assert encode_publish(
        "a", b"x", packet_id=1, version=V5, content_type="t", user=[("k", "v")]
    ) == encode(
        Publish(
            "a",
            b"x",
            1,
            1,
            properties={Property.CONTENT_TYPE: "t", Property.USER_PROPERTY: (("k", "v"),)},
        ),
        V5,
    )
    assert encode_subscribe(1, "a", ("b", 0), version=V5) == encode(
        Subscribe(1, (Subscription("a", 1), Subscription("b", 0))), V5
    )
    assert encode_puback(258) == b"\x40\x02\x01\x02"
    assert encode_puback(1, 0x97, "no") == bytes.fromhex("40 09 0001 97 05 1f 0002 6e6f")


def test_the_client_codec_cuts_a_stream_anywhere():
    packets = [
        Connack(),
        Ack(Type.PUBACK, 1),
        Ack(Type.PUBACK, 2, 0x97),
        Publish("command///req/1/x", b"y" * 300, 1, 4),
        Pingresp(),
        Ack(Type.PUBACK, 3),
    ]
    stream = b"".join(encode(p, V5) for p in packets)
    for cut in range(len(stream) + 1):
        codec = ClientCodec(V5)
        assert codec.feed(stream[:cut]) + codec.feed(stream[cut:]) == packets


def test_the_client_codec_refuses_a_packet_without_end():
    with pytest.raises(PeerViolation):
        ClientCodec(packet_bytes_max=100).feed(b"\x30\xff\x7f")
    with pytest.raises(PeerViolation):
        ClientCodec().feed(b"\x40\x02\x00\x00")
