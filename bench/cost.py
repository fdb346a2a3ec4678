"""What a message costs a node: CPU time of its threads per acknowledgement, which neighbours disturb least.

    .venv/bin/python bench/cost.py [--window S] [--pure] [1] [10] [20] [100@20000]

A word is messages in flight, after ``@`` a rate (open loop). ``--pure`` keeps the hot path in C out.
"""

import argparse
import os
import threading
from pathlib import Path
from time import sleep

from littoral.app.bench.ingest import littoral, measure
from littoral.app.bench.result import IngestOptions
from littoral.native import PURE_VARIABLE, VARIANT

WARM_UP_S = 1.6
THREADS_SHOWN = 3


def threads(pid: int) -> dict[str, float]:
    """Seconds on a processor of each thread of a process, to the nanosecond."""
    found = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            found[task.name] = int((task / "schedstat").read_text().split()[0]) / 1e9
        except OSError:
            continue
    return found


def cost(pid: int, window_s: float, into: list[float]) -> None:
    """Fill in what the busiest threads used within the window, per second."""
    sleep(WARM_UP_S)
    before = threads(pid)
    sleep(window_s - 1)
    spent = [s - before.get(t, 0.0) for t, s in threads(pid).items()]
    into.extend(s / (window_s - 1) for s in sorted(spent, reverse=True)[:THREADS_SHOWN])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("loads", nargs="*", default=["10", "1", "20", "100@20000"])
    parser.add_argument("--window", type=float, default=3.0)
    parser.add_argument("--devices", type=int, default=1000)
    parser.add_argument("--pure", action="store_true")
    options = parser.parse_args()
    if options.pure:
        os.environ[PURE_VARIABLE] = "1"
    print("hot path:", "pure Python" if options.pure else VARIANT)
    with littoral(options.devices) as server:
        for load in options.loads:
            in_flight, _, rate = load.partition("@")
            used: list[float] = []
            watch = threading.Thread(target=cost, args=(server.pids[0], options.window, used))
            watch.start()
            report = measure(
                server,
                IngestOptions(rounds=1, window_s=options.window),
                in_flight=int(in_flight),
                rate=float(rate) if rate else None,
            )
            watch.join()
            each = " ".join(f"{1e6 * u / report.per_s:5.2f}" for u in used)
            late = " ".join(f"p{q * 100:g} {report.latency_ms(q):.1f}" for q in (0.5, 0.99, 0.999))
            print(
                f"{load:>9}: {report.per_s:8,.0f}/s; µs a message by thread: {each}; ms: {late}; "
                f"others {report.others_cpu_s / report.window_s:.2f} cores",
                flush=True,
            )


if __name__ == "__main__":
    main()
