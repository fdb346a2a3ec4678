"""Small pure parts: lines, metrics, control frames, options."""

import contextlib
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from littoral.api.control import Feed, parse_control
from littoral.api.metrics import exposition
from littoral.api.ndjson import LineSplitter
from littoral.kernel.errors import LittoralError


@settings(max_examples=50)
@given(st.lists(st.binary(max_size=20).map(lambda b: b.replace(b"\n", b"")), max_size=8), st.data())
def test_lines_are_the_same_however_they_were_cut(lines, data):
    body = b"\n".join(lines)
    limit = 12
    wanted = [None if len(line) > limit else line.strip() for line in lines]
    wanted = [line for line in wanted if line is None or line]
    splitter, got = LineSplitter(limit), []
    while body:
        cut = data.draw(st.integers(1, len(body)))
        got += splitter.feed(body[:cut])
        body = body[cut:]
    got += splitter.end()
    assert got == wanted


def test_a_line_without_end_takes_no_memory():
    splitter = LineSplitter(10)
    got = [line for _ in range(1000) for line in splitter.feed(b"x" * 8)]
    assert got == [None]
    assert list(splitter.feed(b"\nnext\n")) == [b"next"]


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


def test_control_frames_are_read():
    control = parse_control("START-SEND-EVENTS?namespaces=a.b,%20c&correlation-id=1=2&&")
    assert control is not None
    assert (control.feed, control.start) == (Feed.EVENTS, True)
    assert control.selection.namespaces == frozenset({"a.b", "c"})
    assert control.correlation_id == "1=2"
    stop = parse_control(" STOP-SEND-MESSAGES ")
    assert stop is not None and stop.acknowledgement == "STOP-SEND-MESSAGES:ACK"
    assert parse_control("START-SEND-NOTHING") is None


@given(st.text(max_size=60) | st.text(max_size=60).map("START-SEND-EVENTS?".__add__))
def test_any_control_frame_is_read_or_refused(text):
    with contextlib.suppress(LittoralError):
        parse_control(text)
