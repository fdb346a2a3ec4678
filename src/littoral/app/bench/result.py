"""What the ingest benchmark found: rows of servers, medians over rounds, ratios."""

import statistics
from dataclasses import asdict, dataclass, field

from littoral.app.bench.model import LoadReport

OPEN_RATE = 20_000.0
"""Messages per second of the open loop. Source: issue 2."""


@dataclass(frozen=True, slots=True)
class IngestOptions:
    """What ``bench ingest`` may be told."""

    devices: int = 1000
    rounds: int = 3
    window_s: float = 3.0
    version: int = 4
    generators: int = 1
    payload_bytes: int = 150
    only: tuple[str, ...] = ()
    """Names of targets to run; empty for all."""
    json: bool = False


@dataclass(slots=True)
class Row:
    """All runs of one server."""

    name: str
    version: str = ""
    closed: dict[int, list[LoadReport]] = field(default_factory=dict)
    open: list[LoadReport] = field(default_factory=list)

    def per_s(self, in_flight: int) -> float | None:
        """Median over the rounds."""
        runs = self.closed.get(in_flight)
        return statistics.median(r.per_s for r in runs) if runs else None

    def p99_ms(self) -> float | None:
        return self.open_ms(0.99)

    def open_ms(self, quantile: float) -> float | None:
        """Latency of the open loop; None if it was not run or nothing came back."""
        found = [r.latency_ms(quantile) for r in self.open if r.buckets]
        return statistics.median(found) if found else None

    def errors(self) -> int:
        return sum(r.error_count for runs in self.closed.values() for r in runs) + sum(
            r.error_count for r in self.open
        )

    def server_us(self, in_flight: int) -> float | None:
        """Processor time of the server per acknowledged message."""
        runs = [r for r in self.closed.get(in_flight, ()) if r.acknowledged]
        if not runs:
            return None
        return statistics.median(r.server_cpu_s / r.acknowledged * 1e6 for r in runs)


NOISE_CORES_MAX = 0.1
"""More than this used by strangers, and a figure is marked as spoilt."""


@dataclass(slots=True)
class Result:
    """What a run of the benchmark found."""

    machine: dict[str, str | int]
    options: IngestOptions
    rows: list[Row] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)

    def others_cores(self) -> float:
        """Cores that other processes used while was measured; the median over all windows."""
        runs = [r for row in self.rows for many in (*row.closed.values(), row.open) for r in many]
        return statistics.median(r.others_cpu_s / r.window_s for r in runs) if runs else 0.0

    def row(self, name: str) -> Row:
        for row in self.rows:
            if row.name == name:
                return row
        row = Row(name)
        self.rows.append(row)
        return row


def as_json(result: Result) -> dict[str, object]:
    """The result for programs: medians, every round, ratios of Littoral to each peer."""
    own = result.row("littoral") if any(r.name == "littoral" for r in result.rows) else None
    rows = [_row_json(row, own) for row in result.rows]
    return {
        "machine": result.machine,
        "others_cores": round(result.others_cores(), 2),
        "options": asdict(result.options),
        "rows": rows,
        "skipped": result.skipped,
    }


def ratio(own: Row | None, other: Row, in_flight: int) -> float | None:
    """Littoral's rate divided by the other's: the median of the rounds' ratios.

    A round's two runs stand close together in time, so a busy neighbour spoils both or none; the
    quotient of two medians may take one from a quiet round and one from a busy one.
    """
    if own is None or own is other:
        return None
    pairs = zip(own.closed.get(in_flight, ()), other.closed.get(in_flight, ()), strict=False)
    found = [mine.per_s / theirs.per_s for mine, theirs in pairs if theirs.acknowledged]
    return statistics.median(found) if found else None


def _row_json(row: Row, own: Row | None) -> dict[str, object]:
    return {
        "name": row.name,
        "version": row.version,
        "per_s": {str(k): row.per_s(k) for k in sorted(row.closed)},
        "per_s_rounds": {
            str(k): [round(r.per_s) for r in runs] for k, runs in sorted(row.closed.items())
        },
        "p50_ms": {str(k): _median_ms(runs) for k, runs in sorted(row.closed.items())},
        "open_loop": {
            "rate": OPEN_RATE,
            "per_s": statistics.median(r.per_s for r in row.open) if row.open else None,
            "p50_ms": row.open_ms(0.5),
            "p99_ms": row.p99_ms(),
            "p999_ms": row.open_ms(0.999),
        },
        "server_us_per_message": {str(k): row.server_us(k) for k in sorted(row.closed)},
        "errors": row.errors(),
        "littoral_ratio": {str(k): ratio(own, row, k) for k in sorted(row.closed)},
    }


def _median_ms(runs: list[LoadReport]) -> float | None:
    found = [r.latency_ms(0.5) for r in runs if r.buckets]
    return statistics.median(found) if found else None
