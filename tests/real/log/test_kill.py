"""SIGKILL loses nothing that was acknowledged, and the log opens at once."""

import random

import pytest

from littoral.log.adapters.files import Directory
from littoral.log.adapters.sqlite import SqliteStore

pytestmark = [pytest.mark.real, pytest.mark.slow]


def test_what_was_acknowledged_survives_many_kills(start, tmp_path):
    source = random.Random(1)
    total = 0
    for round_ in range(6):
        writer = start(tmp_path / "log")
        writer.read_until(total + source.randrange(1, 12_000))
        writer.kill()
        store = SqliteStore(Directory(tmp_path / "log"))
        opened = store.open(origin=f"edge/{round_:016x}")
        assert opened.salvage is None
        assert opened.head >= writer.acknowledged > total
        after, seen = 0, 0
        while records := store.read(after, limit=4096):
            assert [r.seq for r in records] == list(range(after + 1, after + 1 + len(records)))
            after, seen = records[-1].seq, seen + len(records)
        assert seen == opened.head
        # The newest key of each thing was written with its record, in one transaction.
        for key, value in store.scan("state", limit=200):
            number = int(value)
            assert number % 99 == int(key) and number <= opened.head
            assert number > opened.head - 99
        store.close()
        total = opened.head


def test_two_processes_never_share_a_directory(start, tmp_path):
    writer = start(tmp_path / "log", "0.01")
    writer.read_until(100)
    second = start(tmp_path / "log")
    assert second.process.wait(20) != 0
    assert b"LogInUse" in second.process.stderr.read()
    writer.read_until(writer.acknowledged + 100)
