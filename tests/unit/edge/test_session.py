"""One session against frames written by hand: its rules, one by one."""

import pytest

from littoral.edge.core import (
    Advanced,
    Answered,
    Apply,
    Close,
    Deliver,
    Filled,
    Greeted,
    Known,
    LinkSession,
    Measured,
    Now,
    Opened,
    Restamp,
    Transmit,
)
from littoral.edge.core import frames as f
from littoral.edge.core.outflow import TELL_EVERY_SEQS
from littoral.edge.errors import LinkBusy
from littoral.edge.model import LIVE_PENDING_MAX, LinkPhase, LinkSettings
from littoral.kernel.ids import NodeId, Origin
from littoral.log import Record

SITE, CLOUD = Origin("site/00000000000000aa"), Origin("cloud/00000000000000bb")
SETTINGS = LinkSettings(window_records=10, window_bytes=100_000)
START = Now(0.0, 1_000_000)


def at(s):
    return Now(s, 1_000_000 + int(s * 1000))


def hello(**changes):
    fields = {
        "node": "cloud",
        "version_min": 1,
        "version_max": 1,
        "chain": [(CLOUD, 0)],
        "head": 0,
        "window_records": 10,
        "window_bytes": 100_000,
        "now_ms": 0,
    }
    return f.Hello(**(fields | changes))


class Driven:
    def __init__(self, *, head=100, client=True):
        self.session = LinkSession(
            node=NodeId("site"),
            chain=[(SITE, 0)],
            head=head,
            settings=SETTINGS,
            now=START,
            is_client=client,
        )

    def opened(self, known=()):
        self.hear(hello())
        self.session.greet([], START)
        self.hear(f.Holdings([Known(*k) for k in known]))
        self.effects()
        return self

    def hear(self, frame, now=START):
        self.session.receive(f.encode(frame), now)

    def effects(self):
        return self.session.take()

    def sent(self):
        return [f.decode(e.data) for e in self.effects() if isinstance(e, Transmit)]

    def closed(self):
        (close,) = [e for e in self.effects() if isinstance(e, Close)]
        return close


def record(seq, cls=3, value=b"v"):
    return Record(seq, seq << 16, None, cls, "k", "x:y", 0, 0, "/", value, None, SITE, seq)


def peer_records(number, first=1, **changes):
    blob, raw_bytes, zipped = f.pack(
        [record(n)._replace(origin=CLOUD) for n in range(first, first + number)]
    )
    last = first + number - 1
    fields = {
        "origin": CLOUD, "cls": 3, "first": first, "last": last, "scanned_to": last,
        "count": number, "raw_bytes": raw_bytes, "flags": 0, "zipped": zipped, "blob": blob,
    }  # fmt: skip
    return f.Records(**(fields | changes))


def test_the_client_speaks_first_and_the_server_answers():
    client, server = Driven(), Driven(client=False)
    assert [type(x) for x in client.sent()] == [f.Hello]
    assert server.effects() == []
    server.hear(hello())
    (greeted,) = server.effects()
    assert isinstance(greeted, Greeted)
    server.session.greet([Known("cloud/x", 3, 5)], START)
    assert [type(x) for x in server.sent()] == [f.Hello, f.Holdings]


def test_a_session_is_open_when_both_sides_have_said_what_they_hold():
    driven = Driven()
    driven.hear(hello())
    driven.session.greet([], START)
    assert driven.session.phase is LinkPhase.OPENING
    driven.effects()
    driven.hear(f.Holdings([]))
    assert driven.session.phase is LinkPhase.OPEN
    assert isinstance(driven.effects()[0], Opened)


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (hello(version_min=9, version_max=9), "link.version"),
        (hello(node="site"), "link.conflict"),
        (f.Ping(1), "link.peer"),
        (f.Bye("link.conflict", "go away"), "link.conflict"),
    ],
    ids=["version", "same name", "not a hello", "bye"],
)
def test_a_bad_beginning_ends_the_session(frame, code):
    driven = Driven()
    driven.hear(frame)
    assert driven.closed().code == code


