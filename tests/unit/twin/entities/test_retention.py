"""How far back history goes is set by the log's retention, in time and in bytes."""

import asyncio

import pytest

from littoral.kernel.errors import LittoralError
from littoral.log import Budget, RecordClass, Retention
from littoral.twin.model import SNAPSHOT_EVERY

T = "org.littoral:pump"


def retention(*, bytes_max=1 << 40, age_ms_max=1 << 40):
    return Retention(1 << 40, dict.fromkeys(RecordClass, Budget(bytes_max, age_ms_max)))


@pytest.mark.parametrize("bound", [{"age_ms_max": 30_000}, {"bytes_max": 2000}])
def test_what_is_dropped_is_not_found_and_the_thing_stays_as_it_is(on_node, bound):
    async def main(node):
        things, ditto = node.twins.things, node.ditto
        await node.twins.modify(ditto, T, "/", {"policyId": "org.littoral:default"})
        old = SNAPSHOT_EVERY + 40
        for n in range(2, old + 1):
            await node.twins.modify(ditto, T, "/attributes/n", n)
        at = node.clock.now_ms()
        node.twins.flush()
        await asyncio.sleep(60)
        for n in range(old + 1, old + 11):
            await node.twins.modify(ditto, T, "/attributes/n", n)
        node.twins.flush()
        await node.log.wait()
        node.log._housekeeper.retention = retention(**bound)
        await node.log._housekeeper.thin()

        def found(revision):
            try:
                return things.retrieve(ditto, T, "/attributes/n", at_revision=revision).value
            except LittoralError as e:
                return e.code

        assert found(2) == "things:thing.history.notfound"
        # A snapshot tells of its own revision, whatever records are left.
        assert found(SNAPSHOT_EVERY) == SNAPSHOT_EVERY
        assert found(SNAPSHOT_EVERY + 1) == "things:thing.history.notfound"
        assert things.retrieve(ditto, T, "/attributes/n").value == old + 10
        streamed = [
            change.revision async for change in node.twins.stream_history(ditto, f"thing:{T}")
        ]
        assert streamed == list(range(streamed[0], old + 11)) or not streamed
        if "age_ms_max" in bound:
            assert streamed == list(range(old + 1, old + 11))
            with pytest.raises(LittoralError) as caught:
                things.retrieve(ditto, T, at_ms=at)
            assert caught.value.code == "things:thing.history.notfound"
        await node.reopen()
        assert node.doc(T)["attributes"] == {"n": old + 10}

    on_node(main)


def merged(other, ms, value, oseq):
    return other(ms, "thing.merged", "/attributes", value, oseq=oseq, entity=f"thing:{T}")


async def forget_all_until_now(node):
    node.twins.flush()
    await node.log.wait()
    await asyncio.sleep(60)
    node.log._housekeeper.retention = retention(age_ms_max=30_000)
    await node.log._housekeeper.thin()
    assert not [r for r in node.records() if r.entity.endswith(T)]


def test_a_late_record_finds_the_state_that_its_lost_past_came_to(on_node, other):
    async def main(node):
        await node.twins.modify(node.ditto, T, "/", {"policyId": "org.littoral:default"})
        await node.twins.modify(node.ditto, T, "/attributes/a", 1)
        await forget_all_until_now(node)
        await node.twins.modify(node.ditto, T, "/attributes/b", 2)
        between = node.clock.now_ms() - 1_800_000_000_000
        await asyncio.sleep(1)
        await node.twins.modify(node.ditto, T, "/attributes/c", 3)
        assert node.twins.apply_remote(merged(other, between + 500, {"b": 5, "c": 5}, 1))
        assert node.doc(T)["attributes"] == {"a": 1, "b": 5, "c": 3}

    on_node(main)


def test_a_record_older_than_all_that_is_kept_changes_nothing(on_node, other):
    async def main(node):
        await node.twins.modify(node.ditto, T, "/", {"policyId": "org.littoral:default"})
        await asyncio.sleep(1)
        await node.twins.modify(node.ditto, T, "/attributes/a", 1)
        await forget_all_until_now(node)
        # It came to nothing: a thing was folded out of the one record that was left.
        assert not node.twins.apply_remote(merged(other, 500, {"a": 5, "b": 5}, 1))
        assert node.doc(T)["attributes"] == {"a": 1}
        await node.reopen()
        assert node.doc(T)["attributes"] == {"a": 1}

    on_node(main)
