"""Figures over things, by groups; only what the caller may see has a part in them."""

import pytest

DEVOPS = ("devops", "foobar")
AGGREGATE = "/api/littoral/v1/aggregate"
PARTLY = {
    "entries": {
        "owner": {
            "subjects": {"a:b": {"type": "x"}},
            "resources": {"policy:/": {"grant": ["READ", "WRITE"], "revoke": []}},
        },
        "reader": {
            "subjects": {"nginx:ditto": {"type": "x"}},
            "resources": {"thing:/attributes/site": {"grant": ["READ"], "revoke": []}},
        },
    }
}


async def fleet(node):
    await node.twins.put_policy(node.admin, "org.littoral:partly", "/", PARTLY)
    for n in range(10):
        policy = "org.littoral:partly" if n == 9 else "org.littoral:default"
        body = {
            "policyId": policy,
            "attributes": {"site": f"s{n % 2}"},
            "features": {"cell": {"properties": {"battery": n * 10}}},
        }
        await node.twins.modify(node.admin, f"org.littoral:t{n}", "/", body)


BATTERY = "features/cell/properties/battery"


def test_figures_are_worked_out_by_group(on_node):
    async def main(node):
        await fleet(node)
        body = {
            "groupBy": ["attributes/site"],
            "metrics": [
                {"figure": "count"},
                {"figure": "avg", "property": BATTERY, "name": "mean"},
                {"figure": "max", "property": BATTERY, "name": "top"},
                {"figure": "percentile", "property": BATTERY, "percent": 50, "name": "half"},
            ],
        }
        groups = (await node.call("POST", AGGREGATE, body, user=DEVOPS)).json["groups"]
        by_site = {g["keys"]["attributes/site"]: g["values"] for g in groups}
        assert by_site["s0"]["count()"] == 5
        assert by_site["s0"]["mean"] == 40
        assert by_site["s1"]["top"] == 90
        assert by_site["s0"]["half"] == 40

    on_node(main)


def test_what_may_not_be_read_has_no_part_in_a_figure(on_node):
    async def main(node):
        await fleet(node)
        body = {"metrics": [{"figure": "max", "property": BATTERY, "name": "top"}]}
        assert (await node.call("POST", AGGREGATE, body)).json["groups"][0]["values"]["top"] == 80
        everything = await node.call("POST", AGGREGATE, body, user=DEVOPS)
        assert everything.json["groups"][0]["values"]["top"] == 90

    on_node(main)


def test_a_filter_narrows_it_and_may_be_geographic(on_node):
    async def main(node):
        await fleet(node)
        body = {"filter": f"gt({BATTERY},45)", "metrics": [{"figure": "count", "name": "n"}]}
        answer = await node.call("POST", AGGREGATE, body, user=DEVOPS)
        assert answer.json["groups"][0]["values"]["n"] == 5
        body["filter"] = "withinbox(attributes/place,0,0,1,1)"
        answer = await node.call("POST", AGGREGATE, body, user=DEVOPS)
        assert answer.status == 200

    on_node(main)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"metrics": []},
        {"metrics": [{"figure": "median"}]},
        {"metrics": [{"figure": "sum"}]},
        {"metrics": [{"figure": "percentile", "property": BATTERY, "percent": 101}]},
        {"metrics": [{"figure": "count"}, {"figure": "count"}]},
        {"metrics": [{"figure": "count"}], "groupBy": ["nonsense/x"]},
        {"metrics": [{"figure": "count"}], "filter": "eq(a, 1)"},
    ],
    ids=str,
)
def test_what_makes_no_sense_is_refused(on_node, body):
    async def main(node):
        assert (await node.call("POST", AGGREGATE, body)).status == 400

    on_node(main)


def test_a_search_is_explained(on_node):
    async def main(node):
        await fleet(node)
        path = "/api/littoral/v1/explain/search?filter=eq(attributes/site,%22s1%22)"
        told = (await node.call("GET", path, user=DEVOPS)).json
        assert told["hits"] == 5
        assert told["plan"]

    on_node(main)


def test_searching_by_place_is_beyond_ditto(on_node):
    async def main(node):
        place = {"lat": 48.1, "lon": 11.5}
        body = {"policyId": "org.littoral:default", "attributes": {"place": place}}
        await node.twins.modify(node.admin, "org.littoral:munich", "/", body)
        near = "search/things?filter=withindistance(attributes/place,48.2,11.5,20000)"
        found = await node.call("GET", f"/api/littoral/v1/{near}")
        assert [one["thingId"] for one in found.json["items"]] == ["org.littoral:munich"]
        refused = await node.call("GET", f"/api/2/{near}")
        assert (refused.status, refused.code) == (400, "rql.expression.invalid")

    on_node(main)
