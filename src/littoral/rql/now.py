"""Time placeholders become literals when a query is asked: ``gt(_modified,time:now-1h)``."""

from calendar import monthrange
from datetime import UTC, datetime, timedelta

from littoral.kernel import time
from littoral.rql import literals
from littoral.rql.errors import InvalidExpression
from littoral.rql.model import And, Compare, In, Literal, Not, Now, Or, Query, Scalar, Unit

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)
_FIXED = {
    Unit.MS: 1,
    Unit.SECOND: 1000,
    Unit.MINUTE: 60_000,
    Unit.HOUR: 3_600_000,
    Unit.DAY: 86_400_000,
    Unit.WEEK: 7 * 86_400_000,
}
_MONDAY_MS = 4 * 86_400_000
"""The first Monday after the epoch."""


def resolve(query: Query, now_ms: int) -> Query:
    """``query`` with its time placeholders replaced; the same object if it has none.

    Raises:
        InvalidExpression: a placeholder is before the year 1 or after the year 9999.
    """
    match query:
        case Compare(operator, path, Now() as now):
            return Compare(operator, path, instant(now, now_ms))
        case In(path, several) if any(isinstance(one, Now) for one in several):
            return In(path, tuple(_resolved(one, now_ms) for one in several))
        case And(parts) | Or(parts):
            resolved = tuple(resolve(part, now_ms) for part in parts)
            if all(a is b for a, b in zip(parts, resolved, strict=True)):
                return query
            return And(resolved) if isinstance(query, And) else Or(resolved)
        case Not(part):
            inner = resolve(part, now_ms)
            return query if inner is part else Not(inner)
        case _:
            return query


def _resolved(literal: Literal, now_ms: int) -> Scalar:
    return instant(literal, now_ms) if isinstance(literal, Now) else literal


def named(name: str, now_ms: int) -> str | int | None:
    """The value of a property like ``time:now-1h`` in event filters; None if it is none."""
    found = literals.NOW.fullmatch(name)
    now = None if found is None else literals.now_of(found)
    return None if now is None else instant(now, now_ms)


def instant(now: Now, now_ms: int) -> str | int:
    """What a placeholder stands for: RFC 3339 text, or milliseconds since the epoch."""
    try:
        ms = _truncated(_moved(now_ms, now.offset, now.unit), now.truncate)
        return ms if now.epoch_millis else time.render(ms)
    except (ValueError, OverflowError) as e:
        raise InvalidExpression(
            f"{literals.text_of(now)} is not in the years 1 to 9999.", at=0
        ) from e


def _moved(ms: int, offset: int, unit: Unit | None) -> int:
    if unit is None or offset == 0:
        return ms
    if unit in _FIXED:
        return ms + offset * _FIXED[unit]
    at = _EPOCH + ms * _MS
    months = at.year * 12 + at.month - 1 + offset * (12 if unit is Unit.YEAR else 1)
    year, month = divmod(months, 12)
    month += 1
    if not 1 <= year <= 9999:
        raise ValueError(year)
    day = min(at.day, monthrange(year, month)[1])
    return (at.replace(year=year, month=month, day=day) - _EPOCH) // _MS


def _truncated(ms: int, unit: Unit | None) -> int:
    if unit is None:
        return ms
    if unit is Unit.WEEK:
        return ms - (ms - _MONDAY_MS) % _FIXED[unit]
    if unit in _FIXED:
        return ms - ms % _FIXED[unit]
    at = _EPOCH + ms * _MS
    first = datetime(at.year, at.month if unit is Unit.MONTH else 1, 1, tzinfo=UTC)
    return (first - _EPOCH) // _MS
