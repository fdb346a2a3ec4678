"""What a load is, and what it showed."""

import math

import msgspec

IN_FLIGHT_MAX = 250
"""Messages in flight per connection: packet ids stay in one byte, so that slices can read them."""

BUCKET = 1.02
"""Ratio of neighbouring latency buckets: a percentile is right to 2 %."""


class Identity(msgspec.Struct, frozen=True):
    """One device of the load: who it says it is, and where it publishes."""

    client_id: str
    topic: str
    username: str | None = None
    password: str | None = None


class LoadPlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One run of the generator against one server. ``rate`` None: as fast as it is answered."""

    host: str
    port: int
    identities: tuple[Identity, ...]
    in_flight: int = 10
    version: int = 4
    payload_bytes: int = 150
    rate: float | None = None
    warmup_s: float = 1.0
    measure_s: float = 4.0
    server_pids: tuple[int, ...] = ()
    connect_timeout_s: float = 60.0
    ramp: int = 50
    """Connections being opened at a time."""


class LoadReport(msgspec.Struct, frozen=True):
    """What one run of the generator saw in its window. Latency is counted per bucket."""

    connections: int
    window_s: float
    acknowledged: int
    """In the window."""
    sent_total: int
    acknowledged_total: int
    errors: tuple[str, ...]
    error_count: int
    generator_cpu_s: float
    server_cpu_s: float
    connect_s: float
    buckets: dict[int, int]
    others_cpu_s: float = 0.0
    """Of everything else on the machine in the window: what spoils a measurement."""

    @property
    def per_s(self) -> float:
        return self.acknowledged / self.window_s if self.window_s else 0.0

    def latency_ms(self, quantile: float) -> float:
        """Upper edge of the bucket that holds ``quantile``; NaN if nothing was acknowledged."""
        return quantile_ms(self.buckets, quantile)


def bucket_of(latency_s: float) -> int:
    return math.ceil(math.log(max(latency_s, 1e-6) * 1e6, BUCKET))


def quantile_ms(buckets: dict[int, int], quantile: float) -> float:
    """The latency, in ms, below which ``quantile`` of all counts lie."""
    total = sum(buckets.values())
    wanted = quantile * total
    seen = 0
    for bucket in sorted(buckets):
        seen += buckets[bucket]
        if seen >= wanted:
            return float(BUCKET**bucket / 1000)
    return math.nan


def merge_reports(reports: list[LoadReport]) -> LoadReport:
    """Several generators that ran at the same time against one server, as one."""
    buckets: dict[int, int] = {}
    for report in reports:
        for bucket, count in report.buckets.items():
            buckets[bucket] = buckets.get(bucket, 0) + count
    window_s = sum(r.window_s for r in reports) / len(reports)
    return LoadReport(
        connections=sum(r.connections for r in reports),
        window_s=window_s,
        acknowledged=sum(r.acknowledged for r in reports),
        sent_total=sum(r.sent_total for r in reports),
        acknowledged_total=sum(r.acknowledged_total for r in reports),
        errors=tuple(e for r in reports for e in r.errors)[:20],
        error_count=sum(r.error_count for r in reports),
        generator_cpu_s=sum(r.generator_cpu_s for r in reports),
        server_cpu_s=max(r.server_cpu_s for r in reports),
        connect_s=max(r.connect_s for r in reports),
        buckets=buckets,
        others_cpu_s=_others_s(reports),
    )


def _others_s(reports: list[LoadReport]) -> float:
    """Each generator takes the other ones for strangers; and one alone knows the servers."""
    everything = max(r.others_cpu_s + r.generator_cpu_s + r.server_cpu_s for r in reports)
    known = sum(r.generator_cpu_s for r in reports) + max(r.server_cpu_s for r in reports)
    return max(0.0, everything - known)
