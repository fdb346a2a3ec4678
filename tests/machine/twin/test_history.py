"""Any commands, failures, kills, openings and evictions: the twins do what a dict would do.

The model is a list of documents per thing, one per revision; what a failed commit or a kill took is
cut off it. At any moment the newest documents are compared, at the end every revision.
"""

import asyncio
import copy
import random

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from littoral.kernel import json, merge, pointer
from littoral.kernel.ids import NodeId
from littoral.log import Log, LogFull
from littoral.log.adapters.committer import InlineCommitter
from littoral.log.adapters.memory import MemoryStore
from littoral.registry import Registry, seed_development
from littoral.registry.adapters.argon2 import InlineArgon2Hasher
from littoral.simulate import SeededEntropy, SimLoop, VirtualClock
from littoral.twin import Caller, Twins
from littoral.twin.model import MESSAGE_IDS_MAX

ADMIN = Caller(frozenset({"nginx:devops"}), unrestricted=True)
POLICY_ID = "org.littoral:default"
THINGS = [f"org.littoral:d{n}" for n in range(4)]
VALUES = st.recursive(
    st.none() | st.integers(0, 3) | st.sampled_from(["", "x"]) | st.just([]),
    lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=2),
    max_leaves=4,
)
OBJECTS = st.dictionaries(st.sampled_from("abc"), VALUES, max_size=3)
PLACES = [
    ("attributes",),
    ("attributes", "a"),
    ("attributes", "a", "b"),
    ("features", "f", "properties"),
    ("features", "f", "properties", "a", "b"),
    ("features", "f", "desiredProperties"),
    ("features", "g", "properties"),
]


class FlakyStore(MemoryStore):
    full = False

    def apply(self, batch):
        if self.full:
            raise LogFull("no room.")
        super().apply(batch)

    def probe(self):
        if self.full:
            raise LogFull("no room.")


