"""Questions: how candidates are found, in which order they are looked at, and when it is enough."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import apsw
import orjson

from littoral.rql import InvalidOption, Query, SortBy
from littoral.search.adapters.audiences import Audiences, Scope
from littoral.search.adapters.compiling import Compiler, Conjunct, Drive, id_prefix
from littoral.search.adapters.limited import Limited
from littoral.search.adapters.ordering import Order, Way, beyond, order_of, place_of
from littoral.search.adapters.paths import Paths
from littoral.search.adapters.values import ALWAYS, NEVER, Sql, both, either
from littoral.search.adapters.writing import Writer
from littoral.search.core.places import after as successor
from littoral.search.model import ABSENT_SORTS_MAX, After, Audience, Hits, Value

Namespaces = tuple[str, ...] | None

_COLUMNS = re.compile(r"\bt\.(?!place\b)")
"""What a condition asks of a thing beside its place."""


@dataclass(slots=True)
class Plan:
    """What was decided about the last question."""

    name: str = ""
    driver: str = ""
    estimates: dict[str, int] = field(default_factory=dict)
    statements: list[Sql] = field(default_factory=list)


@dataclass(slots=True)
class Question:
    """A search, compiled."""

    scope: Scope
    compiler: Compiler
    conjuncts: list[Conjunct]
    bounds: Sql

    def condition(self, without: Drive | None = None) -> Sql:
        """What a thing has to meet, but for what its drive has made sure of."""
        trusted = without is not None and without.exact and not self.scope.partly
        return both(
            self.bounds,
            *(c.condition for c in self.conjuncts if not (trusted and c.drive is without)),
        )


class Asker:
    """Answers questions on one connection; `plan` tells how the last one was answered."""

    def __init__(
        self,
        connection: apsw.Connection,
        paths: Paths,
        audiences: Audiences,
        writer: Writer,
        drive_max: int,
    ) -> None:
        self._connection = connection
        self._paths = paths
        self._audiences = audiences
        self._writer = writer
        self._drive_max = drive_max
        self.plan = Plan()

    def question(self, audience: Audience, query: Query | None, namespaces: Namespaces) -> Question:
        """Compile a search for a caller."""
        self.plan = Plan()
        scope = self._audiences.scope(audience)
        compiler = Compiler(self._paths, scope)
        bounds = ALWAYS
        if namespaces is not None:
            bounds = either(*(id_prefix(f"{one}:") for one in namespaces))
        return Question(scope, compiler, compiler.conjuncts(query), bounds)

    def page(
        self,
        audience: Audience,
        query: Query | None,
        namespaces: Namespaces,
        sort: tuple[SortBy, ...],
        limited: Limited,
        *,
        size: int,
        offset: int,
        after: After | None,
        resume: str,
    ) -> Hits:
        """See `littoral.search.ports.Index`."""
        question = self.question(audience, query, namespaces)
        order = order_of(sort, question.compiler, self._paths)
        self._audiences.prepare(
            audience, question.compiler.wilds
        ) if question.scope.partly else None
        if size == 0 or question.condition() == NEVER:
            self.plan.name = "nothing can match"
            return Hits((), None)
        if resume:
            after = After(resume, self._keys(question, order, resume))
        found: list[str] = []
        wanted = offset + size + 1
        for statement in self._statements(question, order, after):
            sql = Sql(f"{statement.text} LIMIT ?", (*statement.params, wanted - len(found)))
            found += self._ids(sql, limited)
            if len(found) >= wanted:
                break
        ids = tuple(found[offset : offset + size])
        if len(found) < wanted:
            return Hits(ids, None)
        return Hits(ids, After(ids[-1], self._keys(question, order, ids[-1])))

    def count(
        self, audience: Audience, query: Query | None, namespaces: Namespaces, limited: Limited
    ) -> int:
        """See `littoral.search.ports.Index`."""
        question = self.question(audience, query, namespaces)
        if question.scope.partly:
            self._audiences.prepare(audience, question.compiler.wilds)
        source, condition = self.candidates(question, place_only=True)
        if condition == NEVER:
            self.plan.name = "nothing can match"
            return 0
        if condition == ALWAYS and question.scope.audience is None and "thing t" in source.text[:8]:
            sql = Sql("SELECT count(*) FROM thing")
        else:
            join, params = question.scope.join, question.scope.params
            sql = Sql(
                f"SELECT count(*) FROM {source.text} {join} WHERE {condition.text}",
                (*source.params, *params, *condition.params),
            )
        number = limited.value(self._connection, self._noted(sql))
        assert isinstance(number, int)
        return number

    def candidates(self, question: Question, *, place_only: bool = False) -> tuple[Sql, Sql]:
        """Where to take things ``t`` from if all hits are wanted, and what is left to be tested.

        If ``place_only``, they may have no other column than that: leaves know their thing's place.
        """
        drive = self._best(question)
        if drive is None or (
            self.plan.estimates[drive.name] > self._drive_max and not drive.ordered
        ):
            self.plan.name = "walk all things"
            return Sql("thing t"), question.condition()
        self.plan.name = "find by value"
        self.plan.driver = drive.name
        condition = question.condition(drive)
        if place_only and not question.scope.join and not _COLUMNS.search(condition.text):
            places = _things(drive, "place")
            return Sql(f"({places.text}) t", places.params), condition
        things = _things(drive)
        joined = f"({things.text}) d CROSS JOIN thing t ON t.place = d.thing"
        return Sql(joined, things.params), condition

    # Planning.

    def _best(self, question: Question) -> Drive | None:
        """The drive that gives the fewest things; if all give many, one that is ordered."""
        best: tuple[tuple[int, bool], Drive] | None = None
        for conjunct in question.conjuncts:
            drive = conjunct.drive
            if drive is None:
                continue
            estimate = self._estimate(drive)
            self.plan.estimates[drive.name] = estimate
            rank = (estimate, not drive.ordered)
            if best is None or rank < best[0]:
                best = (rank, drive)
        return None if best is None else best[1]

    def _estimate(self, drive: Drive) -> int:
        """How many rows a drive has, as far as it matters."""
        total = 0
        for one in drive.ranges:
            number = self._connection.execute(
                f"SELECT count(*) FROM (SELECT 1 FROM leaf l INDEXED BY leaf_value "
                f"WHERE {one.text} LIMIT ?)",
                (*one.params, self._drive_max + 1 - total),
            ).get
            assert isinstance(number, int)
            total += number
            if total > self._drive_max:
                break
        return total

    def _statements(self, question: Question, order: Order, after: After | None) -> Iterator[Sql]:
        """Statements that give ids in order, one after the other until there are enough."""
        drive = self._best(question)
        self.plan.driver = "" if drive is None else drive.name
        small = drive is not None and self.plan.estimates[drive.name] <= self._drive_max
        if order.way is Way.NONE or small:
            yield self._collected(question, order, after, drive if small else None)
        elif order.way is Way.ID:
            ordered = drive if drive is not None and drive.ordered else None
            yield self._by_id(question, order, after, ordered)
        elif order.way is Way.MODIFIED:
            yield self._walked(question, order, after)
        else:
            yield from self._by_value(question, order, after)

    def _collected(
        self, question: Question, order: Order, after: After | None, drive: Drive | None
    ) -> Sql:
        """Find all candidates, test them, sort them."""
        self.plan.name = "find all, then sort"
        source = Sql("thing t")
        if drive is not None:
            things = _things(drive)
            source = Sql(
                f"({things.text}) d CROSS JOIN thing t ON t.place = d.thing", things.params
            )
        condition = question.condition(drive)
        if after is not None:
            condition = both(condition, beyond(order, after, self._side(order, after, "t.place")))
        return _select(question, source, condition, order.terms)

    def _by_id(
        self, question: Question, order: Order, after: After | None, drive: Drive | None
    ) -> Sql:
        """Go along the places of things, or of those with one value: no sorting."""
        direction = "DESC" if order.id_descending else "ASC"
        if drive is None:
            self.plan.name, self.plan.driver = "walk by id", ""
            side = ALWAYS if after is None else self._side(order, after, "t.place")
            return _select(
                question,
                Sql("thing t"),
                both(side, question.condition()),
                Sql(f"t.place {direction}"),
            )
        self.plan.name = "walk one value by id"
        side = ALWAYS if after is None else self._side(order, after, "l.thing")
        source = Sql("leaf l INDEXED BY leaf_value CROSS JOIN thing t ON t.place = l.thing")
        condition = both(drive.ranges[0], side, question.condition(drive))
        found = _select(question, source, condition, Sql(f"l.thing {direction}"))
        return Sql(found.text.replace("SELECT t.id", "SELECT DISTINCT t.id", 1), found.params)

    def _walked(self, question: Question, order: Order, after: After | None) -> Sql:
        """Go along the index of the last change."""
        self.plan.name, self.plan.driver = "walk by last change", ""
        condition = question.condition()
        source = Sql("thing t INDEXED BY thing_modified")
        if after is not None:
            sign = "<=" if order.keys[0].sort.descending else ">="
            start = Sql(f"t.modified {sign} ?", (after.keys[0],))
            side = beyond(order, after, self._side(order, after, "t.place"))
            condition = both(start, condition, side)
        return _select(question, source, condition, order.terms)

    def _by_value(self, question: Question, order: Order, after: After | None) -> Iterator[Sql]:
        """Go along the index of the property that is sorted by; things without it come as null."""
        self.plan.name, self.plan.driver = "walk by value", order.keys[0].sort.property
        descending = order.keys[0].sort.descending
        key: Value = None if after is None else after.keys[0]
        walk = self._along if descending == order.id_descending else self._down
        if descending:
            if after is None or key is not None:
                yield walk(question, order, after)
            yield self._without_value(question, order, after if key is None else None)
            return
        if after is None or key is None:
            yield self._without_value(question, order, after)
        yield walk(question, order, after if key is not None else None)

    def _rows(self, question: Question, order: Order) -> tuple[Sql, Sql]:
        """The rows of the property that is sorted by, and which of them may be seen."""
        place = place_of(order)
        return question.compiler.where(place, "l"), question.compiler.visible(place, "l")

    def _along(self, question: Question, order: Order, after: After | None) -> Sql:
        """Along the index, forwards or backwards: values and ids go the same way."""
        where, visible = self._rows(question, order)
        start = Sql("l.v IS NOT NULL")
        if after is not None:
            place, sign = self._place(order, after)
            start = Sql(f"(l.v, l.thing) {sign} (?, ?)", (after.keys[0], place))
        direction = "DESC" if order.id_descending else "ASC"
        source = Sql("leaf l INDEXED BY leaf_value CROSS JOIN thing t ON t.place = l.thing")
        condition = both(where, start, visible, question.condition())
        return _select(question, source, condition, Sql(f"l.v {direction}, l.thing {direction}"))

    def _down(self, question: Question, order: Order, after: After | None) -> Sql:
        """Value by value from the greatest, and of each the things in the order of their ids."""
        where, visible = self._rows(question, order)
        below, again = Sql("l.v IS NOT NULL"), ALWAYS
        if after is not None:
            place, sign = self._place(order, after)
            below = Sql("l.v <= ?", (after.keys[0],))
            again = Sql(f"(l.v < ? OR l.thing {sign} ?)", (after.keys[0], place))
        condition = both(again, visible, question.condition())
        # Nested loops give values from above, and of each the things in order: no sorting.
        return Sql(
            "WITH RECURSIVE d(v) AS (SELECT * FROM (SELECT l.v FROM leaf l INDEXED BY leaf_value "
            f"WHERE {where.text} AND {below.text} ORDER BY l.v DESC LIMIT 1) UNION ALL "
            f"SELECT (SELECT l.v FROM leaf l INDEXED BY leaf_value WHERE {where.text} "
            "AND l.v < d.v ORDER BY l.v DESC LIMIT 1) FROM d WHERE d.v IS NOT NULL) "
            "SELECT t.id AS id FROM d CROSS JOIN leaf l INDEXED BY leaf_value "
            f"ON {where.text} AND l.v = d.v CROSS JOIN thing t ON t.place = l.thing "
            f"{question.scope.join}WHERE {condition.text}",
            (
                *where.params, *below.params, *where.params, *where.params,
                *question.scope.params, *condition.params,
            ),
        )  # fmt: skip

    def _without_value(self, question: Question, order: Order, after: After | None) -> Sql:
        """Things that come as null, in the order of ids."""
        key = order.keys[0]
        side = ALWAYS if after is None else self._side(order, after, "t.place")
        direction = Sql(f"t.place {'DESC' if order.id_descending else 'ASC'}")
        if question.scope.partly:
            lacking = Sql(f"{key.expression.text} IS NULL", key.expression.params)
            condition = both(side, question.condition(), lacking)
            return _select(question, Sql("thing t"), condition, direction)
        place = place_of(order)
        known = self._paths.find(place.path)
        assert known is not None
        self._writer.keep_absent(place.path, known.wild, known.no, ABSENT_SORTS_MAX)
        source = Sql("temp.absent x CROSS JOIN thing t ON t.place = x.place")
        condition = both(Sql("x.prop = ?", (place.path,)), side, question.condition())
        return _select(
            question, source, condition, Sql(direction.text.replace("t.place", "x.place"))
        )

    # Pages.

    def _place(self, order: Order, after: After) -> tuple[bytes, str]:
        """A place just beside the last hit's, also if it is gone; and which side is farther."""
        if order.id_descending:
            found = self._connection.execute(
                "SELECT place FROM thing WHERE id < ? ORDER BY id DESC LIMIT 1", (after.thing_id,)
            ).get
            return (b"", "<") if found is None else (bytes(found), "<=")
        found = self._connection.execute(
            "SELECT place FROM thing WHERE id > ? ORDER BY id LIMIT 1", (after.thing_id,)
        ).get
        return (successor(), ">") if found is None else (bytes(found), ">=")

    def _side(self, order: Order, after: After, expression: str) -> Sql:
        place, sign = self._place(order, after)
        return Sql(f"{expression} {sign} ?", (place,))

    def _keys(self, question: Question, order: Order, thing_id: str) -> tuple[Value, ...]:
        if not order.keys:
            return ()
        names = ", ".join(key.expression.text for key in order.keys)
        params = [p for key in order.keys for p in key.expression.params]
        row = self._connection.execute(
            f"SELECT {names} FROM thing t {question.scope.join} WHERE t.id = ?",
            (*params, *question.scope.params, thing_id),
        ).fetchone()
        if row is None:
            raise InvalidOption(
                f"{thing_id} is not there any more, so nothing can come after it.",
                hint="Begin again, or sort by thingId.",
            )
        return tuple(row)

    def _ids(self, sql: Sql, limited: Limited) -> list[str]:
        # One row: each row that is handed over hands the interpreter over, too.
        text = limited.value(
            self._connection,
            self._noted(Sql(f"SELECT json_group_array(id) FROM ({sql.text})", sql.params)),
        )
        assert isinstance(text, str)
        ids: list[str] = orjson.loads(text)
        return ids

    def _noted(self, sql: Sql) -> Sql:
        self.plan.statements.append(sql)
        return sql


def _things(drive: Drive, name: str = "thing") -> Sql:
    """The things of a drive, each once, as a column of that name."""
    selects = [
        f"l.thing AS {name} FROM leaf l INDEXED BY leaf_value WHERE {one.text}"
        for one in drive.ranges
    ]
    params = tuple(p for one in drive.ranges for p in one.params)
    if not selects:
        return Sql(f"SELECT NULL AS {name} WHERE 0")
    if len(selects) == 1:
        return Sql(f"SELECT DISTINCT {selects[0]}", params)
    return Sql(" UNION ".join(f"SELECT {one}" for one in selects), params)


def _select(question: Question, source: Sql, condition: Sql, terms: Sql) -> Sql:
    scope = question.scope
    return Sql(
        f"SELECT t.id AS id FROM {source.text} {scope.join}WHERE {condition.text} "
        f"ORDER BY {terms.text}",
        (*source.params, *scope.params, *condition.params, *terms.params),
    )
