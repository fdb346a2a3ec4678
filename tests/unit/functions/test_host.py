import asyncio
import contextlib

import orjson
import pytest

from littoral.functions.host import FunctionState
from littoral.functions.model import EVENTS_IN_FLIGHT_MAX
from littoral.kernel.limits import HOPS_MAX
from littoral.log import CursorLost, LogFull, RecordClass
from littoral.log.adapters.memory import MemoryStore

GUARD = """
from littoral.functions import on

@on("features/telemetry/properties/f1",
    condition="gt(features/telemetry/properties/f1,80)", things="org.littoral:*")
def guard(ctx):
    ctx.command(ctx.thing_id, "safe-state", {"f1": ctx.value, "replayed": ctx.event.replayed})
"""


def test_a_reading_over_the_limit_becomes_a_command_in_the_same_instant(node, world, wait_for):
    async def main():
        n = node()
        device = n.device("org.littoral:4711")
        async with n.running(GUARD) as host:
            loop = asyncio.get_running_loop()
            n.twins.reading("org.littoral:4711", f1=80)
            n.twins.reading("org.littoral:4711", f1=81, f2=3)
            n.twins.reading("org.littoral:4711", f2=3)
            n.twins.reading("other:4711", f1=99)
            await wait_for(lambda: host.statistics().commands == 1)
            assert loop.time() <= 0.001
            assert device.payloads() == [{"f1": 81, "replayed": False}]
            [message] = device.got
            assert message.subject == "safe-state" and message.content_type == "application/json"
            assert message.subjects == {"function:site:guard"}
            assert not message.response_required

    world(main)


def test_each_reading_of_a_burst_is_judged_by_its_own_value(node, world, wait_for):
    async def main():
        n = node()
        device = n.device("org.littoral:1")
        async with n.running(GUARD) as host:
            for f1 in (90, 10, 91, 11):
                n.twins.reading("org.littoral:1", f1=f1)
            await wait_for(lambda: host.statistics().commands == 2)
            assert [p["f1"] for p in device.payloads()] == [90, 91]

    world(main)


def test_after_a_restart_what_was_not_handled_comes_again_flagged_as_replayed(
    node, world, wait_for
):
    async def main():
        store = MemoryStore()
        n = node(store)
        async with n.running(GUARD) as host:
            n.device("org.littoral:1")
            n.twins.reading("org.littoral:1", f1=90)
            await wait_for(lambda: host.statistics().commands == 1)
        n.twins.reading("org.littoral:1", f1=91)  # nobody is there
        await n.log.close()
        n = node(store)
        device = n.device("org.littoral:1")
        n.twins.things["org.littoral:1"] = {}
        async with n.running(GUARD) as host:
            await wait_for(lambda: host.statistics().commands == 1)
            n.twins.reading("org.littoral:1", f1=92)
            await wait_for(lambda: host.statistics().commands == 2)
            assert device.payloads() == [
                {"f1": 91, "replayed": True},
                {"f1": 92, "replayed": False},
            ]

    world(main)


def test_a_new_function_begins_with_what_happens_from_now_on(node, world, wait_for):
    async def main():
        n = node()
        device = n.device("org.littoral:1")
        n.twins.reading("org.littoral:1", f1=90)
        await n.log.wait()
        async with n.running(GUARD) as host:
            n.twins.reading("org.littoral:1", f1=91)
            await wait_for(lambda: host.statistics().commands == 1)
            assert [p["f1"] for p in device.payloads()] == [91]

    world(main)


def test_the_cursor_moves_lazily_and_once_for_many_events(node, world, wait_for):
    async def main():
        n = node()
        n.device("org.littoral:1")
        async with n.running(GUARD) as host:
            for f1 in range(100):
                n.twins.reading("org.littoral:1", f1=f1)
            await wait_for(lambda: host.statistics().commands == 19)
            cursor = n.log.cursor("function:guard")
            assert cursor.position == 0
            await asyncio.sleep(2)
            assert cursor.position == n.log.committed

    world(main)