class TwinsAsDicts(RuleBasedStateMachine):
    @initialize(hot_max=st.sampled_from([1, 2, 3, 100]))
    def begin(self, hot_max):
        self.loop = SimLoop()
        asyncio.set_event_loop(self.loop)
        self.hot_max = hot_max
        self.store = FlakyStore()
        self.openings = 0
        self.states = {thing: [] for thing in THINGS}
        self.ids = {thing: [] for thing in THINGS}
        self.durable = copy.deepcopy((self.states, self.ids))
        self.open()
        seed_development(self.registry)
        for thing in THINGS:
            self.registry.put_device("DEFAULT_TENANT", thing.partition(":")[2])
        owner = {
            "subjects": {"nginx:ditto": {"type": "t"}},
            "resources": {"policy:/": {"grant": ["READ", "WRITE"], "revoke": []}},
        }
        self.twins.policies.put(ADMIN, POLICY_ID, "/", {"entries": {"o": owner}})
        self.commit()

    def open(self):
        self.openings += 1
        clock = VirtualClock(self.loop)
        entropy = SeededEntropy(random.Random(self.openings))
        self.log = Log.open(
            store=self.store,
            committer=InlineCommitter(self.loop),
            clock=clock,
            entropy=entropy,
            node=NodeId("site"),
            loop=self.loop,
        )
        self.registry = Registry(self.log, InlineArgon2Hasher(entropy), clock, entropy)
        self.twins = Twins(self.log, self.registry, clock, hot_max=self.hot_max)
        self.doors = {}

    def door(self, thing):
        if thing not in self.doors:
            device = thing.partition(":")[2]
            self.doors[thing] = self.twins.door(self.registry.identity("DEFAULT_TENANT", device))
        return self.doors[thing]

    def newest(self, thing):
        states = self.states[thing]
        return copy.deepcopy(states[-1]) if states else None

    def run(self, coroutine):
        return self.loop.run_until_complete(coroutine)

    # -- what changes things

    def enter(self, thing):
        if self.newest(thing) is None:
            self.states[thing].append({"thingId": thing, "policyId": POLICY_ID})

    @rule(
        thing=st.sampled_from(THINGS),
        feature=st.sampled_from("fg"),
        patch=OBJECTS,
        number=st.none() | st.integers(0, 12),
    )
    def publish(self, thing, feature, patch, number):
        self.enter(thing)
        message_id = None if number is None else str(number)
        new = message_id is None or message_id not in self.ids[thing]
        payload = json.encode(patch)
        assert self.door(thing).telemetry(feature, payload, None, message_id) == new
        if new:
            keys = ("features", feature, "properties")
            self.states[thing].append(merge.merge_at(self.newest(thing), keys, patch))
            self.remember(thing, message_id)

    @rule(thing=st.sampled_from(THINGS), number=st.integers(0, 12))
    def bulk(self, thing, number):
        self.enter(thing)
        new = str(number) not in self.ids[thing]
        assert self.door(thing).bulk(None, b"x", message_id=str(number)) == new
        if new:
            self.remember(thing, str(number))

    def remember(self, thing, message_id):
        if message_id is not None:
            self.ids[thing].append(message_id)
            assert len(self.ids[thing]) < MESSAGE_IDS_MAX

    @rule(thing=st.sampled_from(THINGS), attributes=OBJECTS)
    def put(self, thing, attributes):
        body = {"policyId": POLICY_ID, "attributes": attributes}
        self.twins.things.modify(ADMIN, thing, "/", body)
        stored = {**body, "attributes": copy.deepcopy(attributes)}
        self.states[thing].append({"thingId": thing, **stored})

    @rule(thing=st.sampled_from(THINGS), keys=st.sampled_from(PLACES), value=OBJECTS)
    def modify(self, thing, keys, value):
        self.change(thing, "modify", keys, value)

    @rule(thing=st.sampled_from(THINGS), keys=st.sampled_from(PLACES), value=OBJECTS)
    def merge(self, thing, keys, value):
        self.change(thing, "merge", keys, value)

    def change(self, thing, verb, keys, value):
        document = self.newest(thing)
        if document is None or (
            verb == "modify"
            and keys[0] == "features"
            and keys[1] not in document.get("features", {})
        ):
            return
        path = pointer.render(keys)
        getattr(self.twins.things, verb)(ADMIN, thing, path, copy.deepcopy(value))
        work = merge.put_at if verb == "modify" else merge.merge_at
        self.states[thing].append(work(document, keys, value))

    @rule(thing=st.sampled_from(THINGS), keys=st.sampled_from([*PLACES, (), ()]))
    def delete(self, thing, keys):
        document = self.newest(thing)
        try:
            pointer.get(document, keys)
        except KeyError:
            return
        if document is None:
            return
        self.twins.things.delete(ADMIN, thing, pointer.render(keys))
        self.states[thing].append(merge.delete_at(document, keys))

    # -- what happens to the log

    @rule()
    def commit(self):
        self.run(self.log.wait())
        self.durable = copy.deepcopy((self.states, self.ids))

    @rule(count=st.integers(0, 3))
    def flush_some(self, count):
        """As a batch that closes does when it is time."""
        engine = self.twins.engine
        engine._flush(engine._first(count))

    @rule()
    def look_around(self):
        """Other things come and go, so that ours are evicted."""
        for n in range(3):
            self.twins.exists(f"org.littoral:nobody{n}")

    @precondition(lambda self: self.durable != (self.states, self.ids))
    @rule()
    def fill(self):
        self.store.full = True
        try:
            self.run(self.log.wait())
        except LogFull:
            pass
        else:
            raise AssertionError("nothing was written")
        self.store.full = False
        self.run(asyncio.sleep(1.5))
        self.log.refusal()
        self.run(asyncio.sleep(0.1))
        assert self.log.refusal() is None
        self.states, self.ids = copy.deepcopy(self.durable)

    @rule()
    def kill(self):
        survivor = copy.deepcopy(self.store)
        survivor.close()
        self.store = survivor
        self.states, self.ids = copy.deepcopy(self.durable)
        self.open()

    @rule(flushed=st.booleans())
    def reopen(self, flushed):
        if flushed:
            self.twins.flush()
        self.run(self.log.close())
        self.durable = copy.deepcopy((self.states, self.ids))
        self.open()

    # -- what holds

    @invariant()
    def newest_documents_are_equal(self):
        for thing in THINGS:
            assert self.twins.peek(thing) == self.newest(thing)
            assert self.twins.revision_of(thing) == len(self.states[thing])

    @invariant()
    def existing_things_are_listed(self):
        assert self.twins.list_ids() == [t for t in THINGS if self.newest(t) is not None]

    @invariant()
    def dirty_states_are_in_the_order_of_their_first_change(self):
        since = [hot.dirty_since for hot in self.twins.engine.dirty.values()]
        assert since == sorted(since) and 0 not in since

    def teardown(self):
        if not hasattr(self, "twins"):
            return
        for thing, states in self.states.items():
            for revision, document in enumerate(states, start=1):
                past = self.twins.engine.at_revision(f"thing:{thing}", revision)
                assert past.document() == document
        self.run(self.log.close())
        asyncio.set_event_loop(None)
        self.loop.close()


TwinsAsDicts.TestCase.settings = settings(
    max_examples=60,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],
)
test_twins_do_what_a_dict_would_do = pytest.mark.slow(TwinsAsDicts.TestCase)
