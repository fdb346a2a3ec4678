"""The past events of one thing, from a revision or an instant on, as their reader may see them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from littoral import rql
from littoral.api.changes import ACTIONS, NOBODY, Change, Visible
from littoral.kernel import time as instants
from littoral.kernel.errors import InvalidHeader
from littoral.kernel.time import Clock
from littoral.log import Log
from littoral.twin import Caller, Twins

PAST_CHUNK = 100
"""Revisions that are read from the log at a time."""


@dataclass(frozen=True, slots=True)
class Span:
    """Which part of a thing's past. Revisions up to 0 count back from the newest one."""

    from_revision: int | None = None
    to_revision: int | None = None
    from_ms: int | None = None
    to_ms: int | None = None
    filter_text: str = ""

    @property
    def is_empty(self) -> bool:
        """Whether nothing of the past was asked for."""
        return self == _NO_SPAN


_NO_SPAN = Span()


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


class Past:
    """One reader's way through the past of a thing."""

    def __init__(
        self, twins: Twins, log: Log, clock: Clock, caller: Caller, thing_id: str, span: Span
    ) -> None:
        """Begin.

        Raises:
            NotFound: there is no such thing, or the caller may not read it.
        """
        # Asked for once before anything is told, so that a refusal comes first.
        twins.history(caller, thing_id, first=1, last=0)
        self._twins = twins
        self._log = log
        self._clock = clock
        self._caller = caller
        self._thing_id = thing_id
        self._span = span
        self._query = rql.parse(span.filter_text) if span.filter_text else None
        newest = twins.revision_of(thing_id)
        self._next = self._first(newest)
        self._last = newest if span.to_revision is None else _counted(span.to_revision, newest)

    def _first(self, newest: int) -> int:
        span = self._span
        first = 1 if span.from_revision is None else max(1, _counted(span.from_revision, newest))
        if span.from_ms is None:
            return first
        # Late records are out of order: what lies before is looked at one by one below.
        low, high = first, newest + 1
        while low < high:
            middle = (low + high) // 2
            found = self._twins.history(self._caller, self._thing_id, first=middle, last=middle)
            if found and instants.ms_of(found[0].hlc) >= span.from_ms:
                high = middle
            else:
                low = middle + 1
        return low

    def chunk(self) -> list[tuple[Change, Visible]] | None:
        """The next changes, ascending; maybe none of a chunk. None: that was all.

        Raises:
            NotFound: the thing is gone, or the caller may not read it any more.
        """
        if self._next > self._last:
            return None
        first, last = self._next, min(self._next + PAST_CHUNK - 1, self._last)
        self._next = last + 1
        records = self._twins.history(self._caller, self._thing_id, first=first, last=last)
        return list(
            self._wanted(Change(self._twins, r, None) for r in records if r.kind in ACTIONS)
        )

    def _wanted(self, found: Iterator[Change]) -> Iterator[tuple[Change, Visible]]:
        span = self._span
        for change in found:
            at_ms = instants.ms_of(change.record.hlc)
            if (
                change.record.seq > self._log.committed
                or (span.from_ms is not None and at_ms < span.from_ms)
                or (span.to_ms is not None and at_ms > span.to_ms)
            ):
                continue
            visible = change.visible_to(self._caller)
            if visible is not NOBODY and (
                self._query is None
                or change.passes(self._query, visible, None, self._clock.now_ms())
            ):
                yield change, visible


def _counted(revision: int, newest: int) -> int:
    return revision if revision > 0 else newest + revision
