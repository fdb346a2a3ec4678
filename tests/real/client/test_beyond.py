"""What Ditto has not, from the SDK: bulks, figures, transactions, explanations, places."""

import pytest

from littoral.client import AlreadyThere, ApiError, ConditionFailed, Metric, Step, rql

pytestmark = [pytest.mark.real, pytest.mark.slow]


@pytest.fixture
def fleet(made, fresh):
    """Six things of one run: three at site a, three at site b."""
    run = fresh("run")
    ids = [
        made(attributes={"run": run, "site": "ab"[n % 2], "n": n, "at": {"lat": 54 + n, "lon": 10}})
        for n in range(6)
    ]
    return rql.eq("attributes/run", run), ids


def test_figures_are_worked_out_by_group(client, fleet):
    query, _ = fleet
    metrics = [Metric("count"), Metric("sum", "attributes/n"), Metric("max", "attributes/n", "top")]
    groups = client.beyond.aggregate(metrics, query, group_by=["attributes/site"])
    found = {group.keys["attributes/site"]: group.values for group in groups}
    assert found["a"]["sum(attributes/n)"] == 6
    assert (found["b"]["top"], found["b"]["count()"]) == (5, 3)


def test_many_things_are_changed_at_once(client, fleet):
    query, ids = fleet
    some = rql.both(query, rql.eq("attributes/site", "a"))
    patch = {"attributes": {"checked": True}}
    assert client.beyond.bulk("merge", some, patch, dry_run=True).changed == 3
    assert client.search.count(rql.both(query, rql.exists("attributes/checked"))) == 0
    report = client.beyond.bulk("merge", some, patch)
    assert (report.matched, report.changed, report.refused) == (3, 3, 0)
    assert set(report.sample) == {ids[0], ids[2], ids[4]}
    deleted = client.beyond.bulk("delete", query, path="/attributes/checked")
    assert (deleted.changed, deleted.refused) == (3, 3)
    assert list(deleted.refused_by_code) == ["things:attribute.notfound"]


def test_places_are_found(client, fleet):
    query, ids = fleet
    near = rql.within_distance("attributes/at", lat=54, lon=10, metres=1000)
    box = rql.within_box("attributes/at", south=55.5, west=9, north=57.5, east=11)
    for where, wanted in ((near, {ids[0]}), (box, {ids[2], ids[3]})):
        report = client.beyond.bulk("merge", rql.both(query, where), {"attributes": {"x": 1}})
        assert set(report.sample) == wanted


def test_a_transaction_is_done_or_not(client, made, fresh):
    one, other = made(attributes={"n": 1}), made(attributes={"n": 1})
    results = client.beyond.transaction(
        [Step("modify", one, 2, "/attributes/n"), Step("merge", other, {"attributes": {"m": 3}})]
    )
    assert [(r.thing_id, r.status, r.revision) for r in results] == [(one, 204, 2), (other, 204, 2)]
    with pytest.raises(ConditionFailed) as e:
        client.beyond.transaction(
            [
                Step("modify", one, 3, "/attributes/n"),
                Step("delete", other, headers={"condition": rql.gt("attributes/n", 99)}),
            ]
        )
    assert e.value.body["step"] == 1
    with pytest.raises(AlreadyThere):
        client.beyond.transaction(
            [Step("modify", one, 3, "/attributes/n"), Step("create", other, {})]
        )
    assert client.things.get(one, "/attributes/n") == 2


def test_a_decision_is_explained(client, admin, made):
    thing_id = made()
    mine = client.beyond.explain_policy("WRITE", "thing:/features/x", thing_id=thing_id)
    assert mine.allowed
    assert mine.granted_by[0]["entry"] == "owner"
    told = admin.beyond.explain_policy(
        "READ", "thing:/", thing_id=thing_id, subjects=["nginx:stranger"]
    )
    assert not told.allowed
    assert told.because


def test_a_search_is_explained(client, fleet):
    query, _ = fleet
    assert client.beyond.explain_search(query)["hits"] == 6


def test_a_bulk_that_cannot_be_read_is_refused(client):
    with pytest.raises(ApiError):
        client.beyond.bulk("merge", "nonsense(", {})
