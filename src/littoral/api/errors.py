"""Why the HTTP door itself refuses, before a twin, a policy or the registry is asked."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar

from littoral.kernel.errors import Forbidden, Kind, LittoralError
from littoral.twin.statuses import HasStatus


class RouteMissing(LittoralError):
    """There is nothing at this address."""

    code = "littoral.route.missing"
    kind = Kind.MISSING


class VersionNotSupported(LittoralError):
    """The address names a version of the API other than 2."""

    code = "api.version.notsupported"
    kind = Kind.MISSING


class MethodNotAllowed(LittoralError):
    """The address exists, but not with this method. ``allow`` lists those it has."""

    code = "gateway:method.notallowed"

    def __init__(self, method: str, allow: tuple[str, ...]) -> None:
        super().__init__(
            f"the method {method[:20]} is not allowed here.", hint=f"Allowed: {', '.join(allow)}."
        )
        self.allow = allow


class UriTooLong(LittoralError):
    """Path and query are longer than the limit."""

    code = "gateway:uri.toolong"
    kind = Kind.TOO_LARGE


class HeadersTooLarge(LittoralError):
    """Too many header fields, or one too long."""

    code = "headers.too.large"
    kind = Kind.TOO_LARGE


class DuplicateHeader(LittoralError):
    """A field came twice, or both as a header and in the query."""

    code = "gateway:duplicate.header.field"


class InvalidTimeout(LittoralError):
    """The timeout is not a duration, or it is outside of its bounds."""

    code = "gateway:timeout.invalid"


class InvalidCommandHeader(LittoralError):
    """Headers of a command contradict each other: an answer is wanted, and none is waited for."""

    code = "command.headers.invalid"


class InvalidAckRequest(LittoralError):
    """``requested-acks`` is no list of labels."""

    code = "acknowledgement:request.parsing.failed"


class InvalidPolicyView(LittoralError):
    """``policy-view`` is neither original nor resolved."""

    code = "policies:view.invalid"


class UnsupportedMediaType(LittoralError):
    """The body is of a type that is not taken here."""

    code = "mediatype.unsupported"
    kind = Kind.UNSUPPORTED


class BodyTooLarge(LittoralError):
    """The body is over its limit; it was not parsed."""

    code = "littoral.body.toolarge"
    kind = Kind.TOO_LARGE


class BodyLate(LittoralError):
    """The caller sends its body so slowly that it may be doing so on purpose."""

    code = "littoral.body.late"
    kind = Kind.TIMEOUT
    retryable = True


class CommandLate(LittoralError):
    """No answer came in time; whether the command was done is not known."""

    code = "command.timeout"
    kind = Kind.TIMEOUT
    retryable = True

    headers: Mapping[str, str] = MappingProxyType({})
    """What the refusal's headers say besides."""


class NotSupported(LittoralError):
    """Ditto has it, Littoral has not: refused, never silently ignored."""

    code = "littoral.unsupported"
    kind = Kind.UNSUPPORTED


class MessageNotAllowed(Forbidden):
    """The caller may not send messages to this thing."""

    code = "messages:send.notallowed"


class OriginRefused(Forbidden):
    """A browser asks for a page of an origin that the node was not told of."""

    code = "littoral.origin.refused"


class InternalError(LittoralError):
    """A bug of ours: what happened is in the node's own log, under the correlation id."""

    code = "internalerror"
    kind: ClassVar[Kind] = Kind.UNAVAILABLE


class LiveConditionNotAllowed(LittoralError):
    """A live-channel-condition came with something else than a read of a thing."""

    code = "things:live.channelcondition.notallowed"


class LiveNotCreatable(LittoralError, HasStatus):
    """A thing cannot be created on the live channel."""

    code = "things:thing.notcreatable"
    status = 405


class CloudEventUnparsable(LittoralError):
    """The request is no CloudEvent of version 1.0: an attribute is missing, or the body is no JSON."""

    code = "cloudevent.unparsable"


class CloudEventPayloadMissing(LittoralError):
    """The CloudEvent has no data."""

    code = "cloudevent.payload.missing"


class CloudEventSchemaNotSupported(LittoralError):
    """The CloudEvent names a schema of its data that is not the Ditto Protocol's."""

    code = "cloudevent.dataschema.unsupported"


class PeerGone(Exception):
    """The caller hung up; not an error, nobody is left to be told."""


class InvalidManifest(LittoralError):
    """A manifest has an unknown kind, an unknown field, or a value of the wrong type."""

    code = "littoral.manifest.invalid"


class InvalidBody(LittoralError):
    """The body of a request lacks a member, has an unknown one, or one of the wrong type."""

    code = "littoral.body.invalid"


class SearchMissing(LittoralError):
    """This node keeps no search index, so it cannot find things by what they hold."""

    code = "littoral.search.missing"
    kind = Kind.UNSUPPORTED
