"""Ditto Protocol commands of a device that are sent again, because no acknowledgement came."""

import json

import pytest

from littoral.kernel.errors import InvalidKey

T = "org.littoral:4711"


def ask(door, action, path, value=None, message_id="m1", *, thing=T, **headers):
    envelope = {
        "topic": f"{thing.replace(':', '/')}/things/twin/commands/{action}",
        "path": path,
        "headers": {"correlation-id": "c"} | headers,
    }
    if value is not None:
        envelope["value"] = value
    answer = door.protocol(json.dumps(envelope).encode(), message_id)
    return None if answer is None else json.loads(answer)


def test_a_change_is_made_once_for_a_message_id(on_node):
    async def main(node):
        door = node.door()
        assert ask(door, "modify", "/attributes/n", 1)["status"] == 201
        assert ask(door, "modify", "/attributes/n", 2, "m2")["status"] == 204
        # The first one again, late: it does not undo the second.
        assert ask(door, "modify", "/attributes/n", 1)["status"] == 204
        assert ask(door, "modify", "/attributes/n", 1, **{"response-required": False}) is None
        assert ask(door, "retrieve", "/attributes/n")["value"] == 2
        assert ask(door, "delete", "/attributes/n", None, "m2")["status"] == 204
        assert ask(door, "retrieve", "/attributes/n", None, "m2")["status"] == 200
        assert node.twins.statistics().duplicates == 5
        await node.log.wait()
        assert [r.headers["id"] for r in node.records("thing.modified")] == ["m1", "m2"]

    on_node(main)


@pytest.mark.parametrize("end", ["reopen", "kill"])
def test_the_id_is_known_after_a_restart(on_node, end):
    async def main(node):
        ask(node.door(), "modify", "/attributes/n", 1)
        await node.log.wait()
        await getattr(node, end)()
        door = node.door()
        ask(door, "modify", "/attributes/n", 2, "m2")
        ask(door, "modify", "/attributes/n", 1)
        assert ask(door, "retrieve", "/attributes/n")["value"] == 2

    on_node(main)


def test_what_was_refused_or_not_committed_is_done_when_it_comes_again(on_node):
    async def main(node):
        door = node.door()
        assert ask(door, "delete", "/attributes/n")["status"] == 404
        assert ask(door, "modify", "/attributes/n", 1)["status"] == 201
        await node.log.wait()
        ask(door, "modify", "/attributes/n", 2, "m2")
        await node.fill()
        await node.make_room()
        assert ask(door, "modify", "/attributes/n", 2, "m2")["status"] == 204
        await node.log.wait()
        assert ask(door, "retrieve", "/attributes/n")["value"] == 2

    on_node(main)


def test_telemetry_and_commands_share_the_ids_of_a_thing(on_node):
    async def main(node):
        door = node.door()
        assert door.telemetry("f", b'{"n":1}', message_id="m1")
        ask(door, "modify", "/attributes/n", 1)
        assert ask(door, "retrieve", "/attributes")["status"] == 404
        assert ask(door, "modify", "/attributes/n", 1, "m2")["status"] == 201
        assert not door.telemetry("f", b'{"n":2}', message_id="m2")
        with pytest.raises(InvalidKey):
            ask(door, "modify", "/attributes/n", 1, "x" * 129)
        # A repetition is no way around who may write what.
        assert ask(door, "modify", "/attributes/n", 1, thing="org.else:x")["status"] == 403

    on_node(main)