def test_a_handler_that_raises_is_reported_and_the_next_event_runs(node, world, wait_for):
    source = """
from littoral.functions import on
@on("attributes/n")
def fragile(ctx):
    if ctx.value == 1:
        raise ValueError("one")
    ctx.log(ctx.value)
    ctx.alarm("two", severity="critical", n=ctx.value)
"""

    async def main():
        n = node()
        async with n.running(source) as host:
            n.twins.write("a:b", {"attributes": {"n": 1}})
            n.twins.write("a:b", {"attributes": {"n": 2}})
            await wait_for(lambda: host.statistics().alarms == 1)
            s = host.statistics()
            assert (s.failed, s.restarts, s.state) == (1, 0, FunctionState.RUNNING)
            assert s.problem == "fragile: ValueError: one (line 6)"
            await n.log.wait()
            assert n.reports == [("function.failed", "fragile raised ValueError: one (line 6)")]
            [alarm] = n.log.read(0, limit=10, cls=RecordClass.ALARM)
            assert (alarm.kind, alarm.entity) == ("alarm.raised", "alarm:a:b")
            assert orjson.loads(alarm.value)["facts"] == {"n": 2}

    world(main)


def test_a_file_with_a_syntax_error_is_told_clearly_and_the_node_lives(node, world, wait_for):
    async def main():
        n = node()
        sources = ["def broken(:\n    pass", GUARD]
        runner_source = iter(sources)
        from littoral.functions.adapters.inline import InlineRunner
        from littoral.functions.program import load

        runner = InlineRunner(lambda: load("guard.py", next(runner_source)))
        async with n.running(runner) as host:
            s = host.statistics()
            assert s.state is FunctionState.BROKEN
            assert s.problem.startswith("guard.py, line 1: invalid syntax: 'def broken(:'")
            n.twins.reading("org.littoral:1", f1=90)
            await n.log.wait()
            host.reload()
            device = n.device("org.littoral:1")
            await wait_for(lambda: host.statistics().commands == 1)
            assert host.statistics().state is FunctionState.RUNNING
            assert len(device.got) == 1

    world(main)


def test_a_timer_ticks_on_its_beat_and_merges_as_the_function(node, world, wait_for):
    source = """
from littoral.functions import every
count = 0
@every("5s")
def summary(ctx):
    global count
    count += 1
    ctx.merge("org.littoral:site", "/", {"attributes": {"ticks": count}})
"""

    async def main():
        n = node()
        async with n.running(source) as host:
            await asyncio.sleep(17)
            assert n.twins.things["org.littoral:site"] == {"attributes": {"ticks": 3}}
            assert {c.hops for c in n.twins.callers} == {1}
            assert {s for c in n.twins.callers for s in c.subjects} == {"function:site:guard"}
            assert host.statistics().merges == 3

    world(main)


def test_functions_that_answer_one_another_are_cut_off(node, world, wait_for):
    source = """
from littoral.functions import on
@on("attributes/n")
def again(ctx):
    ctx.merge(ctx.thing_id, "/attributes", {"n": ctx.value + 1})
"""

    async def main():
        n = node()
        async with n.running(source) as host:
            n.twins.write("a:b", {"attributes": {"n": 0}})
            await wait_for(lambda: host.statistics().loops_cut == 1)
            assert n.twins.things["a:b"] == {"attributes": {"n": HOPS_MAX}}
            await n.log.wait()
            assert [kind for kind, _ in n.reports] == ["function.loop"]

    world(main)


def test_what_a_function_may_not_do_is_refused_and_reported(node, world, wait_for):
    source = """
from littoral.functions import on
@on("attributes/n")
def curious(ctx):
    ctx.command("a:closed", "hello")
    ctx.command("not an id", "hello")
    ctx.command("a:b", "not/", lifetime_s=1)
    ctx.merge("a:closed", "/attributes", {"x": 1})
    ctx.log(ctx.get("a:b")["attributes"]["n"])
    assert ctx.get("a:missing") is None
"""

    async def main():
        n = node()
        n.twins.closed_to_messages.add("a:closed")
        n.twins.closed_to_writes.add("a:closed")
        async with n.running(source) as host:
            n.twins.write("a:b", {"attributes": {"n": 1}})
            await wait_for(lambda: host.statistics().refused == 4)
            s = host.statistics()
            assert (s.commands, s.merges, s.failed) == (0, 0, 0)
            await n.log.wait()
            assert (
                "Grant function:site:guard WRITE on message:/inbox/messages/hello"
                in (n.reports[0][1])
            )

    world(main)


