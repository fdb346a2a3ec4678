"""Acknowledgements in any order of what can happen, against a model that is too simple to be wrong.

The model is a list of signals; each has the labels it waits for, what came, and when it dies.
"""

import asyncio

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from littoral.eventing import (
    WEAK_ACK,
    Ack,
    AckLabelNotDeclared,
    AckLabelNotUnique,
    Acknowledgements,
    DuplicateCorrelation,
    combined_status,
)
from littoral.simulate.loop import SimLoop

pytestmark = pytest.mark.slow

OWNERS = st.sampled_from(["anna", "bert", "cora"])
LABELS = st.sampled_from(["lab-1", "lab-2", "lab-3"])
THINGS = st.sampled_from(["n:a", "n:b"])
CORRELATIONS = st.sampled_from(["c1", "c2"])
STATUSES = st.sampled_from([200, 204, 400, 503])


class Waiting:
    """One signal of the model."""

    def __init__(self, labels, dies_at):
        self.labels = labels
        self.came = {}
        self.dies_at = dies_at

    @property
    def missing(self):
        return [label for label in self.labels if label not in self.came]


class AckMachine(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.loop = SimLoop()
        asyncio.set_event_loop(None)
        self.acks = self.on_loop(Acknowledgements)
        self.declared = []
        self.owners = {}
        self.waiting = {}
        self.results = []

    def on_loop(self, call, *args):
        """Call something as if from a callback of the loop."""

        async def main():
            return call(*args)

        return self.loop.run_until_complete(main())

    def teardown(self):
        self.on_loop(self.acks.close)
        self.loop.close()

    @rule(owner=OWNERS, labels=st.sets(LABELS, min_size=1))
    def declare(self, owner, labels):
        free = all(self.owners.get(label, {owner}) == {owner} for label in labels)
        try:
            made = self.on_loop(self.acks.declare, owner, labels)
        except AckLabelNotUnique:
            assert not free
            return
        assert free
        self.declared.append((made, owner, labels))
        self.reckon()

    @precondition(lambda self: self.declared)
    @rule(data=st.data())
    def undeclare(self, data):
        at = data.draw(st.integers(0, len(self.declared) - 1))
        made, _, _ = self.declared.pop(at)
        self.on_loop(made.close)
        self.reckon()

    def reckon(self):
        self.owners = {}
        for _, owner, labels in self.declared:
            for label in labels:
                self.owners.setdefault(label, set()).add(owner)

    @rule(
        thing=THINGS,
        correlation=CORRELATIONS,
        labels=st.lists(LABELS, min_size=1, unique=True),
        timeout_s=st.integers(1, 5),
    )
    def expect(self, thing, correlation, labels, timeout_s):
        key = (thing, correlation)
        try:
            expected = self.on_loop(self.acks.expect, thing, correlation, labels, timeout_s)
        except DuplicateCorrelation:
            assert key in self.waiting
            return
        assert key not in self.waiting
        model = Waiting(labels, self.loop.time() + timeout_s)
        self.waiting[key] = (expected, model)

    @rule(owner=OWNERS, thing=THINGS, correlation=CORRELATIONS, label=LABELS, status=STATUSES)
    def issue(self, owner, thing, correlation, label, status):
        ack = Ack(status)
        try:
            took = self.on_loop(self.acks.issue, owner, thing, correlation, label, ack)
        except AckLabelNotDeclared:
            assert self.owners.get(label) != {owner}
            return
        assert self.owners.get(label) == {owner}
        assert took is self.put(thing, correlation, label, ack)

    @rule(owner=OWNERS, thing=THINGS, correlation=CORRELATIONS, labels=st.sets(LABELS))
    def weak(self, owner, thing, correlation, labels):
        self.on_loop(self.acks.weak, owner, thing, correlation, labels)
        for label in labels:
            if self.owners.get(label) == {owner}:
                self.put(thing, correlation, label, None)

    def put(self, thing, correlation, label, ack):
        found = self.waiting.get((thing, correlation))
        if found is None or label not in found[1].missing:
            return False
        found[1].came[label] = ack
        self.settle((thing, correlation))
        return True

    def settle(self, key):
        """If a signal of the model has all that it waits for, the real one says the same."""
        expected, model = self.waiting[key]
        if model.missing and self.loop.time() < model.dies_at:
            return
        del self.waiting[key]
        found = self.loop.run_until_complete(expected.result())
        assert list(found) == model.labels
        for label, ack in found.items():
            match model.came.get(label, "late"):
                case "late":
                    assert ack.status == 408
                case None:
                    assert ack.headers[WEAK_ACK] is True and ack.status == 200
                case mine:
                    assert ack is mine
        statuses = [ack.status for ack in found.values()]
        fine = all(200 <= status < 300 for status in statuses)
        alone = statuses[0] if len(statuses) == 1 else None
        assert combined_status(found) == (alone or (200 if fine else 424))

    @rule(seconds=st.sampled_from([0.5, 1, 3]))
    def time_passes(self, seconds):
        self.loop.run_until_complete(asyncio.sleep(seconds))
        for key, (_, model) in list(self.waiting.items()):
            if self.loop.time() >= model.dies_at:
                self.settle(key)

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def give_up(self, data):
        key = data.draw(st.sampled_from(sorted(self.waiting)))
        expected, _ = self.waiting.pop(key)
        self.on_loop(expected.close)

    @invariant()
    def what_waits_is_what_the_model_says(self):
        counts = self.acks.statistics()
        assert counts.pending == len(self.waiting)
        assert counts.declared == len(self.owners)
        for label in ("lab-1", "lab-2", "lab-3"):
            owner = self.acks.declared(label)
            assert ({owner} if owner else set()) == self.owners.get(label, set())
        for expected, model in self.waiting.values():
            assert expected.missing == set(model.missing)


AckMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestAcks = AckMachine.TestCase
