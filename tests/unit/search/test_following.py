"""The index behind the log: nothing is lost, whatever stops, and nobody sees what may vanish."""

import asyncio

import apsw
import pytest

from littoral.kernel.errors import LittoralError
from littoral.log import LogFull
from littoral.search import IndexBuilding, service
from littoral.search.errors import IndexDamaged


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "search.db")


async def fill(node, count=5):
    for number in range(count):
        await node.create(f"n:{number}", {"x": number})


ALL = [f"n:{number}" for number in range(5)]


def test_an_index_that_was_closed_goes_on_where_it_was(on_node, path):
    async def main(node):
        async with node.running():
            await fill(node)
            assert await node.find() == ALL
        await node.end()
        async with node.running():
            assert await node.find("gt(attributes/x,2)") == ["n:3", "n:4"]
            assert node.search.statistics().rebuilds == 0
            assert node.search.statistics().read == 0

    on_node(main, path=path)


def test_what_was_committed_after_the_index_is_read_at_the_next_start(on_node, path):
    async def main(node):
        async with node.running():
            await fill(node)
            await node.find()
        await node.merge("n:0", "/attributes/x", 7)
        await node.create("n:9", {"x": 9})
        await node.twins.delete(node.admin, "n:1", "/")
        await node.put_policy("org.littoral:default", "nginx:stranger")
        await node.end(clean=False)
        async with node.running():
            assert await node.find() == []
            assert await node.find("ge(attributes/x,7)", node.stranger) == ["n:0", "n:9"]
            assert await node.count(caller=node.stranger) == 5
            assert node.search.statistics().rebuilds == 0

    on_node(main, path=path)


def test_an_index_that_was_not_closed_is_made_anew(on_node, path, tmp_path):
    async def main(node):
        async with node.running():
            await fill(node)
            await node.find()
            left = (tmp_path / "search.db").read_bytes()
        await node.end()
        (tmp_path / "search.db").write_bytes(left)
        async with node.running():
            assert await node.find("exists(attributes/x)") == ALL
            assert node.search.statistics().rebuilds == 1

    on_node(main, path=path)


def test_an_index_that_says_what_never_became_durable_is_made_anew(on_node, path):
    async def main(node):
        async with node.running():
            await fill(node)
            await node.find()
            # A change of form is committed, and a second one is decided before it is read.
            await node.merge("n:0", "/attributes", {"first": 1})
            node.twins.things.merge(node.admin, "n:0", "/attributes", {"second": 1})
            async with asyncio.TaskGroup() as tasks:
                asking = tasks.create_task(node.find("exists(attributes/second)"))
                await asyncio.sleep(0.01)
                asking.cancel()
        node.store.failure = LogFull("no room.")
        with pytest.raises(LogFull):
            await node.log.wait()
        node.store.failure = None
        await node.end(clean=False)
        async with node.running():
            assert await node.find("exists(attributes/second)") == []
            assert await node.find("exists(attributes/first)") == ["n:0"]
            assert node.search.statistics().rebuilds == 1

    on_node(main, path=path, commit_s=1.0)


def test_an_index_that_is_missing_is_made_of_all_things(on_node, path):
    async def main(node):
        await fill(node)
        await node.end()
        async with node.running():
            assert await node.find("exists(attributes/x)") == ALL
            assert node.search.statistics().rebuilds == 1

    on_node(main, path=path)


@pytest.mark.parametrize(
    "harm",
    [
        "UPDATE meta SET value = '0' WHERE key = 'format'",
        "UPDATE meta SET value = 'other' WHERE key = 'log'",
        "UPDATE meta SET value = 1000000 WHERE key = 'position'",
        "DROP TABLE leaf",
        "DELETE FROM meta",
    ],
)
def test_an_index_that_does_not_fit_is_made_anew(on_node, path, harm):
    async def main(node):
        async with node.running():
            await fill(node)
            await node.find()
        await node.end()
        connection = apsw.Connection(path)
        connection.execute(harm)
        connection.close()
        async with node.running():
            assert await node.find("exists(attributes/x)") == ALL
            assert node.search.statistics().rebuilds == 1

    on_node(main, path=path)


def test_an_index_whose_file_is_garbage_is_made_anew(on_node, path, tmp_path):
    async def main(node):
        async with node.running():
            await fill(node)
            await node.find()
        await node.end()
        (tmp_path / "search.db").write_bytes(b"garbage" * 4096)
        async with node.running():
            assert await node.find("exists(attributes/x)") == ALL

    on_node(main, path=path)


