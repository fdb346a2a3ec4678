"""One directory on a virtual disk, as the SQLite store of the log wants it."""

from littoral.log import LogInUse
from littoral.simulate.disk import Disk
from littoral.simulate.vfs import DiskVfs


class DiskFiles:
    """The `Files` port of `littoral.log` for one process: it dies with the process or the power.

    `close` gives back the name of its VFS, once no connection is open.
    """

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self._incarnation = disk.incarnation
        self._vfs = DiskVfs(disk)
        self.vfs = self._vfs.name

    def close(self) -> None:
        """Take the VFS' name back."""
        self._vfs.close()

    @property
    def _alive(self) -> bool:
        return self._disk.power and self._incarnation == self._disk.incarnation

    def path(self, name: str) -> str:
        return name

    def lock(self) -> None:
        if not self._alive:
            return
        if self._disk.locked_by is not None:
            raise LogInUse("this virtual directory is open already.")
        self._disk.locked_by = self._incarnation

    def unlock(self) -> None:
        if self._alive:
            self._disk.locked_by = None

    def size(self, name: str) -> int | None:
        file = self._disk.find(name)
        return None if file is None else len(file.seen)

    def read(self, name: str, offset: int, size: int) -> bytes:
        file = self._disk.find(name)
        return b"" if file is None else bytes(file.seen[offset : offset + size])

    def write(self, name: str, offset: int, data: bytes) -> None:
        if self._alive:
            file = self._disk.file(name)
            self._disk.write(file, data, offset)
            self._disk.sync(file)

    def rename(self, name: str, to: str) -> None:
        if self._alive:
            self._disk.rename(name, to)

    def remove(self, name: str) -> None:
        if self._alive:
            self._disk.delete(name)

    def sync(self) -> None:
        if self._alive:
            self._disk.sync_names()
