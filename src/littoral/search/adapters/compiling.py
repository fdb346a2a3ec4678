"""Queries as SQL: a condition on one thing, and where candidates come from."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import cos, degrees, radians
from typing import assert_never

from littoral.kernel import time
from littoral.kernel.time import InvalidInstant
from littoral.rql import (
    EARTH_RADIUS_M,
    And,
    Compare,
    Empty,
    Exists,
    In,
    Literal,
    Not,
    Operator,
    Or,
    Query,
    WithinBox,
    WithinDistance,
)
from littoral.search.adapters.audiences import Scope
from littoral.search.adapters.paths import Paths
from littoral.search.adapters.values import (
    ALWAYS,
    NEVER,
    Sql,
    after_prefix,
    both,
    either,
    negated,
    test,
)
from littoral.search.core.properties import Column, Place, target_of

_LISTED_MAX = 8
"""Wild paths that a statement looks up one by one; of more it walks through the thing's leaves."""

_NAMESPACE = "substr(t.id, 1, instr(t.id, ':') - 1)"
_INSTANT = "strftime('%Y-%m-%dT%H:%M:%fZ', {column} / 1000.0, 'unixepoch')"
_COLUMNS = {
    Column.ID: "t.id",
    Column.NAMESPACE: _NAMESPACE,
    Column.REVISION: "t.revision",
    Column.CREATED: "t.created",
    Column.MODIFIED: "t.modified",
}
_ORDERS = {Operator.GT, Operator.GE, Operator.LT, Operator.LE}


@dataclass(frozen=True, slots=True)
class Drive:
    """Where candidates may come from: ranges of the index, each ``(FROM leaf l …) WHERE`` this."""

    ranges: tuple[Sql, ...]
    name: str
    ordered: bool = False
    """Whether the one range has its things in the order of their places."""
    exact: bool = True
    """Whether all that it gives meet the condition, so that it need not be tested again."""


@dataclass(frozen=True, slots=True)
class Conjunct:
    """One of the conditions that all have to hold."""

    condition: Sql
    drive: Drive | None


