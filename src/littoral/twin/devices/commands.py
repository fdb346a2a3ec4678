"""Ditto Protocol commands done at once, for a device that speaks for its own thing."""

from typing import NamedTuple

from littoral.kernel.errors import LittoralError
from littoral.twin import fields, protocol
from littoral.twin.core import document as documents
from littoral.twin.core.paths import keys_of, noun_of
from littoral.twin.errors import InvalidThing, NotModifiable
from littoral.twin.headers import conditions_of
from littoral.twin.model import Caller, Outcome
from littoral.twin.protocol import ABSENT, Action, Command, UnknownSignal
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
            done = _do(things, caller, command)
        else:
            # What it answered then is not known any more; that it was done is.
            _check_own(caller, command)
            done = _Done(204)
    except LittoralError as error:
        if not envelope.response_required:
            raise
        return protocol.error_response(error, envelope), False
    if not envelope.response_required:
        return None, changes
    more = None if done.metadata is None else {"ditto-metadata": done.metadata}
    response = protocol.response(
        envelope, done.status, done.value, etag=done.etag or None, headers=more
    )
    return response, changes


class _Done(NamedTuple):
    """What a command came to."""

    status: int
    value: object = ABSENT
    etag: str = ""
    metadata: object = None
    """What ``get-metadata`` asked for."""


def _do(things: ThingCommands, caller: Caller, command: Command) -> _Done:
    _check_own(caller, command)
    thing, path = command.entity_id, command.path
    conditions = conditions_of(command.headers)
    outcome: Outcome
    match command.action:
        case Action.RETRIEVE:
            view = things.retrieve(
                caller, thing, path, at_revision=command.at_revision, conditions=conditions
            )
            value = view.value
            if command.fields is not None:
                value = fields.select(value, fields.parse(command.fields))
            return _Done(200, value, view.etag, view.metadata)
        case Action.CREATE:
            if not isinstance(command.value, dict):
                raise InvalidThing("a thing is a JSON object.")
            outcome = things.create_thing(
                caller, command.value, thing_id=thing, conditions=conditions
            )
        case Action.MODIFY:
            outcome = things.modify(caller, thing, path, command.value, conditions=conditions)
        case Action.MERGE:
            outcome = things.merge(caller, thing, path, command.value, conditions=conditions)
        case Action.MIGRATE:
            raise UnknownSignal("a device does not migrate its twin: that is asked of the node.")
        case Action.CHECK:
            raise AssertionError("of policies only, which a device does not ask")
        case Action.DELETE:
            outcome = things.delete(caller, thing, path, conditions=conditions)
    if outcome.created:
        return _Done(201, outcome.value, outcome.etag, outcome.metadata)
    return _Done(204, ABSENT, outcome.etag, outcome.metadata)


def _check_own(caller: Caller, command: Command) -> None:
    """A device speaks for its own thing only, whatever a policy would let its subject do."""
    if command.group != "things" or command.channel != "twin":
        raise UnknownSignal("a device sends commands to its own twin, and to nothing else.")
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
