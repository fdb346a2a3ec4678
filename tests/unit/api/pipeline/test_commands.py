"""What a sender expects of a command: answers, acknowledgements, timeouts, and the live channel."""

import asyncio

import pytest

from littoral.eventing import Ack

T = "/api/2/things/org.acme:pump"
THING = "org.acme:pump"
PUMP = {"attributes": {"model": "P1"}, "features": {"motor": {"properties": {"rpm": 10}}}}


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


def test_a_search_after_search_persisted_finds_the_change(on_node):
    async def main(node):
        await node.call("PUT", T, PUMP)
        headers = {"requested-acks": "search-persisted"}
        answer = await node.call("PUT", T + "/attributes/model", "P7", headers=headers)
        # One acknowledgement is the answer, and an answer of 204 has no body.
        assert (answer.status, answer.body) == (204, b"")
        found = await node.call("GET", '/api/2/search/things?filter=eq(attributes/model,"P7")')
        assert [thing["thingId"] for thing in found.json["items"]] == [THING]

    on_node(main)
