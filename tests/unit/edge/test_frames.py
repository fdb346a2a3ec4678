"""Frames as bytes, and what a peer may try with them."""

import contextlib

import msgspec
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from littoral.edge.core import frames
from littoral.edge.core.frames import (
    Again,
    Hello,
    Known,
    Live,
    Part,
    Ping,
    Records,
    Taken,
    decode,
    deflate,
    encode,
    pack,
    unpack,
    unpack_part,
)
from littoral.edge.errors import LinkPeerError
from littoral.edge.model import RAW_BYTES_MAX
from littoral.kernel.ids import Origin
from littoral.log import Record

ORIGIN = Origin("site/00000000000000aa")


def record(seq, value=b"1", headers=None):
    return Record(
        seq, seq << 16, None, 3, "k", "thing:n:a", 7, 2, "/x", value, headers, ORIGIN, seq
    )


def framed(records, **changes):
    blob, raw_bytes, zipped = pack(records)
    fields = {
        "origin": ORIGIN,
        "cls": 3,
        "first": records[0].oseq if records else 0,
        "last": records[-1].oseq if records else 0,
        "scanned_to": records[-1].oseq if records else 9,
        "count": len(records),
        "raw_bytes": raw_bytes,
        "flags": 0,
        "zipped": zipped,
        "blob": blob,
    }
    return Records(**(fields | changes))


def test_records_survive_the_journey_without_what_is_local():
    sent = [record(n, b"%d" % n * 50, {"id": "x", "deep": {"a": [1]}}) for n in range(1, 40)]
    frame = framed(sent)
    assert frame.zipped
    assert decode(encode(frame)) == frame
    assert [w[0] for w in unpack(frame)] == list(range(1, 40))
    assert unpack(frame)[0][1:] == (
        1 << 16, None, "k", "thing:n:a", "/x", b"1" * 50, {"id": "x", "deep": {"a": [1]}},
    )  # fmt: skip


def test_a_small_blob_is_not_compressed():
    assert not framed([record(1)]).zipped


def test_a_frame_of_a_type_that_is_not_known_is_nothing():
    assert decode(msgspec.msgpack.encode(["new", 1, 2])) is None


def test_fields_that_a_newer_release_adds_are_ignored():
    data = msgspec.msgpack.decode(encode(Ping(4)))
    assert decode(msgspec.msgpack.encode([*data, "later"])) == Ping(4)


@pytest.mark.parametrize(
    "data",
    [b"", b"\xff", b"\xc1", b"\x90", msgspec.msgpack.encode(["i", "text"]), b"\x91\x01", b"null"],
    ids=["empty", "trailing", "invalid", "no type", "wrong field", "type is a number", "json"],
)
def test_what_is_no_frame_is_the_peers_error(data):
    with pytest.raises(LinkPeerError):
        decode(data)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"count": 2}, "not 2"),
        ({"raw_bytes": 3}, "not 3"),
        ({"first": 2}, "announces|order"),
        ({"last": 9}, "announces"),
        ({"zipped": True}, "holds|inflated"),
        ({"blob": b"\xc1", "raw_bytes": 1}, "no records"),
    ],
    ids=["count", "size", "first", "last", "zip", "blob"],
)
def test_a_header_that_does_not_fit_its_records_is_the_peers_error(changes, why):
    with pytest.raises(LinkPeerError, match=why):
        unpack(framed([record(1)], **changes))


def test_records_out_of_order_are_the_peers_error():
    with pytest.raises(LinkPeerError, match="order"):
        unpack(framed([record(2), record(1)], first=2, last=1))


def test_a_bomb_is_refused_before_it_is_inflated():
    bomb = zstandard.ZstdCompressor().compress(b"\0" * (RAW_BYTES_MAX + 1))
    assert len(bomb) < 10_000
    with pytest.raises(LinkPeerError, match="says that it holds"):
        unpack(framed([record(1)], blob=bomb, zipped=True, raw_bytes=RAW_BYTES_MAX + 1))


@given(st.binary(max_size=200))
@settings(max_examples=200, deadline=None)
def test_random_bytes_never_do_more_than_raise_the_peers_error(data):
    with contextlib.suppress(LinkPeerError):
        decode(data)


@pytest.mark.slow
@given(st.data())
@settings(max_examples=100, deadline=None)
def test_mutated_frames_never_do_more_than_raise_the_peers_error(data):
    frame = data.draw(
        st.sampled_from(
            [
                framed([record(n, b"v" * 100) for n in range(1, 9)]),
                Hello("site", 1, 1, [(ORIGIN, 0)], 5, 100, 1000, 0),
                Live(1, "message", 1000, b"body"),
                frames.Holdings([Known(ORIGIN, 3, 8)]),
            ]
        )
    )
    mutated = bytearray(encode(frame))
    for _ in range(data.draw(st.integers(1, 4))):
        mutated[data.draw(st.integers(0, len(mutated) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(LinkPeerError):
        read = decode(bytes(mutated))
        if isinstance(read, Records):
            unpack(read)


ITEMS = [("thing:a:b", b"x" * 900, "site"), ("policy:a:b", b"y", "")]


def part_of(items=ITEMS, **changes):
    blob, raw_bytes, zipped = deflate(items)
    members = {
        "origin": "cloud/1", "telling": "cloud/1#1", "number": 0, "after": "", "upto": "",
        "last": True, "tenants": ["T"], "hlc": 7, "held": [], "gaps": [Known("cloud/1", 2, 9)],
        "count": len(items), "raw_bytes": raw_bytes, "zipped": zipped, "blob": blob,
    }  # fmt: skip
    return Part(**members | changes)


def test_a_piece_of_state_comes_as_it_was_sent():
    frame = decode(encode(part_of()))
    assert frame == part_of()
    assert unpack_part(frame, owner="cloud") == ITEMS
    assert decode(encode(Taken(3, refused=True))) == Taken(3, refused=True)
    assert decode(encode(Again(["thing:a:b"]))) == Again(["thing:a:b"])


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"origin": "other/1"}, "which is not it"),
        ({"count": 3}, "2 items, not 3"),
        ({"count": -1}, "smaller than nothing"),
        ({"raw_bytes": 1 << 30}, "a blob says"),
        ({"blob": b"\x93", "zipped": False, "raw_bytes": 1}, "holds no state"),
        ({"blob": b"1", "zipped": True}, "a blob"),
    ],
)
def test_a_piece_of_state_that_lies_is_refused(changes, sentence):
    with pytest.raises(LinkPeerError, match=sentence):
        unpack_part(part_of(**changes), owner="cloud")
