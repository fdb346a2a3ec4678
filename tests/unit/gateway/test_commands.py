"""Commands to a device and its answers; the error topic."""

from dataclasses import replace

import pytest

from littoral.eventing import Message, MessageTimeout, Reply
from littoral.gateway.mqtt import (
    V5,
    V311,
    Ack,
    Property,
    Publish,
    Reason,
    Suback,
    Subscribe,
    Subscription,
    Type,
    Unsuback,
    Unsubscribe,
)

ORDER = Message("org.acme:d1", "stop", b'{"now":true}', "application/json")


async def subscribed(world, topic_filter="command///req/#", version=V311, qos=1, **connect):
    device = await world.connected(version=version, **connect)
    device.send_packet(Subscribe(1, (Subscription(topic_filter, qos),)))
    device.suback = device.received()[0]
    return device


async def ask(world, message=ORDER, timeout_s=5.0):
    """Send a message; return its task once the device has it."""
    task = world.tasks.create_task(world.inbox.send(message, timeout_s=timeout_s))
    await world.settle()
    return task


@pytest.mark.parametrize(
    ("topic_filter", "prefix"),
    [
        ("command///req/#", "command///req/"),
        ("c///q/#", "c///q/"),
        ("command/acme//req/#", "command/acme//req/"),
        ("c//d1/q/#", "c//d1/q/"),
        ("command/acme/d1/req/#", "command/acme/d1/req/"),
    ],
)
def test_a_command_comes_on_the_topic_as_it_was_subscribed(play, topic_filter, prefix):
    async def scene(world):
        device = await subscribed(world, topic_filter)
        assert device.suback == Suback(1, (1,))
        asked = await ask(world)
        [command] = device.received()
        assert command.topic.startswith(prefix)
        request, subject = command.topic.removeprefix(prefix).split("/")
        assert (subject, command.payload, command.qos) == ("stop", b'{"now":true}', 1)
        device.send_packet(Ack(Type.PUBACK, command.packet_id))
        device.publish(f"command///res/{request}/200", b'{"done":1}', packet_id=3)
        assert device.received() == [Ack(Type.PUBACK, 3)]
        assert await asked == Reply(200, b'{"done":1}', "application/json")
        found = world.door.statistics()
        assert (found.commands, found.commands_acknowledged, found.responses) == (1, 1, 1)

    play(scene)


def test_a_one_way_command_has_no_request_id(play):
    async def scene(world):
        device = await subscribed(world, qos=0)
        world.inbox.post(ORDER)
        [command] = device.received()
        assert (command.topic, command.qos) == ("command///req//stop", 0)

    play(scene)


def test_mqtt_5_gets_content_type_and_feature_as_properties(play):
    async def scene(world):
        device = await subscribed(world, version=V5)
        world.inbox.post(Message("org.acme:d1", "stop", b"x", "text/plain", feature="arm"))
        [command] = device.received()
        assert command.properties == {
            Property.CONTENT_TYPE: "text/plain",
            Property.USER_PROPERTY: (("feature", "arm"),),
        }

    play(scene)


@pytest.mark.parametrize(
    "topic_filter",
    [
        "#",
        "command/#",
        "command///req/x",
        "command/+//req/#",
        "command//+/req/#",
        "command//d2/req/#",
        "command/other//req/#",
        "command///res/#",
        "telemetry",
        "error//d2/#",
        "error/#",
        "$share/g/command///req/#",
        "",
    ],
)
@pytest.mark.parametrize("version", [V311, V5])
def test_a_filter_for_something_else_is_refused(play, version, topic_filter):
    async def scene(world):
        device = await subscribed(world, topic_filter, version)
        [reason] = device.suback.reasons
        if version == V311:
            assert reason == 0x80
        else:
            shared = topic_filter.startswith("$share")
            assert reason == (0x9E if shared else Reason.TOPIC_FILTER_INVALID)
        assert not device.is_over

    play(scene)


def test_a_command_that_waits_is_delivered_when_the_device_subscribes(play):
    async def scene(world):
        asked = await ask(world)
        device = await subscribed(world)
        await world.settle()
        [command] = device.received()
        device.send_packet(Ack(Type.PUBACK, command.packet_id))
        device.publish(f"c///s/{command.topic.split('/')[4]}/204", b"")
        assert (await asked).status == 204

    play(scene)


