"""What policies cost on a node with 100,000 of them: a decision, a change, and what a change drops.

The log is on disk; commits run in a thread between the measured calls. 10,000 policies are compiled
(`ENFORCERS_MAX`), 1,000 import one shared policy, and 100,000 more do for the last figures.

    .venv/bin/python bench/policies.py [--json]
"""

import asyncio
import gc
import tempfile
import time
from pathlib import Path

from figures import Figure, report
from littoral.app.world import SystemClock, SystemEntropy
from littoral.kernel.ids import NodeId, Subject
from littoral.log import Log
from littoral.log.adapters.committer import ThreadCommitter
from littoral.log.adapters.files import Directory
from littoral.log.adapters.sqlite import SqliteStore
from littoral.registry import Registry
from littoral.registry.adapters.argon2 import InlineArgon2Hasher
from littoral.twin import Caller, Twins

POLICIES = 100_000
IMPORTERS = 1_000
WARM = 9_000
ME = Caller(frozenset({Subject("nginx:bench")}))
NOBODY = Caller(frozenset({Subject("nginx:nobody"), Subject("nginx:else")}))
OWNER = {
    "subjects": {"nginx:bench": {"type": "bench"}},
    "resources": {
        f"{kind}:/": {"grant": ["READ", "WRITE"], "revoke": []}
        for kind in ("thing", "policy", "message")
    },
}
READER = {
    "subjects": {"nginx:reader": {"type": "bench"}},
    "resources": {
        "thing:/": {"grant": ["READ"], "revoke": []},
        "thing:/features/secret": {"grant": [], "revoke": ["READ"]},
    },
}
SHARED = "org.bench:shared"


def policy(*, imports=None, namespaces=None):
    reader = READER if namespaces is None else READER | {"namespaces": namespaces}
    document = {"entries": {"owner": OWNER, "reader": reader}}
    return document if imports is None else document | {"imports": imports}


def timed(count, work):
    """CPU seconds of one call of ``work(n)``: the best of five rounds of ``count``."""
    best = []
    for _ in range(5):
        began = time.thread_time()
        for n in range(count):
            work(n)
        best.append((time.thread_time() - began) / count)
    return min(best)


def once(work):
    """CPU seconds of one call."""
    began = time.thread_time()
    work()
    return time.thread_time() - began


def opened(directory, loop):
    clock, entropy = SystemClock(), SystemEntropy()
    log = Log.open(
        store=SqliteStore(Directory(directory)),
        committer=ThreadCommitter(loop),
        clock=clock,
        entropy=entropy,
        node=NodeId("bench"),
        loop=loop,
    )
    return log, Twins(log, Registry(log, InlineArgon2Hasher(entropy), clock, entropy), clock)


async def put_all(log, twins, names, document):
    for number, name in enumerate(names):
        twins.policies.put(ME, name, "/", document)
        if number % 500 == 0:
            await log.wait()
    await log.wait()


async def decisions(log, twins):
    """One question each, as commands ask it."""
    book = twins.book
    await twins.modify(ME, "org.bench:t", "/", {"policyId": "org.bench:p7"})
    plain = twins.things.load("org.bench:t")
    twins.policies.put(ME, "org.bench:ns", "/", policy(namespaces=["org.bench"]))
    await twins.modify(ME, "org.bench:u", "/", {"policyId": "org.bench:ns"})
    spaced = twins.things.load("org.bench:u")
    path = "thing:/features/motor/properties/temperature"
    document = {
        "thingId": "a:b",
        "features": {f"f{n}": {"properties": {"x": n}} for n in range(20)},
    }
    reader = frozenset({"nginx:reader"})
    enforcer = book.enforcer("org.bench:p7", "org.bench")
    figures = []
    for name, work, target in (
        ("may a property be written", lambda _: book.may(ME, "WRITE", path, plain), 2.0),
        ("the same, refused", lambda _: book.may(NOBODY, "WRITE", path, plain), 2.0),
        ("the same, entries with namespaces", lambda _: book.may(ME, "WRITE", path, spaced), 3.0),
        ("cut a thing of 20 features to what may be read",
         lambda _: enforcer.trim(reader, "READ", document), 20.0),
    ):  # fmt: skip
        cost = timed(20_000, work) * 1e6
        figures.append(Figure(name, cost, "µs", target, detail="CPU, one core"))
    return figures


