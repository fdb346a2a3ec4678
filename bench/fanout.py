"""One change to 500 subscribers: from the moment its PUT is sent until each has read it.

Subscribers and writer are another process than the node, on one clock; a subscriber is a bare
socket. Three rounds: WebSockets, event streams, and half of each with a filter and extra fields.

    .venv/bin/python bench/fanout.py [--json] [--subscribers N] [--changes N]
"""

import argparse
import asyncio
import base64
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter, process_time
from urllib.parse import quote

import uvloop

from figures import Figure, report
from littoral.app.bench.node import call, cloud_process, running
from littoral.app.bench.processes import cpu_seconds
from littoral.app.demo.verdict import quantiles
from websocket import HANDSHAKE, masked, thing

EVERY_S = 0.2
SETTLE_S = 2.0
TOKEN = base64.b64encode(b"ditto:ditto")
THING = "/api/2/things/org.bench:t0"
FILTER = "filter=gt(attributes/serial,-1)&extraFields=attributes/site,attributes/serial"
STREAM = (
    b"GET %s HTTP/1.1\r\nHost: b\r\nAccept: text/event-stream\r\nAuthorization: Basic %s\r\n\r\n"
)
_NUMBER = re.compile(rb'"(?:value|power)":(\d+)')


class Subscriber(asyncio.Protocol):
    """Notes when it reads which change."""

    def __init__(self, hello, seen):
        self.hello, self.seen = hello, seen
        self.start = None

    def connection_made(self, transport):
        self.transport = transport
        transport.write(self.hello)

    def data_received(self, data):
        if self.start is not None and b"101 Switching" in data:
            self.transport.write(self.start)
            return
        now = perf_counter()
        for number in _NUMBER.findall(data):
            self.seen.append((int(number), now))


class Writer(asyncio.Protocol):
    """One connection of HTTP for the changes; notes how long each PUT itself takes."""

    def __init__(self):
        self.latencies_ms, self.sent_at = [], None

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        if self.sent_at is not None:
            self.latencies_ms.append((perf_counter() - self.sent_at) * 1000)
            self.sent_at = None

    def put(self, number):
        self.sent_at = perf_counter()
        body = b"%d" % number
        self.transport.write(
            b"PUT %s/features/meter/properties/power HTTP/1.1\r\nHost: b\r\n"
            b"Authorization: Basic %s\r\nContent-Type: application/json\r\n"
            b"Content-Length: %d\r\n\r\n%s" % (THING.encode(), TOKEN, len(body), body)
        )


def socket_subscriber(seen, query=""):
    one = Subscriber(HANDSHAKE % TOKEN, seen)
    one.start = masked(f"START-SEND-EVENTS{query}".encode())
    return one


def stream_subscriber(seen, query=""):
    return Subscriber(STREAM % (f"/api/2/things{query}".encode(), TOKEN), seen)


def subscribers(kind, count, seen):
    encoded = "?" + quote(FILTER, safe="=&")
    for n in range(count):
        if kind == "filtered":
            yield (socket_subscriber if n % 2 else stream_subscriber)(seen, encoded)
        else:
            yield (socket_subscriber if kind == "WebSocket" else stream_subscriber)(seen)


async def load(port, kind, count, changes):
    loop = asyncio.get_running_loop()
    seen, sent_at = [], {}
    for one in subscribers(kind, count, seen):
        await loop.create_connection(lambda one=one: one, "127.0.0.1", port)
    _, writer = await loop.create_connection(Writer, "127.0.0.1", port)
    await asyncio.sleep(SETTLE_S)
    print("begin", flush=True)
    seen.clear()
    cpu_s = process_time()
    for number in range(1_000_000, 1_000_000 + changes):
        sent_at[number] = perf_counter()
        writer.put(number)
        await asyncio.sleep(EVERY_S)
    await asyncio.sleep(1.0)
    latencies = [(at - sent_at[n]) * 1000 for n, at in seen if n in sent_at]
    last = {}
    for number, at in seen:
        if number in sent_at:
            last[number] = max(last.get(number, 0), (at - sent_at[number]) * 1000)
    found, slowest = quantiles(latencies), quantiles(list(last.values()))
    puts = quantiles(writer.latencies_ms)
    result = {
        "count": len(latencies),
        "p50": found.p50,
        "p99": found.p99,
        "last_p50": slowest.p50,
        "put_p50": puts.p50,
        "put_p99": puts.p99,
        "cpu": process_time() - cpu_s,
    }
    print(json.dumps(result), flush=True)


def measure(node, kind, count, changes):
    command = [sys.executable, __file__, "--load", str(node.http_port), "--kind", kind]
    command += ["--subscribers", str(count), "--changes", str(changes)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begin\n"
        before = cpu_seconds(node.pid)
        result = json.loads(process.stdout.readline())
        cpu_ms = (cpu_seconds(node.pid) - before) * 1000 / changes
    detail = (
        f"{result['count']} of {count * changes} deliveries, p50 {result['p50']} ms, slowest of a "
        f"change p50 {result['last_p50']} ms; the PUT's own answer p50 {result['put_p50']} ms, "
        f"p99 {result['put_p99']} ms; node {cpu_ms:.1f} ms of processor time a change, "
        f"load {result['cpu'] * 1000 / changes:.1f} ms"
    )
    name = f"one change to {count} subscribers, {kind}, p99"
    missing = result["count"] < count * changes
    return Figure(name, 1e9 if missing else result["p99"], "ms", 50.0, detail=detail)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--load", type=int, default=0)
    parser.add_argument("--kind", default="")
    parser.add_argument("--subscribers", type=int, default=500)
    parser.add_argument("--changes", type=int, default=50)
    given = parser.parse_args()
    if given.load:
        uvloop.run(load(given.load, given.kind, given.subscribers, given.changes))
        return
    with (
        tempfile.TemporaryDirectory(prefix="littoral-bench-") as directory,
        running(cloud_process(Path(directory, "node"))) as node,
    ):
        call(node, "PUT", THING, json.dumps(thing(0)).encode())
        report(
            [
                measure(node, kind, given.subscribers, given.changes)
                for kind in ("WebSocket", "SSE", "filtered")
            ]
        )


if __name__ == "__main__":
    main()
