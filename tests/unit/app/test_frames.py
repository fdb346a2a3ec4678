"""WebSocket frames: whatever a client of the library sends is read, however it is cut."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame as TheirFrame
from websockets.frames import Opcode
from websockets.protocol import Protocol, Side

from littoral.app import frames
from littoral.app.frames import Code, FrameReader, Violation


def cut(data, sizes):
    for size in sizes:
        yield data[:size]
        data = data[size:]
    yield data


@given(
    st.lists(st.tuples(st.sampled_from([1, 2]), st.binary(max_size=300)), max_size=6),
    st.lists(st.integers(0, 40), max_size=20),
)
def test_messages_are_read_however_they_are_cut(messages, sizes):
    data = b"".join(
        TheirFrame(Opcode(opcode), payload).serialize(mask=True) for opcode, payload in messages
    )
    reader = FrameReader()
    found = [frame for piece in cut(data, sizes) for frame in reader.feed(piece)]
    assert [tuple(frame) for frame in found] == messages


@given(st.lists(st.binary(max_size=20), min_size=1, max_size=5), st.binary(max_size=125))
def test_fragments_make_one_message_and_control_frames_may_come_between(parts, ping):
    data = b""
    for index, part in enumerate(parts):
        opcode = Opcode.CONT if index else Opcode.TEXT
        data += TheirFrame(opcode, part, fin=index == len(parts) - 1).serialize(mask=True)
        data += TheirFrame(Opcode.PING, ping).serialize(mask=True)
    found = FrameReader().feed(data)
    assert [f.payload for f in found if f.opcode == frames.TEXT] == [b"".join(parts)]
    assert [f.payload for f in found if f.opcode == frames.PING] == [ping] * len(parts)


@given(st.binary(max_size=70_000))
def test_what_is_written_is_read_by_the_library(payload):
    client = Protocol(Side.CLIENT)
    client.receive_data(frames.head_of(frames.BINARY, len(payload)) + payload)
    (event,) = client.events_received()
    assert event.data == payload


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"\x81\x00", Code.PROTOCOL),  # not masked
        (b"\xc1\x80\0\0\0\0", Code.PROTOCOL),  # a reserved bit
        (b"\x80\x80\0\0\0\0", Code.PROTOCOL),  # continues nothing
        (b"\x83\x80\0\0\0\0", Code.PROTOCOL),  # no such opcode
        (b"\x8b\x80\0\0\0\0", Code.PROTOCOL),
        (b"\x09\x80\0\0\0\0", Code.PROTOCOL),  # a fragmented ping
        (b"\x89\xfe\0\x7e\0\0\0\0" + bytes(126), Code.PROTOCOL),  # a long ping
        (b"\x01\x80\0\0\0\0\x81\x80\0\0\0\0", Code.PROTOCOL),  # a new message amid another
        (b"\x81\xff" + (1 << 40).to_bytes(8, "big"), Code.TOO_BIG),
        ((b"\x01\x80\0\0\0\0" + b"\x00\x80\0\0\0\0" * 2000), Code.TOO_BIG),
    ],
)
def test_what_breaks_the_rules_ends_the_connection(data, code):
    with pytest.raises(Violation) as e:
        FrameReader().feed(data)
    assert e.value.code == code


@pytest.mark.parametrize(
    ("payload", "code"),
    [(b"", 1005), (b"\x03\xe8", 1000), (b"\x0f\xa0bye", 4000), (b"\x03\xf3", 1011)],
)
def test_a_goodbye_is_read(payload, code):
    assert frames.decode_close(payload) == code


@pytest.mark.parametrize(
    "payload", [b"\x03", b"\x03\xed", b"\x00\x01", b"\x03\xe8\xff", b"\xff\xff"]
)
def test_a_goodbye_that_is_none_is_refused(payload):
    with pytest.raises(Violation):
        frames.decode_close(payload)


@given(st.binary(max_size=200))
def test_random_bytes_are_read_or_refused(data):
    with contextlib.suppress(Violation):
        FrameReader().feed(data)


def test_a_reason_is_cut_between_characters():
    client = Protocol(Side.CLIENT)
    client.receive_data(frames.encode_close(Code.POLICY, "é" * 100))
    assert client.close_rcvd is not None
    assert client.close_rcvd.reason == "é" * 61
