"""The fleet's process: ``python -m littoral.app.demo.fleet``.

First line of standard input: the `FleetPlan`. Then it publishes, and writes a `FleetLine` to
standard output twice a second. The line ``drain`` ends the publishing; when everything taken is
acknowledged (or time is up) the `FleetReport` is in the plan's file and the process ends.
"""

import asyncio
import sys
from pathlib import Path
from random import Random
from time import monotonic

import msgspec
import uvloop

from littoral.app.bench.processes import die_with_parent
from littoral.app.demo.device import Device
from littoral.app.demo.model import (
    Acknowledged,
    DeviceSpec,
    FleetLine,
    FleetPlan,
    FleetReport,
    FleetStatus,
    Reaction,
)
from littoral.app.demo.sources import Robot, Shuttle, Source, load_rows
from littoral.app.demo.verdict import quantiles

STATUS_S = 0.5
TICK_S = 0.01
DRAIN_S = 60.0
REACTIONS_SHOWN = 200
LINE_BYTES_MAX = 16 * 1024 * 1024


class Fleet:
    """All devices of the plan, published by one clock."""

    def __init__(self, plan: FleetPlan) -> None:
        self._plan = plan
        self.reactions: list[Reaction] = []
        self.publishing = False
        rows = load_rows(Path(plan.data_file))
        self.devices = [self._device(spec, rows) for spec in plan.devices]

    def _device(self, spec: DeviceSpec, rows: list[tuple[int, ...]]) -> Device:
        random = Random(spec.seed)  # noqa: S311  # a robot's way is no secret
        source: Source
        if spec.kind == "shuttle":
            source = Shuttle(rows, random)
        else:
            source = Robot(random, 1 / self._plan.rate_per_device)

        def on_reaction(latency_ms: float) -> None:
            self.reactions.append(Reaction(spec.site, monotonic(), latency_ms))

        return Device(spec, source, random, on_reaction)

    async def pace(self) -> None:
        """Let every device publish at its rate, evenly spread over the period."""
        rate = self._plan.rate_per_device * len(self.devices)
        async with asyncio.TaskGroup() as group:
            for device in self.devices:
                group.create_task(device.was_ready.wait())
        self.publishing = True
        started_at, offered = monotonic(), 0
        while self.publishing:
            due = int((monotonic() - started_at) * rate)
            for number in range(offered, due):
                self.devices[number % len(self.devices)].publish()
            offered = due
            await asyncio.sleep(TICK_S)

    async def watch(self) -> None:
        """Write the status, and let devices look at their clocks."""
        while True:
            for device in self.devices:
                device.tick()
            write(FleetLine(self.statuses()))
            await asyncio.sleep(STATUS_S)

    async def drain(self) -> None:
        """Wait until everything taken is acknowledged."""
        self.publishing = False
        deadline = monotonic() + DRAIN_S
        while monotonic() < deadline:
            if not any(d.in_flight or d.waiting for d in self.devices):
                return
            await asyncio.sleep(TICK_S)

    def statuses(self) -> tuple[FleetStatus, ...]:
        """One per site."""
        return tuple(
            self._status(site) for site in dict.fromkeys(d.spec.site for d in self.devices)
        )

    def _status(self, site: str) -> FleetStatus:
        devices = [d for d in self.devices if d.spec.site == site]
        recent = [r.latency_ms for r in self.reactions[-4 * REACTIONS_SHOWN :] if r.site == site]
        reaction = quantiles(recent[-REACTIONS_SHOWN:])
        return FleetStatus(
            site=site,
            devices=len(devices),
            connected=sum(d.connected for d in devices),
            published=sum(d.published for d in devices),
            acknowledged=sum(len(d.acknowledged) for d in devices),
            in_flight=sum(d.in_flight for d in devices),
            waiting=sum(d.waiting for d in devices),
            resent=sum(d.resent for d in devices),
            commands=sum(d.commands for d in devices),
            reaction_p50_ms=reaction.p50,
            reaction_p99_ms=reaction.p99,
        )

    def report(self) -> FleetReport:
        """What the verdict needs."""
        problems = [f"{d.spec.name}: {d.problem}" for d in self.devices if d.problem]
        return FleetReport(
            acknowledged=tuple(
                Acknowledged(d.spec.thing_id, tuple(d.acknowledged), d.in_doubt())
                for d in self.devices
            ),
            reactions=tuple(self.reactions),
            resent=sum(d.resent for d in self.devices),
            commands=sum(d.commands for d in self.devices),
            dropped=sum(d.dropped for d in self.devices),
            problems=tuple(problems[:20]),
        )


def write(line: FleetLine) -> None:
    """One line for the parent."""
    sys.stdout.buffer.write(msgspec.json.encode(line) + b"\n")
    sys.stdout.buffer.flush()


async def run_fleet() -> None:
    """Read the plan, run until told to drain, leave the report."""
    loop = asyncio.get_running_loop()
    orders = asyncio.StreamReader(limit=LINE_BYTES_MAX)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    plan = msgspec.json.decode(await orders.readline(), type=FleetPlan)
    fleet = Fleet(plan)
    tasks: list[asyncio.Task[None]] = []
    async with asyncio.TaskGroup() as group:
        tasks += [group.create_task(device.run()) for device in fleet.devices]
        tasks.append(group.create_task(fleet.watch()))
        pacer = group.create_task(fleet.pace())
        await orders.readline()
        if pacer.done():
            await pacer
        await fleet.drain()
        pacer.cancel()
        for task in tasks:
            task.cancel()
    _leave(plan.report_file, fleet.report())
    write(FleetLine(fleet.statuses(), drained=True))


def _leave(file: str, report: FleetReport) -> None:
    Path(file).write_bytes(msgspec.json.encode(report))


def main() -> None:
    die_with_parent()
    uvloop.run(run_fleet())


if __name__ == "__main__":
    main()
