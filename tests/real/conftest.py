"""A whole node with development identities, for tests that meet it from outside only."""

import os
import re
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

LITTORAL = Path(sys.executable).with_name("littoral")


@dataclass(frozen=True)
class DevNode:
    http: str
    """``host:port`` of its HTTP door."""

    @property
    def url(self):
        return f"http://{self.http}"


@pytest.fixture(scope="session")
def dev_node(tmp_path_factory):
    """One `littoral up --dev` for all tests of this process; each makes things of its own."""
    directory = tmp_path_factory.mktemp("dev-node") / "data"
    inherited = os.environ.items()  # noqa: TID251
    process = subprocess.Popen(
        [
            *(LITTORAL, "up", "--dev", "--die-with-parent", "--data-dir", directory),
            *("--http", "127.0.0.1:0", "--mqtt", "127.0.0.1:0", "--link", "127.0.0.1:0"),
        ],
        stdout=subprocess.PIPE,
        text=True,
        env={k: v for k, v in inherited if not k.startswith("LITTORAL_")},
    )
    try:
        banner = ""
        while "Never do this" not in banner:
            line = process.stdout.readline()
            assert line, f"the node ended at its start: {banner}"
            banner += line
        yield DevNode(re.search(r"http://(\S+)", banner)[1])
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)
        process.stdout.close()
