"""The pure decisions, and the bytes of pages."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from littoral.kernel.time import hlc_of
from littoral.log import Budget, ClassUsage, Record, RecordClass, Retention, Salvage
from littoral.log.codec import (
    PageDamaged,
    chunks,
    decode_keys,
    decode_page,
    encode_merged,
    encode_page,
    merge_pages,
)
from littoral.log.core import (
    CursorState,
    Pin,
    decode_cursor,
    lost_range,
    merge_origins,
    next_stamp,
    pinned_from,
    plan_cuts,
    salvage_value,
    snapshot_key,
    snapshot_of,
    surplus_snapshots,
)

ALARM, EVENT, STATE, TELEMETRY, BULK = RecordClass
FAR = 1 << 60


@given(st.integers(0, 1 << 62), st.integers(0, 1 << 45))
def test_a_stamp_is_later_than_the_last_and_not_before_the_clock(last, now_ms):
    stamp = next_stamp(last, now_ms)
    assert stamp > last and stamp >= hlc_of(now_ms)


def usage(cls, size, oldest_ms=1000):
    return ClassUsage(cls, size // 10, size, oldest_ms)


def retention(bytes_max=1000, age_ms_max=FAR, total=FAR):
    return Retention(total, dict.fromkeys(RecordClass, Budget(bytes_max, age_ms_max)))


def plan(used, rule, *, total=0, pins=(), hold=FAR, now_ms=5000):
    return plan_cuts(used, rule, now_ms=now_ms, bytes_used=total, pins=pins, hold=hold)


def test_nothing_is_cut_within_the_budgets():
    assert plan([usage(c, 1000) for c in RecordClass], retention(), total=5000) == []


def test_a_class_over_its_bytes_is_cut_by_the_excess():
    cut = plan([usage(TELEMETRY, 1500)], retention())[0]
    assert (cut.cls, cut.bytes_over, cut.older_than_ms, cut.reason) == (
        TELEMETRY, 500, None, "class_bytes"
    )  # fmt: skip


def test_the_total_is_taken_from_the_lowest_class_and_alarms_last():
    cuts = plan([usage(c, 10) for c in RecordClass], retention(total=40), total=50)
    assert [c.cls for c in cuts] == [BULK, TELEMETRY, STATE, EVENT, ALARM]
    assert {c.reason for c in cuts} == {"total_bytes"}


def test_age_respects_pins_and_the_hold():
    used = [usage(TELEMETRY, 10, oldest_ms=100)]
    old = retention(age_ms_max=1000)
    assert plan(used, old)[0].below == FAR
    assert plan(used, old, pins=[Pin(41, None)])[0].below == 42
    assert plan(used, old, pins=[Pin(41, EVENT)])[0].below == FAR
    assert plan(used, old, pins=[Pin(41, TELEMETRY)], hold=7)[0].below == 7
    assert plan(used, old, now_ms=1050) == []


def test_a_class_without_a_budget_or_without_records_is_left_alone():
    empty = ClassUsage(BULK, 0, 0, None)
    assert plan([empty, usage(STATE, 99)], Retention(FAR, {}), total=0) == []


def test_the_lowest_pin_of_a_class_counts():
    pins = [Pin(10, None), Pin(5, EVENT), Pin(1, ALARM)]
    assert [pinned_from(pins, c) for c in (EVENT, ALARM, BULK)] == [6, 2, 11]


def test_what_a_reader_missed_is_told_once():
    assert lost_range(5, 0, 9) == (6, 9)
    assert lost_range(5, 9, 9) is None
    assert lost_range(5, 7, 9) == (8, 9)
    assert lost_range(9, 0, 9) is None


def test_a_cursor_is_read_back_as_written_and_without_members_it_does_not_know():
    state = CursorState(7, 3, pinned=True, lost_to=2, used_ms=99)
    assert decode_cursor(state.encode()) == state
    assert decode_cursor(b'{"position":4,"later":[1]}').position == 4


def test_origins_of_pages_are_joined():
    parts = [("a/1", 5, 9, 3), ("b/1", 1, 1, 1), ("a/1", 10, 20, 4)]
    assert merge_origins(parts) == {"a/1": (5, 20, 7), "b/1": (1, 1, 1)}


def test_the_ledger_of_a_salvage_says_what_is_known():
    value = salvage_value(Salvage("x.damaged-1", 5, None, ((3, 4), (9, 9)), "why"))
    assert b'"from":3,"to":9,"count":null' in value and b'"gaps":[[3,4],[9,9]]' in value


@given(st.text(min_size=1, max_size=9), st.integers(0, 1 << 60), st.integers(0, 1 << 60))
def test_snapshot_keys_put_the_newest_first(entity, one, two):
    assert snapshot_of(snapshot_key(entity, one)) == (entity, one)
    assert (snapshot_key(entity, one) < snapshot_key(entity, two)) == (one > two)


def test_thinning_snapshots_keeps_the_newest_and_ever_fewer_older_ones():
    keys = [str(n) for n in range(1000)]
    gone = set(surplus_snapshots(keys))
    kept = [n for n in range(1000) if str(n) not in gone]
    assert kept[:8] == list(range(8)) and len(kept) < 70
    assert kept[-1] > 700
    assert surplus_snapshots(keys[:8]) == []


def record(seq, **fields):
    base = Record(
        seq, seq << 16, None, 3, "k", "thing:a:b", seq, 0, "/", b"v" * 50, None, "e/1", seq
    )
    return base._replace(**fields)


@pytest.mark.parametrize("size", [1, 10, 500])
def test_a_page_is_read_back_as_written(size):
    records = [record(s, headers={"a": [1, None]}, device_time=-s) for s in range(1, size + 1)]
    assert decode_page(*encode_page(records)) == records
    assert [(k.entity, k.revision, k.seq) for k in decode_keys(*encode_page(records))] == [
        ("thing:a:b", s, s) for s in range(1, size + 1)
    ]


def test_fields_of_a_later_release_are_ignored_when_read_and_kept_when_merged():
    grown = [(*record(s), "later", {"x": s}) for s in (1, 2)]
    page = (0, msgspec.msgpack.encode(grown))
    assert decode_page(*page) == [record(1), record(2)]
    merged = encode_merged(merge_pages([page, encode_page([record(3)])]))
    assert decode_page(*merged) == [record(1), record(2), record(3)]
    assert msgspec.msgpack.decode(merged[1])[0][-2:] == ["later", {"x": 1}]


@pytest.mark.parametrize("blob", [b"", b"\xc1", b"\x91\x01", b"\x91\x91\x01", b"garbage" * 99])
@pytest.mark.parametrize("codec", [0, 1, 77])
def test_bytes_that_are_no_page_are_told_apart(codec, blob):
    with pytest.raises(PageDamaged):
        decode_page(codec, blob)


@given(st.lists(st.integers(0, 3 << 20), max_size=50))
def test_pages_are_cut_by_number_and_bytes(sizes):
    ranges = list(chunks(sizes))
    assert [i for a, b in ranges for i in range(a, b)] == list(range(len(sizes)))
    for a, b in ranges:
        assert b - a == 1 or sum(sizes[a:b]) <= 1 << 20
