"""POST /api/littoral/v1/aggregate: figures over things, grouped by what they hold."""

from typing import Annotated

import msgspec

from littoral.api.beyond.bodies import filter_of, namespaces_of, read_body
from littoral.api.errors import InvalidBody
from littoral.api.http import Answer, Request, json_answer
from littoral.api.parts import ApiParts
from littoral.api.search import searching
from littoral.search import GROUP_PATHS_MAX, METRICS_MAX, Figure, Metric, SearchQuery
from littoral.twin import Caller


class MetricBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """One figure that is asked for."""

    figure: Figure
    property: str = ""
    """Of what; left out, ``count`` counts things."""
    name: str = ""
    """What it is called in the answer; empty: ``figure(property)``."""
    percent: Annotated[float, msgspec.Meta(ge=0, le=100)] = 50.0
    """For ``percentile``."""


class AggregateBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """Body of POST /aggregate."""

    metrics: Annotated[list[MetricBody], msgspec.Meta(min_length=1, max_length=METRICS_MAX)]
    filter: str | None = None
    namespaces: list[str] | None = None
    group_by: Annotated[list[str], msgspec.Meta(max_length=GROUP_PATHS_MAX)] = []


class AggregateRoutes:
    """Works figures out of the search index, over what the caller may see."""

    def __init__(self, parts: ApiParts) -> None:
        self._parts = parts

    async def run(self, request: Request, caller: Caller) -> Answer:
        """Answer one question.

        Raises:
            InvalidBody, InvalidExpression, InvalidNamespaces, QueryTimeExceeded, SearchMissing.
        """
        search = searching(self._parts.search)
        body = await read_body(request, AggregateBody, "an aggregation")
        metrics = tuple(_metric(one) for one in body.metrics)
        if len({one.name for one in metrics}) < len(metrics):
            raise InvalidBody("two metrics have one name.", hint="Give them names of their own.")
        groups = await search.aggregate(
            caller,
            SearchQuery(filter_of(body.filter), namespaces_of(body.namespaces)),
            tuple(body.group_by),
            metrics,
        )
        return json_answer(
            {
                "groups": [
                    {
                        "keys": dict(zip(body.group_by, group.keys, strict=True)),
                        "values": dict(group.values),
                    }
                    for group in groups
                ]
            }
        )


def _metric(body: MetricBody) -> Metric:
    if body.figure is not Figure.COUNT and not body.property:
        raise InvalidBody(f"the figure {body.figure} needs a property.")
    label = f"{body.figure}({body.property})"
    if body.figure is Figure.PERCENTILE:
        label = f"p{body.percent:g}({body.property})"
    return Metric(body.name or label, body.figure, body.property, body.percent)
