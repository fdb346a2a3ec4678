"""What a device may do with its own thing: `DeviceDoor`."""

import json

import pytest

from littoral.kernel.errors import InvalidJson, InvalidKey, LittoralError, TooLarge
from littoral.kernel.limits import SKEW_MS_MAX, THING_BYTES_MAX
from littoral.log import LogFull, RecordClass
from littoral.twin.errors import NotModifiable
from littoral.twin.model import MESSAGE_ID_CHARS_MAX, MESSAGE_IDS_MAX

T = "org.littoral:4711"
SUBJECT = "device:DEFAULT_TENANT:4711"
WRITE_ALL = {"thing:/": {"grant": ["READ", "WRITE"], "revoke": []}}


def policy(owner, device=None):
    entries = dict(owner["entries"])
    if device is not None:
        entries["device"] = {"subjects": {SUBJECT: {"type": "d"}}, "resources": device}
    return {"entries": entries}


def ask(door, action, path="/", value=None, *, thing=T, group="things/twin", **headers):
    envelope = {"topic": f"{thing.replace(':', '/', 1)}/{group}/commands/{action}", "path": path}
    if value is not None:
        envelope["value"] = value
    headers = {k.replace("_", "-"): v for k, v in headers.items()}
    fields = headers.pop("fields", None)
    if fields is not None:
        envelope["fields"] = fields
    envelope["headers"] = {"correlation-id": "c"} | headers
    answer = door.protocol(json.dumps(envelope).encode())
    return None if answer is None else json.loads(answer)


def test_the_first_message_creates_the_thing_with_the_tenants_policy(on_node):
    async def main(node):
        door = node.door()
        assert door.telemetry("lamp", b'{"on":true,"level":{"v":1}}')
        await node.log.wait()
        assert node.doc() == {
            "thingId": T,
            "policyId": "org.littoral:default",
            "features": {"lamp": {"properties": {"on": True, "level": {"v": 1}}}},
        }
        created, merged = node.records()
        assert created.headers == {"implicit": True, "by": SUBJECT}
        assert (merged.cls, merged.revision, merged.prev_seq) == (3, 2, created.seq)

    on_node(main)


def test_messages_merge_and_null_deletes(on_node):
    async def main(node):
        door = node.door()
        for payload in (b'{"a":1,"b":{"c":1,"d":2}}', b'{"b":{"c":null}}', b'{"a":null,"e":[]}'):
            door.telemetry("f", payload)
        assert node.properties("f") == {"b": {"d": 2}, "e": []}
        door.telemetry("f", b'{"b":null}')
        door.telemetry("f", b'{"b":{"z":1}}')
        assert node.properties("f") == {"b": {"z": 1}, "e": []}
        history = await node.revisions(T)
        assert history[2]["features"]["f"]["properties"] == {"a": 1, "b": {"c": 1, "d": 2}}
        assert history[5]["features"]["f"]["properties"] == {"e": []}

    on_node(main)


REFUSED = [
    (b"", InvalidJson),
    (b"[1]", InvalidJson),
    (b"7", InvalidJson),
    (b'{"a":1}}', InvalidJson),
    (b'{"a":NaN}', InvalidJson),
    (b'{"":1}', InvalidKey),
    (b'{"x":{"":1}}', InvalidKey),
    (b'{"x":[{"":1}]}', InvalidKey),
    (b'{"a/b":1}', InvalidKey),
    (b'{"a\\u0000b":1}', InvalidKey),
    (b'{"a\x7fb":1}', InvalidKey),
    ('{"a\u0085b":1}'.encode(), InvalidKey),
    (b'{"a":' * 65 + b"1" + b"}" * 65, InvalidJson),
    (b'{"a":' + b"[" * 65 + b"]" * 65 + b"}", InvalidJson),
    (b'{"a":"' + b"x" * THING_BYTES_MAX + b'"}', TooLarge),
]


