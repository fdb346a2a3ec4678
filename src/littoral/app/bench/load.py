"""The load generator: N MQTT connections, QoS 1, closed or open loop. A process of its own.

``python -m littoral.app.bench.load < plan.json > report.json``. One core drives more than 150,000
acknowledgements a second, because packets are built beforehand: a message costs a ten-digit
counter and a join, PUBACKs are read by slices, and one read is answered by one write.
"""

import asyncio
import gc
import os
import sys
from array import array
from collections import deque
from time import perf_counter
from typing import cast

import msgspec
import uvloop

from littoral.app.bench import packets
from littoral.app.bench.model import (
    IN_FLIGHT_MAX,
    Identity,
    LoadPlan,
    LoadReport,
    bucket_of,
)
from littoral.app.bench.processes import cpu_seconds, machine_cpu_seconds

ERRORS_KEPT = 10
TICK_S = 0.001
DRAIN_S = 10.0


class Load:
    """What all connections of one run share: the window, the counts, the latencies."""

    def __init__(self, plan: LoadPlan) -> None:
        self.plan = plan
        self.running = False
        self.measuring = False
        self.sent = 0
        self.acknowledged = 0
        self.latencies = array("d")
        self.errors: list[str] = []
        self.error_count = 0

    def error(self, sentence: str) -> None:
        self.error_count += 1
        if len(self.errors) < ERRORS_KEPT:
            self.errors.append(sentence)


class Connection(asyncio.Protocol):
    """One device: connects, then keeps ``in_flight`` messages under way or sends when told to."""

    def __init__(self, load: Load, identity: Identity, ready: asyncio.Future[None]) -> None:
        plan = load.plan
        self._load = load
        self._identity = identity
        self._ready = ready
        self._rest = b""
        self._counter = packets.COUNTER_MIN
        halves = [
            packets.publish_halves(plan.version, identity.topic, slot, plan.payload_bytes)
            for slot in range(1, plan.in_flight + 1)
        ]
        # Slot 0 is no packet id; it is there so that ids index without a subtraction.
        self._heads = [b"", *(head for head, _ in halves)]
        self._tail = halves[0][1]
        self._sent_at = [0.0] * (plan.in_flight + 1)
        self._free = list(range(plan.in_flight, 0, -1))
        self._waiting: deque[float] = deque()
        self._open_loop = plan.rate is not None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are none by inheritance.
        self._transport = cast("asyncio.Transport", transport)
        who = self._identity
        self._transport.write(
            packets.connect(self._load.plan.version, who.client_id, who.username, who.password)
        )

    def connection_lost(self, exc: Exception | None) -> None:
        reason = f"{self._identity.client_id}: connection lost ({exc or 'closed by the server'})"
        self._transport = None
        if not self._ready.done():
            self._ready.set_exception(ConnectionError(reason))
        elif self._load.running:
            self._load.error(reason)

    def data_received(self, data: bytes) -> None:
        if self._rest:
            data = self._rest + data
        if not self._ready.done():
            self._on_connack(data)
            return
        try:
            slots, self._rest = packets.read_pubacks(data)
        except ValueError as e:
            self._load.error(f"{self._identity.client_id}: {e}")
            self.close()
            return
        self._load.acknowledged += len(slots)
        if self._open_loop:
            self._on_acks_open(slots)
        elif self._load.running:
            self._on_acks_closed(slots)
        else:
            self._free.extend(slots)

    def _on_connack(self, data: bytes) -> None:
        if len(data) < 4 or len(data) < 2 + data[1]:
            self._rest = data
            return
        self._rest = b""
        if data[0] != packets.CONNACK or data[3] != 0:
            self._ready.set_exception(ConnectionError(f"CONNACK refuses: {data[:8].hex()}"))
            self.close()
            return
        self._ready.set_result(None)

    def start(self) -> None:
        """Fill the window (closed loop)."""
        slots = list(self._free)
        self._free.clear()
        self._send(slots, [perf_counter()] * len(slots))

    def offer(self, due_at: float) -> None:
        """Send one message that was due at ``due_at`` (open loop), or let it wait for a slot."""
        if self._free:
            self._send([self._free.pop()], [due_at])
        else:
            self._waiting.append(due_at)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    @property
    def outstanding(self) -> int:
        return len(self._heads) - 1 - len(self._free) + len(self._waiting)

    @property
    def is_open(self) -> bool:
        return self._transport is not None

    def _on_acks_closed(self, slots: bytes | list[int]) -> None:
        now = perf_counter()
        load = self._load
        sent_at = self._sent_at
        heads = self._heads
        tail = self._tail
        counter = self._counter
        if load.measuring:
            load.latencies.extend([now - sent_at[slot] for slot in slots])
        parts: list[bytes] = []
        for slot in slots:
            counter += 1
            sent_at[slot] = now
            parts += heads[slot], b"%010d" % counter, tail
        self._counter = counter
        load.sent += len(slots)
        if self._transport is not None:
            self._transport.write(b"".join(parts))

    def _on_acks_open(self, slots: bytes | list[int]) -> None:
        now = perf_counter()
        load = self._load
        if load.measuring:
            load.latencies.extend([now - self._sent_at[slot] for slot in slots])
        self._free.extend(slots)
        while self._waiting and self._free:
            self._send([self._free.pop()], [self._waiting.popleft()])

    def _send(self, slots: list[int], at: list[float]) -> None:
        parts: list[bytes] = []
        for slot, when in zip(slots, at, strict=True):
            self._counter += 1
            self._sent_at[slot] = when
            parts += self._heads[slot], b"%010d" % self._counter, self._tail
        self._load.sent += len(slots)
        if self._transport is not None:
            self._transport.write(b"".join(parts))


