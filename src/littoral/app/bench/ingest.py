"""``littoral bench ingest``: durable twin updates beside plain brokers, in one run, interleaved."""

import asyncio
import contextlib
import functools
import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import msgspec
from rich.console import Console

from littoral.app.bench import peers
from littoral.app.bench.model import Identity, LoadPlan, LoadReport, merge_reports
from littoral.app.bench.node import NodeProcess, apply, cloud_process, device, running, tenant
from littoral.app.bench.peers import PeerAbsent, Server, run_generator
from littoral.app.bench.processes import family, machine
from littoral.app.bench.result import OPEN_RATE, IngestOptions, Result, as_json
from littoral.app.bench.table import ingest_table

TENANT = "bench"
NAMESPACE = "org.bench"
IN_FLIGHT = (10, 1, 20)
OPEN_IN_FLIGHT = 100
WIDTH_IN_FILES = 120
SLOW_PEER_S = 12.0
"""NATS syncing every message acknowledges in bursts of seconds; a short window would see none."""


@contextlib.contextmanager
def littoral(devices: int) -> Iterator[Server]:
    """A real cloud node in a process of its own, its devices applied with hashed secrets."""
    with (
        tempfile.TemporaryDirectory(prefix="littoral-bench-") as directory,
        running(cloud_process(Path(directory, "cloud"))) as node,
    ):
        identities = littoral_identities(devices)
        provision(node, devices)
        yield Server("littoral", "", node.mqtt_port, tuple(family(node.pid)), identities)


def names(count: int) -> list[str]:
    """The devices of the load."""
    return [f"device-{number:05d}" for number in range(count)]


def provision(node: NodeProcess, count: int) -> None:
    """Declare the load's tenant and devices, their secrets hashed here."""
    apply(node, [tenant(TENANT, NAMESPACE)])
    apply(node, [device(TENANT, name, f"secret-{name}") for name in names(count)])


def littoral_identities(count: int) -> tuple[Identity, ...]:
    """The load's devices as a Littoral node knows them."""
    return tuple(
        Identity(
            client_id=name,
            topic="telemetry",
            username=f"{name}@{TENANT}",
            password=f"secret-{name}",
        )
        for name in names(count)
    )


Target = Callable[[int], AbstractContextManager[Server]]

TARGETS: dict[str, Target] = {
    "littoral": littoral,
    "mosquitto": peers.mosquitto,
    "nats": functools.partial(peers.nats, sync_always=False),
    "nats-sync": functools.partial(peers.nats, sync_always=True),
    "null": peers.null_server,
}


def measure(
    server: Server, options: IngestOptions, *, in_flight: int, rate: float | None
) -> LoadReport:
    """Run the generators against ``server`` at the same time; return their common report."""
    slow = server.name == peers.NATS_SYNC
    count = options.generators
    plans = [
        LoadPlan(
            host="127.0.0.1",
            port=server.port,
            identities=server.identities[number::count],
            in_flight=in_flight,
            version=options.version,
            payload_bytes=options.payload_bytes,
            rate=rate / count if rate else None,
            warmup_s=2.0 if slow else 1.0,
            measure_s=max(SLOW_PEER_S, options.window_s) if slow else options.window_s,
            server_pids=server.pids if number == 0 else (),
        )
        for number in range(count)
    ]

    async def all_at_once() -> list[bytes]:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(run_generator(msgspec.json.encode(p))) for p in plans]
        return [task.result() for task in tasks]

    answers = asyncio.run(all_at_once())
    return merge_reports([msgspec.json.decode(a, type=LoadReport) for a in answers])


def run_round(result: Result, options: IngestOptions, say: Callable[[str], None]) -> None:
    """Measure every target once, each freshly started."""
    for key, target in TARGETS.items():
        if options.only and key not in options.only:
            continue
        try:
            with target(options.devices) as server:
                row = result.row(server.name)
                row.version = server.version
                # The open loop first: afterwards every server still tidies up what the closed loops left.
                # NATS syncing each message acknowledges some thousands a second: 20,000 would only queue.
                if server.name != peers.NATS_SYNC:
                    report = measure(server, options, in_flight=OPEN_IN_FLIGHT, rate=OPEN_RATE)
                    row.open.append(report)
                    say(
                        f"{server.name}, open loop: {report.per_s:,.0f}/s, "
                        f"p99 {report.latency_ms(0.99):.1f} ms"
                    )
                for in_flight in IN_FLIGHT:
                    report = measure(server, options, in_flight=in_flight, rate=None)
                    row.closed.setdefault(in_flight, []).append(report)
                    say(f"{server.name}, {in_flight} in flight: {report.per_s:,.0f}/s")
        except PeerAbsent as e:
            sentence = f"{key} is left out: {e}"
            if sentence not in result.skipped:
                result.skipped.append(sentence)
                say(sentence)


def run_bench(options: IngestOptions) -> int:
    """Run all rounds; print the table (or JSON); return the exit code: 1 if anything went wrong."""
    errors = Console(stderr=True)
    result = Result(machine(tempfile.gettempdir()), options)
    for number in range(1, options.rounds + 1):
        errors.print(f"round {number} of {options.rounds}", style="bold")
        run_round(result, options, lambda line: errors.print(line, style="dim", highlight=False))
    if options.json:
        sys.stdout.write(json.dumps(as_json(result), indent=2) + "\n")
    else:
        out = Console()
        ingest_table(result, out if out.is_terminal else Console(width=WIDTH_IN_FILES))
    failed = any(row.errors() for row in result.rows if row.name == "littoral")
    return 1 if failed else 0
