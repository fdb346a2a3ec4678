"""Somebody else's MQTT client against the door on a real socket, with a real log and twins."""

import asyncio
import contextlib
import json
import os
import socket
import struct
import threading
import time

import paho.mqtt.client as paho
import pytest
import uvloop
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from littoral.eventing import Inbox, Message
from littoral.gateway import Limits, MqttDoor
from littoral.gateway.mqtt import ClientCodec, Disconnect, Reason, encode_connect, encode_publish
from littoral.log import Log
from littoral.log.adapters.committer import InlineCommitter
from littoral.log.adapters.memory import MemoryStore
from littoral.registry import Registry, seed_development
from littoral.registry.adapters.argon2 import InlineArgon2Hasher
from littoral.twin import Caller, Twins

pytestmark = [pytest.mark.real, pytest.mark.slow]

THING = "org.littoral:4711"
WAIT_S = 10.0
RESETS = 200
PERSON = Caller(frozenset({"nginx:ditto"}))
POLICY = {
    "entries": {
        "owner": {
            "subjects": {"nginx:ditto": {"type": "test"}},
            "resources": {
                "thing:/": {"grant": ["READ", "WRITE"], "revoke": []},
                "policy:/": {"grant": ["READ", "WRITE"], "revoke": []},
            },
        }
    }
}


class Clock:
    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic_s(self) -> float:
        return asyncio.get_running_loop().time()


class Entropy:
    def token(self, size: int) -> bytes:
        return os.urandom(size)

    def uniform(self, low: float, high: float) -> float:
        return low


class Node:
    """The part of a node that devices see."""

    def __init__(self, loop, limits: Limits) -> None:
        clock, entropy = Clock(), Entropy()
        self.store = MemoryStore()
        self.log = Log.open(
            store=self.store,
            committer=InlineCommitter(loop),
            clock=clock,
            entropy=entropy,
            node="cloud",
            loop=loop,
        )
        self.registry = Registry(self.log, InlineArgon2Hasher(entropy), clock, entropy)
        seed_development(self.registry)
        self.twins = Twins(self.log, self.registry, clock)
        self.inbox = Inbox(clock)
        self.door = MqttDoor(
            self.log, self.registry, self.twins, self.inbox, clock, entropy, limits
        )
        self.port = 0

    async def seen(self, path: str) -> object:
        return (await self.twins.retrieve(PERSON, THING, path)).value


class Device:
    """A paho client; its callbacks come on paho's thread and are waited for as facts."""

    def __init__(self, node: Node, protocol: int, **options) -> None:
        self.client = paho.Client(
            paho.CallbackAPIVersion.VERSION2, client_id="c1", protocol=protocol, **options
        )
        self.client.username_pw_set("sensor1@DEFAULT_TENANT", "hono-secret")
        self.facts: list[tuple] = []
        self.changed = threading.Condition()
        self.client.on_connect = lambda c, u, f, reason, p: self.note("connect", reason.value, p)
        self.client.on_disconnect = lambda c, u, f, reason, p: self.note("gone", reason.value)
        self.client.on_publish = lambda c, u, mid, reason, p: self.note("ack", mid, reason.value)
        self.client.on_subscribe = lambda c, u, mid, reasons, p: self.note(
            "subscribed", *(r.value for r in reasons)
        )
        self.client.on_message = self.answer
        self.node = node

    def note(self, *fact) -> None:
        with self.changed:
            self.facts.append(fact)
            self.changed.notify_all()

    def answer(self, client, userdata, message) -> None:
        self.note("message", message.topic, message.payload)
        parts = message.topic.split("/")
        if parts[0] == "command" and parts[4]:
            client.publish(f"command///res/{parts[4]}/200", b'{"ok":true}', qos=1)

    def find(self, *prefix) -> tuple:
        with self.changed:
            found = self.changed.wait_for(
                lambda: [f for f in self.facts if f[: len(prefix)] == prefix], WAIT_S
            )
        assert found, (prefix, self.facts)
        return found[-1]

    async def wait(self, *prefix) -> tuple:
        return await asyncio.to_thread(self.find, *prefix)

    async def connect(self) -> tuple:
        await asyncio.to_thread(self.client.connect, "127.0.0.1", self.node.port)
        self.client.loop_start()
        return await self.wait("connect")

    async def close(self) -> None:
        await asyncio.to_thread(self.client.disconnect)
        await asyncio.to_thread(self.client.loop_stop)


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def served(request):
    """Run a scene against a served node, on both loops."""

    def run(scene, **limits) -> None:
        async def main() -> None:
            loop = asyncio.get_running_loop()
            node = Node(loop, Limits(**limits))
            await node.twins.put_policy(PERSON, "org.littoral:default", "/", POLICY)
            server = await loop.create_server(node.door.protocol_factory, "127.0.0.1", 0)
            node.port = server.sockets[0].getsockname()[1]
            async with asyncio.TaskGroup() as tasks:
                running = tasks.create_task(node.door.run())
                await asyncio.sleep(0)
                try:
                    await scene(node)
                finally:
                    server.close()
                    await node.door.close()
                    running.cancel()
            await node.log.close()

        with asyncio.Runner(loop_factory=request.param) as runner:
            runner.run(main())

    return run


BOTH = pytest.mark.parametrize("protocol", [paho.MQTTv311, paho.MQTTv5])


