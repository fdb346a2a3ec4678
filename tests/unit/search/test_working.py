"""Where the index's work is done: trifles on the loop, all else on the worker."""

import pytest

from littoral.search.errors import IndexDamaged, QueryTimeExceeded
from littoral.search.model import INLINE_PAUSE_S, INLINE_S_MAX, QUERY_S_MAX
from littoral.search.working import Question, Workplace


class Desk:
    """A worker that finishes when it is told to, and a clock that work moves on."""

    def __init__(self):
        self.now_s = 100.0
        self.waiting = []
        self.broken = []
        self.workplace = Workplace(self, self, self.broken.append)

    def monotonic_s(self):
        return self.now_s

    def run(self, work, done):
        self.waiting.append((work, done))

    def finish(self):
        work, done = self.waiting.pop(0)
        try:
            work()
        except Exception as e:  # noqa: BLE001  # as a worker does
            done(e)
        else:
            done(None)

    def taking(self, seconds, kind="k"):
        """A question that takes so long."""

        def ask(time_s):
            self.now_s += min(seconds, time_s + 0.001)
            if seconds > time_s:
                raise QueryTimeExceeded("late.")
            return time_s

        return Question(ask, kind)

    async def answer(self, loop, question):
        """Ask; the worker finishes at once, if it is asked."""
        loop.call_soon(lambda: self.waiting and self.finish())
        return await self.workplace.ask(question)


@pytest.fixture
def desk():
    return Desk()


@pytest.fixture
def on_loop():
    import asyncio

    def run(main):
        async def with_loop():
            await main(asyncio.get_running_loop())

        asyncio.run(with_loop())

    return run


def test_a_question_goes_to_the_worker_until_its_kind_was_quick(desk, on_loop):
    async def main(loop):
        assert await desk.answer(loop, desk.taking(0.001)) == QUERY_S_MAX
        assert await desk.answer(loop, desk.taking(0.001)) == INLINE_S_MAX
        assert await desk.answer(loop, desk.taking(0.001, "other")) == QUERY_S_MAX
        assert desk.workplace.inline == 1

    on_loop(main)


def test_a_question_of_no_kind_always_goes_to_the_worker(desk, on_loop):
    async def main(loop):
        for _ in range(3):
            assert await desk.answer(loop, desk.taking(0.0, None)) == QUERY_S_MAX

    on_loop(main)


def test_a_question_that_is_too_long_for_the_loop_goes_to_the_worker_after_all(desk, on_loop):
    async def main(loop):
        await desk.answer(loop, desk.taking(0.001))
        assert await desk.answer(loop, desk.taking(1.0)) == QUERY_S_MAX
        desk.now_s += INLINE_PAUSE_S
        assert await desk.answer(loop, desk.taking(0.001)) == QUERY_S_MAX

    on_loop(main)


def test_after_a_slow_piece_of_work_all_goes_to_the_worker_for_a_while(desk, on_loop):
    async def main(loop):
        def slow():
            desk.now_s += 2 * INLINE_S_MAX

        await desk.workplace.do(slow, small=True)
        assert desk.workplace.inline == 1
        loop.call_later(0.0, lambda: loop.call_soon(desk.finish))
        await desk.workplace.do(lambda: None, small=True)
        desk.now_s += INLINE_PAUSE_S
        await desk.workplace.do(lambda: None, small=True)
        assert desk.workplace.inline == 2

    on_loop(main)


def test_nothing_is_done_on_the_loop_while_the_worker_works(desk, on_loop):
    import asyncio

    async def main(loop):
        order = []
        async with asyncio.TaskGroup() as tasks:
            do = desk.workplace.do
            first = tasks.create_task(do(lambda: order.append("first")))
            await asyncio.sleep(0)
            first.cancel()  # who waited has gone; the worker has not
            tasks.create_task(do(lambda: order.append("second"), small=True))
            for _ in range(3):
                await asyncio.sleep(0)
            assert order == []
            desk.finish()
            desk.finish()
        assert order == ["first", "second"] and desk.workplace.inline == 0

    on_loop(main)


def test_a_damage_is_told_wherever_it_is_found(desk, on_loop):
    async def main(loop):
        def fail():
            raise IndexDamaged("torn.")

        with pytest.raises(IndexDamaged):
            await desk.workplace.do(fail, small=True)
        loop.call_soon(desk.finish)
        with pytest.raises(IndexDamaged):
            await desk.workplace.do(fail)
        assert len(desk.broken) == 2

    on_loop(main)


def test_after_the_end_everything_is_left_to_the_worker(desk, on_loop):
    async def main(loop):
        desk.workplace.close()
        loop.call_later(0.0, lambda: loop.call_soon(desk.finish))
        await desk.workplace.do(lambda: None, small=True)
        assert desk.workplace.inline == 0

    on_loop(main)