@pytest.mark.parametrize(
    "frame",
    [
        hello(),
        f.Holdings([]),
        f.Credit(-1, 0),
        peer_records(11),
        peer_records(1, origin="other/1"),
        peer_records(1, flags=f.TAIL),
        peer_records(1, cls=5),
        peer_records(2, scanned_to=1),
        f.Wanted(SITE, 3, 0),
        f.Refused(CLOUD, 3, [(1, 2)], 0),
    ],
    ids=[
        "second hello", "second holdings", "credit back", "over credit", "others' records",
        "tail of another", "class", "beyond its scan", "wants mine", "refuses its own",
    ],
)  # fmt: skip
def test_what_the_protocol_forbids_ends_the_session(frame):
    driven = Driven().opened()
    driven.hear(frame)
    assert driven.closed().code == "link.peer"
    assert driven.session.phase is LinkPhase.CLOSED


def test_unknown_frames_are_counted_and_passed_by():
    driven = Driven().opened()
    driven.session.receive(b"\x92\xa1Z\x01", START)
    assert driven.session.unknown_frames == 1
    assert driven.session.phase is LinkPhase.OPEN


def test_alarms_are_read_first_and_never_more_than_the_credit():
    driven = Driven().opened()
    read = driven.session.next_read()
    assert (read.cls, read.after, read.limit) == (0, 0, 10)
    for cls in range(3):
        read = driven.session.next_read()
        assert read.cls == cls
        driven.session.supply(read, [], committed=100, keep=lambda _: True)
    read = driven.session.next_read()
    driven.session.supply(
        read, [record(n) for n in range(1, 11)], committed=100, keep=lambda _: True
    )
    assert driven.session.next_read() is None
    driven.hear(f.Credit(4, 1000))
    assert driven.session.next_read().limit == 4


def test_an_ack_moves_the_cursor_of_its_class_only():
    driven = Driven(head=5).opened(known=[(SITE, 3, 2)])
    driven.session.note(3, 5)
    for _ in range(5):
        read = driven.session.next_read()
        found = [record(n) for n in (3, 4, 5)] if read.cls == 3 else []
        driven.session.supply(read, found, committed=5, keep=lambda _: True)
    driven.effects()
    driven.hear(f.Ack([Known(SITE, 3, 4), Known(CLOUD, 3, 9), Known(SITE, 77, 1)]))
    assert [e for e in driven.effects() if isinstance(e, Advanced)] == []
    driven.hear(f.Ack([Known(SITE, 3, 5)]))
    assert driven.effects() == [Advanced(3, 5, 3, 3, drained=True)]


def test_what_is_not_for_the_peer_moves_the_position_and_is_told_now_and_then():
    count = TELL_EVERY_SEQS + 10
    driven = Driven(head=count).opened()
    frames = []
    while (read := driven.session.next_read()) is not None:
        last = min(read.after + read.limit, count) if read.cls == 3 else read.after
        found = [record(n) for n in range(read.after + 1, last + 1)]
        driven.session.supply(read, found, committed=count, keep=lambda _: False)
        frames += [x for x in driven.sent() if isinstance(x, f.Records)]
    assert {x.count for x in frames} == {0}
    assert max(x.scanned_to for x in frames if x.cls == 3) >= TELL_EVERY_SEQS


def test_records_are_acknowledged_after_the_commit_and_give_credit_back():
    driven = Driven().opened()
    driven.hear(peer_records(6))
    (apply,) = driven.effects()
    assert isinstance(apply, Apply)
    driven.session.flush()
    assert driven.sent() == []
    driven.session.committed(apply)
    driven.session.flush()
    ack, credit = driven.sent()
    assert ack == f.Ack([Known(CLOUD, 3, 6)])
    assert credit == f.Credit(6, apply.raw_bytes)
    driven.hear(peer_records(10, first=7))
    assert driven.session.phase is LinkPhase.OPEN


