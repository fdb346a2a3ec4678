"""The past of a thing or policy, from a revision or an instant on, as its reader may see it."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

from littoral import rql
from littoral.api.streams.filters import is_wanted
from littoral.kernel import pointer
from littoral.kernel import time as instants
from littoral.kernel.errors import InvalidHeader
from littoral.kernel.merge import put_at
from littoral.kernel.time import Clock
from littoral.twin import Caller, Change, Twins, protocol


@dataclass(frozen=True, slots=True)
class Span:
    """Which part of a thing's past. Revisions up to 0 count back from the newest one."""

    from_revision: int | None = None
    to_revision: int | None = None
    from_ms: int | None = None
    to_ms: int | None = None
    filter_text: str = ""


def span_of(given: Mapping[str, object], names: Mapping[str, str]) -> Span:
    """Read a span.

    Args:
        given: texts (a query) or JSON (an envelope's value).
        names: what its members are called there, by the names that `Span` has.

    Raises:
        InvalidHeader: a number or an instant is none; InvalidExpression: the filter cannot be read.
    """
    filter_text = given.get(names["filter_text"])
    if filter_text is not None and not isinstance(filter_text, str):
        raise InvalidHeader("the filter is not a string.")
    if filter_text:
        rql.parse(filter_text)
    return Span(
        _number(given, names["from_revision"]),
        _number(given, names["to_revision"]),
        _instant(given, names["from_ms"]),
        _instant(given, names["to_ms"]),
        filter_text or "",
    )


def _number(given: Mapping[str, object], name: str) -> int | None:
    value = given.get(name)
    if value is None or type(value) is int:
        return value
    if isinstance(value, str) and value.lstrip("-").isdigit() and value.isascii():
        return int(value[:19])
    raise InvalidHeader(f"{name} is {str(value)[:40]!r}.", hint="It is a whole number.")


def _instant(given: Mapping[str, object], name: str) -> int | None:
    value = given.get(name)
    if value is None:
        return None
    if isinstance(value, str):
        return instants.parse(value)
    raise InvalidHeader(f"{name} is {str(value)[:40]!r}.", hint="Write 2026-11-22T18:00:00Z.")


async def past_of(
    twins: Twins, clock: Clock, caller: Caller, entity: str, span: Span
) -> AsyncIterator[Change]:
    """What happened to an entity, oldest first, as the caller may see it.

    Raises:
        NotFound: there is no such entity, or the caller may not read it.
    """
    query = rql.parse(span.filter_text) if span.filter_text else None
    async for change in twins.stream_history(
        caller,
        entity,
        from_revision=span.from_revision,
        to_revision=span.to_revision,
        from_ms=span.from_ms,
        to_ms=span.to_ms,
    ):
        if query is None or _passes(change, query, clock.now_ms()):
            yield change


def event_of(change: Change) -> bytes:
    """A past change as an event of the Ditto Protocol."""
    absent = change.action == "deleted"
    return protocol.event(
        change.entity_id,
        change.action,
        change.path,
        protocol.ABSENT if absent else change.value,
        group=group_of(change),
        revision=change.revision,
        at_ms=change.at_ms,
        correlation_id=f"{change.record.origin}/{change.record.oseq}",
        headers={"historical-headers": change.headers},
    )


def group_of(change: Change) -> str:
    """``things`` or ``policies``."""
    return "things" if change.entity.startswith("thing:") else "policies"


def _passes(change: Change, query: rql.Query, now_ms: int) -> bool:
    data: object = {}
    if change.action != "deleted":
        data = put_at({}, pointer.parse(change.path), change.value)
    if isinstance(data, dict):
        data = data | {"thingId": change.entity_id, "_revision": change.revision}
    topic = protocol.topic_of(change.entity_id, group_of(change), "events", change.action)
    return is_wanted(query, topic=topic, path=change.path, data=data, now_ms=now_ms)
