"""Changes as their readers see them, and streams of history."""

import pytest

from littoral.kernel.errors import LittoralError
from littoral.twin import Caller, Conditions, TwinSettings, action_of

T = "org.littoral:pump"
E = "thing:" + T
PUMP = {
    "policyId": "org.littoral:default",
    "attributes": {"open": 1, "secret": {"key": "k", "hint": "h"}},
    "features": {"lamp": {"properties": {"on": True}}},
}
READER = {
    "subjects": {"nginx:reader": {"type": "t"}},
    "resources": {
        "thing:/attributes": {"grant": ["READ"], "revoke": []},
        "thing:/attributes/secret/key": {"grant": [], "revoke": ["READ"]},
    },
}
reader = Caller(frozenset({"nginx:reader"}))


@pytest.fixture
def on_pump(on_node):
    def start(main, **more):
        async def world(node):
            await node.twins.put_policy(
                node.admin, "org.littoral:default", "/entries/reader", READER
            )
            await node.twins.modify(node.ditto, T, "/", PUMP)
            await main(node)

        on_node(world, **more)

    return start


async def last(node):
    await node.log.wait()
    return node.records("thing.")[-1]


# verb, path, value, what the reader sees (None: nothing)
CASES = [
    ("modify", "/attributes/open", 2, 2),
    ("modify", "/attributes/open", None, None),
    ("modify", "/attributes/secret", {"key": 1, "hint": 2}, {"hint": 2}),
    ("modify", "/attributes/secret", {"key": 1}, "nothing"),
    ("modify", "/attributes/secret/key", 1, "nothing"),
    ("modify", "/attributes/secret/key", None, "nothing"),
    ("modify", "/attributes", {}, {}),
    ("modify", "/attributes", {"x": None, "secret": {"key": 1}}, {"x": None}),
    ("modify", "/features/lamp/properties/on", False, "nothing"),
    ("modify", "/features", {}, "nothing"),
    ("merge", "/", {"attributes": {"open": 3}, "features": {"f": {}}}, {"attributes": {"open": 3}}),
    ("merge", "/", {"features": {"f": {}}}, "nothing"),
    ("merge", "/", {"attributes": {"open": None}}, {"attributes": {"open": None}}),
    ("merge", "/attributes/secret", {"key": None, "hint": None}, {"hint": None}),
    ("merge", "/attributes/secret", {"key": None}, "nothing"),
]


@pytest.mark.parametrize(("verb", "path", "value", "seen"), CASES)
def test_a_change_is_cut_leaf_by_leaf(on_pump, verb, path, value, seen):
    async def main(node):
        getattr(node.twins.things, verb)(node.ditto, T, path, value)
        record = await last(node)
        change = node.twins.readable_change(reader, record)
        if seen == "nothing":
            assert change is None
        else:
            assert (change.action, change.path, change.value) == (
                {"modify": "modified", "merge": "merged"}[verb],
                path,
                seen,
            )
            assert (change.entity_id, change.revision, change.record) == (T, 2, record)
        whole = node.twins.readable_change(node.ditto, record)
        assert whole.value == value
        assert node.twins.readable_change(node.admin, record).value == value
        assert node.twins.readable_change(node.stranger, record) is None

    on_pump(main)


def test_creation_and_deletion_are_seen_by_who_may_see_a_part(on_pump):
    async def main(node):
        record = await last(node)
        change = node.twins.readable_change(reader, record)
        assert change.action == "created"
        assert change.value == {
            "thingId": T,
            "attributes": {"open": 1, "secret": {"hint": "h"}},
        }
        for path, visible in (
            ("/features/lamp/properties", False),
            ("/attributes/secret/key", False),
            ("/attributes/secret", True),
            ("/", True),
        ):
            node.twins.things.delete(node.ditto, T, path)
            change = node.twins.readable_change(reader, await last(node))
            assert (change is not None) is visible, path
            if change is not None:
                assert (change.action, change.value) == ("deleted", None)

    on_pump(main)


