"""What the checkers say of records that must not be."""

import pytest

from littoral.log import Record
from littoral.simulate.devices import Memory, Sent
from littoral.simulate.judge import (
    Verdict,
    check_arrived,
    check_devices,
    check_log,
    check_order,
    check_scope,
)

THING = "thing:s1:d"


def record(seq, *, revision=0, prev=0, entity=THING, origin="site-1/a", oseq=None, **fields):
    headers = fields.pop("headers", None)
    values = {"value": b"{}", "cls": 3, "path": "/", "kind": "thing.merged"} | fields
    return Record(
        seq=seq,
        hlc=seq,
        device_time=None,
        entity=entity,
        revision=revision,
        prev_seq=prev,
        headers=headers,
        origin=origin,
        oseq=seq if oseq is None else oseq,
        **values,
    )


def findings(check, *arguments):
    verdict = Verdict(0)
    check(verdict, *arguments)
    return verdict.findings


GOOD = [record(1, revision=1), record(2), record(3, revision=2, prev=1)]


def test_a_good_log_is_not_accused():
    assert findings(check_log, "x", GOOD) == []


@pytest.mark.parametrize(
    ("bad", "expected"),
    [
        (record(4, revision=4, prev=3), "from revision 2 to 4"),
        (record(4, revision=2, prev=3), "from revision 2 to 2"),
        (record(4, revision=3, prev=1), "says that 1 was before it, and 3 was"),
        (record(4, oseq=2), "is stored twice"),
        (record(2, oseq=9), "seq 2 comes after 3"),
    ],
)
def test_gaps_repetitions_and_broken_chains_are_found(bad, expected):
    assert expected in findings(check_log, "x", [*GOOD, bad])[0]


class Device:
    def __init__(self, *acknowledged):
        self.memory = Memory(acknowledged={n: Sent(n, "t", b"%d" % n) for n in acknowledged})


def sent(seq, number, **fields):
    return record(seq, headers={"id": f"m{number}"}, value=b"%d" % number, **fields)


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        ([sent(1, 1), sent(2, 2)], []),
        ([sent(1, 1)], ["m2 was acknowledged and is there 0 times"]),
        ([sent(1, 1), sent(2, 2), sent(3, 2)], ["m2 was acknowledged and is there 2 times"]),
        ([sent(1, 1), sent(2, 2)._replace(value=b"?")], ["m2 is not what was sent"]),
        ([sent(1, 2), sent(2, 1)], ["m1 comes after m2"]),
        ([sent(1, 1), sent(2, 2), sent(3, 3), sent(4, 3)], ["m3 is there 2 times"]),
    ],
)
def test_what_devices_saw_acknowledged_is_compared(records, expected):
    found = findings(check_devices, "x", records, {"s1:d": Device(1, 2)})
    assert len(found) == len(expected)
    assert all(part in sentence for part, sentence in zip(expected, found, strict=True))


def test_a_record_that_was_stamped_anew_counts_once():
    again = sent(3, 1)._replace(headers={"id": "m1", "restamped": "site-1/a:1"})
    assert findings(check_devices, "x", [sent(1, 1), again], {"s1:d": Device(1)}) == []
    assert findings(check_arrived, "x", [sent(1, 1), again], [again]) == []


def test_order_is_judged_per_class_and_only_where_nothing_was_refused():
    mixed = [sent(1, 2, cls=1), sent(2, 1, cls=3)]
    assert findings(check_order, "x", mixed, ()) == []
    wrong = [sent(1, 2), sent(2, 1)]
    assert len(findings(check_order, "x", wrong, ())) == 1
    assert findings(check_order, "x", wrong, {1}) == []


def test_what_is_missing_or_changed_in_the_cloud_is_found():
    assert "is not in the cloud" in findings(check_arrived, "x", [record(1)], [])[0]
    changed = record(7, oseq=1)._replace(value=b"[]")
    assert "in the cloud" in findings(check_arrived, "x", [record(1)], [changed])[0]
    replayed = record(1)._replace(seq=7, headers={"replayed": True})
    assert findings(check_arrived, "x", [record(1)], [replayed]) == []


def test_records_of_other_sites_are_found():
    assert findings(check_scope, "x", GOOD, "s1") == []
    assert len(findings(check_scope, "x", GOOD, "s2")) == 3
