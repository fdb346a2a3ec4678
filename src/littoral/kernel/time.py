"""Instants: the clock port, RFC 3339 text, and the hybrid logical clock.

An instant is an ``int`` of milliseconds since the epoch (UTC); an HLC stamp is a 64-bit ``int``:
48 bits of milliseconds, 16 bits of counter.
"""

from datetime import UTC, datetime, timedelta
from typing import Protocol

from littoral.kernel.errors import LittoralError

COUNTER_BITS = 16

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)


class Clock(Protocol):
    """Where a node reads time. The real one is in `app`, the virtual one in `simulate`."""

    def now_ms(self) -> int:
        """Wall time, ms since the epoch. It may jump, either way."""
        ...

    def monotonic_s(self) -> float:
        """Seconds from an unknown start; never goes back. The loop's own time."""
        ...


class Entropy(Protocol):
    """Where a node gets randomness; seeded in the virtual world."""

    def token(self, size: int) -> bytes:
        """``size`` unpredictable bytes."""
        ...

    def uniform(self, low: float, high: float) -> float:
        """A float in [low, high]; for jitter, not for secrets."""
        ...


class InvalidInstant(LittoralError):
    """The text is not an RFC 3339 instant nor milliseconds since the epoch."""

    code = "littoral.instant.invalid"


def render(ms: int) -> str:
    """RFC 3339 in UTC with milliseconds: ``2026-11-22T15:20:00.000Z``."""
    seconds, rest = divmod(ms, 1000)
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S") + f".{rest:03d}Z"


def parse(text: str) -> int:
    """Read RFC 3339 or decimal ms since the epoch; return ms. Raises `InvalidInstant`."""
    if text.isascii() and text.removeprefix("-").isdigit() and len(text) <= 15:
        return int(text)
    try:
        instant = datetime.fromisoformat(text)
        if instant.tzinfo is None:
            raise ValueError("no offset")  # noqa: TRY301  # one way out for both
        return (instant - _EPOCH) // _MS
    except (ValueError, OverflowError) as e:
        raise InvalidInstant(
            f"{text[:40]!r} is not an instant.",
            hint="Write RFC 3339 (2026-11-22T15:20:00Z) or milliseconds since 1970.",
        ) from e


def hlc_of(ms: int) -> int:
    """The smallest stamp at wall time ``ms``."""
    return ms << COUNTER_BITS


def ms_of(hlc: int) -> int:
    """The wall part of a stamp, in ms."""
    return hlc >> COUNTER_BITS
