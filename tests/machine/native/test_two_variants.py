"""The hot path in C and the one in Python do the same to the same bytes; planted differences show."""

import asyncio

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from littoral.gateway import Limits
from littoral.gateway.mqtt import V5, V311, Pingreq, Property, Publish, encode
from littoral.native import hot
from littoral.twin.core.late import Leaves

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(hot is None, reason="the hot path in C is not built here"),
]

TOPICS = [
    "telemetry", "t", "event", "e", "telemetry/?feature=gps", "e/?feature=gps&on-error=ignore",
    "t/?id=7", "t/?id=8&ts=1800000000000", "t/?ts=1700000000000", "t//4711", "t/DEFAULT_TENANT/4711",
    "t//other", "nowhere", "t/?content-type=text/plain", "t/?on-error=skip-ack", "t/?feature=a/b",
]  # fmt: skip
PAYLOADS = [
    b'{"a":1}', b'{"a":2,"b":"x"}', b'{"b":null}', b"{}", b'{"a":{"c":1}}', b'{"a":{"c":null}}',
    b'{"a":[1,2]}', b'{"a":' + b"[" * 70 + b"]" * 70 + b"}", b'{"":1}', b'{"a/b":1}', b'{"a\\u002fb":1}',
    b'{"\xc3\xa4":1}', b'{"a":"\x7f"}', b'{"a":1', b'{"a":NaN}', b"{x}", b'{"a":1} ', b" {}", b"[1]",
    b"", b"7", b'{"a":"' + b"x" * 300 + b'"}', b'{"a":1,"a":2}', b"{\xff}",
]  # fmt: skip
PROPERTIES = [
    {},
    {},
    {},
    {Property.USER_PROPERTY: (("feature", "gps"),)},
    {Property.USER_PROPERTY: (("id", "9"), ("ts", "1800000000000"))},
    {Property.CONTENT_TYPE: "text/plain"},
]


@st.composite
def packets(draw, version):
    if draw(st.integers(0, 30)) == 0:
        return encode(Pingreq(), version)
    qos = draw(st.sampled_from((1, 1, 0)))
    # In 3.1.1 a refusal ends the connection, so most packets have to be good.
    wild = draw(st.sampled_from(("topic", "payload", "", "", "", "", "")))
    data = bytearray(
        encode(
            Publish(
                draw(st.sampled_from(TOPICS if wild == "topic" else TOPICS[:4])),
                draw(st.sampled_from(PAYLOADS if wild == "payload" else PAYLOADS[:4])),
                qos,
                draw(st.integers(1, 65_535)) if qos else 0,
                properties=draw(st.sampled_from(PROPERTIES)) if version == V5 else {},
            ),
            version,
        )
    )
    match draw(st.integers(0, 60)):
        case 0:
            data[0] |= draw(st.sampled_from((1, 4, 8)))
        case 1:
            data[draw(st.integers(0, len(data) - 1))] ^= 1 << draw(st.integers(0, 7))
        case 2 if qos:
            at = data.index(b"telemetry") + 9 if b"telemetry" in data else 5
            data[at : at + 2] = b"\0\0"
    return bytes(data)


@st.composite
def histories(draw):
    version = draw(st.sampled_from((V311, V311, V5)))
    buffers = st.lists(packets(version), min_size=1, max_size=12).map(b"".join)
    act = st.one_of(
        buffers, buffers, buffers, buffers,
        st.sampled_from(
            ("commit", "commit", "turn", "reconnect", "full", "room", "forbid", "allow", "watch",
             "read", "evict", "remove")
        ),
    )  # fmt: skip
    acts = draw(st.lists(act, min_size=1, max_size=14))
    cuts = draw(st.lists(st.floats(0, 1), max_size=3))
    return version, acts, cuts


async def do(pair, act, version, cuts):
    if isinstance(act, bytes):
        at = 0
        for cut in sorted(int(c * len(act)) for c in cuts):
            pair.both(lambda node, a=at, b=cut: node.feed(act[a:b]) if b > a else None)
            at = cut
        pair.both(lambda node: node.feed(act[at:]) if at < len(act) else None)
        return
    match act:
        case "commit":
            await pair.settle()
        case "turn":
            await asyncio.sleep(0)
        case "reconnect":
            pair.both(lambda node: node.connect(version))
            await pair.settle()
        case "full" | "room":
            pair.both(lambda node: setattr(node.store, "full", act == "full"))
            await pair.settle()
            await asyncio.sleep(1.5)
            pair.both(lambda node: node.log.refusal())
            await pair.settle()
        case "forbid" | "allow" if pair.nodes[1].log.refusal() is None:
            pair.both(lambda node: node.put_policy(device_may=act == "allow"))
        case "watch":
            for node in pair.nodes:
                known = node.twins.engine.hot.get("thing:org.littoral:4711")
                if known is not None and known.exists:
                    lane = "/features/telemetry/properties"
                    node.twins.engine._history._remember(known, lane, Leaves((0, "", 0)))
        case "read":
            pair.both(lambda node: node.twins.peek("org.littoral:4711"))
        case "evict":
            await pair.settle()
            for node in pair.nodes:
                for known in list(node.twins.engine.hot.values()):
                    if not known.dirty_since:
                        node.twins.engine.forget(known)
        case "remove" if pair.nodes[1].log.refusal() is None:
            for node in pair.nodes:
                known = node.twins.engine.load("thing:org.littoral:4711")
                if known.exists:
                    node.twins.engine.write(known, 2, "thing.deleted", "/", b"")


