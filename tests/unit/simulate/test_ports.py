"""Clocks, randomness and the committer of virtual nodes."""

import asyncio
import random

import pytest

from littoral.log import LogClosed
from littoral.simulate import EPOCH_MS, SeededEntropy, VirtualClock, VirtualCommitter, run


def test_clocks_run_with_skew_and_drift_and_jump():
    async def main():
        loop = asyncio.get_running_loop()
        right, wrong = VirtualClock(loop), VirtualClock(loop, skew_ms=-500, drift_ppm=1000)
        assert right.now_ms() - EPOCH_MS == 0
        assert wrong.error_ms() == -500
        await asyncio.sleep(1000)
        assert right.error_ms() == 0
        assert wrong.error_ms() == pytest.approx(500, abs=1)
        before_s = wrong.monotonic_s()
        wrong.jump(-60_000)
        assert wrong.error_ms() == pytest.approx(-59_500, abs=1)
        assert wrong.monotonic_s() == before_s

    run(main)


def test_entropy_repeats_with_its_seed():
    one, same, other = (SeededEntropy(random.Random(seed)) for seed in (1, 1, 2))
    token = one.token(16)
    assert len(token) == 16
    assert token == same.token(16) != other.token(16)
    assert 1 <= one.uniform(1, 2) <= 2


def committer(seed=0):
    loop = asyncio.get_running_loop()
    return VirtualCommitter(loop, random.Random(seed), latency_s_max=0.01)


def test_the_committer_runs_one_piece_at_a_time_in_order_and_takes_time():
    async def main():
        seen = []
        one = committer()
        for n in range(3):
            one.run(
                lambda n=n: seen.append(("work", n)), lambda e, n=n: seen.append(("done", n, e))
            )
        assert seen == []
        await asyncio.sleep(1)
        assert seen == [step for n in range(3) for step in (("work", n), ("done", n, None))]

    run(main)


def test_the_committer_hands_over_what_the_work_raised():
    async def main():
        errors = []
        committer().run(lambda: 1 / 0, errors.append)
        await asyncio.sleep(1)
        return errors

    assert isinstance(run(main)[0], ZeroDivisionError)


@pytest.mark.parametrize("after_s", [0, 0.002, 0.004, 0.006, 0.008, 0.02])
def test_closing_the_committer_finishes_what_waits_and_refuses_more(after_s):
    async def main():
        seen = []
        one = committer(seed=5)
        one.run(lambda: seen.append("work"), lambda _: seen.append("done"))
        one.run(lambda: seen.append("work 2"), lambda _: seen.append("done 2"))
        await asyncio.sleep(after_s)
        one.close()
        one.close()
        assert [s for s in seen if s.startswith("work")] == ["work", "work 2"]
        await asyncio.sleep(0)
        assert [s for s in seen if s.startswith("done")] == ["done", "done 2"]
        with pytest.raises(LogClosed):
            one.run(print, print)
        await asyncio.sleep(1)
        assert len(seen) == 4

    run(main)


@pytest.mark.parametrize("after_s", [0, 0.002, 0.004, 0.006])
def test_a_dead_committer_tells_nobody(after_s):
    async def main():
        seen = []
        one = committer(seed=5)
        one.run(lambda: None, lambda _: seen.append("done"))
        one.run(lambda: None, lambda _: seen.append("done 2"))
        await asyncio.sleep(after_s)
        known = len(seen)
        one.die()
        await asyncio.sleep(1)
        assert len(seen) == known

    run(main)