def test_an_index_that_breaks_while_it_is_used_is_made_anew(on_node, monkeypatch):
    async def main(node):
        async with node.running():
            await fill(node)
            assert await node.find() == ALL
            broken = IndexDamaged("the disk is not what it was.")

            def fail(*_, **__):
                monkeypatch.undo()
                raise broken

            monkeypatch.setattr(node.index, "page", fail)
            assert await node.find() == ALL
            await node.merge("n:0", "/attributes/x", 70)
            assert await node.find("gt(attributes/x,3)") == ["n:0", "n:4"]
            assert node.search.statistics().rebuilds == 2

    on_node(main)


def test_an_index_that_fell_far_behind_reads_what_changed(on_node, monkeypatch):
    monkeypatch.setattr(service, "QUEUE_RECORDS_MAX", 10)
    monkeypatch.setattr(service, "IDLE_RECORDS_MAX", 10)

    async def main(node):
        async with node.running():
            await fill(node)
            await node.find()
            for turn in range(30):
                node.twins.things.merge(node.admin, f"n:{turn % 5}", "/attributes/x", 100 + turn)
            await node.log.wait()
            assert await node.find("ge(attributes/x,128)") == ["n:3", "n:4"]
            assert await node.find("lt(attributes/x,125)") == []

    on_node(main)


def test_what_fails_to_become_durable_is_not_found(on_node):
    async def main(node):
        async with node.running():
            await fill(node)
            await node.find()
            node.twins.things.merge(node.admin, "n:0", "/attributes", {"x": 70, "new": 1})
            await node.fill()
            assert await node.find("exists(attributes/new)") == []
            await node.make_room()
            assert await node.find("eq(attributes/x,0)") == ["n:0"]
            await node.merge("n:0", "/attributes/new", 2)
            assert await node.find("exists(attributes/new)") == ["n:0"]

    on_node(main)


def test_a_document_that_was_read_too_early_is_read_again(on_node):
    async def main(node):
        async with node.running():
            await fill(node)
            await node.find()
            # A change of form is committed, and a second one is decided before it is read.
            await node.merge("n:0", "/attributes", {"first": 1})
            node.twins.things.merge(node.admin, "n:0", "/attributes", {"second": 1})
            node.store.failure = LogFull("no room.")
            assert await node.find("exists(attributes/second)") == []
            assert node.search.statistics().read > 6
            await node.make_room()
            assert await node.find("exists(attributes/first)") == ["n:0"]

    on_node(main, commit_s=1.0)


def test_a_search_waits_for_the_index_and_then_says_so(on_node):
    async def main(node):
        await fill(node)
        with pytest.raises(IndexBuilding):
            await node.find()  # nobody runs the search
        async with node.running():
            assert await node.find() == ALL

    on_node(main)


def test_search_persisted_returns_once_the_record_is_found(on_node):
    async def main(node):
        async with node.running():
            outcome = node.twins.things.create_thing(
                node.admin, {"policyId": "org.littoral:default"}, thing_id="n:a"
            )
            await node.search.settled(outcome.seq)
            assert node.search.statistics().position >= outcome.seq
            assert node.search.statistics().behind == 0

    on_node(main)


def test_pages_under_changes_give_each_thing_that_stays_once(on_node):
    async def main(node):
        async with node.running():
            for number in range(0, 60, 2):
                await node.create(f"n:{number:02}", {"x": number % 7})
            found, cursor, turn = [], "", 0
            while not found or cursor:
                page = await node.page(option=f"size(4){cursor and f',cursor({cursor})'}")
                found += page.ids
                cursor = page.cursor
                await node.create(f"n:{(turn * 17) % 60:02}a", {})
                await node.merge("n:00", "/attributes/x", turn)
                await node.twins.delete(node.admin, f"n:{58 - turn * 2:02}", "/")
                turn += 1
            kept = [i for i in await node.find(option="size(200)") if not i.endswith("a")]
            assert len(found) == len(set(found)) and found == sorted(found)
            assert set(kept) <= set(found)

    on_node(main)


def test_closing_twice_is_closing(on_node):
    async def main(node):
        async with node.running():
            await node.find()
        node.search.close()
        with pytest.raises(LittoralError):
            await node.find()

    on_node(main)
