"""Child processes that die with their parent, and what /proc tells about them. Linux only."""

import ctypes
import os
import platform
import signal
import socket
import subprocess
from pathlib import Path

from littoral.native import VARIANT

PR_SET_PDEATHSIG = 1
_TICKS = os.sysconf("SC_CLK_TCK")


def die_with_parent() -> None:
    """Ask the kernel to kill this process when its parent ends. For ``preexec_fn``."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def free_port() -> int:
    """A TCP port of the loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def family(pid: int) -> list[int]:
    """``pid`` and all its descendants that live."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    found = [pid]
    for parent in found:
        found.extend(children.get(parent, ()))
    return found


def cpu_seconds(pid: int) -> float:
    """User and system time of a process, its children that it has reaped included; 0 if gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(int(field) for field in fields[11:15]) / _TICKS


def machine_cpu_seconds() -> float:
    """Processor time of everything on the machine: user, nice, system and interrupts."""
    fields = Path("/proc/stat").read_text().splitlines()[0].split()[1:]
    user, nice, system, _, _, irq, softirq, steal = map(int, fields[:8])
    return (user + nice + system + irq + softirq + steal) / _TICKS


def pss_mb(pid: int) -> float:
    """Proportional set size, in MB of 10^6 bytes; shared pages count by their share."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024 / 1e6
    return 0.0


def family_pss_mb(pid: int) -> float:
    """`pss_mb` of a process and all its descendants."""
    return sum(pss_mb(member) for member in family(pid))


def stop(process: subprocess.Popen[bytes], *, timeout_s: float = 10.0) -> int:
    """SIGTERM, then SIGKILL after ``timeout_s``; return the exit code."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            process.kill()
    return process.wait()


def machine(directory: str) -> dict[str, str | int]:
    """What was measured on: a figure without it says nothing."""
    return {
        "cores": os.cpu_count() or 0,
        "cpu": _cpu_model(),
        "kernel": platform.release(),
        "filesystem": _filesystem(directory),
        "python": platform.python_version(),
        "hot path": VARIANT,
    }


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _filesystem(directory: str) -> str:
    best = ("", "unknown")
    where = str(Path(directory).resolve())
    for line in Path("/proc/mounts").read_text().splitlines():
        _, mount, kind, *_ = line.split()
        if (where + "/").startswith(mount.rstrip("/") + "/") and len(mount) >= len(best[0]):
            best = (mount, kind)
    return best[1]
