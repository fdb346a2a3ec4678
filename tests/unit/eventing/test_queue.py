import asyncio

import pytest

from littoral.eventing import BoundedQueue, Router, record_bytes


def test_a_full_queue_drops_its_oldest_and_says_how_many(world):
    async def main():
        queue = BoundedQueue[str](len, items_max=3, bytes_max=100)
        queue.put(["a", "b"])
        queue.put(["c", "d", "e"])
        taken = await queue.take()
        assert (taken.items, taken.dropped) == (["c", "d", "e"], 2)
        queue.put(["f"])
        assert (await queue.take()).dropped == 0
        assert queue.dropped == 2

    world(main)


def test_a_queue_is_bounded_in_bytes_but_keeps_one_heavy_item(world):
    async def main():
        queue = BoundedQueue[str](len, items_max=10, bytes_max=5)
        queue.put(["aaa", "bbb"])
        assert queue.take_nowait().items == ["bbb"]
        queue.put(["a", "cccccccc"])
        assert queue.take_nowait().items == ["cccccccc"]
        assert len(queue) == 0

    world(main)


def test_a_waiting_reader_wakes_at_the_same_instant_and_ends_when_closed(world):
    async def main():
        loop = asyncio.get_running_loop()
        queue = BoundedQueue[str](len)
        got = []

        async def read():
            async for taken in queue:
                got.append((loop.time(), taken.items))  # noqa: PERF401

        async with asyncio.TaskGroup() as group:
            group.create_task(read())
            await asyncio.sleep(1)
            queue.put(["x"])
            await asyncio.sleep(1)
            queue.put(["y"])
            queue.close()
            queue.put(["late"])
        assert got == [(1, ["x"]), (2, ["y"])]

    world(main)


def test_a_heartbeat_loses_nothing(world):
    async def main():
        queue = BoundedQueue[str](len)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await queue.take()
        queue.put(["x"])
        assert (await queue.take()).items == ["x"]

    world(main)


def test_a_slow_reader_of_the_router_loses_the_oldest_records_only(log, record, world):
    async def main():
        queue = BoundedQueue(record_bytes, items_max=2)
        Router(log).subscribe(queue.put, entity="thing:a:b")
        for seq in range(1, 6):
            log.commit(record(seq))
        taken = queue.take_nowait()
        assert [r.seq for r in taken.items] == [4, 5]
        assert taken.dropped == 3

    world(main)
