import asyncio
import os
import signal
from pathlib import Path

import pytest
import uvloop

from littoral.functions.host import FunctionState

pytestmark = [pytest.mark.real, pytest.mark.slow, pytest.mark.usefixtures("no_process_left")]


@pytest.fixture(params=[asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def run(request):
    return request.param


GUARD = """
import littoral

seen = 0

@littoral.on("attributes/n", condition="gt(attributes/n,0)")
def guard(ctx):
    global seen
    seen += 1
    print("this goes to standard error")
    ctx.command("a:device", "n", [ctx.value, seen, ctx.thing["attributes"]["n"]])
"""


def test_a_worker_process_answers_changes_with_commands(node, run, capfd):
    async def main():
        n = node()
        device = n.device("a:device")
        async with n.running(GUARD) as host:
            n.twins.write("a:b", {"attributes": {"n": 0}})
            for i in range(1, 1001):
                n.twins.write("a:b", {"attributes": {"n": i}})
            await device.wait_for(1000)
            assert [g[:2] for g in device.got] == [[i, i] for i in range(1, 1001)]
            assert host.statistics().restarts == 0
        assert host.state is FunctionState.STOPPED

    run(main())
    assert capfd.readouterr().out == ""


def test_a_handler_that_blocks_for_ten_seconds_leaves_ingest_as_it_was(node, run):
    source = """
import time
from littoral.functions import on

@on("attributes/n")
def block(ctx):
    ctx.command("a:device", "blocking", ctx.value)
    time.sleep(10)
"""

    async def main():
        n = node()
        device = n.device("a:device")
        async with n.running(source) as host:
            n.twins.write("a:b", {"attributes": {"n": 0}})
            await device.wait_for(1)
            for i in range(1, 20_001):
                n.twins.write(f"a:{i % 1000}", {"attributes": {"n": i}})
                if i % 500 == 0:
                    await n.log.wait()
            # Everything is durable while the first event is still being handled.
            s = host.statistics()
            assert n.log.committed >= 20_001
            assert len(device.got) == 1 and s.restarts == 0
            assert s.in_flight <= 256 and s.lag_records > 19_000

    run(main())


@pytest.mark.parametrize("end", ["os._exit(3)", "os.kill(os.getpid(), 9)"])
def test_a_worker_that_dies_is_started_again_and_gets_what_it_had_not_done(node, end):
    source = f"""
import os
from littoral.functions import on

@on("attributes/n")
def mortal(ctx):
    if ctx.value == 2 and not ctx.event.replayed:
        {end}
    ctx.command("a:device", "n", [ctx.value, ctx.event.replayed])
"""

    async def main():
        n = node()
        device = n.device("a:device")
        async with n.running(source, backoff_s_min=0.01) as host:
            for i in range(1, 4):
                n.twins.write("a:b", {"attributes": {"n": i}})
            await device.wait_for(3)
            assert device.got == [[1, False], [2, True], [3, True]]
            assert host.statistics().restarts == 1

    asyncio.run(main())


def test_a_worker_over_its_deadline_is_killed_and_the_event_skipped_in_the_end(node):
    source = """
import time
from littoral.functions import on

@on("attributes/n")
def stuck(ctx):
    if ctx.value == 1:
        time.sleep(3600)
    ctx.command("a:device", "n", ctx.value)
"""

    async def main():
        n = node()
        device = n.device("a:device")
        async with n.running(source, deadline_s=0.2, attempts_max=2, backoff_s_min=0.01) as host:
            for i in range(1, 3):
                n.twins.write("a:b", {"attributes": {"n": i}})
            await device.wait_for(1)
            assert device.got == [2]
            assert (host.statistics().skipped, host.statistics().restarts) == (1, 2)

    asyncio.run(main())


def test_a_handler_may_wait_for_an_answer_and_look_at_other_things(node, run):
    source = """
from littoral.functions import CommandFailed, on

@on("attributes/n")
async def ask(ctx):
    answer = ctx.command("a:device", "do", {"n": ctx.value}, timeout_s=5)
    try:
        ctx.command("a:nobody", "do", timeout_s=0.05)
    except CommandFailed as e:
        code = e.facts["error"]
    other = ctx.get("a:other")
    ctx.merge("a:result", "/attributes", {
        "status": answer.status, "done": answer.json()["done"], "code": code, "other": other})
"""

    async def main():
        n = node()
        n.device("a:device", status=202)
        n.twins.things["a:other"] = {"x": 1}
        result = asyncio.get_running_loop().create_future()
        n.router.subscribe(lambda r: result.set_result(None), entity="thing:a:result")
        async with n.running(source):
            n.twins.write("a:b", {"attributes": {"n": 7}})
            async with asyncio.timeout(10):
                await result
        assert n.twins.things["a:result"]["attributes"] == {
            "status": 202, "done": True, "code": "command.timeout", "other": {"x": 1},
        }  # fmt: skip

    run(main())


def test_thousands_of_merges_are_held_back_and_all_arrive(node, run):
    source = """
from littoral.functions import on

@on("attributes/go")
def flood(ctx):
    for i in range(3000):
        ctx.merge("a:result", "/attributes", {"i": i})
    ctx.command("a:device", "done")
"""

    async def main():
        n = node()
        device = n.device("a:device")
        async with n.running(source) as host:
            n.twins.write("a:b", {"attributes": {"go": 1}})
            await device.wait_for(1)
            await n.log.wait()
        assert host.statistics().merges == 3000
        assert n.twins.things["a:result"] == {"attributes": {"i": 2999}}

    run(main())


def test_a_file_that_cannot_be_loaded_is_explained_and_can_be_corrected(node, run):
    async def main():
        n = node()
        async with n.running("x = 1/0\n") as host:
            assert host.state is FunctionState.BROKEN
            assert "ZeroDivisionError" in host.statistics().problem
            assert "(line 1)" in host.statistics().problem
            device = n.device("a:device")
            (n.directory / "guard.py").write_text(GUARD)
            host.reload()
            n.twins.write("a:b", {"attributes": {"n": 5}})
            await device.wait_for(1)
            assert device.got == [[5, 1, 5]]

    run(main())


def test_a_worker_has_no_secrets_of_the_node_in_its_environment(node, monkeypatch):
    monkeypatch.setenv("LITTORAL_PASSWORD", "secret")
    source = """
import os
from littoral.functions import on

@on("attributes/n")
def tell(ctx):
    ctx.command("a:device", "environment", sorted(os.environ))
"""

    async def main():
        n = node()
        device = n.device("a:device")
        async with n.running(source):
            n.twins.write("a:b", {"attributes": {"n": 7}})
            await device.wait_for(1)
            assert set(device.got[0]) <= {"PATH", "LANG", "LC_CTYPE"}

    asyncio.run(main())


def test_a_worker_dies_with_its_node_even_while_a_handler_blocks(tmp_path):
    source = """
import os, time
from littoral.functions import on, every

@every("10ms")
def block(ctx):
    open(os.path.join(os.path.dirname(__file__), "pid"), "w").write(str(os.getpid()))
    time.sleep(3600)
"""
    (tmp_path / "guard.py").write_text(source)
    node = """
import asyncio, sys
from pathlib import Path
from littoral.functions.adapters.process import ProcessRunner
from littoral.functions.wire import Ready, Run, Work

class Host:
    def receive(self, message):
        if isinstance(message, Ready):
            runner.send(Run([Work(1, 0)]))

runner = ProcessRunner(Path(sys.argv[1]))
asyncio.run(runner.run(Host()))
"""
    (tmp_path / "node.py").write_text(node)

    async def main():
        import sys

        process = await asyncio.create_subprocess_exec(
            sys.executable, str(tmp_path / "node.py"), str(tmp_path / "guard.py")
        )
        async with asyncio.timeout(20):
            while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        pid = int((tmp_path / "pid").read_text())
        process.send_signal(signal.SIGKILL)
        await process.wait()
        async with asyncio.timeout(5):
            while alive(pid):  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    asyncio.run(main())


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_worker_that_speaks_nonsense_is_ended_not_believed(node):
    source = """
import gc, socket
from littoral.functions import on

@on("attributes/n")
def nonsense(ctx):
    if not ctx.event.replayed:
        wire = next(o for o in gc.get_objects() if isinstance(o, socket.socket))
        wire.sendall(b"\\x03\\x00\\x00\\x00abc")
    ctx.command("a:device", "n", ctx.value)
"""

    async def main():
        n = node()
        device = n.device("a:device")
        async with n.running(source, backoff_s_min=0.01) as host:
            n.twins.write("a:b", {"attributes": {"n": 7}})
            await device.wait_for(1)
            assert host.statistics().restarts == 1

    asyncio.run(main())


def test_the_worker_keeps_its_own_process_group(node):
    async def main():
        n = node()
        device = n.device("a:device")
        source = GUARD.replace("[ctx.value", "[__import__('os').getpgid(0)")
        async with n.running(source):
            n.twins.write("a:b", {"attributes": {"n": 1}})
            await device.wait_for(1)
            assert device.got[0][0] != os.getpgid(0)

    asyncio.run(main())