async def connect_all(load: Load) -> list[Connection]:
    """Open every connection, ``ramp`` at a time; raise what the first refused one says."""
    plan = load.plan
    loop = asyncio.get_running_loop()
    gate = asyncio.Semaphore(plan.ramp)
    connections: list[Connection] = []

    async def one(identity: Identity) -> None:
        async with gate:
            ready: asyncio.Future[None] = loop.create_future()
            _, connection = await loop.create_connection(
                lambda: Connection(load, identity, ready), plan.host, plan.port
            )
            connections.append(connection)
            await ready

    async with asyncio.timeout(plan.connect_timeout_s), asyncio.TaskGroup() as group:
        for identity in plan.identities:
            group.create_task(one(identity))
    return connections


class Pacer:
    """Offers messages at a fixed rate, round robin, each with the time it was due at."""

    def __init__(self, connections: list[Connection], rate: float) -> None:
        self._connections = connections
        self._rate = rate
        self._started_at = perf_counter()
        self._offered = 0
        self._timer: asyncio.TimerHandle | None = None
        self._tick()

    def _tick(self) -> None:
        due = int((perf_counter() - self._started_at) * self._rate)
        for number in range(self._offered, due):
            connection = self._connections[number % len(self._connections)]
            connection.offer(self._started_at + number / self._rate)
        self._offered = max(due, self._offered)
        self._timer = asyncio.get_running_loop().call_later(TICK_S, self._tick)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()


async def run_load(plan: LoadPlan) -> LoadReport:
    """Connect, warm up, measure a window, drain, report."""
    assert 1 <= plan.in_flight <= IN_FLIGHT_MAX
    load = Load(plan)
    began_at = perf_counter()
    connections = await connect_all(load)
    connect_s = perf_counter() - began_at
    gc.collect()
    gc.freeze()
    load.running = True
    pacer = None
    if plan.rate is not None:
        pacer = Pacer(connections, plan.rate)
    else:
        for connection in connections:
            connection.start()
    await asyncio.sleep(plan.warmup_s)
    load.measuring = True
    opened_at, acknowledged = perf_counter(), load.acknowledged
    own_s, server_s, all_s = _spent(plan)
    await asyncio.sleep(plan.measure_s)
    window_s = perf_counter() - opened_at
    acknowledged = load.acknowledged - acknowledged
    own_s, server_s, all_s = (
        now - before for now, before in zip(_spent(plan), (own_s, server_s, all_s), strict=True)
    )
    load.measuring = load.running = False
    if pacer is not None:
        pacer.stop()
    await _drain(load, connections)
    buckets: dict[int, int] = {}
    for latency in load.latencies:
        bucket = bucket_of(latency)
        buckets[bucket] = buckets.get(bucket, 0) + 1
    return LoadReport(
        connections=len(connections),
        window_s=window_s,
        acknowledged=acknowledged,
        sent_total=load.sent,
        acknowledged_total=load.acknowledged,
        errors=tuple(load.errors),
        error_count=load.error_count,
        generator_cpu_s=own_s,
        server_cpu_s=server_s,
        connect_s=connect_s,
        buckets=buckets,
        others_cpu_s=max(0.0, all_s - own_s - server_s),
    )


def _spent(plan: LoadPlan) -> tuple[float, float, float]:
    """Processor seconds so far: our own, the servers', and the whole machine's."""
    servers = sum(cpu_seconds(pid) for pid in plan.server_pids)
    return cpu_seconds(os.getpid()), servers, machine_cpu_seconds()


async def _drain(load: Load, connections: list[Connection]) -> None:
    deadline = perf_counter() + DRAIN_S
    while perf_counter() < deadline:
        if load.acknowledged >= load.sent and not any(c.outstanding for c in connections):
            break
        if not any(c.is_open for c in connections):
            break
        await asyncio.sleep(0.02)
    if load.acknowledged < load.sent:
        load.error(f"{load.sent - load.acknowledged} messages were not acknowledged")
        load.error_count += load.sent - load.acknowledged - 1
    for connection in connections:
        connection.close()


def main() -> None:
    """Read a plan from stdin, run it, write the report to stdout."""
    plan = msgspec.json.decode(sys.stdin.buffer.read(), type=LoadPlan)
    report = uvloop.run(run_load(plan))
    sys.stdout.buffer.write(msgspec.json.encode(report))


if __name__ == "__main__":
    main()
