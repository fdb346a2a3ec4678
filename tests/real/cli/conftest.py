import os
import re
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

LITTORAL = Path(sys.executable).with_name("littoral")


def environment(**more):
    """The parent's, without what is ours in it."""
    inherited = os.environ.items()  # noqa: TID251
    return {k: v for k, v in inherited if not k.startswith("LITTORAL_")} | more


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Node:
    http: str
    mqtt: str
    data_dir: Path
    pid: int

    def run(self, *words, user="devops", password="foobar", stdin="", **more):
        """Run ``littoral WORDS`` against this node, as the administrator unless said otherwise."""
        return run(
            *words,
            stdin=stdin,
            LITTORAL_URL=f"http://{self.http}",
            LITTORAL_USER=user,
            LITTORAL_PASSWORD=password,
            **more,
        )


def run(*words, stdin="", timeout_s=50, **variables):
    done = subprocess.run(
        [LITTORAL, *words],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
        env=environment(**variables),
    )
    return Done(done.returncode, done.stdout, done.stderr)


@pytest.fixture(scope="session")
def command():
    return run


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    directory = tmp_path_factory.mktemp("node") / "data"
    process = subprocess.Popen(
        [
            *(LITTORAL, "up", "--dev", "--die-with-parent", "--data-dir", directory),
            *("--http", "127.0.0.1:0", "--mqtt", "127.0.0.1:0", "--link", "127.0.0.1:0"),
        ],
        stdout=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    try:
        banner = ""
        while "Never do this" not in banner:
            line = process.stdout.readline()
            assert line, f"the node ended at its start: {banner}"
            banner += line
        http = re.search(r"http://(\S+)", banner)[1]
        mqtt = re.search(r"mqtt://(\S+)", banner)[1]
        yield Node(http, mqtt, directory, process.pid)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)
        process.stdout.close()


@pytest.fixture
def left_by_dev(tmp_path):
    """The directory of a node that ran with --dev and was stopped."""
    doors = ("--http", "127.0.0.1:0", "--mqtt", "127.0.0.1:0", "--link", "127.0.0.1:0")
    process = subprocess.Popen(
        [LITTORAL, "up", "--dev", "--die-with-parent", *doors, "--data-dir", tmp_path / "data"],
        stdout=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    assert "is ready" in process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=20)
    return tmp_path / "data"
