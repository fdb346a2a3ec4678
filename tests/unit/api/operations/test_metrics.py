"""Statistics records as Prometheus reads them."""

from dataclasses import dataclass, field

import pytest

from littoral.api.operations.metrics import COUNTERS, exposition
from littoral.edge import LinkStatistics
from littoral.eventing import (
    AckStatistics,
    InboxStatistics,
    LiveStatistics,
    MailboxStatistics,
    RouterStatistics,
)
from littoral.gateway import DoorStatistics
from littoral.identity import IdentityStatistics
from littoral.log import LogStatistics
from littoral.registry import RegistryStatistics
from littoral.search import IndexStatistics
from littoral.twin import TwinStatistics


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


def test_what_only_grows_is_a_counter():
    links = {"plant": {"session": True, "sent_records": 3}}
    text = exposition([("twins", {"loads": 1, "hot": 2, "refused": {"x": 1}})], links).decode()
    assert [line for line in text.splitlines() if line.startswith("#")] == [
        "# TYPE littoral_twins_loads counter",
        "# TYPE littoral_twins_hot gauge",
        "# TYPE littoral_twins_refused counter",
        "# TYPE littoral_link_session gauge",
        "# TYPE littoral_link_sent_records counter",
    ]


@pytest.mark.parametrize(
    ("part", "record"),
    [
        ("acks", AckStatistics), ("identities", IdentityStatistics), ("inbox", InboxStatistics),
        ("link", LinkStatistics), ("live", LiveStatistics), ("log", LogStatistics),
        ("mailbox", MailboxStatistics), ("mqtt", DoorStatistics), ("registry", RegistryStatistics),
        ("router", RouterStatistics), ("search", IndexStatistics), ("twins", TwinStatistics),
    ],
)  # fmt: skip
def test_every_counter_is_a_member_of_its_record(part, record):
    prefix = f"littoral_{part}_"
    counted = {one.removeprefix(prefix) for one in COUNTERS if one.startswith(prefix)}
    assert counted
    assert counted <= set(record.__annotations__)
