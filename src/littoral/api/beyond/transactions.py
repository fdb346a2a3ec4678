"""POST /api/littoral/v1/transactions: several commands on things of one namespace, all or none."""

from typing import Any, Literal

import msgspec

from littoral.api.beyond.bodies import read_body
from littoral.api.beyond.model import TRANSACTION_BYTES_MAX
from littoral.api.http import Answer, Request, json_answer
from littoral.api.parts import ApiParts
from littoral.api.pipeline import parse_headers
from littoral.eventing import SignalContext
from littoral.kernel.ids import parse_thing_id
from littoral.twin import Caller, Step
from littoral.twin.protocol import check_path


class Command(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """One command of a transaction."""

    action: Literal["create", "modify", "merge", "delete"]
    thing_id: str
    path: str = "/"
    value: Any = None
    headers: dict[str, Any] = {}
    """Preconditions and metadata, by Ditto's names: ``if-match``, ``condition``, …"""


class TransactionBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of POST /transactions."""

    commands: list[Command]


class TransactionRoutes:
    """Does several commands as one."""

    def __init__(self, parts: ApiParts) -> None:
        self._twins = parts.twins
        self._router = parts.router
        self._log = parts.log

    async def run(self, request: Request, caller: Caller) -> Answer:
        """Do them; the answer comes when all are durable.

        Raises:
            InvalidBody, and what one of the commands raises: then none was done, and ``step`` in
            the body says which it was.
        """
        body = await read_body(
            request, TransactionBody, "a transaction", limit=TRANSACTION_BYTES_MAX
        )
        correlation_id = request.parameter("correlation-id") or ""
        outcomes = self._twins.transactions.run(caller, [_step(one) for one in body.commands])
        for outcome in outcomes:
            self._router.annotate(
                outcome.seq, SignalContext(correlation_id, originator=caller.subject)
            )
        await self._log.wait()
        return json_answer(
            {
                "results": [
                    {
                        "thingId": command.thing_id,
                        "path": command.path,
                        "status": 201 if outcome.created and command.action != "delete" else 204,
                        "revision": outcome.revision,
                        "etag": outcome.etag,
                    }
                    for command, outcome in zip(body.commands, outcomes, strict=True)
                ]
            }
        )


def _step(command: Command) -> Step:
    headers = parse_headers({k.lower(): v for k, v in command.headers.items()})
    return Step(
        command.action,
        parse_thing_id(command.thing_id),
        check_path("things", command.path),
        command.value,
        headers.conditions,
    )
