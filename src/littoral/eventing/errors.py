"""Why a live signal or an acknowledgement may be refused. Codes are Eclipse Ditto's."""

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
    """As many messages, or signals with acknowledgements, as may wait at once wait already."""

    code = "too.many.requests"
    kind = Kind.LIMIT
    retryable = True


class MailboxFull(LittoralError):
    """As many messages as may be kept, for this thing or for all, are kept already."""

    code = "littoral.mailbox.full"
    kind = Kind.LIMIT
    retryable = True


class InvalidMailbox(LittoralError):
    """The message cannot be kept: it goes out of a thing, or its time to live is out of bounds."""

    code = "littoral.mailbox.invalid"


class MailMissing(LittoralError):
    """No such message is kept: it was answered, cancelled, or its time was over."""

    code = "littoral.mailbox.missing"
    kind = Kind.MISSING


class AckLabelNotUnique(LittoralError):
    """Another subscriber has declared this label; a label has one owner at a time."""

    code = "acknowledgement:label.not.unique"
    kind = Kind.CONFLICT


class AckLabelNotDeclared(LittoralError):
    """Only who has declared a label may give its acknowledgement."""

    code = "acknowledgement:label.not.declared"


class AckLabelForbidden(LittoralError):
    """The label is one of those that the node itself gives."""

    code = "acknowledgement:ditto.acklabel.forbidden"


class InvalidAckLabel(LittoralError):
    """The text cannot be the label of an acknowledgement."""

    code = "acknowledgement:label.invalid"


class AckCorrelationMissing(LittoralError):
    """An acknowledgement without a correlation id belongs to nothing."""

    code = "acknowledgement:correlation-id.missing"


class DuplicateCorrelation(LittoralError):
    """A signal to the same thing with the same correlation id waits for its answers already."""

    code = "acknowledgement:request.duplicate.correlation-id"
    kind = Kind.CONFLICT


class AckTimeout(LittoralError):
    """Nobody gave the acknowledgement in time; it stands in for the one that is missing."""

    code = "acknowledgement:request.timeout"
    kind = Kind.TIMEOUT
    retryable = True


class EventNotAllowed(LittoralError):
    """The sender may not write what its live event says has changed."""

    code = "things:event.notallowed"
    kind = Kind.FORBIDDEN
