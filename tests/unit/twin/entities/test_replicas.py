"""Records of another node: late ones find their place, and what they lost is told once."""

import random

import pytest

from littoral.kernel import json
from littoral.twin.core.state import fold_in_order
from littoral.twin.model import LANES_MAX, SNAPSHOT_EVERY

T = "org.littoral:4711"
E = f"thing:{T}"
LAMP = "/features/lamp/properties"
CREATED = ("thing.created", "/", {"thingId": T, "policyId": "org.littoral:default"})


def conflicts(node):
    return [json.decode(r.value) for r in node.records("thing.conflict")]


def test_a_late_record_loses_and_one_conflict_tells_it(on_node, other):
    async def main(node):
        door = node.door()
        door.telemetry("lamp", b'{"a":2,"b":2}')
        late = other(-5000, "thing.merged", LAMP, {"a": 1, "c": {"d": 1}, "e": None})
        node.twins.apply_remote(late)
        await node.log.wait()
        # The merge was before the thing was: it has lost everything.
        assert node.properties("lamp") == {"a": 2, "b": 2}
        assert conflicts(node) == [
            {
                "lost": {f"{LAMP}/a": 1, f"{LAMP}/c/d": 1},
                "lostOrigin": late.origin,
                "lostHlc": late.hlc,
                "wonOrigin": node.log.origin,
                "wonHlc": node.records("thing.merged")[0].hlc,
            }
        ]
        told = node.records("thing.conflict")[0]
        assert (told.cls, told.entity, told.revision, told.path) == (1, E, 0, LAMP)

    on_node(main)


def test_the_other_side_tells_nothing(on_node, other):
    """The same two writes, seen where the winner came in later: it is in its place."""

    async def main(node):
        node.door().telemetry("lamp", b'{"a":2,"b":2}')
        await node.log.wait()
        node.twins.apply_remote(other(60_000, "thing.merged", LAMP, {"a": 1}))
        await node.log.wait()
        assert node.properties("lamp") == {"a": 1, "b": 2}
        assert conflicts(node) == [] and node.twins.statistics().refolds == 0

    on_node(main)


def test_late_records_of_other_lanes_lose_nothing(on_node, other):
    async def main(node):
        door = node.door()
        door.telemetry("lamp", b'{"a":2}')
        await node.log.wait()
        first = node.records("thing.created")[0].hlc
        door.telemetry("lamp", b'{"a":3}')
        record = other(0, "thing.merged", "/features/lamp/desiredProperties", {"a": 9})
        node.twins.apply_remote(record._replace(hlc=first + 1))
        whole = {"features": {"lamp": {"properties": {"z": 1}}}, "attributes": {"x": 1}}
        node.twins.apply_remote(
            other(0, "thing.merged", "/", whole, oseq=2)._replace(hlc=first + 2)
        )
        await node.log.wait()
        assert node.doc()["features"]["lamp"]["desiredProperties"] == {"a": 9}
        assert node.properties("lamp") == {"a": 3, "z": 1}
        assert node.doc()["attributes"] == {"x": 1}
        assert conflicts(node) == []

    on_node(main)


@pytest.mark.parametrize("how", ["flushed", "replayed", "killed", "no-snapshot"])
def test_what_was_folded_anew_survives(on_node, other, how):
    async def main(node):
        door = node.door()
        door.telemetry("lamp", b'{"a":1}')
        await node.log.wait()
        first = node.records("thing.created")[0].hlc
        door.telemetry("lamp", b'{"b":{"x":1}}')
        door.telemetry("lamp", b'{"a":null}')
        for oseq, value in ((1, {"a": 5, "b": 7, "c": 1}), (2, {"d": {"e": 1}})):
            late = other(0, "thing.merged", LAMP, value, oseq=oseq)
            node.twins.apply_remote(late._replace(hlc=first + oseq))
            door.telemetry("lamp", b'{"f":%d}' % oseq)
        await node.log.wait()
        expected, revision = node.doc(), node.twins.revision_of(T)
        history = await node.revisions(T)
        assert history[revision] == expected
        if how == "no-snapshot":
            for key, _ in node.log.scan("snapshot"):
                node.log.put("snapshot", key, None)
            await node.log.wait()
        if how in {"killed", "no-snapshot"}:
            await node.kill()
        else:
            await node.reopen(flush=how == "flushed")
        assert (node.doc(), node.twins.revision_of(T)) == (expected, revision)
        assert await node.revisions(T) == history
        node.door().telemetry("lamp", b'{"g":1}')
        assert node.properties("lamp")["g"] == 1

    on_node(main)


