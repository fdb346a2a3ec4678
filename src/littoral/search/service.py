"""The front door of search: questions are asked of an index that is up to the last commit."""

import asyncio
import contextlib
from collections.abc import Sequence
from typing import TypeVar

from littoral.kernel.errors import LittoralError
from littoral.kernel.ids import parse_namespace
from littoral.kernel.time import Clock
from littoral.log import Log
from littoral.rql import Query, SortBy, properties, render, resolve
from littoral.search.core import cursors
from littoral.search.core.cursors import Bookmark
from littoral.search.core.properties import target_of
from littoral.search.errors import IndexBuilding, IndexDamaged, InvalidNamespaces, QueryTimeExceeded
from littoral.search.following import Follower
from littoral.search.model import (
    CHUNK_RECORDS_MAX,
    IDLE_RECORDS_MAX,
    NAMESPACES_MAX,
    QUEUE_RECORDS_MAX,
    SETTLE_S_MAX,
    After,
    Audience,
    Explanation,
    Group,
    Hits,
    IndexStatistics,
    Metric,
    Page,
    SearchQuery,
)
from littoral.search.ports import Index, Worker
from littoral.search.working import Question
from littoral.twin import Caller, Twins

ASKED_LATELY_S = 30.0
"""After a question, the index is kept near the head for so long; later it may lag more."""

EAGER_SHARE = 0.5
"""Of the time, for what the index takes in while questions are asked."""

LAZY_SHARE = 0.04
"""Of the time, for what it takes in while nobody asks: ingest is worth more."""

BEHIND_MANY = 4 * CHUNK_RECORDS_MAX
"""From here on it takes all of the time, while questions are asked."""

GATHER_S = 0.004
"""How long changes are gathered while questions are asked: what a question finds waiting, it waits for."""

PAUSE_S_MAX = 1.0
"""Longest pause between two pieces of work."""

T = TypeVar("T")


class Search:
    """Searches of one node.

    Args:
        log: whose commits are followed.
        twins: whose things are searched.
        index: where they are kept, flattened.
        worker: who does the index's work.
        clock: for time placeholders and budgets.
    """

    def __init__(self, log: Log, twins: Twins, index: Index, worker: Worker, clock: Clock) -> None:
        self._log = log
        self._clock = clock
        self._index = index
        self._worker = worker
        self._follower = Follower(log, twins, index, worker, clock)
        self._turn = asyncio.Lock()
        self._asked_s = -ASKED_LATELY_S
        self._queries = 0
        self._closed = False

    # Questions.

    async def page(self, caller: Caller, search: SearchQuery) -> Page:
        """One page of ids of things that the caller may see.

        Raises:
            InvalidExpression, InvalidOption: the search makes no sense.
            QueryTimeExceeded: it took too long.
            IndexBuilding: the index is not ready, and did not become so in time.
        """
        query = self._resolved(search.filter)
        options = search.options
        question = _question(search)
        sort, size, after = options.sort, search.size, None
        offset = 0 if options.limit is None else options.limit.offset
        if options.cursor is not None:
            bookmark = cursors.decode(options.cursor, question=question, sort=sort)
            sort, after = bookmark.sort, bookmark.after
            size = bookmark.size if options.size is None else size
        _check_sort(sort)
        audience, index = _audience(caller), self._index

        def ask(time_s: float) -> Hits:
            return index.page(
                audience,
                query,
                search.namespaces,
                sort,
                size=size,
                offset=offset,
                after=after,
                resume=search.resume,
                time_s=time_s,
            )

        kind = (audience, _properties(query), sort, search.namespaces is None)
        hits = await self._ask(Question(ask, kind))
        if hits.after is None:
            return Page(hits.ids)
        if options.limit is not None:
            return Page(hits.ids, next_offset=offset + size)
        bookmark = Bookmark(_kept(hits.after, sort), sort, size)
        return Page(hits.ids, cursors.encode(bookmark, question=question))

    async def count(self, caller: Caller, search: SearchQuery) -> int:
        """How many things there are that the caller may see; raises what `page` raises."""
        query = self._resolved(search.filter)
        audience, index = _audience(caller), self._index

        def ask(time_s: float) -> int:
            return index.count(audience, query, search.namespaces, time_s=time_s)

        return await self._ask(Question(ask, (audience, _properties(query))))

    async def aggregate(
        self,
        caller: Caller,
        search: SearchQuery,
        group_by: tuple[str, ...],
        metrics: tuple[Metric, ...],
    ) -> Sequence[Group]:
        """Figures over the things that the caller may see, by the values of some properties."""
        query = self._resolved(search.filter)
        for name in (*group_by, *(metric.property for metric in metrics if metric.property)):
            target_of(name)
        audience, index = _audience(caller), self._index

        def ask(time_s: float) -> Sequence[Group]:
            return index.aggregate(
                audience, query, search.namespaces, group_by, metrics, time_s=time_s
            )

        return await self._ask(Question(ask, (audience, _properties(query), group_by, metrics)))

    async def explain(self, caller: Caller, search: SearchQuery) -> Explanation:
        """How the first page of a search is found."""
        query = self._resolved(search.filter)
        _check_sort(search.options.sort)
        audience, index = _audience(caller), self._index

        def ask(time_s: float) -> Explanation:
            index.page(
                audience,
                query,
                search.namespaces,
                search.options.sort,
                size=search.size,
                time_s=time_s,
            )
            return index.explanation()

        return await self._ask(Question(ask, None))

    async def settled(self, seq: int = 0) -> None:
        """Return when the record ``seq`` (0: all there is) is durable and found by searches."""
        await self._log.wait(seq or None)
        await self._ask(Question(_nothing, None))

    def _resolved(self, query: Query | None) -> Query | None:
        return None if query is None else resolve(query, self._clock.now_ms())

    async def _ask(self, question: Question[T]) -> T:
        self._asked_s = self._clock.monotonic_s()
        self._queries += 1
        self._follower.keeps = QUEUE_RECORDS_MAX
        self._follower.eager = True
        try:
            async with asyncio.timeout(SETTLE_S_MAX):
                try:
                    return await self._answer(question)
                except IndexDamaged:
                    # It is being made anew; what fails then, too, is not the file's fault.
                    return await self._answer(question)
        except TimeoutError as e:
            if self._follower.built.is_set():
                raise QueryTimeExceeded("the index did not catch up in time.") from e
            raise IndexBuilding(
                "the search index is being made.", hint="Try again in a moment."
            ) from e

    async def _answer(self, question: Question[T]) -> T:
        while True:
            await self._follower.built.wait()
            async with self._turn:
                found = await self._follower.answer(question)
                if await self._follower.wait_durable():
                    return found

    # Background.

    async def run(self) -> None:
        """Open the index, and keep it near the head of the log, until cancelled."""
        while True:
            try:
                async with self._turn:
                    await self._follower.open()
                await self._follow()
            except LittoralError:
                if self._closed:
                    return
                # What went wrong has been said; a broken log ends the node by itself.
                await asyncio.sleep(PAUSE_S_MAX)

    async def _follow(self) -> None:
        follower = self._follower
        while not follower.damaged.is_set():
            if not follower.behind:
                follower.woken.clear()
                await follower.woken.wait()
            lately = self._clock.monotonic_s() - self._asked_s < ASKED_LATELY_S
            began_s = self._clock.monotonic_s()
            async with self._turn:
                if follower.damaged.is_set():
                    return
                await follower.step()
            took_s = self._clock.monotonic_s() - began_s
            follower.keeps = QUEUE_RECORDS_MAX if lately else IDLE_RECORDS_MAX
            follower.eager = lately
            await asyncio.sleep(_pause_s(took_s, lately=lately, behind=follower.behind))

    def close(self) -> None:
        """Make the index's files durable, and let go of them; after `run` has ended."""
        if not self._closed:
            self._closed = True
            self._follower.close()
            index, sound = self._index, self._follower.sound
            with contextlib.suppress(LittoralError):
                self._worker.run(lambda: index.close(sound=sound), _ignored)
            self._worker.close()

    def statistics(self) -> IndexStatistics:
        """Counters since the start."""
        return IndexStatistics(
            position=self._follower.position,
            behind=self._follower.behind,
            queries=self._queries,
            taken=self._follower.taken,
            read=self._follower.read,
            inline=self._follower.inline,
            rebuilds=self._follower.rebuilds,
            building=not self._follower.built.is_set(),
        )


