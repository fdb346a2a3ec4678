"""What a sender expects of a command: answers, acknowledgements, timeouts, and the live channel."""

import asyncio

import pytest

from littoral.eventing import Ack, LiveKind, LiveResponse

T = "/api/2/things/org.acme:pump"
THING = "org.acme:pump"
PUMP = {"attributes": {"model": "P1"}, "features": {"motor": {"properties": {"rpm": 10}}}}


class Device:
    """Takes live commands and keeps them; answers with what it is told to."""

    def __init__(self, node, respond=None):
        self.node = node
        self.respond = respond
        self.taken = []
        self.attachment = node.parts.live.attach(self, frozenset({LiveKind.COMMAND}))

    def deliver_live(self, signal):
        self.taken.append(signal)
        if self.respond is not None:
            asyncio.get_running_loop().call_soon(
                self.node.parts.live.respond, signal.thing_id, signal.correlation_id, self.respond
            )
        return True


class Subscriber:
    """Acknowledges every change that asks for its label."""

    def __init__(self, node, label, ack):
        self.node, self.label, self.ack = node, label, ack
        self.contexts = []
        node.parts.acks.declare(self, {label})
        node.parts.router.subscribe(self.committed, prefix="thing:")

    def committed(self, records):
        for record in records:
            context = self.node.parts.router.context(record.seq)
            self.contexts.append(context)
            if context is not None and self.label in context.requested_acks:
                self.node.parts.acks.issue(
                    self, THING, context.correlation_id, self.label, self.ack
                )


TABLE = [
    # response-required, requested-acks, timeout: the status of a change that is accepted
    ("false", "", "5s", 202),
    ("false", "twin-persisted", "0", 400),
    ("false", "twin-persisted", "5s", 202),
    ("true", "", "0", 400),
    ("true", "", "5s", 204),
    ("true", "twin-persisted", "0", 400),
    ("true", "twin-persisted", "5s", 204),
    ("true", "twin-persisted,search-persisted", "5s", 200),
    (None, None, None, 204),
    (None, None, "0", 202),
    (None, None, "0s", 202),
    ("false", None, None, 202),
    (None, "", None, 202),
    (None, "search-persisted", None, 204),
    (None, "twin-persisted", "0", 400),
]


@pytest.mark.parametrize(("respond", "acks", "timeout", "status"), TABLE)
def test_dittos_table_of_expectations_holds(on_node, respond, acks, timeout, status):
    async def main(node):
        await node.call("PUT", T, PUMP)
        given = {"response-required": respond, "requested-acks": acks, "timeout": timeout}
        headers = {name: value for name, value in given.items() if value is not None}
        answer = await node.call("PUT", T + "/attributes/model", "P2", headers=headers)
        assert answer.status == status, answer.body
        changed = (await node.call("GET", T + "/attributes/model")).json == "P2"
        assert changed == (status != 400)
        if status == 400:
            assert answer.code == "command.headers.invalid"
        if status == 202:
            assert answer.body == b""

    on_node(main)


def test_the_same_headers_may_stand_in_the_query_but_only_once(on_node):
    async def main(node):
        await node.call("PUT", T, PUMP)
        path = T + "/attributes/model"
        assert (await node.call("PUT", path + "?timeout=0", "P2")).status == 202
        both = await node.call("PUT", path + "?timeout=5s", "P3", headers={"timeout": "5s"})
        assert (both.status, both.code) == (400, "gateway:duplicate.header.field")
        twice = await node.call("PUT", path, "P3", headers=[("condition", "a"), ("condition", "b")])
        assert (twice.status, twice.code) == (400, "gateway:duplicate.header.field")
        assert (await node.call("GET", path)).json == "P2"

    on_node(main)


def test_acknowledgements_come_together_in_one_answer(on_node):
    async def main(node):
        await node.call("PUT", T, PUMP)
        subscriber = Subscriber(node, "my-app", Ack(200, {"seen": True}, {"x": "y"}))
        headers = {"requested-acks": "twin-persisted,my-app", "correlation-id": "c1", "my-own": "1"}
        answer = await node.call("PUT", T + "/attributes/new", 1, headers=headers)
        assert answer.status == 200
        assert answer.headers["correlation-id"] == "c1"
        assert list(answer.json) == ["twin-persisted", "my-app"]
        twin, own = answer.json.values()
        assert (twin["status"], twin["payload"]) == (201, 1)
        assert twin["headers"]["etag"].startswith('"hash:')
        assert own == {"status": 200, "payload": {"seen": True}, "headers": {"x": "y"}}
        context = subscriber.contexts[-1]
        assert (context.correlation_id, context.originator) == ("c1", "nginx:ditto")
        assert context.headers == {"my-own": "1"}

    on_node(main)


