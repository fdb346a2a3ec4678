"""What a device sees of the door: acknowledgements, refusals, ends."""

import pytest

from littoral.gateway.mqtt import (
    V5,
    V311,
    Ack,
    Connack,
    Disconnect,
    Pingreq,
    Pingresp,
    Property,
    Publish,
    Reason,
    Subscribe,
    Subscription,
    Type,
    encode_connect,
    encode_publish,
)
from littoral.kernel.errors import InvalidJson
from littoral.log import LogFull

BOTH = pytest.mark.parametrize("version", [V311, V5])


def pubacks(packets) -> list[int]:
    return [p.packet_id for p in packets if isinstance(p, Ack) and p.reason == 0]


@BOTH
def test_a_publish_is_acknowledged_after_its_commit_and_not_before(play, version):
    async def scene(world):
        device = await world.connected(version=version)
        device.publish("telemetry", b'{"t":1}', packet_id=7)
        assert device.received() == []
        world.log.commit()
        assert pubacks(device.received()) == [7]
        assert world.stored().calls == [("telemetry", "telemetry", b'{"t":1}', None, None, 3)]

    play(scene)


@BOTH
def test_acknowledgements_keep_the_order_of_publishes_and_are_one_write(play, version):
    async def scene(world):
        device = await world.connected(version=version)
        writes = device.transport.writes
        device.send(
            *(encode_publish("t", b'{"n":1}', packet_id=n, version=version) for n in (5, 3, 9, 1))
        )
        assert world.log.registered == 1
        world.log.commit()
        assert pubacks(device.received()) == [5, 3, 9, 1]
        assert device.transport.writes == writes + 1

    play(scene)


def test_batches_are_acknowledged_in_their_order(play):
    async def scene(world):
        device = await world.connected()
        device.publish("t", packet_id=1)
        first = world.log.close_batch()
        device.publish("t", packet_id=2)
        second = world.log.close_batch()
        device.publish("e", packet_id=3)
        first(None)
        assert pubacks(device.received()) == [1]
        second(None)
        world.log.commit()
        assert pubacks(device.received()) == [2, 3]

    play(scene)


def test_a_refused_publish_keeps_its_place_among_the_acknowledgements(play):
    async def scene(world):
        device = await world.connected(version=V5)
        device.publish("t", packet_id=1)
        device.publish("t", b'{"broken', packet_id=2)
        device.publish("t", packet_id=3)
        assert device.received() == []
        world.log.commit()
        found = device.received()
        assert [(p.packet_id, p.reason) for p in found] == [
            (1, 0),
            (2, Reason.PAYLOAD_FORMAT_INVALID),
            (3, 0),
        ]
        assert "JSON" in found[1].properties[Property.REASON_STRING]

    play(scene)


def test_a_refusal_alone_is_told_at_once(play):
    async def scene(world):
        device = await world.connected(version=V5)
        device.publish("nowhere", packet_id=2)
        [ack] = device.received()
        assert (ack.packet_id, ack.reason) == (2, Reason.TOPIC_NAME_INVALID)
        assert not device.is_over

    play(scene)


def test_a_client_that_wants_no_reason_strings_gets_none(play):
    async def scene(world):
        device = await world.connected(version=V5, properties={Property.REQUEST_PROBLEM_INFO: 0})
        device.publish("nowhere", packet_id=2)
        assert device.received()[0].properties == {}

    play(scene)


def test_mqtt_3_is_refused_by_closing_after_what_came_before_is_acknowledged(play):
    async def scene(world):
        device = await world.connected()
        device.publish("t", packet_id=1)
        device.publish("t", b'{"broken', packet_id=2)
        device.publish("t", packet_id=3)
        assert not device.is_over
        world.log.commit()
        assert pubacks(device.received()) == [1]
        assert device.is_over
        assert len(world.stored().calls) == 1

    play(scene)


@pytest.mark.parametrize(
    ("on_error", "acks", "is_over"),
    [
        ("default", [], True),
        ("disconnect", [], True),
        ("ignore", [4], False),
        ("skip-ack", [], False),
    ],
)
def test_hono_on_error_says_what_a_refusal_does_in_mqtt_3(play, on_error, acks, is_over):
    async def scene(world):
        device = await world.connected()
        device.publish(f"t/?on-error={on_error}", b'{"broken', packet_id=4)
        assert pubacks(device.received()) == acks
        assert device.is_over == is_over

    play(scene)


