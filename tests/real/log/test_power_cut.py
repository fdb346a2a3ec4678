"""The power-cut test: ext4 on a loop image, everything that was not synced is thrown away.

`kill -9` proves nothing about durability, because the page cache survives it. The ioctl
FS_IOC_SHUTDOWN with NOLOGFLUSH (what xfstests' ``godown`` does) drops it, journal included.
"""

import fcntl
import os
import shutil
import struct
import subprocess

import pytest

from littoral.log.adapters.files import Directory
from littoral.log.adapters.sqlite import SqliteStore

pytestmark = [pytest.mark.real, pytest.mark.slow]

_SHUTDOWN = (2 << 30) | (4 << 16) | (ord("X") << 8) | 125
_NOLOGFLUSH = 2


def run(*command):
    return subprocess.run(command, check=False, capture_output=True, text=True)


class Disk:
    """A small ext4 whose power can be cut."""

    def __init__(self, directory, megabytes=64):
        self.image = directory / "disk.img"
        self.mount_point = directory / "mnt"
        self.mount_point.mkdir()
        with self.image.open("wb") as file:
            file.truncate(megabytes << 20)
        if os.geteuid() != 0:
            pytest.skip("cutting the power of a file system needs root")
        if not shutil.which("mkfs.ext4"):
            pytest.skip("mkfs.ext4 is not installed")
        made = run("mkfs.ext4", "-q", "-F", str(self.image))
        if made.returncode:
            pytest.skip(f"no ext4 image: {made.stderr.strip()}")
        self.mount()

    def mount(self):
        done = run("mount", "-o", "loop", str(self.image), str(self.mount_point))
        if done.returncode:
            pytest.skip(f"no loop device: {done.stderr.strip()}")

    def unmount(self):
        run("umount", "-l", str(self.mount_point))

    def cut_power(self, writer):
        """Cut it; return what ``writer`` had acknowledged before.

        Not what it acknowledges during the call: ext4 (Linux 6.18) aborts its journal first and
        refuses writes some milliseconds later. In between an fsync returns at once, as if it had
        succeeded, and keeps nothing; then comes EIO. Power that goes leaves no such time.
        """
        writer.drain()
        before = writer.acknowledged
        handle = os.open(self.mount_point, os.O_RDONLY)
        try:
            fcntl.ioctl(handle, _SHUTDOWN, struct.pack("I", _NOLOGFLUSH))
        except OSError as e:
            pytest.skip(f"this kernel cannot cut the power of an ext4: {e}")
        finally:
            os.close(handle)
        return before


@pytest.fixture
def disk(tmp_path):
    disk = Disk(tmp_path)
    yield disk
    disk.unmount()


def test_a_power_cut_loses_nothing_that_was_acknowledged(disk, start):
    total = 0
    for round_ in range(4):
        writer = start(disk.mount_point / "log")
        writer.read_until(total + 3000 * (round_ + 1))
        acknowledged = disk.cut_power(writer)
        writer.kill()
        disk.unmount()
        disk.mount()
        store = SqliteStore(Directory(disk.mount_point / "log"))
        opened = store.open(origin=f"edge/{round_:016x}")
        kept = 0
        while records := store.read(kept, limit=4096):
            assert [r.seq for r in records] == list(range(kept + 1, kept + 1 + len(records)))
            kept = records[-1].seq
        print(f"power cut {round_ + 1}: acknowledged {acknowledged}, kept {kept}")  # noqa: T201
        assert opened.salvage is None
        assert kept >= acknowledged > total
        store.close()
        total = kept


def test_the_cut_is_real_a_writer_that_does_not_sync_loses_records(disk, start):
    writer = start(disk.mount_point / "log", "unsynced", "0.01")
    writer.read_until(3000)
    acknowledged = disk.cut_power(writer)
    writer.kill()
    disk.unmount()
    disk.mount()
    store = SqliteStore(Directory(disk.mount_point / "log"))
    head = store.open(origin="edge/0000000000000009").head
    store.close()
    assert head < acknowledged


def test_a_cut_in_the_first_moment_leaves_a_log_that_opens(disk, start):
    writer = start(disk.mount_point / "log")
    writer.read_until(1)
    acknowledged = disk.cut_power(writer)
    writer.kill()
    disk.unmount()
    disk.mount()
    store = SqliteStore(Directory(disk.mount_point / "log"))
    head = store.open(origin="edge/0000000000000009").head
    assert head >= acknowledged
    store.close()


def test_a_full_disk_refuses_writes_stays_readable_and_goes_on(disk, start):
    filler = disk.mount_point / "filler"
    free = os.statvfs(disk.mount_point).f_bavail * os.statvfs(disk.mount_point).f_bsize
    with filler.open("wb") as file:
        file.write(os.urandom(free - (6 << 20)))
    writer = start(disk.mount_point / "log")
    acknowledged = 0
    refused = False
    while not refused:
        line = int(writer.process.stdout.readline())
        refused = line < 0
        acknowledged = max(acknowledged, abs(line))
    assert acknowledged > 1000
    assert writer.process.poll() is None, "a full disk does not end the process"
    filler.unlink()
    while (line := int(writer.process.stdout.readline())) <= acknowledged:
        pass
    writer.kill()
    store = SqliteStore(Directory(disk.mount_point / "log"))
    opened = store.open(origin="edge/0000000000000009")
    assert opened.salvage is None and opened.head >= line
    assert store.read(opened.head - 1, limit=1)[0].seq == opened.head
    store.close()
