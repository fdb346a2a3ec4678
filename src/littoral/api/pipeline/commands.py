"""The one pipeline of commands: what HTTP, WebSocket and cloud events ask of twins and policies.

`Commands.begin` decides and appends at once; `Commands.run` is that and everything that may be
waited for: durability, acknowledgements, and the device itself on the live channel.
"""

import asyncio
import contextlib
import dataclasses

import msgspec

from littoral.api.errors import CommandLate, LiveConditionNotAllowed
from littoral.api.model import FORGET_WAIT_S, IDS_MAX
from littoral.api.parts import ApiParts
from littoral.api.pipeline.live import LiveCommands, expected_beside
from littoral.api.pipeline.migration import Migration
from littoral.api.pipeline.results import Pending, Result
from littoral.api.pipeline.signals import SignalHeaders
from littoral.eventing import (
    LIVE_RESPONSE,
    SEARCH_PERSISTED,
    TWIN_PERSISTED,
    Ack,
    AckAggregate,
    SignalContext,
    SignalKind,
    combined_document,
    combined_status,
)
from littoral.kernel import json
from littoral.kernel.errors import Kind, LittoralError
from littoral.kernel.ids import parse_thing_id
from littoral.log import LogFull
from littoral.twin import Caller, Outcome, View
from littoral.twin import fields as selectors
from littoral.twin.protocol import (
    ABSENT,
    Action,
    Command,
    InvalidEnvelope,
    UnknownCommand,
    policy_action,
)


