"""What a command of the Ditto Protocol asks for, of a twin, a policy or a device itself. Pure."""

from collections.abc import Mapping
from enum import StrEnum

import msgspec

from littoral.kernel.errors import InvalidHeader
from littoral.kernel.ids import parse_entity_id
from littoral.twin.protocol.envelope import ABSENT, Envelope
from littoral.twin.protocol.errors import (
    InvalidEnvelope,
    UnknownCommand,
    UnknownPath,
    UnknownSignal,
)
from littoral.twin.protocol.paths import check_path, policy_action


class Action(StrEnum):
    """What a command asks for."""

    CREATE = "create"
    RETRIEVE = "retrieve"
    MODIFY = "modify"
    MERGE = "merge"
    DELETE = "delete"
    MIGRATE = "migrate"
    """Of things: another definition, and what goes with it."""
    CHECK = "checkPermissions"
    """Of policies: what may the sender do? About entities that the value names."""


EVENTS = frozenset(("created", "modified", "merged", "deleted", "migrated"))
"""What events say that happened."""

_ACTIONS = {str(action): action for action in Action}
_OF_SEVERAL = frozenset((Action.RETRIEVE, Action.CHECK))
_GROUPS = {Action.CHECK: "policies", Action.MIGRATE: "things"}
"""What only one kind of entity knows."""
_BARE = frozenset((Action.RETRIEVE, Action.DELETE))


class Command(msgspec.Struct, frozen=True):
    """One command to a twin, to a policy, or, on the channel ``live``, to a device itself."""

    action: Action
    group: str
    entity_id: str
    path: str
    value: object = ABSENT
    fields: str | None = None
    channel: str = "twin"
    """``twin`` or ``live``; policies have ``twin``."""
    headers: Mapping[str, object] = msgspec.field(default_factory=dict)
    """As they came, with lower-case names."""

    @property
    def at_revision(self) -> int | None:
        """The past revision that is asked for."""
        return number_header(self.headers, "at-historical-revision")


def parse_command(envelope: Envelope) -> Command:
    """Read what an envelope asks of a twin, of a policy, or of a device.

    Raises:
        UnknownSignal: it is no command; UnknownCommand: the action does not exist;
        UnknownPath, InvalidEnvelope, IllegalAdaptable, InvalidHeader, InvalidId.
    """
    topic = envelope.topic
    if topic.criterion != "commands" or topic.group == "connections":
        raise UnknownSignal(
            f"the signal {str(topic)[:200]!r} is not taken here.",
            hint="Send twin commands, policy commands or live messages.",
        )
    action = _ACTIONS.get(topic.action)
    if action is None or _GROUPS.get(action, topic.group) != topic.group:
        raise UnknownCommand(
            f"the command {topic.action[:80]!r} does not exist.",
            hint=f"Commands are {', '.join(Action)}.",
        )
    group, value = topic.group, envelope.value
    path = check_path(group, envelope.path)
    if (
        value is ABSENT
        and action not in _BARE
        and not (group == "policies" and policy_action(path) is not None)
    ):
        raise InvalidEnvelope(f"the command '{action}' needs a 'value'.")
    if action in {Action.CREATE, Action.MIGRATE} and path != "/":
        raise UnknownPath(f"only a whole thing or policy has {action}; its path is '/'.")
    if topic.name == "_" and action in _OF_SEVERAL:
        # Of several: the value names them, and the topic at most their namespace.
        entity_id = ""
    else:
        entity_id = parse_entity_id(topic.entity_id)
    return Command(
        action,
        group,
        entity_id,
        path,
        value,
        envelope.fields,
        topic.channel or "twin",
        envelope.headers,
    )


def number_header(headers: Mapping[str, object], name: str) -> int | None:
    """A header that is a whole number, or None; raise `InvalidHeader` if it is something else."""
    value = headers.get(name)
    if value is None or type(value) is int:
        return value
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 18:
        return int(value)
    raise InvalidHeader(f"the header {name!r} is not a whole number.")
