"""/api/littoral/v1/incidents: conflicts, losses and roll-backs, read out of the log."""

import json

import pytest

from littoral.api.administration import incidents
from littoral.log import RecordClass

PATH = "/api/littoral/v1/incidents"
ADMIN = ("devops", "foobar")
OVERRULED = {"lost": {"/attributes/a": 1}, "lostOrigin": "s/1", "wonOrigin": "cloud/1"}


def add(node, kind, entity, body, path="/"):
    record = json.dumps(body).encode()
    return node.log.append(RecordClass.EVENT, kind, entity, 0, 0, path, record)


async def eventful(node):
    """Two conflicts and one incident of each other kind, among other records."""
    for thing in ("pump", "fan"):
        add(node, "thing.conflict", f"thing:org.acme:{thing}", OVERRULED, "/attributes/a")
        add(node, "device.data", f"thing:org.acme:{thing}", "an alarm, perhaps")
    add(node, "ledger.lost", "log:node", {"class": "telemetry", "count": 7})
    add(node, "link.gap", "log:node", {"peer": "cloud"})
    await node.log.wait(add(node, "link.rollback", "log:node", {"peer": "cloud", "lost": []}))


def test_incidents_are_listed_oldest_first(on_node):
    async def main(node):
        await eventful(node)
        page = (await node.call("GET", PATH, user=ADMIN)).json
        kinds = ["conflict", "conflict", "loss", "gap", "rollback"]
        assert ([one["kind"] for one in page["items"]], page["next"]) == (kinds, "")
        first, _, loss, *_ = page["items"]
        assert (first["thingId"], first["path"]) == ("org.acme:pump", "/attributes/a")
        assert (first["details"], first["node"]) == (OVERRULED, node.log.node)
        assert loss["details"]["count"] == 7 and "thingId" not in loss
        narrowed = await node.call("GET", f"{PATH}?kind=conflict&thing=org.acme:fan", user=ADMIN)
        assert [one["thingId"] for one in narrowed.json["items"]] == ["org.acme:fan"]
        for query in ("kind=fire", "after=x", "limit=0"):
            refused = await node.call("GET", f"{PATH}?{query}", user=ADMIN)
            assert (refused.status, refused.code) == (400, "header.invalid")
        assert (await node.call("DELETE", PATH, user=ADMIN)).status == 405
        assert (await node.call("GET", PATH)).status == 403

    on_node(main)


@pytest.mark.parametrize("scan", [1, 100])
def test_incidents_come_page_by_page_and_a_page_may_be_empty(on_node, monkeypatch, scan):
    monkeypatch.setattr(incidents, "INCIDENTS_SCAN_MAX", scan)
    monkeypatch.setattr(incidents, "INCIDENTS_CHUNK", 1)

    async def main(node):
        await eventful(node)
        seen, pages, after = [], 0, ""
        while pages == 0 or after:
            answer = await node.call("GET", f"{PATH}?limit=2&after={after}", user=ADMIN)
            seen += [one["seq"] for one in answer.json["items"]]
            after, pages = answer.json["next"], pages + 1
        assert len(seen) == 5 and seen == sorted(set(seen))
        assert pages > 2

    on_node(main)
