"""A bound on the time and a count of the work of statements."""

from collections.abc import Callable

import apsw

from littoral.search.adapters.values import Sql

_STEPS_A_SECOND = 2_000_000
_STEPS_MAX = 50_000
"""Steps of SQLite's machine between two looks at the clock: some milliseconds, or a tenth of the time."""


class Limited:
    """Runs statements until a deadline. Only reading ones: to interrupt a writer undoes it all.

    Args:
        time_s: from now.
        clock: monotonic seconds.
    """

    def __init__(self, time_s: float, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._deadline_s = clock() + time_s
        self._steps = min(_STEPS_MAX, int(time_s * _STEPS_A_SECOND))

    def value(self, connection: apsw.Connection, sql: Sql) -> object:
        """The first value of what a statement gives; raise `apsw.InterruptError` if it is late."""
        rows = self.rows(connection, sql)
        return rows[0][0] if rows else None

    def rows(self, connection: apsw.Connection, sql: Sql) -> list[tuple[object, ...]]:
        """All rows of what a statement gives; raises what `value` raises."""
        connection.set_progress_handler(self._is_late, self._steps)
        try:
            return connection.execute(sql.text, sql.params).fetchall()
        finally:
            connection.set_progress_handler(None)

    def _is_late(self) -> bool:
        return self._clock() > self._deadline_s
