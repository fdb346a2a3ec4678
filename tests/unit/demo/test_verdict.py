"""The verdict can fail: planted loss, duplicates and reorderings are found."""

import pytest

from littoral.app.demo.model import Acknowledged, Stored
from littoral.app.demo.verdict import compare, quantiles

SITE = "site-one/00000000000000aa"
THING = "org.shuttle:shuttle-000"


def record(seq, number, *, oseq=None, origin=SITE, thing=THING, cls=3):
    return Stored(seq, origin, seq if oseq is None else oseq, cls, thing, number)


def acked(*numbers, thing=THING):
    return [Acknowledged(thing, numbers)]


def test_a_clean_run_counts_everything_once():
    counts = compare(acked(1, 2, 3), [record(n, n) for n in (1, 2, 3)])
    assert (counts.acknowledged, counts.in_cloud) == (3, 3)
    assert (counts.lost, counts.duplicated, counts.out_of_order) == (0, 0, 0)


def test_an_acknowledged_message_that_is_not_stored_is_lost():
    counts = compare(acked(1, 2, 3), [record(1, 1), record(2, 3)])
    assert (counts.lost, counts.in_cloud) == (1, 2)
    assert "message 2 was acknowledged" in counts.examples[0]


def test_a_message_of_another_thing_does_not_stand_in_for_a_lost_one():
    other = record(2, 2, thing="org.shuttle:shuttle-001")
    assert compare(acked(1, 2), [record(1, 1), other]).lost == 1


def test_all_of_a_device_that_the_cloud_never_heard_of_is_lost():
    assert compare(acked(1, 2, thing="org.shuttle:gone"), [record(1, 1)]).lost == 2


def test_one_identity_stored_twice_is_a_duplicate():
    counts = compare(acked(1), [record(1, 1), record(2, None, oseq=1)])
    assert counts.duplicated == 1


def test_a_number_stored_under_two_identities_is_a_duplicate():
    counts = compare(acked(1, 2), [record(1, 1), record(2, 2), record(3, 1)])
    assert counts.duplicated == 1
    assert counts.out_of_order == 0  # it is told once, as what it is


def test_equal_numbers_of_two_things_are_no_duplicates():
    other = record(2, 1, thing="org.shuttle:shuttle-001")
    assert compare(acked(1), [record(1, 1), other]).duplicated == 0


def test_a_younger_number_before_an_older_one_is_out_of_order():
    counts = compare(acked(1, 2), [record(1, 2), record(2, 1)])
    assert (counts.out_of_order, counts.lost, counts.duplicated) == (1, 0, 0)


def test_an_oseq_that_goes_back_is_out_of_order():
    counts = compare([], [record(1, None, oseq=9), record(2, None, oseq=8)])
    assert counts.out_of_order == 1


def test_order_holds_per_class_and_per_origin():
    later_epoch = "site-one/00000000000000bb"
    counts = compare(
        acked(1, 2, 3),
        [
            record(1, 2, oseq=7),
            record(2, 1, oseq=3, cls=1),
            record(3, 3, oseq=1, origin=later_epoch),
        ],
    )
    assert counts.out_of_order == 0


def test_what_is_stored_but_was_never_acknowledged_is_no_fault():
    counts = compare(acked(1), [record(1, 1), record(2, 2)])
    assert (counts.acknowledged, counts.in_cloud, counts.lost) == (1, 1, 0)


def test_examples_are_bounded():
    assert len(compare(acked(*range(1, 500)), []).examples) <= 20


@pytest.mark.parametrize(
    ("values", "p50", "p99"),
    [([], None, None), ([4.0], 4.0, 4.0), (list(map(float, range(100))), 50.0, 99.0)],
)
def test_quantiles_by_nearest_rank(values, p50, p99):
    assert (quantiles(values).p50, quantiles(values).p99) == (p50, p99)
