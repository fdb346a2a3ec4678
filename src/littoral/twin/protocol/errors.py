"""What is wrong with a text that should be the Ditto Protocol. Codes and statuses are Ditto's."""

from littoral.kernel.errors import LittoralError


class InvalidEnvelope(LittoralError):
    """The text is JSON, but not an envelope of the Ditto Protocol."""

    code = "json.field.missing"


class UnknownTopic(LittoralError):
    """The topic does not follow the grammar ``ns/name/group/channel/criterion/action``."""

    code = "protocoladapter:unknown.topicpath"


class UnknownChannel(LittoralError):
    """The channel is neither ``twin`` nor ``live``."""

    code = "protocoladapter:unknown.channel"


class UnknownCommand(LittoralError):
    """The topic is a command's, but names no command that exists."""

    code = "protocoladapter:unknown.command"


class UnknownEvent(LittoralError):
    """The topic is an event's, but names no event that exists."""

    code = "protocoladapter:unknown.event"


class UnknownPath(LittoralError):
    """Things and policies have no such path."""

    code = "protocoladapter:unknown.path"


class UnknownSignal(LittoralError):
    """The topic is well-formed, but this door does not take such signals."""

    code = "protocoladapter:unknown.signal"


class UnknownResponse(LittoralError):
    """The answer belongs to nothing that can be answered here."""

    code = "protocoladapter:unknown.response"


class IllegalAdaptable(LittoralError):
    """Topic, path and value are each well-formed, but do not fit together."""

    code = "protocoladapter:illegal.adaptable"
