"""Two nodes on virtual time: real logs in memory, a channel that can be cut at any frame."""

import asyncio
import random
from collections import deque
from collections.abc import Callable

import pytest

from littoral.edge.downlink import Downlink
from littoral.edge.errors import ChannelClosed, LinkUnreachable
from littoral.edge.model import LinkSettings, Scope
from littoral.edge.ports import PeerIdentity
from littoral.edge.uplink import Uplink
from littoral.eventing import Inbox, LiveChannel, Mailbox
from littoral.kernel.ids import NodeId
from littoral.log import Log, Record
from littoral.log.adapters.committer import InlineCommitter
from littoral.log.adapters.memory import MemoryStore
from littoral.simulate import loop as sim

START_MS = 1_800_000_000_000


class LoopClock:
    def __init__(self, offset_ms: int = 0):
        self.offset_ms = offset_ms

    def now_ms(self):
        return START_MS + self.offset_ms + int(asyncio.get_running_loop().time() * 1000)

    def monotonic_s(self):
        return asyncio.get_running_loop().time()


class SeededEntropy:
    def __init__(self, seed):
        self._random = random.Random(seed)

    def token(self, size):
        return self._random.randbytes(size)

    def uniform(self, low, high):
        return self._random.uniform(low, high)


class KeepingParts:
    """Stands where twins and registry stand: stores what it is given."""

    def __init__(self, log):
        self._log = log
        self.applied: list[Record] = []

    def apply_remote(self, record):
        self._log.append_remote(record, 0, 0)
        self.applied.append(record)

    def restamp(self, record, headers):
        r = record
        self._log.append(r.cls, r.kind, r.entity, 0, 0, r.path, r.value, r.device_time, headers)

    def on_change(self, hook):
        self.changed = hook


class End:
    """One end of a connection in memory; keeps order, holds `room` frames, can be cut."""

    def __init__(self, node, room=8):
        self.peer = PeerIdentity(node, "memory")
        self.other: End
        self.closed = False
        self.received = 0
        self._frames = deque()
        self._room = room
        self._wake = asyncio.Event()

    async def send(self, frame):
        while not (self.closed or self.other.closed) and len(self.other._frames) >= self._room:
            self._wake.clear()
            await self._wake.wait()
        if self.closed or self.other.closed:
            raise ChannelClosed("cut.")
        await asyncio.sleep(0.001)
        self.other._frames.append(frame)
        self.other._wake.set()

    async def receive(self):
        while not self._frames:
            if self.closed:
                raise ChannelClosed("cut.")
            self._wake.clear()
            await self._wake.wait()
        self.received += 1
        frame = self._frames.popleft()
        self.other._wake.set()
        return frame

    async def close(self, reason=""):
        self.cut(lose=False)

    def cut(self, *, lose=True):
        for end in (self, self.other):
            end.closed = True
            if lose:
                end._frames.clear()
            end._wake.set()


class Network:
    """Dialers of sites and the listener of the cloud."""

    def __init__(self):
        self.up = True
        self.ends: list[tuple[End, End]] = []
        self._accept = None
        self._tasks = None

    async def serve(self, accept):
        async with asyncio.TaskGroup() as tasks:
            self._accept, self._tasks = accept, tasks
            try:
                await asyncio.Event().wait()
            finally:
                self._accept = None

    def dialer(self, node):
        network = self

        class Dialer:
            async def dial(self):
                return network.connect(node)

        return Dialer()

    def connect(self, node):
        if not self.up or self._accept is None:
            raise LinkUnreachable("nobody is there.")
        near, far = End(None), End(NodeId(node))
        near.other, far.other = far, near
        self.ends.append((near, far))
        self._tasks.create_task(self._run(far))
        return near

    async def _run(self, far):
        try:
            await self._accept(far)
        finally:
            await far.close()

    def cut(self, *, lose=True):
        for near, _ in self.ends:
            near.cut(lose=lose)
        self.ends.clear()


class Node:
    """One side: a log that survives `reopen`, and what stands on it."""

    def __init__(self, name, seed=0):
        self.name = NodeId(name)
        self.store = MemoryStore()
        self.seed = seed
        self.clock = LoopClock()
        self.open()

    def open(self):
        loop = asyncio.get_running_loop()
        self.seed += 1
        self.entropy = SeededEntropy(f"{self.name}{self.seed}")
        self.log = Log.open(
            store=self.store,
            committer=InlineCommitter(loop),
            clock=self.clock,
            entropy=self.entropy,
            node=self.name,
            loop=loop,
        )
        self.parts = KeepingParts(self.log)
        self.inbox = Inbox(self.clock)
        self.mailbox = Mailbox(self.log, self.inbox, self.clock, self.entropy)
        self.live = LiveChannel()

    def append(self, entity="thing:ns:a", value=b"1", cls=3, kind="thing.merged", headers=None):
        return self.log.append(cls, kind, entity, 0, 0, "/x", value, None, headers)

    def own_of(self, node):
        """Records here that were first accepted at `node`."""
        found = self.log.read(0, limit=1_000_000)
        return [r for r in found if r.origin.startswith(f"{node}/")]


FAST = LinkSettings(
    ping_every_s=2.0, ping_timeout_s=5.0, hello_timeout_s=3.0, reconnect_s_max=1.0, rival_ping_s=1.0
)


class World:
    def __init__(self, *, settings=FAST, scope=None):
        self.network = Network()
        self.settings = settings
        self.scope = scope or (lambda name: Scope(everything=True, node=name))
        self.cloud = Node("cloud")
        self.sites: dict[str, Node] = {}
        self.downlink = self.make_downlink()

    def make_downlink(self):
        node = self.cloud
        return Downlink(
            log=node.log,
            twins=node.parts,
            registry=node.parts,
            inbox=node.inbox,
            mailbox=node.mailbox,
            live=node.live,
            listener=self.network,
            directory=self.scope,
            clock=node.clock,
            settings=self.settings,
        )

    def site(self, name):
        if name not in self.sites:
            self.sites[name] = Node(name)
        return self.sites[name]

    def uplink(self, name, node=None):
        node = node or self.site(name)
        return Uplink(
            log=node.log,
            twins=node.parts,
            registry=node.parts,
            inbox=node.inbox,
            mailbox=node.mailbox,
            live=node.live,
            dialer=self.network.dialer(name),
            clock=node.clock,
            entropy=node.entropy,
            settings=self.settings,
        )


async def until(condition: Callable[[], bool], within_s=60.0, every_s=0.05):
    async with asyncio.timeout(within_s):
        while not condition():  # noqa: ASYNC110  # virtual time
            await asyncio.sleep(every_s)


@pytest.fixture
def in_world():
    """Run an async test in a world of its own, on virtual time."""

    def start(main, *, deadline_s=3600.0, **options):
        async def body():
            return await main(World(**options))

        return sim.run(body, deadline_s=deadline_s)

    return start


@pytest.fixture
def wait_until():
    return until


@pytest.fixture
def new_node():
    return Node
