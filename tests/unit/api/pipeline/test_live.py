"""The live channel over HTTP: commands to the device itself, and conditions that choose it."""

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
        ('eq(attributes/model,"P1")', "fail", False, 408, "live", "true"),
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
        headers = {"channel": "live", "condition": 'eq(attributes/model,"P2")'}
        for method, body in (("GET", None), ("PUT", 1), ("DELETE", None)):
            refused = await node.call(method, T + "/attributes/model", body, headers=headers)
            assert (refused.status, refused.code) == (412, "things:condition.failed")
        assert device.taken == []

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
