"""A door with everything around it faked: a log that commits on demand, time that a test moves."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from littoral.eventing import Inbox
from littoral.gateway import Limits
from littoral.gateway.mqtt import (
    V311,
    ClientCodec,
    Packet,
    encode,
    encode_connect,
    encode_publish,
)
from littoral.gateway.mqtt.door import MqttDoor
from littoral.kernel.errors import Forbidden, InvalidJson, LittoralError, Unauthenticated
from littoral.registry import DeviceIdentity, RegistryChange


class Time:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def monotonic_s(self) -> float:
        return self.now_s

    def now_ms(self) -> int:
        return 1_800_000_000_000 + int(self.now_s * 1000)


class Counter:
    """Entropy that a test can foretell."""

    def __init__(self) -> None:
        self.drawn = 0

    def token(self, size: int) -> bytes:
        self.drawn += 1
        return self.drawn.to_bytes(size, "big")

    def uniform(self, low: float, high: float) -> float:
        return (low + high) / 2


class HandLog:
    """Commits when a test says so."""

    def __init__(self) -> None:
        self.batch = 1
        self.registered = 0
        self._open: list[Callable[[LittoralError | None], None]] = []

    def hasten(self) -> None:
        pass

    def on_commit(self, callback: Callable[[LittoralError | None], None]) -> None:
        self.registered += 1
        self._open.append(callback)

    def close_batch(self) -> Callable[[LittoralError | None], None]:
        """Begin a new batch; return what decides the old one."""
        callbacks, self._open = self._open, []
        self.batch += 1

        def decide(error: LittoralError | None = None) -> None:
            for callback in callbacks:
                callback(error)

        return decide

    def commit(self, error: LittoralError | None = None) -> None:
        self.close_batch()(error)


@dataclass
class Stored:
    """A twin's door that keeps what it gets."""

    identity: DeviceIdentity
    calls: list[tuple] = field(default_factory=list)
    ids: set[str] = field(default_factory=set)
    problem: LittoralError | None = None
    response: bytes | None = None

    def telemetry(self, feature, payload, device_time=None, message_id=None, cls=3) -> bool:
        if self.problem is not None:
            raise self.problem
        if not payload.endswith(b"}"):
            raise InvalidJson("this is not JSON.")
        if message_id is not None:
            if message_id in self.ids:
                return False
            self.ids.add(message_id)
        self.calls.append(("telemetry", feature, payload, device_time, message_id, cls))
        return True

    def bulk(self, content_type, payload, *, device_time=None, message_id=None) -> bool:
        self.calls.append(("bulk", content_type, payload, device_time, message_id))
        return True

    def protocol(self, payload, message_id=None) -> bytes | None:
        self.protocol_id = message_id
        self.calls.append(("protocol", payload))
        return self.response


class Registry:
    """Knows every device whose password is ``secret``; ``slow`` ones when they are let go."""

    def __init__(self) -> None:
        self.hooks: list[Callable[[RegistryChange], None]] = []
        self.gate: asyncio.Event | None = None
        self.asked = 0
        self.known: set[str] = set()

    def authenticate_device_nowait(self, username: str, password: str) -> DeviceIdentity | None:
        device, _, tenant = username.partition("@")
        if username not in self.known or password != "secret":
            return None
        return DeviceIdentity(tenant, device, f"org.acme:{device}", f"device:{tenant}:{device}")

    async def authenticate_device(self, username: str, password: str) -> DeviceIdentity:
        self.asked += 1
        if self.gate is not None:
            await self.gate.wait()
        device, _, tenant = username.partition("@")
        if password == "boom":
            raise RuntimeError("a bug")
        if password != "secret":
            raise Unauthenticated("the password is wrong.")
        if tenant == "closed":
            raise Forbidden("the tenant is disabled.")
        return DeviceIdentity(tenant, device, f"org.acme:{device}", f"device:{tenant}:{device}")

    def on_change(self, hook: Callable[[RegistryChange], None]) -> None:
        self.hooks.append(hook)


class Twins:
    def __init__(self) -> None:
        self.doors: dict[str, Stored] = {}

    def door(self, identity: DeviceIdentity) -> Stored:
        return self.doors.setdefault(identity.thing_id, Stored(identity))


class Pipe(asyncio.Transport):
    """A transport that keeps what is written, and remembers what it was told."""

    def __init__(self) -> None:
        super().__init__()
        self.written = bytearray()
        self.writes = 0
        self.reading = True
        self.closing = False
        self.aborted = False
        self.eof = False

    def write(self, data) -> None:
        assert not self.closing
        assert not self.eof
        self.writes += 1
        self.written += data

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.eof = True

    def close(self) -> None:
        self.closing = True

    def abort(self) -> None:
        self.closing = self.aborted = True

    def is_closing(self) -> bool:
        return self.closing

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True


class Device:
    """The client's end of one faked connection."""

    def __init__(self, world: "World", version: int) -> None:
        self.world = world
        self.version = version
        self.transport = Pipe()
        self.codec = ClientCodec(version)
        self.connection = world.door.protocol_factory()
        self.connection.connection_made(self.transport)

    def send(self, *data: bytes) -> None:
        self.connection.data_received(b"".join(data))

    def send_packet(self, packet: Packet) -> None:
        self.send(encode(packet, self.version))

    def publish(self, topic: str, payload: bytes = b'{"a":1}', packet_id: int = 0, **more) -> None:
        self.send(encode_publish(topic, payload, packet_id=packet_id, version=self.version, **more))

    def received(self) -> list[Packet]:
        data = bytes(self.transport.written)
        self.transport.written.clear()
        return self.codec.feed(data)

    def lose(self) -> None:
        self.connection.connection_lost(None)

    @property
    def is_over(self) -> bool:
        return self.transport.eof or self.transport.closing


class World:
    def __init__(self, limits: Limits) -> None:
        self.time = Time()
        self.tasks: asyncio.TaskGroup
        self.log = HandLog()
        self.registry = Registry()
        self.twins = Twins()
        self.inbox = Inbox(self.time)
        self.door = MqttDoor(
            self.log, self.registry, self.twins, self.inbox, self.time, Counter(), limits
        )

    def device(self, version: int = V311) -> Device:
        return Device(self, version)

    async def connected(
        self, name: str = "d1", version: int = V311, *, client_id: str | None = None, **connect
    ) -> Device:
        device = self.device(version)
        device.send(
            encode_connect(
                name if client_id is None else client_id,
                username=f"{name}@acme",
                password="secret",
                version=version,
                **connect,
            )
        )
        await self.settle()
        device.greeting = device.received()
        return device

    def stored(self, name: str = "d1") -> Stored:
        return self.twins.doors[f"org.acme:{name}"]

    async def settle(self) -> None:
        for _ in range(5):
            await asyncio.sleep(0)

    async def pass_time(self, seconds: float) -> None:
        self.time.now_s += seconds
        self.door.tick()
        await self.settle()


@pytest.fixture
def play():
    """Run an async play with a fresh world whose door runs."""

    def run(scene, **limits) -> None:
        async def main() -> None:
            world = World(Limits(**limits))
            async with asyncio.TaskGroup() as tasks:
                world.tasks = tasks
                running = tasks.create_task(world.door.run())
                await world.settle()
                await scene(world)
                running.cancel()

        asyncio.run(main())

    return run
