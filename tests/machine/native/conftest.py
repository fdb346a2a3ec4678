"""Two nodes that get the same bytes at the same moments: one reads them in C, one in Python."""

import asyncio
import random
from dataclasses import asdict

import pytest

from littoral.eventing import Inbox
from littoral.gateway import Limits, MqttDoor
from littoral.gateway.mqtt import V311, encode_connect
from littoral.kernel.ids import NodeId
from littoral.log import Log, LogFull
from littoral.log.adapters.committer import InlineCommitter
from littoral.log.adapters.memory import MemoryStore
from littoral.registry import Registry, seed_development
from littoral.registry.adapters.argon2 import InlineArgon2Hasher
from littoral.simulate import SeededEntropy, VirtualClock, run
from littoral.twin import Caller, Twins
from littoral.twin.core import state

WRITE_ALL = {
    f"{kind}:/": {"grant": ["READ", "WRITE"], "revoke": []} for kind in ("thing", "policy")
}
READ_ONLY = {"thing:/": {"grant": ["READ"], "revoke": []}}
ADMIN = Caller(frozenset({"nginx:devops"}), unrestricted=True)
THING = "org.littoral:4711"
DEVICE = "device:DEFAULT_TENANT:4711"


def policy(*, device_may: bool):
    entries = {"owner": {"subjects": {"nginx:ditto": {"type": "t"}}, "resources": WRITE_ALL}}
    if not device_may:
        entries["device"] = {"subjects": {DEVICE: {"type": "t"}}, "resources": READ_ONLY}
    return {"entries": entries}


class SlowStore(MemoryStore):
    """Its disk can be full."""

    full = False

    def apply(self, batch):
        if self.full:
            raise LogFull("no room.")
        super().apply(batch)

    def probe(self):
        if self.full:
            raise LogFull("no room.")


class HeldCommitter(InlineCommitter):
    """Commits when it is told to."""

    def __init__(self, loop):
        super().__init__(loop)
        self.waiting = []

    def run(self, work, done):
        self.waiting.append((work, done))

    def go_on(self):
        while self.waiting:
            super().run(*self.waiting.pop(0))


class Wire(asyncio.Transport):
    def __init__(self):
        super().__init__()
        self.did = []

    def write(self, data):
        self.did.append(bytes(data))

    def can_write_eof(self):
        return True

    def write_eof(self):
        self.did.append("eof")

    def close(self):
        self.did.append("close")

    def abort(self):
        self.did.append("abort")

    def is_closing(self):
        return "close" in self.did or "abort" in self.did

    def pause_reading(self):
        self.did.append("pause")

    def resume_reading(self):
        self.did.append("resume")


class Node:
    """A log in memory, a registry, twins and a door; ``pure`` keeps the compiled path out."""

    def __init__(self, loop, *, pure, limits):
        clock, entropy = VirtualClock(loop), SeededEntropy(random.Random(1))
        self.store, self.committer = SlowStore(), HeldCommitter(loop)
        self.log = Log.open(
            store=self.store,
            committer=self.committer,
            clock=clock,
            entropy=entropy,
            node=NodeId("n"),
            loop=loop,
        )
        self.registry = Registry(self.log, InlineArgon2Hasher(entropy), clock, entropy)
        self.twins = Twins(self.log, self.registry, clock)
        self.door = MqttDoor(
            self.log, self.registry, self.twins, Inbox(clock), clock, entropy, limits
        )
        if pure:
            self.door._hub.take = None
        self.connections = []
        seed_development(self.registry)
        self.put_policy(device_may=True)

    def put_policy(self, *, device_may):
        """Synchronously, as a record of the open batch."""
        engine = self.twins.engine
        hot = engine.load("policy:org.littoral:default")
        body = policy(device_may=device_may)
        kind = "policy.modified" if hot.exists else "policy.created"
        engine.write(hot, 2, kind, "/", state.json.encode({"policyId": hot.id, **body}))

    def connect(self, version=V311):
        connection, wire = self.door.protocol_factory(), Wire()
        connection.connection_made(wire)
        connection.data_received(
            encode_connect(
                "c", username="sensor1@DEFAULT_TENANT", password="hono-secret", version=version
            )
        )
        self.connections.append((connection, wire))

    def feed(self, data):
        connection, wire = self.connections[-1]
        if not wire.is_closing():
            connection.data_received(data)

    def picture(self):
        """All that the message left behind, in the log, the twin, the door and on the wire."""
        hot = self.twins.engine.hot.get(f"thing:{THING}")
        layers = self.log._layers()
        acks = self.connections[-1][0]._acks
        shown = None
        if hot is not None:
            shown = {
                name: repr(getattr(hot, name)) for name in type(hot).__slots__ if name != "history"
            }
        statistics = asdict(self.door.statistics())
        return {
            "wires": [wire.did for _, wire in self.connections],
            "pending": [(layer.records, layer.bytes, sorted(layer.puts)) for layer in layers],
            "stored": self.store.read(0, limit=10**6),
            "log": (self.log.head, self.log.committed, self.log.last_hlc, self.log.batch),
            "hot": shown,
            "dirty": list(self.twins.engine.dirty),
            "door": statistics,
            "acks": [(g.batch, g.acks, g.records, g.size) for g in acks.groups],
            "waiting": (acks.records, acks.size),
            "states": [connection._state for connection, _ in self.connections],
        }


class Pair:
    """The two nodes, on one virtual loop."""

    def __init__(self, limits=None):
        loop = asyncio.get_running_loop()
        self.nodes = [Node(loop, pure=pure, limits=limits or Limits()) for pure in (False, True)]

    async def settle(self, *, commit=True):
        for _ in range(8):
            if commit:
                for node in self.nodes:
                    node.committer.go_on()
            await asyncio.sleep(0)

    def both(self, act):
        for node in self.nodes:
            act(node)

    def differences(self):
        compiled, pure = (node.picture() for node in self.nodes)
        return {name: (compiled[name], pure[name]) for name in pure if compiled[name] != pure[name]}


@pytest.fixture
def on_pair():
    """Run an async scene with a pair whose doors are open."""

    def play(scene, limits=None):
        async def main():
            pair = Pair(limits)
            async with asyncio.TaskGroup() as tasks:
                running = [tasks.create_task(node.door.run()) for node in pair.nodes]
                await pair.settle()
                await scene(pair)
                for task in running:
                    task.cancel()

        run(main())

    return play
