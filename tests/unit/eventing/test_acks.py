"""Acknowledgements: who may give which, and what a signal waits for."""

import asyncio

import pytest

from littoral.eventing import (
    ACK_LABELS_MAX,
    ACKS_PENDING_MAX,
    WEAK_ACK,
    Ack,
    AckCorrelationMissing,
    AckLabelForbidden,
    AckLabelNotDeclared,
    AckLabelNotUnique,
    Acknowledgements,
    DuplicateCorrelation,
    InvalidAckLabel,
    TooManyMessages,
    combined_document,
    combined_status,
)
from littoral.kernel.errors import Unavailable

THING = "org.acme:pump"


def now():
    return asyncio.get_running_loop().time()


def test_a_signal_waits_until_all_labels_are_there_and_gives_them_in_the_order_asked(world):
    async def main():
        acks = Acknowledgements()
        acks.declare("a", {"first", "second"})
        expected = acks.expect(THING, "c1", ["second", "first", "twin-persisted"], 10)
        assert acks.issue("a", THING, "c1", "first", Ack(201, {"x": 1}))
        assert acks.acknowledge(THING, "c1", "twin-persisted", Ack(204))
        assert expected.missing == {"second"}
        asyncio.get_running_loop().call_later(
            3, acks.issue, "a", THING, "c1", "second", Ack(200, headers={"h": "v"})
        )
        found = await expected.result()
        assert now() == 3
        assert list(found) == ["second", "first", "twin-persisted"]
        assert combined_status(found) == 200
        assert combined_document(found)["first"] == {
            "status": 201,
            "payload": {"x": 1},
            "headers": {},
        }
        assert combined_document(found)["second"] == {"status": 200, "headers": {"h": "v"}}
        assert (acks.statistics().pending, acks.statistics().acknowledged) == (0, 3)

    world(main)


def test_what_is_missing_at_the_deadline_stands_as_408_and_all_together_as_424(world):
    async def main():
        acks = Acknowledgements()
        expected = acks.expect(THING, "c1", ["nobodys", "twin-persisted"], 4)
        acks.acknowledge(THING, "c1", "twin-persisted", Ack(204))
        found = await expected.result()
        assert now() == 4
        assert found["nobodys"].status == 408
        assert found["nobodys"].payload["error"] == "acknowledgement:request.timeout"
        assert combined_status(found) == 424
        assert acks.acknowledge(THING, "c1", "nobodys", Ack(200)) is False
        assert (acks.statistics().timed_out, acks.statistics().late) == (1, 1)

    world(main)


def test_one_acknowledgement_alone_gives_its_own_status():
    assert combined_status({"x": Ack(409)}) == 409
    assert combined_status({"x": Ack(200), "y": Ack(299)}) == 200
    assert combined_status({"x": Ack(200), "y": Ack(304)}) == 424


def test_a_label_has_one_owner_until_its_last_declaration_is_closed(world):
    async def main():
        acks = Acknowledgements()
        one, two = acks.declare("group", {"lab"}), acks.declare("group", {"lab", "more"})
        with pytest.raises(AckLabelNotUnique):
            acks.declare("other", {"free", "lab"})
        assert acks.declared("free") is None  # all or none
        one.close()
        one.close()
        assert acks.declared("lab") == "group"
        two.close()
        assert acks.declared("lab") is None and acks.statistics().declared == 0
        acks.declare("other", {"lab"})

    world(main)


@pytest.mark.parametrize("label", ["twin-persisted", "search-persisted", "live-response"])
def test_built_in_labels_are_the_nodes_own(world, label):
    async def main():
        acks = Acknowledgements()
        with pytest.raises(AckLabelForbidden):
            acks.declare("a", {label})
        with pytest.raises(AckLabelForbidden):
            acks.issue("a", THING, "c1", label, Ack(200))

    world(main)


def test_who_has_not_declared_a_label_may_not_give_it(world):
    async def main():
        acks = Acknowledgements()
        acks.declare("a", {"lab"})
        acks.expect(THING, "c1", ["lab"], 10)
        for label in ("lab", "unknown"):
            with pytest.raises(AckLabelNotDeclared):
                acks.issue("b", THING, "c1", label, Ack(200))
        with pytest.raises(AckCorrelationMissing):
            acks.issue("a", THING, "", "lab", Ack(200))
        assert acks.statistics().acknowledged == 0

    world(main)


@pytest.mark.parametrize("label", ["", "ab", "a b c", "ä-label", "x" * 101])
def test_a_label_that_cannot_be_one_is_refused(world, label):
    async def main():
        acks = Acknowledgements()
        for refused in (
            lambda: acks.declare("a", {label}),
            lambda: acks.expect(THING, "c1", [label], 1),
            lambda: acks.issue("a", THING, "c1", label, Ack(200)),
        ):
            with pytest.raises(InvalidAckLabel):
                refused()

    world(main)


def test_the_same_correlation_id_waits_once_per_thing(world):
    async def main():
        acks = Acknowledgements()
        first = acks.expect(THING, "c1", ["lab"], 10)
        acks.expect("org.acme:other", "c1", ["lab"], 10)
        with pytest.raises(DuplicateCorrelation) as e:
            acks.expect(THING, "c1", ["lab"], 10)
        assert e.value.code == "acknowledgement:request.duplicate.correlation-id"
        first.close()
        acks.expect(THING, "c1", ["lab"], 10)

    world(main)


def test_a_subscriber_that_filtered_a_signal_out_is_answered_for_weakly(world):
    async def main():
        acks = Acknowledgements()
        acks.declare("a", {"mine"})
        acks.declare("b", {"theirs"})
        expected = acks.expect(THING, "c1", ["mine", "theirs"], 5)
        acks.weak("a", THING, "c1", ["mine", "theirs"])
        acks.weak("a", THING, "unknown", ["mine"])
        assert expected.missing == {"theirs"}
        # A strong one that comes after it changes nothing.
        assert acks.issue("a", THING, "c1", "mine", Ack(500)) is False
        acks.issue("b", THING, "c1", "theirs", Ack(204))
        found = await expected.result()
        assert found["mine"].headers[WEAK_ACK] is True and found["mine"].status == 200
        assert WEAK_ACK not in found["theirs"].headers
        assert acks.statistics().weak == 1

    world(main)


@pytest.mark.slow
def test_what_waits_is_bounded(world):
    async def main():
        acks = Acknowledgements()
        with pytest.raises(TooManyMessages):
            acks.declare("a", [f"label-{n}" for n in range(ACK_LABELS_MAX + 1)])
        for n in range(ACKS_PENDING_MAX):
            acks.expect(THING, str(n), ["lab"], 5)
        with pytest.raises(TooManyMessages):
            acks.expect(THING, "one-more", ["lab"], 5)
        await asyncio.sleep(6)
        acks.expect(THING, "one-more", ["lab"], 5)

    world(main)


def test_a_sender_that_gives_up_is_forgotten(world):
    async def main():
        acks = Acknowledgements()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await acks.expect(THING, "c1", ["lab"], 10).result()
        assert acks.statistics().pending == 0
        with acks.expect(THING, "c1", ["lab"], 10):
            assert acks.statistics().pending == 1
        assert acks.statistics().pending == 0
        assert await acks.expect(THING, "c1", [], 10).result() == {}

    world(main)


def test_at_the_end_of_the_node_who_waits_hears_so(world):
    async def main():
        acks = Acknowledgements()
        expected = acks.expect(THING, "c1", ["lab"], 10)
        acks.close()
        with pytest.raises(Unavailable):
            await expected.result()

    world(main)
