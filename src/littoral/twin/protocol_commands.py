"""Ditto Protocol commands done at once, for a device that speaks for its own thing."""

from littoral.kernel.errors import LittoralError
from littoral.twin import protocol
from littoral.twin.commands import ThingCommands
from littoral.twin.model import Caller, Conditions, Outcome
from littoral.twin.protocol import ABSENT, Action, Command


def answer(things: ThingCommands, caller: Caller, payload: bytes) -> bytes | None:
    """Do the command in ``payload`` and return the response envelope, None if none is wanted.

    What it wrote is in the log's open batch; the response must not be sent before the commit.

    Raises:
        LittoralError: the payload is no envelope at all. A command that is refused is answered
            with an error envelope instead.
    """
    envelope = protocol.parse_envelope(payload)
    try:
        status, value, etag = _do(things, caller, protocol.parse_command(envelope))
    except LittoralError as error:
        if not envelope.response_required:
            raise
        return protocol.error_response(error, envelope)
    if not envelope.response_required:
        return None
    return protocol.response(envelope, status, value, etag=etag or None)


def _do(things: ThingCommands, caller: Caller, command: Command) -> tuple[int, object, str]:
    thing, path = command.entity_id, command.path
    if_equal = command.if_equal == "skip"
    conditions = Conditions(command.if_match, command.if_none_match, skip_if_equal=if_equal)
    outcome: Outcome
    match command.action:
        case Action.RETRIEVE:
            view = things.retrieve(
                caller, thing, path, at_revision=command.at_revision, conditions=conditions
            )
            return 200, view.value, view.etag
        case Action.CREATE if isinstance(command.value, dict):
            outcome = things.create_thing(caller, command.value, thing_id=thing)
        case Action.MODIFY | Action.CREATE:
            outcome = things.modify(caller, thing, path, command.value, conditions=conditions)
        case Action.MERGE:
            outcome = things.merge(caller, thing, path, command.value, conditions=conditions)
        case Action.DELETE:
            outcome = things.delete(caller, thing, path, conditions=conditions)
    return (201, outcome.value, outcome.etag) if outcome.created else (204, ABSENT, outcome.etag)
