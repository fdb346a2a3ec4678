"""How the benchmark's result looks on a terminal: servers side by side, ratios beside targets."""

from rich.console import Console
from rich.table import Table

from littoral.app.bench import peers
from littoral.app.bench.result import NOISE_CORES_MAX, Result, ratio

P99_TARGET_MS = 15.0
RATIO_TARGETS: dict[str, dict[int, float]] = {
    peers.MOSQUITTO: {1: 0.5, 10: 0.8},
    peers.NATS: {10: 0.6},
    peers.NATS_SYNC: {10: 5.0},
}
"""What share of a peer's rate a durable twin must reach, per number in flight. Source: issue 2."""

IN_FLIGHT_SHOWN = (1, 10, 20)


def ingest_table(result: Result, console: Console) -> None:
    """Print the machine, the rates, and Littoral's ratio to every peer."""
    facts = ", ".join(f"{key} {value}" for key, value in result.machine.items())
    console.print(
        f"{result.options.devices} devices, {result.options.payload_bytes}-byte JSON, QoS 1, "
        f"MQTT {'5' if result.options.version == 5 else '3.1.1'}, "
        f"median of {result.options.rounds} interleaved rounds; {facts}",
        highlight=False,
    )
    table = Table(title="acknowledged messages per second")
    table.add_column("server")
    for in_flight in IN_FLIGHT_SHOWN:
        table.add_column(f"{in_flight} in flight", justify="right")
    table.add_column("µs/message\nof server", justify="right")
    table.add_column("ack p99 ms\nat 20,000/s", justify="right")
    table.add_column("errors", justify="right")
    for row in result.rows:
        table.add_row(
            f"{row.name} {row.version}".strip(),
            *(_number(row.per_s(k)) for k in IN_FLIGHT_SHOWN),
            _number(row.server_us(10), ".1f"),
            _number(row.p99_ms(), ",.1f"),
            str(row.errors()),
            style="bold" if row.name == "littoral" else None,
        )
    console.print(table)
    _ratios(result, console)
    others = result.others_cores()
    if others > NOISE_CORES_MAX:
        console.print(
            f"other processes used {others:.1f} cores meanwhile: every rate is too low, and every "
            "latency too high.",
            style="yellow",
            highlight=False,
        )
    for sentence in result.skipped:
        console.print(sentence, style="yellow")


def _ratios(result: Result, console: Console) -> None:
    own = next((row for row in result.rows if row.name == "littoral"), None)
    if own is None:
        return
    table = Table(title="littoral ÷ peer (target)")
    table.add_column("peer")
    for in_flight in IN_FLIGHT_SHOWN:
        table.add_column(f"{in_flight} in flight", justify="right")
    for row in result.rows:
        if row is own:
            continue
        targets = RATIO_TARGETS.get(row.name, {})
        cells = [_ratio_cell(ratio(own, row, k), targets.get(k)) for k in IN_FLIGHT_SHOWN]
        table.add_row(row.name, *cells)
    console.print(table)
    p99 = own.p99_ms()
    if p99 is not None:
        verdict = "green" if p99 <= P99_TARGET_MS else "red"
        console.print(
            f"littoral acknowledgement p99 at 20,000/s: [{verdict}]{p99:.1f} ms[/] "
            f"(target ≤ {P99_TARGET_MS:g} ms)",
            highlight=False,
        )


def _ratio_cell(value: float | None, target: float | None) -> str:
    if value is None:
        return "-"
    if target is None:
        return f"{value:.2f}"
    return f"[{'green' if value >= target else 'red'}]{value:.2f}[/] (≥ {target:g})"


def _number(value: float | None, form: str = ",.0f") -> str:
    return "-" if value is None else format(value, form)
