"""For all packets: reading undoes writing. For all bytes: a packet or a clean reason."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from littoral.gateway.mqtt import (
    V5,
    V311,
    Ack,
    Auth,
    ClientCodec,
    Connack,
    Connect,
    Disconnect,
    PeerViolation,
    Pingreq,
    Pingresp,
    Property,
    Publish,
    Suback,
    Subscribe,
    Subscription,
    Type,
    Unsuback,
    Unsubscribe,
    Will,
    decode,
    encode,
    frame,
)
from littoral.gateway.mqtt.properties import ALLOWED, WILL

texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
topics = st.text(st.characters(codec="utf-8", exclude_characters="\0+#"), max_size=20)
blobs = st.binary(max_size=60)
ids = st.integers(1, 65_535)
reasons = st.integers(0, 255)
bits = st.integers(0, 1)
shorts = st.integers(1, 65_535)
longs = st.integers(1, 2**32 - 1)

VALUES = {
    Property.PAYLOAD_FORMAT: bits,
    Property.MESSAGE_EXPIRY: longs,
    Property.CONTENT_TYPE: texts,
    Property.RESPONSE_TOPIC: texts,
    Property.CORRELATION_DATA: blobs,
    Property.SUBSCRIPTION_ID: st.tuples(st.integers(1, 268_435_455)),
    Property.SESSION_EXPIRY: longs,
    Property.ASSIGNED_CLIENT_ID: texts,
    Property.SERVER_KEEP_ALIVE: shorts,
    Property.AUTH_METHOD: texts,
    Property.AUTH_DATA: blobs,
    Property.REQUEST_PROBLEM_INFO: bits,
    Property.WILL_DELAY: longs,
    Property.REQUEST_RESPONSE_INFO: bits,
    Property.RESPONSE_INFO: texts,
    Property.SERVER_REFERENCE: texts,
    Property.REASON_STRING: texts,
    Property.RECEIVE_MAXIMUM: shorts,
    Property.TOPIC_ALIAS_MAXIMUM: shorts,
    Property.TOPIC_ALIAS: shorts,
    Property.MAXIMUM_QOS: bits,
    Property.RETAIN_AVAILABLE: bits,
    Property.USER_PROPERTY: st.lists(st.tuples(texts, texts), min_size=1, max_size=3).map(tuple),
    Property.MAXIMUM_PACKET_SIZE: longs,
    Property.WILDCARD_AVAILABLE: bits,
    Property.SUBSCRIPTION_IDS_AVAILABLE: bits,
    Property.SHARED_AVAILABLE: bits,
}


def properties(owner: int, version: int):
    if version != V5:
        return st.just({})
    return st.fixed_dictionaries({}, optional={key: VALUES[key] for key in ALLOWED[owner]})


@st.composite
def wills(draw, version):
    return Will(
        draw(topics),
        draw(blobs),
        draw(st.integers(0, 2)),
        draw(st.booleans()),
        draw(properties(WILL, version)),
    )


@st.composite
def connects(draw, version):
    username = draw(st.none() | texts)
    password = draw(st.none() | blobs) if version == V5 or username is not None else None
    return Connect(
        draw(texts),
        version,
        draw(st.booleans()),
        draw(st.integers(0, 65_535)),
        username,
        password,
        draw(st.none() | wills(version)),
        draw(properties(Type.CONNECT, version)),
    )


@st.composite
def publishes(draw, version):
    qos = draw(st.integers(0, 2))
    return Publish(
        draw(topics),
        draw(st.binary(max_size=300)),
        qos,
        draw(ids) if qos else 0,
        draw(st.booleans()),
        draw(st.booleans()) if qos else False,
        draw(properties(Type.PUBLISH, version)),
    )


def packets(version: int):
    new = version == V5
    options = st.sampled_from([0, 1, 2, *([0x04, 0x0D, 0x2E] if new else [])])
    acks = st.sampled_from([Type.PUBACK, Type.PUBREC, Type.PUBREL, Type.PUBCOMP])
    some = st.lists(reasons, max_size=4).map(tuple)
    either = [
        connects(version),
        publishes(version),
        st.builds(Connack, reasons, st.booleans(), properties(Type.CONNACK, version)),
        st.builds(
            Ack,
            acks,
            ids,
            reasons if new else st.just(0),
            properties(Type.PUBACK, version),
        ),
        st.builds(
            Subscribe,
            ids,
            st.lists(st.builds(Subscription, texts, options), min_size=1, max_size=4).map(tuple),
            properties(Type.SUBSCRIBE, version),
        ),
        st.builds(Suback, ids, some, properties(Type.SUBACK, version)),
        st.builds(
            Unsubscribe,
            ids,
            st.lists(texts, min_size=1, max_size=4).map(tuple),
            properties(Type.UNSUBSCRIBE, version),
        ),
        st.builds(Unsuback, ids, some if new else st.just(()), properties(Type.UNSUBACK, version)),
        st.just(Pingreq()),
        st.just(Pingresp()),
        st.builds(Disconnect, reasons if new else st.just(0), properties(Type.DISCONNECT, version)),
    ]
    if new:
        either.append(st.builds(Auth, reasons, properties(Type.AUTH, version)))
    return st.one_of(either)


either_version = st.sampled_from([V311, V5]).flatmap(
    lambda version: st.tuples(st.just(version), packets(version))
)


def read(data: bytes, version: int):
    found = frame(data, 0, len(data))
    assert found is not None
    assert found[1] == len(data)
    return decode(data[0], data, found[0], found[1], version)


@pytest.mark.slow
@given(either_version)
@settings(max_examples=300, deadline=None)
def test_reading_undoes_writing(case):
    version, packet = case
    assert read(encode(packet, version), version) == packet


@pytest.mark.slow
@given(st.sampled_from([V311, V5]), st.integers(0, 255), st.binary(max_size=80))
@settings(max_examples=1000, deadline=None)
def test_any_bytes_are_a_packet_or_a_reason(version, first, body):
    try:
        packet = decode(first, body, 0, len(body), version)
    except PeerViolation:
        return
    again = encode(packet, packet.version if isinstance(packet, Connect) else version)
    assert read(again, version) == packet


@pytest.mark.slow
@given(st.sampled_from([V311, V5]), st.data())
@settings(max_examples=60, deadline=None)
def test_a_stream_means_the_same_however_it_is_cut(version, data):
    stream = b"".join(
        encode(one, version) for one in data.draw(st.lists(packets(version), max_size=5))
    )
    whole = ClientCodec(version).feed(stream)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=5)))
    codec = ClientCodec(version)
    pieces = [
        codec.feed(stream[a:b]) for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)
    ]
    assert [one for piece in pieces for one in piece] == whole
