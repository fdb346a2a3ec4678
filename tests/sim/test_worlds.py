"""Whole worlds: cloud, two sites and devices under faults; a seed is a world.

``make sim SEEDS=5000`` runs more of them. Every seed that finds a bug becomes a named test below,
or, better, a test of the part that had the bug.
"""

import pytest

from littoral.edge.teller import Teller
from littoral.simulate.world import run_world


def live(seed, **options):
    """Run the world of ``seed`` to its end; a failure says how to see it again."""
    kind = " --forgetful" if options.get("forgetful") else ""
    replay = f"replay: .venv/bin/python -m littoral.simulate {seed}{kind} --trace"
    try:
        verdict = run_world(seed, **options)
    except BaseException as error:
        error.add_note(replay)
        raise
    if not verdict.ok:
        pytest.fail(f"{verdict}\n{replay}", pytrace=False)
    return verdict


@pytest.mark.slow
def test_nothing_is_lost_repeated_or_unequal_and_everything_arrives(world_seed):
    # In every fourth world clocks may be so wrong that the link refuses their stamps.
    live(world_seed, far_clocks=world_seed % 4 == 0)


@pytest.mark.parametrize("seed", [3, 7])
def test_the_same_seed_is_the_same_world(seed):
    traces = [[], []]
    for trace in traces:
        live(seed, trace=trace.append)
    assert traces[0] == traces[1]
    assert len(traces[0]) > 10


def test_the_worlds_are_worth_running():
    verdicts = [live(seed) for seed in range(10, 30)]
    assert sum(v.acknowledged for v in verdicts) > 500
    assert sum(v.boots for v in verdicts) > 70
    assert sum(v.conflicts for v in verdicts) > 0
    assert sum(v.answered for v in verdicts) > 0
    assert sum(v.letters for v in verdicts) > 20


@pytest.mark.slow
def test_who_comes_when_records_are_gone_is_told_what_they_came_to(world_seed):
    # Logs keep half a second and a few kilobytes; sites come late, and miss what is forgotten.
    live(world_seed, forgetful=True)


def test_forgetful_worlds_are_worth_running(monkeypatch):
    told = []
    begin = Teller.begin

    def counted(self, *args, **more):
        told.append(begin(self, *args, **more))
        return told[-1]

    monkeypatch.setattr(Teller, "begin", counted)
    for seed in range(10):
        live(seed, forgetful=True)
    assert sum(told) > 10