def test_one_custom_acknowledgement_gives_the_status(on_node):
    async def main(node):
        await node.call("PUT", T, PUMP)
        Subscriber(node, "my-app", Ack(507, "full"))
        headers = {"requested-acks": "my-app"}
        answer = await node.call("PUT", T + "/attributes/new", 1, headers=headers)
        assert (answer.status, answer.json["my-app"]["payload"]) == (507, "full")

    on_node(main)


def test_one_that_fails_among_several_makes_a_424(on_node):
    async def main(node):
        await node.call("PUT", T, PUMP)
        Subscriber(node, "my-app", Ack(503))
        headers = {"requested-acks": '["twin-persisted","my-app"]'}
        answer = await node.call("PUT", T + "/attributes/model", 1, headers=headers)
        assert answer.status == 424
        assert {label: one["status"] for label, one in answer.json.items()} == {
            "twin-persisted": 204,
            "my-app": 503,
        }

    on_node(main)


def test_one_that_is_missing_counts_as_a_timeout(on_node):
    async def main(node):
        await node.call("PUT", T, PUMP)
        headers = {"requested-acks": "twin-persisted,nobodys", "timeout": "2s"}
        began = node.clock.monotonic_s()
        answer = await node.call("PUT", T + "/attributes/model", 1, headers=headers)
        assert node.clock.monotonic_s() - began == pytest.approx(2)
        missing = answer.json["nobodys"]
        assert (answer.status, missing["status"]) == (424, 408)
        assert missing["payload"]["error"] == "acknowledgement:request.timeout"
        assert (await node.call("GET", T + "/attributes/model")).json == 1

    on_node(main)


def test_without_a_response_the_status_still_waits_for_acknowledgements(on_node):
    async def main(node):
        await node.call("PUT", T, PUMP)
        headers = {"requested-acks": "nobodys", "timeout": "2s", "response-required": "false"}
        began = node.clock.monotonic_s()
        assert (await node.call("PUT", T + "/attributes/a", 1, headers=headers)).status == 202
        assert node.clock.monotonic_s() - began == pytest.approx(2)

    on_node(main)


def test_a_refused_command_waits_for_nothing(on_node):
    async def main(node):
        headers = {"requested-acks": "twin-persisted,nobodys", "correlation-id": "c"}
        for _ in range(2):
            answer = await node.call("PUT", T + "/attributes/a", 1, headers=headers)
            assert (answer.status, answer.code) == (404, "things:thing.notfound")
        assert node.parts.acks.statistics().pending == 0

    on_node(main)


def test_a_correlation_id_in_flight_is_not_used_twice(on_node):
    async def main(node):
        await node.call("PUT", T, PUMP)
        headers = {"requested-acks": "nobodys", "timeout": "2s", "correlation-id": "c"}
        async with asyncio.TaskGroup() as tasks:
            first = tasks.create_task(node.call("PUT", T + "/attributes/a", 1, headers=headers))
            await asyncio.sleep(0)
            second = tasks.create_task(node.call("PUT", T + "/attributes/b", 1, headers=headers))
        assert first.result().status == 408
        refused = second.result()
        assert (refused.status, refused.code) == (
            409,
            "acknowledgement:request.duplicate.correlation-id",
        )
        assert (await node.call("GET", T + "/attributes/b")).status == 404

    on_node(main)


# -- the live channel --------------------------------------------------------------------------


