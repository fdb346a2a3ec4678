"""How long one message takes in `data_received`, with a twin that stores nothing.

    python bench/mqtt_codec_bench.py [--messages N]

Parsing, routing, pending acknowledgements and their write are measured; twin, log and socket are
not. Messages carry 150 bytes of JSON.
"""

import argparse
import asyncio
import time
from collections.abc import Callable

from littoral.eventing import Inbox
from littoral.gateway import MqttDoor
from littoral.gateway.mqtt import V5, V311, encode_connect, encode_publish
from littoral.kernel.errors import LittoralError
from littoral.registry import DeviceIdentity

PAYLOAD = b'{"t":21.5,"n":1,"text":"' + b"x" * 124 + b'"}'


class NullTwin:
    def telemetry(self, feature, payload, device_time=None, message_id=None, cls=3) -> bool:
        return True

    def bulk(self, content_type, payload, *, device_time=None, message_id=None) -> bool:
        return True

    def protocol(self, payload, message_id=None) -> None:
        return None


class World:
    """Everything that a door asks for, at no cost."""

    def __init__(self) -> None:
        self.batch = 1
        self.callbacks: list[Callable[[LittoralError | None], None]] = []

    def hasten(self) -> None:
        pass

    def on_commit(self, callback) -> None:
        self.callbacks.append(callback)

    def commit(self) -> None:
        self.batch += 1
        callbacks, self.callbacks = self.callbacks, []
        for callback in callbacks:
            callback(None)

    def door(self, identity) -> NullTwin:
        return NullTwin()

    async def authenticate_device(self, username, password) -> DeviceIdentity:
        return DeviceIdentity("T", "d", "ns:d", "device:T:d")

    def authenticate_device_nowait(self, username, password) -> None:
        return None

    def on_change(self, hook) -> None:
        pass

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic_s(self) -> float:
        return time.monotonic()

    def token(self, size) -> bytes:
        return bytes(size)

    def uniform(self, low, high) -> float:
        return low


class Sink(asyncio.Transport):
    def write(self, data) -> None:
        pass

    def can_write_eof(self) -> bool:
        return False

    def close(self) -> None:
        pass

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


CASES = {
    "3.1.1 telemetry, QoS 1": (V311, "telemetry", {}),
    "3.1.1 t/?feature=gps (bag, remembered)": (V311, "t/?feature=gps", {}),
    "3.1.1 t/?id=… (bag, new each time)": (V311, "t/?id={}", {}),
    "5 telemetry, QoS 1": (V5, "telemetry", {}),
    "5 with feature and content type (remembered)": (
        V5,
        "telemetry",
        {"content_type": "application/json", "user": [("feature", "gps")]},
    ),
    "5 with feature, ts and id (new each time)": (V5, "telemetry", {"user": "numbered"}),
}


async def measure(version: int, topic: str, more: dict, messages: int, buffered: int) -> float:
    """Seconds per message with ``buffered`` messages in each call of data_received."""
    world = World()
    door = MqttDoor(world, world, world, Inbox(world), world, world)
    running = asyncio.create_task(door.run())
    await asyncio.sleep(0)
    connection = door.protocol_factory()
    connection.connection_made(Sink())
    connection.data_received(
        encode_connect("c", username="d@T", password="p", version=version, keep_alive_s=60)
    )
    for _ in range(5):
        await asyncio.sleep(0)
    buffers = []
    number = 0
    for _ in range(min(200, max(1, messages // buffered))):
        buffer = b""
        for _ in range(buffered):
            number += 1
            chosen = dict(more)
            if more.get("user") == "numbered":
                chosen["user"] = [("feature", "gps"), ("ts", "1800000000000"), ("id", str(number))]
            buffer += encode_publish(
                topic.format(number),
                PAYLOAD,
                packet_id=number % 65535 + 1,
                version=version,
                **chosen,
            )
        buffers.append(buffer)
    done = 0
    started = time.perf_counter()
    while done < messages:
        for buffer in buffers:
            connection.data_received(buffer)
            world.commit()
            done += buffered
    spent = time.perf_counter() - started
    assert door.statistics().acknowledged == done
    running.cancel()
    return spent / done


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=200_000)
    options = parser.parse_args()
    print(f"{'us per message':46} {'1':>8} {'10':>8} {'100':>8}   messages in a buffer")
    for name, (version, topic, more) in CASES.items():
        row = [
            asyncio.run(measure(version, topic, more, options.messages, buffered)) * 1e6
            for buffered in (1, 10, 100)
        ]
        print(f"{name:46} {row[0]:8.2f} {row[1]:8.2f} {row[2]:8.2f}")


if __name__ == "__main__":
    main()
