"""A writer in a process of its own, that says which records it saw committed."""

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

WRITER = Path(__file__).with_name("writer.py")


class Writer:
    """Runs `writer.py` on a directory; `acknowledged` is what it has printed."""

    def __init__(self, directory, *arguments):
        self.process = subprocess.Popen(
            [sys.executable, str(WRITER), str(directory), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self.acknowledged = 0
        self._rest = b""

    def read_until(self, wanted):
        """Read its lines until it has acknowledged so many records."""
        while self.acknowledged < wanted:
            data = os.read(self.process.stdout.fileno(), 1 << 16)
            if not data:
                raise AssertionError(self.process.stderr.read().decode())
            self._take(data)

    def drain(self):
        """Read what it has said until now, without waiting for more."""
        handle = self.process.stdout.fileno()
        os.set_blocking(handle, False)
        with suppress(BlockingIOError):
            while data := os.read(handle, 1 << 16):
                self._take(data)
        os.set_blocking(handle, True)

    def kill(self):
        """SIGKILL it, and read what it had said before."""
        self.process.kill()
        self._take(self.process.stdout.read())
        self.process.wait()
        self.close()

    def _take(self, data):
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self.acknowledged = int(line)

    def close(self):
        self.process.stdout.close()
        self.process.stderr.close()


@pytest.fixture
def start():
    writers = []

    def start(directory, *arguments):
        writers.append(Writer(directory, *arguments))
        return writers[-1]

    yield start
    for writer in writers:
        writer.process.kill()
        writer.process.wait()
        writer.close()
