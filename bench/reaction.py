"""Site reaction: a sensor publishes, a function sees it, a command arrives at another device.

500 messages a second in all, open loop; latency runs from the sensor's publish until the command's
bytes are read by the other device, on one clock. (The sender's own timers are a millisecond coarse:
counted from the time a message was due, p50 is 1 to 2 ms higher, and says nothing about the site.)

    .venv/bin/python bench/reaction.py [--json]
"""

import asyncio
import sys
import tempfile
from pathlib import Path
from random import Random
from time import monotonic

import orjson
import uvloop

from figures import Figure, report
from littoral.app.bench.ingest import NAMESPACE, TENANT
from littoral.app.bench.node import apply, cloud_process, device, running, tenant
from littoral.app.demo.device import Device
from littoral.app.demo.model import TELEMETRY, DeviceSpec
from littoral.app.demo.verdict import quantiles

PAIRS = 50
RATE = 500.0
WARMUP_S = 3.0
MEASURE_S = 12.0
TICK_S = 0.001


class Sensor:
    """Counts over all sensors, so that a number names one message."""

    def __init__(self, sent_at):
        self._sent_at = sent_at

    def next(self, number):
        total = len(self._sent_at)
        return TELEMETRY, "telemetry", orjson.dumps({"n": total, "temperature": 21.5})

    def command(self, name, payload):
        return {}


class Actuator:
    """Notes when a command arrives for which message."""

    def __init__(self, sent_at, latencies_ms):
        self._sent_at = sent_at
        self._latencies_ms = latencies_ms

    def next(self, number):
        return TELEMETRY, "telemetry", b'{"ready":true}'

    def command(self, name, payload):
        now = monotonic()
        number = orjson.loads(payload)["n"]
        self._latencies_ms[number] = (now - self._sent_at[number - 1]) * 1000
        return {}


def spec(name, port):
    return DeviceSpec(
        site="bench",
        name=name,
        thing_id=f"{NAMESPACE}:{name}",
        username=f"{name}@{TENANT}",
        password=f"secret-{name}",
        port=port,
        version=5,
        kind="bench",
        seed=1,
    )


async def drive(port):
    sent_at, latencies_ms = [], {}
    sensors = [
        Device(spec(f"sensor-{n:03d}", port), Sensor(sent_at), Random(n), lambda _: None)
        for n in range(PAIRS)
    ]
    actuators = [
        Device(
            spec(f"actuator-{n:03d}", port),
            Actuator(sent_at, latencies_ms),
            Random(n),
            lambda _: None,
        )
        for n in range(PAIRS)
    ]
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(d.run()) for d in (*actuators, *sensors)]
        for one in (*actuators, *sensors):
            await one.was_ready.wait()
        for one in actuators:
            one.publish()  # A device's first message makes its thing.
        started_at = monotonic()
        while (elapsed_s := monotonic() - started_at) < WARMUP_S + MEASURE_S:
            while len(sent_at) < int(elapsed_s * RATE):
                number = len(sent_at)
                sent_at.append(monotonic())
                sensors[number % PAIRS].publish()
            await asyncio.sleep(TICK_S)
        await asyncio.sleep(1.0)
        for task in tasks:
            task.cancel()
    first = int(WARMUP_S * RATE)
    measured = [value for number, value in latencies_ms.items() if number > first]
    return quantiles(measured), len(sent_at) - first


def main():
    function = Path(__file__).parent / "functions" / "relay.py"
    with tempfile.TemporaryDirectory(prefix="littoral-bench-") as directory:
        node = cloud_process(Path(directory, "node"))
        node.environment = {"LITTORAL_FUNCTIONS__FILES": str(function)}
        with running(node):
            apply(node, [tenant(TENANT, NAMESPACE)])
            kinds = ("sensor", "actuator")
            names = [f"{kind}-{n:03d}" for kind in kinds for n in range(PAIRS)]
            apply(node, [device(TENANT, name, f"secret-{name}") for name in names])
            found, sent = uvloop.run(drive(node.mqtt_port))
    missing = sent - found.count
    detail = f"{RATE:g} messages/s, {found.count} reactions, {missing} missing, p50 {found.p50} ms"
    report([Figure("site reaction, p99", found.p99 or float("inf"), "ms", 5.0, detail=detail)])
    sys.exit(1 if missing > sent / 100 else 0)


if __name__ == "__main__":
    main()
