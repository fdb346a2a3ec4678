import pytest

from littoral.rql import InvalidExpression, InvalidOption, parse, parse_options
from littoral.search import (
    Figure,
    InvalidNamespaces,
    Metric,
    SearchQuery,
    parse_namespaces,
)


def ids(*names, namespace="n"):
    return [f"{namespace}:{name}" for name in names]


def test_a_search_finds_what_was_acknowledged(on_node):
    async def main(node):
        async with node.running():
            await node.create("n:a", {"x": 1})
            assert await node.find("eq(attributes/x,1)") == ["n:a"]
            await node.merge("n:a", "/attributes/x", 2)
            assert await node.find("eq(attributes/x,1)") == []
            assert await node.find("eq(attributes/x,2)") == ["n:a"]
            await node.twins.delete(node.admin, "n:a", "/attributes/x")
            assert await node.find("exists(attributes/x)") == []
            assert await node.find("empty(attributes)") == ["n:a"]
            await node.twins.delete(node.admin, "n:a", "/")
            assert await node.find() == []

    on_node(main)


def test_small_changes_are_taken_from_their_records(on_node):
    async def main(node):
        async with node.running():
            for name in "abc":
                await node.create(f"n:{name}", {"x": 1, "s": "t"}, features={
                    "f": {"properties": {"p": {"q": 1.5}}}})  # fmt: skip
            await node.find()
            read = node.search.statistics().read
            await node.merge("n:a", "/features/f/properties", {"p": {"q": 2}})
            await node.merge("n:b", "/", {"attributes": {"x": True, "s": 7}})
            await node.twins.modify(node.admin, "n:c", "/attributes/x", "now a text")
            assert await node.find("eq(features/*/properties/p/q,2)") == ["n:a"]
            assert await node.find("and(eq(attributes/x,true),eq(attributes/s,7))") == ["n:b"]
            assert await node.find("like(attributes/x,'now*')") == ["n:c"]
            assert await node.find("ge(_revision,2)") == ids(*"abc")
            assert node.search.statistics().read == read and node.search.statistics().taken == 3
            await node.merge("n:a", "/features/f/properties", {"p": {"r": 2}})
            assert await node.find("exists(features/f/properties/p/r)") == ["n:a"]
            assert node.search.statistics().read == read + 1

    on_node(main)


def test_only_what_may_be_read_is_found(on_node):
    async def main(node):
        async with node.running():
            grant = {"grant": ["READ"], "revoke": []}
            await node.put_policy("n:part", "nginx:ditto", resources={
                "thing:/attributes/open": grant})  # fmt: skip
            await node.create("n:a", {"open": 1, "secret": 1})
            await node.create("n:b", {"open": 1, "secret": 1}, policy_id="n:part")
            assert await node.find("eq(attributes/open,1)") == ids("a", "b")
            assert await node.find("eq(attributes/secret,1)") == ["n:a"]
            assert await node.find("not(eq(attributes/secret,1))") == ["n:b"]
            assert await node.find("eq(attributes/open,1)", node.stranger) == []
            assert await node.count(caller=node.stranger) == 0
            await node.put_policy("n:part", "nginx:ditto", "nginx:stranger")
            assert await node.find("eq(attributes/secret,1)") == ids("a", "b")
            assert await node.find(caller=node.stranger) == ["n:b"]
            assert await node.count(caller=node.admin) == 2

    on_node(main)


def test_what_the_index_knows_besides_the_document_is_searched(on_node):
    async def main(node):
        async with node.running():
            await node.create("n:a", {})
            await node.create("n.m:b", {})
            await node.create("m:c", {})
            assert await node.find("eq(thingId,'n:a')") == ["n:a"]
            assert await node.find("like(thingId,'n*')") == ["n.m:b", "n:a"]
            assert await node.find("ilike(thingId,'N.?:*')") == ["n.m:b"]
            assert await node.find("eq(namespace,'n')") == ["n:a"]
            assert await node.find("in(namespace,'n','m')") == ["m:c", "n:a"]
            assert await node.find(namespaces=("n", "n.m")) == ["n.m:b", "n:a"]
            assert await node.count(namespaces=("m",)) == 1
            assert await node.find("gt(_modified,time:now-1h)") == ["m:c", "n.m:b", "n:a"]
            assert await node.find("gt(_created,time:now+1h)") == []
            assert await node.find("eq(_modified,'yesterday')") == []
            assert await node.find("ne(_revision,'1')") == ["m:c", "n.m:b", "n:a"]
            assert await node.find("like(_created,'20*Z')") == ["m:c", "n.m:b", "n:a"]
            assert await node.find("eq(policyId,'org.littoral:default')") != []
            assert await node.find("and(exists(thingId),not(empty(thingId)))") != []

    on_node(main)


