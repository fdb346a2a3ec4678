"""The book of enforcers under changes: never stale, and it knows who is affected.

Policies that import one another (in circles, too), with references, namespaces and a root policy,
are written, deleted, taken back and read at random. After each step the book must say what a book
says that was opened just now.
"""

import asyncio
import contextlib
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from littoral.kernel import json
from littoral.kernel.errors import LittoralError
from littoral.kernel.ids import NodeId
from littoral.log import Log, LogFull, Record
from littoral.log.adapters.committer import InlineCommitter
from littoral.log.adapters.memory import MemoryStore
from littoral.policy import Enforcer, resolve, roots_of
from littoral.registry import Registry
from littoral.registry.adapters.argon2 import InlineArgon2Hasher
from littoral.simulate import EPOCH_MS, SeededEntropy, VirtualClock, run
from littoral.twin import Caller, PolicySettings, Twins
from littoral.twin.policies.book import parsed

NAMES = ("n:p", "n:q", "n:r", "m.x:s", "ops:root")
NAMESPACES = ("n", "m.x", "m.x.y")
ROOTS = {"m.*": ("ops:root",)}
READER = frozenset({"x:reader"})
ME = Caller(frozenset({"x:me"}), unrestricted=True)

ENTRY = st.fixed_dictionaries(
    {
        "subjects": st.sampled_from([{}, {"x:reader": {}}]),
        "resources": st.sampled_from(
            [{}, {"thing:/": {"grant": ["READ"]}}, {"thing:/a": {"revoke": ["READ"]}}]
        ),
    },
    optional={
        "namespaces": st.lists(st.sampled_from(["n", "m.*"]), max_size=1),
        "importable": st.sampled_from(["implicit", "explicit", "never"]),
    },
)
IMPORTS = st.dictionaries(
    st.sampled_from(NAMES),
    st.fixed_dictionaries(
        {},
        optional={
            "entries": st.just(["A"]),
            "transitiveImports": st.lists(st.sampled_from(NAMES), max_size=2, unique=True),
        },
    ),
    max_size=2,
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.sampled_from(NAMES), st.dictionaries(st.sampled_from("AB"), ENTRY), IMPORTS),
        st.tuples(st.just("remote"), st.sampled_from(NAMES), st.dictionaries(st.sampled_from("AB"), ENTRY), IMPORTS),
        st.tuples(st.just("delete"), st.sampled_from(NAMES), st.none(), st.none()),
        st.tuples(st.sampled_from(["commit", "fail", "reopen"]), st.none(), st.none(), st.none()),
    ),
    min_size=4,
    max_size=14,
)  # fmt: skip
OWNER = {
    "subjects": {"x:me": {}},
    "resources": {"policy:/": {"grant": ["WRITE"]}},
    "importable": "never",
}


class Flaky(MemoryStore):
    full = False

    def apply(self, batch):
        if self.full:
            raise LogFull("no room.")
        super().apply(batch)

    def probe(self):
        if self.full:
            raise LogFull("no room.")


class World:
    """A node whose policies are changed, and the documents that they should be."""

    def __init__(self):
        self.store = Flaky()
        self.oseq = 0
        self.open()

    def open(self):
        loop = asyncio.get_running_loop()
        entropy = SeededEntropy(random.Random(1))
        clock = VirtualClock(loop)
        self.log = Log.open(
            store=self.store,
            committer=InlineCommitter(loop),
            clock=clock,
            entropy=entropy,
            node=NodeId("cloud"),
            loop=loop,
        )
        registry = Registry(self.log, InlineArgon2Hasher(entropy), clock, entropy)
        self.twins = Twins(
            self.log, registry, clock, settings=PolicySettings(namespace_roots=ROOTS)
        )

    async def do(self, what, name, entries, imports):
        match what:
            case "put":
                document = {"entries": {**entries, "OWNER": OWNER}, "imports": dict(imports)}
                with contextlib.suppress(LittoralError):
                    self.twins.policies.put(ME, name, "/", document)
            case "remote":
                self.oseq += 1
                value = json.encode({"entries": entries, "imports": imports})
                hlc = (EPOCH_MS + self.oseq) << 16
                record = Record(
                    0, hlc, None, 2, "policy.modified", f"policy:{name}", 1, 0, "/", value, None,
                    "site/00000000000000aa", self.oseq,
                )  # fmt: skip
                self.twins.apply_remote(record)
            case "delete":
                with contextlib.suppress(LittoralError):
                    self.twins.policies.delete(ME, name)
            case "commit":
                await self.log.wait()
            case "fail":
                self.store.full = True
                with contextlib.suppress(LogFull):
                    await self.log.wait()
                self.store.full = False
                await asyncio.sleep(1.1)
                self.log.refusal()
                await asyncio.sleep(0.1)
            case "reopen":
                await self.log.close()
                self.open()

    def stored(self, name):
        return parsed(self.twins.policies.load(name))

    def decisions(self):
        """What the book says, and what it should say, of every policy in every namespace."""
        said, right = {}, {}
        for name in NAMES:
            policy = self.stored(name)
            effective = None
            if policy is not None:
                roots = roots_of(name.partition(":")[0], ROOTS)
                effective = resolve(policy, self.stored, roots)
            for namespace in NAMESPACES:
                found = self.twins.book.enforcer(name, namespace)
                fresh = None if effective is None else Enforcer(effective.entries_for(namespace))
                for resource in ("thing:/", "thing:/a", "thing:/b"):
                    for where, enforcer in ((said, found), (right, fresh)):
                        where[name, namespace, resource] = enforcer is not None and enforcer.may(
                            READER, "READ", resource
                        )
        return said, right


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(STEPS)
def test_the_book_is_never_stale_and_knows_who_is_affected(steps) -> None:
    async def world():
        w = World()
        before, _ = w.decisions()
        for step in steps:
            await w.do(*step)
            said, right = w.decisions()
            assert said == right, step
            changed = {name for (name, *_), answer in said.items() if before[name, *_] != answer}
            if step[1] is not None:
                assert changed <= w.twins.book.affected_by(step[1]), step
            before = said
        await w.log.wait()
        await w.log.close()

    run(world, deadline_s=10_000)
