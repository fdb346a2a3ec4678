"""Peers that mean harm, against a whole node: it says no, stays small, and serves the others."""

import asyncio
import json
from contextlib import suppress
from random import Random

import httpx
import pytest
from websockets.asyncio.client import connect as connect_websocket
from websockets.exceptions import ConnectionClosed

from littoral.gateway.mqtt import (
    PINGREQ,
    V5,
    V311,
    Ack,
    ClientCodec,
    Connack,
    Disconnect,
    Reason,
    encode_connect,
    encode_puback,
    encode_publish,
    encode_subscribe,
)

pytestmark = [pytest.mark.real, pytest.mark.slow, pytest.mark.timeout(120)]

GROWTH_MB = 30.0
PACKETS = 10_000
AT_ONCE = 24
THINGS = "/api/2/things"
DEVICES = ("good", "noise", "bomber", "limits")


@pytest.fixture(scope="module")
def shared(make_world, tmp_path_factory):
    """One node for the tests of this file: what one of them leaves behind, the next one meets."""
    world = make_world(tmp_path_factory.mktemp("hostile"))
    node = world.cloud()

    async def begin():
        await world.started(node)
        world.populate(node, DEVICES)
        await world.request(node, "GET", THINGS, auth=("ditto", "wrong"))
        for path in ("/api/2/things", "/api/littoral/v1/status", "/metrics"):
            await world.request(node, "GET", path)
        # What is kept for good, in bounds, is there before anything is measured.
        await attack(node.mqtt_port, Random(1), PACKETS // 5)

    try:
        world.play(begin)
        yield world, node
    finally:
        world.close()


@pytest.fixture
def target(shared):
    """The node; after the test it is the same process, no larger than allowed, and it serves."""
    world, node = shared
    pid = node.pid
    world.play(lambda: is_served(world, node, 0))
    before_mb = world.pss_mb(node)
    yield node
    world.play(lambda: is_served(world, node, 1))
    grown_mb = world.pss_mb(node) - before_mb
    world.tell(f"grew by {grown_mb:.1f} MB")
    assert node.is_alive and node.pid == pid
    assert grown_mb < GROWTH_MB
    assert "Traceback" not in world.log_text(node), world.log_text(node)[-3000:]


@pytest.fixture
def world(shared):
    return shared[0]


async def is_served(world, node, value):
    """A good device publishes and is acknowledged, and people read what it said."""
    reader, writer, codec, connack = await world.connect(
        node.mqtt_port, "good@plant", "secret", client="good"
    )
    assert connack.reason == 0
    writer.write(encode_publish("t", b'{"v":%d}' % value, packet_id=1, version=V5))
    (ack,) = await answers(reader, codec, 1)
    assert isinstance(ack, Ack) and ack.reason == 0
    writer.close()
    got = await world.request(node, "GET", f"{THINGS}/org.plant:good/features/telemetry/properties")
    assert got.json()["v"] == value


async def answers(reader, codec, count, timeout_s=20):
    """The next packets; fewer if the node closes."""
    packets = []
    while len(packets) < count:
        data = await asyncio.wait_for(reader.read(65_536), timeout_s)
        if not data:
            break
        packets += codec.feed(data)
    return packets


async def closed(reader, timeout_s=20):
    """Whether the node ends the connection; what it says before is thrown away."""
    try:
        async with asyncio.timeout(timeout_s):
            while await reader.read(65_536):
                pass
    except TimeoutError:
        return False
    except ConnectionError:
        return True
    return True


# -- malformed -------------------------------------------------------------------------------


def corpus(version):
    """Good packets to begin with."""
    user = [("id", "1"), ("feature", "f")] if version == V5 else ()
    login = {"username": "noise@plant", "password": "secret", "version": version}
    return [
        encode_connect("noise", **login),
        encode_connect("", **login, keep_alive_s=1),
        encode_publish("t", b'{"a":{"b":1}}', packet_id=7, version=version, user=user),
        encode_publish("telemetry/?id=5&ts=2026-01-01T00:00:00Z", b"{}", version=version),
        encode_publish("event/plant/noise", b"\x00\xff", packet_id=9, version=version),
        encode_publish("command///res/1a2b/200", b"{}", packet_id=11, version=version),
        encode_subscribe(3, ("command///req/#", 1), version=version),
        encode_puback(3),
        PINGREQ,
        b"\x62\x02\x00\x01",
        b"\xa2\x06\x00\x04\x00\x02ab",
        b"\xe0\x00",
    ]


def mutated(random, packet, corpus_):
    data = bytearray(packet)
    for _ in range(random.randint(1, 4)):
        at = random.randrange(len(data)) if data else 0
        match random.randrange(7):
            case 0 if data:
                data[at] ^= 1 << random.randrange(8)
            case 1:
                del data[at : at + random.randint(1, 8)]
            case 2:
                data[at:at] = random.randbytes(random.randint(1, 16))
            case 3 if len(data) > 1:
                data[1] = random.randrange(256)
            case 4:
                data[at:at] = random.choice(corpus_)
            case 5 if data:
                data[at] = random.choice((0, 0x7F, 0x80, 0xFF, 0xC0))
            case _:
                data = bytearray(random.randbytes(random.randint(1, 64)))
    return bytes(data)


async def attack(port, random, count):
    """Send ``count`` random and mutated packets over `AT_ONCE` connections at a time."""
    sent = 0

    async def one():
        nonlocal sent
        while sent < count:
            version = random.choice((V311, V5))
            packets = corpus(version)
            with suppress(ConnectionError):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                try:
                    if random.random() < 0.8:
                        writer.write(packets[0])
                        await asyncio.wait_for(reader.read(64), 20)
                    while sent < count and not reader.at_eof():
                        several = random.choice((1, 1, 1, 2, 3))  # in one piece
                        chosen = random.choices(packets, k=several)
                        writer.write(b"".join(mutated(random, p, packets) for p in chosen))
                        sent += several
                        with suppress(TimeoutError):  # it answers, ends it, or says nothing
                            await asyncio.wait_for(reader.read(4096), 0.02)
                finally:
                    writer.transport.abort()

    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(one())
    return sent


def test_ten_thousand_random_and_mutated_packets_harm_nobody(world, target):
    assert world.play(lambda: attack(target.mqtt_port, Random(20260122), PACKETS)) >= PACKETS


def test_what_is_too_large_or_malformed_is_named_to_mqtt_5_and_cut_off_in_3_1_1(world, target):
    large = encode_publish("t", b"x" * 70_000, packet_id=1, version=V5)
    cases = [
        (large, Reason.PACKET_TOO_LARGE),
        (large[:5], Reason.PACKET_TOO_LARGE),  # refused before it is there
        (b"\x32\xff\xff\xff\x7f", Reason.PACKET_TOO_LARGE),
        (b"\x32\xff\xff\xff\xff\x01", Reason.MALFORMED),
        (encode_publish("t/\xff".encode("latin-1"), b"{}", packet_id=1, version=V5), None),
        (b"\x34\x05\x00\x01t\x00\x01", Reason.QOS_NOT_SUPPORTED),
        (b"\x36\x05\x00\x01t\x00\x01", Reason.MALFORMED),
        (b"\xf0\x00", None),
        (b"\x00\x00", None),
    ]

    async def run():
        for packet, reason in cases:
            for version in (V5, V311):
                reader, writer, codec, _ = await world.connect(
                    target.mqtt_port, "noise@plant", "secret", version=version, client="big"
                )
                with suppress(ConnectionError):
                    writer.write(packet)
                    await writer.drain()
                if version == V5:
                    (said,) = await answers(reader, codec, 1)
                    assert isinstance(said, Disconnect | Ack), (packet[:9], said)
                    assert said.reason >= 0x80
                    assert reason is None or said.reason == reason, (packet[:9], said)
                    if isinstance(said, Ack):
                        continue
                assert await closed(reader), (packet[:9], version)

    world.play(run)


# -- slow --------------------------------------------------------------------------------------


def test_those_who_send_byte_by_byte_are_cut_off_and_keep_nobody_out(world, target):
    async def run():
        mqtt = [await world.open(target.mqtt_port) for _ in range(200)]
        http = [await world.open(target.http_port) for _ in range(200)]
        bodies = [await world.open(target.http_port) for _ in range(20)]
        connect = encode_connect("slow", username="noise@plant", password="secret")
        head = b"GET /api/2/things HTTP/1.1\r\nHost: x\r\nX-A: "
        put = b"PUT /api/2/things/org.plant:x HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\n{"
        for _, writer in bodies:
            writer.write(put)
        began = asyncio.get_running_loop().time()
        for step in range(len(connect) - 1):
            for _, writer in mqtt:
                if not writer.is_closing():
                    writer.write(connect[step : step + 1])
            for _, writer in http:
                if not writer.is_closing():
                    writer.write(head[step : step + 1] or b"a")
            answer = await world.request(target, "GET", "/livez", timeout=3.0)
            assert answer.status_code == 200
            await is_served(world, target, step)
            await asyncio.sleep(0.8)
            if asyncio.get_running_loop().time() - began > 9.0:
                break
        for reader, _ in mqtt:
            assert await closed(reader), "a CONNECT that never ends"

    world.play(run)


# -- HTTP --------------------------------------------------------------------------------------


async def raw_http(world, node, request, timeout_s=20):
    """The status line of what the node answers to these bytes; empty if it just closes."""
    reader, writer = await world.open(node.http_port)
    with suppress(ConnectionError):
        for piece in request if isinstance(request, list) else [request]:
            writer.write(piece)
            await writer.drain()
    try:
        return await asyncio.wait_for(reader.readline(), timeout_s)
    except ConnectionError:
        return b""
    finally:
        writer.transport.abort()


def test_http_bounds_uris_headers_and_bodies(world, target):
    async def run():
        async def status(method, path, **options):
            answer = await world.request(target, method, path, **options)
            if answer.status_code >= 400:
                problem = answer.json()
                assert problem["status"] == answer.status_code
                assert problem["error"] and problem["message"], answer.text
            return answer.status_code

        assert await status("GET", f"{THINGS}?ids=" + "a" * 8300) in (413, 414)
        assert await status("GET", f"{THINGS}/" + "x" * 9000) in (413, 414)
        many = {f"x-{number}": "1" for number in range(80)}
        assert await status("GET", THINGS, headers=many) == 431
        assert await status("GET", THINGS, headers={"x-long": "y" * 17_000}) == 431
        thing = f"{THINGS}/org.plant:big"
        assert await status("PUT", thing, json={"attributes": {"a": "b" * 110_000}}) == 413
        assert await status("PUT", thing, content=b"x" * (4 << 20)) == 413
        # So much that its sender may see the connection reset before it reads the answer.
        with suppress(httpx.TransportError):
            assert await status("PUT", thing, content=b"x" * (40 << 20)) == 413

        async def endless():
            with suppress(ConnectionError):
                for _ in range(1000):
                    yield b"[" * 65_536

        with suppress(httpx.TransportError):
            assert await status("PUT", thing, content=endless()) == 413
        # What no client library sends.
        head = b"PUT /api/2/things/org.plant:x HTTP/1.1\r\nHost: x\r\n"
        for request in (
            b"\x00" * 4096,
            b"GET / HTTP/9.9\r\n\r\n",
            b"GET " + b"/" * 70_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
            [
                b"GET / HTTP/1.1\r\nHost: x\r\n",
                *[b"X-%d: %s\r\n" % (n, b"y" * 999) for n in range(2000)],
            ],
            head + b"Content-Length: 99999999999999999999\r\n\r\n",
            head + b"Content-Length: -1\r\n\r\n",
            head + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nzzzz\r\n",
            head + b"Transfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFF\r\n",
        ):
            line = await raw_http(world, target, request)
            assert line == b"" or line.split()[1].startswith(b"4"), (request[:40], line)

    world.play(run)


# -- JSON bombs --------------------------------------------------------------------------------

DEEP = 20_000
BOMBS = {
    "deep arrays": b'{"a":' + b"[" * DEEP + b"]" * DEEP + b"}",
    "deep objects": b'{"a":' * 8000 + b"1" + b"}" * 8000,
    "never closed": b'{"a":' + b"[" * DEEP,
    "a long number": b'{"a":' + b"9" * 50_000 + b"}",
    "a huge exponent": b'{"a":1e999999999}',
    "a lone surrogate": b'{"a":"\\ud800"}',
    "not UTF-8": b'{"a":"\xff\xfe"}',
    "no JSON": b'{"a":nan}',
}
MANY = {
    "many keys": b"{" + b",".join(b'"k%d":1' % n for n in range(5000)) + b"}",
    "one key again and again": b"{" + b",".join([b'"a":1'] * 10_000) + b"}",
    "a long string": b'{"a":"' + b"x" * 60_000 + b'"}',
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_json_bomb_is_refused_at_every_door(world, target, name):
    bomb = BOMBS[name]

    async def run():
        # MQTT: a refusal with a reason, and the connection goes on.
        reader, writer, codec, _ = await world.connect(
            target.mqtt_port, "bomber@plant", "secret", client="bomber"
        )
        writer.write(encode_publish("t", bomb, packet_id=5, version=V5))
        (ack,) = await answers(reader, codec, 1)
        assert isinstance(ack, Ack) and ack.packet_id == 5 and ack.reason >= 0x80
        writer.write(encode_publish("t", b'{"ok":1}', packet_id=6, version=V5))
        (ack,) = await answers(reader, codec, 1)
        assert ack.packet_id == 6 and ack.reason == 0
        # HTTP.
        put = await world.request(
            target,
            "PUT",
            f"{THINGS}/org.plant:bomb/attributes/x",
            content=bomb,
            headers={"content-type": "application/json"},
        )
        assert 400 <= put.status_code < 500, put.text
        assert put.json()["error"] and put.json()["message"]
        # WebSocket: an error, or the end of the session.
        envelope = b'{"topic":"org.plant/bomb/things/twin/commands/modify","path":"/attributes/x","value":%s}'
        with suppress(ConnectionClosed):
            async with socket_of(target) as socket:
                await socket.send(
                    (envelope % bomb)
                    .decode("utf-8", "surrogateescape")
                    .encode("utf-8", "surrogateescape")
                )
                answer = json.loads(await asyncio.wait_for(socket.recv(), 20))
                assert 400 <= answer["status"] < 500, answer
                assert answer["value"]["error"]

    world.play(run)


@pytest.mark.parametrize("name", MANY)
def test_what_is_only_large_is_taken_or_refused_but_never_half(world, target, name):
    document = MANY[name]
    meant = json.loads(document)

    async def run():
        reader, writer, codec, _ = await world.connect(
            target.mqtt_port, "bomber@plant", "secret", client="bomber"
        )
        feature = [("feature", "many")]
        writer.write(encode_publish("t", b'{"a":null}', packet_id=4, version=V5, user=feature))
        writer.write(encode_publish("t", document, packet_id=5, version=V5, user=feature))
        _, ack = await answers(reader, codec, 2)
        path = f"{THINGS}/org.plant:bomber/features/many/properties"
        held = (await world.request(target, "GET", path)).json()
        if ack.reason == 0:
            assert meant.items() <= held.items()
        else:
            assert not meant.items() <= held.items()
        await world.request(target, "DELETE", f"{THINGS}/org.plant:bomber/features/many")

    world.play(run)


def socket_of(node):
    return connect_websocket(
        f"ws://127.0.0.1:{node.http_port}/ws/2",
        additional_headers={"Authorization": "Basic ZGV2b3BzOmZvb2Jhcg=="},
        max_size=None,
        proxy=None,
    )


def test_a_websocket_that_sends_too_much_is_ended_and_the_next_one_is_served(world, target):
    async def run():
        for frame in (
            "x" * 300_000,
            b"\xff" * 300_000,
            b"\xff\xfe\x00",
            "not json",
            "[]",
            '{"topic":1}',
        ):
            with suppress(ConnectionClosed):
                async with socket_of(target) as socket:
                    await socket.send(frame)
                    answer = await asyncio.wait_for(socket.recv(), 20)
                    assert json.loads(answer)["status"] >= 400, answer
        async with socket_of(target) as socket:
            await socket.send("START-SEND-EVENTS")
            assert await asyncio.wait_for(socket.recv(), 20) == "START-SEND-EVENTS:ACK"

    world.play(run)


# -- credentials -------------------------------------------------------------------------------


def test_a_flood_of_wrong_passwords_keeps_nobody_out(world, target):
    refused = {"mqtt": 0, "http": 0}
    waited = []

    async def guess_mqtt(number):
        with suppress(ConnectionError):
            reader, writer = await world.open(target.mqtt_port)
            writer.write(
                encode_connect(
                    f"g{number}",
                    username="sensor1@DEFAULT_TENANT",
                    password=f"guess-{number}",
                    version=V5,
                )
            )
            said = await answers(reader, ClientCodec(V5), 1, 60)
            if said:
                assert isinstance(said[0], Connack) and said[0].reason >= 0x80
                refused["mqtt"] += 1
            writer.close()

    async def guess_http(number):
        answer = await world.request(
            target, "GET", THINGS, auth=("ditto", f"guess-{number}"), timeout=60.0
        )
        assert answer.status_code in (401, 429, 503)
        assert answer.json()["message"]
        refused["http"] += 1

    async def run():
        loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as group:
            for number in range(300):
                group.create_task(guess_mqtt(number))
            for number in range(60):
                group.create_task(guess_http(number))
            for value in range(5):
                began = loop.time()
                await is_served(world, target, value)
                waited.append(loop.time() - began)

    world.play(run)
    world.tell(f"refused {refused}; a good device and an admin waited {max(waited):.2f} s at most")
    assert refused["http"] == 60
    assert refused["mqtt"] >= 250
    assert max(waited) < 10.0


# -- at and over the limits --------------------------------------------------------------------


def test_ids_and_paths_at_their_limits_are_taken_and_over_them_refused(world, target):
    async def run():
        async def put(path, value):
            answer = await world.request(target, "PUT", THINGS + path, json=value)
            if answer.status_code >= 400:
                assert answer.json()["error"] and answer.json()["message"], answer.text
            return answer.status_code

        longest = "org.plant:" + "i" * 246
        assert len(longest) == 256
        assert await put(f"/{longest}", {}) == 201
        assert await put(f"/{longest}i", {}) == 400
        assert (await world.request(target, "GET", f"{THINGS}/{longest}")).status_code == 200
        assert await put("/org.plant:limits2", {}) == 201
        base = "/org.plant:limits2/attributes"
        for levels, wanted in ((64, {201, 204}), (65, {400, 413})):
            inner = 1
            for _ in range(levels):
                inner = {"a": inner}
            assert await put(base, inner) in wanted, levels
            assert await put(base, {}) == 204
            assert await put("/org.plant:limits2/" + "/".join(["attributes"] * levels), 1) in wanted
        assert await put(base, {}) in (201, 204)
        key = "k" * 7000
        assert await put(f"{base}/{key}", 1) == 201
        assert await put(f"{base}/{'k' * 8200}", 1) in (400, 413, 414)
        for bad in ("/org.plant:%ff", "/org.plant:%00", "/nocolon", "/org.plant:a%2Fb", "/:"):
            assert await put(bad, {}) in (400, 404), bad

    world.play(run)


def test_mqtt_names_at_and_over_their_limits(world, target):
    async def run():
        for client, good in (("c" * 256, True), ("c" * 257, False), ("c" * 65_000, False)):
            reader, writer = await world.open(target.mqtt_port)
            writer.write(
                encode_connect(client, username="limits@plant", password="secret", version=V5)
            )
            said = await answers(reader, ClientCodec(V5), 1)
            assert said and isinstance(said[0], Connack | Disconnect), len(client)
            assert (said[0].reason == 0) == good, (len(client), said)
        # Not UTF-8: user name, password (any bytes are fine, but wrong), client id.
        plain = encode_connect("abcd", username="limits@plant", password="secret", version=V5)
        for text in (b"abcd", b"limits@plant", b"secret"):
            reader, writer = await world.open(target.mqtt_port)
            writer.write(plain.replace(text, b"\xff\xfe" + text[2:]))
            said = await answers(reader, ClientCodec(V5), 1)
            assert not said or said[0].reason >= 0x80, (text, said)
            assert await closed(reader)
        reader, writer, codec, _ = await world.connect(
            target.mqtt_port, "limits@plant", "secret", client="limits"
        )
        for number, (feature, good) in enumerate(
            (("f" * 200, True), ("f" * 9000, False), ("a/b", False), ("", None), ("\u2028", None)),
            1,
        ):
            writer.write(
                encode_publish(
                    "t", b'{"a":1}', packet_id=number, version=V5, user=[("feature", feature)]
                )
            )
            (ack,) = await answers(reader, codec, 1)
            assert isinstance(ack, Ack) and ack.packet_id == number
            assert good is None or (ack.reason == 0) == good, (feature[:10], ack)
        for number, topic in enumerate(("x", "t/" + "y" * 60_000, "command///res", "$SYS"), 20):
            writer.write(encode_publish(topic, b"{}", packet_id=number, version=V5))
            said = await answers(reader, codec, 1)
            assert said and said[0].reason >= 0x80, topic[:20]

    world.play(run)
