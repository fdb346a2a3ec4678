"""Metadata in the fold: with telemetry that nobody looked at, and at a replica."""

from littoral.twin import Conditions, MetadataPut

T = "org.littoral:pump"


def puts(*items):
    return Conditions(put_metadata=tuple(MetadataPut(k, v) for k, v in items))


def test_telemetry_takes_metadata_along_too(on_node):
    async def main(node):
        door = node.door()
        door.telemetry("f", b'{"a":1,"b":2}')
        thing = "org.littoral:4711"
        things = node.twins.things
        unit = puts(("a/unit", 1), ("b/unit", 2))
        things.merge(node.admin, thing, "/features/f/properties", {}, conditions=unit)
        for payload in (b'{"a":5}', b'{"a":null}', b'{"a":6,"b":7}', b'{"c":8}'):
            door.telemetry("f", payload)
        # What was deleted in between has lost its metadata, also if nobody looked then.
        assert node.doc(thing)["_metadata"] == {
            "features": {"f": {"properties": {"b": {"unit": 2}}}}
        }
        states = await node.revisions(thing)
        assert list(states.values())[-1] == node.doc(thing)
        await node.reopen(flush=False)
        assert node.doc(thing) == list(states.values())[-1]

    on_node(main)


def test_a_replica_folds_metadata_whatever_order_records_come_in(on_node, other):
    async def main(node):
        path = "/features/f/properties"
        records = [
            other(0, "thing.created", "/", {"thingId": T, "policyId": "a:p"}, oseq=1, entity=f"thing:{T}"),
            other(1, "thing.merged", path, {"a": 1, "b": 1}, oseq=2, entity=f"thing:{T}",
                  headers={"metadata": [["/*/unit", "mm"]]}),
            other(2, "thing.merged", path, {"a": None}, oseq=3, entity=f"thing:{T}"),
            other(3, "thing.merged", path, {"a": 2}, oseq=4, entity=f"thing:{T}"),
            other(4, "thing.modified", path + "/b", 5, oseq=5, entity=f"thing:{T}",
                  headers={"metadata": [["/by", "me"]], "metadata-deleted": ["/none"]}),
            other(5, "thing.modified", "/attributes", {"x": 1}, oseq=6, entity=f"thing:{T}",
                  headers={"metadata": [["/x/unit", "s"]]}),
        ]  # fmt: skip
        order = [0, 5, 3, 2, 4, 1]
        for index in order:
            node.twins.apply_remote(records[index])
        assert node.doc(T)["_metadata"] == {
            "features": {"f": {"properties": {"b": {"unit": "mm", "by": "me"}}}},
            "attributes": {"x": {"unit": "s"}},
        }
        states = await node.revisions(T)
        assert list(states.values())[-1] == node.doc(T)

    on_node(main)