def test_reports_are_bounded_and_count_what_they_leave_out(node, world, wait_for):
    source = """
from littoral.functions import on
@on("attributes/n")
def fragile(ctx):
    raise ValueError(ctx.value)
"""

    async def main():
        n = node()
        async with n.running(source) as host:
            for i in range(200):
                n.twins.write("a:b", {"attributes": {"n": i}})
            await wait_for(lambda: host.statistics().failed == 200)
            assert len(n.reports) == 5
            await asyncio.sleep(11)
            n.twins.write("a:b", {"attributes": {"n": 1000}})
            await wait_for(lambda: host.statistics().failed == 201)
            await n.log.wait()
            [record] = [
                r for r in n.log.read(0, limit=1000) if b"1000" in r.value and r.kind[:1] == "f"
            ]
            assert orjson.loads(record.value)["suppressed"] == 195

    world(main)


def test_a_handler_that_never_ends_holds_no_more_than_the_window(node, world, wait_for):
    source = """
import asyncio
from littoral.functions import on
@on("attributes/n")
async def stuck(ctx):
    await asyncio.sleep(10)
"""

    async def main():
        n = node()
        async with n.running(source) as host:
            for i in range(5000):
                n.twins.write(f"a:{i}", {"attributes": {"n": i}})
            await n.log.wait()
            await asyncio.sleep(1)
            assert n.log.committed >= 5000
            s = host.statistics()
            assert s.in_flight == EVENTS_IN_FLIGHT_MAX
            assert s.lag_records == 5000 - EVENTS_IN_FLIGHT_MAX

    world(main)


def test_a_handler_over_its_deadline_is_ended_tried_again_and_then_skipped(node, world, wait_for):
    source = """
import asyncio
from littoral.functions import on
@on("attributes/n")
async def sometimes_stuck(ctx):
    if ctx.value == 1:
        await asyncio.sleep(3600)
    ctx.command("a:b", "done", [ctx.value, ctx.event.replayed])
"""

    async def main():
        n = node()
        device = n.device("a:b")
        async with n.running(source, deadline_s=2.0, attempts_max=3) as host:
            for i in range(3):
                n.twins.write("a:b", {"attributes": {"n": i}})
            await wait_for(lambda: host.statistics().commands == 2, within_s=60)
            assert device.payloads() == [[0, False], [2, True]]
            s = host.statistics()
            assert (s.skipped, s.restarts) == (1, 3)
            await n.log.wait()
            assert [k for k, _ in n.reports] == ["function.ended"] * 3 + ["function.skipped"]
            await asyncio.sleep(2)
            assert n.log.cursor("function:guard").position == n.log.committed

    world(main)


def test_what_retention_took_is_counted_and_the_function_goes_on(node, world, wait_for):
    async def main():
        n = node()
        n.device("org.littoral:1")

        class LossyCursor:
            """Says once that records 1 to 3 are gone."""

            def __init__(self, cursor):
                self._cursor = cursor
                self._told = False

            @property
            def position(self):
                return self._cursor.position

            def read(self, limit, *, after=None):
                if self._told:
                    return self._cursor.read(limit, after=max(after, 3))
                self._told = True
                raise CursorLost("too slow.", lost_from=1, lost_to=3)

            def advance(self, seq):
                self._cursor.advance(seq)

        plain = n.log.cursor
        n.log.cursor = lambda name, start=None: LossyCursor(plain(name, start=0))
        for f1 in range(90, 95):
            n.twins.reading("org.littoral:1", f1=f1)
        await n.log.wait()
        async with n.running(GUARD) as host:
            await wait_for(lambda: host.statistics().commands == 2)
            assert host.statistics().lost_records == 3
            await n.log.wait()
            assert n.reports[0][0] == "function.lost"

    world(main)


def test_a_log_that_is_full_stops_no_function(node, world, wait_for):
    source = (
        GUARD
        + """
    ctx.alarm("over the limit")
"""
    )

    async def main():
        n = node()
        device = n.device("org.littoral:1")
        async with n.running(source) as host:
            n.twins.reading("org.littoral:1", f1=90)
            await n.log.wait()
            n.store.capacity_bytes = 0
            await asyncio.sleep(5)  # the cursor cannot be moved
            with pytest.raises(LogFull):
                n.twins.reading("org.littoral:1", f1=91)
            await asyncio.sleep(5)
            assert host.state is FunctionState.RUNNING
            assert len(device.got) == 1
            n.store.capacity_bytes = 1 << 40
            with contextlib.suppress(LogFull):
                n.twins.reading("org.littoral:1", f1=10)  # makes the log try again
            await asyncio.sleep(5)
            n.twins.reading("org.littoral:1", f1=92)
            await wait_for(lambda: len(device.got) == 2)

    world(main)