class Commands:
    """Runs commands of anybody who is known, for one node."""

    def __init__(self, parts: ApiParts) -> None:
        self._twins = parts.twins
        self._things = parts.twins.things
        self._policies = parts.twins.policies
        self._log = parts.log
        self._acks = parts.acks
        self._router = parts.router
        self._search_settled = parts.search_settled
        self._live = LiveCommands(parts)
        self._migration = Migration(self.run, self.check_may_change, parts.clock)

    def is_plain(self, command: Command, headers: SignalHeaders) -> bool:
        """Whether `begin` does it all, so that only ``seq`` is to be waited for."""
        return headers.is_plain and bool(command.entity_id) and command.action is not Action.MIGRATE

    def begin(self, caller: Caller, command: Command, headers: SignalHeaders) -> Pending:
        """Decide a plain command and append what it changes, at once.

        Raises:
            LittoralError: whatever twins and policies refuse; nothing was written.
        """
        if command.action is Action.RETRIEVE:
            return self._retrieve(caller, command, headers)
        if command.action is Action.CHECK:
            return Result(200, self._policies.check_permissions(caller, command.value))
        outcome = (
            self._change_thing(caller, command, headers)
            if command.group == "things"
            else self._change_policy(caller, command, headers)
        )
        if outcome.created and command.action is not Action.DELETE:
            result = Result(201, outcome.value, outcome.etag)
        else:
            result = Result(204, ABSENT, outcome.etag)
        seq = result.seq = outcome.seq
        result.revision = outcome.revision
        if seq and self._router.is_heard:
            self._router.annotate(
                seq,
                SignalContext(
                    headers.correlation_id,
                    caller.subject,
                    headers.custom,
                    headers.requested_acks,
                ),
            )
        if outcome.metadata is not None:
            result.headers["ditto-metadata"] = json.encode(outcome.metadata).decode()
        return result

    async def run(self, caller: Caller, command: Command, headers: SignalHeaders) -> Result:
        """Do a command and wait for everything that its headers ask for.

        Raises:
            LittoralError: whatever is refused; CommandLate: the time was over before it was done.
        """
        if command.action is Action.MIGRATE and command.channel == headers.channel == "twin":
            return await self._migration.run(caller, command, headers)
        if not headers.is_plain:
            return await self._special(caller, command, headers)
        if command.action is Action.RETRIEVE:
            return await self._answered(caller, command, headers)
        result = self.begin(caller, command, headers)
        if not headers.response_required and not headers.requested_acks:
            return Result(202)
        if result.seq > self._log.committed:
            await self.durable(result.seq, headers.timeout_s)
        return result if headers.response_required else Result(202)

    def check_may_change(self, caller: Caller, thing_id: str, path: str, patch: object) -> None:
        """Raise unless the caller may merge ``patch`` at ``path``; for what is only tried."""
        self._things.check_may_change(caller, thing_id, path, patch)

    async def durable(self, seq: int, timeout_s: float) -> None:
        """Wait until the record ``seq`` is committed; raise `CommandLate` if that takes too long."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._log.wait(seq)
        except TimeoutError:
            raise CommandLate(
                f"no answer within {timeout_s:g}s.",
                hint="Read the thing to see whether the command was done.",
            ) from None

    async def _special(self, caller: Caller, command: Command, headers: SignalHeaders) -> Result:
        """Do a command that needs more than the twin."""
        if headers.live_channel_condition is not None:
            if command.action is not Action.RETRIEVE or command.group != "things":
                raise LiveConditionNotAllowed(
                    "a live-channel-condition goes with reads of one thing only.",
                    hint="Leave it out, or send channel=live.",
                )
            return await self._conditionally_live(caller, command, headers)
        if headers.channel == "live":
            if command.group == "things":
                self._check_condition(caller, command, headers)
                return await self._live.run(caller, command, headers)
            # Policies have one channel; the header is not for them.
            acks = tuple(
                TWIN_PERSISTED if label == LIVE_RESPONSE else label
                for label in headers.requested_acks
            )
            headers = msgspec.structs.replace(headers, channel="twin", requested_acks=acks)
            return await self.run(caller, command, headers)
        if command.action is Action.RETRIEVE:
            return await self._answered(caller, command, headers)
        return await self._acknowledged(caller, command, headers)

    def _check_condition(self, caller: Caller, command: Command, headers: SignalHeaders) -> None:
        """Raise unless the condition of a command to a device holds for its twin."""
        condition = headers.conditions.condition
        if condition is not None:
            whole = Command(Action.RETRIEVE, "things", command.entity_id, "/")
            self._retrieve(caller, whole, SignalHeaders().with_condition(condition))

    async def _conditionally_live(
        self, caller: Caller, command: Command, headers: SignalHeaders
    ) -> Result:
        """Read from the device if the twin says so, else from the twin."""
        plain = msgspec.structs.replace(headers, live_channel_condition=None, channel="twin")
        self._check_condition(caller, command, headers)
        matched = "true"
        try:
            asked = plain.with_condition(headers.live_channel_condition)
            self._retrieve(caller, command, asked)
        except LittoralError as e:
            if e.code != "things:condition.failed":
                raise
            matched = "false"
        channel = "twin"
        result: Result | None = None
        if matched == "true":
            live = msgspec.structs.replace(plain, channel="live", requested_acks=(LIVE_RESPONSE,))
            try:
                result = await self._live.run(caller, command, live)
                channel = "live"
            except CommandLate as e:
                if headers.live_channel_timeout_strategy != "use-twin":
                    e.headers = {"channel": "live", "live-channel-condition-matched": matched}
                    raise
        if result is None:
            result = await self._read(caller, command, plain)
        result.headers |= {"channel": channel, "live-channel-condition-matched": matched}
        return result

    # -- changes ------------------------------------------------------------------------------

    def _change_thing(self, caller: Caller, command: Command, headers: SignalHeaders) -> Outcome:
        things, one, path = self._things, command.entity_id, command.path
        conditions = headers.conditions
        if things.keeps_headers:
            known = {"correlation-id": headers.correlation_id, **headers.custom}
            conditions = dataclasses.replace(conditions, headers=known)
        match command.action:
            case Action.MODIFY:
                return things.modify(caller, one, path, command.value, conditions=conditions)
            case Action.MERGE:
                return things.merge(caller, one, path, command.value, conditions=conditions)
            case Action.DELETE:
                return things.delete(caller, one, path, conditions=conditions)
            case Action.CREATE:
                if not isinstance(command.value, dict):
                    raise InvalidEnvelope("the value of a create command is a thing, an object.")
                return things.create_thing(
                    caller, command.value, thing_id=one, conditions=conditions
                )
            case _:
                raise AssertionError(command.action)

    def _change_policy(self, caller: Caller, command: Command, headers: SignalHeaders) -> Outcome:
        policies, one, path = self._policies, command.entity_id, command.path
        conditions = headers.conditions
        action = policy_action(path)
        if action is not None:
            return self._twins.actions.act(
                caller, one, action.name, label=action.label, body=command.value
            )
        match command.action:
            case Action.CREATE:
                return policies.create(caller, one, command.value, conditions=conditions)
            case Action.MODIFY:
                return policies.put(caller, one, path, command.value, conditions=conditions)
            case Action.DELETE:
                return policies.delete(caller, one, path, conditions=conditions)
            case _:
                raise UnknownCommand("policies cannot be merged.", hint="Modify them instead.")

    async def _acknowledged(
        self, caller: Caller, command: Command, headers: SignalHeaders
    ) -> Result:
        """Do a command whose sender waits for more than the twin."""
        labels = headers.requested_acks
        kind = SignalKind.EVENT if command.group == "things" else None
        with self._acks.expect(
            command.entity_id, headers.correlation_id, labels, headers.timeout_s, kind=kind
        ) as expected:
            pending = self.begin(caller, command, headers)
            acks = await expected_beside(expected, self._persisted(expected, pending))
        if not headers.response_required:
            return Result(202)
        return Result(
            combined_status(acks),
            combined_document(acks),
            headers=pending.headers,
            seq=pending.seq,
            revision=pending.revision,
            created=pending.status == 201,
        )

    async def _persisted(self, expected: AckAggregate, pending: Pending) -> None:
        """Give the acknowledgements that are the node's own."""
        try:
            await self._log.wait(pending.seq)
            more = {"etag": pending.etag} if pending.etag else {}
            expected.put(TWIN_PERSISTED, Ack(pending.status, pending.value, more))
            if SEARCH_PERSISTED in expected.labels:
                await self._search_settled(pending.seq)
                expected.put(SEARCH_PERSISTED, Ack(204))
        except LittoralError as e:
            expected.fail(e)

    # -- reads --------------------------------------------------------------------------------

    async def _answered(self, caller: Caller, command: Command, headers: SignalHeaders) -> Result:
        """Read, and say nothing of it to who wants no answer: by Ditto's table that is 202."""
        result = await self._read(caller, command, headers)
        return result if headers.response_required else Result(202)

    async def _read(self, caller: Caller, command: Command, headers: SignalHeaders) -> Result:
        if not command.entity_id:
            return await self._retrieve_many(caller, command, headers)
        while True:
            result = self._retrieve(caller, command, headers)
            if result.seq <= self._log.committed:
                return result
            # Nobody sees what may vanish; if it does vanish, what was before is read.
            with contextlib.suppress(LogFull):
                await self.durable(result.seq, headers.timeout_s or FORGET_WAIT_S)

    def _retrieve(self, caller: Caller, command: Command, headers: SignalHeaders) -> Result:
        conditions = headers.conditions
        if conditions.if_none_match is not None and "_policy" in (command.fields or ""):
            # The thing's tag does not say whether its policy has changed.
            conditions = dataclasses.replace(conditions, if_none_match=None)
        if command.group == "things":
            view = self._things.retrieve(
                caller,
                command.entity_id,
                command.path,
                at_revision=headers.at_revision,
                at_ms=headers.at_ms,
                conditions=conditions,
            )
            seq = self._things.load(command.entity_id).last_seq
        else:
            view = self._policies.retrieve(
                caller,
                command.entity_id,
                command.path,
                at_revision=headers.at_revision,
                at_ms=headers.at_ms,
                resolved=headers.policy_view == "resolved",
                conditions=conditions,
            )
            seq = self._policies.load(command.entity_id).last_seq
        value = view.value
        if command.fields is not None:
            value = self._selected(caller, command, view)
        result = Result(200, value, view.etag, seq=seq, revision=view.revision)
        if view.metadata is not None:
            result.headers["ditto-metadata"] = json.encode(view.metadata).decode()
        if view.headers:
            result.headers["historical-headers"] = json.encode(dict(view.headers)).decode()
        return result

    def _selected(self, caller: Caller, command: Command, view: View) -> object:
        tree = selectors.parse(command.fields or "")
        if command.group == "things":
            return self._twins.select(caller, view, tree, path=command.path)
        value = view.value
        if command.path == "/" and isinstance(value, dict) and selectors.wants_special(tree):
            value = value | selectors.special(
                command.entity_id,
                revision=view.revision,
                created_ms=view.created_ms,
                modified_ms=view.modified_ms,
            )
        return selectors.select(value, tree)

    async def _retrieve_many(
        self, caller: Caller, command: Command, headers: SignalHeaders
    ) -> Result:
        ids = command.value.get("thingIds") if isinstance(command.value, dict) else None
        if not isinstance(ids, list) or not all(isinstance(one, str) for one in ids):
            raise InvalidEnvelope("retrieving several things needs a value {'thingIds': [...]}.")
        if len(ids) > IDS_MAX:
            raise InvalidEnvelope(f"at most {IDS_MAX} things are retrieved at once.")
        things: list[object] = []
        for one in dict.fromkeys(ids):
            single = Command(
                Action.RETRIEVE, "things", parse_thing_id(one), "/", fields=command.fields
            )
            try:
                things.append((await self._read(caller, single, headers)).value)
            except LittoralError as e:
                if e.kind is not Kind.MISSING:
                    raise
        return Result(200, things)


__all__ = ["Commands", "Pending", "Result"]