class Compiler:
    """Makes SQL of queries for one scope. Aliases: ``t`` the thing, ``a`` the class of its policy."""

    def __init__(self, paths: Paths, scope: Scope) -> None:
        self._paths = paths
        self._scope = scope
        self.wilds: set[str] = set()
        """Wild paths whose visibility has to be worked out before the statement runs."""

    def conjuncts(self, query: Query | None) -> list[Conjunct]:
        """The parts of a query that all have to hold."""
        if query is None:
            return []
        if isinstance(query, And):
            return [one for part in query.parts for one in self.conjuncts(part)]
        return [Conjunct(self.condition(query), self._drive(query))]

    def condition(self, query: Query) -> Sql:
        """Whether a query holds for the thing ``t``."""
        match query:
            case And(parts):
                return _grouped(both(*map(self.condition, parts)))
            case Or(parts):
                return either(*map(self.condition, parts))
            case Not(part):
                return negated(self.condition(part))
            case Compare(operator, name, literal):
                return self._compare(name, ((operator, literal),))
            case In(name, literals):
                return self._compare(name, tuple((Operator.EQ, one) for one in literals))
            case Exists(name):
                target = target_of(name)
                return ALWAYS if isinstance(target, Column) else self._exists(target)
            case Empty(name):
                return self._empty(name)
            case WithinBox() | WithinDistance():
                return self._within(query)
            case _:
                assert_never(query)

    # One property.

    def _compare(self, name: str, tests: tuple[tuple[Operator, Literal], ...]) -> Sql:
        target = target_of(name)
        if isinstance(target, Column):
            return either(*(_column(target, operator, literal) for operator, literal in tests))
        return self.some(target, either(*(test(o, x, "+l.v") for o, x in tests)))

    def some(self, place: Place, wanted: Sql) -> Sql:
        """Whether some value at ``place`` that may be seen is as ``wanted``."""
        where = self.where(place, "l")
        if NEVER in (where, wanted):
            return NEVER
        inner = both(where, wanted, self.visible(place, "l"))
        return Sql(
            f"EXISTS (SELECT 1 FROM leaf l WHERE l.thing = t.place AND {inner.text})", inner.params
        )

    def where(self, place: Place, alias: str) -> Sql:
        """Rows of one property."""
        wild = self._paths.find(place.wild)
        if wild is None:
            return NEVER
        self.wilds.add(place.wild)
        if place.is_wild:
            return Sql(f"{alias}.wild = ?", (wild.no,))
        holders = [known.no for text in place.holders if (known := self._paths.find(text))]
        if not holders:
            return NEVER
        listed = ", ".join("?" * len(holders))
        return Sql(f"{alias}.wild = ? AND {alias}.path IN ({listed})", (wild.no, *holders))

    def visible(self, place: Place, alias: str) -> Sql:
        """Whether the caller may see a row."""
        self.wilds.add(place.wild)
        if not self._scope.partly:
            return ALWAYS
        return Sql(
            "(a.klass = 0 OR EXISTS (SELECT 1 FROM temp.seen s WHERE s.aud = ? "
            f"AND s.klass = a.klass AND s.path = {alias}.path))",
            (self._scope.audience,),
        )

    def _below(self, place: Place) -> Sql:
        """Rows at a place and below it."""
        wilds = {known.wild for known in self._paths.below(place.wild)}
        if not wilds:
            return NEVER
        numbers = ", ".join("?" * len(wilds))
        column = "l.wild" if len(wilds) <= _LISTED_MAX else "+l.wild"
        found = Sql(f"{column} IN ({numbers})", tuple(wilds))
        if place.is_wild:
            return found
        holders = [known.no for text in place.holders if (known := self._paths.find(text))]
        listed = ", ".join("?" * len(holders))
        path = place.path
        return both(
            found,
            Sql(
                f"(l.path IN ({listed}) OR l.path IN (SELECT no FROM path "
                "WHERE text > ? AND text < ?))",
                (*holders, f"{path}/", f"{path}0"),
            ),
        )

    def _exists(self, place: Place) -> Sql:
        rows = self._below(place)
        if rows == NEVER:
            return NEVER
        self.wilds.update(self._texts_below(place))
        inner = both(rows, self.visible(place, "l"))
        return Sql(
            f"EXISTS (SELECT 1 FROM leaf l WHERE l.thing = t.place AND {inner.text})", inner.params
        )

    def _texts_below(self, place: Place) -> list[str]:
        return self._paths.texts_below(place.wild) if self._scope.partly else []

    def _empty(self, name: str) -> Sql:
        target = target_of(name)
        if isinstance(target, Column):
            return Sql(f"{_NAMESPACE} = ''") if target is Column.NAMESPACE else NEVER
        nothing = Sql("(l.i & 1) = 0 AND (+l.v IS NULL OR +l.v IN ('', x'11', x'21'))")
        return either(negated(self._exists(target)), self.some(target, nothing))

    # Places on the globe.

    def _within(self, area: WithinBox | WithinDistance) -> Sql:
        target = target_of(area.property)
        if isinstance(target, Column):
            return NEVER
        lat, lon = _member(target, "lat"), _member(target, "lon")
        rows = both(self.where(lat, "l"), self.where(lon, "o"))
        if rows == NEVER:
            return NEVER
        inner = both(
            rows,
            _latitude(area, "+l.v"),
            _longitude(area),
            self.visible(lat, "l"),
            self.visible(lon, "o"),
        )
        return Sql(
            "EXISTS (SELECT 1 FROM leaf l CROSS JOIN leaf o ON o.thing = l.thing AND o.i = l.i "
            "AND (l.i > 0 AND o.path = l.path OR l.i = 0 AND "
            "(SELECT parent FROM path WHERE no = l.path) = "
            "(SELECT parent FROM path WHERE no = o.path)) "
            f"WHERE l.thing = t.place AND {inner.text})",
            inner.params,
        )

    # Where candidates come from.

    def _drive(self, query: Query) -> Drive | None:
        match query:
            case Compare(operator, name, literal) if operator is not Operator.NE:
                place = target_of(name)
                if isinstance(place, Column):
                    return None
                found = test(operator, literal, "l.v")
                ordered = found.text in {"l.v = ?", "l.v IS NULL"}
                return self._range(place, found, name, ordered=ordered)
            case In(name, literals):
                place = target_of(name)
                if isinstance(place, Column):
                    return None
                return _union(
                    [self._range(place, test(Operator.EQ, x, "l.v"), name) for x in literals]
                )
            case Exists(name):
                place = target_of(name)
                if isinstance(place, Column):
                    return None
                found = self._below(place)
                if len(found.params) > _LISTED_MAX or found == NEVER:
                    return None
                return Drive((found,), name)
            case WithinBox(name) | WithinDistance(name):
                place = target_of(name)
                if isinstance(place, Column):
                    return None
                lat = _member(place, "lat")
                drive = self._range(lat, _latitude(query, "l.v"), name)
                return None if drive is None else Drive(drive.ranges, name, exact=False)
            case Or(parts):
                return _union([self._drive(part) for part in parts])
            case _:
                return None

    def _range(self, place: Place, found: Sql, name: str, *, ordered: bool = False) -> Drive | None:
        where = self.where(place, "l")
        if NEVER in (where, found):
            return Drive((), name)
        return Drive((both(where, found),), name, ordered=ordered)


