"""A new site in a process of its own is told, over TLS, what its cloud has no records of any more."""

import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).parents[3] / "bench" / "bootstrap.py"

pytestmark = [pytest.mark.real, pytest.mark.slow]


def test_a_new_site_is_told_every_thing_of_a_cloud_that_forgot_their_records(tmp_path):
    done = subprocess.run(
        [sys.executable, str(BENCH), "--things", "700", "--directory", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("700 things in ")
