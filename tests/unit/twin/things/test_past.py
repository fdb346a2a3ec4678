"""Things as they were, and which there are."""

import asyncio

import pytest

from littoral.kernel.errors import LittoralError

T = "org.acme:pump"
PUMP = {"policyId": "org.littoral:default"}


async def refused(awaitable):
    with pytest.raises(LittoralError) as caught:
        await awaitable
    return caught.value.code


def test_a_thing_is_read_as_it_was(on_node):
    async def main(node):
        twins, ditto = node.twins, node.ditto
        await twins.modify(ditto, T, "/", PUMP | {"attributes": {"n": 0}})
        at = [node.clock.now_ms()]
        for n in range(1, 6):
            await asyncio.sleep(10)
            await twins.modify(ditto, T, "/attributes/n", n)
            at.append(node.clock.now_ms())
        for n in range(6):
            for asked in ({"at_revision": n + 1}, {"at_ms": at[n]}, {"at_ms": at[n] + 5000}):
                view = await twins.retrieve(ditto, T, "/attributes/n", **asked)
                assert (view.value, view.revision) == (n, n + 1)
        for asked in ({"at_revision": 0}, {"at_revision": 7}, {"at_ms": at[0] - 60_000}):
            code = await refused(twins.retrieve(ditto, T, **asked))
            assert code == "things:thing.history.notfound"
        code = await refused(twins.retrieve(node.stranger, T, at_revision=1))
        assert code == "things:thing.notfound"
        await twins.delete(ditto, T, "/")
        assert (await twins.retrieve(ditto, T, "/attributes/n", at_revision=6)).value == 5
        assert await refused(twins.retrieve(ditto, T, at_revision=7)) == "things:thing.notfound"

    on_node(main)


def test_ids_are_listed_in_order_page_by_page_without_the_deleted(on_node):
    async def main(node):
        twins, ditto = node.twins, node.ditto
        body = {"policyId": "org.littoral:default"}
        ids = [f"org.acme:t{n:04}" for n in range(620)] + ["org.other:я", "org.other:x"]
        for thing_id in ids:
            twins.things.modify(ditto, thing_id, "/", body)
        deleted = set(ids[:510]) - set(ids[:510:100])
        for thing_id in deleted:
            twins.things.delete(ditto, thing_id, "/")
        left = sorted(set(ids) - deleted)
        for reopened in (False, True):
            assert twins.list_ids(limit=1000) == left
            found, after = [], ""
            while page := twins.list_ids(after=after, limit=50):
                assert len(page) == 50 or page[-1] == left[-1]
                found += page
                after = page[-1]
            assert found == left
            assert twins.list_ids(namespaces=["org.other"]) == ["org.other:x", "org.other:я"]
            assert twins.list_ids(namespaces=[]) == twins.list_ids(limit=0) == []
            if not reopened:
                await node.log.wait()
                await node.reopen(flush=False)
                twins = node.twins

    on_node(main)
