"""Commands on the live channel: to the device itself, whose first response is the answer."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from littoral.api.errors import CommandLate, LiveNotCreatable
from littoral.api.parts import ApiParts
from littoral.api.pipeline.results import Result
from littoral.api.pipeline.signals import SignalHeaders
from littoral.eventing import (
    LIVE_RESPONSE,
    Ack,
    AckAggregate,
    LiveKind,
    LiveResponse,
    LiveSignal,
    SignalKind,
    combined_document,
    combined_status,
)
from littoral.kernel.errors import LittoralError
from littoral.kernel.merge import put_at
from littoral.kernel.pointer import parse
from littoral.twin import Caller, NotFound
from littoral.twin.protocol import ABSENT, Action, Command


class LiveCommands:
    """Sends live commands of callers who may do the same to the twin."""

    def __init__(self, parts: ApiParts) -> None:
        self._twins = parts.twins
        self._acks = parts.acks
        self._live = parts.live

    async def run(self, caller: Caller, command: Command, headers: SignalHeaders) -> Result:
        """Send a command to whoever speaks for the thing now.

        Raises:
            NotFound, NotModifiable: as the twin would; CommandLate: no response in time.
        """
        self._check(caller, command)
        signal = LiveSignal(
            LiveKind.COMMAND,
            command.entity_id,
            str(command.action),
            command.path,
            command.value,
            fields=command.fields,
            correlation_id=headers.correlation_id,
            originator=caller.subject,
            headers=headers.custom,
            requested_acks=headers.requested_acks,
            response_required=headers.response_required,
            timeout_s=headers.timeout_s,
        )
        if not headers.response_required and not headers.requested_acks:
            self._live.publish(signal)
            return Result(202)
        if headers.requested_acks in {(), (LIVE_RESPONSE,)}:
            response = await self._live.send(signal, timeout_s=headers.timeout_s)
            if response is None:
                if not headers.response_required:
                    return Result(202)  # by Ditto's table, also if nobody answered
                raise CommandLate(
                    f"{command.entity_id} did not answer within {headers.timeout_s:g}s.",
                    hint="See that the device is connected and takes live commands.",
                )
            result = self._readable(caller, command, response)
        else:
            result = await self._acknowledged(caller, command, headers, signal)
        return result if headers.response_required else Result(202)

    def _check(self, caller: Caller, command: Command) -> None:
        """The live channel needs the permissions that the twin needs."""
        if command.action is Action.CREATE:
            raise LiveNotCreatable(
                "a thing cannot be created on the live channel.", hint="Leave channel=live out."
            )
        if command.action is not Action.RETRIEVE:
            self._twins.things.check_may_change(
                caller,
                command.entity_id,
                command.path,
                command.value if command.action is Action.MERGE else None,
            )
        elif not command.entity_id or not self._twins.may_read(
            caller, command.entity_id, command.path
        ):
            raise NotFound(
                f"thing {command.entity_id} does not exist, or you may not read it.",
                hint="Check the id and your READ permission in its policy.",
            )

    async def _acknowledged(
        self, caller: Caller, command: Command, headers: SignalHeaders, signal: LiveSignal
    ) -> Result:
        labels, timeout_s = headers.requested_acks, headers.timeout_s
        with self._acks.expect(
            command.entity_id,
            headers.correlation_id,
            labels,
            timeout_s,
            kind=SignalKind.LIVE_COMMAND,
        ) as expected:
            if LIVE_RESPONSE not in labels:
                self._live.publish(signal)
                acks = await expected.result()
            else:
                acks = await expected_beside(expected, self._ask(expected, caller, command, signal))
        return Result(combined_status(acks), combined_document(acks))

    async def _ask(
        self, expected: AckAggregate, caller: Caller, command: Command, signal: LiveSignal
    ) -> None:
        try:
            response = await self._live.send(signal, timeout_s=signal.timeout_s)
            if response is not None:
                result = self._readable(caller, command, response)
                expected.put(LIVE_RESPONSE, Ack(result.status, result.value))
        except LittoralError as e:
            expected.fail(e)

    def _readable(self, caller: Caller, command: Command, response: LiveResponse) -> Result:
        """A response as the caller may see it: a device cannot show what the policy hides."""
        value = response.value
        if (
            command.action is Action.RETRIEVE
            and response.status < 300
            and value is not ABSENT
            and not caller.unrestricted
        ):
            path, one = command.path, command.entity_id
            document = put_at({}, parse(path), value)
            if not isinstance(document, dict):
                document = {}
            value = self._twins.readable(
                caller, document, path, policy_id=self._twins.policy_of(one)
            )
            if value is None:
                raise NotFound(f"thing {one} has nothing there that you may read.")
        return Result(response.status, value, headers={"channel": "live"})


async def expected_beside(
    expected: AckAggregate, work: Coroutine[Any, Any, None], *, to_its_end: bool = False
) -> dict[str, Ack]:
    """Wait for acknowledgements while ``work`` gives some of them; it is ended with the wait.

    Args:
        expected: what is waited for.
        work: puts some of it into ``expected``.
        to_its_end: ``work`` has more to do, and is waited for too.

    Raises:
        LittoralError: what the wait has ended with, as it is and not in a group.
    """
    failure: LittoralError | None = None
    acks: dict[str, Ack] = {}
    async with asyncio.TaskGroup() as tasks:
        giving = tasks.create_task(work)
        try:
            acks = await expected.result()
        except LittoralError as e:
            failure = e
        if not to_its_end:
            giving.cancel()
    if failure is not None:
        raise failure
    return acks
