"""A resend after a failed commit; found by the virtual world with a full disk (seeds 18, 38, 54)."""

import asyncio
import random

import pytest

from littoral.kernel.errors import LittoralError
from littoral.kernel.ids import NodeId
from littoral.log import Log, LogFull
from littoral.log.adapters.memory import MemoryStore
from littoral.registry import Registry
from littoral.simulate import SeededEntropy, VirtualClock, VirtualCommitter, run
from littoral.simulate.hasher import VirtualHasher
from littoral.twin import Twins


@pytest.mark.parametrize("kind", ["bulk", "late"])
def test_a_message_whose_commit_failed_is_not_taken_for_a_duplicate(kind):
    async def main():
        loop = asyncio.get_running_loop()
        clock, entropy = VirtualClock(loop), SeededEntropy(random.Random(1))
        store = MemoryStore()
        log = Log.open(
            store=store,
            committer=VirtualCommitter(loop, random.Random(1), latency_s_max=0.001),
            clock=clock,
            entropy=entropy,
            node=NodeId("box"),
            loop=loop,
        )
        registry = Registry(log, VirtualHasher(), clock, entropy)
        registry.put_tenant("T", namespaces=["ns"])
        registry.put_device("T", "d")
        door = Twins(log, registry, clock).door(registry.identity("T", "d"))

        def send(message_id):
            if kind == "bulk":
                return door.bulk("text/plain", bytes(100), message_id=message_id)
            return door.telemetry("f", b'{"n":1}', clock.now_ms() - 9000, message_id=message_id)

        door.telemetry("f", b'{"n":0}', clock.now_ms(), message_id="m1")
        await log.wait()
        store.capacity_bytes = 0
        send("m2")
        with pytest.raises(LogFull):
            await log.wait()
        store.capacity_bytes = 1 << 40
        for _ in range(5):
            await asyncio.sleep(2)
            try:
                stored = send("m2")
            except LittoralError:
                continue
            break
        assert stored
        await log.wait()
        assert [
            r.headers["id"] for r in log.read(0, limit=99) if r.headers and "id" in r.headers
        ] == [
            "m1",
            "m2",
        ]
        assert not send("m2")

    run(main)
