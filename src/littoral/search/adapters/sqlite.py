"""The index in one SQLite file of its own, beside the log's.

One connection does everything, on the worker's thread. All changes are one open transaction, which
the questions of the same connection see; it ends when the index is closed. So a page is written when
its room is needed, without a journal, and no question ever waits for a commit. What a crash leaves is
made anew.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import apsw

from littoral.log import Record
from littoral.rql import Query, SortBy
from littoral.search.adapters import tables
from littoral.search.adapters.asking import Asker
from littoral.search.adapters.audiences import Audiences
from littoral.search.adapters.figures import aggregate
from littoral.search.adapters.limited import Limited
from littoral.search.adapters.paths import Paths
from littoral.search.adapters.tables import get_meta, set_meta, translated
from littoral.search.adapters.writing import Writer
from littoral.search.core.properties import Column, target_of
from littoral.search.model import (
    DRIVE_THINGS_MAX,
    MODIFIED_S,
    Access,
    After,
    Audience,
    Explanation,
    Group,
    Hits,
    Metric,
    Wants,
)
from littoral.twin import Standing

FILE = "search.db"

Remove = Callable[[str], None]


@dataclass(slots=True)
class _Open:
    connection: apsw.Connection
    paths: Paths
    audiences: Audiences
    writer: Writer
    asker: Asker


class SqliteIndex:
    """See `littoral.search.ports.Index`.

    Args:
        path: of the file; ``:memory:`` for one that is gone when it is closed.
        remove: takes a file away, if it is there.
        monotonic_s: the clock that bounds questions.
        cache_kib: memory for pages.
        drive_max: see `DRIVE_THINGS_MAX`.
    """

    def __init__(
        self,
        path: str,
        *,
        remove: Remove,
        monotonic_s: Callable[[], float],
        cache_kib: int = 32 * 1024,
        drive_max: int = DRIVE_THINGS_MAX,
    ) -> None:
        self._path = path
        self._remove = remove
        self._monotonic_s = monotonic_s
        self._cache_kib = cache_kib
        self._drive_max = drive_max
        self._now: _Open | None = None
        self._position = -1
        self._bare = False
        self._modified_s: float | None = None
        self._took_ms = 0.0
        self._hits = 0

    def open(self, log: str, *, anew: bool = False) -> int:
        """See `littoral.search.ports.Index`."""
        self.close()
        if not anew:
            with suppress(apsw.Error, OSError):
                position = self._open(log)
                if position is not None and position >= 0:
                    return position
            self._let_go()
        for suffix in ("", "-wal", "-shm", "-journal"):
            self._remove(self._path + suffix)
        with translated("making the search index"):
            assert self._open(log) is not None
        return -1

    def _open(self, log: str) -> int | None:
        connection = tables.connect(self._path, cache_kib=self._cache_kib)
        try:
            position = self._load(connection, log)
        except BaseException:
            connection.close(force=True)
            raise
        if position is None:
            connection.close(force=True)
        return position

    def _load(self, connection: apsw.Connection, log: str) -> int | None:
        if tables.empty(connection):
            tables.create(connection)
            set_meta(connection, "log", log)
            set_meta(connection, "position", -1)
        elif (
            get_meta(connection, "format") != tables.FORMAT
            or get_meta(connection, "log") != log
            or not tables.is_sound(connection)
        ):
            return None
        position = get_meta(connection, "position")
        tables.create_temporary(connection)
        tables.begin(connection)
        paths = Paths(connection)
        writer = Writer(connection, paths)
        audiences = Audiences(connection, paths)
        asker = Asker(connection, paths, audiences, writer, self._drive_max)
        self._now = _Open(connection, paths, audiences, writer, asker)
        assert isinstance(position, int)
        self._position = position
        self._bare = position == -1
        self._modified_s = None
        return position

    # Changes.

    def take(self, records: Sequence[Record], own: str) -> Wants:
        """See `littoral.search.ports.Index`."""
        with self._changing("taking records in") as now:
            return now.writer.take(records, own)

    def put(self, standings: Sequence[Standing]) -> Wants:
        """See `littoral.search.ports.Index`."""
        with self._changing("indexing things") as now:
            wants = now.writer.put(standings)
            if wants.policies:
                now.audiences.stale()
            return wants

    def know(self, access: Sequence[Access]) -> None:
        """See `littoral.search.ports.Index`."""
        with self._changing("indexing policies") as now:
            now.audiences.know(access)

    def using(self, policy_ids: Sequence[str]) -> tuple[tuple[str, str], ...]:
        """See `littoral.search.ports.Index`."""
        with translated("reading policies"):
            marks = ", ".join("?" * len(policy_ids))
            rows = self._opened().connection.execute(
                f"SELECT id, namespace FROM policy WHERE id IN ({marks})",
                tuple(policy_ids),
            )
            return tuple((policy_id, namespace) for policy_id, namespace in rows)

    def reached(self, seq: int) -> None:
        """See `littoral.search.ports.Index`."""
        if self._bare:
            # Sorting all values once is cheaper than putting each in its place.
            with self._changing("indexing values") as now:
                tables.index_values(now.connection)
            self._bare = False
        self._position = seq

    @contextmanager
    def _changing(self, doing: str) -> Iterator[_Open]:
        now = self._opened()
        with translated(doing):
            if self._modified_s is not None and self._monotonic_s() - self._modified_s > MODIFIED_S:
                tables.forget_modified(now.connection)
                self._modified_s = None
            yield now

    # Questions.

    def page(
        self,
        audience: Audience,
        query: Query | None,
        namespaces: tuple[str, ...] | None,
        sort: tuple[SortBy, ...],
        *,
        size: int,
        offset: int = 0,
        after: After | None = None,
        resume: str = "",
        time_s: float,
    ) -> Hits:
        """See `littoral.search.ports.Index`."""
        with self._asking() as now:
            if sort and target_of(sort[0].property) is Column.MODIFIED:
                tables.index_modified(now.connection)
                self._modified_s = self._monotonic_s()
            hits = now.asker.page(
                audience,
                query,
                namespaces,
                sort,
                Limited(time_s, self._monotonic_s),
                size=size,
                offset=offset,
                after=after,
                resume=resume,
            )
            self._hits = len(hits.ids)
            return hits

    def count(
        self,
        audience: Audience,
        query: Query | None,
        namespaces: tuple[str, ...] | None,
        *,
        time_s: float,
    ) -> int:
        """See `littoral.search.ports.Index`."""
        with self._asking() as now:
            limited = Limited(time_s, self._monotonic_s)
            self._hits = now.asker.count(audience, query, namespaces, limited)
            return self._hits

    def aggregate(
        self,
        audience: Audience,
        query: Query | None,
        namespaces: tuple[str, ...] | None,
        group_by: tuple[str, ...],
        metrics: tuple[Metric, ...],
        *,
        time_s: float,
    ) -> list[Group]:
        """See `littoral.search.ports.Index`."""
        with self._asking() as now:
            groups = aggregate(
                now.connection,
                now.asker,
                now.audiences,
                now.asker.question(audience, query, namespaces),
                audience,
                group_by,
                metrics,
                Limited(time_s, self._monotonic_s),
            )
            self._hits = len(groups)
            return groups

    def explanation(self) -> Explanation:
        """See `littoral.search.ports.Index`."""
        now = self._opened()
        plan = now.asker.plan
        steps: list[str] = []
        with translated("explaining a search"):
            for sql in plan.statements:
                rows = now.connection.execute(f"EXPLAIN QUERY PLAN {sql.text}", sql.params)
                steps += [str(row[3]) for row in rows]
        return Explanation(
            plan=plan.name,
            driver=plan.driver,
            estimates=dict(plan.estimates),
            statements=tuple(sql.text for sql in plan.statements),
            steps=tuple(steps),
            hits=self._hits,
            took_ms=self._took_ms,
        )

    @contextmanager
    def _asking(self) -> Iterator[_Open]:
        began_s = self._monotonic_s()
        with translated("searching"):
            yield self._opened()
        self._took_ms = (self._monotonic_s() - began_s) * 1000

    # Closing.

    def close(self, *, sound: bool = True) -> None:
        """See `littoral.search.ports.Index`."""
        if self._now is not None:
            with suppress(apsw.Error):
                if sound and self._position >= 0:
                    tables.forget_modified(self._now.connection)
                    tables.end(self._now.connection, position=self._position)
            self._let_go()

    def _let_go(self) -> None:
        if self._now is not None:
            with suppress(apsw.Error):
                self._now.connection.close(force=True)
            self._now = None

    def _opened(self) -> _Open:
        assert self._now is not None, "the index is not open"
        return self._now