@BOTH
def test_a_fleet_device_publishes_and_its_twin_shows_it(served, protocol):
    async def scene(node):
        device = Device(node, protocol)
        assert (await device.connect())[1] == 0
        infos = [
            device.client.publish("telemetry", json.dumps({"n": n}), qos=1) for n in range(300)
        ]
        for info in infos:
            assert (await device.wait("ack", info.mid))[2] == 0
        acked = [f[1] for f in device.facts if f[0] == "ack"]
        assert acked == sorted(acked)
        device.client.publish("e/?feature=door", b'{"open":true}', qos=1)
        last = device.client.publish("t", b"\x00\x01", qos=1)
        await device.wait("ack", last.mid)
        assert await node.seen("/features/telemetry/properties/n") == 299
        assert await node.seen("/features/door/properties") == {"open": True}
        await device.close()

    served(scene)


@BOTH
def test_a_command_reaches_the_device_and_its_answer_comes_back(served, protocol):
    async def scene(node):
        device = Device(node, protocol)
        await device.connect()
        device.client.subscribe("command///req/#", 1)
        assert (await device.wait("subscribed"))[1] == 1
        reply = await node.inbox.send(
            Message(THING, "halt", b'{"why":"test"}', "application/json"), timeout_s=WAIT_S
        )
        assert (reply.status, reply.payload) == (200, b'{"ok":true}')
        assert (await device.wait("message"))[2] == b'{"why":"test"}'
        await device.close()

    served(scene)


def test_mqtt_5_properties_are_used_and_refusals_are_told(served):
    async def scene(node):
        device = Device(node, paho.MQTTv5)
        told = (await device.connect())[2]
        assert told.ReceiveMaximum == 1024
        assert told.MaximumPacketSize == 65_536
        about = Properties(PacketTypes.PUBLISH)
        about.UserProperty = [("feature", "gps"), ("id", "m1")]
        for _ in range(2):
            info = device.client.publish("t", b'{"lat":1}', qos=1, properties=about)
            assert (await device.wait("ack", info.mid))[2] == 0
        bad = device.client.publish("t", b'{"lat":', qos=1)
        assert (await device.wait("ack", bad.mid))[2] == Reason.PAYLOAD_FORMAT_INVALID
        assert await node.seen("/features/gps/properties") == {"lat": 1}
        await device.close()

    served(scene)


@pytest.mark.parametrize(("protocol", "code"), [(paho.MQTTv311, 134), (paho.MQTTv5, 134)])
def test_wrong_credentials_are_refused(served, protocol, code):
    async def scene(node):
        device = Device(node, protocol)
        device.client.username_pw_set("sensor1@DEFAULT_TENANT", "wrong")
        assert (await device.connect())[1] == code
        await device.close()

    served(scene)


def test_a_disabled_device_is_sent_away(served):
    async def scene(node):
        device = Device(node, paho.MQTTv5)
        await device.connect()
        node.registry.put_device("DEFAULT_TENANT", "4711", enabled=False)
        assert (await device.wait("gone"))[1] == Reason.ADMINISTRATIVE_ACTION
        await device.close()

    served(scene)


def test_a_stopping_node_says_goodbye(served):
    async def scene(node):
        device = Device(node, paho.MQTTv5)
        await device.connect()
        await node.door.close()
        assert (await device.wait("gone"))[1] == Reason.SERVER_SHUTTING_DOWN
        await device.close()

    served(scene)


def test_the_reason_arrives_although_the_peer_was_still_sending(served):
    def send_too_much(port: int) -> bytes:
        with contextlib.closing(socket.create_connection(("127.0.0.1", port))) as peer:
            peer.settimeout(WAIT_S)
            peer.sendall(
                encode_connect(
                    "c1", username="sensor1@DEFAULT_TENANT", password="hono-secret", version=5
                )
            )
            received = peer.recv(1000)
            peer.sendall(encode_publish("t", b"x" * 70_000, packet_id=1, version=5) * 3)
            while data := peer.recv(1000):
                received += data
            return received

    async def scene(node):
        received = await asyncio.to_thread(send_too_much, node.port)
        farewell = ClientCodec(5).feed(received)[-1]
        assert isinstance(farewell, Disconnect)
        assert farewell.reason == Reason.PACKET_TOO_LARGE

    served(scene)


def test_a_silent_socket_and_a_dripping_one_are_closed(served):
    def last_words(port: int, *, drips: bool) -> bytes:
        with contextlib.closing(socket.create_connection(("127.0.0.1", port))) as peer:
            peer.settimeout(0.1)
            for _ in range(100):
                try:
                    if drips:
                        peer.send(b"\x10")
                    data = peer.recv(100)
                except TimeoutError:
                    continue
                except OSError:
                    return b"reset"
                return data
            return b"open"

    async def scene(node):
        assert await asyncio.to_thread(last_words, node.port, drips=False) == b""
        assert await asyncio.to_thread(last_words, node.port, drips=True) in (b"", b"reset")

    served(scene, connect_timeout_s=0.3)


def test_two_hundred_resets_leave_nothing_behind(served):
    def slam(port: int) -> None:
        for _ in range(RESETS):
            peer = socket.create_connection(("127.0.0.1", port))
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            peer.sendall(
                encode_connect("c1", username="sensor1@DEFAULT_TENANT", password="hono-secret")
                + encode_publish("t", b'{"a":1}', packet_id=1)
            )
            peer.close()

    async def scene(node):
        await asyncio.to_thread(slam, node.port)
        hub = node.door._hub
        async with asyncio.timeout(WAIT_S):
            # The kernel hands over connections that are dead already: all of them come and go.
            while hub.peers or hub.closed.total() < RESETS:
                hub.emptied.clear()
                await hub.emptied.wait()
        found = node.door.statistics()
        assert (found.connections, found.handshakes) == (0, 0)

    served(scene)
