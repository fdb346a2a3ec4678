"""A disk that keeps only what was synced when the power goes, and tears the rest.

Pure bookkeeping of bytes; `vfs` shows it to SQLite. What a program reads is what it wrote; what it
finds after a power cut is what it synced, and of every later write all, nothing, or any sectors.
"""

import random
from collections.abc import Callable
from enum import Enum
from typing import NamedTuple

SECTOR_BYTES = 512
"""What a disk writes whole or not at all."""


class Survival(Enum):
    """What a power cut leaves of writes that were not synced."""

    NOTHING = "nothing"
    EVERYTHING = "everything"
    ANYTHING = "anything"
    """Drawn write by write, and sector by sector."""


class DiskFull(Exception):
    """The write would take more room than the disk has; nothing was written."""


class SyncFailed(Exception):
    """The disk could not make the writes durable; nobody knows which it has."""


class _Write(NamedTuple):
    offset: int
    data: bytes


class _Truncate(NamedTuple):
    size: int


def _apply(image: bytearray, change: _Write | _Truncate) -> None:
    if isinstance(change, _Truncate):
        size = change.size
        if len(image) > size:
            del image[size:]
        else:
            image.extend(bytes(size - len(image)))
        return
    offset, data = change
    if len(image) < offset:
        image.extend(bytes(offset - len(image)))
    image[offset : offset + len(data)] = data


class DiskFile:
    """One file: what programs see, what is on the platter, and the changes between the two."""

    def __init__(self) -> None:
        self.seen = bytearray()
        self.synced = bytearray()
        self.changes: list[_Write | _Truncate] = []
        self.faulty = True
        """Whether a full disk and failing syncs hit this file."""
        self.ghost = False
        """Its process is gone: who still holds it writes into nothing, and is not told."""