def _union(drives: Sequence[Drive | None]) -> Drive | None:
    """Candidates of several drives; None if one of the conditions can be met from elsewhere."""
    ranges: list[Sql] = []
    exact = True
    for drive in drives:
        if drive is None:
            return None
        ranges += drive.ranges
        exact = exact and drive.exact
    return Drive(tuple(ranges), " or ".join({d.name: None for d in drives if d}), exact=exact)


def _grouped(part: Sql) -> Sql:
    return part if part in (NEVER, ALWAYS) else Sql(f"({part.text})", part.params)


def _member(place: Place, name: str) -> Place:
    return Place(f"{place.wild}/{name}", f"{place.path}/{name}")


def _latitude(area: WithinBox | WithinDistance, v: str) -> Sql:
    if isinstance(area, WithinBox):
        south, north = area.south, area.north
    else:
        reach = degrees(area.metres / EARTH_RADIUS_M) + 1e-6
        south, north = max(-90.0, area.lat - reach), min(90.0, area.lat + reach)
    return Sql(f"{v} >= ? AND {v} <= ?", (south, north))


def _longitude(area: WithinBox | WithinDistance) -> Sql:
    world = Sql("+o.v >= -180 AND +o.v <= 180")
    if isinstance(area, WithinBox):
        joint = "AND" if area.west <= area.east else "OR"
        return both(world, Sql(f"(+o.v >= ? {joint} +o.v <= ?)", (area.west, area.east)))
    half = radians(area.lat)
    return both(
        world,
        Sql(
            "2 * ? * asin(min(1.0, sqrt(pow(sin((radians(+l.v) - ?) / 2), 2) + "
            "? * cos(radians(+l.v)) * pow(sin(radians(+o.v - ?) / 2), 2)))) <= ?",
            (EARTH_RADIUS_M, half, cos(half), area.lon, area.metres),
        ),
    )


def _column(column: Column, operator: Operator, literal: Literal) -> Sql:
    """A condition on what the index knows of a thing itself."""
    expression = _COLUMNS[column]
    is_instant = column in (Column.CREATED, Column.MODIFIED)
    if operator in (Operator.LIKE, Operator.ILIKE):
        if column is Column.REVISION:
            return NEVER
        return test(
            operator, literal, _INSTANT.format(column=expression) if is_instant else expression
        )
    if column in (Column.ID, Column.NAMESPACE):
        fits = isinstance(literal, str)
    elif is_instant:
        try:
            literal = time.parse(literal) if isinstance(literal, str) else None
        except InvalidInstant:
            literal = None
        fits = literal is not None
    else:
        fits = isinstance(literal, int | float) and not isinstance(literal, bool)
    if not fits:
        return ALWAYS if operator is Operator.NE else NEVER
    if column is Column.NAMESPACE and operator is Operator.EQ:
        assert isinstance(literal, str)
        return id_prefix(f"{literal}:")
    return test(operator, literal, expression)


def id_prefix(prefix: str) -> Sql:
    """Things whose id begins so."""
    return Sql("t.id >= ? AND t.id < ?", (prefix, after_prefix(prefix)))
