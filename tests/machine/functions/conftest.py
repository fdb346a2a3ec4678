"""A node around one function: a real log in memory, router and inbox; twins that only fold."""

import asyncio
import random
from contextlib import asynccontextmanager

import orjson
import pytest

from littoral.eventing import Inbox, Reply, Router
from littoral.functions.adapters.inline import InlineRunner
from littoral.functions.host import FunctionHost, FunctionSettings
from littoral.functions.program import load
from littoral.kernel import json, pointer
from littoral.kernel.errors import Forbidden
from littoral.kernel.ids import NodeId
from littoral.kernel.merge import delete_at, merge_at, put_at
from littoral.log import Log, RecordClass
from littoral.log.adapters.committer import InlineCommitter
from littoral.log.adapters.memory import MemoryStore
from littoral.simulate.entropy import SeededEntropy
from littoral.simulate.loop import run
from littoral.simulate.time import VirtualClock


class FoldingTwins:
    """The port of twins on a real log: every write is a record; policies are a set of refusals."""

    def __init__(self, log):
        self.log = log
        self.things = {}
        self.closed_to_messages = set()
        self.closed_to_writes = set()
        self.callers = []

    def peek(self, thing_id):
        return self.things.get(thing_id)

    def may_message(self, caller, thing_id, permission, resource):
        return thing_id not in self.closed_to_messages

    async def merge(self, caller, thing_id, path, patch):
        self.callers.append(caller)
        if thing_id in self.closed_to_writes:
            raise Forbidden("no.")
        self.write(
            thing_id, patch, path=path, headers={"hops": caller.hops} if caller.hops else None
        )
        await self.log.wait()

    def write(self, thing_id, value, *, path="/", kind="thing.merged", headers=None, at_ms=None):
        fold = {"thing.merged": merge_at, "thing.modified": put_at, "thing.created": put_at}
        keys = pointer.parse(path)
        document = self.things.get(thing_id)
        if kind == "thing.deleted":
            document = delete_at(document, keys)
        else:
            document = fold[kind](document, keys, orjson.loads(json.encode(value)))
        if document is None:
            self.things.pop(thing_id, None)
        else:
            self.things[thing_id] = document
        data = b"" if kind == "thing.deleted" else json.encode(value)
        cls = RecordClass.TELEMETRY
        return self.log.append(cls, kind, f"thing:{thing_id}", 1, 0, path, data, at_ms, headers)

    def reading(self, thing_id, **values):
        return self.write(thing_id, values, path="/features/telemetry/properties")


class Device:
    """Remembers its commands; answers with a status if it is told to."""

    def __init__(self, answer=None):
        self.got = []
        self.answer = answer

    def deliver(self, message):
        self.got.append(message)
        if self.answer is not None:
            message.reply(self.answer)

    def payloads(self):
        return [orjson.loads(m.payload) if m.payload else None for m in self.got]


class Node:
    """Everything that a function needs, on the virtual loop."""

    def __init__(self, store=None):
        loop = asyncio.get_running_loop()
        self.store = store or MemoryStore()
        self.clock = VirtualClock(loop)
        self.entropy = SeededEntropy(random.Random(7))
        self.log = Log.open(
            store=self.store,
            committer=InlineCommitter(loop),
            clock=self.clock,
            entropy=self.entropy,
            node=NodeId("site"),
            loop=loop,
        )
        self.router = Router(self.log)
        self.inbox = Inbox(self.clock)
        self.twins = FoldingTwins(self.log)
        self.reports = []
        self.router.subscribe(self._remember, prefix="function:")

    def _remember(self, records):
        self.reports += [(r.kind, orjson.loads(r.value)["text"]) for r in records]

    def device(self, thing_id, *, status=None):
        device = Device(None if status is None else Reply(status, b'{"done":true}'))
        self.inbox.attach(thing_id, device)
        self.twins.things.setdefault(thing_id, {"thingId": thing_id})
        return device

    def host(self, runner, *, name="guard", **settings):
        return FunctionHost(
            name,
            site="site",
            log=self.log,
            router=self.router,
            twins=self.twins,
            inbox=self.inbox,
            runner=runner,
            clock=self.clock,
            entropy=self.entropy,
            settings=FunctionSettings(**settings),
        )

    @asynccontextmanager
    async def running(self, source, **settings):
        """Run ``source`` inline (text, or a runner of another kind) until the block ends."""
        runner = source if not isinstance(source, str) else inline(source)
        host = self.host(runner, **settings)
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(host.run())
            await host.wait_started()
            try:
                yield host
            finally:
                task.cancel()


def inline(source):
    return InlineRunner(lambda: load("guard.py", source), filename="guard.py")


@pytest.fixture
def node():
    return Node


@pytest.fixture
def inline_runner():
    return inline


@pytest.fixture
def world():
    """Run a coroutine function on the virtual loop."""
    return run


@pytest.fixture
def wait_for():
    """Wait until something is true, in virtual time; `Late` or a timeout says that it never was."""

    async def wait(condition, *, within_s=10.0):
        async with asyncio.timeout(within_s):
            while not condition():  # noqa: ASYNC110  # virtual time costs nothing
                await asyncio.sleep(0.001)

    return wait
