"""How fast a new site is told what its cloud knows: things/s over TLS, and the memory of both.

    .venv/bin/python bench/bootstrap.py [--things N] [--directory DIR]

A cloud makes the things (1 kB each, 57 leaves), and forgets the records of them. A site with an empty
directory, in a process of its own, enrols, links, and has everything when it knows as many things.
Memory is what the process itself holds, by the second (private and shared pages, `VmRSS`): its highest
value while the site is told, over the value before.
"""

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from hashlib import sha256
from pathlib import Path

import uvloop

from link_bench import Node, tls
from littoral.edge import Downlink, EnrolmentToken, Uplink, parse_token, scope_of
from littoral.edge.adapters.authority import open_authority
from littoral.edge.adapters.certificates import KeySmith
from littoral.edge.adapters.files import FileIdentity
from littoral.edge.adapters.websocket import WebSocketDialer
from littoral.log import Budget, RecordClass, Retention
from littoral.twin import Caller
from memory import document

ADMIN = Caller(frozenset({"nginx:devops"}), unrestricted=True)
EVERYTHING = {"grant": ["READ", "WRITE"], "revoke": []}
ENTRIES = {
    "all": {
        "subjects": {"nginx:devops": {"type": "bench"}},
        "resources": {"thing:/": EVERYTHING, "policy:/": EVERYTHING},
    }
}
COMMIT_EACH = 500


def resident_mib():
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise AssertionError("this needs Linux's /proc")


class Peak:
    """The highest `VmRSS` since it was made, looked at every 20 ms."""

    def __init__(self):
        self.first = self.highest = resident_mib()

    async def watch(self):
        while True:
            self.highest = max(self.highest, resident_mib())
            await asyncio.sleep(0.02)

    def told(self):
        return {"before_mib": round(self.first, 1), "peak_mib": round(self.highest, 1)}


async def made(node, twins, count):
    """Things, without the records of how they came to be."""
    await twins.put_policy(ADMIN, "org.bench:default", "/", {"entries": ENTRIES})
    for number in range(count):
        twins.things.modify(ADMIN, f"org.bench:thing-{number:06d}", "/", document(number))
        if number % COMMIT_EACH == COMMIT_EACH - 1:
            await node.log.wait()
    twins.flush()
    await node.log.wait()
    node.log.retain(Retention(1 << 50, {RecordClass.STATE: Budget(1, 1 << 50)}))
    async with asyncio.TaskGroup() as tasks:
        housekeeping = tasks.create_task(node.log.run())
        while node.log.oldest(RecordClass.STATE) <= node.log.committed:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
        housekeeping.cancel()


async def cloud(directory, count):
    node = Node("cloud", directory, replica=False)
    parts = node.parts(twins=True)
    await made(node, parts["twins"], count)
    listener, _ = await tls(node, node, directory)
    downlink = Downlink(
        **parts, listener=listener, directory=lambda name: scope_of(node.registry, name)
    )
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(downlink.run())]
        await listener.wait_listening()
        token = node.registry.issue_token("site-one", ["T1"])
        await node.log.wait()
        fingerprint = fingerprint_of(directory)
        text = EnrolmentToken(
            "site-one", token.text, fingerprint, f"wss://127.0.0.1:{listener.port}"
        ).text
        peak = Peak()
        running.append(tasks.create_task(peak.watch()))
        print(json.dumps({"token": text}), flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
        print(json.dumps(peak.told()), flush=True)
        for task in running:
            task.cancel()
    await node.log.close()


def fingerprint_of(directory):
    files = open_authority(
        directory / "pki", node="cloud", names=["127.0.0.1"], now_ms=time.time_ns() // 1_000_000
    )
    return sha256(files.authority.certificate).hexdigest()


async def site(directory, count, text):
    node = Node("site-one", directory, replica=True)
    parts = node.parts(twins=True)
    dialer = WebSocketDialer(
        store=FileIdentity(directory / "site-pki"),
        clock=node.clock,
        smith=KeySmith,
        token=parse_token(text),
        proxy=None,
    )
    uplink = Uplink(**parts, entropy=node.entropy, dialer=dialer)
    peak = Peak()
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(uplink.run()), tasks.create_task(peak.watch())]
        while not uplink.statistics().session:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        started, cpu = time.perf_counter(), time.process_time()
        last = f"thing:org.bench:thing-{count - 1:06d}"
        while node.log.get("state", last) is None:  # noqa: ASYNC110
            await asyncio.sleep(0.002)
        await node.log.wait()
        took, used = time.perf_counter() - started, time.process_time() - cpu
        for task in running:
            task.cancel()
    found, after = 0, ""
    while page := parts["twins"].list_ids(after=after, limit=1000):
        found, after = found + len(page), page[-1]
    assert found == count, f"{found} things came, not {count}"
    await node.log.close()
    print(json.dumps({"seconds": took, "cpu_s": used, "things": found} | peak.told()))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--things", type=int, default=100_000)
    parser.add_argument("--directory", default=None)
    parser.add_argument("--cloud")
    parser.add_argument("--site")
    parser.add_argument("--token")
    options = parser.parse_args()
    if options.cloud:
        uvloop.run(cloud(Path(options.cloud), options.things))
    elif options.site:
        uvloop.run(site(Path(options.site), options.things, options.token))
    else:
        with tempfile.TemporaryDirectory(dir=options.directory) as name:
            both(Path(name), options.things)


def both(directory, things):
    me = [sys.executable, __file__, "--things", str(things)]
    for side in ("cloud", "site"):
        (directory / side).mkdir()
    with subprocess.Popen(
        [*me, "--cloud", str(directory / "cloud")],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as there:  # fmt: skip
        token = json.loads(there.stdout.readline())["token"]
        here = subprocess.run(
            [*me, "--site", str(directory / "site"), "--token", token],
            stdout=subprocess.PIPE, text=True, check=True,
        )  # fmt: skip
        there.stdin.write("\n")
        there.stdin.flush()
        at_cloud = json.loads(there.stdout.readline())
    at_site = json.loads(here.stdout)
    print(
        f"{at_site['things']:,} things in {at_site['seconds']:.2f} s = "
        f"{at_site['things'] / at_site['seconds']:,.0f} things/s "
        f"(site: {at_site['cpu_s']:.2f} s of processor time, {at_site['before_mib']} MiB, at most "
        f"{at_site['peak_mib']} MiB; cloud: {at_cloud['before_mib']} MiB, at most {at_cloud['peak_mib']} MiB)"
    )


if __name__ == "__main__":
    main()