def test_a_command_is_the_same_command_after_a_replay(node, world, wait_for):
    source = """
import asyncio
from littoral.functions import on
@on("attributes/n")
async def twice(ctx):
    ctx.command("a:b", "go")
    ctx.command("a:b", "go")
    await asyncio.sleep(3)
"""

    async def main():
        n = node()
        device = n.device("a:b")
        async with n.running(source, deadline_s=2.0, attempts_max=2) as host:
            n.twins.write("a:b", {"attributes": {"n": 1}})
            await wait_for(lambda: host.statistics().skipped == 1)
            ids = [m.correlation_id for m in device.got]
            assert len(ids) == 4 and ids[:2] == ids[2:] and ids[0] != ids[1]

    world(main)


def test_a_handler_cannot_wait_in_the_virtual_world(node, world, wait_for):
    source = """
from littoral.functions import on
@on("attributes/n")
def ask(ctx):
    ctx.command("a:b", "go", timeout_s=1)
"""

    async def main():
        n = node()
        async with n.running(source) as host:
            n.twins.write("a:b", {"attributes": {"n": 1}})
            await wait_for(lambda: host.statistics().failed == 1)
            assert "CannotWait" in host.statistics().problem

    world(main)


def test_what_a_handler_asks_for_after_it_returned_is_refused(node, world, wait_for):
    source = """
from littoral.functions import on
kept = []
@on("attributes/n")
def keep(ctx):
    for old in kept:
        old.command("a:b", "late")
    kept.append(ctx)
"""

    async def main():
        n = node()
        device = n.device("a:b")
        async with n.running(source) as host:
            n.twins.write("a:b", {"attributes": {"n": 1}})
            n.twins.write("a:b", {"attributes": {"n": 2}})
            await wait_for(lambda: host.statistics().refused == 1)
            assert device.got == [] and host.statistics().restarts == 0

    world(main)


def test_a_node_that_stops_during_a_merge_merges_again_later(node, world, wait_for):
    source = """
from littoral.functions import on
@on("attributes/n", things="a:b")
def merge(ctx):
    ctx.merge("a:c", "/attributes", {"n": ctx.value})
"""

    async def main():
        n = node()
        merge = n.twins.merge

        async def never(*args):
            await asyncio.Event().wait()

        n.twins.merge = never
        async with n.running(source) as host:
            n.twins.write("a:b", {"attributes": {"n": 1}})
            await wait_for(lambda: host.statistics().events == 1)
            await asyncio.sleep(3)
        n.twins.merge = merge
        async with n.running(source) as host:
            await wait_for(lambda: host.statistics().merges == 1)
            assert n.twins.things["a:c"] == {"attributes": {"n": 1}}

    world(main)


def test_a_worker_that_ends_at_once_again_and_again_is_started_less_and_less_often(node, world):
    class Stillborn:
        """Never gets as far as to say anything."""

        lives = 0

        async def run(self, host):
            self.lives += 1
            return "exit status 1"

        def send(self, message):
            pass

        def kill(self, reason):
            pass

    async def main():
        n = node()
        runner = Stillborn()
        async with n.running(runner) as host:
            await asyncio.sleep(10)
            early = runner.lives
            await asyncio.sleep(300)
            assert 4 <= early <= 20
            assert runner.lives - early < 60
            assert host.state is FunctionState.BACKING_OFF
            assert host.statistics().problem == "exit status 1"

    world(main)


def test_a_file_that_never_finishes_loading_is_given_up(node, world, wait_for):
    class Hanging:
        """Says nothing until it is ended."""

        def __init__(self):
            self.ended = asyncio.Event()

        async def run(self, host):
            await self.ended.wait()
            self.ended.clear()
            return self.reason

        def send(self, message):
            pass

        def kill(self, reason):
            self.reason = reason
            self.ended.set()

    async def main():
        n = node()
        async with n.running(Hanging(), start_s=5.0) as host:
            assert asyncio.get_running_loop().time() == 5
            assert host.statistics().problem == "not loaded within 5 s"

    world(main)


def test_a_record_that_cannot_be_read_is_passed_over(node, world, wait_for):
    async def main():
        n = node()
        device = n.device("org.littoral:1")
        async with n.running(GUARD) as host:
            path = "/features/telemetry/properties"
            n.log.append(3, "thing.merged", "thing:org.littoral:1", 1, 0, path, b"{broken")
            n.twins.reading("org.littoral:1", f1=90)
            await wait_for(lambda: host.statistics().commands == 1)
            assert host.statistics().skipped == 1 and len(device.got) == 1

    world(main)
