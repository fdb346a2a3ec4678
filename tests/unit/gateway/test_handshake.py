"""CONNECT and its answers; take-over; deadlines; the door's own end."""

import asyncio
import gc
import weakref

import pytest

from littoral.gateway.mqtt import (
    V5,
    V311,
    Ack,
    Auth,
    Connack,
    Connect,
    Disconnect,
    Property,
    Reason,
    encode,
    encode_connect,
    encode_publish,
)
from littoral.registry import RegistryChange


async def greeted(world, data: bytes, version: int = V5):
    device = world.device(version)
    device.send(data)
    await world.settle()
    return device, device.received()


@pytest.mark.parametrize(
    ("connect", "code", "reason"),
    [
        ({"password": "wrong"}, 4, 0x86),
        ({"username": None, "password": None}, 4, 0x86),
        ({"password": None}, 4, 0x86),
        ({"password": b"\xff"}, 4, 0x86),
        ({"username": "d1@closed"}, 5, 0x87),
        ({"client_id": "x" * 257}, 2, 0x85),
    ],
)
@pytest.mark.parametrize("version", [V311, V5])
def test_a_refused_connect_is_told_why(play, version, connect, code, reason):
    async def scene(world):
        fields = {"client_id": "c", "username": "d1@acme", "password": "secret", **connect}
        device, found = await greeted(
            world, encode_connect(fields.pop("client_id"), version=version, **fields), version
        )
        [connack] = found
        assert connack.reason == (code if version == V311 else reason)
        assert device.is_over
        assert world.door.statistics().connections == 0

    play(scene)


def test_mqtt_3_wants_a_clean_session_without_a_client_id(play):
    async def scene(world):
        for clean, code in ((True, 0), (False, 2)):
            data = encode_connect("", username="d1@acme", password="secret", clean_start=clean)
            _, [connack] = await greeted(world, data, V311)
            assert connack.reason == code

    play(scene)


def test_extended_authentication_is_refused(play):
    async def scene(world):
        data = encode(Connect("c", V5, properties={Property.AUTH_METHOD: "SCRAM"}), V5)
        _, [connack] = await greeted(world, data)
        assert connack.reason == Reason.BAD_AUTH_METHOD

    play(scene)


@pytest.mark.parametrize(
    ("data", "answer"),
    [
        (b"\x10\x0c\x00\x04MQTT\x06\x02\x00\x3c\x00\x00", [Connack(1)]),
        (b"\x10\x0e\x00\x06MQIsdp\x03\x02\x00\x3c\x00\x00", [Connack(1)]),
        (b"\x10\x0c\x00\x04HTTP\x04\x02\x00\x3c\x00\x00", []),
        (b"\x10\x0c\x00\x04MQTT\x04\x03\x00\x3c\x00\x00", []),
        (b"GET / HTTP/1.1\r\n\r\n", []),
        (encode_publish("t", b"{}"), []),
        (b"\x10\xff\xff\xff\x7f", []),
        (b"\x10\xff\xff\xff\xff\x01", []),
        (b"\x11\x00", []),
    ],
)
def test_who_does_not_begin_with_a_good_connect_is_let_go(play, data, answer):
    async def scene(world):
        device, found = await greeted(world, data, V311)
        assert found == answer
        assert device.is_over
        assert world.registry.asked == 0

    play(scene)


def test_what_follows_the_connect_waits_for_its_answer(play):
    async def scene(world):
        world.registry.gate = asyncio.Event()
        device = world.device()
        device.send(
            encode_connect("d1", username="d1@acme", password="secret"),
            encode_publish("t", b'{"a":1}', packet_id=1),
        )
        await world.settle()
        assert not device.transport.reading
        device.send(encode_publish("t", b'{"a":2}', packet_id=2))
        assert world.twins.doors == {}
        world.registry.gate.set()
        await world.settle()
        assert device.transport.reading
        world.log.commit()
        assert device.received() == [Connack(), Ack(4, 1), Ack(4, 2)]

    play(scene)


def test_who_sends_too_much_before_the_answer_is_refused(play):
    async def scene(world):
        world.registry.gate = asyncio.Event()
        device = world.device(V5)
        device.send(encode_connect("d1", username="d1@acme", password="secret", version=V5))
        device.send(b"\x30" * 5000)
        [connack] = device.received()
        assert connack.reason == Reason.QUOTA_EXCEEDED
        world.registry.gate.set()
        await world.settle()
        assert world.door.statistics().connects == 0

    play(scene, packet_bytes_max=4096)


def test_a_peer_that_is_gone_before_the_answer_leaves_nothing_behind(play):
    async def scene(world):
        world.registry.gate = asyncio.Event()
        device = world.device()
        device.send(encode_connect("d1", username="d1@acme", password="secret"))
        await world.settle()
        device.lose()
        world.registry.gate.set()
        await world.settle()
        found = world.door.statistics()
        assert (found.connections, found.handshakes, found.connects) == (0, 0, 0)

    play(scene)