def test_a_live_command_is_answered_by_the_device(on_node):
    async def main(node):
        await node.call("PUT", T, PUMP)
        device = Device(node, LiveResponse(200, {"rpm": 99}))
        path = T + "/features/motor/properties"
        read = await node.call("GET", path + "?channel=live&fields=rpm")
        assert (read.status, read.json, read.headers["channel"]) == (200, {"rpm": 99}, "live")
        device.respond = LiveResponse(204)
        headers = {"channel": "live", "my-own": "1"}
        written = await node.call("PUT", path + "/rpm", 7, headers=headers)
        assert (written.status, written.body) == (204, b"")
        retrieve, modify = device.taken
        assert (retrieve.action, retrieve.path, retrieve.fields) == (
            "retrieve",
            "/features/motor/properties",
            "rpm",
        )
        assert (modify.action, modify.value, modify.headers) == ("modify", 7, {"my-own": "1"})
        assert modify.originator == "nginx:ditto"
        assert (await node.call("GET", path)).json == {"rpm": 10}

    on_node(main)


def test_a_live_command_that_nobody_answers_is_late_after_ten_seconds(on_node):
    async def main(node):
        await node.call("PUT", T, PUMP)
        began = node.clock.monotonic_s()
        late = await node.call("GET", T, headers={"channel": "live"})
        assert (late.status, late.code) == (408, "command.timeout")
        assert node.clock.monotonic_s() - began == pytest.approx(10)

    on_node(main)


def test_the_live_channel_needs_what_the_twin_needs(on_node):
    async def main(node):
        await node.call("PUT", T, PUMP)
        device = Device(node, LiveResponse(200, 1))
        node.registry.put_user("eve", generated_password="e")
        headers = {"channel": "live"}
        eve = {"user": ("eve", "e"), "headers": headers}
        read = await node.call("GET", T + "/attributes", **eve)
        assert (read.status, read.code) == (404, "things:thing.notfound")
        for method, body in (("PUT", 1), ("PATCH", 1), ("DELETE", None)):
            refused = await node.call(method, T + "/attributes/model", body, **eve)
            assert (refused.status, refused.code) == (403, "things:attribute.notmodifiable")
        none = await node.call("PUT", "/api/2/things/org.acme:none/attributes", {}, headers=headers)
        assert none.status == 404
        posted = await node.call("POST", "/api/2/things", {}, headers=headers)
        assert (posted.status, posted.code) == (405, "things:thing.notcreatable")
        assert device.taken == []

    on_node(main)


def test_a_device_cannot_show_what_the_policy_hides(on_node):
    async def main(node):
        policy = {
            "entries": {
                "owner": {
                    "subjects": {"nginx:ditto": {"type": "x"}},
                    "resources": {
                        "thing:/": {"grant": ["READ", "WRITE"], "revoke": []},
                        "policy:/": {"grant": ["READ", "WRITE"], "revoke": []},
                    },
                },
                "reader": {
                    "subjects": {"nginx:eve": {"type": "x"}},
                    "resources": {"thing:/attributes/open": {"grant": ["READ"], "revoke": []}},
                },
            }
        }
        await node.call("PUT", "/api/2/policies/org.acme:pump", policy)
        await node.call("PUT", T, {"policyId": THING, "attributes": {"open": 1, "secret": 2}})
        node.registry.put_user("eve", generated_password="e")
        Device(node, LiveResponse(200, {"open": 3, "secret": 4}))
        read = await node.call("GET", T + "/attributes?channel=live", user=("eve", "e"))
        assert (read.status, read.json) == (200, {"open": 3})

    on_node(main)


def test_a_live_command_without_an_answer_is_accepted(on_node):
    async def main(node):
        await node.call("PUT", T, PUMP)
        device = Device(node)
        answer = await node.call("PUT", T + "/attributes/a?channel=live&timeout=0", 1)
        assert (answer.status, len(device.taken)) == (202, 1)
        assert not device.taken[0].response_required

    on_node(main)


@pytest.mark.parametrize(
    ("condition", "strategy", "answers", "status", "channel", "matched"),
    [
        ('eq(attributes/model,"P1")', "fail", True, 200, "live", "true"),
        ('eq(attributes/model,"P2")', "fail", True, 200, "twin", "false"),
        ('eq(attributes/model,"P1")', "fail", False, 408, None, None),
        ('eq(attributes/model,"P1")', "use-twin", False, 200, "twin", "true"),
    ],
)
def test_a_condition_chooses_the_channel_of_a_read(
    on_node, condition, strategy, answers, status, channel, matched
):
    async def main(node):
        await node.call("PUT", T, PUMP)
        Device(node, LiveResponse(200, 99) if answers else None)
        headers = {
            "live-channel-condition": condition,
            "live-channel-timeout-strategy": strategy,
            "timeout": "1s",
        }
        read = await node.call("GET", T + "/features/motor/properties/rpm", headers=headers)
        assert read.status == status
        assert read.headers.get("channel") == channel
        assert read.headers.get("live-channel-condition-matched") == matched
        if status == 200:
            assert read.json == (99 if channel == "live" else 10)

    on_node(main)