async def changes(log, twins):
    """What a change of one policy costs, and how much it makes others cost."""
    book = twins.book
    for n in range(WARM):
        book.enforcer(f"org.bench:p{n}")
    for n in range(IMPORTERS):
        book.enforcer(f"org.bench:i{n}")
    await log.wait()
    compile_us = (
        once(lambda: [book.enforcer(f"org.bench:p{n}") for n in range(20_000, 21_000)]) * 1e3
    )
    numbers = iter(range(10**6))
    document = policy()

    def change(_):
        twins.policies.put(ME, f"org.bench:p{50_000 + next(numbers)}", "/", document)

    put_us = timed(200, change) * 1e6
    await log.wait()
    before = book.compilations
    for n in range(WARM // 2, WARM):
        book.enforcer(f"org.bench:p{n}")
    again = book.compilations - before
    shared_ms = once(lambda: twins.policies.put(ME, SHARED, "/", policy())) * 1e3
    await log.wait()
    before = book.compilations
    recompiled_ms = once(lambda: [book.enforcer(f"org.bench:i{n}") for n in range(IMPORTERS)]) * 1e3
    dropped = book.compilations - before
    return [
        Figure("compile one policy", compile_us, "µs", 400, detail="read, parse, resolve, compile"),
        Figure("modify one policy", put_us, "µs", 1000, detail="checked and appended, 10,000 compiled"),
        Figure("enforcers dropped by 1,000 changes of others", again, "", 0, detail=f"of {WARM // 2:,}"),
        Figure(f"modify a policy that {IMPORTERS:,} import", shared_ms, "ms", 20),
        Figure(f"compile its {dropped:,} importers again", recompiled_ms, "ms", 500, detail="when they are asked"),
    ]  # fmt: skip


async def affected(log, twins):
    """Who depends on a policy, for the search index."""
    book = twins.book
    alone_us = timed(2_000, lambda n: book.affected_by(f"org.bench:p{n}")) * 1e6
    few_ms = once(lambda: book.affected_by(SHARED)) * 1e3
    imports = {SHARED: {}}
    names = [f"org.bench:m{n}" for n in range(POLICIES)]
    await put_all(log, twins, names, policy(imports=imports))
    many_ms = once(lambda: book.affected_by(SHARED)) * 1e3
    change_ms = once(lambda: twins.policies.put(ME, SHARED, "/", policy())) * 1e3
    await log.wait()
    return [
        Figure("affected by one that nobody imports", alone_us, "µs", 20),
        Figure(f"affected by one that {IMPORTERS:,} import", few_ms, "ms", 20),
        Figure(f"affected by one that {POLICIES:,} import", many_ms, "ms", 1000),
        Figure(f"modify one that {POLICIES:,} import", change_ms, "ms", 100, detail="compiled ones are dropped"),
    ]  # fmt: skip


async def main():
    loop = asyncio.get_running_loop()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)  # as a node does
    with tempfile.TemporaryDirectory() as directory:
        log, twins = opened(Path(directory), loop)
        await put_all(log, twins, [f"org.bench:p{n}" for n in range(POLICIES)], policy())
        twins.policies.put(ME, SHARED, "/", policy())
        names = [f"org.bench:i{n}" for n in range(IMPORTERS)]
        await put_all(log, twins, names, policy(imports={SHARED: {}}))
        figures = await decisions(log, twins)
        figures += await changes(log, twins)
        figures += await affected(log, twins)
        await log.close()
        began = time.perf_counter()
        log, twins = opened(Path(directory), loop)
        figures.append(
            Figure("open again", time.perf_counter() - began, "s", 5,
                   detail=f"{2 * POLICIES:,} policies; unflushed states are replayed")
        )  # fmt: skip
        await log.close()
    report(figures)


asyncio.run(main())