def test_handshakes_are_bounded_and_the_rest_wait(play):
    async def scene(world):
        world.registry.gate = asyncio.Event()
        devices = []
        for n in range(6):
            device = world.device(V5)
            device.send(
                encode_connect(f"d{n}", username=f"d{n}@acme", password="secret", version=V5)
            )
            devices.append(device)
        await world.settle()
        assert world.registry.asked == 2
        assert world.door.statistics().handshakes == 5
        assert devices[5].received()[0].reason == Reason.SERVER_BUSY
        world.registry.gate.set()
        await world.settle()
        await world.settle()
        assert world.door.statistics().connections == 5

    play(scene, handshakes_max=2, handshakes_waiting_max=5)


def test_who_can_be_recognised_at_once_does_not_wait_behind_guesses(play):
    async def scene(world):
        world.registry.gate = asyncio.Event()
        world.registry.known.add("good@acme")
        for n in range(4):
            world.device(V5).send(
                encode_connect(f"g{n}", username=f"g{n}@acme", password="guess", version=V5)
            )
        await world.settle()
        good = world.device(V5)
        good.send(encode_connect("good", username="good@acme", password="secret", version=V5))
        await world.settle()
        assert good.received()[0].reason == 0
        assert world.registry.asked == 2
        world.registry.gate.set()
        await world.settle()

    play(scene, handshakes_max=2)


def test_more_connections_than_allowed_are_closed(play):
    async def scene(world):
        first = await world.connected("d1")
        second = world.device()
        assert second.is_over
        second.lose()
        first.lose()
        third = await world.connected("d1")
        assert not third.is_over

    play(scene, connections_max=1)


def test_a_bug_behind_one_connect_does_not_close_the_door(play):
    async def scene(world):
        reported = []
        asyncio.get_running_loop().set_exception_handler(
            lambda _, context: reported.append(context)
        )
        data = encode_connect("c", username="d1@acme", password="boom", version=V5)
        _, [connack] = await greeted(world, data)
        assert connack.reason == Reason.UNSPECIFIED
        assert isinstance(reported[0]["exception"], RuntimeError)
        assert not (await world.connected("d2")).is_over

    play(scene)


def test_a_second_connection_of_a_client_takes_over_and_the_old_acknowledgements_are_dropped(play):
    async def scene(world):
        old = await world.connected(version=V5)
        old.publish("t", packet_id=1)
        new = await world.connected(version=V5)
        [farewell] = old.received()
        assert farewell.reason == Reason.SESSION_TAKEN_OVER
        world.log.commit()
        assert old.received() == []
        old.lose()
        new.publish("t", packet_id=1)
        world.log.commit()
        assert new.received() == [Ack(4, 1)]
        found = world.door.statistics()
        assert (found.connections, found.taken_over) == (1, 1)

    play(scene)


def test_the_same_client_id_of_another_device_is_another_client(play):
    async def scene(world):
        one = await world.connected("d1", client_id="same")
        two = await world.connected("d2", client_id="same")
        three = await world.connected("d1", client_id="other")
        assert not one.is_over and not two.is_over and not three.is_over

    play(scene)


def test_who_says_nothing_is_let_go_after_the_connect_timeout(play):
    async def scene(world):
        silent, slow = world.device(), world.device()
        connect = encode_connect("d1", username="d1@acme", password="secret")
        for at in range(9):
            slow.send(connect[at : at + 1])
            await world.pass_time(1)
        assert not silent.is_over and not slow.is_over
        await world.pass_time(1.5)
        assert silent.is_over and slow.is_over
        await world.pass_time(3)
        assert silent.transport.aborted and slow.transport.aborted
        assert world.door.statistics().closed_by_reason == {"KEEP_ALIVE_TIMEOUT": 2}

    play(scene)


def test_credentials_that_cannot_be_checked_in_time_are_refused(play):
    async def scene(world):
        world.registry.gate = asyncio.Event()
        device = world.device()
        device.send(encode_connect("d1", username="d1@acme", password="secret"))
        await world.pass_time(15)
        assert not device.is_over
        await world.pass_time(16)
        assert device.received() == [Connack(3)]

    play(scene)


def test_keep_alive_ends_a_silent_connection_after_one_and_a_half(play):
    async def scene(world):
        device = await world.connected(version=V5, keep_alive_s=10)
        for _ in range(5):
            await world.pass_time(10)
            device.send(b"\xc0\x00")
        await world.pass_time(14)
        assert not device.is_over
        await world.pass_time(1.5)
        assert device.received()[-1].reason == Reason.KEEP_ALIVE_TIMEOUT

    play(scene)


def test_a_connection_that_is_gone_does_not_stay_in_memory_until_its_deadline(play):
    async def scene(world):
        gone = []
        for n in range(20):
            device = await world.connected(f"d{n}", version=V5, keep_alive_s=3600)
            gone.append(weakref.ref(device.connection))
            device.lose()
        del device
        await world.settle()
        gc.collect()
        assert not any(reference() for reference in gone)

    play(scene)


def test_without_keep_alive_mqtt_3_may_be_silent_for_ever(play):
    async def scene(world):
        device = await world.connected(keep_alive_s=0)
        for _ in range(10):
            await world.pass_time(10_000)
        assert not device.is_over

    play(scene)


