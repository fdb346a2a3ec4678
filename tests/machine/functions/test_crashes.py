import asyncio
import random

import pytest

from littoral.functions.adapters.inline import InlineRunner
from littoral.functions.program import load

SOURCE = """
import asyncio
from littoral.functions import on

@on("attributes/n")
async def first(ctx):
    await asyncio.sleep(ctx.value % 5 / 100)
    ctx.command("a:first", "n", [ctx.value, ctx.event.replayed])

@on("attributes/n", condition="gt(attributes/n,9)")
def second(ctx):
    ctx.merge("a:sum", "/attributes", {f"n{ctx.value}": True})
    ctx.command("a:second", "n", [ctx.value, ctx.event.replayed])
"""


@pytest.mark.parametrize("seed", range(20))
def test_whatever_dies_when_every_event_is_handled_in_order_and_none_is_passed_over(
    seed, node, world, wait_for
):
    """Workers die at random moments; the cursor never passes what is not done."""

    async def main():
        source = random.Random(seed)
        n = node()
        first, second = n.device("a:first"), n.device("a:second")
        runner = InlineRunner(lambda: load("guard.py", SOURCE))
        async with n.running(runner, attempts_max=1000, backoff_s_max=0.1) as host:
            for value in range(60):
                n.twins.write(f"a:{source.randrange(4)}", {"attributes": {"n": value}})
                await asyncio.sleep(source.random() / 20)
                if source.random() < 0.2:
                    runner.kill("a fault")
                handled = {p[0] for p in first.payloads()}
                passed = n.log.cursor("function:guard").position
                done = [r for r in n.log.read(0, limit=10_000) if r.path == "/" and r.seq <= passed]
                numbers = [
                    v for v in range(60) if any(f'{{"n":{v}}}'.encode() in r.value for r in done)
                ]
                assert set(numbers) <= handled
            await wait_for(
                lambda: (
                    {p[0] for p in first.payloads()} == set(range(60))
                    and {p[0] for p in second.payloads()} == set(range(10, 60))
                ),
                within_s=60,
            )
            fresh = [p[0] for p in first.payloads()]
            seen = list(dict.fromkeys(fresh))
            assert seen == list(range(60))
            again = [p for i, p in enumerate(first.payloads()) if p[0] in fresh[:i]]
            assert all(replayed for _, replayed in again)
            await asyncio.sleep(3)
            assert n.twins.things["a:sum"]["attributes"] == {f"n{v}": True for v in range(10, 60)}
            assert n.log.cursor("function:guard").position == n.log.committed
            assert host.statistics().skipped == 0

    world(main, deadline_s=200)
