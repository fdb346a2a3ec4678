"""Checkers must be able to fail: each test plants one bug in real nodes and sees it caught."""

import asyncio

import pytest

from littoral.edge.teller import Teller
from littoral.log.adapters.sqlite import SqliteStore
from littoral.registry import RegistryTelling
from littoral.simulate import Late
from littoral.simulate.world import run_world
from littoral.twin import Telling
from littoral.twin.core.state import Hot

SEEDS_MAX = 60

pytestmark = pytest.mark.slow


def caught(expected, *, seeds=range(SEEDS_MAX), **planted):
    """Run worlds until one is judged, with ``expected`` in a finding; return its seed."""
    for seed in seeds:
        try:
            verdict = run_world(seed, **planted)
        except (ExceptionGroup, AssertionError, Late) as error:
            if expected in str(error):
                return seed
            continue
        if any(expected in finding for finding in verdict.findings):
            return seed
    return None


class Unsynced(SqliteStore):
    """It acknowledges what the disk has not got."""

    def _connect(self, name):
        connection = super()._connect(name)
        connection.pragma("synchronous", "off")
        return connection


def test_a_store_that_does_not_sync_loses_what_was_acknowledged():
    def store(files):
        return Unsynced(files, vfs=files.vfs, exclusive=True)

    assert caught("is there 0 times", make_store=store) is not None


def test_an_acknowledgement_before_the_commit_is_caught():
    def early(node):
        loop = asyncio.get_running_loop()
        real = node.log.on_commit

        def at_once_and_then(callback):
            real(
                callback
            )  # for what joins this batch later: it would wait in vain, which is another bug
            loop.call_soon(callback, None)

        node.log.on_commit = at_once_and_then

    assert caught("is there 0 times", prepare=early) is not None


def test_records_applied_twice_are_caught():
    def twice(node):
        apply = node.twins.engine.apply_remote

        def apply_twice(record):
            apply(record)
            if record.oseq % 5 == 0:
                apply(record)

        node.twins.engine.apply_remote = apply_twice

    assert caught("is stored twice", prepare=twice) is not None


def test_a_node_that_forgets_message_ids_stores_resends_twice(monkeypatch):
    monkeypatch.setattr(Hot, "remember_id", lambda self, message_id: None)
    assert caught("is there 2 times") is not None


def test_a_replica_that_ignores_a_late_record_is_caught():
    def newest_only(node):
        engine = node.twins.engine
        apply = engine.apply_remote

        def ignore_late(record):
            hot = engine.load(record.entity)
            if hot.lanes and record.hlc < max(hot.lanes.values()):
                node.log.append_remote(record, 0, 0)
            else:
                apply(record)

        engine.apply_remote = ignore_late

    assert caught("in the cloud", prepare=newest_only) is not None


def test_memory_that_is_not_on_disk_is_caught():
    def amnesiac(node):
        node.twins.engine._replay = lambda after, only: None
        for entity in list(node.twins.engine.hot):
            node.twins.engine.forget(node.twins.engine.hot[entity])

    assert caught("after a restart", prepare=amnesiac) is not None


def test_a_link_that_stays_away_is_late():
    def away(node):
        if node.uplink is not None:
            node.uplink.disable()

    with pytest.raises(Late, match="waits in vain"):
        run_world(0, prepare=away)


def test_a_cursor_that_skips_is_caught():
    def skip(node):
        if node.uplink is None:
            return
        read = node.log.read

        def forgetful(after, *, limit, cls=None, origin=None):
            found = read(after, limit=limit, cls=cls, origin=origin)
            return found if origin is None else [r for r in found if r.oseq % 7]

        node.log.read = forgetful

    assert caught("is not in the cloud", prepare=skip) is not None


def test_a_healthy_world_is_not_accused():
    assert caught("", seeds=range(3)) is None


def test_a_letter_that_is_done_before_it_was_answered_is_caught():
    def careless(node):
        mailbox, hand = node.mailbox, node.mailbox._hand

        def done_at_once(item, message, attachment):
            took = hand(item, message, attachment)
            if took and item.stored and not item.done:
                mailbox._shelf.finish(item, "mailbox.delivered")
            return took

        mailbox._hand = done_at_once

    assert caught("was promised, and never came", prepare=careless) is not None


def test_a_site_that_is_not_told_what_is_gone_is_caught(monkeypatch):
    monkeypatch.setattr(Teller, "begin", lambda self, positions, **_: False)
    assert caught("", seeds=range(20), forgetful=True) is not None


def test_a_telling_that_forgets_what_the_taker_wrote_is_caught(monkeypatch):
    monkeypatch.setattr(Telling, "_unheard", lambda self, *_: [])
    monkeypatch.setattr("littoral.twin.entities.telling._keep_newer", lambda *_: None)
    assert caught("in the cloud", forgetful=True) is not None


def test_a_registry_that_keeps_what_was_not_told_is_caught(monkeypatch):
    monkeypatch.setattr(RegistryTelling, "forget", lambda self, key, *, stamp: None)
    assert caught("are not those in the cloud", forgetful=True) is not None


def test_a_telling_behind_the_records_is_caught(monkeypatch):
    # After a cut the site seems to have what it was never told.
    monkeypatch.setattr(Teller, "goes_first", False)
    assert caught("", seeds=range(180, 190), forgetful=True) is not None
