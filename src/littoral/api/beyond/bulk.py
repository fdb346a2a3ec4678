"""POST /api/littoral/v1/bulk/things: change or delete every thing that a filter finds."""

from collections import Counter
from collections.abc import AsyncIterator
from typing import Any, Literal

import msgspec

from littoral.api.beyond.bodies import filter_of, namespaces_of, read_body
from littoral.api.beyond.model import BULK_ERRORS_MAX, BULK_PAGE, BULK_SAMPLE
from littoral.api.errors import InvalidBody
from littoral.api.http import NDJSON, Answer, Request, Stream, json_answer
from littoral.api.parts import ApiParts
from littoral.api.pipeline import parse_headers
from littoral.api.search import searching
from littoral.eventing import SignalContext
from littoral.kernel import json
from littoral.kernel.errors import LittoralError
from littoral.rql import Options
from littoral.search import Page, SearchQuery
from littoral.twin import Caller, Outcome, Step
from littoral.twin.protocol import check_path


class BulkBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """Body of POST /bulk/things."""

    filter: str
    """RQL, with the geo operators; a bulk without a filter is asked for with ``exists(thingId)``."""
    action: Literal["merge", "modify", "delete"]
    path: str = "/"
    value: Any = None
    namespaces: list[str] | None = None
    headers: dict[str, Any] = {}
    """Preconditions of each command, by Ditto's names."""
    dry_run: bool = False
    """Decide everything and write nothing."""
    stop_at_refusals: int = 0
    """End after so many refusals; 0: go on to the end."""


class Report:
    """What became of the things that were found."""

    def __init__(self, *, dry_run: bool) -> None:
        self.dry_run = dry_run
        self.matched = self.changed = self.unchanged = self.refused = 0
        self.codes: Counter[str] = Counter()
        self.refusals: list[dict[str, object]] = []
        self.sample: list[str] = []
        self.stopped = ""

    def took(self, thing_id: str, outcome: Outcome) -> None:
        """Note a command that was done, or in a dry run would be."""
        if outcome.seq:
            self.changed += 1
            if len(self.sample) < BULK_SAMPLE:
                self.sample.append(thing_id)
        else:
            self.unchanged += 1

    def refuses(self, thing_id: str, error: LittoralError) -> None:
        """Note a command that was refused."""
        self.refused += 1
        self.codes[error.code] += 1
        if len(self.refusals) < BULK_ERRORS_MAX:
            told: dict[str, object] = {
                "thingId": thing_id,
                "error": error.code,
                "message": error.message,
            }
            self.refusals.append(told)

    def progress(self) -> dict[str, object]:
        """The counts so far."""
        return {
            "matched": self.matched,
            "changed": self.changed,
            "unchanged": self.unchanged,
            "refused": self.refused,
        }

    def to_json(self) -> dict[str, object]:
        """The whole report."""
        return {
            "dryRun": self.dry_run,
            **self.progress(),
            "refusedByCode": dict(self.codes),
            "refusals": self.refusals,
            "sample": self.sample,
            "stopped": self.stopped,
        }


class BulkRoutes:
    """Runs one command on many things.

    Things are found page by page in the order of their ids, each page is decided at once and is
    durable before the next begins; so a bulk that is cut off has done a beginning, and doing it
    again does the rest. Policies are asked for each thing.
    """

    def __init__(self, parts: ApiParts) -> None:
        self._parts = parts

    async def run(self, request: Request, caller: Caller) -> Answer | Stream:
        """Do it; with ``Accept: application/x-ndjson`` progress is told line by line.

        Raises:
            InvalidBody, InvalidExpression, InvalidNamespaces, UnknownPath, SearchMissing.
        """
        searching(self._parts.search)
        body = await read_body(request, BulkBody, "a bulk")
        if not body.filter:
            raise InvalidBody("a bulk has a filter.", hint="exists(thingId) finds all things.")
        if body.action != "delete" and body.value is None and body.path == "/":
            raise InvalidBody(f"{body.action} needs a value.")
        query = SearchQuery(filter_of(body.filter), namespaces_of(body.namespaces), Options())
        step = Step(
            body.action,
            "",
            check_path("things", body.path),
            body.value,
            parse_headers({k.lower(): v for k, v in body.headers.items()}).conditions,
        )
        report = Report(dry_run=body.dry_run)
        work = self._work(caller, query, step, report, stop=body.stop_at_refusals)
        if request.accepts(NDJSON):
            return Stream(_lines(work, report), NDJSON)
        async for _ in work:
            pass
        return json_answer(report.to_json())

    async def _work(
        self, caller: Caller, query: SearchQuery, step: Step, report: Report, *, stop: int
    ) -> AsyncIterator[None]:
        """Do page after page; yields after each that is durable."""
        search, log = searching(self._parts.search), self._parts.log
        cursor: str | None = None
        while True:
            options = Options(size=BULK_PAGE, cursor=cursor)
            page: Page = await search.page(caller, _page_of(query, options))
            for thing_id in page.ids:
                report.matched += 1
                try:
                    report.took(thing_id, self._do(caller, step, thing_id, report.dry_run))
                except LittoralError as e:
                    report.refuses(thing_id, e)
                    if stop and report.refused >= stop:
                        report.stopped = f"after {report.refused} refusals, at {thing_id}"
                        break
            await log.wait()
            yield
            cursor = page.cursor
            if cursor is None or report.stopped:
                return

    def _do(self, caller: Caller, step: Step, thing_id: str, dry_run: bool) -> Outcome:
        twins = self._parts.twins
        if dry_run:
            return twins.transactions.rehearse(
                caller, Step(step.action, thing_id, step.path, step.value, step.conditions)
            )
        things, conditions = twins.things, step.conditions
        match step.action:
            case "merge":
                done = things.merge(caller, thing_id, step.path, step.value, conditions=conditions)
            case "modify":
                done = things.modify(caller, thing_id, step.path, step.value, conditions=conditions)
            case _:
                done = things.delete(caller, thing_id, step.path, conditions=conditions)
        self._parts.router.annotate(done.seq, SignalContext(originator=caller.subject))
        return done


def _page_of(query: SearchQuery, options: Options) -> SearchQuery:
    """The same search for another page."""
    return SearchQuery(query.filter, query.namespaces, options)


async def _lines(work: AsyncIterator[None], report: Report) -> AsyncIterator[bytes]:
    try:
        async for _ in work:
            yield json.encode({"progress": report.progress()}) + b"\n"
    except LittoralError as e:
        report.stopped = f"{e.code}: {e.message}"
    yield json.encode({"report": report.to_json()}) + b"\n"