@pytest.mark.parametrize(
    ("on_error", "acks", "is_over"),
    [
        ("default", [4], False),
        ("disconnect", [], True),
        ("ignore", [4], False),
        ("skip-ack", [], False),
    ],
)
def test_with_an_error_subscription_the_error_is_published_first(play, on_error, acks, is_over):
    async def scene(world):
        device = await world.connected()
        device.send_packet(Subscribe(1, (Subscription("error///#", 0),)))
        assert device.received()[0].reasons == (0,)
        device.publish(f"t/?on-error={on_error}", b'{"broken', packet_id=4)
        first, *others = device.received()
        assert isinstance(first, Publish)
        assert first.topic == "error///t/4/400"
        assert b'"code":400' in first.payload and b'"correlation-id":"4"' in first.payload
        assert pubacks(others) == acks
        assert device.is_over == is_over

    play(scene)


def test_a_failed_commit_is_told_to_mqtt_5_and_closes_mqtt_3(play):
    async def scene(world):
        new, old = await world.connected("new", V5), await world.connected("old", V311)
        for device in (new, old):
            device.publish("t", packet_id=1)
            device.publish("t", packet_id=2)
        world.log.commit(LogFull("the disk is full."))
        assert [(p.packet_id, p.reason) for p in new.received()] == [
            (1, Reason.QUOTA_EXCEEDED),
            (2, Reason.QUOTA_EXCEEDED),
        ]
        assert not new.is_over
        assert old.received() == []
        assert old.is_over

    play(scene)


def test_a_message_stored_before_is_acknowledged_and_not_stored_again(play):
    async def scene(world):
        device = await world.connected()
        device.publish("t/?id=m1", packet_id=1)
        world.log.commit()
        device.publish("t/?id=m1", packet_id=2)
        world.log.commit()
        assert pubacks(device.received()) == [1, 2]
        assert len(world.stored().calls) == 1

    play(scene)


def test_events_have_their_class_and_need_qos_1(play):
    async def scene(world):
        device = await world.connected()
        device.publish("event", packet_id=1)
        assert world.stored().calls[0][-1] == 1
        device.publish("event")
        world.log.commit()
        assert pubacks(device.received()) == [1]
        assert device.is_over

    play(scene)


def test_qos_0_telemetry_is_taken_and_not_answered(play):
    async def scene(world):
        device = await world.connected()
        device.publish("t", b'{"x":2}')
        world.log.commit()
        assert device.received() == []
        assert len(world.stored().calls) == 1

    play(scene)


@pytest.mark.parametrize(
    ("version", "topic", "more"),
    [
        (V311, "t/?feature=gps&ts=1800000000000&id=a%2F1", {}),
        (V311, "telemetry//d1/?FEATURE=gps&ts=2027-01-15T08:00:00Z&id=a/1", {}),
        (
            V5,
            "telemetry/acme/d1",
            {"user": [("feature", "gps"), ("ts", "1800000000000"), ("id", "a/1")]},
        ),
        (
            V5,
            "t",
            {
                "user": [("feature", "gps"), ("ts", "1800000000000"), ("id", "a/1")],
                "content_type": "application/json",
            },
        ),
        (V5, "t/?ts=1800000000000&feature=x", {"user": [("id", "a/1"), ("feature", "gps")]}),
    ],
)
def test_feature_time_and_id_come_from_bag_or_properties(play, version, topic, more):
    async def scene(world):
        device = await world.connected(version=version)
        for _ in range(2):
            device.publish(topic, packet_id=1, **more)
        call = ("telemetry", "gps", b'{"a":1}', 1_800_000_000_000, "a/1", 3)
        assert world.stored().calls == [call]

    play(scene)


@pytest.mark.parametrize(
    ("topic", "payload", "call"),
    [
        ("t", b"\x00\x01", ("bulk", None, b"\x00\x01", None, None)),
        ("t", b"[1]", ("bulk", None, b"[1]", None, None)),
        ("t", b"", ("bulk", None, b"", None, None)),
        ("t", b'  {"a":1}', ("telemetry", "telemetry", b'  {"a":1}', None, None, 3)),
        (
            "e/?content-type=text%2Fplain&id=7",
            b"{hello",
            ("bulk", "text/plain", b"{hello", None, "7"),
        ),
        (
            "t/?content-type=application%2Fvnd.eclipse.ditto%2Bjson",
            b"{}",
            ("protocol", b"{}"),
        ),
        (
            "t/?content-type=application/json; charset=utf-8",
            b'{"a":1}',
            ("telemetry", "telemetry", b'{"a":1}', None, None, 3),
        ),
    ],
)
def test_the_content_type_says_what_a_payload_is(play, topic, payload, call):
    async def scene(world):
        device = await world.connected()
        device.publish(topic, payload, packet_id=1)
        assert world.stored().calls == [call]

    play(scene)