def test_an_answer_of_another_device_is_not_taken(play):
    async def scene(world):
        device = await subscribed(world, qos=0)
        other = await world.connected("d2", V5)
        asked = await ask(world)
        [command] = device.received()
        request = command.topic.split("/")[4]
        other.publish(f"command///res/{request}/200", b"mine", packet_id=1)
        [ack] = other.received()
        assert ack.reason == Reason.NO_MATCHING_SUBSCRIBERS
        device.publish(f"command///res/{request}/200", b"right")
        assert (await asked).payload == b"right"

    play(scene)


def test_an_answer_may_come_over_a_new_connection(play):
    async def scene(world):
        device = await subscribed(world, qos=0)
        asked = await ask(world)
        [command] = device.received()
        device.lose()
        again = await world.connected()
        again.publish(f"command///res/{command.topic.split('/')[4]}/500", b"oh", packet_id=1)
        assert (await asked).status == 500

    play(scene)


def test_a_late_answer_is_acknowledged_and_counted(play):
    async def scene(world):
        device = await subscribed(world)
        device.publish("command///res/00/200", b"late", packet_id=1)
        assert device.received() == [Ack(Type.PUBACK, 1)]
        assert world.door.statistics().late_responses == 1

    play(scene)


def test_an_answer_keeps_its_place_behind_publishes_that_wait(play):
    async def scene(world):
        device = await subscribed(world)
        device.publish("t", packet_id=1)
        device.publish("command///res/00/200", b"late", packet_id=2)
        assert device.received() == []
        world.log.commit()
        assert [p.packet_id for p in device.received()] == [1, 2]

    play(scene)


def test_a_command_that_is_not_acknowledged_in_time_is_not_delivered(play):
    async def scene(world):
        device = await subscribed(world)
        asked = await ask(world)
        [command] = device.received()
        await world.pass_time(1.5)
        reply = await asked
        assert reply.status == 503
        device.send_packet(Ack(Type.PUBACK, command.packet_id))
        assert not device.is_over
        assert world.door.statistics().commands_acknowledged == 0

    play(scene)


def test_a_command_that_the_device_refuses_is_not_delivered(play):
    async def scene(world):
        device = await subscribed(world, version=V5)
        asked = await ask(world)
        [command] = device.received()
        device.send_packet(Ack(Type.PUBACK, command.packet_id, 0x97))
        assert (await asked).status == 503

    play(scene)


def test_commands_in_flight_are_bounded_by_both_sides(play):
    async def scene(world):
        device = await subscribed(world, version=V5, properties={Property.RECEIVE_MAXIMUM: 2})
        for _ in range(3):
            world.inbox.post(ORDER)
        assert len(device.received()) == 2
        assert world.inbox.statistics().failed == 1

    play(scene)


def test_a_command_larger_than_the_device_takes_is_not_sent(play):
    async def scene(world):
        device = await subscribed(world, version=V5, properties={Property.MAXIMUM_PACKET_SIZE: 60})
        world.inbox.post(Message("org.acme:d1", "stop", b"x" * 50))
        assert device.received() == []
        with pytest.raises(MessageTimeout):
            await world.inbox.send(Message("org.acme:d1", "stop", b"x" * 50), timeout_s=0.01)

    play(scene)


def test_a_device_that_does_not_read_gets_no_commands(play):
    async def scene(world):
        device = await subscribed(world)
        device.connection.pause_writing()
        world.inbox.post(ORDER)
        assert device.received() == []

    play(scene)


def test_after_unsubscribing_and_after_the_end_no_command_comes(play):
    async def scene(world):
        device = await subscribed(world)
        device.send_packet(Unsubscribe(2, ("command///req/#", "x")))
        assert device.received() == [Unsuback(2)]
        assert world.inbox.statistics().receivers == 0
        device.send_packet(Subscribe(3, (Subscription("c///q/#", 1),)))
        assert world.inbox.statistics().receivers == 1
        device.lose()
        assert world.inbox.statistics().receivers == 0

    play(scene)


def test_the_newest_subscription_says_how_commands_are_spelled(play):
    async def scene(world):
        device = await subscribed(world)
        device.send_packet(Subscribe(2, (Subscription("c///q/#", 0),)))
        device.received()
        world.inbox.post(ORDER)
        assert device.received()[0].topic == "c///q//stop"

    play(scene)


def test_the_response_of_the_ditto_protocol_comes_with_the_commit(play):
    async def scene(world):
        device = await subscribed(world, version=V5)
        world.stored().response = b'{"status":204}'
        device.publish("e", b"{}", packet_id=1, content_type="application/vnd.eclipse.ditto+json")
        assert device.received() == []
        world.log.commit()
        response, ack = device.received()
        assert isinstance(response, Publish)
        assert response.topic == "command///req//ditto-protocol"
        assert response.payload == b'{"status":204}'
        assert ack.packet_id == 1

    play(scene)