def test_a_ping_measures_the_round_trip_and_the_clocks():
    driven = Driven().opened()
    driven.session.tick(at(SETTINGS.ping_every_s), committed=0)
    (ping,) = [x for x in driven.sent() if isinstance(x, f.Ping)]
    now = at(SETTINGS.ping_every_s + 0.2)
    driven.hear(f.Pong(ping.id, now.ms + 60_000 - 100), now)
    (measured,) = [e for e in driven.effects() if isinstance(e, Measured)]
    assert measured.round_trip_s == pytest.approx(0.2)
    assert measured.skew_ms == 60_000
    driven.hear(f.Pong(999, 0), now)
    assert driven.effects() == []


def test_silence_ends_the_session_and_whoever_waits_is_told():
    driven = Driven().opened()
    number = driven.session.ask("message", b"x", ttl_s=60, now=START)
    driven.effects()
    driven.session.tick(at(SETTINGS.ping_timeout_s), committed=0)
    effects = driven.effects()
    assert Answered(number, b"", "link.closed", "the link went down.") in effects
    assert isinstance(effects[-1], Close)
    assert effects[-1].code == "link.silent"


def test_a_hello_that_is_never_finished_times_out():
    driven = Driven()
    assert driven.session.deadline() == SETTINGS.hello_timeout_s
    driven.session.tick(at(SETTINGS.hello_timeout_s), committed=0)
    assert driven.closed().code == "link.timeout"


def test_a_live_message_is_answered_once_or_times_out():
    driven = Driven().opened()
    first = driven.session.ask("message", b"x", ttl_s=2, now=START)
    second = driven.session.ask("message", b"y", ttl_s=3, now=START)
    driven.effects()
    driven.hear(f.Answer(first, b"a"))
    driven.hear(f.Answer(first, b"again"))
    assert driven.effects() == [Answered(first, b"a", "", "")]
    assert driven.session.deadline() == 3
    driven.session.tick(at(3), committed=0)
    assert [e.code for e in driven.effects() if isinstance(e, Answered)] == ["link.timeout"]
    driven.hear(f.Answer(second, b"late"), at(3.1))
    assert driven.effects() == []


def test_too_many_live_messages_are_refused_at_the_sender():
    driven = Driven().opened()
    for _ in range(LIVE_PENDING_MAX):
        driven.session.ask("message", b"", ttl_s=60, now=START)
    with pytest.raises(LinkBusy):
        driven.session.ask("message", b"", ttl_s=60, now=START)


def test_a_message_of_the_peer_is_delivered_and_answered():
    driven = Driven().opened()
    driven.hear(f.Live(7, "message", 1500, b"x"))
    assert driven.effects() == [Deliver(7, "message", b"x", 1.5, wants_answer=True)]
    driven.session.answer(7, b"", code="command.timeout", message="nobody.")
    assert driven.sent() == [f.Answer(7, b"", "command.timeout", "nobody.")]


def test_a_refusal_asks_for_new_stamps_and_is_settled():
    driven = Driven().opened()
    driven.hear(f.Refused(SITE, 3, [(4, 6)], 0))
    assert driven.effects() == [Restamp(SITE, 3, ((4, 6),))]
    driven.session.settle(SITE, 3, 6)
    assert driven.sent() == [f.Settled(SITE, 3, 6)]


def test_a_large_value_gets_a_frame_of_its_own_size():
    driven = Driven(head=3).opened()
    for _ in range(3):
        driven.session.supply(driven.session.next_read(), [], committed=3, keep=lambda _: True)
    # Telemetry is next; bulk after it.
    big = [record(n, value=b"v" * 400_000) for n in (1, 2, 3)]
    driven.effects()
    driven.hear(f.Credit(0, 10_000_000))
    read = driven.session.next_read()
    driven.session.supply(read, big, committed=3, keep=lambda _: True)
    (frame,) = driven.sent()
    assert frame.count == 1
    driven.session.supply(driven.session.next_read(), [], committed=3, keep=lambda _: True)
    again = driven.session.next_read()
    assert (again.cls, again.after, again.limit) == (3, 1, 2)