@pytest.mark.parametrize(
    ("topic", "payload", "reason"),
    [
        ("telemetry//other", b"{}", Reason.NOT_AUTHORIZED),
        ("telemetry/other/d1", b"{}", Reason.NOT_AUTHORIZED),
        ("telemetry/acme", b"{}", Reason.TOPIC_NAME_INVALID),
        ("telemetry/acme/", b"{}", Reason.TOPIC_NAME_INVALID),
        ("$SYS/x", b"{}", Reason.TOPIC_NAME_INVALID),
        ("t/?ts=yesterday", b"{}", Reason.PAYLOAD_FORMAT_INVALID),
        ("t/?id=" + "x" * 129, b"{}", Reason.PAYLOAD_FORMAT_INVALID),
        ("command///res/x/abc", b"", Reason.TOPIC_NAME_INVALID),
        ("command///res/x/302", b"", Reason.TOPIC_NAME_INVALID),
        ("command///nonsense", b"", Reason.TOPIC_NAME_INVALID),
    ],
)
def test_a_wrong_topic_is_refused_with_its_reason(play, topic, payload, reason):
    async def scene(world):
        device = await world.connected(version=V5)
        device.publish(topic, payload, packet_id=1)
        assert [p.reason for p in device.received()] == [reason]
        assert world.stored().calls == []

    play(scene)


def test_text_that_is_said_to_be_utf_8_is_checked(play):
    async def scene(world):
        device = await world.connected(version=V5)
        for payload in (b"\xff", b"fine"):
            device.send_packet(Publish("t", payload, 1, 5, properties={Property.PAYLOAD_FORMAT: 1}))
        [ack] = device.received()
        assert ack.reason == Reason.PAYLOAD_FORMAT_INVALID
        assert len(world.stored().calls) == 1

    play(scene)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\x34\x05\x00\x01t\x00\x01", Reason.QOS_NOT_SUPPORTED),
        (b"\x36\x05\x00\x01t\x00\x01", Reason.MALFORMED),
        (b"\x38\x03\x00\x01t", Reason.MALFORMED),
        (b"\x33\x06\x00\x01t\x00\x01\x00", Reason.RETAIN_NOT_SUPPORTED),
        (b"\x32\x06\x00\x01t\x00\x00\x00", Reason.PROTOCOL_ERROR),
        (b"\x32\x03\x00\x09t", Reason.MALFORMED),
        (b"\x32\x01\x00", Reason.MALFORMED),
        (b"\x32\x00", Reason.MALFORMED),
        (b"\x30\x03\x00\x01t", Reason.MALFORMED),
        (b"\x30\x04\x00\x01t\x05", Reason.MALFORMED),
        (b"\x30\x06\x00\x01t\x02\x01\x05", Reason.PROTOCOL_ERROR),
        (b"\x30\x07\x00\x01t\x03\x23\x00\x01", Reason.TOPIC_ALIAS_INVALID),
        (b"\x30\x06\x00\x01t\x02\x0b\x01", Reason.PROTOCOL_ERROR),
        (b"\x30\x07\x00\x01t\x03\x26\x00\x09", Reason.MALFORMED),
        (b"\x30\x09\x00\x01t\x05\x26\x00\x00\x00\x01", Reason.MALFORMED),
        (b"\x30\x0a\x00\x01t\x06\x26\x00\x01\xff\x00\x00", Reason.MALFORMED),
        (b"\x30\x06\x00\x01t\x02\x03\x00", Reason.MALFORMED),
        (b"\x30\x07\x00\x01t\x03\x03\x00\x01", Reason.MALFORMED),
        (b"\x30\x0a\x00\x01t\x06\x03\x00\x00\x03\x00\x00", Reason.PROTOCOL_ERROR),
        (b"\x30\x06\x00\x01t\x80\x80\x80\x80", Reason.MALFORMED),
        (b"\x30\x04\x00\x01\xff\x00", Reason.MALFORMED),
        (b"\x30\x04\x00\x01\x00\x00", Reason.MALFORMED),
        (b"\x30\x04\x00\x01#\x00", Reason.TOPIC_NAME_INVALID),
        (b"\x30\x03\x00\x00\x00", Reason.MALFORMED),
        (b"\x30\xff\xff\xff\xff", Reason.MALFORMED),
        (b"\x30\xff\xff\xff\x7f", Reason.PACKET_TOO_LARGE),
        (b"\x32\x80\x80\x04", Reason.PACKET_TOO_LARGE),
        (b"\x10\x00", Reason.MALFORMED),
        (encode_connect("again", version=V5), Reason.PROTOCOL_ERROR),
        (b"\x20\x03\x00\x00\x00", Reason.PROTOCOL_ERROR),
        (b"\x50\x02\x00\x01", Reason.PROTOCOL_ERROR),
        (b"\xc1\x00", Reason.MALFORMED),
        (b"\xc0\x01\x00", Reason.MALFORMED),
        (b"\x00\x00", Reason.MALFORMED),
        (b"\x80\x00", Reason.MALFORMED),
        (b"\x82\x03\x00\x01\x00", Reason.PROTOCOL_ERROR),
        (b"\x82\x08\x00\x01\x02\x0b\x01\x00\x00\x00", Reason.SUBSCRIPTION_IDS_NOT_SUPPORTED),
        (b"\xf0\x00", Reason.PROTOCOL_ERROR),
    ],
)
def test_a_broken_rule_ends_the_connection_with_its_reason(play, data, reason):
    async def scene(world):
        device = await world.connected(version=V5)
        device.send(data)
        [farewell] = device.received()
        assert isinstance(farewell, Disconnect)
        assert farewell.reason == reason
        assert farewell.properties[Property.REASON_STRING]
        assert device.is_over
        assert world.door.statistics().closed_by_reason == {reason.name: 1}

    play(scene)


