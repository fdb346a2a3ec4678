"""Every benchmark, one after the other; a table for docs/benchmarks.md.

    .venv/bin/python bench/all.py [--write] [--rounds N]

``--write`` puts the table between the markers of docs/benchmarks.md. A script that fails is a row that
says so; the others still run.
"""

import json
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from figures import HEAD, Figure
from littoral.app.bench import peers
from littoral.app.bench.processes import machine
from littoral.app.bench.table import P99_TARGET_MS, RATIO_TARGETS

HERE = Path(__file__).resolve().parent
DOCUMENT = HERE.parent / "docs" / "benchmarks.md"
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
SCRIPTS = (
    "footprint", "memory", "reaction", "catchup", "twins", "http_bench", "websocket", "fanout",
)  # fmt: skip
INGEST = (
    "import sys; from littoral.app.bench import IngestOptions, run_bench; "
    "sys.exit(run_bench(IngestOptions(rounds=int(sys.argv[1]), json=True)))"
)


def ingest(rounds):
    """The table of servers, and Littoral's ratios as figures."""
    print("ingest …", file=sys.stderr)
    done = subprocess.run(
        [sys.executable, "-c", INGEST, str(rounds)], stdout=subprocess.PIPE, check=False
    )
    if not done.stdout:
        return ["ingest did not finish."], []
    found = json.loads(done.stdout)
    lines = [
        "| server | 1 in flight | 10 in flight | 20 in flight | server µs/message | p99 at 20,000/s |",
        "|---|---|---|---|---|---|",
    ]
    figures, notes = [], []
    for row in found["rows"]:
        rates = " | ".join(shown(row["per_s"].get(k)) for k in ("1", "10", "20"))
        p99 = row["open_loop"]["p99_ms"]
        cost = row["server_us_per_message"].get("10")
        lines.append(
            f"| {row['name']} {row['version']} | {rates} | {shown(cost, '.1f')} "
            f"| {shown(p99, '.1f')}{'' if p99 is None else ' ms'} |"
        )
        for in_flight, target in RATIO_TARGETS.get(row["name"], {}).items():
            ratio = row["littoral_ratio"].get(str(in_flight))
            name = f"ingest ÷ {row['name']}, {in_flight} in flight"
            if ratio is not None:
                figures.append(Figure(name, ratio, "x", target, at_least=True))
            elif row["name"] != "littoral":
                notes.append(f"{name}: the peer acknowledged nothing in the window.")
        if row["name"] == "littoral" and p99 is not None:
            name = "acknowledgement p99 at 20,000/s"
            figures.append(Figure(name, p99, "ms", P99_TARGET_MS, detail="open loop"))
    lines += [
        "",
        f"Other processes used {found['others_cores']} cores meanwhile.",
        *found["skipped"],
    ]
    return lines, figures


def shown(value, form=",.0f"):
    return "-" if value is None else format(value, form)


def figures_of(script):
    print(f"{script} …", file=sys.stderr)
    done = subprocess.run(
        [sys.executable, str(HERE / f"{script}.py"), "--json"], stdout=subprocess.PIPE, check=False
    )
    lines = done.stdout.splitlines()
    if not lines:
        return [f"| {script} | failed (exit code {done.returncode}) | | **no** | |"]
    rows = json.loads(lines[-1])
    for row in rows:
        del row["holds"]
    return [Figure(**row).row() for row in rows]


def main() -> None:
    rounds = int(sys.argv[sys.argv.index("--rounds") + 1]) if "--rounds" in sys.argv else 3
    servers, ratios = ingest(rounds)
    rows = [figure.row() for figure in ratios]
    for script in SCRIPTS:
        rows += figures_of(script)
    facts = ", ".join(f"{key} {value}" for key, value in machine(tempfile.gettempdir()).items())
    when = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    text = "\n".join(
        [
            f"{when}; {facts}.",
            "",
            f"Median of {rounds} interleaved rounds ({peers.NATS_SYNC}: longer windows).",
            "",
            *servers,
            "",
            HEAD,
            *rows,
        ]
    )
    print(text)
    if "--write" in sys.argv:
        before, _, rest = DOCUMENT.read_text().partition(BEGIN)
        DOCUMENT.write_text(f"{before}{BEGIN}\n{text}\n{END}{rest.partition(END)[2]}")


if __name__ == "__main__":
    main()
