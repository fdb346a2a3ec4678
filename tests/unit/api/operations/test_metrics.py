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


def test_each_link_is_told_under_its_peer_and_what_is_unknown_is_left_out():
    links = {
        "plant": {"link": True, "session": True, "backlog_records": 0, "fresh_ms": 12},
        'q"x': {"link": False, "session": False, "backlog_records": 7, "fresh_ms": None},
    }
    assert exposition([], links).decode().splitlines() == [
        "# TYPE littoral_link_up gauge",
        'littoral_link_up{peer="plant"} 1',
        'littoral_link_up{peer="q\\"x"} 0',
        "# TYPE littoral_link_session gauge",
        'littoral_link_session{peer="plant"} 1',
        'littoral_link_session{peer="q\\"x"} 0',
        "# TYPE littoral_link_fresh_ms gauge",
        'littoral_link_fresh_ms{peer="plant"} 12',
        "# TYPE littoral_link_backlog_records gauge",
        'littoral_link_backlog_records{peer="plant"} 0',
        'littoral_link_backlog_records{peer="q\\"x"} 7',
    ]