def test_pages_go_on_where_they_ended(on_node):
    async def main(node):
        async with node.running():
            for number in range(10):
                await node.create(f"n:{number}", {"x": -number} if number % 3 else {})
            for option in ("", "sort(+thingId),", "sort(-thingId),", "sort(+attributes/x),",
                           "sort(-attributes/x),", "sort(-_modified),", "sort(+_revision),"):  # fmt: skip
                found, cursor = [], None
                while cursor is not None or not found:
                    more = f"size(3){'' if cursor is None else f',cursor({cursor})'}"
                    page = await node.page("exists(thingId)", option=option + more)
                    found += page.ids
                    cursor = page.cursor
                assert sorted(found) == [f"n:{n}" for n in range(10)], option
            assert await node.find(option="limit(8,5)") == ids("8", "9")
            assert (await node.page(option="limit(2,5)")).next_offset == 7
            assert await node.find(option="sort(+attributes/x)") == ids(*"0369875421")
            assert await node.find(option="sort(-attributes/x)") == ids(*"1245780369")

    on_node(main)


def test_a_cursor_is_good_for_its_own_search_only(on_node):
    async def main(node):
        async with node.running():
            for name in "abc":
                await node.create(f"n:{name}", {"x": 1})
            page = await node.page("eq(attributes/x,1)", option="size(1),sort(-attributes/x)")
            go_on = f"cursor({page.cursor})"
            assert await node.find("eq(attributes/x,1)", option=go_on) == ["n:b"]
            assert await node.find("eq(attributes/x,1)", option=f"{go_on},size(2)") == [
                "n:b",
                "n:c",
            ]
            for text, option, names in (
                ("eq(attributes/x,2)", go_on, None),
                (None, go_on, None),
                ("eq(attributes/x,1)", f"{go_on},sort(+attributes/x)", None),
                ("eq(attributes/x,1)", go_on, ("n",)),
                ("eq(attributes/x,1)", "cursor(abc)", None),
                ("eq(attributes/x,1)", "cursor(eNqLjgUAARUAuQ)", None),
            ):
                with pytest.raises(InvalidOption):
                    await node.find(text, option=option, namespaces=names)

    on_node(main)


@pytest.mark.parametrize("name", ["_namespace", "foo", "policyId/x", "attributes/", "features//x"])
def test_a_property_that_things_do_not_have_is_refused(on_node, name):
    async def main(node):
        async with node.running():
            for wrong in (f"eq({name},1)", f"exists({name})", f"not(empty({name}))"):
                with pytest.raises(InvalidExpression):
                    await node.find(wrong)
            with pytest.raises(InvalidExpression):
                await node.find(option=f"sort(+{name})")

    on_node(main)


def test_metadata_is_found_and_goes_with_what_it_is_about(on_node):
    async def main(node):
        async with node.running():
            await node.create("n:a", {"x": 1}, _metadata={})
            assert await node.find("eq(attributes/x,1)") == ["n:a"]

    on_node(main)


def test_figures_are_worked_out_by_group(on_node):
    async def main(node):
        async with node.running():
            for number in range(6):
                await node.create(f"n:{number}", {"site": "ab"[number % 2], "level": number},
                                  features={f"f{i}": {"properties": {"b": i}} for i in range(2)})  # fmt: skip
            await node.create("n:z", {})
            search = SearchQuery(parse("exists(thingId)"))
            metrics = (
                Metric("things", Figure.COUNT),
                Metric("sum", Figure.SUM, "attributes/level"),
                Metric("max", Figure.MAX, "attributes/level"),
                Metric("median", Figure.PERCENTILE, "attributes/level", 50),
                Metric("batteries", Figure.COUNT, "features/*/properties/b"),
            )
            groups = await node.search.aggregate(node.ditto, search, ("attributes/site",), metrics)
            found = {group.keys: dict(group.values) for group in groups}
            assert found == {
                (None,): {"things": 1, "sum": None, "max": None, "median": None, "batteries": 0},
                ("a",): {"things": 3, "sum": 6, "max": 4, "median": 2.0, "batteries": 6},
                ("b",): {"things": 3, "sum": 9, "max": 5, "median": 3.0, "batteries": 6},
            }
            (all_of_them,) = await node.search.aggregate(
                node.ditto, search, (), (Metric("newest", Figure.MAX, "_revision"),)
            )
            assert dict(all_of_them.values) == {"newest": 1}

    on_node(main)


def test_a_search_can_be_explained(on_node):
    async def main(node):
        async with node.running():
            await node.create("n:a", {"x": 1})
            search = SearchQuery(parse("eq(attributes/x,1)"), None, parse_options("size(1)"))
            told = await node.search.explain(node.ditto, search)
            assert (told.driver, told.estimates, told.hits) == (
                "attributes/x", {"attributes/x": 1}, 1,
            )  # fmt: skip
            assert any("leaf_value" in step for step in told.steps)

    on_node(main)


def test_namespaces_are_a_comma_list():
    assert parse_namespaces(None) is None
    assert parse_namespaces("a,b.c") == ("a", "b.c")
    for wrong in ("", "a,,b", "1a", "a:b", ",".join(f"n{i}" for i in range(101))):
        with pytest.raises(InvalidNamespaces):
            parse_namespaces(wrong)