def test_a_lost_tail_is_sent_back_from_where_it_is_wanted():
    driven = Driven(head=0).opened()
    driven.hear(f.Wanted(CLOUD, 3, 5))
    read = driven.session.next_read()
    assert (read.origin, read.cls, read.after, read.tail) == (CLOUD, 3, 0, True)
    held = [record(n)._replace(origin=CLOUD, seq=n + 50) for n in range(3, 9)]
    driven.session.supply(read, held, committed=99, keep=lambda _: False)
    (frame,) = driven.sent()
    assert (frame.first, frame.last, frame.flags) == (6, 8, f.REPLAY | f.TAIL)
    read = driven.session.next_read()
    assert read.after == 58
    driven.session.supply(read, [], committed=99, keep=lambda _: False)
    assert driven.session.next_read() is None


def test_a_session_that_is_over_does_nothing_more():
    driven = Driven().opened()
    driven.session.close("link.disabled", "off.")
    driven.effects()
    driven.session.close("link.disabled", "off again.")
    driven.session.abandon()
    driven.session.tick(at(1000), committed=0)
    driven.session.greet([], START)
    driven.session.answer(1, b"")
    driven.session.flush()
    driven.hear(f.Ping(1))
    assert driven.effects() == []
    assert driven.session.next_read() is None


def test_before_its_time_a_tick_of_an_opening_session_does_nothing():
    driven = Driven()
    driven.effects()
    driven.session.tick(at(0.1), committed=0)
    assert driven.effects() == []


def test_what_was_looked_at_is_acknowledged_without_giving_credit_back():
    driven = Driven().opened()
    driven.hear(peer_records(0, scanned_to=90, first=0, last=0))
    (apply,) = driven.effects()
    driven.session.committed(apply)
    driven.session.flush()
    ack, credit = driven.sent()
    assert ack == f.Ack([Known(CLOUD, 3, 90)])
    assert credit.records == 0


def test_what_others_hold_of_third_nodes_is_not_looked_at():
    driven = Driven().opened(known=[("other/00", 3, 50), (SITE, 3, 60)])
    assert driven.session.positions[3] == 60


def test_a_backfill_goes_on_behind_what_the_peer_has_of_it():
    driven = Driven(head=100).opened(
        known=[(f"{SITE}+2", 3, 40), *((SITE, c, 100) for c in range(5))]
    )
    driven.session.backfill("2", {3: 60, 4: 0})
    assert driven.effects() == []
    read = driven.session.next_read()
    assert (read.cls, read.after, read.lane) == (3, 40, "2")
    driven.session.supply(
        read, [record(n) for n in range(55, 65)], committed=100, keep=lambda r: r.seq % 2 == 0
    )
    (frame,) = driven.sent()
    assert (frame.origin, frame.first, frame.last, frame.scanned_to) == (f"{SITE}+2", 56, 60, 60)
    assert driven.session.next_read() is None
    driven.hear(f.Ack([Known(f"{SITE}+2", 3, 50)]))
    assert driven.effects() == []
    driven.hear(f.Ack([Known(f"{SITE}+2", 3, 60)]))
    assert driven.effects() == [Filled("2")]


@pytest.mark.parametrize("changes", [{"raw_bytes": -5}, {"count": -1}], ids=["bytes", "count"])
def test_a_frame_smaller_than_nothing_gives_nobody_credit(changes):
    driven = Driven().opened()
    driven.hear(peer_records(1, **changes))
    assert driven.closed().code == "link.peer"
