"""GET /api/littoral/v1/incidents: what a site lost to another, what was dropped, what came back.

They are records like others, and so as lasting: an answer is read out of the log, piece by piece.
"""

import asyncio

from littoral.api.errors import MethodNotAllowed
from littoral.api.http import Answer, Request, json_answer
from littoral.api.model import INCIDENTS_CHUNK, INCIDENTS_SCAN_MAX, PAGES_MAX
from littoral.api.parts import ApiParts
from littoral.kernel import json
from littoral.kernel import time as instants
from littoral.kernel.errors import InvalidHeader
from littoral.log import Record, RecordClass

KINDS = {
    "conflict": "thing.conflict",
    "loss": "ledger.lost",
    "gap": "link.gap",
    "rollback": "link.rollback",
}
"""What is asked for, and the kind of its records."""

_NAMES = {kind: name for name, kind in KINDS.items()}
_THING = "thing:"


class IncidentRoutes:
    """Lists incidents, oldest first, for administrators: no policy cuts them."""

    def __init__(self, parts: ApiParts) -> None:
        self._log = parts.log

    async def handle(self, request: Request) -> Answer:
        """A page of them. It may be empty and not the last: ``next`` says.

        Raises:
            MethodNotAllowed, InvalidHeader.
        """
        if request.method not in {"GET", "HEAD"}:
            raise MethodNotAllowed(request.method, ("GET",))
        wanted, entity = _wanted(request)
        after = request.query.get("after") or "0"
        if not (after.isascii() and after.isdigit() and len(after) < 19):
            raise InvalidHeader(f"after is {after[:40]!r}; the 'next' of a page is wanted.")
        limit = request.number("limit", low=1, high=PAGES_MAX) or 200
        items: list[dict[str, object]] = []
        seq, scanned = int(after), 0
        while len(items) < limit and scanned < INCIDENTS_SCAN_MAX:
            records = self._log.read(seq, limit=INCIDENTS_CHUNK, cls=RecordClass.EVENT)
            if not records:
                return json_answer({"items": items, "next": ""})
            for record in records:
                scanned += 1
                seq = record.seq
                if record.kind in wanted and entity in {"", record.entity}:
                    items.append(_incident(record))
                    if len(items) == limit:
                        break
            await asyncio.sleep(0)
        return json_answer({"items": items, "next": str(seq)})


def _wanted(request: Request) -> tuple[frozenset[str], str]:
    """The kinds of records, and the entity that they are about; empty: any."""
    kind, thing = request.query.get("kind"), request.query.get("thing")
    if kind is None:
        return frozenset(_NAMES), _THING + thing if thing else ""
    if kind not in KINDS:
        raise InvalidHeader(f"kind is {kind[:40]!r}.", hint=f"It is one of {', '.join(KINDS)}.")
    return frozenset((KINDS[kind],)), _THING + thing if thing else ""


def _incident(record: Record) -> dict[str, object]:
    incident: dict[str, object] = {
        "seq": record.seq,
        "kind": _NAMES[record.kind],
        "at": instants.render(instants.ms_of(record.hlc)),
        "node": record.origin.partition("/")[0],
    }
    if record.entity.startswith(_THING):
        incident |= {"thingId": record.entity.removeprefix(_THING), "path": record.path}
    return incident | {"details": json.decode(record.value)}
