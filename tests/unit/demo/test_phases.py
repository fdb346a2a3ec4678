"""How the demo's time is shared out."""

from dataclasses import astuple

from littoral.app.demo.phases import AFTER_S_MIN, CALM_S_MIN, plan


def test_the_phases_fill_the_duration():
    assert abs(sum(astuple(plan(80.0, 20.0))) - 80.0) < 0.01


def test_a_longer_outage_takes_from_the_rest_and_not_from_itself():
    phases = plan(80.0, 40.0)
    assert phases.outage_s == 40.0
    assert abs(sum(astuple(phases)) - 80.0) < 0.01


def test_no_phase_is_shorter_than_it_needs():
    phases = plan(1.0, 5.0)
    assert phases.calm_s == CALM_S_MIN
    assert phases.after_cloud_s == AFTER_S_MIN