def test_the_receive_maximum_is_told_and_held(play):
    async def scene(world):
        device = await world.connected(version=V5)
        assert device.greeting[0].properties[Property.RECEIVE_MAXIMUM] == 4
        for n in range(1, 5):
            device.publish("t", packet_id=n)
        assert not device.is_over
        device.publish("t", packet_id=5)
        world.log.commit()
        assert device.received()[-1].reason == Reason.RECEIVE_MAXIMUM_EXCEEDED

    play(scene, receive_maximum=4)


@pytest.mark.parametrize("limits", [{"pending_records_max": 10}, {"pending_bytes_max": 300}])
def test_reading_pauses_while_too_much_waits_and_goes_on_with_the_commit(play, limits):
    async def scene(world):
        device = await world.connected()
        for n in range(1, 6):
            device.publish("t", b'{"a":"12345678901234567890"}', packet_id=n)
        assert device.transport.reading
        world.log.close_batch()(None)
        for n in range(1, 11):
            device.publish("t", b'{"a":"12345678901234567890"}', packet_id=n)
        assert not device.transport.reading
        world.log.commit()
        assert device.transport.reading
        assert world.door.statistics().paused == 1

    play(scene, **limits)


def test_a_peer_that_does_not_read_is_not_read_and_is_let_go(play):
    async def scene(world):
        device = await world.connected()
        device.connection.pause_writing()
        assert not device.transport.reading
        device.connection.resume_writing()
        assert device.transport.reading
        device.connection.pause_writing()
        await world.pass_time(21)
        assert device.is_over
        await world.pass_time(3)
        assert device.transport.aborted

    play(scene)


def test_a_packet_split_anywhere_means_the_same(play):
    stream = (
        encode_connect("d1", username="d1@acme", password="secret")
        + encode_publish("t", b'{"a":1}', packet_id=1)
        + encode_publish("t/?id=5", b'{"text":"' + b"x" * 150 + b'"}', packet_id=2)
        + b"\xc0\x00"
        + encode_publish("e", b'{"b":1}', packet_id=3)
    )

    async def scene(world):
        seen = set()
        for cut in range(1, len(stream)):
            world.twins.doors.clear()
            device = world.device()
            device.send(stream[:cut])
            await world.settle()
            device.send(stream[cut:])
            await world.settle()
            world.log.commit()
            packets = sorted(repr(p) for p in device.received())
            seen.add((tuple(packets), tuple(world.stored().calls)))
            device.lose()
        assert len(seen) == 1
        assert len(world.stored().calls) == 3

    play(scene)


def test_a_stream_in_single_bytes_means_the_same(play):
    async def scene(world):
        device = await world.connected(version=V5)
        data = encode_publish(
            "t", b'{"a":1}' + b" " * 20_000, packet_id=9, version=V5, user=[("feature", "f")]
        )
        for at in range(len(data) - 20_000 - 30):
            device.send(data[at : at + 1])
        device.send(data[len(data) - 20_030 :])
        world.log.commit()
        device.publish("t", packet_id=10)
        assert pubacks(device.received()) == []

    async def bytewise(world):
        device = await world.connected()
        for byte in encode_publish("t", b'{"a":"' + b"y" * 200 + b'"}', packet_id=9):
            device.send(bytes((byte,)))
        world.log.commit()
        assert pubacks(device.received()) == [9]

    play(bytewise)


