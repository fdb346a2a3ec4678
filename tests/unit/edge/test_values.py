"""Who starts where, who sees what, tokens, ranges, rates: functions over values."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from littoral.edge import EnrolmentToken, InvalidEnrolmentToken, Scope, check_url, parse_token
from littoral.edge.core import Known, Lost, relevant
from littoral.edge.core.resume import resume, spans
from littoral.edge.errors import LinkPeerError
from littoral.edge.messages import decode_message, decode_reply, encode_message, encode_reply
from littoral.edge.meter import Rate
from littoral.edge.model import HELD_RANGES_MAX
from littoral.edge.refusals import joined, ranges_of
from littoral.eventing import Direction, Message, Reply
from littoral.kernel.ids import NodeId, Origin
from littoral.log import Record

CHAIN = [("site/a", 0), ("site/b", 100), ("site/c", 250)]


@pytest.mark.parametrize(
    ("known", "positions", "lost"),
    [
        ([], {3: 0}, ()),
        ([Known("site/a", 3, 60)], {3: 60, 4: 0}, ()),
        ([Known("site/a", 3, 100), Known("site/b", 3, 140)], {3: 140}, ()),
        ([Known("site/a", 3, 170)], {3: 100}, (Lost("site/a", 3, 100, 170),)),
        ([Known("site/x", 3, 170)], {3: 0}, (Lost("site/x", 3, 0, 170),)),
        ([Known("site/c", 0, 400)], {0: 300, 3: 0}, (Lost("site/c", 0, 300, 400),)),
    ],
    ids=["nothing", "first epoch", "two epochs", "rolled back", "unknown epoch", "beyond head"],
)
def test_a_sender_starts_behind_what_the_peer_holds(known, positions, lost):
    got, gone = resume(spans(CHAIN), known, head=300)
    assert {c: got[c] for c in positions} == positions
    assert gone == lost


def of(entity, kind="thing.merged"):
    return Record(1, 1, None, 2, kind, entity, 0, 0, "/", b"", None, Origin("cloud/a"), 1)


SITE = Scope(node=NodeId("one"), tenants=frozenset({"T"}), namespaces=frozenset({"org.a"}))


@pytest.mark.parametrize(
    ("entity", "kind", "seen"),
    [
        ("thing:org.a:x", "thing.merged", True),
        ("thing:org.ab:x", "thing.merged", False),
        ("thing::x", "thing.merged", False),
        ("policy:org.a:p", "policy.created", True),
        ("tenant:T", "tenant.modified", True),
        ("tenant:T2", "tenant.modified", False),
        ("device:T/x", "device.modified", True),
        ("device:T2/x", "credentials.modified", False),
        ("site:one", "site.modified", True),
        ("site:two", "site.modified", False),
        ("site:one", "token.issued", False),
        ("user:root", "user.modified", False),
        ("log:cloud", "ledger.lost", False),
    ],
)
def test_a_site_sees_what_belongs_to_its_tenants(entity, kind, seen):
    assert relevant(of(entity, kind), SITE) is seen


def test_the_cloud_sees_everything_but_users_and_tokens():
    everything = Scope(everything=True)
    assert relevant(of("log:one", "ledger.lost"), everything)
    assert not relevant(of("user:root", "user.modified"), everything)


TOKEN = EnrolmentToken(NodeId("site-one"), "abc.def", "ab" * 32, "wss://cloud.example.org:8883")


def test_a_token_is_one_text():
    assert parse_token(TOKEN.text) == TOKEN
    assert parse_token(f"  {TOKEN.text}\n") == TOKEN
    assert parse_token(EnrolmentToken(NodeId("s"), "x", "ab" * 32).text).url == ""


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "!!!!",
        TOKEN.text[:-9],
        "e30",
        "ä" * 10,
        "a" * 5000,
        EnrolmentToken(NodeId("s"), "x", "abcd", "").text,
    ],
    ids=["empty", "short", "not base64", "cut", "empty object", "not ascii", "long", "no CA"],
)
def test_what_is_no_token_says_so(text):
    with pytest.raises(InvalidEnrolmentToken):
        parse_token(text)


@pytest.mark.parametrize(
    "url",
    ["ws://a:1", "wss://a", "wss://:1", "wss://a:1/x", "wss://u@a:1", "wss://a:99999", "a:1"],
)
def test_what_a_site_cannot_dial_is_refused(url):
    with pytest.raises(InvalidEnrolmentToken, match="wss://host:port"):
        check_url(url)


@given(st.sets(st.integers(1, 60)))
def test_ranges_hold_the_numbers_that_they_were_made_of(numbers):
    ranges = ranges_of(sorted(numbers))
    assert {n for a, b in ranges for n in range(a, b + 1)} == numbers
    assert joined([*ranges, *ranges]) == ranges


def test_too_many_ranges_are_joined_over_their_smallest_gaps():
    ranges = [(n * 10, n * 10 + 1) for n in range(HELD_RANGES_MAX + 1)]
    ranges[5] = (42, 51)
    assert len(joined(ranges)) == HELD_RANGES_MAX
    assert (40, 51) in joined(ranges)


def test_a_rate_fades():
    rate = Rate()
    for n in range(1000):
        rate.add(10, n / 10)
    assert rate.per_s(100) == pytest.approx(100, rel=0.1)
    assert rate.per_s(200) < 1


def test_a_message_and_its_reply_survive_the_journey():
    message = Message(
        "n:a", "stop", b"\0x", "text/plain", "f", Direction.OUTBOX, "c1",
        frozenset({"a:b", "c:d"}), headers={"h": "v"},
    )  # fmt: skip
    got, keep_s = decode_message(encode_message(message, keep_s=9.0), ttl_s=3.0)
    assert keep_s == 9.0
    for name in ("thing_id", "subject", "payload", "feature", "direction", "subjects", "headers"):
        assert getattr(got, name) == getattr(message, name)
    assert got.ttl_s == 3.0
    reply = Reply(204, b"x", "a/b", {"h": "v"})
    assert decode_reply(encode_reply(reply)) == reply


@pytest.mark.parametrize("data", [b"", b"\xc1", b"\x90", b"\x01"])
def test_a_message_that_cannot_be_read_is_the_peers_error(data):
    with pytest.raises(LinkPeerError):
        decode_message(data, ttl_s=1)
    with pytest.raises(LinkPeerError):
        decode_reply(data)
