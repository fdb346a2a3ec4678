"""The power goes at every single operation of a salvage: the next one loses nothing more."""

import copy
import random
from contextlib import suppress

import apsw
import pytest

from littoral.kernel.errors import LittoralError
from littoral.kernel.time import hlc_of
from littoral.log import Batch, Put, Record
from littoral.log.adapters.database import FILE
from littoral.log.adapters.sqlite import SqliteStore
from littoral.simulate import Disk, DiskFiles

RECORDS = 40
HERE = "edge/0000000000000001"

pytestmark = pytest.mark.slow


def opened(disk, number):
    files = DiskFiles(disk)
    store = SqliteStore(files, vfs=files.vfs, exclusive=True)
    try:
        return store, files, store.open(origin=f"edge/{number:016x}")
    except BaseException:
        store.close()
        files.close()
        raise


def damaged_disk(seed):
    disk = Disk(random.Random(seed))
    store, files, _ = opened(disk, 1)
    for start in range(1, RECORDS + 1, 20):
        records = [
            Record(s, hlc_of(s), None, 3, "k", "thing:a:b", s, 0, "/", b"%d" % s, None, HERE, s)
            for s in range(start, start + 20)
        ]
        store.apply(Batch(records, [Put("s", str(start), b"v" * 100)]))
    store.close()
    files.close()
    file = disk.find(FILE)
    for image in (file.seen, file.synced):
        image[:50] = b"\xff" * 50
    return disk


def salvage_with_a_cut(disk, operation):
    """True if the power went before the salvage was over."""
    disk.cut_after(operation)
    with suppress(LittoralError, apsw.Error, OSError):
        store, files, _ = opened(disk, 2)
        store.close()
        files.close()
    disk.spare()
    if disk.power:
        return False
    disk.power_on()
    return True


def test_a_salvage_may_be_cut_at_any_operation():
    first = damaged_disk(1)
    for operation in range(1, 600, 3):
        disk = copy.deepcopy(first)
        cut = salvage_with_a_cut(disk, operation)
        store, files, found = opened(disk, 3)
        kept = [r.seq for r in store.read(0, limit=999)]
        assert kept == list(range(1, RECORDS + 1)), f"cut at operation {operation}: {found.salvage}"
        assert len(store.scan("s", limit=99)) == RECORDS // 20
        store.close()
        files.close()
        if not cut:
            break
    assert 20 < operation < 590, "the salvage was cut in a third of its operations"