@pytest.mark.parametrize(("payload", "error"), REFUSED, ids=range(len(REFUSED)))
def test_what_cannot_be_merged_is_refused_and_changes_nothing(on_node, payload, error):
    async def main(node):
        door = node.door()
        door.telemetry("f", b'{"a":1}')
        for _ in range(2):
            with pytest.raises(error):
                door.telemetry("f", payload)
        assert node.properties("f") == {"a": 1}
        await node.log.wait()
        assert node.twins.revision_of(T) == len(node.records()) == 2

    on_node(main)


@pytest.mark.parametrize("feature", ["", "*", "a/b", "a\x00", "f" * 1025, "ü" * 1025])
def test_a_feature_must_have_a_name_that_a_path_can_hold(on_node, feature):
    async def main(node):
        with pytest.raises(InvalidKey):
            node.door().telemetry(feature, b'{"a":1}')

    on_node(main)


@pytest.mark.parametrize("feature", ["a~b", "ü", "f" * 1024, " ", "日本"])
def test_an_unusual_feature_is_one_feature(on_node, feature):
    async def main(node):
        door = node.door()
        door.telemetry(feature, b'{"a":1}')
        door.telemetry(feature, b'{"b":1}', None, "id")
        await node.reopen()
        assert node.doc()["features"] == {feature: {"properties": {"a": 1, "b": 1}}}

    on_node(main)


def test_a_thing_does_not_grow_over_its_limit_by_telemetry(on_node):
    async def main(node):
        door = node.door()
        refused = 0
        for n in range(300):
            try:
                door.telemetry(f"f{n % 7}", json.dumps({f"k{n}": "x" * 1000}).encode())
            except TooLarge:
                refused += 1
        size = len(json.dumps(node.doc(), separators=(",", ":")))
        assert THING_BYTES_MAX - 1500 < size <= THING_BYTES_MAX
        assert refused == 300 - size // 1000 + size // 1000 - sum(
            len(f["properties"]) for f in node.doc()["features"].values()
        )
        # What does not grow it is taken, and so is what makes it smaller.
        assert door.telemetry("f0", json.dumps({"k0": "y" * 1000}).encode())
        assert door.telemetry("f0", b'{"k0":null}')
        assert "k0" not in node.properties("f0")

    on_node(main)


def test_many_long_feature_names_count_as_bytes(on_node):
    async def main(node):
        door = node.door()

        def fill():
            for n in range(200):
                door.telemetry(f"{n:04}" + "f" * 1000, b"{}")

        with pytest.raises(TooLarge):
            fill()
        assert len(json.dumps(node.doc())) < THING_BYTES_MAX * 1.02

    on_node(main)


# -- message ids


def test_a_repeated_id_is_not_stored_again(on_node):
    async def main(node):
        door = node.door()
        assert door.telemetry("f", b'{"n":1}', None, "a")
        assert not door.telemetry("f", b'{"n":2}', None, "a")
        assert not node.door().telemetry("other", b'{"n":2}', None, "a")
        assert door.bulk(None, b"raw", message_id="b")
        assert not door.bulk(None, b"raw", message_id="b")
        assert not door.telemetry("f", b'{"n":2}', None, "b")
        assert node.properties("f") == {"n": 1}
        assert node.twins.statistics().duplicates == 4
        assert door.telemetry("f", b'{"n":3}') and door.telemetry("f", b'{"n":3}')

    on_node(main)


@pytest.mark.parametrize("how", ["reopened", "unflushed", "killed"])
def test_ids_are_known_after_an_opening(on_node, how):
    async def main(node):
        door = node.door()
        door.telemetry("f", b'{"n":1}', 1000, "live")
        door.telemetry("f", b'{"n":0}', 500, "late")
        door.bulk("image/png", b"raw", message_id="bulk")
        await node.log.wait()
        if how == "killed":
            await node.kill()
        else:
            await node.reopen(flush=how == "reopened")
        door = node.door()
        assert not door.telemetry("f", b'{"n":2}', None, "live")
        assert not door.telemetry("f", b'{"n":2}', None, "late")
        assert not door.bulk(None, b"", message_id="bulk")
        assert door.bulk(None, b"", message_id="new")

    on_node(main)


