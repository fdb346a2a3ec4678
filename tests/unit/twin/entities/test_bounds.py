"""What the hot set holds at most."""

import asyncio

from littoral.twin.entities import engine
from littoral.twin.things import commands

T = "org.littoral:d0"


def test_only_some_things_hold_their_newest_patch_parsed(on_node, monkeypatch):
    monkeypatch.setattr(engine, "PENDING_HOT_MAX", 3)

    async def main(node):
        for n in range(6):
            node.door(f"d{n}").telemetry("f", b'{"n":%d}' % n)
        node.door("d5").telemetry("g", b'{"n":5}')
        hot = node.twins.engine.hot
        held = [n for n in range(6) if hot[f"thing:org.littoral:d{n}"].pending]
        assert held == [3, 4, 5]
        assert node.twins.statistics().folds == 3
        assert [node.properties("f", f"org.littoral:d{n}")["n"] for n in range(6)] == list(range(6))

    on_node(main)


def test_a_thing_that_changes_rarely_is_folded_at_once(on_node, monkeypatch):
    monkeypatch.setattr(commands, "PENDING_HOT_MAX", 5)

    async def main(node):
        hot = node.twins.engine.hot
        node.door("d0").telemetry("f", b'{"n":0}')
        node.twins.flush()
        assert not hot[f"thing:{T}"].pending
        path = "/features/f/properties/n"
        node.twins.things.modify(node.admin, T, path, 1)
        assert hot[f"thing:{T}"].pending
        hot[f"thing:{T}"].fold()
        for n in range(1, 8):
            node.door(f"d{n}").telemetry("f", b'{"n":1}')
        node.twins.things.modify(node.admin, T, path, 2)
        assert not hot[f"thing:{T}"].pending
        assert node.properties("f", T) == {"n": 2}
        await node.log.wait()

    on_node(main)


def test_a_thing_that_is_not_used_is_evicted_and_loaded_again(on_node):
    async def main(node):
        for n in range(20):
            node.door(f"d{n}").telemetry("f", b'{"n":%d}' % n)
        node.twins.flush()
        await node.log.wait()
        node.twins.engine._closing = False
        for n in range(40):
            node.twins.exists(f"org.littoral:nobody{n}")
            await asyncio.sleep(0)
        seen = node.twins.statistics()
        assert seen.hot <= 16 and seen.evictions >= 20 and seen.dirty == 0
        loads = seen.loads
        assert node.properties("f", T) == {"n": 0}
        assert node.twins.statistics().loads == loads + 1
        door = node.door("d0")
        door.telemetry("f", b'{"m":1}')
        for n in range(40):
            node.twins.exists(f"org.littoral:nobody{n}")
        # Dirty: it stays.
        assert f"thing:{T}" in node.twins.engine.hot
        door.telemetry("f", b'{"m":2}')
        assert node.properties("f", T) == {"n": 0, "m": 2}

    on_node(main, hot_max=16)
