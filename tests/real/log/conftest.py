"""A writer in a process of its own, that says which records it saw committed."""

import subprocess
import sys
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

    def read_until(self, wanted):
        """Read its lines until it has acknowledged so many records."""
        while self.acknowledged < wanted:
            line = self.process.stdout.readline()
            if not line:
                raise AssertionError(self.process.stderr.read().decode())
            self.acknowledged = int(line)

    def kill(self):
        """SIGKILL it, and read what it had said before."""
        self.process.kill()
        for line in self.process.stdout.read().split(b"\n")[:-1]:
            self.acknowledged = int(line)
        self.process.wait()
        self.close()

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
