"""Eclipse Ditto's own JavaScript client against a node: only the address was changed.

The checks are JavaScript (``js/*.test.js``, run by Node's own test runner); the client is what npm
has. ``make peers`` installs it.
"""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).with_name("js")
NODE = shutil.which("node")
INSTALLED = HERE / "node_modules" / "@eclipse-ditto" / "ditto-javascript-client-node"

pytestmark = [
    pytest.mark.real,
    pytest.mark.slow,
    pytest.mark.timeout(120),
    pytest.mark.skipif(NODE is None, reason="Node.js is not on this machine"),
    pytest.mark.skipif(
        not INSTALLED.is_dir(), reason="Ditto's JavaScript client is not here: run make peers"
    ),
]


@pytest.mark.parametrize("area", sorted(f.name.partition(".")[0] for f in HERE.glob("*.test.js")))
def test_the_javascript_client_works(area, dev_node):
    done = subprocess.run(
        [
            NODE,
            "--test",
            "--test-force-exit",
            "--test-timeout=30000",
            "--test-reporter=spec",
            f"{area}.test.js",
        ],
        cwd=HERE,
        env={**os.environ, "LITTORAL_HTTP": dev_node.http},  # noqa: TID251
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
