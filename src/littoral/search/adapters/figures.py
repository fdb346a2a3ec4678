"""Aggregations: figures over the things that were found, by the values of some properties."""

from collections.abc import Sequence

import apsw

from littoral.search.adapters.asking import Asker, Question
from littoral.search.adapters.audiences import Audiences
from littoral.search.adapters.limited import Limited
from littoral.search.adapters.ordering import expression_of
from littoral.search.adapters.values import Sql, both
from littoral.search.core.leaves import FALSE, TRUE
from littoral.search.core.properties import Column, target_of
from littoral.search.model import GROUPS_MAX, Audience, Figure, Group, Metric

_FUNCTIONS = {
    Figure.COUNT: "count(v)",
    Figure.SUM: "sum(v) FILTER (WHERE v < '')",
    Figure.AVG: "avg(v) FILTER (WHERE v < '')",
    Figure.MIN: "min(v) FILTER (WHERE v < x'')",
    Figure.MAX: "max(v) FILTER (WHERE v < x'')",
    Figure.PERCENTILE: "percentile(v, ?) FILTER (WHERE v < '')",
}


def aggregate(
    connection: apsw.Connection,
    asker: Asker,
    audiences: Audiences,
    question: Question,
    audience: Audience,
    group_by: Sequence[str],
    metrics: Sequence[Metric],
    limited: Limited,
) -> list[Group]:
    """See `littoral.search.ports.Index`."""
    compiler = question.compiler
    keys = [expression_of(target_of(name), compiler, descending=False) for name in group_by]
    source, condition = asker.candidates(question)
    names = [f"k{index}" for index in range(len(keys))]
    listed = "".join(f", {key.text} AS {name}" for key, name in zip(keys, names, strict=True))
    klass = "a.klass" if question.scope.audience is not None else "0"
    found = Sql(
        f"SELECT t.place AS place, {klass} AS klass{listed} FROM {source.text} "
        f"{question.scope.join}WHERE {condition.text}",
        (
            *(p for key in keys for p in key.params), *source.params, *question.scope.params,
            *condition.params,
        ),
    )  # fmt: skip
    statements = [
        _statement(question, found, names, name, [m for m in metrics if m.property == name])
        for name in dict.fromkeys(("", *(m.property for m in metrics)))
    ]
    if question.scope.partly:
        audiences.prepare(audience, compiler.wilds)
    groups: dict[tuple[object, ...], dict[str, object]] = {}
    for sql, named in statements:
        asker.plan.statements.append(sql)
        for row in limited.rows(connection, sql):
            place = tuple(map(_plain, row[: len(names)]))
            values = groups.setdefault(place, {})
            for metric, value in zip(named, row[len(names) :], strict=True):
                values[metric.name] = _plain(value)
    return [
        Group(place, {metric.name: _value(metric, values) for metric in metrics})
        for place, values in groups.items()
    ]


def _statement(
    question: Question, found: Sql, names: list[str], name: str, metrics: list[Metric]
) -> tuple[Sql, list[Metric]]:
    """One statement for all figures of one property; without one, it counts things."""
    grouped = f" GROUP BY {', '.join(names)}" if names else ""
    prefix = "".join(f"{one}, " for one in names)
    if not name:
        columns = ", ".join(["count(*)"] * max(1, len(metrics)))
        counted = metrics or [Metric("", Figure.COUNT)]
        text = f"SELECT {prefix}{columns} FROM ({found.text}){grouped} LIMIT {GROUPS_MAX}"
        return Sql(text, found.params), counted
    target = target_of(name)
    columns = ", ".join(_FUNCTIONS[metric.figure] for metric in metrics)
    percents = tuple(m.percent for m in metrics if m.figure is Figure.PERCENTILE)
    if isinstance(target, Column):
        value = expression_of(target, question.compiler, descending=False)
        inner = Sql(f"SELECT m.*, {value.text} AS v FROM ({found.text}) m "
                    "CROSS JOIN thing t ON t.place = m.place", found.params)  # fmt: skip
    else:
        where = both(question.compiler.where(target, "l"), question.compiler.visible(target, "l"))
        inner = Sql(
            f"SELECT a.*, l.v AS v FROM ({found.text}) a CROSS JOIN leaf l "
            f"WHERE l.thing = a.place AND {where.text}",
            (*found.params, *where.params),
        )
    text = f"SELECT {prefix}{columns} FROM ({inner.text}){grouped} LIMIT {GROUPS_MAX}"
    return Sql(text, (*percents, *inner.params)), metrics


def _value(metric: Metric, values: dict[str, object]) -> object:
    return values.get(metric.name, 0 if metric.figure is Figure.COUNT else None)


def _plain(value: object) -> object:
    """A value of the index as JSON has it."""
    if isinstance(value, bytes):
        return {TRUE: True, FALSE: False}.get(value)
    return value