def test_only_the_newest_ids_are_remembered_also_after_an_opening(on_node):
    async def main(node):
        door = node.door()
        for n in range(MESSAGE_IDS_MAX * 3):
            if n == MESSAGE_IDS_MAX:
                node.twins.flush()
            door.telemetry("f", b"{}", None, str(n))
        hot = node.twins.engine.hot[f"thing:{T}"]
        expected = [str(n) for n in range(MESSAGE_IDS_MAX * 2, MESSAGE_IDS_MAX * 3)]
        assert list(hot.ids) == expected
        await node.log.wait()
        await node.kill()
        node.door()._enter()
        assert list(node.twins.engine.hot[f"thing:{T}"].ids) == expected

    on_node(main)


@pytest.mark.parametrize("bulk", [False, True])
def test_an_id_has_a_length(on_node, bulk):
    async def main(node):
        door = node.door()

        def send(text):
            if bulk:
                return door.bulk(None, b"x", message_id=text)
            return door.telemetry("f", b"{}", None, text)

        assert send("i" * MESSAGE_ID_CHARS_MAX)
        with pytest.raises(InvalidKey):
            send("i" * (MESSAGE_ID_CHARS_MAX + 1))

    on_node(main)


# -- device time


def test_late_data_goes_to_the_history_marked_and_leaves_the_twin(on_node):
    async def main(node):
        door = node.door()
        door.telemetry("f", b'{"n":2}', 2000)
        door.telemetry("g", b'{"n":1}', 1000)
        door.telemetry("f", b'{"n":1}', 1000)
        door.telemetry("f", b'{"n":3}', 2000)
        await node.log.wait()
        late = [r for r in node.records() if (r.headers or {}).get("late")]
        assert [(r.value, r.device_time, r.revision) for r in late] == [(b'{"n":1}', 1000, 0)]
        assert (node.properties("f"), node.properties("g")) == ({"n": 3}, {"n": 1})
        assert node.twins.statistics().late == 1
        await node.kill()
        node.door().telemetry("f", b'{"n":0}', 1999)
        assert node.properties("f") == {"n": 3}

    on_node(main)


def test_a_time_too_far_ahead_is_replaced_and_marked(on_node):
    async def main(node):
        door = node.door()
        now = node.clock.now_ms()
        door.telemetry("f", b'{"n":1}', now + SKEW_MS_MAX + 1)
        door.telemetry("f", b'{"n":2}', now)
        door.telemetry("f", b'{"n":3}', now + SKEW_MS_MAX)
        await node.log.wait()
        merged = node.records("thing.merged")
        assert [r.device_time for r in merged] == [None, now, now + SKEW_MS_MAX]
        assert [(r.headers or {}).get("clock") for r in merged] == ["ahead", None, None]
        assert node.properties("f") == {"n": 3}

    on_node(main)


# -- permissions


def test_a_policy_that_names_the_device_decides_alone(on_node):
    async def main(node):
        only_f = {"thing:/features/f": {"grant": ["WRITE"], "revoke": []}}
        door = node.door()
        door.telemetry("g", b'{"n":1}')
        await node.twins.put_policy(
            node.ditto, "org.littoral:default", "/", policy(node.policy, only_f)
        )
        assert door.telemetry("f", b'{"n":1}')
        assert door.bulk(None, b"x")
        with pytest.raises(NotModifiable) as refused:
            door.telemetry("g", b'{"n":2}')
        assert refused.value.code == "things:feature.properties.notmodifiable"
        nothing = {"thing:/": {"grant": [], "revoke": ["WRITE"]}}
        await node.twins.put_policy(
            node.ditto, "org.littoral:default", "/", policy(node.policy, nothing)
        )
        with pytest.raises(NotModifiable):
            door.telemetry("f", b'{"n":2}')
        with pytest.raises(NotModifiable):
            door.bulk(None, b"x")

    on_node(main)


