"""Reads of whole things and writes of one property over HTTP: requests a second, and CPU for each.

A node as `littoral up` runs it (SQLite, uvloop) with 100,000 things of 1 kB; the load comes
from another process over keep-alive connections, each with one request at a time. Ditto's users are
bound by policies, and so is the caller here. On shared cores the rate depends on who else works;
the node's CPU time for a request does not.

    .venv/bin/python bench/http_bench.py [--things N] [--seconds S] [--connections C] [--json]
"""

import argparse
import asyncio
import base64
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import uvloop

from figures import Figure, report
from littoral.app.bench.processes import die_with_parent, free_port
from littoral.app.run import serve
from littoral.kernel.errors import LittoralError
from littoral.node.config import HttpConfig, LinkConfig, MqttConfig, NodeConfig
from littoral.registry import seed_development
from littoral.twin import Caller

TARGETS = {"get": 6_000, "put": 3_000}
POLICY = {
    "entries": {
        "owner": {
            "subjects": {"nginx:ditto": {"type": "bench"}},
            "resources": {
                f"{kind}:/": {"grant": ["READ", "WRITE"], "revoke": []}
                for kind in ("thing", "policy", "message")
            },
        }
    }
}
TOKEN = base64.b64encode(b"ditto:ditto").decode()


def document(number):
    """57 leaves, 1 kB."""
    features = {
        f"axis{axis}": {
            "properties": {
                name: round(number * 0.37 + axis + place, 2)
                for place, name in enumerate(("pos", "vel", "acc", "torq", "temp", "volt", "amps"))
            }
        }
        for axis in range(7)
    }
    attributes = {"serial": f"SN-{number:08d}", "model": "arm-7", "site": "hall-3", "line": 4}
    attributes |= {"owner": "plant", "fw": "1.4.2", "year": 2026}
    return {"policyId": "org.bench:default", "attributes": attributes, "features": features}


# -- the node ----------------------------------------------------------------------------------


def run_node(directory, port, things):
    admin = Caller(frozenset(), unrestricted=True)

    async def prepare(node):
        seed_development(node.registry)
        node.twins.policies.put(admin, "org.bench:default", "/", POLICY)

    async def fill(node):
        for number in range(things):
            node.twins.things.create_thing(
                admin, document(number), thing_id=f"org.bench:thing-{number:06d}"
            )
            if number % 500 == 499:
                await node.log.wait()

    async def main():
        async with asyncio.TaskGroup() as tasks:

            def ready(node, addresses):
                async def announce():
                    await fill(node)
                    # The index of new things costs what it costs; it is not measured here.
                    while node.search is not None:
                        try:
                            await node.search.settled()
                            break
                        except LittoralError:
                            await asyncio.sleep(1)
                    print("ready", flush=True)

                tasks.create_task(announce())

            await serve(
                NodeConfig(
                    data_dir=directory,
                    hot_things_max=things + 10_000,
                    http=HttpConfig(listen=f"127.0.0.1:{port}"),
                    mqtt=MqttConfig(listen="127.0.0.1:0"),
                    link=LinkConfig(listen=""),
                ),
                prepare=prepare,
                ready=ready,
            )

    uvloop.run(main())


# -- the load ----------------------------------------------------------------------------------


class Client(asyncio.Protocol):
    """One keep-alive connection with one request in flight."""

    def __init__(self, load):
        self.load = load
        self.buffer = b""
        self.need = -1

    def connection_made(self, transport):
        self.transport = transport

    def begin(self):
        self.sent = time.perf_counter()
        self.transport.write(self.load.request())

    def data_received(self, data):
        self.buffer += data
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        if self.need < 0:
            head = self.buffer[:end].lower()
            at = head.find(b"content-length:")
            size = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            self.need = end + 4 + size
        if len(self.buffer) >= self.need:
            status = int(self.buffer[9:12])
            self.buffer = self.buffer[self.need :]
            self.need = -1
            if self.load.done(status, time.perf_counter() - self.sent):
                self.begin()