async def play(pair, history):
    """Do it to both; return the first moment at which they differ, and how."""
    version, acts, cuts = history
    pair.both(lambda node: node.connect(version))
    await pair.settle()
    for topic in TOPICS[:4]:  # known from here on, and the thing is there
        pair.both(lambda node, t=topic: node.feed(encode(Publish(t, b"{}", 1, 1), version)))
    for number, act in enumerate(acts):
        await do(pair, act, version, cuts)
        if found := pair.differences():
            return number, act, found
    await pair.settle()
    found = pair.differences()
    return (len(acts), "the end", found) if found else None


@pytest.mark.parametrize(
    "limits",
    [None, Limits(receive_maximum=6, pending_records_max=5), Limits(packet_bytes_max=128)],
    ids=["usual", "narrow", "small packets"],
)
def test_both_variants_do_the_same_to_any_history(on_pair, limits):
    @settings(
        max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
    )
    @given(histories())
    def same(history):
        async def scene(pair):
            found = await play(pair, history)
            assert found is None, found

        on_pair(scene, limits)

    same()


def test_both_variants_pause_at_a_refused_lone_message(on_pair):
    too_deep = encode(Publish("telemetry", PAYLOADS[7], 1, 1), V5)

    async def scene(pair):
        assert await play(pair, (V5, [too_deep], [])) is None

    on_pair(scene, Limits(receive_maximum=6, pending_records_max=5))


def test_the_compiled_variant_takes_what_is_plain(on_pair):
    """Without this the two would be equal because Python did all of it."""

    async def scene(pair):
        pair.both(lambda node: node.connect())
        await pair.settle()
        first, second = (encode(Publish("t", b'{"a":%d}' % n, 1, n + 1), V311) for n in (0, 1))
        pair.both(lambda node: node.feed(first))  # creates the thing, and learns the topic
        await pair.settle()
        node = pair.nodes[0]
        assert hot.take(node.connections[-1][0], second * 3 + b"\x30") == 3 * len(second)
        assert node.twins.peek("org.littoral:4711")["features"]["telemetry"]["properties"] == {
            "a": 1
        }

    on_pair(scene)


# What a mistake in the C code would be like: a constant that it got wrong, and the right one.
PLANTS = {
    "bytes of a batch": ({"open_bytes_each": 65}, {"open_bytes_each": 64}),
    "events without acknowledgement": ({"event_class": 9}, {"event_class": 1}),
    "the kind of a record": ({"kind": "thing.modified"}, {"kind": "thing.merged"}),
    "text that is no JSON": ({"loads": lambda _text: {"a": 1}}, {}),
}


class Different(Exception):
    pass


@pytest.fixture
def constants():
    """What the C code is to know again afterwards."""
    import orjson

    from littoral.kernel.limits import JSON_DEPTH_MAX, THING_BYTES_MAX

    yield
    hot.configure(
        open_bytes_each=64, thing_bytes_max=THING_BYTES_MAX, event_class=1, depth_max=JSON_DEPTH_MAX,
        kind="thing.merged", loads=orjson.loads,
    )  # fmt: skip


@pytest.mark.parametrize("what", PLANTS)
def test_a_planted_difference_is_found(on_pair, constants, what):
    hot.configure(**PLANTS[what][0])

    @settings(
        max_examples=1000,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )
    @given(histories())
    def same(history):
        async def scene(pair):
            if await play(pair, history) is not None:
                raise Different

        on_pair(scene)

    with pytest.raises(ExceptionGroup) as caught:
        same()
    assert caught.group_contains(Different)


def test_a_wrong_limit_of_nesting_is_seen_at_once(on_pair, constants):
    """Random histories meet it too seldom: the packet that shows it, by itself."""
    hot.configure(depth_max=1000)
    deep = b'{"a":' + b"[" * 70 + b"]" * 70 + b"}"

    async def scene(pair):
        pair.both(lambda node: node.connect(V311))
        await pair.settle()
        for number, payload in enumerate((b"{}", b"{}", deep)):
            data = encode(Publish("telemetry", payload, 1, number + 1), V311)
            pair.both(lambda node, d=data: node.feed(d))
        assert pair.differences()

    on_pair(scene)
