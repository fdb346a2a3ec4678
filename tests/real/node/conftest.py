"""Whole nodes as child processes, devices that come back, and a cable that can be cut."""

import asyncio
import json
import os
import random
import shutil
import signal
import socket
from contextlib import asynccontextmanager
from pathlib import Path
from time import perf_counter

import httpx
import pytest

from littoral.app.bench.node import ADMIN, NodeProcess, apply, call, device, tenant
from littoral.app.bench.processes import family, family_pss_mb
from littoral.app.demo.device import Device
from littoral.app.demo.model import Acknowledged, DeviceSpec
from littoral.app.demo.offline import THING, stored
from littoral.app.demo.proxy import Cable
from littoral.app.demo.verdict import compare
from littoral.gateway.mqtt import ClientCodec, Connack, encode_connect
from littoral.kernel.ids import Origin
from littoral.log.adapters.files import Directory
from littoral.log.adapters.sqlite import SqliteStore

TENANT, NAMESPACE = "plant", "org.plant"
_PORTS = random.Random(os.urandom(8))


def free_port():
    """A port that nobody listens on, below those that the kernel gives to outgoing connections.

    A node that was killed must get its port back, whatever connects meanwhile.
    """
    while True:
        port = _PORTS.randrange(12_000, 32_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


async def until(is_so, what, timeout_s=40.0, every_s=0.02):
    """Wait until ``is_so()``, a function or a coroutine function, is true; return what it said."""
    deadline = perf_counter() + timeout_s
    while True:
        said = is_so()
        if asyncio.iscoroutine(said):
            said = await said
        if said:
            return said
        assert perf_counter() < deadline, f"{what}: not within {timeout_s:g} s"
        await asyncio.sleep(every_s)


class Counting:
    """A device whose readings are their numbers; every third is an event."""

    def __init__(self, feature="telemetry", events=True, filler=""):
        self.feature, self.events, self.filler = feature, events, filler
        self.commands = []

    def next(self, number):
        endpoint = "e" if self.events and number % 3 == 0 else "t"
        return endpoint, self.feature, json.dumps({"n": number, "x": self.filler}).encode()

    def command(self, name, payload):
        self.commands.append((name, payload))
        return {"done": name}


class Node(NodeProcess):
    """Its log lies in the world's directory: its data may be on a disk that is full."""

    logs = None

    @property
    def log_file(self):
        return self.logs / f"{self.name}.log"


class World:
    """Everything that one test has started; `close` leaves no process behind."""

    Counting = Counting
    until = staticmethod(until)

    def __init__(self, directory):
        self.directory = directory
        self.nodes = []
        self.cables = []
        self.writers = []
        self.link_port = free_port()

    def play(self, scenario):
        """Run ``scenario``; close the connections and cables that it leaves."""

        async def run():
            try:
                return await scenario()
            finally:
                for writer in self.writers:
                    writer.transport.abort()
                for cable in self.cables:
                    await cable.cut()
                await asyncio.sleep(0.01)

        return asyncio.run(run())

    # -- nodes --------------------------------------------------------------------------------

    def cloud(self, *extra, data=None, environment=None):
        """A cloud that is not started yet."""
        http, mqtt = free_port(), free_port()
        arguments = ("--http", f"127.0.0.1:{http}", "--mqtt", f"127.0.0.1:{mqtt}")
        data = data or self.directory / "cloud"
        return self._node(
            Node(
                name="cloud",
                arguments=(
                    *("up", "--dev", "--data-dir", str(data), *arguments),
                    *("--link", f"127.0.0.1:{self.link_port}", *extra),
                ),
                directory=data,
                http_port=http,
                mqtt_port=mqtt,
                environment=dict(environment or {}),
            )
        )

    def site(self, cloud, name, *extra, link_port=None, tenants=(TENANT,), environment=None):
        """A site with a token of ``cloud``, not started yet; ``link_port`` is its cable's."""
        http, mqtt = free_port(), free_port()
        body = json.dumps({"site": name, "tenants": list(tenants)}).encode()
        token = json.loads(call(cloud, "POST", "/api/littoral/v1/tokens", body))["token"]
        data = self.directory / name
        return self._node(
            Node(
                name=name,
                arguments=(
                    *("edge", "--dev", "--data-dir", str(data), "--token", token),
                    *("--http", f"127.0.0.1:{http}", "--mqtt", f"127.0.0.1:{mqtt}", *extra),
                ),
                directory=data,
                http_port=http,
                mqtt_port=mqtt,
                environment={
                    "LITTORAL_LINK__RETRY_S_MAX": "0.5",
                    "LITTORAL_LINK__URL": f"wss://127.0.0.1:{link_port or self.link_port}",
                    **(environment or {}),
                },
            )
        )

    def _node(self, node):
        node.logs = self.directory
        self.nodes.append(node)
        return node

    def cable(self):
        """A cable to the cloud's listener for sites; `mend` it first."""
        self.cables.append(Cable(self.link_port))
        return self.cables[-1]

    async def started(self, node):
        """Start it and wait until it is ready, without blocking whoever else runs here."""
        began = perf_counter()
        node.start()
        await self.ready(node)
        return perf_counter() - began

    async def ready(self, node, timeout_s=60.0):
        async def is_ready():
            if not node.is_alive:
                raise AssertionError(f"{node.name} ended: {node.log_tail()}")
            answer = await self.get(node, "/readyz")
            return answer is not None and answer.status_code == 200

        try:
            await until(is_ready, f"{node.name} is ready", timeout_s)
        except AssertionError as e:
            if node.is_alive:
                os.kill(node.pid, signal.SIGABRT)
            raise AssertionError(f"{e}; its log ends with {node.log_tail()}") from e

    @staticmethod
    def worker_of(node):
        """The process id of the node's functions worker; None while there is none."""
        for pid in family(node.pid)[1:]:
            try:
                command = Path(f"/proc/{pid}/cmdline").read_bytes()
            except OSError:
                continue
            if b"littoral.functions.worker" in command:
                return pid
        return None

    @staticmethod
    def tell(text):
        """A figure that is looked at, not tested: ``pytest -rP`` shows it."""
        print(text)  # noqa: T201

    @staticmethod
    def kill(pid):
        os.kill(pid, signal.SIGKILL)

    @staticmethod
    def pss_mb(node):
        return family_pss_mb(node.pid)

    @staticmethod
    def log_text(node):
        return node.log_file.read_text(errors="replace")

    # -- HTTP ---------------------------------------------------------------------------------

    @staticmethod
    async def request(node, method, path, *, auth=ADMIN, **options):
        async with httpx.AsyncClient(
            auth=auth, trust_env=False, timeout=options.pop("timeout", 10.0)
        ) as http:
            return await http.request(method, node.url + path, **options)

    async def get(self, node, path, **options):
        """The answer; None if there is none now."""
        try:
            return await self.request(node, "GET", path, timeout=2.0, **options)
        except httpx.HTTPError:
            return None

    async def status(self, node):
        answer = await self.get(node, "/api/littoral/v1/status")
        return answer.json() if answer is not None and answer.status_code == 200 else None

    async def uplink(self, site):
        """How the site's link says it is; empty while it says nothing."""
        status = await self.status(site)
        return next(iter((status or {}).get("links", {}).values()), {})

    async def synced(self, site, timeout_s=60.0):
        """Wait until the cloud has acknowledged everything of the site."""

        async def is_synced():
            link = await self.uplink(site)
            return link.get("session") and link.get("backlog_records") == 0

        await until(is_synced, f"{site.name} has brought everything to the cloud", timeout_s)

    async def knows(self, node, name, tenant_name=TENANT):
        """Wait until the node knows a device: the registry has come down."""

        async def known():
            path = f"/api/littoral/v1/devices?tenant={tenant_name}&limit=200"
            answer = await self.get(node, path)
            return (
                answer is not None
                and answer.status_code == 200
                and any(item["id"] == name for item in answer.json()["items"])
            )

        await until(known, f"{node.name} knows {name}")

    # -- devices ------------------------------------------------------------------------------

    @staticmethod
    def populate(node, names, tenant_name=TENANT, namespace=NAMESPACE):
        apply(node, [tenant(tenant_name, namespace)])
        apply(node, [device(tenant_name, name, "secret") for name in names])

    @staticmethod
    def device(node, name, *, version=4, source=None, seed=1):
        spec = DeviceSpec(
            site=node.name,
            name=name,
            thing_id=f"{NAMESPACE}:{name}",
            username=f"{name}@{TENANT}",
            password="secret",
            port=node.mqtt_port,
            version=version,
            kind="",
            seed=seed,
        )
        return Device(spec, source or Counting(), random.Random(seed), lambda _: None)

    @asynccontextmanager
    async def connected(self, devices):
        """Devices that stay connected inside of the block, whatever happens to their nodes."""

        async def tick():
            while True:
                for one in devices:
                    one.tick()
                await asyncio.sleep(0.2)

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one.run()) for one in devices] + [group.create_task(tick())]
            try:
                await until(lambda: all(one.was_ready.is_set() for one in devices), "all connect")
                yield
            finally:
                for task in tasks:
                    task.cancel()

    @staticmethod
    async def drained(devices, timeout_s=60.0):
        """Wait until every message that a device has taken is acknowledged."""
        await until(
            lambda: not any(one.in_flight or one.waiting for one in devices),
            "every message is acknowledged",
            timeout_s,
        )

    async def open(self, port):
        """A plain connection."""
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        self.writers.append(writer)
        return reader, writer

    async def connect(self, port, username, password, *, version=5, client="raw"):
        """A raw MQTT connection after its CONNACK: reader, writer, codec, CONNACK."""
        reader, writer = await self.open(port)
        writer.write(encode_connect(client, username=username, password=password, version=version))
        codec = ClientCodec(version)
        while not (packets := codec.feed(data := await reader.read(4096))):
            assert data, "the node closed before a CONNACK"
        assert isinstance(packets[0], Connack)
        return reader, writer, codec, packets[0]

    # -- verdict ------------------------------------------------------------------------------

    def stored(self, node):
        """All records of things in the log of a stopped node, as the verdict wants them."""
        return [stored(r) for r in self.records(node) if r.entity.startswith(THING)]

    @staticmethod
    def records(node):
        """Every record in the log of a stopped node. The log is opened as the node would open it."""
        store = SqliteStore(Directory(node.directory))
        store.open(origin=Origin(f"{node.name}/{os.urandom(8).hex()}"))
        try:
            found, after = [], 0
            while records := store.read(after, limit=4096):
                after = records[-1].seq
                found += records
            return found
        finally:
            store.close()

    @staticmethod
    def judge(devices, stored):
        """Counts of what devices saw acknowledged against what is stored."""
        seen = [Acknowledged(one.spec.thing_id, tuple(one.acknowledged)) for one in devices]
        return compare(seen, stored)

    def close(self):
        for node in self.nodes:
            node.kill()


