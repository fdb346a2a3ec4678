"""A node around one function in a real worker process: real loop, real log in memory."""

import asyncio
import os
import random
import time
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from littoral.eventing import Inbox, Reply, Router
from littoral.functions.adapters.process import ProcessRunner
from littoral.functions.host import FunctionHost, FunctionSettings
from littoral.kernel import json, pointer
from littoral.kernel.ids import NodeId
from littoral.kernel.merge import merge_at
from littoral.log import Log, RecordClass
from littoral.log.adapters.committer import InlineCommitter
from littoral.log.adapters.memory import MemoryStore
from littoral.simulate.entropy import SeededEntropy


class RealClock:
    def now_ms(self):
        return time.time_ns() // 1_000_000

    def monotonic_s(self):
        return asyncio.get_running_loop().time()


class OpenTwins:
    """The port of twins without policies, on a real log."""

    def __init__(self, log):
        self.log = log
        self.things = {}

    def peek(self, thing_id):
        return self.things.get(thing_id)

    def may_message(self, caller, thing_id, permission, resource):
        return True

    async def merge(self, caller, thing_id, path, patch):
        self.write(thing_id, patch, path=path, headers={"hops": caller.hops})
        await self.log.wait()

    def write(self, thing_id, patch, *, path="/", headers=None):
        document = merge_at(self.things.get(thing_id), pointer.parse(path), patch)
        self.things[thing_id] = document
        cls, entity = RecordClass.TELEMETRY, f"thing:{thing_id}"
        return self.log.append(
            cls, "thing.merged", entity, 1, 0, path, json.encode(patch), None, headers
        )


class Device:
    """Remembers its commands and wakes whoever waits for the next one."""

    def __init__(self, status=None):
        self.got = []
        self.status = status
        self.came = asyncio.Condition()
        self.waiters = []

    def deliver(self, message):
        self.got.append(json.decode(message.payload) if message.payload else None)
        if self.status is not None:
            message.reply(Reply(self.status, b'{"done":true}', "application/json"))
        for future in self.waiters:
            if not future.done():
                future.set_result(None)
        self.waiters.clear()

    async def wait_for(self, count, *, within_s=20):
        async with asyncio.timeout(within_s):
            while len(self.got) < count:
                future = asyncio.get_running_loop().create_future()
                self.waiters.append(future)
                await future


class Node:
    def __init__(self, directory):
        loop = asyncio.get_running_loop()
        self.directory = directory
        self.clock = RealClock()
        self.entropy = SeededEntropy(random.Random(7))
        self.log = Log.open(
            store=MemoryStore(),
            committer=InlineCommitter(loop),
            clock=self.clock,
            entropy=self.entropy,
            node=NodeId("site"),
            loop=loop,
        )
        self.router = Router(self.log)
        self.inbox = Inbox(self.clock)
        self.twins = OpenTwins(self.log)

    def device(self, thing_id, *, status=None):
        device = Device(status)
        self.inbox.attach(thing_id, device)
        self.twins.things.setdefault(thing_id, {"thingId": thing_id})
        return device

    @asynccontextmanager
    async def running(self, source, **settings):
        file = self.directory / "guard.py"
        file.write_text(source)
        host = FunctionHost(
            "guard",
            site="site",
            log=self.log,
            router=self.router,
            twins=self.twins,
            inbox=self.inbox,
            runner=ProcessRunner(file),
            clock=self.clock,
            entropy=self.entropy,
            settings=FunctionSettings(**settings),
        )
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(host.run())
            async with asyncio.timeout(20):
                await host.wait_started()
            try:
                yield host
            finally:
                task.cancel()


@pytest.fixture
def node(tmp_path):
    return lambda: Node(tmp_path)


def children():
    """Pids of this process's children that are alive."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == os.getpid() and fields[0] != "Z":
            found.append(int(stat.parent.name))
    return found


@pytest.fixture
def no_process_left():
    before = set(children())
    yield
    assert set(children()) <= before
