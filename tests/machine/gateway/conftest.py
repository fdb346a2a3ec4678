"""A door on a loop without sockets, whose log commits in every turn and whose twin takes all."""

import asyncio

import pytest

from littoral.eventing import Inbox
from littoral.gateway import Limits, MqttDoor
from littoral.kernel.errors import InvalidJson, LittoralError
from littoral.registry import DeviceIdentity


class Around:
    """Log, registry, twins, clock and entropy of a door, in one."""

    def __init__(self) -> None:
        self.batch = 1
        self.now_s = 0.0
        self.callbacks = []
        self.stored = []

    def hasten(self) -> None:
        pass

    def on_commit(self, callback) -> None:
        self.callbacks.append(callback)

    def commit(self, error: LittoralError | None = None) -> None:
        self.batch += 1
        callbacks, self.callbacks = self.callbacks, []
        for callback in callbacks:
            callback(error)

    async def authenticate_device(self, username, password) -> DeviceIdentity:
        return DeviceIdentity("acme", "d1", "org.acme:d1", "device:acme:d1")

    def authenticate_device_nowait(self, username, password) -> None:
        return None

    def on_change(self, hook) -> None:
        pass

    def door(self, identity) -> "Around":
        return self

    def telemetry(self, feature, payload, device_time=None, message_id=None, cls=3) -> bool:
        if len(payload) % 7 == 0:
            raise InvalidJson("this one is refused.")
        self.stored.append(payload)
        return True

    def bulk(self, content_type, payload, *, device_time=None, message_id=None) -> bool:
        self.stored.append(payload)
        return True

    def protocol(self, payload, message_id=None) -> bytes:
        self.stored.append(payload)
        return b'{"status":204}'

    def now_ms(self) -> int:
        return 1_800_000_000_000

    def monotonic_s(self) -> float:
        return self.now_s

    def token(self, size) -> bytes:
        return bytes(size)

    def uniform(self, low, high) -> float:
        return low


class Wire(asyncio.Transport):
    """Keeps what is written, and fails on what a transport would not take."""

    def __init__(self) -> None:
        super().__init__()
        self.written = bytearray()
        self.is_over = False

    def write(self, data) -> None:
        assert not self.is_over
        self.written += data

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        assert not self.is_over
        self.is_over = True

    def close(self) -> None:
        self.is_over = True

    abort = close

    def is_closing(self) -> bool:
        return False

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


@pytest.fixture
def on_door():
    """Run an async function with the surroundings, a running door, its inbox, and wires."""

    def run(scene, **limits) -> None:
        async def main() -> None:
            around = Around()
            inbox = Inbox(around)
            door = MqttDoor(around, around, around, inbox, around, around, Limits(**limits))
            async with asyncio.TaskGroup() as tasks:
                running = tasks.create_task(door.run())
                await asyncio.sleep(0)
                await scene(around, door, inbox)
                running.cancel()

        asyncio.run(main())

    run.wire = Wire
    return run