class Load:
    def __init__(self, kind, things, seed=7):
        self.kind, self.things = kind, things
        self.random = random.Random(seed)
        self.times = []
        self.wrong = 0
        self.running = True
        self.turn = 0

    def request(self):
        number = int(self.random.random() * self.things)
        path = f"/api/2/things/org.bench:thing-{number:06d}"
        head = f"Host: localhost\r\nAuthorization: Basic {TOKEN}\r\n"
        if self.kind == "get":
            return f"GET {path} HTTP/1.1\r\n{head}\r\n".encode()
        self.turn += 1
        body = str(self.turn)
        return (
            f"PUT {path}/features/axis{self.turn % 7}/properties/pos HTTP/1.1\r\n{head}"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}"
        ).encode()

    def done(self, status, seconds):
        self.times.append(seconds)
        if status != (200 if self.kind == "get" else 204):
            self.wrong += 1
        return self.running


def run_load(port, kind, things, connections, seconds):
    async def main():
        loop = asyncio.get_running_loop()
        load = Load(kind, things)
        clients = [
            (await loop.create_connection(lambda: Client(load), "127.0.0.1", port))[1]
            for _ in range(connections)
        ]
        began = time.perf_counter()
        for client in clients:
            client.begin()
        await asyncio.sleep(seconds)
        load.running = False
        took = time.perf_counter() - began
        times = sorted(load.times)
        await asyncio.sleep(0.2)
        print(
            json.dumps(
                {
                    "requests": len(times),
                    "rate": len(times) / took,
                    "wrong": load.wrong,
                    "p50_ms": 1e3 * times[len(times) // 2],
                    "p99_ms": 1e3 * times[int(len(times) * 0.99)],
                }
            )
        )

    uvloop.run(main())


def cpu_s(pid):
    parts = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(parts[11]) + int(parts[12])) / os.sysconf("SC_CLK_TCK")


def measure(things, connections, seconds):
    port = free_port()
    figures = {}
    with tempfile.TemporaryDirectory() as directory:
        node = subprocess.Popen(
            [sys.executable, __file__, "--node", directory, str(port), "--things", str(things)],
            stdout=subprocess.PIPE,
            text=True,
            preexec_fn=die_with_parent,  # noqa: PLW1509  # this process has no threads yet
        )
        try:
            assert node.stdout.readline().strip() == "ready"
            for kind in ("get", "put"):
                arguments = ["--load", kind, str(port), "--things", str(things)]
                arguments += ["--connections", str(connections), "--seconds", str(seconds)]
                before = cpu_s(node.pid)
                output = subprocess.run(
                    [sys.executable, __file__, *arguments],
                    check=True,
                    capture_output=True,
                    text=True,
                ).stdout
                figures[kind] = json.loads(output)
                used = cpu_s(node.pid) - before
                figures[kind]["cpu_us"] = 1e6 * used / figures[kind]["requests"]
                assert figures[kind]["wrong"] == 0, figures[kind]
        finally:
            node.send_signal(signal.SIGINT)
            node.wait(20)
    return figures


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--things", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--node", nargs=2)
    parser.add_argument("--load", nargs=2)
    options = parser.parse_args()
    if options.node:
        run_node(options.node[0], int(options.node[1]), options.things)
        return
    if options.load:
        kind, port = options.load
        run_load(int(port), kind, options.things, options.connections, options.seconds)
        return
    measured = measure(options.things, options.connections, options.seconds)
    names = {
        "get": "GET of a whole thing over HTTP",
        "put": "durable PUT of one property over HTTP",
    }
    report(
        [
            Figure(
                names[kind],
                one["rate"],
                "/s",
                TARGETS[kind],
                at_least=True,
                detail=f"{options.things:,} things, {options.connections} connections; "
                f"{one['cpu_us']:.0f} µs of the node's CPU each, "
                f"p50 {one['p50_ms']:.1f} ms, p99 {one['p99_ms']:.1f} ms",
            )
            for kind, one in measured.items()
        ]
    )


if __name__ == "__main__":
    main()
