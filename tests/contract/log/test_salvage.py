"""A damaged log opens: what can be read is kept, the rest is moved aside and counted."""

import random

import pytest

from littoral.kernel.time import hlc_of
from littoral.log import Batch, LogBroken, LogTooNew, Put, Record
from littoral.log.adapters.database import FILE, FORMAT, MIN_READER
from littoral.log.adapters.files import Directory
from littoral.log.adapters.sqlite import SqliteStore

HERE = "edge/0000000000000001"
RECORDS = 3000

pytestmark = pytest.mark.slow


def record(seq):
    return Record(
        seq, hlc_of(1000 + seq), None, 1 + seq % 3, "thing.merged", f"thing:a:{seq % 50}", seq,
        0, "/features", random.Random(seq).randbytes(60), None, HERE, seq,
    )  # fmt: skip


def write(directory, *, checkpointed=True, sealed=True, first=1, last=RECORDS, each=50):
    """Fill a log; close it, or leave it as a process does that was killed."""
    store = SqliteStore(Directory(directory))
    store.open(origin=HERE)
    for start in range(first, last + 1, each):
        records = [record(s) for s in range(start, start + each)]
        puts = [Put("state", f"thing:a:{s}", b"%d" % s * 40) for s in range(start, start + 3)]
        store.apply(Batch(records, [*puts, Put("cursor", "up", b"%d" % start)]))
    if checkpointed:
        while sealed and store.maintain(sealed_to=last):
            pass
        store.close()
        return
    files = {p.name: p.read_bytes() for p in directory.iterdir()}
    store.close()
    for name, data in files.items():
        (directory / name).write_bytes(data)


def reopen(directory, number=2):
    store = SqliteStore(Directory(directory))
    opened = store.open(origin=f"edge/{number:016x}")
    kept = store.read(0, limit=10 * RECORDS)
    for found in kept:
        assert found == record(found.seq)
    assert [r.seq for r in kept] == sorted({r.seq for r in kept})
    # It goes on: what is appended now is there after the next opening, which finds no damage.
    after = Record(opened.head + 1, hlc_of(9999), None, 0, "k", "e", 0, 0, "/", b"", None, HERE, 1)
    store.apply(Batch([after], []))
    while store.maintain(sealed_to=opened.head + 1):
        pass
    assert store.read(opened.head, limit=9) == [after]
    keys = store.scan("state", limit=10 * RECORDS)
    store.close()
    again = SqliteStore(Directory(directory))
    assert again.open(origin=f"edge/{number + 100:016x}").salvage is None
    assert len(again.read(0, limit=10 * RECORDS)) == len(kept) + 1
    again.close()
    return opened, [r.seq for r in kept], keys


def lost(kept):
    return RECORDS - len(kept)


def damage(directory, offset, data, name=FILE):
    with (directory / name).open("r+b") as file:
        file.seek(offset)
        file.write(data)


def test_a_file_that_is_whole_is_not_salvaged(tmp_path):
    write(tmp_path)
    opened, kept, keys = reopen(tmp_path)
    assert opened.salvage is None and len(kept) == RECORDS and len(keys) == 180
    assert opened.head == RECORDS


def test_a_killed_writers_wal_is_read(tmp_path):
    write(tmp_path, checkpointed=False)
    assert (tmp_path / (FILE + "-wal")).stat().st_size > 100_000
    opened, kept, _ = reopen(tmp_path)
    assert opened.salvage is None and len(kept) == RECORDS


def test_a_bad_header_costs_nothing_but_the_header(tmp_path):
    write(tmp_path)
    damage(tmp_path, 0, b"\xff" * 100)
    opened, kept, keys = reopen(tmp_path)
    assert len(kept) == RECORDS and len(keys) == 180
    assert opened.salvage.records_kept == RECORDS
    moved = tmp_path / opened.salvage.moved_to
    assert moved.name == f"{FILE}.damaged-{2:016x}" and moved.read_bytes()[:4] == b"\xff" * 4


def test_a_bad_first_page_loses_the_schema_and_nothing_else(tmp_path):
    write(tmp_path)
    damage(tmp_path, 0, random.Random(1).randbytes(4096))
    opened, kept, keys = reopen(tmp_path)
    assert len(kept) == RECORDS and len(keys) == 180 and opened.salvage is not None


