import random

import apsw
import pytest

from littoral.log import LogInUse
from littoral.simulate import Disk, DiskFiles, DiskVfs, Survival

MANY = "INSERT INTO t WITH RECURSIVE c(n) AS (VALUES (2) UNION ALL SELECT n + 1 FROM c LIMIT 9999) SELECT n FROM c"

booted = []
"""A VFS lives as long as its object; connections need theirs until they are closed."""


@pytest.fixture
def disk():
    return Disk(random.Random(1))


def test_what_was_synced_survives_and_what_was_not_may_not(disk):
    file = disk.file("a")
    disk.write(file, b"synced", 0)
    disk.sync(file)
    disk.write(file, b"SYNCED and more", 0)
    disk.cut_power(Survival.NOTHING)
    disk.power_on()
    assert disk.file("a").seen == b"synced"


def test_everything_may_survive_too(disk):
    file = disk.file("a")
    disk.write(file, b"never synced", 0)
    disk.truncate(file, 5)
    disk.cut_power(Survival.EVERYTHING)
    disk.power_on()
    assert disk.file("a").seen == b"never"


def test_a_file_that_was_never_synced_may_be_gone(disk):
    disk.write(disk.file("a"), b"x", 0)
    disk.cut_power(Survival.NOTHING)
    disk.power_on()
    assert disk.find("a") is None


def test_un_synced_writes_are_torn_at_sectors():
    images = set()
    for seed in range(200):
        disk = Disk(random.Random(seed))
        file = disk.file("a")
        disk.sync(file)
        disk.write(file, b"1" * 512 + b"2" * 512, 0)
        disk.cut_power(Survival.ANYTHING)
        disk.power_on()
        images.add(bytes(disk.file("a").seen))
    one, two, none = b"1" * 512, b"2" * 512, bytes(512)
    assert images == {b"", one, one + two, none + two}


def test_the_power_goes_in_the_middle_of_the_nth_operation():
    cuts = []
    disk = Disk(random.Random(0), on_power_cut=lambda: cuts.append(disk.operations))
    file = disk.file("a")
    disk.cut_after(3)
    disk.write(file, b"1", 0)
    disk.write(file, b"2", 1)
    assert disk.power
    disk.sync(file)
    assert not disk.power
    assert cuts == [4]
    disk.write(file, b"3", 2)
    disk.sync(disk.file("b"))
    disk.power_on()
    assert disk.find("b") is None
    assert disk.find("a") is None or disk.file("a").seen in (b"", b"1", b"12", b"\x002")


def test_a_killed_process_loses_no_page_cache_and_its_handles(disk):
    connection = open_database(disk)
    connection.execute("INSERT INTO t VALUES (1)")
    disk.kill_process()
    connection.execute("INSERT INTO t VALUES (2)")
    connection.close()
    assert rows(open_database(disk)) == [1]


def open_database(disk, synchronous="FULL"):
    booted.append(DiskVfs(disk))
    connection = apsw.Connection("db", vfs=booted[-1].name)
    connection.execute("PRAGMA locking_mode=EXCLUSIVE")
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute(f"PRAGMA synchronous={synchronous}")
    connection.execute("PRAGMA wal_autocheckpoint=4")
    connection.execute("CREATE TABLE IF NOT EXISTS t (n INTEGER PRIMARY KEY)")
    return connection


def rows(connection):
    return [n for (n,) in connection.execute("SELECT n FROM t ORDER BY n")]


def insert_until_the_power_goes(disk, synchronous):
    """Return what was acknowledged while there was power."""
    acknowledged = []
    connection = open_database(disk, synchronous)
    for n in range(12):
        connection.execute("INSERT INTO t VALUES (?)", (n,))
        if disk.power:
            acknowledged.append(n)
    connection.close()
    return acknowledged


def survive(seed, cut_at, synchronous):
    """Crash at an operation; return whether power went, what was acknowledged, what is there."""
    disk = Disk(random.Random(seed * 1000 + cut_at))
    disk.cut_after(cut_at)
    acknowledged = insert_until_the_power_goes(disk, synchronous)
    went = not disk.power
    disk.power_on()
    disk.spare()
    connection = open_database(disk)
    found = rows(connection)
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()
    return went, acknowledged, found


@pytest.mark.parametrize("seed", range(3))
def test_sqlite_keeps_every_acknowledged_row_at_a_crash_at_any_operation(seed):
    cut_at, went = 1, True
    while went:
        went, acknowledged, found = survive(seed, cut_at, "FULL")
        assert found[: len(acknowledged)] == acknowledged
        assert len(found) <= len(acknowledged) + 1
        cut_at += 1
    assert cut_at > 40


def test_the_disk_catches_a_store_that_does_not_sync():
    lost = 0
    for cut_at in range(1, 60):
        try:
            _, acknowledged, found = survive(0, cut_at, "OFF")
        except (apsw.Error, AssertionError):
            lost += 1
        else:
            lost += found[: len(acknowledged)] != acknowledged
    assert lost > 10


def test_a_full_disk_refuses_and_goes_on(disk):
    connection = open_database(disk)
    connection.execute("INSERT INTO t VALUES (1)")
    connection.execute("PRAGMA wal_autocheckpoint=0")
    disk.bytes_max = disk.bytes_used + 4096
    with pytest.raises(apsw.FullError):
        connection.execute(MANY)
    assert rows(connection) == [1]
    disk.bytes_max = None
    connection.execute("INSERT INTO t VALUES (50)")
    assert rows(connection) == [1, 50]
    connection.close()


def test_a_failed_sync_is_an_io_error(disk):
    connection = open_database(disk)
    disk.fail_syncs(1)
    with pytest.raises(apsw.IOError):
        connection.execute("INSERT INTO t VALUES (1)")
    connection.close()


def test_names_come_back_in_the_order_in_which_they_were_made():
    seen = set()
    for seed in range(50):
        disk = Disk(random.Random(seed))
        disk.sync(disk.file("a"))
        disk.rename("a", "b")
        disk.file("c")
        disk.delete("b")
        disk.cut_power(Survival.ANYTHING)
        disk.power_on()
        seen.add(tuple(disk.names()))
    assert seen == {("a",), ("b",), ("b", "c"), ("c",)}


def test_names_are_durable_after_a_sync(disk):
    disk.sync(disk.file("a"))
    disk.rename("a", "b")
    disk.sync_names()
    disk.cut_power(Survival.NOTHING)
    disk.power_on()
    assert disk.names() == ["b"]


def test_a_directory_belongs_to_one_process_until_it_dies(disk):
    first = DiskFiles(disk)
    first.lock()
    with pytest.raises(LogInUse):
        DiskFiles(disk).lock()
    disk.kill_process()
    second = DiskFiles(disk)
    second.lock()
    first.unlock()
    first.write("a", 0, b"from the dead")
    with pytest.raises(LogInUse):
        DiskFiles(disk).lock()
    second.write("a", 0, b"alive")
    assert (second.size("a"), second.read("a", 2, 99)) == (5, b"ive")
    second.rename("a", "b")
    assert (second.size("a"), second.read("a", 0, 1)) == (None, b"")
    second.sync()
    second.remove("b")
    second.unlock()
    assert disk.names() == []
