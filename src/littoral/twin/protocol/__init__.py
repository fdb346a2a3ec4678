"""The Ditto Protocol as text: envelopes, topics, commands, answers, events and acknowledgements.

HTTP, WebSocket and MQTT speak it; who may ask, and what is true, is `Twins`' business. What comes in
is read in `envelope`, `topics`, `paths` and `commands`; what goes out is written in `encode`.
Beside it: messages to things in `littoral.twin.live`, statuses in `littoral.twin.statuses`.

Spec: Eclipse Ditto Protocol, version 2 (`docs/adr/0009-http-door.md` names what is not answered).

Invariant: pure; bytes in, values out, and back.
"""

from littoral.kernel.errors import InvalidHeader
from littoral.twin.protocol.commands import (
    EVENTS,
    Action,
    Command,
    parse_command,
)
from littoral.twin.protocol.encode import (
    JSON,
    MEDIA_TYPE,
    MERGE_PATCH,
    Raw,
    acknowledgement,
    acknowledgements,
    announcement,
    encode,
    error_response,
    event,
    response,
    subscription,
)
from littoral.twin.protocol.envelope import (
    ABSENT,
    Absent,
    Envelope,
    correlation_id_in,
    parse_envelope,
)
from littoral.twin.protocol.errors import (
    IllegalAdaptable,
    InvalidEnvelope,
    UnknownChannel,
    UnknownCommand,
    UnknownEvent,
    UnknownPath,
    UnknownResponse,
    UnknownSignal,
    UnknownTopic,
)
from littoral.twin.protocol.paths import PolicyAction, check_path, policy_action
from littoral.twin.protocol.topics import Topic, parse_topic, topic_of

__all__ = [
    "ABSENT",
    "EVENTS",
    "JSON",
    "MEDIA_TYPE",
    "MERGE_PATCH",
    "Absent",
    "Action",
    "Command",
    "Envelope",
    "IllegalAdaptable",
    "InvalidEnvelope",
    "InvalidHeader",
    "PolicyAction",
    "Raw",
    "Topic",
    "UnknownChannel",
    "UnknownCommand",
    "UnknownEvent",
    "UnknownPath",
    "UnknownResponse",
    "UnknownSignal",
    "UnknownTopic",
    "acknowledgement",
    "acknowledgements",
    "announcement",
    "check_path",
    "correlation_id_in",
    "encode",
    "error_response",
    "event",
    "parse_command",
    "parse_envelope",
    "parse_topic",
    "policy_action",
    "response",
    "subscription",
    "topic_of",
]
