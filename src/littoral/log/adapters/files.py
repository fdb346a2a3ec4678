"""A directory of the real file system, for the SQLite store."""

import fcntl
import os
from contextlib import suppress
from pathlib import Path

from littoral.log.errors import LogInUse


class Directory:
    """One data directory; made if it is missing."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock: int | None = None

    def path(self, name: str) -> str:
        """See `littoral.log.ports.Files`."""
        return str(self._path / name)

    def lock(self) -> None:
        """See `littoral.log.ports.Files`. The kernel lets go of it when the process ends."""
        made = not self._path.exists()
        self._path.mkdir(parents=True, exist_ok=True, mode=0o700)
        if made:
            _sync_directory(self._path.parent)
        handle = os.open(self._path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as e:
            os.close(handle)
            raise LogInUse(
                f"another process has {self._path} open.",
                hint="Stop it, or give this node a data directory of its own.",
            ) from e
        self._lock = handle

    def unlock(self) -> None:
        """See `littoral.log.ports.Files`."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def size(self, name: str) -> int | None:
        """See `littoral.log.ports.Files`."""
        try:
            return (self._path / name).stat().st_size
        except FileNotFoundError:
            return None

    def read(self, name: str, offset: int, size: int) -> bytes:
        """See `littoral.log.ports.Files`."""
        with (self._path / name).open("rb") as file:
            file.seek(offset)
            return file.read(size)

    def write(self, name: str, offset: int, data: bytes) -> None:
        """See `littoral.log.ports.Files`."""
        handle = os.open(self._path / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            view = memoryview(data)
            while view:
                written = os.pwrite(handle, view, offset)
                offset += written
                view = view[written:]
            os.fsync(handle)
        finally:
            os.close(handle)

    def rename(self, name: str, to: str) -> None:
        """See `littoral.log.ports.Files`."""
        (self._path / name).rename(self._path / to)

    def remove(self, name: str) -> None:
        """See `littoral.log.ports.Files`."""
        with suppress(FileNotFoundError):
            (self._path / name).unlink()

    def sync(self) -> None:
        """See `littoral.log.ports.Files`."""
        _sync_directory(self._path)


def _sync_directory(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
