"""A buffer of many packets and the same packets one by one mean the same.

The door reads a lone PUBLISH on a shorter path than a buffer of them.
"""

import asyncio
import random

import pytest

from littoral.gateway.mqtt import V5, V311, Ack, Pingreq, Property, Publish, encode, encode_connect

USER = {Property.USER_PROPERTY: (("feature", "gps"),)}


def a_packet(source: random.Random, version: int, number: int) -> bytes:
    qos = source.randrange(2)
    topic = source.choice(
        ["telemetry", "t", "e", "event", "t/?feature=f", f"t/?id={source.randrange(20)}", "t//d1",
         "t//other", "x", "command///res/1/200"]
    )  # fmt: skip
    payload = source.choice([b'{"a":1}', b"{" + b" " * source.randrange(200), b"", b"x", b" {}"])
    properties = source.choice([{}, {}, USER]) if version == V5 else {}
    data = bytearray(
        encode(Publish(topic, payload, qos, number if qos else 0, properties=properties), version)
    )
    match source.randrange(40):
        case 0:
            return encode(Pingreq(), version)
        case 1:
            return encode(Ack(4, 1), version)
        case 2:
            data[source.randrange(len(data))] ^= 1 << source.randrange(8)
        case 3:
            data[0] |= 8
    return bytes(data)


async def fed(around, door, wire, version: int, buffers: list[bytes]):
    around.stored = []
    connection = door.protocol_factory()
    connection.connection_made(wire)
    connection.data_received(encode_connect("c", username="u", password="p", version=version))
    for _ in range(4):
        await asyncio.sleep(0)
    for buffer in buffers:
        connection.data_received(buffer)
    around.commit()
    connection.connection_lost(None)
    return bytes(wire.written), wire.is_over, around.stored


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_packets_one_by_one_mean_what_they_mean_together(on_door, seed):
    async def scene(around, door, _inbox):
        source = random.Random(seed)
        ends = set()
        for _ in range(400):
            version = source.choice((V311, V5))
            packets = [a_packet(source, version, n) for n in range(1, source.randrange(2, 8))]
            together = await fed(around, door, on_door.wire(), version, [b"".join(packets)])
            apart = await fed(around, door, on_door.wire(), version, packets)
            assert apart == together, packets
            ends.add(together[1])
        assert ends == {True, False}

    on_door(scene)
