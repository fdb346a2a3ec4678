"""The hot path in C, where it was built; the one place that decides whether it is used.

`build` compiles `_hot.c` if this machine has a C compiler and Python's headers. Whoever has a plain
path in C asks `hot`: it is None where nothing was built, or where ``LITTORAL_PURE`` is set, and then
the Python code beside it runs, which does the same. ADR 0015.

Invariant: both variants do the same to the same objects, byte for byte: `tests/machine/native`.
"""

import hashlib
import os
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, cast

PURE_VARIABLE = "LITTORAL_PURE"
"""Set to anything, it keeps the compiled path out of a process: to compare, and to find faults."""

_BUILD_IT = "with a C compiler and Python's headers, python -m littoral.native.build builds it"


class HotPath(Protocol):
    """What `_hot.c` offers."""

    CONNECTION: int
    HUB: int
    ACKS: int
    GROUP: int
    ROUTE: int
    DOOR: int
    HOT: int
    LOG: int
    PENDING: int
    RECORD: int

    def bind(self, cls: int, of: type, /) -> None:
        """Learn where ``of`` keeps the slots that the C code reads and writes."""
        ...

    def configure(self, **constants: Any) -> None:
        """Learn limits and constants of the Python side."""
        ...

    def take(self, connection: object, data: bytes, /) -> int:
        """Take in the plain publishes at the beginning of ``data``; return how many bytes they are."""
        ...

    def decided(self, hub: object, peers: list[Any], /) -> None:
        """Acknowledge a durable batch to its peers."""
        ...


def _choose() -> tuple[HotPath | None, str]:
    if os.environ.get(PURE_VARIABLE):  # noqa: TID251  # before any setting is read
        return None, f"pure Python, because {PURE_VARIABLE} is set"
    try:
        module = import_module("littoral.native._hot")
    except ImportError:
        return None, f"pure Python, because it is not built; {_BUILD_IT}"
    source = Path(__file__).with_name("_hot.c").read_bytes()
    # As `build.fingerprint`, whose imports would cost a node's start some milliseconds.
    if hashlib.sha256(source).hexdigest()[:16] != module.FINGERPRINT:
        return None, f"pure Python, because what is built is of another version; {_BUILD_IT}"
    return cast("HotPath", module), "compiled"


hot, VARIANT = _choose()
"""The compiled path or None, and which it is, in words."""

__all__ = ["PURE_VARIABLE", "VARIANT", "HotPath", "hot"]
