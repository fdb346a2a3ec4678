"""A door on a real log, behind the real server, on a real port, in a thread of its own."""

import asyncio
import threading
from dataclasses import dataclass

import pytest

from littoral.api import ApiParts, NodeInfo, build_app
from littoral.app.http import HttpServer
from littoral.app.world import SystemClock, SystemEntropy
from littoral.client import Client
from littoral.eventing import Inbox, Router
from littoral.identity import Identities
from littoral.kernel.ids import NodeId
from littoral.log import Log
from littoral.log.adapters.committer import ThreadCommitter
from littoral.log.adapters.files import Directory
from littoral.log.adapters.sqlite import SqliteStore
from littoral.registry import Registry, seed_development
from littoral.registry.adapters.argon2 import Argon2Hasher
from littoral.twin import Caller, Twins

RIGHTS = {
    f"{kind}:/": {"grant": ["READ", "WRITE"], "revoke": []}
    for kind in ("thing", "policy", "message")
}
POLICY = {"entries": {"owner": {"subjects": {"nginx:ditto": {"type": "x"}}, "resources": RIGHTS}}}


@dataclass
class Served:
    """A node that answers at ``url``; ``parts`` may be touched only through ``on_loop``."""

    url: str
    loop: asyncio.AbstractEventLoop
    parts: ApiParts
    door: object
    stop: object = None

    def on_loop(self, call, *args):
        """Call a plain function on the node's loop and wait for what it returns."""

        async def run():
            return call(*args)

        return asyncio.run_coroutine_threadsafe(run(), self.loop).result(10)

    def client(self, user="ditto", password="ditto"):
        return Client(self.url, user=user, password=password)


async def _serve(directory, ready):
    loop = asyncio.get_running_loop()
    clock, entropy = SystemClock(), SystemEntropy()
    committer, hasher = ThreadCommitter(loop), Argon2Hasher(entropy)
    log = Log.open(
        store=SqliteStore(Directory(directory)),
        committer=committer,
        clock=clock,
        entropy=entropy,
        node=NodeId("cloud"),
        loop=loop,
    )
    registry = Registry(log, hasher, clock, entropy)
    twins = Twins(log, registry, clock)
    seed_development(registry)
    admin = Caller(frozenset(), unrestricted=True)
    await twins.put_policy(admin, "org.littoral:default", "/", POLICY)
    parts = ApiParts(
        twins=twins,
        registry=registry,
        identities=Identities(registry, clock, entropy),
        router=Router(log),
        inbox=Inbox(clock),
        log=log,
        clock=clock,
        entropy=entropy,
        node=NodeInfo("cloud", "cloud", "0.1.0"),
        statistics={"log": log.statistics},
    )
    door = build_app(parts)
    server = HttpServer(door, "127.0.0.1:0")
    ended = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(server.run())
        await server.wait_listening()
        ready(
            Served(f"http://{server.address}", loop, parts, door),
            lambda: loop.call_soon_threadsafe(ended.set),
        )
        await ended.wait()
        await door.close()
        server.stop()
        await running
    await log.close()
    committer.close()
    hasher.close()


@pytest.fixture
def served(tmp_path):
    """The node; it is stopped, with all its streams and sockets, at the end."""
    found, is_up = [], threading.Event()

    def ready(*both):
        found.extend(both)
        is_up.set()

    thread = threading.Thread(target=lambda: asyncio.run(_serve(tmp_path, ready)))
    thread.start()
    assert is_up.wait(20), "the node did not come up"
    node, end = found

    def stop():
        if thread.is_alive():
            end()
            thread.join(20)
            assert not thread.is_alive(), "the node did not stop"

    node.stop = stop
    yield node
    stop()
