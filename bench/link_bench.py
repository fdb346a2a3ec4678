"""How fast a site catches up: records/s from one SQLite log to another, in one process.

    python bench/link_bench.py [--records N] [--payload BYTES] [--transport memory|tls] [--twins]

Without --twins the receiver only stores (the link alone); with it every record is folded into its
thing. Both nodes, both logs and both ends of the connection share one core here.
"""

import argparse
import asyncio
import secrets
import tempfile
import time
from collections import deque
from pathlib import Path

import uvloop

from littoral.edge import Downlink, Enrolment, EnrolmentToken, Scope, Uplink
from littoral.edge.adapters.authority import open_authority
from littoral.edge.adapters.certificates import KeySmith
from littoral.edge.adapters.files import FileIdentity
from littoral.edge.adapters.websocket import WebSocketDialer, WebSocketListener
from littoral.edge.ports import PeerIdentity
from littoral.eventing import Inbox
from littoral.kernel.ids import NodeId
from littoral.log import Log
from littoral.log.adapters.committer import ThreadCommitter
from littoral.log.adapters.files import Directory
from littoral.log.adapters.sqlite import SqliteStore
from littoral.registry import Registry
from littoral.registry.adapters.argon2 import InlineArgon2Hasher
from littoral.twin import Twins


class WallClock:
    def now_ms(self):
        return time.time_ns() // 1_000_000

    def monotonic_s(self):
        return asyncio.get_running_loop().time()


class RealEntropy:
    def token(self, size):
        return secrets.token_bytes(size)

    def uniform(self, low, high):
        return (low + high) / 2


class Keeping:
    def __init__(self, log):
        self._log = log

    def apply_remote(self, record):
        self._log.append_remote(record, 0, 0)


class End:
    def __init__(self, node):
        self.peer = PeerIdentity(node, "memory")
        self.other = None
        self.frames = deque()
        self.wake = asyncio.Event()
        self.bytes = 0

    async def send(self, frame):
        self.bytes += len(frame)
        self.other.frames.append(frame)
        self.other.wake.set()

    async def receive(self):
        while not self.frames:
            self.wake.clear()
            await self.wake.wait()
        return self.frames.popleft()

    async def close(self, reason=""):
        """There is nothing to let go of."""


class MemoryNetwork:
    """Both ports of the transport."""

    def __init__(self, tasks):
        self._tasks = tasks
        self._accept = None
        self.near = None

    async def serve(self, accept):
        self._accept = accept
        await asyncio.Event().wait()

    async def dial(self):
        near, far = End(None), End(NodeId("site-one"))
        near.other, far.other = far, near
        self.near = near
        self._tasks.create_task(self._accept(far))
        return near


class Node:
    def __init__(self, name, directory, *, replica):
        loop = asyncio.get_running_loop()
        self.clock, self.entropy = WallClock(), RealEntropy()
        self.log = Log.open(
            store=SqliteStore(Directory(directory / name)),
            committer=ThreadCommitter(loop),
            clock=self.clock,
            entropy=self.entropy,
            node=NodeId(name),
            loop=loop,
        )
        hasher = InlineArgon2Hasher(self.entropy)
        self.registry = Registry(self.log, hasher, self.clock, self.entropy, replica=replica)
        self.inbox = Inbox(self.clock)

    def parts(self, *, twins):
        return {
            "log": self.log,
            "twins": Twins(self.log, self.registry, self.clock) if twins else Keeping(self.log),
            "registry": self.registry,
            "inbox": self.inbox,
            "clock": self.clock,
        }


async def fill(node, count, payload):
    things = [f"thing:org.bench:device-{n}" for n in range(1000)]
    path = "/features/telemetry/properties"
    for n in range(count):
        value = b'{"n":%d,"temperature":%d.%d,"p":"%s"}' % (n, n % 40, n % 10, b"x" * payload)
        node.log.append(3, "thing.merged", things[n % 1000], n // 1000 + 1, 0, path, value)
        if n % 4000 == 3999:
            await node.log.wait()
    await node.log.wait()


async def tls(cloud, site, directory):
    files = open_authority(
        directory / "pki", node=NodeId("cloud"), names=["127.0.0.1"], now_ms=cloud.clock.now_ms()
    )
    enrolment = Enrolment(
        registry=cloud.registry, log=cloud.log, authority=files.authority, clock=cloud.clock
    )
    listener = WebSocketListener(
        host="127.0.0.1",
        port=0,
        chain_path=files.chain_path,
        ca=files.authority.certificate,
        enrolment=enrolment,
    )
    cloud.registry.put_tenant("T1", namespaces=["org.bench"])
    issued = cloud.registry.issue_token("site-one", ["T1"])

    def dialer():
        token = EnrolmentToken(
            NodeId("site-one"),
            issued.text,
            files.authority.fingerprint,
            f"wss://127.0.0.1:{listener.port}",
        )
        return WebSocketDialer(
            store=FileIdentity(directory / "site-pki"),
            clock=site.clock,
            smith=KeySmith,
            token=token,
            proxy=None,
        )

    return listener, dialer


async def main(arguments):
    with tempfile.TemporaryDirectory(dir=arguments.directory) as name:
        await measure(arguments, Path(name))


async def measure(arguments, directory):
    cloud = Node("cloud", directory, replica=False)
    site = Node("site-one", directory, replica=True)
    await fill(site, arguments.records, arguments.payload)
    async with asyncio.TaskGroup() as tasks:
        network = MemoryNetwork(tasks)
        listener, make_dialer = network, lambda: network
        if arguments.transport == "tls":
            listener, make_dialer = await tls(cloud, site, directory)
        downlink = Downlink(
            **cloud.parts(twins=arguments.twins),
            listener=listener,
            directory=lambda name: Scope(everything=True, node=name),
        )
        running = [tasks.create_task(downlink.run())]
        if arguments.transport == "tls":
            await listener.wait_listening()
        else:
            await asyncio.sleep(0)
        up = Uplink(**site.parts(twins=False), entropy=site.entropy, dialer=make_dialer())
        started, cpu = time.perf_counter(), time.process_time()
        running.append(tasks.create_task(up.run()))
        while up.statistics().backlog_records or not up.statistics().session:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
        took, used = time.perf_counter() - started, time.process_time() - cpu
        got = downlink.sites()["site-one"].applied_records
        print(
            f"link {arguments.transport}{' + twins' if arguments.twins else ''}: "
            f"{got} records in {took:.2f} s = {got / took:,.0f} records/s "
            f"(cpu {used:.2f} s)"
        )
        for task in running:
            task.cancel()
    await site.log.close()
    await cloud.log.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=200_000)
    parser.add_argument("--payload", type=int, default=100)
    parser.add_argument("--transport", choices=["memory", "tls"], default="memory")
    parser.add_argument("--twins", action="store_true")
    parser.add_argument("--directory", default=None)
    parser.add_argument("--profile", action="store_true")
    options = parser.parse_args()
    if options.profile:
        import cProfile
        import pstats

        profile = cProfile.Profile()
        profile.enable()
        uvloop.run(main(options))
        profile.disable()
        pstats.Stats(profile).sort_stats("tottime").print_stats(25)
    else:
        uvloop.run(main(options))
