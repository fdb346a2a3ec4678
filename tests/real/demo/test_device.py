"""A device against a server that follows a script: drops, silences, commands."""

import asyncio
from random import Random

import pytest

from littoral.app.demo.device import Device
from littoral.app.demo.model import DeviceSpec
from littoral.gateway.mqtt import (
    Ack,
    Connack,
    Connect,
    Publish,
    Suback,
    Subscribe,
    Type,
    decode,
    encode,
    encode_publish,
    frame,
)

pytestmark = pytest.mark.real


class Counting:
    """A source whose readings are their numbers."""

    def __init__(self):
        self.commands = []

    def next(self, number):
        return "t", "telemetry", b'{"n":%d}' % number

    def command(self, name, payload):
        self.commands.append(name)
        return {"done": name}


class Broker(asyncio.Protocol):
    """Greets, subscribes, and gives each PUBLISH to the script; acknowledges if it says so."""

    def __init__(self, script):
        self.script = script
        self.tail = b""
        self.version = 4

    def connection_made(self, transport):
        self.transport = transport
        self.script.connections.append(self)

    def data_received(self, data):
        data = self.tail + data
        at = 0
        while (body := frame(data, at, len(data))) is not None and body[1] <= len(data):
            packet = decode(data[at], data, body[0], body[1], self.version)
            at = body[1]
            self.on(packet)
        self.tail = data[at:]

    def on(self, packet):
        match packet:
            case Connect():
                self.version = packet.version
                self.send(Connack())
            case Subscribe():
                self.send(Suback(packet.packet_id, (1,)))
                self.script.subscribed.set()
            case Publish() if not packet.topic.startswith("command"):
                self.script.published.append(packet)
                if self.script.acknowledges:
                    self.send(Ack(Type.PUBACK, packet.packet_id))
                self.script.arrived.set()
            case Publish() | Ack():
                self.script.answers.append(packet)
                self.script.answered.set()
            case _:
                pass

    def send(self, packet):
        self.transport.write(encode(packet, self.version))


class Script:
    def __init__(self):
        self.acknowledges = True
        self.connections, self.published, self.answers = [], [], []
        self.subscribed, self.arrived, self.answered = (asyncio.Event() for _ in range(3))


async def until(event):
    async with asyncio.timeout(5):
        await event.wait()
    event.clear()


def play(version, scenario):
    async def run():
        script, source, reactions = Script(), Counting(), []
        server = await asyncio.get_running_loop().create_server(
            lambda: Broker(script), "127.0.0.1", 0
        )
        port = server.sockets[0].getsockname()[1]
        spec = DeviceSpec(
            site="s",
            name="d-1",
            thing_id="org:d-1",
            username="d-1@t",
            password="p",
            port=port,
            version=version,
            kind="shuttle",
            seed=1,
        )
        device = Device(spec, source, Random(1), reactions.append)
        async with asyncio.TaskGroup() as group:
            task = group.create_task(device.run())
            await until(script.subscribed)
            await asyncio.sleep(0)
            await device.was_ready.wait()
            await scenario(device, script, source, reactions)
            task.cancel()
        server.close()
        for connection in script.connections:
            connection.transport.abort()
        await asyncio.sleep(0)

    asyncio.run(run())


def id_of(publish):
    if "?id=" in publish.topic:
        return publish.topic.partition("?id=")[2].partition("&")[0]
    return next(value for key, value in publish.properties[0x26] if key == "id")


@pytest.mark.parametrize("version", [4, 5])
def test_only_what_was_acknowledged_is_listed(version):
    async def scenario(device, script, source, reactions):
        device.publish()
        await until(script.arrived)
        script.acknowledges = False
        device.publish()
        await until(script.arrived)
        assert device.acknowledged == [1]
        assert device.in_doubt() == (2,)

    play(version, scenario)


@pytest.mark.parametrize("version", [4, 5])
def test_after_a_reconnect_the_same_ids_come_again_in_order_and_marked(version):
    async def scenario(device, script, source, reactions):
        script.acknowledges = False
        for _ in range(3):
            device.publish()
        while len(script.published) < 3:
            await until(script.arrived)
        script.acknowledges = True
        script.connections[-1].transport.abort()
        await until(script.subscribed)
        while len(script.published) < 6:
            await until(script.arrived)
        assert [id_of(p) for p in script.published] == ["1", "2", "3"] * 2
        assert [p.dup for p in script.published] == [False] * 3 + [True] * 3
        while len(device.acknowledged) < 3:  # noqa: ASYNC110  # nor when it has got something
            await asyncio.sleep(0)
        assert device.acknowledged == [1, 2, 3]
        assert device.resent == 3

    play(version, scenario)


@pytest.mark.parametrize("version", [4, 5])
def test_a_command_is_obeyed_answered_and_its_reaction_measured(version):
    async def scenario(device, script, source, reactions):
        device.publish()
        await until(script.arrived)
        command = encode_publish(
            "command///req/r-7/safe-state", b'{"n":1}', packet_id=9, version=version
        )
        script.connections[-1].transport.write(command)
        while len(script.answers) < 2:
            await until(script.answered)
        assert source.commands == ["safe-state"]
        assert script.answers[0].packet_id == 9
        assert script.answers[1].topic == "command///res/r-7/200"
        assert len(reactions) == 1
        assert 0 < reactions[0] < 5000

    play(version, scenario)


def test_readings_wait_while_nobody_is_there():
    async def scenario(device, script, source, reactions):
        script.connections[-1].transport.abort()
        while device.connected:  # noqa: ASYNC110  # the device tells nobody when it is cut off
            await asyncio.sleep(0)
        device.publish()
        assert device.waiting == 1
        await until(script.arrived)
        assert [id_of(p) for p in script.published] == ["1"]
        assert script.published[0].dup is False

    play(4, scenario)