@pytest.fixture(scope="session")
def make_world():
    """The class itself, for fixtures that share a node between tests; they close it."""
    return World


@pytest.fixture
def world(tmp_path):
    world = World(tmp_path)
    try:
        yield world
    finally:
        world.close()


KILLS, KILLS_EACH = 50, 10


def pytest_addoption(parser):
    parser.addoption("--kills", type=int, default=KILLS, help="how often a process is killed")


def pytest_generate_tests(metafunc):
    """Whole tests of `KILLS_EACH` kills, a seed each."""
    if "seed" in metafunc.fixturenames and "kills" in metafunc.fixturenames:
        # This folder's options are known only if it was named on the command line.
        total = metafunc.config.getoption("--kills", KILLS)
        seeds = range(max(1, total // KILLS_EACH))
        metafunc.parametrize(("seed", "kills"), [(seed, KILLS_EACH) for seed in seeds], ids=str)


@pytest.fixture
def small_disk(tmp_path):
    """A mounted file system of 24 MiB that a test may fill."""
    import subprocess

    if os.geteuid() != 0 or not shutil.which("mount"):
        pytest.skip("a full disk needs root, to mount a small one")
    disk = tmp_path / "disk"
    disk.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(disk)],
        check=False,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        pytest.skip(f"a small disk cannot be mounted: {done.stderr.strip()}")
    try:
        yield disk
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=False)
