"""One host of a virtual world: a disk, a clock, and a node that lives, dies and lives again on it."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from littoral.kernel.errors import LittoralError, Unavailable
from littoral.log import LogBroken, LogFull, Record, Retention
from littoral.log.adapters.sqlite import SqliteStore
from littoral.node import Node, NodeConfig, NodePorts, compose
from littoral.search.adapters.sqlite import SqliteIndex
from littoral.simulate.committer import VirtualCommitter
from littoral.simulate.disk import Disk, Survival
from littoral.simulate.entropy import SeededEntropy
from littoral.simulate.files import DiskFiles
from littoral.simulate.frames import VirtualDialer, VirtualLinkListener
from littoral.simulate.hasher import VirtualHasher
from littoral.simulate.network import Listener, Network
from littoral.simulate.time import VirtualClock

MQTT_PORT = 1883
LINK_PORT = 8883

RESPAWN_S = 0.5
"""After a node ended because its disk failed, somebody starts it again."""

T = TypeVar("T")
MakeStore = Callable[[DiskFiles], SqliteStore]


class NodeGone(Unavailable):
    """The node ended while it was asked something: whether it was done is not known."""

    code = "simulate.node_gone"


class Machine:
    """A host and its node.

    Args:
        name: of the node and of the host.
        cloud: the host that this one links to; None for the cloud itself.
        commit_s_max: the longest commit of its disk.
        make_store: how a node opens its log, for tests that plant a bug.
        prepare: called with every node that was composed, for the same.
        retention: what its nodes keep of their logs; they write states at once, so that records
            may go. None: what nodes keep unless they are told otherwise.
    """

    def __init__(
        self,
        name: str,
        *,
        network: Network,
        source: random.Random,
        clock: VirtualClock,
        cloud: str | None = None,
        commit_s_max: float = 0.02,
        make_store: MakeStore | None = None,
        prepare: Callable[[Node], None] | None = None,
        retention: Retention | None = None,
    ) -> None:
        self.name = name
        self.clock = clock
        self.cloud = cloud
        self._commit_s_max = commit_s_max
        self.disk = Disk(source, on_power_cut=self._ceased)
        self.boots = 0
        self.up = asyncio.Event()
        """Set while there is a node that may be asked."""
        self._network = network
        self._source = source
        self._make_store = make_store or _sqlite
        self._prepare = prepare
        self._retention = retention
        self.committed: dict[int, Record] = {}
        """Every record that a node here has said is committed, by seq: also those that are gone."""
        self._life: _Life | None = None
        self._power = asyncio.Event()
        self._power.set()

    @property
    def node(self) -> Node | None:
        """The node that runs here now; None while there is none."""
        return None if self._life is None or self._life.over.done() else self._life.node

    async def live(self) -> None:
        """Boot whenever there is power, until cancelled."""
        while True:
            await self._power.wait()
            try:
                life = self._boot()
            except (LogBroken, LogFull) as e:
                # The real program says so and exits; whoever supervises it starts it again.
                self._network.note(f"{self.name} cannot start: {e}")
                if self._life is not None:
                    self._end(self._life)
                    self._life.bury()
                    self._life = None
                await asyncio.sleep(RESPAWN_S)
                continue
            try:
                async with asyncio.TaskGroup() as tasks:
                    running = tasks.create_task(_run(life), name=f"{self.name} runs")
                    await asyncio.wait((running, life.over), return_when=asyncio.FIRST_COMPLETED)
                    if running.done():
                        running.result()
                        raise AssertionError(f"{self.name} ended by itself")
                    if life.clean and life.door is not None:
                        life.door.close()
                        await life.node.close_doors()
                    running.cancel()
                if life.clean:
                    await life.node.close()
            finally:
                self._end(life)
                life.bury()

    def cut_power(self, survival: Survival | None = None) -> None:
        """Let the power go now."""
        if self.disk.power:
            self.disk.cut_power(survival)
            self._ceased()

    def kill(self) -> None:
        """End the process as SIGKILL does: the page cache stays, peers get a reset."""
        if self._life is None:
            return
        self._network.kill(self.name)
        self._network.power_off(self.name)
        self.disk.kill_process()
        self._power.clear()
        self._end(self._life)

    def stop(self) -> None:
        """Ask the node to end in order; it boots again after `restart`."""
        if self._life is not None and not self._life.over.done():
            self._power.clear()
            self.up.clear()
            self._life.clean = True
            self._life.over.set_result(None)

    def restart(self) -> None:
        """Give the power back, or start the process that was killed."""
        self.disk.spare()
        self._power.set()

    async def ask(self, what: Callable[[Node], Awaitable[T]]) -> T:
        """Let somebody on this host use its node; raise `NodeGone` if it ends meanwhile."""
        life = self._life
        if life is None or life.over.done():
            raise NodeGone(f"{self.name} is down.")

        async def asked() -> T | LittoralError:
            try:
                return await what(life.node)
            except LittoralError as e:
                return e

        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(asked(), name=f"{self.name} is asked")
            life.asked[task] = None
            await asyncio.wait((task,))
            del life.asked[task]
        if task.cancelled() or life.over.done():
            raise NodeGone(f"{self.name} went down meanwhile.")
        result = task.result()
        if isinstance(result, LittoralError):
            raise result
        return result

    def _boot(self) -> "_Life":
        if not self.disk.power:
            self.disk.power_on()
        elif self.boots:
            self.disk.kill_process()
        self._network.power_on(self.name)
        self.boots += 1
        loop = self._network.loop
        files = DiskFiles(self.disk)
        committer = VirtualCommitter(loop, self._source, latency_s_max=self._commit_s_max)
        # Known before the node is made: opening it writes, and the power may go at any write.
        life = self._life = _Life(files, committer, self._make_store(files), loop.create_future())
        searcher = VirtualCommitter(loop, self._source, latency_s_max=self._commit_s_max)
        life.searcher = searcher
        dialer: VirtualDialer | None = None
        listener: VirtualLinkListener | None = None
        if self.cloud is None:
            listener = VirtualLinkListener(self._network, self.name, LINK_PORT)
        else:
            dialer = VirtualDialer(self._network, self.name, self.cloud, LINK_PORT)
        life.node = compose(
            NodeConfig(name=self.name, role="cloud" if self.cloud is None else "site"),
            NodePorts(
                clock=self.clock,
                entropy=SeededEntropy(self._source),
                scheduler=loop,
                store=life.store,
                committer=committer,
                hasher=VirtualHasher(),
                search=lambda: (self._index(), searcher),
                listener=None if listener is None else lambda _: listener,
                dialer=dialer,
            ),
        )
        life.node.log.listen(self._archive)
        if self._retention is not None:
            # What was committed before somebody could be told of it.
            seq = 0
            while page := life.node.log.read(seq, limit=1000):
                self._archive(page)
                seq = page[-1].seq
            life.node.log.retain(self._retention)
            life.node.twins.flush()
        life.node.log.on_broken(lambda error: self._broken(life, error))
        opened = life.node.log.opened
        self._network.note(f"{self.name} is up at {opened.head} as {life.node.log.origin}")
        if opened.salvage is not None:
            self._network.note(f"{self.name} salvaged its log: {opened.salvage.detail}")
        if self._prepare is not None:
            self._prepare(life.node)
        if not life.over.done():
            life.door = self._network.listen(self.name, MQTT_PORT, life.node.mqtt.protocol_factory)
            self.up.set()
        return life

    def _archive(self, records: Sequence[Record]) -> None:
        if self._retention is not None:
            self.committed.update((record.seq, record) for record in records)

    def _index(self) -> SqliteIndex:
        return SqliteIndex(
            ":memory:", remove=lambda _: None, monotonic_s=self.clock.monotonic_s, cache_kib=1024
        )

    def _broken(self, life: "_Life", error: LittoralError) -> None:
        """The disk failed: as the real program does, end at once, and be started again."""
        if life is self._life and not life.over.done():
            self._network.note(f"{self.name} ends: {error}")
            self.kill()
            self._network.loop.call_later(RESPAWN_S, self.restart)

    def _ceased(self) -> None:
        """The power went, maybe in the middle of a write: whatever the node does is not seen."""
        self._power.clear()
        self._network.power_off(self.name)
        if self._life is not None:
            self._end(self._life)

    def _end(self, life: "_Life") -> None:
        life.clean = False
        self.up.clear()
        life.committer.die()
        if life.searcher is not None:
            life.searcher.die()
        if not life.over.done():
            life.over.set_result(None)
        for task in list(life.asked):
            task.cancel()


class _Life:
    """What one boot made."""

    node: Node
    door: Listener | None = None
    searcher: VirtualCommitter | None = None
    """Runs the search index's work; the index is in memory and dies with it."""

    def __init__(
        self,
        files: DiskFiles,
        committer: VirtualCommitter,
        store: SqliteStore,
        over: asyncio.Future[None],
    ) -> None:
        self.files = files
        self.committer = committer
        self.store = store
        self.over = over
        self.clean = False
        """Whether it may end in order: say goodbye, write what is in memory, close its files."""
        self.asked: dict[asyncio.Task[object], None] = {}

    def bury(self) -> None:
        """Let go of what the dead process held."""
        self.store.close()
        self.files.close()


async def _run(life: _Life) -> None:
    try:
        await life.node.run()
    except* LogBroken:
        # The disk failed under its housekeeping: the node was ended for it already.
        await life.over


def _sqlite(files: DiskFiles) -> SqliteStore:
    return SqliteStore(files, vfs=files.vfs, exclusive=True)