def test_a_device_keeps_its_own_thing_when_the_policy_is_gone(on_node):
    async def main(node):
        door = node.door()
        door.telemetry("f", b'{"n":1}')
        await node.twins.delete_policy(node.ditto, "org.littoral:default")
        assert door.telemetry("f", b'{"n":2}')
        assert ask(door, "retrieve", "/features/f/properties/n")["value"] == 2

    on_node(main)


def test_another_policy_of_the_thing_holds_from_the_next_message(on_node):
    async def main(node):
        door = node.door()
        door.telemetry("f", b'{"n":1}')
        other = policy(node.policy, {"thing:/": {"grant": ["READ"], "revoke": []}})
        await node.twins.put_policy(node.ditto, "org.littoral:strict", "/", other)
        assert door.telemetry("f", b'{"n":2}')
        await node.twins.modify(node.ditto, T, "/policyId", "org.littoral:strict")
        with pytest.raises(NotModifiable):
            door.telemetry("f", b'{"n":3}')

    on_node(main)


def test_a_deleted_thing_is_created_anew_by_the_next_message(on_node):
    async def main(node):
        door = node.door()
        door.telemetry("f", b'{"n":1}')
        await node.twins.delete(node.ditto, T, "/")
        assert node.doc() is None
        door.telemetry("g", b'{"n":2}')
        assert list(node.doc()["features"]) == ["g"]
        assert node.twins.revision_of(T) == 5
        assert list((await node.revisions(T)).values())[2] is None

    on_node(main)


# -- Ditto protocol


def test_a_device_speaks_the_ditto_protocol_about_its_own_thing(on_node):
    async def main(node):
        door = node.door()
        made = ask(door, "modify", "/attributes/serial", "S1")
        assert (made["status"], made["value"]) == (201, "S1")
        assert ask(door, "modify", "/attributes/serial", "S2")["status"] == 204
        assert ask(door, "merge", "/attributes", {"x": 1, "serial": None})["status"] == 204
        read = ask(door, "retrieve")
        assert read["status"] == 200 and read["value"]["attributes"] == {"x": 1}
        assert ask(door, "retrieve", fields="thingId")["value"] == {"thingId": T}
        old = ask(door, "retrieve", "/attributes", at_historical_revision=2)
        assert old["value"] == {"serial": "S1"}
        gone = ask(door, "delete", "/attributes/x")
        assert gone["status"] == 204 and "value" not in gone
        again = ask(door, "create", "/", {"attributes": {}})
        assert (again["status"], again["value"]["error"]) == (409, "things:thing.conflict")
        same = ask(door, "modify", "/attributes", {}, if_equal="skip")
        assert same["status"] == 412
        assert ask(door, "modify", "/attributes/a", 1, if_match='"x"')["status"] == 412
        assert ask(door, "modify", "/attributes/a", 1, response_required=False) is None
        assert ask(door, "delete")["status"] == 204
        assert ask(door, "retrieve")["status"] == 200  # the next message made it anew

    on_node(main)


def test_a_device_cannot_reach_other_things_or_policies(on_node):
    async def main(node):
        open_to_device = policy(node.policy, WRITE_ALL)
        await node.twins.put_policy(node.ditto, "org.littoral:default", "/", open_to_device)
        other = "org.littoral:other"
        await node.twins.modify(node.ditto, other, "/", {"policyId": "org.littoral:default"})
        door = node.door()
        for action, value in (("modify", {}), ("merge", {}), ("delete", None), ("create", {})):
            for thing in (other, "org.else:new"):
                answer = ask(door, action, value=value, thing=thing)
                assert answer["status"] == 403, (action, thing)
                assert answer["value"]["error"] == "things:thing.notmodifiable"
        assert ask(door, "modify", "/attributes/a", 1, thing=other)["value"]["error"] == (
            "things:attribute.notmodifiable"
        )
        assert ask(door, "retrieve", thing=other)["status"] == 404
        assert not node.twins.exists("org.else:new")
        for action in ("delete", "retrieve"):
            assert ask(door, action, group="policies")["status"] == 400
        assert node.doc() is not None

    on_node(main)


