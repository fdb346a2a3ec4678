"""PyPI's ``ditto-client`` (generated from Ditto's OpenAPI) against a node, in a process of its own.

A process of its own: the client's dependencies warn on import, and here warnings are errors.
"""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).with_name("python")

pytestmark = [
    pytest.mark.real,
    pytest.mark.slow,
    pytest.mark.timeout(120),
    pytest.mark.skipif(
        importlib.util.find_spec("ditto_client") is None,
        reason="ditto-client is not installed: it is in the group compat",
    ),
]


@pytest.mark.parametrize("area", ["things", "features", "policies", "search", "messages"])
def test_the_python_client_works(area, dev_node):
    done = subprocess.run(
        [sys.executable, HERE / "drive.py", area, dev_node.url],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_command_line_of_the_python_client_works(dev_node):
    done = subprocess.run(
        [
            *(Path(sys.executable).with_name("ditto-client"), "--base-url", dev_node.url),
            *("--username", "ditto", "--password", "ditto", "whoami"),
        ],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "nginx:ditto" in done.stdout