def test_silence_while_the_door_does_not_read_is_not_held_against_the_device(play):
    async def scene(world):
        device = await world.connected(keep_alive_s=10)
        for n in range(1, 5):
            device.publish("t", packet_id=n)
        assert not device.transport.reading
        await world.pass_time(60)
        assert not device.is_over
        world.log.commit()
        await world.pass_time(10)
        assert not device.is_over
        await world.pass_time(10)
        assert device.is_over

    play(scene, pending_records_max=4)


def test_a_packet_that_comes_in_drops_is_not_waited_for(play):
    async def scene(world):
        device = await world.connected(version=V5, keep_alive_s=0)
        data = encode_publish("t", b"{" + b" " * 100, packet_id=1, version=V5)
        for at in range(40):
            if device.is_over:
                break
            device.send(data[at : at + 1])
            await world.pass_time(1)
        assert 20 <= at <= 23
        assert device.received()[-1].reason == Reason.KEEP_ALIVE_TIMEOUT

    play(scene)


def test_a_busy_connection_is_not_late_for_its_half_packets(play):
    async def scene(world):
        device = await world.connected()
        data = encode_publish("t", b'{"a":1}', packet_id=1)
        device.send(data[:5])
        for _ in range(50):
            await world.pass_time(1)
            device.send(data[5:] + data[:5])
            world.log.commit()
        assert not device.is_over

    play(scene)


def test_what_a_peer_sends_after_the_end_does_not_keep_the_socket(play):
    async def scene(world):
        device = await world.connected()
        device.send_packet(Disconnect())
        for _ in range(5):
            device.send(b"\x30" * 100)
            await world.pass_time(0.5)
        assert device.transport.aborted

    play(scene)


@pytest.mark.parametrize(
    ("change", "ended"),
    [
        (RegistryChange("device.deleted", "acme", "d1", ends_access=True), ["d1"]),
        (RegistryChange("device.modified", "acme", "d1", ends_access=False), []),
        (RegistryChange("credentials.modified", "acme", "d2", ends_access=True), ["d2"]),
        (RegistryChange("tenant.modified", "acme", "acme", ends_access=True), ["d1", "d2"]),
        (RegistryChange("tenant.deleted", "other", "other", ends_access=True), []),
        (RegistryChange("user.modified", "", "d1", ends_access=True), []),
    ],
)
def test_devices_that_may_not_be_here_any_more_are_closed(play, change, ended):
    async def scene(world):
        devices = {name: await world.connected(name, V5) for name in ("d1", "d2")}
        world.registry.hooks[0](change)
        assert [name for name, device in devices.items() if device.is_over] == ended
        for name in ended:
            assert devices[name].received()[-1].reason == Reason.ADMINISTRATIVE_ACTION

    play(scene)


def test_the_door_closes_after_acknowledging_what_commits(play):
    async def scene(world):
        device = await world.connected(version=V5)
        waiting = world.device(V5)
        device.publish("t", packet_id=1)

        async def stop() -> None:
            await world.door.close()

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(stop())
            await world.settle()
            device.publish("t", packet_id=2)
            world.log.commit()
            ack, farewell = device.received()
            assert ack.packet_id == 1
            assert farewell.reason == Reason.SERVER_SHUTTING_DOWN
            assert waiting.is_over
            late = world.device(V5)
            late.send(encode_connect("d2", username="d2@acme", password="secret", version=V5))
            assert late.received()[0].reason == Reason.SERVER_SHUTTING_DOWN
            for one in (device, waiting, late):
                one.lose()

    play(scene)


def test_auth_and_wrong_packets_end_the_connection(play):
    async def scene(world):
        device = await world.connected(version=V5)
        device.send_packet(Auth(0x18))
        assert device.received()[-1].reason == Reason.PROTOCOL_ERROR

    play(scene)


def test_a_peer_that_reset_the_connection_does_not_disturb_its_end(play):
    async def scene(world):
        device = await world.connected(version=V5)

        def refuse() -> None:
            raise OSError(107, "not connected")

        device.transport.write_eof = refuse
        device.send(b"\x00\x00")
        assert device.transport.closing

    play(scene)


def test_a_door_that_does_not_run_refuses(play):
    async def scene(world):
        world.door._hub.authenticate = world.door._hub._closed
        device = world.device(V5)
        device.send(encode_connect("d1", username="d1@acme", password="secret", version=V5))
        assert device.received()[0].reason == Reason.SERVER_UNAVAILABLE

    play(scene)


def test_a_closing_door_refuses_who_still_waits_for_an_answer(play):
    async def scene(world):
        world.registry.gate = asyncio.Event()
        device = world.device(V5)
        device.send(encode_connect("d1", username="d1@acme", password="secret", version=V5))
        await world.settle()
        world.tasks.create_task(world.door.close())
        await world.settle()
        assert device.received()[0].reason == Reason.SERVER_SHUTTING_DOWN
        device.lose()
        world.registry.gate.set()

    play(scene)
