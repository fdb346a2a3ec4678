"""Latency buckets, merging of reports, ratios."""

import pytest

from littoral.app.bench.model import LoadReport, bucket_of, merge_reports, quantile_ms
from littoral.app.bench.result import IngestOptions, Result, as_json, ratio


def report(acknowledged, latencies, window_s=2.0):
    buckets = {}
    for latency in latencies:
        buckets[bucket_of(latency)] = buckets.get(bucket_of(latency), 0) + 1
    return LoadReport(10, window_s, acknowledged, 0, 0, (), 0, 1.0, 1.0, 0.1, buckets)


def test_a_percentile_is_right_to_two_percent():
    one = report(1000, [n / 1000 for n in range(1, 1001)])
    assert one.latency_ms(0.5) == pytest.approx(500, rel=0.021)
    assert one.latency_ms(0.99) == pytest.approx(990, rel=0.021)


def test_nothing_measured_has_no_percentile():
    assert quantile_ms({}, 0.5) != quantile_ms({}, 0.5)


def test_generators_that_ran_together_add_up():
    both = merge_reports([report(100, [0.001]), report(300, [0.1])])
    assert both.per_s == 200
    assert both.connections == 20
    assert sum(both.buckets.values()) == 2


def test_ratios_are_taken_per_round_and_only_against_others():
    result = Result({"cores": 2}, IngestOptions())
    own, peer = result.row("littoral"), result.row("mosquitto")
    own.closed[10] = [report(100, []), report(400, []), report(200, [])]
    peer.closed[10] = [report(200, []), report(400, []), report(800, [])]
    assert ratio(own, peer, 10) == 0.5  # of 0.5, 1 and 0.25
    assert ratio(own, own, 10) is None
    shown = as_json(result)
    assert [row["name"] for row in shown["rows"]] == ["littoral", "mosquitto"]
    assert shown["rows"][1]["littoral_ratio"] == {"10": 0.5}
