"""Why a live message may be refused. Codes are Eclipse Ditto's."""

from littoral.kernel.errors import Kind, LittoralError


class MessageTimeout(LittoralError):
    """Nobody answered within the time that the sender gave; nobody may even have been there.

    ``facts``: ``delivered``, how many receivers got the message. The device may have acted on it:
    send it again only if doing it twice is harmless.
    """

    code = "command.timeout"
    kind = Kind.TIMEOUT
    retryable = True


class MessageTooLarge(LittoralError):
    """The payload of a message, or of its answer, is over the limit."""

    code = "messages:payload.toolarge"
    kind = Kind.TOO_LARGE


class InvalidMessageSubject(LittoralError):
    """A subject is empty, too long, or cannot be part of a path or an MQTT topic."""

    code = "messages:subject.invalid"


class InvalidMessageFeature(LittoralError):
    """The feature that a message is for cannot be a feature's id."""

    code = "messages:featureid.invalid"


class TooManyMessages(LittoralError):
    """As many messages as may wait at once wait already, for this thing or for all."""

    code = "too.many.requests"
    kind = Kind.LIMIT
    retryable = True