def test_a_device_sets_conditions_as_everybody_does(on_node):
    async def main(node):
        door = node.door()
        assert ask(door, "modify", "/attributes/a", 1)["status"] == 201
        for headers, status, code in (
            ({"condition": "eq(attributes/a,2)"}, 412, "things:condition.failed"),
            ({"condition": "eq(attributes"}, 400, "things:condition.invalid"),
            ({"if-match": 3}, 400, "header.invalid"),
            ({"if-equal": "skip"}, 412, "things:precondition.failed"),
        ):
            for action, value in (("modify", 1), ("merge", 1)):
                refused = ask(door, action, "/attributes/a", value, **headers)
                assert (refused["status"], refused["value"]["error"]) == (status, code)
        holds = {"condition": "eq(attributes/a,1)"}
        assert ask(door, "retrieve", "/attributes/a", **holds)["value"] == 1
        assert ask(door, "modify", "/attributes/a", 2, **holds)["status"] == 204
        assert ask(door, "modify", "/attributes/a", 3, **holds)["status"] == 412
        part = {"merge-thing-patch-conditions": {"/attributes/a": "gt(attributes/a,5)"}}
        assert ask(door, "merge", "/attributes", {"a": 9, "b": 9}, **part)["status"] == 204
        assert ask(door, "retrieve", "/attributes")["value"] == {"a": 2, "b": 9}

    on_node(main)


def test_a_device_keeps_metadata_of_its_thing(on_node):
    async def main(node):
        door = node.door()
        puts = [{"key": "unit", "value": "K"}]
        assert ask(door, "modify", "/attributes/a", 1, **{"put-metadata": puts})["status"] == 201
        for action, value in (("retrieve", None), ("modify", 2)):
            asked = {"get-metadata": ["unit"]}
            answer = ask(door, action, "/attributes/a", value, **asked)
            assert answer["headers"]["ditto-metadata"] == {"unit": "K"}
        gone = {"delete-metadata": ["unit"]}
        assert ask(door, "modify", "/attributes/a", 2, **gone)["status"] == 204
        answer = ask(door, "retrieve", "/attributes/a", **{"get-metadata": "unit"})
        assert "ditto-metadata" not in answer["headers"]
        both = {"get-metadata": ["unit"], "put-metadata": puts}
        refused = ask(door, "modify", "/attributes/a", 2, **both)
        assert refused["value"]["error"] == "things:metadata.headersconflict"

    on_node(main)


def test_what_is_no_envelope_is_raised(on_node):
    async def main(node):
        door = node.door()
        for payload in (b"no", b"{}", b'{"topic":"a/b"}'):
            with pytest.raises(LittoralError):
                door.protocol(payload)
        with pytest.raises(LittoralError):
            ask(door, "delete", "/attributes/none", response_required=False)
        assert ask(door, "create", "/", [1])["value"]["error"] == "things:merge.invalid"

    on_node(main)


def test_bulk_is_kept_as_it_came(on_node):
    async def main(node):
        door = node.door()
        assert door.bulk("image/png", b"\x89PNG", device_time=5, cls=int(RecordClass.EVENT))
        assert door.bulk(None, b"\x00")
        await node.log.wait()
        first, second = node.records("device.data")
        assert (first.cls, first.value, first.device_time) == (1, b"\x89PNG", 5)
        assert first.headers == {"content-type": "image/png"}
        assert second.headers == {"content-type": "application/octet-stream"}
        assert (first.revision, node.twins.revision_of(T)) == (0, 1)

    on_node(main)


def test_a_full_disk_refuses_messages_one_by_one(on_node):
    async def main(node):
        door = node.door()
        door.telemetry("f", b'{"n":1}')
        await node.fill()
        for _ in range(2):
            with pytest.raises(LogFull):
                door.telemetry("f", b'{"n":2}')
        await node.make_room()
        assert door.telemetry("f", b'{"n":3}')
        assert node.properties("f") == {"n": 3}
        assert node.twins.revision_of(T) == 2

    on_node(main)