class Disk:
    """The disk of one host; it outlives the processes that use it.

    Args:
        source: where torn writes are drawn from.
        on_power_cut: called in the middle of the operation that `cut_after` named. A program is
            not told that the power is gone, it just ceases: until somebody ends it, it writes into
            nothing, and whatever it says must not be heard.
    """

    def __init__(
        self, source: random.Random, *, on_power_cut: Callable[[], None] | None = None
    ) -> None:
        self._source = source
        self._names: dict[str, DiskFile] = {}
        self._synced_names: dict[str, DiskFile] = {}
        self._renamings: list[dict[str, DiskFile]] = []
        self._on_power_cut = on_power_cut
        self._cut_at: int | None = None
        self._failing_syncs = 0
        self.bytes_max: int | None = None
        self.operations = 0
        """Changes and syncs so far; what `cut_after` counts."""
        self.syncs = 0
        self.power = True
        self.incarnation = 1
        """Which process uses the disk; what an earlier one does has no effect."""
        self.locked_by: int | None = None
        """The incarnation that holds the directory's lock."""

    # -- faults -------------------------------------------------------------------------------

    def cut_after(self, operations: int) -> None:
        """Let the power go in the middle of the n-th operation from now (1 is the next one)."""
        self._cut_at = self.operations + operations

    def spare(self) -> None:
        """Take back `cut_after`."""
        self._cut_at = None

    def fail_syncs(self, count: int) -> None:
        """Let the next ``count`` syncs fail with an I/O error."""
        self._failing_syncs = count

    def cut_power(self, survival: Survival | None = None) -> None:
        """Switch off now; decide what is left of each un-synced write.

        Args:
            survival: None draws one; half the time `Survival.ANYTHING`.
        """
        if not self.power:
            return
        self.power = False
        self._cut_at = None
        if survival is None:
            draws = (Survival.NOTHING, Survival.EVERYTHING, Survival.ANYTHING, Survival.ANYTHING)
            survival = self._source.choice(draws)
        names = self._surviving_names(survival)
        for file in self._names.values():
            file.ghost = True
        self._names = {}
        for name, file in names.items():
            found = self._names[name] = DiskFile()
            found.synced = bytearray(file.synced)
            for change in file.changes:
                self._survive(found.synced, change, survival)
            found.seen = bytearray(found.synced)
        self._sync_names()
        self._next_incarnation()

    def power_on(self) -> None:
        """Switch on again; files that were open before stay ghosts."""
        self.power = True

    def kill_process(self) -> None:
        """Let what a process holds become ghosts; the page cache, synced or not, stays."""
        copies: dict[int, DiskFile] = {}
        states = [self._names, self._synced_names, *self._renamings]
        for file in (file for state in states for file in state.values()):
            if id(file) in copies:
                continue
            found = copies[id(file)] = DiskFile()
            found.seen, found.synced = bytearray(file.seen), bytearray(file.synced)
            found.changes = list(file.changes)
            file.ghost = True
        self._names, self._synced_names, *self._renamings = [
            {name: copies[id(file)] for name, file in state.items()} for state in states
        ]
        self._next_incarnation()

    def _next_incarnation(self) -> None:
        self._cut_at = None
        self.incarnation += 1
        self.locked_by = None

    def _surviving_names(self, survival: Survival) -> dict[str, DiskFile]:
        """A journaling file system keeps changes of names up to some moment since the last sync."""
        states = [self._synced_names, *self._renamings]
        if survival is Survival.NOTHING:
            return states[0]
        return states[-1] if survival is Survival.EVERYTHING else self._source.choice(states)

    def _sync_names(self) -> None:
        self._synced_names = dict(self._names)
        self._renamings.clear()

    def _survive(self, image: bytearray, change: _Write | _Truncate, survival: Survival) -> None:
        if survival is Survival.NOTHING:
            return
        fate = self._source.randrange(3) if survival is Survival.ANYTHING else 0
        if fate == 0:
            _apply(image, change)
        elif fate == 1 and isinstance(change, _Write):
            self._tear(image, change)

    def _tear(self, image: bytearray, write: _Write) -> None:
        """Write some of the sectors that ``write`` touches."""
        begin, end = write.offset, write.offset + len(write.data)
        at = begin
        while at < end:
            until = min((at // SECTOR_BYTES + 1) * SECTOR_BYTES, end)
            if self._source.random() < 0.5:
                _apply(image, _Write(at, write.data[at - begin : until - begin]))
            at = until

    # -- operations ---------------------------------------------------------------------------

    def find(self, name: str) -> DiskFile | None:
        """The file of that name, if there is one."""
        return self._names.get(name)

    def names(self) -> list[str]:
        """All files."""
        return list(self._names)

    def file(self, name: str) -> DiskFile:
        """The file of that name; made if there is none."""
        if not self.power:
            return ghost()
        found = self._names.get(name)
        if found is None:
            found = self._names[name] = DiskFile()
            self._renamed()
        return found

    def delete(self, name: str) -> None:
        """Remove a file; durable after the next sync of anything."""
        if self.power and self._names.pop(name, None) is not None:
            self._renamed()

    def rename(self, name: str, to: str) -> None:
        """Give a file another name; durable after the next sync of anything."""
        if self.power:
            self._names[to] = self._names.pop(name)
            self._renamed()

    def sync_names(self) -> None:
        """Make names made, changed and removed durable."""
        if self.power:
            self._operate()
        if self.power:
            self._sync_names()

    def _renamed(self) -> None:
        self._renamings.append(dict(self._names))
        self._operate()

    def write(self, file: DiskFile, data: bytes, offset: int) -> None:
        """Write bytes; un-synced."""
        if self.bytes_max is not None and file.faulty and not file.ghost:
            growth = offset + len(data) - len(file.seen)
            if growth > 0 and self.bytes_used + growth > self.bytes_max:
                raise DiskFull
        self._change(file, _Write(offset, data))

    def truncate(self, file: DiskFile, size: int) -> None:
        """Set a file's length; un-synced."""
        self._change(file, _Truncate(size))

    def sync(self, file: DiskFile) -> None:
        """Make all changes of a file, and its directory entry, durable."""
        if file.ghost:
            return
        self._operate()
        if not self.power:
            return
        self.syncs += 1
        if self._failing_syncs and file.faulty:
            self._failing_syncs -= 1
            raise SyncFailed
        for change in file.changes:
            _apply(file.synced, change)
        file.changes.clear()
        self._sync_names()

    @property
    def bytes_used(self) -> int:
        """Bytes of all files as programs see them."""
        return sum(len(file.seen) for file in self._names.values())

    def _change(self, file: DiskFile, change: _Write | _Truncate) -> None:
        _apply(file.seen, change)
        if file.ghost:
            return
        file.changes.append(change)
        self._operate()

    def _operate(self) -> None:
        self.operations += 1
        if self._cut_at is not None and self.operations >= self._cut_at:
            self.cut_power()
            if self._on_power_cut is not None:
                self._on_power_cut()


def ghost() -> DiskFile:
    """A file that is nowhere, for a process that is no more."""
    file = DiskFile()
    file.ghost = True
    return file