def test_a_deletion_elsewhere_lasts_until_somebody_creates_the_thing_again(on_node, other):
    async def main(node):
        door = node.door()
        door.telemetry("lamp", b'{"a":1}')
        await node.log.wait()
        stamp = node.records("thing.merged")[0].hlc
        door.telemetry("lamp", b'{"a":2}')
        door.telemetry("lamp", b'{"a":3}')
        node.twins.apply_remote(other(0, "thing.deleted", "/", None)._replace(hlc=stamp + 1))
        # What came after the deletion is no whole thing: it does not make one without a policy.
        assert node.doc() is None
        assert node.twins.list_ids() == []
        door.telemetry("lamp", b'{"b":1}')
        assert node.doc() == {
            "thingId": T,
            "policyId": "org.littoral:default",
            "features": {"lamp": {"properties": {"b": 1}}},
        }
        await node.log.wait()
        expected = node.doc()
        await node.kill()
        assert node.doc() == expected

    on_node(main)


def test_both_sides_create_the_thing_at_the_same_time(on_node, other):
    async def main(node):
        body = {"thingId": T, "policyId": "org.acme:cloud", "attributes": {"by": "cloud"}}
        node.door().telemetry("lamp", b'{"a":1}')
        await node.log.wait()
        node.twins.apply_remote(other(-1000, "thing.created", "/", body))
        assert node.doc() == body | {"features": {"lamp": {"properties": {"a": 1}}}}
        assert node.twins.policy_of(T) == "org.acme:cloud"
        await node.log.wait()
        assert conflicts(node) == []
        await node.kill()
        assert node.twins.policy_of(T) == "org.acme:cloud"

    on_node(main)


def test_an_implicit_creation_from_a_site_gives_a_policy_to_who_has_none(on_node, other):
    async def main(node):
        await node.twins.modify(node.ditto, T, "/", {"attributes": {"by": "cloud"}})
        implicit = {"implicit": True}
        for oseq, ms in ((1, -1000), (2, 60_000)):
            node.twins.apply_remote(other(ms, *CREATED, oseq=oseq, headers=implicit))
            assert node.twins.policy_of(T) == T
            assert node.doc()["attributes"] == {"by": "cloud"}
        assert node.twins.statistics().conflicts == 0

    on_node(main, name="cloud2")


def test_silent_and_late_records_are_stored_and_change_nothing(on_node, other):
    async def main(node):
        node.door().telemetry("lamp", b'{"a":1}')
        node.twins.apply_remote(other(60_000, "thing.conflict", LAMP, {"lost": {}}))
        node.twins.apply_remote(other(60_000, "device.data", "/", "raw", oseq=2))
        late = {"late": True, "id": "7"}
        node.twins.apply_remote(other(60_000, "thing.merged", LAMP, {"a": 2}, oseq=3, headers=late))
        assert node.properties("lamp") == {"a": 1} and node.twins.revision_of(T) == 2
        assert node.door().telemetry("lamp", b'{"b":1}', None, "7")
        await node.reopen(flush=False)
        assert node.properties("lamp") == {"a": 1, "b": 1}
        assert node.log.high_water("cloud/00000000000000aa", 2) == 3

    on_node(main)


def test_a_policy_from_the_cloud_holds_at_once(on_node, other):
    async def main(node):
        door = node.door()
        door.telemetry("lamp", b'{"a":1}')
        entity = "policy:org.littoral:default"
        body = {"policyId": "org.littoral:default", "entries": node.policy["entries"]}
        body["entries"] = body["entries"] | {
            "device": {
                "subjects": {"device:DEFAULT_TENANT:4711": {"type": "d"}},
                "resources": {"thing:/": {"grant": ["READ"], "revoke": []}},
            }
        }
        node.twins.apply_remote(other(60_000, "policy.modified", "/", body, entity=entity))
        with pytest.raises(Exception, match="does not let"):
            door.telemetry("lamp", b'{"a":2}')
        await node.log.wait()
        await node.kill()
        with pytest.raises(Exception, match="does not let"):
            node.door().telemetry("lamp", b'{"a":2}')

    on_node(main)


