"""What devices tell."""

import json
from random import Random

from littoral.app.demo.model import EVENT, TELEMETRY
from littoral.app.demo.sources import SITE_M, Robot, Shuttle


def test_a_shuttle_replays_rows_round_and_round_and_never_the_label():
    rows = [tuple(range(9)), tuple(range(9, 18))]
    shuttle = Shuttle(rows, Random(1))
    readings = [json.loads(shuttle.next(number)[2]) for number in (1, 2, 3)]
    assert readings[0]["f1"] == readings[2]["f1"] != readings[1]["f1"]
    assert [r["n"] for r in readings] == [1, 2, 3]
    assert "anomaly" not in readings[0]


def test_a_shuttle_in_its_safe_state_says_so():
    shuttle = Shuttle([tuple(range(9))], Random(1))
    assert shuttle.command("safe-state", b"") == {"mode": "safe"}
    assert json.loads(shuttle.next(1)[2])["mode"] == "safe"


def test_robots_stay_in_the_yard_and_never_run_empty():
    robot = Robot(Random(7), 0.2)
    seen = set()
    for number in range(1, 20_000):
        endpoint, feature, payload = robot.next(number)
        body = json.loads(payload)
        seen.add((endpoint, feature))
        if feature == "position":
            assert -1 <= body["x"] <= SITE_M + 1
            assert -1 <= body["y"] <= SITE_M + 1
        if feature == "battery":
            assert 0 < body["percent"] <= 100
    assert seen == {(TELEMETRY, "position"), (TELEMETRY, "battery"), (EVENT, "status")}


def test_a_halted_robot_stays_where_it_is():
    robot = Robot(Random(7), 0.2)
    assert robot.command("stop", b"")["halted"] is True
    places = {robot.next(number)[2][:30] for number in range(1, 4)}
    xs = {json.loads(robot.next(n)[2])["x"] for n in (1, 2, 3)}
    assert len(xs) == 1
    assert places
