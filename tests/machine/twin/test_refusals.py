"""Commands at random, allowed or not: one that is refused has written nothing at all."""

import asyncio
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from littoral.kernel import json
from littoral.kernel.errors import LittoralError
from littoral.kernel.ids import NodeId
from littoral.log import Log
from littoral.log.adapters.memory import MemoryStore
from littoral.registry import Registry
from littoral.rql import parse
from littoral.simulate import SeededEntropy, VirtualClock, VirtualCommitter, run
from littoral.simulate.hasher import VirtualHasher
from littoral.twin import Caller, Conditions, IfEqual, MetadataPut, Outcome, Step, Twins

THINGS = ("ns:a", "ns:b", "bad", "ns:" + "x" * 300)
BOTH = {"grant": ["READ", "WRITE"], "revoke": []}
POLICY = {
    "entries": {
        "owner": {
            "subjects": {"t:owner": {"type": "t"}},
            "resources": {"thing:/": BOTH, "policy:/": BOTH},
        },
        "part": {
            "subjects": {"t:part": {"type": "t"}},
            "resources": {
                "thing:/attributes": BOTH,
                "thing:/attributes/q": {"grant": [], "revoke": ["WRITE"]},
            },
        },
    }
}
CALLERS = st.sampled_from(
    [Caller(frozenset({f"t:{name}"})) for name in ("owner", "owner", "owner", "part", "nobody")]
)
PATHS = st.sampled_from(
    [
        "/",
        "/attributes",
        "/attributes/p",
        "/attributes/q/r",
        "/features",
        "/features/f",
        "/features/f/properties",
        "/features/f/properties/p",
        "/features/f/definition",
        "/definition",
        "/policyId",
        "/thingId",
        "/_metadata",
        "/attributes//x",
        "/features/*",
    ]
)
LEAVES = st.sampled_from(
    [1, 1.0, "x", None, True, [], ["a:b:1"], "a:b:1", "ns:p", "ns:none", "x" * 103_000]
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.dictionaries(
        st.sampled_from(
            [
                "attributes",
                "features",
                "f",
                "p",
                "q",
                "properties",
                "policyId",
                "thingId",
                "definition",
                "_policy",
                "_copyPolicyFrom",
                "{{ ~p|q~ }}",
                "{{ ~(~ }}",
                "a/b",
                "",
            ]
        ),
        inner,
        max_size=3,
    ),
    max_leaves=5,
)
KEYS = st.sampled_from(["*/u", "p/u", "attributes/*/u", "*", "a//b", "features/*/u", "u" * 7000])
QUERIES = st.sampled_from(["eq(attributes/p,1)", "not(exists(attributes/q))", "exists(thingId)"])
CONDITIONS = st.builds(
    Conditions,
    if_match=st.sampled_from([None, None, None, "*", '"x"']),
    if_none_match=st.sampled_from([None, None, None, "*"]),
    if_equal=st.sampled_from([IfEqual.UPDATE, *IfEqual]),
    condition=st.none() | QUERIES.map(parse),
    merge_conditions=st.dictionaries(
        st.sampled_from(["attributes", "p", "/", "a//"]), QUERIES.map(parse), max_size=1
    ),
    put_metadata=st.lists(st.builds(MetadataPut, KEYS, st.just(1)), max_size=1).map(tuple),
    delete_metadata=st.lists(KEYS, max_size=1).map(tuple),
)
COMMANDS = st.tuples(
    CALLERS,
    st.builds(
        Step,
        st.sampled_from(["create", "modify", "modify", "merge", "merge", "delete"]),
        st.sampled_from(THINGS),
        PATHS,
        VALUES,
        st.just(Conditions()) | CONDITIONS,
    ),
)


def do(twins, caller, step):
    things, more = twins.things, {"conditions": step.conditions}
    if step.action == "create":
        return things.create_thing(caller, step.value, thing_id=step.thing_id, **more)
    if step.action == "delete":
        return things.delete(caller, step.thing_id, step.path, **more)
    return getattr(things, step.action)(caller, step.thing_id, step.path, step.value, **more)


async def world(commands, *, together):
    loop = asyncio.get_running_loop()
    clock, entropy = VirtualClock(loop), SeededEntropy(random.Random(1))
    log = Log.open(
        store=MemoryStore(),
        committer=VirtualCommitter(loop, random.Random(1), latency_s_max=0.001),
        clock=clock,
        entropy=entropy,
        node=NodeId("n"),
        loop=loop,
    )
    twins = Twins(log, Registry(log, VirtualHasher(), clock, entropy), clock)
    admin = Caller(frozenset(), unrestricted=True)
    await twins.put_policy(admin, "ns:p", "/", POLICY)
    owner = Caller(frozenset({"t:owner"}))
    await twins.modify(owner, "ns:a", "/", {"policyId": "ns:p", "attributes": {"p": 1}})

    def everything():
        known = sorted(entity for entity, hot in twins.engine.hot.items() if hot.revision)
        loaded = [twins.engine.load(entity) for entity in known]
        return log.head, [(hot.entity, hot.revision, hot.document()) for hot in loaded]

    for caller, step in commands:
        before = everything()
        given_value = json.encode(step.value)
        try:
            if together:
                good = Step("modify", "ns:a", "/attributes/n", before[0])
                outcome = twins.transactions.run(caller, [good, step])[-1]
            else:
                outcome = do(twins, caller, step)
        except LittoralError:
            assert everything() == before
        else:
            assert isinstance(outcome, Outcome)
            head, after = everything()
            assert head > before[0] or (outcome.seq == 0 and after == before[1])
        assert json.encode(step.value) == given_value  # it is the caller's
    await log.wait()
    kept = everything()[1]
    for entity, revision, document in kept:
        assert twins.engine.at_revision(entity, revision).document() == document
    await log.close()


@pytest.mark.slow
@settings(max_examples=120, deadline=None)
@given(st.lists(COMMANDS, min_size=1, max_size=8), st.booleans())
def test_a_refused_command_writes_nothing(commands, together):
    commands = [
        (caller, step)
        for caller, step in commands
        if step.action != "create" or isinstance(step.value, dict)
    ]
    run(lambda: world(commands, together=together))
