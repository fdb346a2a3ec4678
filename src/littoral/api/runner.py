"""Commands of the Ditto Protocol, done on twins; what HTTP does by path, these do by topic."""

from littoral.api.errors import AckNotDeclared, NotSupported
from littoral.api.model import IDS_MAX
from littoral.api.special import special_members
from littoral.kernel.errors import Kind, LittoralError
from littoral.kernel.ids import parse_thing_id
from littoral.twin import Caller, Conditions, IfEqual, Outcome, Twins
from littoral.twin import fields as selectors
from littoral.twin.protocol import (
    ABSENT,
    Action,
    Command,
    Envelope,
    InvalidEnvelope,
    UnknownSignal,
    parse_command,
)

_MANY = "_"
"""The name in a topic that speaks of no single thing."""


class CommandRunner:
    """Runs twin and policy commands for one node's sessions."""

    def __init__(self, twins: Twins) -> None:
        self._twins = twins

    async def run(self, caller: Caller, envelope: Envelope) -> tuple[int, object, str]:
        """Do what ``envelope`` asks.

        Returns:
            Status, value (`ABSENT` if there is none), and entity tag (maybe empty).

        Raises:
            LittoralError: whatever `parse_command` or the twin refuses.
        """
        _refuse_what_is_not_there(envelope)
        command = parse_command(envelope)
        if command.action is Action.RETRIEVE:
            if envelope.topic.name == _MANY:
                return 200, await self._retrieve_many(caller, command), ""
            return await self._retrieve(caller, command)
        if command.group == "policies":
            outcome = await self._policy(caller, command)
        else:
            outcome = await self._thing(caller, command)
        if command.action is not Action.DELETE and outcome.created:
            return 201, outcome.value, outcome.etag
        return 204, ABSENT, "" if command.action is Action.DELETE else outcome.etag

    async def _thing(self, caller: Caller, command: Command) -> Outcome:
        twins, one, path = self._twins, command.entity_id, command.path
        conditions = _conditions(command)
        match command.action:
            case Action.CREATE:
                if not isinstance(command.value, dict):
                    raise InvalidEnvelope("the value of a create command is a thing, an object.")
                return await twins.create_thing(caller, command.value, thing_id=one)
            case Action.MODIFY:
                return await twins.modify(caller, one, path, command.value, conditions=conditions)
            case Action.MERGE:
                return await twins.merge(caller, one, path, command.value, conditions=conditions)
            case Action.DELETE | Action.RETRIEVE:
                return await twins.delete(caller, one, path, conditions=conditions)

    async def _policy(self, caller: Caller, command: Command) -> Outcome:
        twins, one, path = self._twins, command.entity_id, command.path
        match command.action:
            case Action.CREATE:
                only_new = Conditions(if_none_match="*")
                return await twins.put_policy(caller, one, path, command.value, conditions=only_new)
            case Action.MODIFY:
                conditions = _conditions(command)
                return await twins.put_policy(
                    caller, one, path, command.value, conditions=conditions
                )
            case Action.DELETE:
                return await twins.delete_policy(caller, one, path)
            case Action.MERGE | Action.RETRIEVE:
                raise NotSupported("policies cannot be merged.", hint="Modify them instead.")

    async def _retrieve(self, caller: Caller, command: Command) -> tuple[int, object, str]:
        retrieve = (
            self._twins.retrieve_policy if command.group == "policies" else self._twins.retrieve
        )
        view = await retrieve(
            caller,
            command.entity_id,
            command.path,
            at_revision=command.at_revision,
            conditions=_conditions(command),
        )
        value = view.value
        if command.fields is not None:
            tree = selectors.parse(command.fields)
            if command.path == "/" and isinstance(value, dict):
                value = value | special_members(command.entity_id, view)
            value = selectors.select(value, tree)
        return 200, value, view.etag

    async def _retrieve_many(self, caller: Caller, command: Command) -> list[object]:
        ids = command.value.get("thingIds") if isinstance(command.value, dict) else None
        if not isinstance(ids, list) or not all(isinstance(one, str) for one in ids):
            raise InvalidEnvelope("retrieving several things needs a value {'thingIds': [...]}.")
        if len(ids) > IDS_MAX:
            raise InvalidEnvelope(f"at most {IDS_MAX} things are retrieved at once.")
        tree = selectors.parse(command.fields) if command.fields is not None else None
        things: list[object] = []
        for one in ids:
            try:
                view = await self._twins.retrieve(caller, parse_thing_id(one))
            except LittoralError as e:
                if e.kind is not Kind.MISSING:
                    raise
                continue
            value = view.value
            if tree is not None and isinstance(value, dict):
                value = selectors.select(value | special_members(one, view), tree)
            things.append(value)
        return things


def _conditions(command: Command) -> Conditions:
    return Conditions(
        if_match=command.if_match,
        if_none_match=command.if_none_match,
        if_equal=IfEqual.of(command.if_equal),
    )


def _refuse_what_is_not_there(envelope: Envelope) -> None:
    if envelope.topic.channel == "live":
        raise UnknownSignal("live commands are not taken here.", hint="Send twin commands.")
    for name in ("condition", "live-channel-condition", "put-metadata", "delete-metadata"):
        if name in envelope.headers:
            raise NotSupported(f"{name} is not supported by this release.", hint="Leave it out.")
    acks = envelope.headers.get("requested-acks")
    for label in acks if isinstance(acks, list) else ():
        if label != "twin-persisted":
            raise AckNotDeclared(
                f"nobody gives the acknowledgement {str(label)[:100]!r}.",
                hint="twin-persisted is given by the node itself.",
            )