def test_a_live_channel_condition_goes_with_reads_only(on_node):
    async def main(node):
        await node.call("PUT", T, PUMP)
        headers = {"live-channel-condition": "exists(attributes)"}
        for method, body in (("PUT", {}), ("PATCH", {}), ("DELETE", None)):
            answer = await node.call(method, T, body, headers=headers)
            assert (answer.status, answer.code) == (405, "things:live.channelcondition.notallowed")

    on_node(main)


# -- migration ---------------------------------------------------------------------------------

URL = "https://acme.org/pump-2.tm.jsonld"


def test_a_definition_is_migrated_with_its_payload(on_node):
    async def main(node):
        await node.call("PUT", T, PUMP)
        request = {
            "thingDefinitionUrl": URL,
            "migrationPayload": {
                "attributes": {"model": None, "type": "{{ thing-json:attributes/model }}"},
                "features": {
                    "motor": {
                        "properties": {
                            "speed": "{{ thing-json:/features/motor/properties/rpm }}",
                            "text": "was {{ thing-json:features/motor/properties/rpm }} rpm",
                        }
                    },
                    "other": {"properties": {"no": 1}},
                },
            },
            "patchConditions": {
                "thing:/features/other": 'eq(attributes/model,"P9")',
                "thing:/features/motor": 'eq(attributes/model,"P1")',
            },
        }
        patch = {
            "definition": URL,
            "attributes": {"model": None, "type": "P1"},
            "features": {"motor": {"properties": {"speed": 10, "text": "was 10 rpm"}}},
        }
        tried = await node.call("POST", T + "/migrateDefinition?dry-run=true", request)
        assert (tried.status, tried.json) == (
            202,
            {"thingId": THING, "patch": patch, "mergeStatus": "DRY_RUN"},
        )
        assert (await node.call("GET", T + "/attributes/model")).json == "P1"
        done = await node.call("POST", T + "/migrateDefinition", request)
        assert (done.status, done.json) == (
            200,
            {"thingId": THING, "patch": patch, "mergeStatus": "APPLIED"},
        )
        thing = (await node.call("GET", T)).json
        assert thing["definition"] == URL
        assert thing["attributes"] == {"type": "P1"}
        assert thing["features"]["motor"]["properties"] == {
            "rpm": 10,
            "speed": 10,
            "text": "was 10 rpm",
        }

    on_node(main)


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({}, 400, "json.invalid"),
        ({"thingDefinitionUrl": "nonsense"}, 400, "json.invalid"),
        ({"thingDefinitionUrl": URL, "more": 1}, 400, "json.invalid"),
        (
            {"thingDefinitionUrl": URL, "patchConditions": {"thing:/attributes": "eq("}},
            400,
            "things:condition.invalid",
        ),
    ],
)
def test_a_wrong_migration_is_refused(on_node, body, status, code):
    async def main(node):
        await node.call("PUT", T, PUMP)
        answer = await node.call("POST", T + "/migrateDefinition", body)
        assert (answer.status, answer.code) == (status, code)
        assert (await node.call("GET", T + "/migrateDefinition")).headers["allow"] == "POST"

    on_node(main)


def test_policies_have_one_channel_whatever_the_header_says(on_node):
    async def main(node):
        await node.call("PUT", T, PUMP)
        path = "/api/2/policies/org.acme:pump"
        read = await node.call("GET", path, headers={"channel": "live"})
        assert (read.status, read.json["policyId"]) == (200, "org.acme:pump")
        put = await node.call("PUT", path, read.json, headers={"channel": "live"})
        assert put.status == 204

    on_node(main)


def test_a_condition_holds_for_the_device_too(on_node):
    async def main(node):
        await node.call("PUT", T, PUMP)
        device = Device(node, LiveResponse(200, 99))
        headers = {
            "live-channel-condition": "exists(attributes)",
            "condition": 'eq(attributes/model,"P2")',
        }
        refused = await node.call("GET", T + "/attributes/model", headers=headers)
        assert (refused.status, refused.code) == (412, "things:condition.failed")
        assert device.taken == []

    on_node(main)


