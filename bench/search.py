"""Searches over HTTP: how long a page and a count take, quiet and while things change.

A node as `littoral up` runs it with 100,000 things of ~1 kB (24 leaves); the load comes from another
process. The search is ``and(eq(attributes/<site>,"s1"),gt(features/*/properties/battery,20))``, page
25, where ``s1`` selects 0.1 %, 10 % or 90 % of the things, in the order of ids and of an attribute,
with 1, 100 or 100,000 policies that the caller may read, quiet and under 5,000 changes a second
(one leaf each, over one WebSocket). What is shown is the time at the caller, and the node's CPU.

    .venv/bin/python bench/search.py [--things N] [--policies 1 100 100000] [--seconds S] [--json]
                                     [--updates 5000] [--partly]
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
import urllib.request
from pathlib import Path
from urllib.parse import quote

import uvloop

from littoral.app.bench.processes import die_with_parent, free_port, machine
from littoral.app.run import serve
from littoral.node.config import HttpConfig, LinkConfig, MqttConfig, NodeConfig
from littoral.registry import seed_development
from littoral.twin import Caller

PAGE_MS_MAX = 20.0
COUNT_MS_MAX = 100.0
TOKEN = base64.b64encode(b"ditto:ditto").decode()
READ_WRITE = {"grant": ["READ", "WRITE"], "revoke": []}
SITES = {"site_01": 0.001, "site_10": 0.1, "site_90": 0.9}
SORTS = {"id": "", "attribute": "sort(%2Battributes/serial),"}


def policy(*, partly):
    resources = {f"{kind}:/": READ_WRITE for kind in ("thing", "policy", "message")}
    if partly:
        resources["thing:/attributes/owner"] = {"grant": [], "revoke": ["READ"]}
    return {
        "entries": {
            "owner": {"subjects": {"nginx:ditto": {"type": "bench"}}, "resources": resources},
            "admin": {"subjects": {"nginx:x": {"type": "bench"}},
                      "resources": {"policy:/": READ_WRITE}},
        }
    }  # fmt: skip


def document(number, policies, source):
    """24 leaves, 1 kB."""
    features = {
        f"unit{unit}": {
            "properties": {
                "battery": round(source.random() * 100, 1),
                "temperature": round(source.random() * 80, 2),
                "status": source.choice(("idle", "running", "waiting for material", "failed")),
            }
        }
        for unit in range(4)
    }
    attributes = {name: "s1" if source.random() < share else f"s{source.randrange(2, 500)}"
                  for name, share in SITES.items()}  # fmt: skip
    attributes |= {
        "serial": f"SN-{source.randrange(10**9):09d}",
        "model": f"arm-{source.randrange(20)}",
        "owner": "plant " + "x" * 180,
        "location": {
            "lat": round(source.uniform(-60, 60), 4),
            "lon": round(source.uniform(-180, 180), 4),
        },
        "note": "as delivered " + "y" * 180,
        "year": 2000 + number % 26,
    }
    return {
        "policyId": f"org.bench:p{number % policies}",
        "definition": "org.bench:arm:1",
        "attributes": attributes,
        "features": features,
    }


# -- the node ------------------------------------------------------------------------------------


def run_node(directory, port, things, policies, partly):
    admin = Caller(frozenset(), unrestricted=True)

    async def prepare(node):
        seed_development(node.registry)

    async def fill(node):
        for number in range(policies):
            rules = policy(partly=partly)
            node.twins.policies.put(admin, f"org.bench:p{number}", "/", rules)
            if number % 500 == 499:
                await node.log.wait()
        source = random.Random(7)
        for number in range(things):
            made = document(number, policies, source)
            node.twins.things.create_thing(admin, made, thing_id=f"org.bench:thing-{number:06d}")
            if number % 500 == 499:
                await node.log.wait()
        began = time.perf_counter()
        while True:
            try:
                await node.search.settled()
                break
            except Exception as e:  # noqa: BLE001  # it says so until it is ready
                print(f"# {e}", flush=True)
        print(f"# the index was {time.perf_counter() - began:.1f} s behind", flush=True)

    async def main():
        async with asyncio.TaskGroup() as tasks:

            def ready(node, addresses):
                async def announce():
                    await fill(node)
                    print("ready", flush=True)

                tasks.create_task(announce())

            await serve(
                NodeConfig(
                    data_dir=directory,
                    hot_things_max=2 * things + policies,
                    http=HttpConfig(listen=f"127.0.0.1:{port}"),
                    mqtt=MqttConfig(listen="127.0.0.1:0"),
                    link=LinkConfig(listen=""),
                ),
                prepare=prepare,
                ready=ready,
            )

    uvloop.run(main())


# -- the load ------------------------------------------------------------------------------------


class Updates:
    """Changes of one leaf, ``rate`` a second, over one WebSocket that asks for no answers."""

    def __init__(self, port, things, rate):
        self.port, self.things, self.rate = port, things, rate
        self.sent = 0
        self.source = random.Random(11)

    async def run(self):
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(
            f"GET /ws/2 HTTP/1.1\r\nHost: localhost\r\nAuthorization: Basic {TOKEN}\r\n"
            "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n".encode()
        )
        head = await reader.readuntil(b"\r\n\r\n")
        assert b" 101 " in head, head
        began = time.perf_counter()
        while True:
            due = int((time.perf_counter() - began) * self.rate) - self.sent
            writer.write(b"".join(self.frame() for _ in range(due)))
            self.sent += due
            await writer.drain()
            await asyncio.sleep(0.005)

    def frame(self):
        number, unit = self.source.randrange(self.things), self.source.randrange(4)
        payload = (
            f'{{"topic":"org.bench/thing-{number:06d}/things/twin/commands/modify",'
            f'"headers":{{"response-required":false}},'
            f'"path":"/features/unit{unit}/properties/battery",'
            f'"value":{self.source.random() * 100:.1f}}}'
        ).encode()
        # A mask of zeros leaves the payload as it is.
        return b"\x81\xfe" + len(payload).to_bytes(2, "big") + b"\0\0\0\0" + payload


async def ask(reader, writer, target):
    """One request on a keep-alive connection: status, body, seconds."""
    began = time.perf_counter()
    writer.write(
        f"GET {target} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Basic {TOKEN}\r\n\r\n".encode()
    )
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    at = head.index(b"content-length:") + 15
    body = await reader.readexactly(int(head[at : head.index(b"\r\n", at)]))
    return int(head[9:12]), body, time.perf_counter() - began


def cases():
    for site in SITES:
        for sort, option in SORTS.items():
            text = quote(f'and(eq(attributes/{site},"s1"),gt(features/*/properties/battery,20))')
            fields = "fields=thingId,attributes/serial"
            yield (
                f"{site[5:]} by {sort}",
                f"/api/2/search/things?filter={text}&{fields}&option={option}size(25)",
            )
    yield "count of all", "/api/2/search/things/count"
    text = quote('and(eq(attributes/site_90,"s1"),gt(features/*/properties/battery,20))')
    yield "count of 90 %", f"/api/2/search/things/count?filter={text}"


def run_load(port, things, seconds, updates, pause):
    async def main():
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        figures = {}
        async with asyncio.TaskGroup() as tasks:
            changing = Updates(port, things, updates)
            task = tasks.create_task(changing.run()) if updates else None
            await asyncio.sleep(1.0 if updates else 0.0)
            for name, target in cases():
                for _ in range(3):
                    await ask(reader, writer, target)
                times = []
                until = time.perf_counter() + seconds
                while time.perf_counter() < until:
                    status, body, took = await ask(reader, writer, target)
                    assert status == 200, body
                    times.append(took)
                    await asyncio.sleep(pause)
                times.sort()
                figures[name] = {
                    "n": len(times),
                    "p50_ms": 1e3 * times[len(times) // 2],
                    "p99_ms": 1e3 * times[int(len(times) * 0.99)],
                }
            if task is not None:
                task.cancel()
        figures["updates"] = changing.sent
        print(json.dumps(figures))

    uvloop.run(main())


def cpu_s(pid):
    parts = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(parts[11]) + int(parts[12])) / os.sysconf("SC_CLK_TCK")


def rss_mib(pid):
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096 / 2**20


def statistics(port):
    request = urllib.request.Request(f"http://127.0.0.1:{port}/metrics",
                                     headers={"Authorization": f"Basic {TOKEN}"})  # fmt: skip
    with urllib.request.urlopen(request, timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    return [line for line in lines if "search" in line and not line.startswith("#")]


def measure(options, policies):
    port = free_port()
    figures = {}
    with tempfile.TemporaryDirectory() as directory:
        command = [sys.executable, __file__, "--node", directory, str(port)]
        command += ["--things", str(options.things), "--policies", str(policies)]
        command += ["--partly"] if options.partly else []
        began = time.perf_counter()
        node = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            text=True,
            preexec_fn=die_with_parent,  # noqa: PLW1509  # this process has no threads yet
        )
        try:
            while (line := node.stdout.readline().strip()) != "ready":
                assert line.startswith("#"), line
                print(line, file=sys.stderr)
            print(f"# {options.things} things, {policies} policies after "
                  f"{time.perf_counter() - began:.0f} s, {rss_mib(node.pid):.0f} MiB",
                  file=sys.stderr)  # fmt: skip
            for name, updates in (("quiet", 0), ("changing", options.updates)):
                command = [sys.executable, __file__, "--load", str(port), str(updates)]
                command += ["--things", str(options.things), "--seconds", str(options.seconds)]
                before = cpu_s(node.pid), time.perf_counter()
                output = subprocess.run(
                    command, check=True, stdout=subprocess.PIPE, text=True
                ).stdout
                figures[name] = json.loads(output)
                took = time.perf_counter() - before[1]
                figures[name]["cpu_share"] = (cpu_s(node.pid) - before[0]) / took
                figures[name]["updates_per_s"] = figures[name].pop("updates") / took
            print("\n".join(statistics(port)), file=sys.stderr)
        finally:
            node.send_signal(signal.SIGINT)
            node.wait(30)
    return figures


def show(policies, measured):
    for name, figures in measured.items():
        for case, one in figures.items():
            if not isinstance(one, dict):
                continue
            limit = COUNT_MS_MAX if case.startswith("count") else PAGE_MS_MAX
            met = "yes" if one["p99_ms"] <= limit else "**no**"
            print(
                f"| {policies:,} | {name} | {case} | {one['p50_ms']:.1f} | {one['p99_ms']:.1f} "
                f"| ≤ {limit:g} | {met} | {one['n']} |"
            )
        print(
            f"| {policies:,} | {name} | node's CPU, of a core; changes/s "
            f"| {figures['cpu_share']:.2f} | {figures['updates_per_s']:,.0f} | | | |",
            flush=True,
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--things", type=int, default=100_000)
    parser.add_argument("--policies", type=int, nargs="+", default=[1, 100, 100_000])
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--updates", type=int, default=5_000)
    parser.add_argument("--pause", type=float, default=0.01)
    parser.add_argument("--partly", action="store_true")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--node", nargs=2)
    parser.add_argument("--load", nargs=2)
    options = parser.parse_args()
    if options.node:
        directory, port = options.node
        run_node(directory, int(port), options.things, options.policies[0], options.partly)
        return
    if options.load:
        port, updates = options.load
        run_load(int(port), options.things, options.seconds, int(updates), options.pause)
        return
    if not options.json:
        print(", ".join(f"{k} {v}" for k, v in machine(tempfile.gettempdir()).items()), "\n")
        print("| policies | node | search | p50 ms | p99 ms | target | met | n |")
        print("|---|---|---|---|---|---|---|---|")
    everything = {}
    for policies in options.policies:
        everything[policies] = measure(options, policies)
        if not options.json:
            show(policies, everything[policies])
    if options.json:
        print(json.dumps(everything))


if __name__ == "__main__":
    main()