def test_places_are_taken_together_before_they_are_too_many(on_node, other):
    async def main(node):
        await node.twins.modify(node.ditto, T, "/", {})
        stamp = node.log.last_hlc
        records = []
        for n in range(LANES_MAX + 10):
            path = f"/features/f{n}"
            node.twins.things.modify(node.ditto, T, path, {"properties": {"n": n}})
            node.twins.things.delete(node.ditto, T, path)
            if n % 100 == 0:
                await node.log.wait()
        node.twins.flush()
        await node.log.wait()
        hot = node.twins.engine.load(E)
        assert len(hot.lanes) < 300
        late = other(0, "thing.merged", "/features/f7/properties", {"late": 1})
        node.twins.apply_remote(late._replace(hlc=stamp + 1))
        records = node.twins.history(node.admin, T, first=1, last=10**6)
        assert node.doc() == fold_in_order(None, records)
        assert node.doc()["features"] == {}

    on_node(main)


def test_a_late_record_is_found_its_place_over_many_snapshots(on_node, other):
    async def main(node):
        door = node.door()
        door.telemetry("lamp", b'{"a":0}')
        stamp = node.log.last_hlc
        for n in range(SNAPSHOT_EVERY * 3):
            door.telemetry("lamp", b'{"n":%d,"k%d":1}' % (n, n % 5))
        node.twins.apply_remote(
            other(0, "thing.merged", LAMP, {"n": -1, "new": 1})._replace(hlc=stamp + 1)
        )
        assert node.properties("lamp")["new"] == 1
        assert node.properties("lamp")["n"] == SNAPSHOT_EVERY * 3 - 1
        records = node.twins.history(node.admin, T, first=1, last=10**6)
        assert node.doc() == fold_in_order(None, records)

    on_node(main)


def test_reading_an_old_revision_folds_no_further_than_to_a_snapshot(on_node):
    async def main(node):
        door = node.door()
        for n in range(SNAPSHOT_EVERY * 4):
            door.telemetry("lamp", b'{"n":%d}' % n)
        await node.log.wait()
        engine = node.twins.engine
        asked = []
        history = engine._history.records
        engine._history.records = lambda *a: asked.append(a) or history(*a)
        source = random.Random(1)
        for revision in source.sample(range(3, SNAPSHOT_EVERY * 4), 20):
            past = engine.at_revision(E, revision)
            assert past.document()["features"]["lamp"]["properties"] == {"n": revision - 2}
        assert all(last - first < SNAPSHOT_EVERY for _, _, first, last in asked)

    on_node(main)


def test_telemetry_that_comes_after_its_events_is_folded_once(on_node, other):
    """After an outage a site's events overtake its telemetry: the history is read once, not always."""

    async def main(node):
        apply = node.twins.apply_remote
        apply(other(-9000, *CREATED, oseq=1))
        for n in range(300):  # events: every third message
            apply(other(3 * n, "thing.merged", LAMP, {"n": 3 * n, "event": n}, oseq=2 + n))
        rest = [n for n in range(900) if n % 3]
        for at, n in enumerate(rest):
            patch = {"n": n, "only": n, "gone": None if n % 2 else n}
            apply(other(n, "thing.merged", LAMP, patch, oseq=1000 + at))
        await node.log.wait()
        statistics = node.twins.statistics()
        assert (statistics.refolds, statistics.conflicts) == (1, 0)
        assert node.properties("lamp") == {"n": 899, "event": 299, "only": 899}
        assert node.twins.revision_of(T) == 901
        await node.reopen()
        assert node.properties("lamp") == {"n": 899, "event": 299, "only": 899}

    on_node(main)


@pytest.mark.parametrize("seed", range(30))
def test_flat_records_in_any_order_make_what_their_fold_makes(on_node, other, seed):
    async def main(node):
        source = random.Random(seed)
        origins = ("cloud/00000000000000aa", "site/00000000000000bb")
        records = [other(-9000, *CREATED, oseq=1)]
        for n in range(60):
            keys = source.sample("abcde", source.randint(1, 3))
            patch = {k: source.choice([n, None, [n]]) for k in keys}
            if source.random() < 0.05:
                patch = {"a": {"deep": n}}
            path = LAMP if source.random() < 0.95 else "/features/other/properties"
            origin = source.choice(origins)
            ms = source.randint(0, 40)
            records.append(other(ms, "thing.merged", path, patch, oseq=2 + n, origin=origin))
        first, rest = records[0], records[1:]
        source.shuffle(rest)
        for record in (first, *rest):
            node.twins.apply_remote(record)
            if source.random() < 0.1:
                node.door().telemetry("mine", b'{"x":1}')
        await node.log.wait()
        expected = fold_in_order(None, records)
        document = node.twins.peek(T)
        assert {k: v for k, v in document["features"].items() if k != "mine"} == expected[
            "features"
        ]
        await node.reopen()
        document = node.twins.peek(T)
        assert {k: v for k, v in document["features"].items() if k != "mine"} == expected[
            "features"
        ]

    on_node(main)
