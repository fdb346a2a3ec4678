"""A node's twins and their search, in the virtual world, on an index in memory."""

import asyncio
import copy
import random
from contextlib import asynccontextmanager

import pytest

from littoral.kernel.ids import NodeId
from littoral.log import Log, LogFull
from littoral.log.adapters.committer import InlineCommitter
from littoral.log.adapters.memory import MemoryStore
from littoral.registry import Registry, seed_development
from littoral.registry.adapters.argon2 import InlineArgon2Hasher
from littoral.rql import parse, parse_options
from littoral.search import Search, SearchQuery
from littoral.search.adapters.sqlite import SqliteIndex
from littoral.simulate import SeededEntropy, VirtualClock, run
from littoral.simulate.committer import VirtualCommitter
from littoral.twin import Caller, Twins


def policy(*subjects, resources=None):
    return {
        "entries": {
            "owner": {
                "subjects": {subject: {"type": "t"} for subject in subjects},
                "resources": resources
                or {
                    f"{kind}:/": {"grant": ["READ", "WRITE"], "revoke": []}
                    for kind in ("thing", "policy")
                },
            },
            "admin": {
                "subjects": {"nginx:devops": {"type": "t"}},
                "resources": {"policy:/": {"grant": ["READ", "WRITE"], "revoke": []}},
            },
        }
    }


class FlakyStore(MemoryStore):
    """Raises what it is told to when it shall commit."""

    failure = None

    def apply(self, batch):
        if self.failure is not None:
            raise self.failure
        super().apply(batch)

    def probe(self):
        if self.failure is not None:
            raise self.failure


class Node:
    """Twins, a search over them, and callers."""

    admin = Caller(frozenset({"nginx:devops"}), unrestricted=True)
    ditto = Caller(frozenset({"nginx:ditto"}))
    stranger = Caller(frozenset({"nginx:stranger"}))
    policy = staticmethod(policy)

    def __init__(self, path=":memory:", commit_s=0.0):
        self.path = path
        self.commit_s = commit_s
        self.store = FlakyStore()
        self.openings = 0
        self.removed = []

    def open(self):
        loop = asyncio.get_running_loop()
        self.openings += 1
        self.clock = VirtualClock(loop)
        entropy = SeededEntropy(random.Random(self.openings))
        self.log = Log.open(
            store=self.store,
            committer=VirtualCommitter(loop, random.Random(1), latency_s_max=self.commit_s)
            if self.commit_s
            else InlineCommitter(loop),
            clock=self.clock,
            entropy=entropy,
            node=NodeId("site"),
            loop=loop,
        )
        self.registry = Registry(self.log, InlineArgon2Hasher(entropy), self.clock, entropy)
        self.twins = Twins(self.log, self.registry, self.clock)
        self.index = SqliteIndex(self.path, remove=self._remove, monotonic_s=self.clock.monotonic_s)
        self.search = Search(self.log, self.twins, self.index, InlineCommitter(loop), self.clock)

    def _remove(self, name):
        self.removed.append(name)
        if self.path != ":memory:":
            import pathlib

            pathlib.Path(name).unlink(missing_ok=True)

    @asynccontextmanager
    async def running(self):
        """The search's background work, while the block runs; then a clean end."""
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(self.search.run())
            yield self
            task.cancel()
        self.search.close()

    async def end(self, *, clean=True):
        """The process ends, in order or killed, and another one begins."""
        if clean:
            self.twins.flush()
            await self.log.close()
        else:
            survivor = copy.deepcopy(self.store)
            survivor.close()
            self.store = survivor
        self.open()

    async def seed(self):
        seed_development(self.registry)
        await self.put_policy("org.littoral:default", "nginx:ditto")

    async def put_policy(self, policy_id, *subjects, resources=None):
        await self.twins.put_policy(
            self.admin, policy_id, "/", policy(*subjects, resources=resources)
        )

    async def create(self, thing_id, attributes=None, *, policy_id="org.littoral:default", **more):
        document = {"thingId": thing_id, "policyId": policy_id, **more}
        if attributes is not None:
            document["attributes"] = attributes
        return await self.twins.create_thing(self.admin, document, thing_id=thing_id)

    async def merge(self, thing_id, path, patch):
        return await self.twins.merge(self.admin, thing_id, path, patch)

    async def find(self, text=None, caller=None, *, option="", namespaces=None, extended=False):
        page = await self.page(
            text, caller, option=option, namespaces=namespaces, extended=extended
        )
        return list(page.ids)

    async def page(self, text=None, caller=None, *, option="", namespaces=None, extended=False):
        query = SearchQuery(
            None if text is None else parse(text, extended=extended),
            namespaces,
            parse_options(option),
        )
        return await self.search.page(caller or self.ditto, query)

    async def count(self, text=None, caller=None, *, namespaces=None):
        query = SearchQuery(None if text is None else parse(text), namespaces)
        return await self.search.count(caller or self.ditto, query)

    async def fill(self):
        """The disk is full: what is in the open batch fails."""
        self.store.failure = LogFull("no room.")
        with pytest.raises(LogFull):
            await self.log.wait()

    async def make_room(self):
        self.store.failure = None
        await asyncio.sleep(1.1)
        self.log.refusal()
        await asyncio.sleep(0.1)


@pytest.fixture
def on_node():
    """Runs ``async def main(node)`` against a fresh node in the virtual world."""

    def start(main, **more):
        async def world():
            node = Node(**more)
            node.open()
            await node.seed()
            return await main(node)

        return run(world, deadline_s=100_000)

    return start
