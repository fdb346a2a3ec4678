"""Statistics records as Prometheus reads them."""

from dataclasses import dataclass, field

from littoral.api.operations.metrics import exposition


@dataclass(frozen=True)
class Inner:
    depth: int = 3


@dataclass(frozen=True)
class Statistics:
    count: int = 1
    rate: float = 0.5
    ok: bool = True
    name: str = "text is left out"
    missing: None = None
    by_kind: dict[str, int] = field(default_factory=lambda: {'a"b\n': 2})
    inner: Inner = field(default_factory=Inner)


def test_statistics_become_lines_that_prometheus_reads():
    assert exposition([("part", Statistics()), ("raw", {"x-y": 7})]).decode().splitlines() == [
        "# TYPE littoral_part_count gauge",
        "littoral_part_count 1",
        "# TYPE littoral_part_rate gauge",
        "littoral_part_rate 0.5",
        "# TYPE littoral_part_ok gauge",
        "littoral_part_ok 1",
        "# TYPE littoral_part_by_kind gauge",
        'littoral_part_by_kind{of="a\\"b\\n"} 2',
        "# TYPE littoral_part_inner_depth gauge",
        "littoral_part_inner_depth 3",
        "# TYPE littoral_raw_x_y gauge",
        "littoral_raw_x_y 7",
    ]
