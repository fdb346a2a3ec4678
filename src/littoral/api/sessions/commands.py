"""Twin and policy commands over one WebSocket, and the acknowledgements that it gives and gets.

Plain commands are decided in the order of their frames, without a task; all that one batch of the
log makes durable is answered by one callback of it.
"""

from collections.abc import Mapping
from functools import partial

from littoral.api.pipeline import Commands, Result, SignalHeaders, parse_headers
from littoral.api.sessions.ports import Peer
from littoral.eventing import Ack
from littoral.kernel.errors import LittoralError
from littoral.kernel.ids import parse_entity_id
from littoral.log import LogFull
from littoral.twin import protocol
from littoral.twin.protocol import (
    ABSENT,
    Action,
    Command,
    Envelope,
    InvalidEnvelope,
    Raw,
    UnknownResponse,
    parse_command,
)

_Asked = tuple[Envelope, Command, SignalHeaders, Result]

_STRUCTURED = frozenset(("ditto-metadata", "historical-headers"))
"""Headers whose text over HTTP is JSON."""

_HASTEN_EVERY = 64
"""Commands after which the log is asked to begin a commit, if it is idle."""


class SessionCommands:
    """Runs one session's commands."""

    def __init__(self, session: Peer, commands: Commands) -> None:
        self._session = session
        self._commands = commands
        self._log = session.parts.log
        self._batch = -1
        self._asked: list[_Asked] = []
        self.waiting = 0
        """Commands that are decided, and wait for their commit."""

    def command(self, envelope: Envelope) -> None:
        """Begin one command; its answer follows when it is due.

        Raises:
            LittoralError: it is refused; nothing was written.
        """
        if envelope.status is not None:
            raise UnknownResponse("an answer to a twin command is the twin's to give.")
        command = parse_command(envelope)
        headers = parse_headers(envelope.headers, channel=command.channel, acks_need_response=True)
        if not self._commands.is_plain(command, headers):
            self._session.spawn(self._run(envelope, command, headers))
            return
        result = self._commands.begin(self._session.caller, command, headers)
        if result.seq <= self._log.committed:
            if headers.response_required:
                self._answer(envelope, result)
            return
        if self._batch != self._log.batch:
            self._batch = self._log.batch
            self._asked = []
            self._log.on_commit(partial(self._committed, self._asked))
        self._asked.append((envelope, command, headers, result))
        self.waiting += 1
        if not self.waiting % _HASTEN_EVERY:
            self._log.hasten()

    def _committed(self, asked: list[_Asked], error: LittoralError | None) -> None:
        """A batch of the log is durable, or it is not."""
        self.waiting -= len(asked)
        session = self._session
        for envelope, command, headers, result in asked:
            if not headers.response_required:
                continue  # it was counted, so that who wants no answers is held back as well
            if error is None:
                self._answer(envelope, result)
            elif command.action is Action.RETRIEVE and isinstance(error, LogFull):
                # What it saw has vanished: what was before is read.
                session.spawn(self._run(envelope, command, headers))
            else:
                session.fail(error, envelope)
        session.made_room()

    async def _run(self, envelope: Envelope, command: Command, headers: SignalHeaders) -> None:
        """Do a command that has to wait for more than its commit."""
        session = self._session
        try:
            result = await self._commands.run(session.caller, command, headers)
        except LittoralError as e:
            session.fail(e, envelope)
            return
        if not headers.response_required:
            return
        if _is_aggregated(command, headers):
            session.answer(
                protocol.acknowledgements(
                    envelope, result.status, result.value, originator=session.originator
                )
            )
        else:
            self._answer(envelope, result)

    def _answer(self, envelope: Envelope, result: Result) -> None:
        session = self._session
        session.answer(
            protocol.response(
                envelope,
                result.status,
                result.value,
                etag=result.etag,
                originator=session.originator,
                headers=_as_json(result.headers) if result.headers else None,
            )
        )

    # -- acknowledgements ---------------------------------------------------------------------

    def acknowledge(self, envelope: Envelope) -> None:
        """Pass on what the client acknowledges: one label in the topic, or several in the value.

        Raises:
            InvalidAckLabel, AckLabelForbidden, AckLabelNotDeclared, AckCorrelationMissing.
        """
        entity_id = parse_entity_id(envelope.topic.entity_id)
        label = envelope.topic.action
        if label:
            given = {label: _ack(envelope.status, envelope.value, envelope.headers)}
        else:
            given = _several(envelope.value)
        issue = self._session.parts.acks.issue
        for name, ack in given.items():
            issue(self._session, entity_id, envelope.correlation_id, name, ack)


def _as_json(headers: Mapping[str, str]) -> dict[str, object]:
    """Headers of an answer as an envelope has them: JSON stands as itself, not as a text."""
    return {k: Raw(v) if k in _STRUCTURED else v for k, v in headers.items()}


def _is_aggregated(command: Command, headers: SignalHeaders) -> bool:
    """Whether the answer tells of acknowledgements by label, instead of the command itself."""
    return (
        headers.channel == "twin"
        and headers.live_channel_condition is None
        and command.action not in {Action.RETRIEVE, Action.MIGRATE}
        and not headers.is_plain
    ) or (headers.channel == "live" and set(headers.requested_acks) - {"live-response"} != set())


def _ack(status: int | None, value: object, headers: object) -> Ack:
    if status is None:
        raise InvalidEnvelope("an acknowledgement has a 'status'.")
    return Ack(status, value, headers if isinstance(headers, dict) else {})


def _several(value: object) -> dict[str, Ack]:
    if not isinstance(value, dict) or not all(isinstance(one, dict) for one in value.values()):
        raise InvalidEnvelope("acknowledgements have a value: label to {status, payload, headers}.")
    acks: dict[str, Ack] = {}
    for label, one in value.items():
        status = one.get("status")
        if type(status) is not int:
            raise InvalidEnvelope(f"the acknowledgement {label[:100]!r} has no 'status'.")
        acks[label] = _ack(status, one.get("payload", ABSENT), one.get("headers"))
    return acks
