"""Ditto's ``migrateDefinition``: a thing gets a new definition and what goes with it, in one step.

There are no Thing Models here: nothing is validated against the new definition, and missing
properties cannot be made from its defaults. Asking for that is refused.
"""

import re
from collections.abc import Awaitable, Callable
from typing import Annotated

import msgspec

from littoral import rql
from littoral.api.errors import NotSupported
from littoral.api.pipeline.results import Result
from littoral.api.pipeline.signals import SignalHeaders
from littoral.kernel import json, pointer
from littoral.kernel.errors import InvalidJson
from littoral.kernel.merge import delete_at
from littoral.kernel.time import Clock
from littoral.twin import Caller, parse_condition
from littoral.twin.protocol import Action, Command

_PLACEHOLDER = re.compile(r"\{\{\s*thing-json:([^\s{}]+)\s*\}\}")
_RESOURCE = "thing:"


class _Request(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    thing_definition_url: Annotated[str, msgspec.Meta(pattern="^https?://", max_length=2048)]
    migration_payload: dict[str, object] = {}
    patch_conditions: dict[str, str] = {}
    initialize_missing_properties_from_defaults: bool = False


Run = Callable[[Caller, Command, SignalHeaders], Awaitable[Result]]
Check = Callable[[Caller, str, str, object], None]


class Migration:
    """Does what HTTP's migrateDefinition and the protocol's command ``migrate`` ask for."""

    def __init__(self, run: Run, check_may_change: Check, clock: Clock) -> None:
        self._run = run
        self._check_may_change = check_may_change
        self._clock = clock

    async def run(self, caller: Caller, command: Command, headers: SignalHeaders) -> Result:
        """Answer with the merge patch that was, or on a dry run would be, applied.

        Raises:
            InvalidJson: not such a request. InvalidCondition, NotSupported, and what reading and
            merging a thing may raise.
        """
        thing_id = command.entity_id
        try:
            wanted = msgspec.convert(command.value, _Request)
        except msgspec.ValidationError as e:
            raise InvalidJson(f"this is no migration: {e}.") from e
        if wanted.initialize_missing_properties_from_defaults:
            raise NotSupported(
                "this node knows no thing models, and so no defaults of theirs.",
                hint="Leave initializeMissingPropertiesFromDefaults out.",
            )
        conditions = {
            path.removeprefix(_RESOURCE): parse_condition(text)
            for path, text in wanted.patch_conditions.items()
        }
        plain = msgspec.structs.replace(headers, dry_run=False)
        read = await self._run(
            caller, Command(Action.RETRIEVE, "things", thing_id, "/"), plain.of_reading()
        )
        payload = self._allowed(wanted.migration_payload, conditions, read.value)
        patch = {"definition": wanted.thing_definition_url} | {
            name: resolved(value, read.value) for name, value in payload.items()
        }
        answer = {"thingId": thing_id, "patch": patch}
        if headers.dry_run:
            self._check_may_change(caller, thing_id, "/", patch)
            return Result(202, answer | {"mergeStatus": "DRY_RUN"})
        done = await self._run(caller, Command(Action.MERGE, "things", thing_id, "/", patch), plain)
        if done.status == 202:
            return Result(202)
        return Result(200, answer | {"mergeStatus": "APPLIED"}, done.etag)

    def _allowed(
        self, payload: dict[str, object], conditions: dict[str, rql.Query], thing: object
    ) -> dict[str, object]:
        """The payload without the parts whose condition is false."""
        look = rql.lookup_in(thing)
        now_ms = self._clock.now_ms()
        for path, query in conditions.items():
            if not rql.matches(rql.resolve(query, now_ms), look):
                delete_at(payload, pointer.parse(path))
        return payload


def resolved(value: object, thing: object) -> object:
    """``value`` with ``{{ thing-json:<pointer> }}`` replaced by what is there in ``thing``.

    A text that is one placeholder becomes the value itself, of whatever type; inside a longer text
    the value is written as it stands in JSON, a text without its quotes. What is not there is null.
    """
    if isinstance(value, dict):
        return {key: resolved(one, thing) for key, one in value.items()}
    if isinstance(value, list):
        return [resolved(one, thing) for one in value]
    if not isinstance(value, str):
        return value
    whole = _PLACEHOLDER.fullmatch(value.strip())
    if whole is not None:
        return _at(thing, whole[1])
    return _PLACEHOLDER.sub(lambda found: _written(_at(thing, found[1])), value)


def _written(value: object) -> str:
    return value if isinstance(value, str) else json.encode(value).decode()


def _at(thing: object, path: str) -> object:
    try:
        return pointer.get(thing, pointer.parse(path))
    except KeyError:
        return None