def test_an_error_names_the_correlation_id_of_the_bag(play):
    async def scene(world):
        device = await subscribed(world, "e/acme/+/#", qos=1)
        assert device.suback.reasons == (0,)
        device.publish("telemetry/?correlation-id=a%2Fb", b"{broken", packet_id=1)
        device.publish("event", b"{}")
        first, ack, second = device.received()
        assert first.topic == "e/acme/d1/telemetry/a_b/400"
        assert b'"correlation-id":"a/b"' in first.payload
        assert ack.packet_id == 1
        assert second.topic == "e/acme/d1/event/-1/400"
        assert not device.is_over

    play(scene)


def test_answers_that_are_waited_for_are_bounded(play):
    async def scene(world):
        device = await subscribed(world, qos=0)
        asked = [await ask(world) for _ in range(3)]
        assert len(device.received()) == 2
        assert world.inbox.statistics().failed == 1
        world.time.now_s += 6
        asked.append(await ask(world))
        assert len(device.received()) == 1
        for task in asked:
            task.cancel()

    play(scene, answers_pending_max=2)


def kept(outcome, **more):
    """A message that a mailbox keeps, which notes what becomes of it."""
    return replace(
        ORDER,
        id="0001-abcd",
        expires_s=1e9,
        answer=lambda reply: outcome.append(reply) or True,
        on_delivered=lambda: outcome.append("delivered"),
        on_undelivered=lambda: outcome.append("undelivered"),
        **more,
    )


def hand(world, message):
    [attachment] = world.inbox.candidates(message)
    return world.inbox.hand(attachment, message)


def test_a_kept_command_is_known_again_by_its_request_id(play):
    async def scene(world):
        for _ in range(2):
            device = await subscribed(world)
            outcome = []
            assert hand(world, kept(outcome, response_required=True))
            [command] = device.received()
            assert command.topic == "command///req/0001-abcd/stop"
            device.lose()
            await world.settle()
        device = await subscribed(world)
        device.publish("command///res/0001-abcd/200", b"", packet_id=3)
        assert [type(one) for one in outcome] == [Reply]

    play(scene)


def test_a_kept_one_way_command_is_done_with_its_puback(play):
    async def scene(world):
        device = await subscribed(world, version=V5)
        outcome = []
        hand(world, kept(outcome))
        [command] = device.received()
        assert command.properties[Property.USER_PROPERTY] == (("littoral-message-id", "0001-abcd"),)
        assert outcome == []
        device.send_packet(Ack(Type.PUBACK, command.packet_id))
        assert outcome == ["delivered"]

    play(scene)


def test_with_qos_0_a_kept_one_way_command_is_done_when_it_is_written(play):
    async def scene(world):
        await subscribed(world, qos=0)
        outcome = []
        hand(world, kept(outcome))
        assert outcome == ["delivered"]

    play(scene)


def test_a_kept_command_that_the_device_refuses_or_does_not_take_is_given_back(play):
    async def scene(world):
        device = await subscribed(world, version=V5)
        outcome = []
        hand(world, kept(outcome, response_required=True))
        [command] = device.received()
        device.send_packet(Ack(Type.PUBACK, command.packet_id, Reason.UNSPECIFIED))
        assert outcome == ["undelivered"]
        hand(world, kept(outcome, response_required=True))
        await world.pass_time(60)
        assert outcome == ["undelivered", "undelivered"]

    play(scene)


def test_a_puback_asks_for_what_had_no_room(play):
    async def scene(world):
        woken = []
        device = await subscribed(world, version=V5)
        world.inbox.watch(woken.append)
        hand(world, kept([]))
        [command] = device.received()
        assert woken == []
        device.send_packet(Ack(Type.PUBACK, command.packet_id))
        assert woken == ["org.acme:d1"]

    play(scene)


def test_the_id_of_a_ditto_protocol_message_reaches_the_twin(play):
    async def scene(world):
        device = await world.connected()
        envelope = b'{"topic":"org.acme/d1/things/twin/commands/modify","path":"/attributes/a"}'
        kind = "application%2Fvnd.eclipse.ditto%2Bjson"
        device.publish(f"event/?content-type={kind}&id=17", envelope, packet_id=1)
        assert world.stored().protocol_id == "17"

    play(scene)
