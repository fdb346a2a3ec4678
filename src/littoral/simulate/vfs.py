"""SQLite on a virtual `Disk`: the real store runs in the virtual world, and meets real crashes.

There is no shared memory for a write-ahead log's index, so a database here has one connection, in
exclusive locking mode.
"""

import itertools

import apsw

from littoral.simulate.disk import Disk, DiskFile, DiskFull, SyncFailed, ghost
from littoral.simulate.time import EPOCH_MS

_JULIAN_EPOCH_MS = 210_866_760_000_000
"""SQLite counts time from noon of 24 November 4714 BC."""

_numbers = itertools.count(1)

_registered: dict[str, "DiskVfs"] = {}
"""SQLite calls a VFS until the last connection is closed, whatever Python has collected by then."""


class SyncError(apsw.IOError):
    """What SQLite is told when a sync failed."""


class DiskVfs(apsw.VFS):
    """A VFS named `name`, to be given to ``apsw.Connection(…, vfs=…)``; `close` it in the end."""

    def __init__(self, disk: Disk) -> None:
        self.name = f"littoral-disk-{next(_numbers)}"
        self._disk = disk
        self._incarnation = disk.incarnation
        super().__init__(self.name, "")
        _registered[self.name] = self

    def close(self) -> None:
        """Take the name back. No connection may be open on it. Idempotent."""
        if _registered.pop(self.name, None) is not None:
            self.unregister()

    @property
    def _alive(self) -> bool:
        """Whether the process that uses this VFS is the one that the disk belongs to."""
        return self._disk.power and self._incarnation == self._disk.incarnation

    def xOpen(  # type: ignore[override]  # noqa: N802  # SQLite's names; a file by duck type
        self, name: str | apsw.URIFilename | None, flags: list[int]
    ) -> "_Handle":
        flags[1] = flags[0]
        if name is None:
            return _Handle(self._disk, ghost(), "")
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        if not self._alive:
            return _Handle(self._disk, ghost(), path)
        if not flags[0] & apsw.SQLITE_OPEN_CREATE and self._disk.find(path) is None:
            raise apsw.CantOpenError(path)
        file = self._disk.file(path)
        # SQLite shrugs off errors of a checkpoint, but apsw raises what a VFS raised all the same,
        # after a commit that succeeded; so only the write-ahead log may fail.
        file.faulty = path.endswith("-wal")
        return _Handle(self._disk, file, path)

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: N802
        if self._alive:
            self._disk.delete(filename)
            if syncdir:
                self._disk.sync_names()

    def xAccess(self, pathname: str, flags: int) -> bool:  # noqa: ARG002, N802
        return self._disk.find(pathname) is not None

    def xFullPathname(self, name: str) -> str:  # noqa: N802
        return name

    def xSleep(self, microseconds: int) -> int:  # noqa: N802
        return microseconds

    def xCurrentTimeInt64(self) -> int:  # noqa: N802
        return _JULIAN_EPOCH_MS + EPOCH_MS


class _Handle:
    """An open file."""

    def __init__(self, disk: Disk, file: DiskFile, path: str) -> None:
        self._disk = disk
        self._file = file
        self.path = path

    def xRead(self, amount: int, offset: int) -> bytes:  # noqa: N802
        return bytes(self._file.seen[offset : offset + amount])

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802
        try:
            self._disk.write(self._file, bytes(data), offset)
        except DiskFull as e:
            raise apsw.FullError from e

    def xTruncate(self, newsize: int) -> None:  # noqa: N802
        self._disk.truncate(self._file, newsize)

    def xSync(self, flags: int) -> None:  # noqa: ARG002, N802
        try:
            self._disk.sync(self._file)
        except SyncFailed as e:
            raise SyncError from e

    def xFileSize(self) -> int:  # noqa: N802
        return len(self._file.seen)

    def xLock(self, level: int) -> None:  # noqa: N802
        """There is one connection."""

    def xUnlock(self, level: int) -> None:  # noqa: N802
        """There is one connection."""

    def xCheckReservedLock(self) -> bool:  # noqa: N802
        return False

    def xFileControl(self, op: int, ptr: int) -> bool:  # noqa: ARG002, N802
        return False

    def xSectorSize(self) -> int:  # noqa: N802
        return 4096

    def xDeviceCharacteristics(self) -> int:  # noqa: N802
        # As the real one on Linux: a torn write harms nothing beside it. Without this, SQLite pads
        # each commit to a sector, and a log looks different here than in the real world.
        return apsw.SQLITE_IOCAP_POWERSAFE_OVERWRITE

    def xClose(self) -> None:  # noqa: N802
        """Closing syncs nothing."""
