"""Ten thousand random and mutated packets: the door lives, the peer gets an answer it can read."""

import asyncio
import random

import pytest

from littoral.gateway.mqtt import (
    V5,
    V311,
    Ack,
    ClientCodec,
    Connack,
    Connect,
    Disconnect,
    Pingreq,
    Property,
    Publish,
    Subscribe,
    Subscription,
    Type,
    Unsubscribe,
    Will,
    encode,
    encode_connect,
)
from littoral.kernel.errors import Unavailable

PACKETS_PER_CONNECTION = 5
CONNECTIONS = 500
PACKET_BYTES_MAX = 4096

USER = {Property.USER_PROPERTY: (("feature", "gps"), ("id", "7"), ("ts", "1800000000000"))}
CORPUS = [
    Connect("c", V311, username="u", password=b"p", will=Will("w", b"x")),
    Connack(),
    Publish("telemetry", b'{"a":1}', 1, 7),
    Publish("t/?id=5&feature=f&ts=1800000000000", b'{"a":1}', 1, 8),
    Publish("e/?content-type=application%2Foctet-stream", b"\x00" * 300, 1, 9),
    Publish("t", b'{"a":1}', properties=USER),
    Publish("e", b'{"a":1}', 1, 11, properties={Property.CONTENT_TYPE: "application/json", **USER}),
    Publish("t", b"x", 1, 12, properties={Property.PAYLOAD_FORMAT: 1}),
    Publish("e", b"{}", 1, 13, properties={Property.CONTENT_TYPE: "application/vnd.eclipse.ditto+json"}),
    Publish("command///res/00/200", b"ok", 1, 10),
    Publish("t", b"x", 2, 3),
    Subscribe(1, (Subscription("command///req/#", 1), Subscription("error///#"))),
    Unsubscribe(2, ("command///req/#",)),
    Ack(Type.PUBACK, 1),
    Ack(Type.PUBREL, 1),
    Pingreq(),
    Disconnect(),
]  # fmt: skip


def mutated(source: random.Random, version: int) -> bytes:
    data = bytearray(encode(source.choice(CORPUS), version))
    for _ in range(source.choice((0, 1, 1, 2, 5))):
        at = source.randrange(len(data)) if data else 0
        match source.randrange(6):
            case 0 if data:
                data[at] = source.randrange(256)
            case 1 if data:
                data[at] ^= 1 << source.randrange(8)
            case 2:
                del data[at : at + source.randrange(1, 4)]
            case 3:
                data[at:at] = source.randbytes(source.randrange(1, 4))
            case 4:
                del data[at:]
            case 5:
                data += source.randbytes(source.randrange(1, 40))
    return bytes(data)


def chunks(source: random.Random, data: bytes) -> list[bytes]:
    cuts = sorted(source.randrange(len(data) + 1) for _ in range(source.randrange(4)))
    return [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True) if a < b]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_the_door_survives_random_and_mutated_packets(on_door, seed):
    async def scene(around, door, inbox):
        source = random.Random(seed)
        survivors = 0
        for _ in range(CONNECTIONS):
            version = source.choice((V311, V5))
            wire, connection = on_door.wire(), door.protocol_factory()
            connection.connection_made(wire)
            if source.random() < 0.95:
                connection.data_received(
                    encode_connect(
                        f"c{source.randrange(5)}", username="u", password="p", version=version
                    )
                )
                for _ in range(4):
                    await asyncio.sleep(0)
            for _ in range(PACKETS_PER_CONNECTION):
                data = (
                    mutated(source, version)
                    if source.random() < 0.9
                    else source.randbytes(source.randrange(1, 200))
                )
                for chunk in chunks(source, data):
                    connection.data_received(chunk)
                    assert len(connection._tail) <= PACKET_BYTES_MAX + len(chunk)
                if source.random() < 0.5:
                    error = Unavailable("no.") if source.random() < 0.1 else None
                    around.commit(error)
            await asyncio.sleep(0)
            around.commit()
            survivors += not wire.is_over
            # What the door wrote is MQTT, whatever it was told.
            for packet in ClientCodec(connection._version).feed(bytes(wire.written)):
                if isinstance(packet, Disconnect):
                    assert wire.is_over
            connection.connection_lost(None)
        found = door.statistics()
        assert 0 < survivors < CONNECTIONS
        assert (found.connections, found.handshakes) == (0, 0)
        assert sum(found.closed_by_reason.values()) == CONNECTIONS
        assert inbox.statistics().receivers == 0
        assert around.stored
        around.now_s = 10_000.0
        door.tick()

    on_door(scene, packet_bytes_max=PACKET_BYTES_MAX)
