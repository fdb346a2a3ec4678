"""Compile `_hot.c` where that is possible: ``python -m littoral.native.build``.

Needs a C compiler and Python's headers, and no network; without them nothing is built, which is not
an error: the Python code beside it does the same, more slowly. `hatch_build.py` calls this for every
installation. It imports nothing of Littoral, because nothing is installed yet.
"""

import hashlib
import importlib.machinery
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

SOURCE = Path(__file__).with_name("_hot.c")
TIMEOUT_S = 120.0
FLAGS = ("-O3", "-std=c11", "-fPIC", "-shared", "-fvisibility=hidden", "-Wall", "-Wextra")


def target() -> Path:
    """Where this interpreter looks for the module."""
    return SOURCE.with_name("_hot" + importlib.machinery.EXTENSION_SUFFIXES[0])


def fingerprint() -> str:
    """Names the source: a module that was built from another one is not used."""
    return hashlib.sha256(SOURCE.read_bytes()).hexdigest()[:16]


def compiler() -> str | None:
    """A C compiler of this machine: Python's own choice, else a usual name."""
    configured = shlex.split(sysconfig.get_config_var("CC") or "")[:1]
    return next(filter(None, map(shutil.which, (*configured, "cc", "gcc", "clang"))), None)


def build() -> str:
    """Compile if possible; return one sentence that says what came of it."""
    if sys.implementation.name != "cpython" or os.name != "posix":
        return "pure Python: the compiled hot path is for CPython on POSIX."
    include = Path(sysconfig.get_paths()["include"])
    if not (include / "Python.h").exists():
        return f"pure Python: there is no {include / 'Python.h'} (Debian: python3-dev)."
    cc = compiler()
    if cc is None:
        return "pure Python: there is no C compiler (Debian: gcc)."
    # Beside the target, then renamed: a node that runs keeps the module that it has loaded.
    fresh = target().with_suffix(f".{os.getpid()}.tmp")
    command = [
        cc, *FLAGS, f"-I{include}", f'-DFINGERPRINT="{fingerprint()}"', str(SOURCE), "-o", str(fresh),
    ]  # fmt: skip
    if sys.platform == "darwin":
        command += ["-undefined", "dynamic_lookup"]
    try:
        done = subprocess.run(  # noqa: S603  # our own command line
            command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
        )
        if done.returncode:
            return f"pure Python: {cc} failed: {done.stderr.strip()[-500:]}"
        fresh.replace(target())
    except (OSError, subprocess.TimeoutExpired) as e:
        return f"pure Python: {cc} could not be run: {e}."
    finally:
        fresh.unlink(missing_ok=True)
    return f"compiled: {target().name}."


if __name__ == "__main__":
    sys.stdout.write(f"littoral's hot path is {build()}\n")
