"""Durable modifies over one WebSocket: a window of commands, each answered after its commit.

The load generator is another process. A command names one of some things of about 1 kB and replaces
one property; a response counts if its status is 204. Processor time of node and load is printed,
because others may load the machine.

    .venv/bin/python bench/websocket.py [--json] [--things N] [--window N] [--seconds S]
"""

import argparse
import asyncio
import base64
import json
import subprocess
import sys
import tempfile
from collections import deque
from pathlib import Path
from time import perf_counter, process_time

import uvloop

from figures import Figure, report
from littoral.app.bench.node import cloud_process, running
from littoral.app.bench.processes import cpu_seconds
from littoral.app.demo.verdict import quantiles
from littoral.app.frames import TEXT, head_of

WARMUP_S = 3.0
FILLERS = 16
USER = ("ditto", "ditto")
HANDSHAKE = (
    b"GET /ws/2 HTTP/1.1\r\nHost: bench\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
    b"Authorization: Basic %s\r\n\r\n"
)


def masked(text):
    """A client's frame; a mask of zeros is one too, and costs nothing."""
    head = bytearray(head_of(TEXT, len(text)))
    head[1] |= 0x80
    return bytes(head) + bytes(4) + text


def frames_in(data):
    """Payloads of a server's frames, and what is left over."""
    at, found = 0, []
    while len(data) - at >= 2:
        size, start = data[at + 1], at + 2
        if size == 126:
            size, start = int.from_bytes(data[at + 2 : at + 4], "big"), at + 4
        elif size == 127:
            size, start = int.from_bytes(data[at + 2 : at + 10], "big"), at + 10
        if start + size > len(data):
            break
        found.append(data[start : start + size])
        at = start + size
    return found, data[at:]


class Load(asyncio.Protocol):
    """Keeps ``window`` commands on their way."""

    def __init__(self, things, window):
        self.window = window
        self.sent, self.answered, self.wrong = 0, 0, []
        self.sent_at, self.latencies_ms = deque(), []
        self.left, self.open = b"", False
        self.heads = [
            b'{"topic":"org.bench/t%d/things/twin/commands/modify","headers":{"correlation-id":"'
            % n
            for n in range(things)
        ]

    def connection_made(self, transport):
        self.transport = transport
        token = base64.b64encode(":".join(USER).encode())
        transport.write(HANDSHAKE % token)

    def more(self):
        out, now = [], perf_counter()
        while self.sent - self.answered < self.window:
            n = self.sent
            self.sent += 1
            self.sent_at.append(now)
            out.append(
                masked(
                    self.heads[n % len(self.heads)]
                    + b'%d"},"path":"/features/meter/properties/power","value":%d}' % (n, n)
                )
            )
        if out:
            self.transport.write(b"".join(out))

    def data_received(self, data):
        self.left += data
        if not self.open:
            head, end, rest = self.left.partition(b"\r\n\r\n")
            if not end:
                return
            assert head.startswith(b"HTTP/1.1 101"), head
            self.open, self.left = True, rest
        found, self.left = frames_in(self.left)
        now = perf_counter()
        for frame in found:
            self.latencies_ms.append((now - self.sent_at.popleft()) * 1000)
            if b'"status":204' not in frame:
                self.wrong.append(frame.decode()[:300])
        self.answered += len(found)
        self.more()


async def load(port, things, window, seconds):
    loop = asyncio.get_running_loop()
    _, one = await loop.create_connection(lambda: Load(things, window), "127.0.0.1", port)
    await asyncio.sleep(WARMUP_S)
    print("begin", flush=True)
    before, one.latencies_ms, began_s, cpu_s = one.answered, [], perf_counter(), process_time()
    await asyncio.sleep(seconds)
    took_s = perf_counter() - began_s
    found = quantiles(one.latencies_ms)
    answered = one.answered - before
    result = {
        "rate": answered / took_s,
        "count": answered,
        "seconds": took_s,
        "p50": found.p50,
        "p99": found.p99,
        "cpu": process_time() - cpu_s,
        "wrong": one.wrong[:3],
    }
    print(json.dumps(result), flush=True)


def thing(n):
    return {
        "policyId": "org.littoral:default",
        "attributes": {"site": f"s{n % 10}", "note": "x" * 600, "serial": n},
        "features": {"meter": {"properties": {"power": 0, "unit": "W", "log": list(range(30))}}},
    }


async def fill(port, things):
    """Make the things over HTTP, several at a time."""

    async def some(first):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        token = base64.b64encode(":".join(USER).encode())
        for n in range(first, things, FILLERS):
            body = json.dumps(thing(n)).encode()
            writer.write(
                b"PUT /api/2/things/org.bench:t%d HTTP/1.1\r\nHost: bench\r\n"
                b"Authorization: Basic %s\r\nContent-Type: application/json\r\n"
                b"Content-Length: %d\r\n\r\n%s" % (n, token, len(body), body)
            )
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            assert b" 201 " in head, head
            length = head.partition(b"content-length:")[2].partition(b"\r\n")[0]
            await reader.readexactly(int(length))
        writer.close()

    async with asyncio.TaskGroup() as tasks:
        for first in range(min(FILLERS, things)):
            tasks.create_task(some(first))


def measure(things, window, seconds):
    """Run node and load; return the load's result and the node's processor time."""
    with (
        tempfile.TemporaryDirectory(prefix="littoral-bench-") as directory,
        running(cloud_process(Path(directory, "node"))) as node,
    ):
        uvloop.run(fill(node.http_port, things))
        command = [sys.executable, __file__, "--load", str(node.http_port)]
        command += ["--things", str(things), "--window", str(window), "--seconds", str(seconds)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "begin\n"
            before = cpu_seconds(node.pid)
            line = process.stdout.readline()
            cpu_s = cpu_seconds(node.pid) - before
        return json.loads(line), cpu_s


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--load", type=int, default=0)
    parser.add_argument("--things", type=int, default=100_000)
    parser.add_argument("--window", type=int, default=512)
    parser.add_argument("--seconds", type=float, default=10.0)
    given = parser.parse_args()
    if given.load:
        uvloop.run(load(given.load, given.things, given.window, given.seconds))
        return
    result, cpu_s = measure(given.things, given.window, given.seconds)
    each_us = cpu_s / result["count"] * 1e6
    detail = (
        f"{given.things} things, window {given.window}, p50 {result['p50']} ms, "
        f"p99 {result['p99']} ms; node {cpu_s / result['seconds']:.2f} cores = {each_us:.0f} us each, "
        f"load {result['cpu'] / result['seconds']:.2f} cores; wrong {result['wrong']}"
    )
    name = "durable modifies over one WebSocket"
    report([Figure(name, result["rate"], "/s", 12_000.0, at_least=True, detail=detail)])
    sys.exit(1 if result["wrong"] else 0)


if __name__ == "__main__":
    main()
