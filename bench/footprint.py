"""Start-to-ready and idle memory of an edge node in a venv that holds only ``littoral[edge]``, ready
after SIGKILL under load, and idle memory of a cloud node.

    .venv/bin/python bench/footprint.py [--json] [--python PATH]   # PATH: a venv made before
"""

import contextlib
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter, sleep

import msgspec

from figures import Figure, report
from littoral.app.bench.ingest import littoral_identities, provision
from littoral.app.bench.model import LoadPlan
from littoral.app.bench.node import (
    NodeProcess,
    cloud_process,
    running,
    site_process,
)
from littoral.app.bench.processes import family_pss_mb

ROOT = Path(__file__).resolve().parent.parent
STARTS = 5
IDLE_S = 8.0
LOAD_S = 4.0
DEVICES = 200


def edge_venv(directory: Path) -> str:
    """A fresh venv with nothing but ``littoral[edge]``, installed from this checkout."""
    target = directory / "venv"
    subprocess.run([sys.executable, "-m", "venv", str(target)], check=True)
    python = str(target / "bin" / "python")
    subprocess.run(
        [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", f"{ROOT}[edge]"],
        check=True,
    )
    return python


def start_to_ready(make: Callable[[int], NodeProcess], runs: int) -> list[float]:
    """Seconds from the start of the process until ``/readyz`` says 200, each on an empty log."""
    found = []
    for number in range(runs):
        node = make(number)
        began_at = perf_counter()
        with running(node):
            found.append(perf_counter() - began_at)
    return found


def idle_pss(node: NodeProcess) -> float:
    """Of all processes of a node that has nothing to do."""
    with running(node):
        sleep(IDLE_S)
        return family_pss_mb(node.pid)


def ready_after_kill(directory: Path, python: str) -> float:
    """SIGKILL in the middle of a closed-loop load, start again, until ready."""
    node = cloud_process(directory / "killed", python=python)
    with running(node):
        provision(node, DEVICES)
        plan = LoadPlan(
            "127.0.0.1",
            node.mqtt_port,
            littoral_identities(DEVICES),
            warmup_s=0.0,
            measure_s=10 * LOAD_S,
        )
        generator = subprocess.Popen(
            [sys.executable, "-m", "littoral.app.bench.load"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
        )
        generator.stdin.write(msgspec.json.encode(plan))
        generator.stdin.close()
        sleep(LOAD_S)
        node.kill()
        began_at = perf_counter()
        node.start()
        node.wait_ready()
        took_s = perf_counter() - began_at
        generator.kill()
        generator.wait()
    return took_s


def main() -> None:
    figures = []
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="littoral-bench-")))
        if "--python" in sys.argv:
            python = sys.argv[sys.argv.index("--python") + 1]
        else:
            python = edge_venv(directory)

        def edge(number: int | str) -> NodeProcess:
            return site_process(directory / f"edge-{number}", python=python)

        starts = start_to_ready(edge, STARTS)
        figures.append(
            Figure(
                "edge node, start to ready",
                statistics.median(starts),
                "s",
                1.0,
                detail=f"median of {STARTS}, empty log, venv with only littoral[edge]",
            )
        )
        figures.append(
            Figure(
                "edge node, idle memory",
                idle_pss(edge("idle")),
                "MB",
                60,
                detail="PSS of all its processes",
            )
        )
        kills = [ready_after_kill(directory / str(n), python) for n in range(3)]
        figures.append(
            Figure(
                "node, ready after SIGKILL under load",
                max(kills),
                "s",
                3.0,
                detail=f"worst of {len(kills)}, {LOAD_S:g} s of closed-loop ingest before",
            )
        )
        figures.append(
            Figure(
                "cloud node, idle memory",
                idle_pss(cloud_process(directory / "cloud")),
                "MB",
                100,
                detail="PSS of all its processes",
            )
        )
    report(figures)


if __name__ == "__main__":
    main()