@pytest.mark.parametrize("seed", range(12))
def test_a_bad_page_in_the_middle_costs_what_was_in_it(tmp_path, seed):
    write(tmp_path)
    size = (tmp_path / FILE).stat().st_size
    source = random.Random(seed)
    page = source.randrange(1, size // 4096)
    damage(tmp_path, page * 4096, source.randbytes(4096))
    opened, kept, keys = reopen(tmp_path)
    if opened.salvage is None:
        assert len(kept) == RECORDS  # the page was a free one
        return
    # One leaf holds at most a few pages of records; an inner page none at all.
    assert lost(kept) <= 1100 and len(keys) >= 100
    assert opened.salvage.records_kept == len(kept)
    if lost(kept):
        a, b = opened.salvage.seq_gaps[0]
        assert not set(range(a, b + 1)) & set(kept)
    assert opened.head > RECORDS, "a seq that a reader may have seen is not given out again"


@pytest.mark.parametrize("share", [0.02, 0.3, 0.7, 0.99])
def test_a_truncated_file_keeps_what_is_before_the_cut(tmp_path, share):
    # Not sealed: then the pages lie in the order of their records, and a share is a share.
    write(tmp_path, sealed=False)
    size = (tmp_path / FILE).stat().st_size
    with (tmp_path / FILE).open("r+b") as file:
        file.truncate(int(size * share))
    opened, kept, _ = reopen(tmp_path)
    assert opened.salvage is not None
    assert lost(kept) < RECORDS * (1.05 - share) + 600


def test_an_empty_database_beside_a_wal_takes_the_wal(tmp_path):
    write(tmp_path, checkpointed=False)
    (tmp_path / FILE).write_bytes(b"")
    opened, kept, _ = reopen(tmp_path)
    assert opened.salvage is not None and len(kept) == RECORDS


def test_garbage_in_place_of_the_wal_is_noticed(tmp_path):
    write(tmp_path)
    (tmp_path / (FILE + "-wal")).write_bytes(random.Random(1).randbytes(50_000))
    opened, kept, _ = reopen(tmp_path)
    assert len(kept) == RECORDS
    assert opened.salvage is not None and opened.salvage.records_lost is None
    assert (tmp_path / f"{FILE}.damaged-{2:016x}-wal").exists()


def test_a_hole_in_the_wal_costs_the_commit_that_it_hit(tmp_path):
    write(tmp_path, checkpointed=False)
    size = (tmp_path / (FILE + "-wal")).stat().st_size
    frame = 32 + (size // 2 // 4120) * 4120
    damage(tmp_path, frame + 1000, b"\xaa" * 200, FILE + "-wal")
    opened, kept, _ = reopen(tmp_path)
    assert opened.salvage is not None and lost(kept) <= 300


def test_a_torn_end_of_the_wal_is_no_damage(tmp_path):
    write(tmp_path, checkpointed=False)
    wal = tmp_path / (FILE + "-wal")
    with wal.open("r+b") as file:
        file.truncate(wal.stat().st_size - 5000)
    opened, kept, _ = reopen(tmp_path)
    assert opened.salvage is None and lost(kept) == 50


def test_a_flipped_bit_in_a_page_is_found_by_its_checksum(tmp_path):
    write(tmp_path)
    content = (tmp_path / FILE).read_bytes()
    at = content.index(record(1500).value)
    damage(tmp_path, at, b"\x00")
    opened, kept, _ = reopen(tmp_path)
    assert opened.salvage is not None and "checksum" in opened.salvage.detail
    assert 0 < lost(kept) <= 1024 and 1500 not in kept


def test_something_that_is_no_database_is_moved_aside(tmp_path):
    (tmp_path / FILE).write_bytes(random.Random(3).randbytes(100_000))
    opened, kept, _ = reopen(tmp_path)
    assert opened.salvage is not None and kept == []


def test_a_salvage_that_was_interrupted_is_finished(tmp_path):
    write(tmp_path)
    (tmp_path / FILE).rename(tmp_path / (FILE + ".salvaged"))
    (tmp_path / FILE).write_bytes(b"what it was made of")
    opened, kept, _ = reopen(tmp_path)
    assert opened.salvage is None and len(kept) == RECORDS
    assert (tmp_path / f"{FILE}.damaged-{2:016x}").read_bytes() == b"what it was made of"


def test_a_half_made_salvage_is_begun_again(tmp_path):
    write(tmp_path)
    damage(tmp_path, 0, b"\xff" * 100)
    (tmp_path / (FILE + ".salvaging")).write_bytes(b"half")
    _, kept, _ = reopen(tmp_path)
    assert len(kept) == RECORDS


def test_a_file_of_a_later_format_is_refused_with_what_to_do(tmp_path):
    write(tmp_path)
    store = SqliteStore(Directory(tmp_path))
    store.open(origin="edge/0000000000000002")
    store._write.execute("UPDATE meta SET value = 99 WHERE key = 'min_reader'")
    store.close()
    with pytest.raises(LogTooNew, match="Install the release"):
        SqliteStore(Directory(tmp_path)).open(origin="edge/0000000000000003")


def test_a_later_format_that_allows_this_reader_opens(tmp_path):
    write(tmp_path)
    store = SqliteStore(Directory(tmp_path))
    store.open(origin="edge/0000000000000002")
    store._write.execute("UPDATE meta SET value = 99 WHERE key = 'format'")
    store._write.execute("ALTER TABLE page ADD COLUMN later INTEGER")
    store._write.execute("CREATE TABLE later(x)")
    store.close()
    opened, kept, _ = reopen(tmp_path, 3)
    assert opened.salvage is None and len(kept) == RECORDS


def test_a_large_file_is_verified_bit_by_bit_while_it_runs(tmp_path):
    write(tmp_path, checkpointed=False)
    store = SqliteStore(Directory(tmp_path))
    store.open(origin="edge/0000000000000002")
    store._write.execute("UPDATE page SET crc = crc + 1 WHERE seq_last > 2000")
    store._sealer.scrub_after = 0
    with pytest.raises(LogBroken, match="checksum"):  # noqa: PT012
        for _ in range(100):
            store.maintain(sealed_to=0)
    store.close()
    opened, kept, _ = reopen(tmp_path, 3)
    assert opened.salvage is not None and len(kept) < RECORDS


def test_verifying_a_sound_file_comes_to_an_end(tmp_path):
    write(tmp_path)
    store = SqliteStore(Directory(tmp_path))
    store.open(origin="edge/0000000000000002")
    store._sealer.scrub_after = 0
    for _ in range(100):
        store.maintain(sealed_to=0)
    assert store._sealer.scrub_after is None
    store.close()


def test_an_older_file_says_from_now_on_who_can_read_it(tmp_path):
    write(tmp_path)
    store = SqliteStore(Directory(tmp_path))
    store.open(origin="edge/0000000000000002")
    store._write.execute("UPDATE meta SET value = 1 WHERE key IN ('format', 'min_reader')")
    store.close()
    again = SqliteStore(Directory(tmp_path))
    again.open(origin="edge/0000000000000003")
    found = dict(again._write.execute("SELECT key, value FROM meta"))
    again.close()
    assert (found["format"], found["min_reader"]) == (FORMAT, MIN_READER)
