import asyncio
import itertools
import threading

import pytest

from littoral.simulate import Late, OutsideTheWorld, SimLoop, Stuck, Unhandled, run

forever = itertools.repeat(None)


def test_a_year_passes_at_once():
    async def main():
        await asyncio.sleep(365 * 86400)
        return asyncio.get_running_loop().time()

    assert run(main()) == pytest.approx(365 * 86400)


def test_timers_fire_in_order_and_ready_callbacks_first_in_first_out():
    seen = []

    async def main():
        loop = asyncio.get_running_loop()
        loop.call_later(2, seen.append, "two")
        loop.call_later(1, seen.append, "one")
        for n in range(20):
            loop.call_soon(seen.append, n)
        await asyncio.sleep(3)

    run(main())
    assert seen == [*range(20), "one", "two"]


def test_a_lost_wake_up_is_stuck_and_says_who_waits():
    async def never():
        await asyncio.get_running_loop().create_future()

    with pytest.raises(Stuck, match="never"):
        run(never())


def test_a_busy_loop_is_stuck():
    async def busy():
        for _ in forever:
            await asyncio.sleep(0)

    with pytest.raises(Stuck, match="time stands still"):
        run(busy())


def test_a_run_beyond_its_deadline_is_late():
    async def slow():
        for _ in forever:
            await asyncio.sleep(1)

    with pytest.raises(Late, match="10 virtual seconds"):
        run(slow(), deadline_s=10)


def test_stuck_runs_clean_up_after_themselves():
    cleaned = []

    async def child():
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            cleaned.append("child")

    async def main():
        async with asyncio.TaskGroup() as group:
            group.create_task(child())

    with pytest.raises(Stuck):
        run(main())
    assert cleaned == ["child"]


def test_a_failing_callback_fails_the_run():
    async def main():
        asyncio.get_running_loop().call_soon(lambda: 1 / 0)
        await asyncio.sleep(1)

    with pytest.raises(Unhandled, match="division"):
        run(main())


@pytest.mark.parametrize("what", ["thread", "executor", "socket", "server", "name"])
def test_threads_and_sockets_are_refused(what):
    async def main():
        loop = asyncio.get_running_loop()
        match what:
            case "thread":
                await asyncio.to_thread(print)
            case "executor":
                await loop.run_in_executor(None, print)
            case "socket":
                await asyncio.open_connection("127.0.0.1", 1)
            case "server":
                await asyncio.start_server(print, "127.0.0.1", 0)
            case "name":
                await loop.getaddrinfo("localhost", 1)

    with pytest.raises(OutsideTheWorld):
        run(main())


def test_a_foreign_thread_cannot_wake_the_loop():
    async def main():
        loop = asyncio.get_running_loop()
        errors = []

        def intrude():
            try:
                loop.call_soon_threadsafe(print)
            except OutsideTheWorld as e:
                errors.append(e)

        thread = threading.Thread(target=intrude)
        thread.start()
        thread.join()
        return errors

    assert len(run(main())) == 1


def test_the_seed_is_the_randomness():
    async def draw():
        loop = asyncio.get_running_loop()
        assert isinstance(loop, SimLoop)
        return loop.random.random()

    assert run(draw, seed=7) == run(draw, seed=7) != run(draw, seed=8)


def test_timeouts_and_task_groups_work_on_virtual_time():
    async def main():
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(5):
                await asyncio.sleep(50)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(asyncio.sleep(n, n)) for n in range(5)]
        return [t.result() for t in tasks], asyncio.get_running_loop().time()

    results, time_s = run(main)
    assert results == [0, 1, 2, 3, 4]
    assert time_s == pytest.approx(9)