@pytest.mark.parametrize("channel", ["twin", "live"])
def test_a_node_that_stops_says_so_to_those_who_wait(on_node, channel):
    async def main(node):
        await node.call("PUT", T, PUMP)
        acks = "twin-persisted,live-response,nobodys"
        headers = {"requested-acks": acks, "channel": channel}
        async with asyncio.TaskGroup() as tasks:
            waiting = tasks.create_task(node.call("PUT", T + "/attributes/a", 1, headers=headers))
            await asyncio.sleep(1)
            node.parts.acks.close()
        answer = waiting.result()
        assert (answer.status, answer.code) == (503, "gateway:service.unavailable")

    on_node(main)


def test_a_live_command_may_wait_for_others_besides_the_device(on_node):
    async def main(node):
        await node.call("PUT", T, PUMP)
        device = Device(node, LiveResponse(200, "done"))
        headers = {"channel": "live", "requested-acks": "live-response,watcher", "timeout": "1s"}
        answer = await node.call("GET", T + "/attributes/model", headers=headers)
        assert (answer.status, answer.json["live-response"]["payload"]) == (424, "done")
        assert answer.json["watcher"]["status"] == 408
        assert device.taken[0].requested_acks == ("live-response", "watcher")
        node.parts.acks.declare(device, {"watcher"})
        asked = {"channel": "live", "requested-acks": "watcher", "correlation-id": "c7"}
        async with asyncio.TaskGroup() as tasks:
            waiting = tasks.create_task(node.call("PUT", T + "/attributes/a", 1, headers=asked))
            await asyncio.sleep(0.1)
            node.parts.acks.issue(device, THING, "c7", "watcher", Ack(200, "seen"))
        assert (waiting.result().status, waiting.result().json["watcher"]["payload"]) == (
            200,
            "seen",
        )
        quiet = asked | {"response-required": "false", "timeout": "1s"}
        assert (await node.call("PUT", T + "/attributes/a", 1, headers=quiet)).status == 202

    on_node(main)


def test_a_live_command_in_flight_keeps_its_correlation_id(on_node):
    async def main(node):
        await node.call("PUT", T, PUMP)
        Device(node)
        for acks in ("live-response", "live-response,own"):
            headers = {
                "channel": "live",
                "correlation-id": "c",
                "timeout": "1s",
                "requested-acks": acks,
            }
            async with asyncio.TaskGroup() as tasks:
                first = tasks.create_task(node.call("GET", T, headers=headers))
                await asyncio.sleep(0.1)
                second = tasks.create_task(node.call("GET", T, headers=headers))
            assert first.result().status in {408, 424}
            assert second.result().status == 409

    on_node(main)


def test_what_a_device_shows_of_hidden_parts_only_is_not_there(on_node):
    async def main(node):
        await node.call("PUT", T, PUMP)
        policy = (await node.call("GET", "/api/2/policies/org.acme:pump")).json
        policy["entries"]["reader"] = {
            "subjects": {"nginx:eve": {"type": "x"}},
            "resources": {"thing:/attributes/a/open": {"grant": ["READ"], "revoke": []}},
        }
        assert (await node.call("PUT", "/api/2/policies/org.acme:pump", policy)).status == 204
        node.registry.put_user("eve", generated_password="e")
        Device(node, LiveResponse(200, {"secret": 1}))
        read = await node.call("GET", T + "/attributes/a?channel=live", user=("eve", "e"))
        assert (read.status, read.code) == (404, "things:thing.notfound")

    on_node(main)


def test_a_search_after_search_persisted_finds_the_change(on_node):
    async def main(node):
        await node.call("PUT", T, PUMP)
        headers = {"requested-acks": "search-persisted"}
        answer = await node.call("PUT", T + "/attributes/model", "P7", headers=headers)
        assert answer.status == 204
        assert answer.json["search-persisted"]["status"] == 204
        found = await node.call("GET", '/api/2/search/things?filter=eq(attributes/model,"P7")')
        assert [thing["thingId"] for thing in found.json["items"]] == [THING]

    on_node(main)
