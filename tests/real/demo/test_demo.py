"""The main job, short: real processes, an outage, two SIGKILLs, and a verdict alone on stdout."""

import json
import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.real, pytest.mark.slow, pytest.mark.timeout(240)]

PLAY = """
import sys
from littoral.app.demo import DemoOptions, run_demo
options = DemoOptions(devices=12, duration_s=1.0, outage_s=4.0, headless=True, json=True)
sys.exit(run_demo(options))
"""


def descendants(pid):
    """Command lines of all that were started below ``pid``; the kernel names each one's parent."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            parents[int(entry.name)] = int(fields[1])
    found = [pid]
    for one in found:
        found += [child for child, parent in parents.items() if parent == one]
    return found[1:]


def gone(pid):
    """Wait, up to 20 s, until the process has ended; the kernel wakes us, nobody sleeps."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        select.select([handle], [], [], 20)
    finally:
        os.close(handle)


def is_alive(pid):
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False


def test_nothing_acknowledged_is_lost_through_an_outage_and_two_kills():
    done = subprocess.run(
        [sys.executable, "-c", PLAY], capture_output=True, timeout=200, check=False
    )
    said = done.stderr.decode()
    assert done.returncode == 0, said
    verdict = json.loads(done.stdout)
    assert verdict["ok"] is True
    assert verdict["acknowledged"] == verdict["in_cloud"] > 0
    assert (verdict["lost"], verdict["duplicated"], verdict["out_of_order"]) == (0, 0, 0)
    assert verdict["devices"] == 12
    assert verdict["catch_up_s"] > 0
    assert verdict["messages_per_s"] > 0
    assert {"p50", "p99"} <= verdict["reaction_ms"].keys()
    for phase in ("is cut", "SIGKILL to the node of site-one", "SIGKILL to the cloud"):
        assert phase in said


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_no_process_outlives_the_demo(number):
    with subprocess.Popen(
        [sys.executable, "-c", PLAY], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as play:
        for line in play.stderr:
            if b"the fleet connects" in line:
                break
        started = descendants(play.pid)
        os.kill(play.pid, number)
        play.stderr.close()
        play.wait(timeout=30)
    assert len(started) >= 4  # a cloud, two sites, a fleet
    for pid in started:
        gone(pid)
    assert not [pid for pid in started if is_alive(pid)]
