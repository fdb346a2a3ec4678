"""Durations as people write them: ``5s``, ``250ms``, ``1.5m``, ``2h``."""

import re

from littoral.functions.errors import InvalidHandler

_DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)(ms|s|m|h)", re.ASCII)
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}

EVERY_S_MIN = 0.01
EVERY_S_MAX = 7 * 24 * 3600.0


def parse(text: str) -> float:
    """Seconds of a period.

    Raises:
        InvalidHandler: not a duration, or not between 10 ms and a week.
    """
    found = _DURATION.fullmatch(text)
    seconds = float(found.group(1)) * _SECONDS[found.group(2)] if found else 0.0
    if not EVERY_S_MIN <= seconds <= EVERY_S_MAX:
        raise InvalidHandler(
            f"{text[:40]!r} is not a period.", hint="Write 250ms, 5s, 1.5m or 2h; 10ms at least."
        )
    return seconds