def test_what_is_seen_follows_the_policy_of_now_and_is_worked_out_once(on_pump):
    async def main(node):
        node.twins.things.modify(node.ditto, T, "/attributes/open", 2)
        record = await last(node)
        first = node.twins.readable_change(reader, record)
        assert first is node.twins.readable_change(Caller(frozenset({"nginx:reader"})), record)
        await node.twins.delete_policy(node.admin, "org.littoral:default", "/entries/reader")
        assert node.twins.readable_change(reader, record) is None
        await node.twins.delete_policy(node.admin, "org.littoral:default")
        assert node.twins.readable_change(node.ditto, record) is None

    on_pump(main)


def test_policies_are_cut_as_well_and_other_records_are_no_changes(on_pump):
    async def main(node):
        record = node.records("policy.")[-1]
        assert node.twins.readable_change(reader, record) is None
        change = node.twins.readable_change(node.ditto, record)
        assert change.entity == "policy:org.littoral:default"
        assert change.value["policyId"] == "org.littoral:default"
        await node.twins.delete_policy(node.ditto, "org.littoral:default")
        await node.log.wait()
        assert node.twins.readable_change(node.admin, node.records("policy.")[-1]).value is None
        odd = record._replace(kind="device.data", entity=E)
        assert node.twins.readable_change(node.admin, odd) is None

    on_pump(main)


# -- history --------------------------------------------------------------------------------------


async def written(node, *, count=9, gap_s=1.0):
    """Revisions 2 … count + 1, a second apart; returns when each was written, by revision."""
    import asyncio

    at = {1: node.clock.now_ms()}
    for n in range(2, count + 2):
        await asyncio.sleep(gap_s)
        path = "/attributes/open" if n % 3 else "/features/lamp/properties/on"
        node.twins.things.modify(node.ditto, T, path, n)
        at[n] = node.clock.now_ms()
    await node.log.wait()
    return at


async def revisions(node, caller=None, entity=E, **bounds):
    found = node.twins.stream_history(caller or node.ditto, entity, **bounds)
    return [change.revision async for change in found]


@pytest.mark.parametrize(
    ("bounds", "wanted"),
    [
        ({}, range(1, 11)),
        ({"from_revision": 4, "to_revision": 6}, range(4, 7)),
        ({"from_revision": -2}, range(8, 11)),
        ({"from_revision": 0}, range(10, 11)),
        ({"to_revision": -7}, range(1, 4)),
        ({"from_revision": 8, "to_revision": 99}, range(8, 11)),
        ({"from_revision": 11}, range(0)),
        ({"from_revision": -99}, range(1, 11)),
        ({"from_revision": 6, "to_revision": 5}, range(0)),
    ],
)
def test_history_is_streamed_between_revisions(on_pump, bounds, wanted):
    async def main(node):
        await written(node)
        assert await revisions(node, **bounds) == list(wanted)

    on_pump(main)


def test_history_is_streamed_between_instants(on_pump):
    async def main(node):
        at = await written(node)
        assert await revisions(node, from_ms=at[4], to_ms=at[6]) == [4, 5, 6]
        assert await revisions(node, from_ms=at[4] + 1, to_ms=at[6] - 1) == [5]
        assert await revisions(node, from_ms=at[1] - 1) == list(range(1, 11))
        assert await revisions(node, to_ms=at[1] - 1) == []
        assert await revisions(node, from_ms=at[10] + 1) == []
        assert await revisions(node, from_revision=9, from_ms=at[3]) == [9, 10]

    on_pump(main)


def test_each_reads_of_the_history_what_it_may_read_today(on_pump):
    async def main(node):
        await written(node)
        assert await revisions(node, reader) == [1, 2, 4, 5, 7, 8, 10]
        odd = await revisions(node, keep=lambda change: change.revision % 2)
        assert odd == [1, 3, 5, 7, 9]
        for entity, code in (
            ("thing:a:none", "things:thing.notfound"),
            (E, "things:thing.notfound"),
            ("policy:a:none", "policies:policy.notfound"),
            ("policy:org.littoral:default", "policies:policy.notfound"),
        ):
            with pytest.raises(LittoralError) as caught:
                node.twins.stream_history(node.stranger, entity)
            assert caught.value.code == code
        found = node.twins.stream_history(node.ditto, "policy:org.littoral:default")
        assert [change.action async for change in found] == ["created", "modified"]
        node.twins.things.delete(node.ditto, T, "/")
        assert (await revisions(node))[-1] == 11

    on_pump(main)


