"""A cloud and a site with real files, real TLS and real sockets on loopback."""

import asyncio
import random
import secrets
import time

import pytest

from littoral.edge import Downlink, Enrolment, EnrolmentToken, LinkSettings, Uplink, scope_of
from littoral.edge.adapters.authority import open_authority
from littoral.edge.adapters.certificates import KeySmith
from littoral.edge.adapters.files import FileIdentity
from littoral.edge.adapters.websocket import WebSocketDialer, WebSocketListener
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
    def __init__(self):
        self.offset_ms = 0

    def now_ms(self):
        return int(time.time() * 1000) + self.offset_ms  # noqa: TID251  # the real world

    def monotonic_s(self):
        return asyncio.get_running_loop().time()


class RealEntropy:
    def token(self, size):
        return secrets.token_bytes(size)

    def uniform(self, low, high):
        return random.uniform(low, high)


FAST = LinkSettings(reconnect_s_min=0.02, reconnect_s_max=0.1, hello_timeout_s=5)


class RealNode:
    def __init__(self, name, directory, *, replica):
        self.name = NodeId(name)
        self.directory = directory / name
        self.clock, self.entropy = WallClock(), RealEntropy()
        loop = asyncio.get_running_loop()
        self.log = Log.open(
            store=SqliteStore(Directory(self.directory)),
            committer=ThreadCommitter(loop),
            clock=self.clock,
            entropy=self.entropy,
            node=self.name,
            loop=loop,
        )
        hasher = InlineArgon2Hasher(self.entropy)
        self.registry = Registry(self.log, hasher, self.clock, self.entropy, replica=replica)
        self.twins = Twins(self.log, self.registry, self.clock)
        self.inbox = Inbox(self.clock)

    def parts(self):
        return {
            "log": self.log,
            "twins": self.twins,
            "registry": self.registry,
            "inbox": self.inbox,
            "clock": self.clock,
            "settings": FAST,
        }


class Cloud(RealNode):
    def __init__(self, directory):
        super().__init__("cloud", directory, replica=False)
        files = open_authority(
            self.directory / "pki", node=self.name, names=["127.0.0.1"], now_ms=self.clock.now_ms()
        )
        self.authority = files.authority
        self.enrolment = Enrolment(
            registry=self.registry, log=self.log, authority=files.authority, clock=self.clock
        )
        self.listener = WebSocketListener(
            host="127.0.0.1",
            port=0,
            chain_path=files.chain_path,
            ca=files.authority.certificate,
            enrolment=self.enrolment,
        )
        self.downlink = Downlink(
            **self.parts(),
            listener=self.listener,
            directory=lambda name: scope_of(self.registry, name),
            renew=self.enrolment.renew,
        )

    @property
    def url(self):
        return f"wss://127.0.0.1:{self.listener.port}"

    def token(self, site, tenants=("T1",)):
        issued = self.registry.issue_token(site, list(tenants))
        return EnrolmentToken(NodeId(site), issued.text, self.authority.fingerprint, self.url)


class RealSite(RealNode):
    def __init__(self, name, directory):
        super().__init__(name, directory, replica=True)
        self.store = FileIdentity(self.directory / "pki")

    def dialer(self, *, token=None, url=""):
        return WebSocketDialer(
            store=self.store,
            clock=self.clock,
            smith=KeySmith,
            token=token,
            url=url,
            proxy=None,
        )

    def uplink(self, dialer, **more):
        return Uplink(**self.parts(), entropy=self.entropy, dialer=dialer, **more)


@pytest.fixture
def in_real_world(tmp_path):
    """Run an async test with a cloud whose listener is up."""

    def start(main):
        async def body():
            cloud = Cloud(tmp_path)
            async with asyncio.TaskGroup() as tasks:
                serving = tasks.create_task(cloud.downlink.run())
                await cloud.listener.wait_listening()
                try:
                    async with asyncio.timeout(30):
                        await main(cloud, lambda name: RealSite(name, tmp_path), tasks)
                finally:
                    serving.cancel()
            await cloud.log.close()

        asyncio.run(body())

    return start


@pytest.fixture
def eventually():
    async def wait(condition, within_s=15.0):
        async with asyncio.timeout(within_s):
            while not condition():  # noqa: ASYNC110  # what it waits for is beyond sockets
                await asyncio.sleep(0.01)

    return wait


@pytest.fixture
def settings():
    return FAST