def test_a_ping_is_answered(play):
    async def scene(world):
        device = await world.connected()
        device.send_packet(Pingreq())
        assert device.received() == [Pingresp()]

    play(scene)


def test_a_clean_goodbye_ends_without_a_word(play):
    async def scene(world):
        device = await world.connected()
        device.publish("t", packet_id=1)
        device.send_packet(Disconnect())
        world.log.commit()
        assert device.received() == []
        assert device.is_over
        assert len(world.stored().calls) == 1
        device.lose()
        assert world.door.statistics().connections == 0

    play(scene)


def test_what_comes_after_the_end_is_thrown_away(play):
    async def scene(world):
        device = await world.connected()
        device.send_packet(Disconnect())
        device.publish("t", packet_id=1)
        assert world.stored().calls == []

    play(scene)


def test_statistics_count_what_happened(play):
    async def scene(world):
        device = await world.connected(version=V5)
        device.publish("t", packet_id=1)
        device.publish("t")
        world.stored().problem = InvalidJson("no.")
        device.publish("t", packet_id=2)
        world.log.commit()
        found = world.door.statistics()
        assert (found.connections, found.handshakes, found.connects) == (1, 0, 1)
        assert (found.publishes, found.acknowledged) == (3, 2)
        assert found.refused_by_code == {"json.invalid": 1}
        assert found.bytes_in > 0

    play(scene)


def test_the_answer_to_a_connect_tells_mqtt_5_every_limit(play):
    async def scene(world):
        device = await world.connected(
            version=V5, client_id="", keep_alive_s=0, properties={Property.SESSION_EXPIRY: 100}
        )
        [connack] = device.greeting
        assert isinstance(connack, Connack)
        assert not connack.session_present
        assert dict(connack.properties) == {
            Property.RECEIVE_MAXIMUM: 1024,
            Property.MAXIMUM_QOS: 1,
            Property.RETAIN_AVAILABLE: 0,
            Property.MAXIMUM_PACKET_SIZE: 65_536,
            Property.TOPIC_ALIAS_MAXIMUM: 0,
            Property.SUBSCRIPTION_IDS_AVAILABLE: 0,
            Property.SHARED_AVAILABLE: 0,
            Property.SESSION_EXPIRY: 0,
            Property.ASSIGNED_CLIENT_ID: "auto-0000000000000001",
            Property.SERVER_KEEP_ALIVE: 3600,
        }

    play(scene)


def test_a_retained_publish_of_mqtt_3_is_taken_as_a_plain_one(play):
    async def scene(world):
        device = await world.connected()
        device.send_packet(Publish("t", b'{"a":1}', 1, 5, retain=True))
        world.log.commit()
        assert pubacks(device.received()) == [5]
        assert device.received() == [] and Type.PUBACK == 4

    play(scene)


def test_id_and_time_behind_unusual_properties_count_too(play):
    async def scene(world):
        device = await world.connected(version=V5)
        for number in ("m1", "m2"):
            device.send_packet(
                Publish(
                    "t",
                    b'{"a":1}',
                    1,
                    5,
                    properties={
                        Property.MESSAGE_EXPIRY: 60,
                        Property.USER_PROPERTY: (("ts", "1800000000000"), ("id", number)),
                    },
                )
            )
        assert [call[3:5] for call in world.stored().calls] == [
            (1_800_000_000_000, "m1"),
            (1_800_000_000_000, "m2"),
        ]

    play(scene)


def test_a_connection_that_ends_does_not_wait_for_ever_for_a_commit(play):
    async def scene(world):
        device = await world.connected()
        device.publish("t", packet_id=1)
        device.publish("nowhere", packet_id=2)
        await world.pass_time(19)
        assert not device.is_over
        await world.pass_time(2)
        assert device.is_over
        assert device.received() == []

    play(scene)


def test_a_farewell_fits_the_packets_that_the_peer_takes(play):
    async def scene(world):
        device = await world.connected(version=V5, properties={Property.MAXIMUM_PACKET_SIZE: 10})
        device.send(b"\x00\x00")
        assert device.received() == [Disconnect(Reason.MALFORMED)]

    play(scene)


def test_remembered_topics_are_bounded(play):
    async def scene(world):
        device = await world.connected()
        for n in range(100):
            device.publish(f"t/?feature=f{n}")
        assert len(world.door._hub.routes.known) <= 8
        assert len(world.stored().calls) == 100

    play(scene, routes_max=8)