def test_history_waits_for_what_is_not_durable(on_pump):
    async def main(node):
        node.twins.things.modify(node.ditto, T, "/attributes/open", 2)
        assert node.log.committed < node.log.head
        async for change in node.twins.stream_history(node.ditto, E):
            assert node.log.committed >= change.record.seq

    on_pump(main)


def test_configured_headers_stay_in_the_history(on_pump):
    async def main(node):
        assert node.twins.things.keeps_headers == {"x-who", "correlation-id"}
        given = Conditions(headers={"x-who": "me", "correlation-id": "c", "x-other": "no"})
        node.twins.things.modify(node.ditto, T, "/attributes/open", 2, conditions=given)
        node.twins.things.modify(node.ditto, T, "/attributes/open", 3)
        view = node.twins.things.retrieve(node.ditto, T, "/attributes/open", at_revision=2)
        assert (view.value, view.headers) == (2, {"x-who": "me", "correlation-id": "c"})
        assert node.twins.things.retrieve(node.ditto, T, at_revision=3).headers == {}
        assert node.twins.things.retrieve(node.ditto, T).headers == {}
        changes = [c async for c in node.twins.stream_history(node.ditto, E, from_revision=2)]
        assert [dict(c.headers) for c in changes] == [{"x-who": "me", "correlation-id": "c"}, {}]
        # What does not fit is left out: a header is no place for data.
        big = Conditions(headers={"correlation-id": "c", "x-who": "w" * 2000})
        node.twins.things.modify(node.ditto, T, "/attributes/open", 4, conditions=big)
        view = node.twins.things.retrieve(node.ditto, T, at_revision=4)
        assert view.headers == {"correlation-id": "c"}

    kept = TwinSettings(historical_headers_to_persist=frozenset({"x-who", "correlation-id"}))
    on_pump(main, thing_settings=kept)


def test_a_thing_that_is_not_known_so_far_back_says_so(on_pump):
    async def main(node):
        at = await written(node, count=2)
        things = node.twins.things
        for more in (
            {"at_revision": 99},
            {"at_ms": at[1] - 1},
        ):
            with pytest.raises(LittoralError) as caught:
                things.retrieve(node.ditto, T, **more)
            assert caught.value.code == "things:thing.history.notfound"
        assert things.retrieve(node.ditto, T, "/attributes/open", at_ms=at[2]).value == 2
        with pytest.raises(LittoralError) as caught:
            things.retrieve(node.stranger, T, at_revision=1)
        assert caught.value.code == "things:thing.notfound"
        for more in ({"at_revision": 99}, {"at_ms": at[1] - 10**6}):
            with pytest.raises(LittoralError) as caught:
                node.twins.policies.retrieve(node.ditto, "org.littoral:default", **more)
            assert caught.value.code == "policies:policy.history.notfound"

    on_pump(main)


def test_a_part_that_was_not_there_is_created(on_pump):
    async def main(node):
        for path, value, action in (
            ("/attributes/new", 1, "created"),
            ("/attributes/new", 2, "modified"),
            ("/features/f", {}, "created"),
            ("/features/f/properties", {"a": 1}, "created"),
            ("/features/f/properties", {"a": 2}, "modified"),
            ("/definition", "a:b:1", "created"),
            ("/", PUMP, "modified"),
        ):
            node.twins.things.modify(node.ditto, T, path, value)
            record = await last(node)
            assert action_of(record) == action, path
            assert node.twins.readable_change(node.ditto, record).action == action
        node.twins.things.merge(node.ditto, T, "/attributes/other", 1)
        assert action_of(await last(node)) == "merged"

    on_pump(main)
