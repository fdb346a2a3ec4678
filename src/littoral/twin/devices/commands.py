"""Ditto Protocol commands done at once, for a device that speaks for its own thing."""

from littoral.kernel.errors import LittoralError
from littoral.twin import fields, protocol
from littoral.twin.core import document as documents
from littoral.twin.core.paths import keys_of, noun_of
from littoral.twin.errors import InvalidThing, NotModifiable
from littoral.twin.model import Caller, Conditions, IfEqual, Outcome
from littoral.twin.protocol import ABSENT, Action, Command, UnknownSignal, UnsupportedHeader
from littoral.twin.things import ThingCommands


def answer(
    things: ThingCommands, caller: Caller, payload: bytes, *, is_known: bool = False
) -> tuple[bytes | None, bool]:
    """Do the command in ``payload``.

    What it wrote is in the log's open batch; the response must not be sent before the commit.

    Args:
        things: to which it is done.
        caller: the device.
        payload: one envelope.
        is_known: whether the message came before: a change that it asked for is not done again.

    Returns:
        The response envelope, None if none is wanted; and whether something was changed.

    Raises:
        LittoralError: the payload is no envelope at all. A command that is refused is answered
            with an error envelope instead.
    """
    envelope = protocol.parse_envelope(payload)
    changes = False
    try:
        command = protocol.parse_command(envelope)
        changes = command.action is not Action.RETRIEVE and not is_known
        if changes or command.action is Action.RETRIEVE:
            status, value, etag = _do(things, caller, command)
        else:
            # What it answered then is not known any more; that it was done is.
            _check_own(caller, command)
            status, value, etag = 204, ABSENT, ""
    except LittoralError as error:
        if not envelope.response_required:
            raise
        return protocol.error_response(error, envelope), False
    if not envelope.response_required:
        return None, changes
    return protocol.response(envelope, status, value, etag=etag or None), changes


def _do(things: ThingCommands, caller: Caller, command: Command) -> tuple[int, object, str]:
    _check_own(caller, command)
    thing, path = command.entity_id, command.path
    conditions = Conditions(
        command.if_match, command.if_none_match, if_equal=IfEqual.of(command.if_equal)
    )
    outcome: Outcome
    match command.action:
        case Action.RETRIEVE:
            view = things.retrieve(
                caller, thing, path, at_revision=command.at_revision, conditions=conditions
            )
            if command.fields is not None:
                return 200, fields.select(view.value, fields.parse(command.fields)), view.etag
            return 200, view.value, view.etag
        case Action.CREATE:
            if not isinstance(command.value, dict):
                raise InvalidThing("a thing is a JSON object.")
            outcome = things.create_thing(caller, command.value, thing_id=thing)
        case Action.MODIFY:
            outcome = things.modify(caller, thing, path, command.value, conditions=conditions)
        case Action.MERGE:
            outcome = things.merge(caller, thing, path, command.value, conditions=conditions)
        case Action.CHECK:
            raise AssertionError("of policies only, which a device does not ask")
        case Action.DELETE:
            outcome = things.delete(caller, thing, path, conditions=conditions)
    return (201, outcome.value, outcome.etag) if outcome.created else (204, ABSENT, outcome.etag)


def _check_own(caller: Caller, command: Command) -> None:
    """A device speaks for its own thing only, whatever a policy would let its subject do."""
    if command.group != "things" or command.channel != "twin":
        raise UnknownSignal("a device sends commands to its own twin, and to nothing else.")
    if command.condition is not None:
        raise UnsupportedHeader("the header 'condition' is not supported.", hint="Leave it out.")
    if command.entity_id == caller.own:
        return
    keys = keys_of(command.path)
    if command.action is Action.RETRIEVE:
        raise documents.missing(command.entity_id, keys)
    raise NotModifiable(
        f"{min(caller.subjects)} is {caller.own} and may not write {command.entity_id}.",
        code=f"things:{noun_of(keys)}.notmodifiable",
        hint="A device sends commands to its own thing only.",
    )
