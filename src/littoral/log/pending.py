"""One batch that waits for its commit, and what `get` and `scan` see of such batches."""

from collections.abc import Callable, Sequence

from littoral.kernel.errors import LittoralError
from littoral.kernel.ids import Origin
from littoral.log.model import Record

OPEN_BYTES_EACH = 64
"""Counted for a record or put beside its value, so that empty ones are bounded too."""

_MISSING = object()


class Pending:
    """Records, puts and callbacks that share one transaction."""

    __slots__ = ("bytes", "callbacks", "high", "hlc_ahead", "puts", "records")

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.puts: dict[tuple[str, str], bytes | None] = {}
        self.callbacks: list[Callable[[LittoralError | None], None]] = []
        self.high: set[tuple[Origin, int]] = set()
        self.hlc_ahead: int | None = None
        self.bytes = 0

    def __bool__(self) -> bool:
        return bool(self.records or self.puts or self.callbacks or self.high)

    @property
    def writes(self) -> bool:
        """Whether there is anything to make durable."""
        return bool(self.records or self.puts or self.high)


def lookup(layers: Sequence[Pending], space: str, key: str) -> tuple[bool, bytes | None]:
    """The newest pending value of a key: (is there one, the value)."""
    for layer in reversed(layers):
        value = layer.puts.get((space, key), _MISSING)
        if value is not _MISSING:
            assert value is None or isinstance(value, bytes)
            return True, value
    return False, None


def changed(
    layers: Sequence[Pending], space: str, prefix: str, after: str
) -> dict[str, bytes | None]:
    """Pending values of the keys of ``space`` that begin with ``prefix`` and are > ``after``."""
    found: dict[str, bytes | None] = {}
    for layer in layers:
        for (of, key), value in layer.puts.items():
            if of == space and key > after and key.startswith(prefix):
                found[key] = value
    return found
