"""A node's twins on a real registry and log in memory, whose disk can fail and whose power can go."""

import asyncio
import copy
import random

import pytest

from littoral.kernel import json
from littoral.kernel.ids import NodeId
from littoral.log import Log, LogFull, Record
from littoral.log.adapters.committer import InlineCommitter
from littoral.log.adapters.memory import MemoryStore
from littoral.registry import Registry, seed_development
from littoral.registry.adapters.argon2 import InlineArgon2Hasher
from littoral.simulate import EPOCH_MS, SeededEntropy, VirtualClock, run
from littoral.twin import Caller, Twins

ALL = {f"{kind}:/": {"grant": ["READ", "WRITE"], "revoke": []} for kind in ("thing", "policy")}
POLICY = {"entries": {"owner": {"subjects": {"nginx:ditto": {"type": "t"}}, "resources": ALL}}}


class FlakyStore(MemoryStore):
    """Raises what it is told to when it shall commit."""

    def __init__(self):
        super().__init__()
        self.failure = None

    def apply(self, batch):
        if self.failure is not None:
            raise self.failure
        super().apply(batch)

    def probe(self):
        if self.failure is not None:
            raise self.failure


class Node:
    """One node: ``twins`` and what is below, and ways to harm it."""

    admin = Caller(frozenset({"nginx:devops"}), unrestricted=True)
    ditto = Caller(frozenset({"nginx:ditto"}))
    stranger = Caller(frozenset({"nginx:stranger"}))
    policy = POLICY

    def __init__(self, *, name="site", **more):
        self.name = name
        self.more = more
        self.store = FlakyStore()
        self.openings = 0
        self.open()

    def open(self):
        loop = asyncio.get_running_loop()
        self.openings += 1
        self.clock = VirtualClock(loop)
        entropy = SeededEntropy(random.Random(self.openings))
        self.log = Log.open(
            store=self.store,
            committer=InlineCommitter(loop),
            clock=self.clock,
            entropy=entropy,
            node=NodeId(self.name),
            loop=loop,
        )
        self.registry = Registry(self.log, InlineArgon2Hasher(entropy), self.clock, entropy)
        self.twins = Twins(self.log, self.registry, self.clock, **self.more)

    async def seed(self):
        seed_development(self.registry)
        await self.twins.put_policy(self.admin, "org.littoral:default", "/", POLICY)

    async def reopen(self, *, flush=True):
        """A clean end and a new beginning."""
        if flush:
            self.twins.flush()
        await self.log.close()
        self.open()

    async def kill(self):
        """The power goes: what is in the open batch is lost."""
        survivor = copy.deepcopy(self.store)
        survivor.close()
        self.store = survivor
        self.open()

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
        assert self.log.refusal() is None

    def door(self, device="4711"):
        if self.registry.device("DEFAULT_TENANT", device) is None:
            self.registry.put_device("DEFAULT_TENANT", device)
        return self.twins.door(self.registry.identity("DEFAULT_TENANT", device))

    def doc(self, thing_id="org.littoral:4711"):
        return self.twins.peek(thing_id)

    def properties(self, feature="telemetry", thing_id="org.littoral:4711"):
        return self.doc(thing_id)["features"][feature]["properties"]

    def records(self, kind="thing."):
        return [r for r in self.store.read(0, limit=10**9) if r.kind.startswith(kind)]

    async def revisions(self, thing_id):
        """What the thing was at each revision, as the history tells it."""
        await self.log.wait()
        states = {}
        for revision in range(1, self.twins.revision_of(thing_id) + 1):
            past = self.twins.engine.at_revision(f"thing:{thing_id}", revision)
            states[revision] = past.document()
        return states


def remote(
    ms, kind, path, value, *, oseq=1, origin="cloud/00000000000000aa", headers=None, entity=None
):
    """A record that another log made ``ms`` after the beginning of the virtual world."""
    data = b"" if value is None and kind.endswith("deleted") else json.encode(value)
    entity = entity or "thing:org.littoral:4711"
    hlc = (EPOCH_MS + ms) << 16
    return Record(0, hlc, None, 2, kind, entity, 1, 0, path, data, headers, origin, oseq)


@pytest.fixture
def other():
    """Makes records of another log."""
    return remote


@pytest.fixture
def on_node():
    """Runs ``async def main(node)`` against a fresh node in the virtual world."""

    def start(main, *, seed=True, **more):
        async def world():
            node = Node(**more)
            if seed:
                await node.seed()
            result = await main(node)
            await node.log.close()
            return result

        return run(world, deadline_s=100_000)

    return start