def _pause_s(took_s: float, *, lately: bool, behind: int) -> float:
    """How long to leave the index alone after a piece of work."""
    if not lately:
        return min(PAUSE_S_MAX, took_s * (1 / LAZY_SHARE - 1))
    if behind > BEHIND_MANY:
        return 0.0
    return max(GATHER_S, took_s * (1 / EAGER_SHARE - 1))


def parse_namespaces(text: str | None) -> tuple[str, ...] | None:
    """Read a comma list of namespaces; raise `InvalidNamespaces`."""
    if text is None:
        return None
    names = tuple(dict.fromkeys(one.strip() for one in text.split(",")))
    if len(names) > NAMESPACES_MAX:
        raise InvalidNamespaces(f"at most {NAMESPACES_MAX} namespaces in one search.")
    for name in names:
        try:
            parse_namespace(name)
        except LittoralError as e:
            raise InvalidNamespaces(
                f"{name[:80]!r} is not a namespace.", hint="Write org.example,com.example.site."
            ) from e
    return names


def _question(search: SearchQuery) -> str:
    names = "*" if search.namespaces is None else ",".join(search.namespaces)
    return f"{'' if search.filter is None else render(search.filter)}\n{names}"


def _check_sort(sort: Sequence[SortBy]) -> None:
    for key in sort:
        target_of(key.property)


def _kept(after: After, sort: Sequence[SortBy]) -> After:
    """As many values as there are keys: what comes after the id was not worked out."""
    values = after.keys + (None,) * (len(sort) - len(after.keys))
    return After(after.thing_id, values)


def _audience(caller: Caller) -> Audience:
    return Audience(frozenset(caller.subjects), caller.unrestricted)


def _properties(query: Query | None) -> frozenset[str]:
    return frozenset() if query is None else properties(query)


def _nothing(_: float) -> None:
    """The index being up to date was all that was wanted."""


def _ignored(error: BaseException | None) -> None:
    """Whatever it was: the index is made anew at the next start."""
