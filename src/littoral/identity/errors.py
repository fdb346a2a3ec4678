"""Why somebody is not believed. The codes are Eclipse Ditto's where it has one."""

from littoral.kernel.errors import Forbidden, LittoralError, Unauthenticated, Unavailable


class TokenInvalid(Unauthenticated):
    """The bearer token cannot be read, has expired, or was not signed by whom it names."""


class IssuerNotSupported(Unauthenticated):
    """The token is of an issuer that the node does not know."""

    code = "gateway:jwt.issuer.notsupported"


class ConditionFailed(Unauthenticated):
    """The token is good, but does not meet the condition that its issuer's setting makes."""

    code = "gateway:jwt.condition.failed"


class SubjectChanged(Forbidden):
    """A session was to be continued with the token of somebody else."""

    code = "gateway:websocket.session.closed"


class KeysUnavailable(Unavailable):
    """The issuer's public keys cannot be fetched, so its tokens cannot be checked."""

    code = "gateway:publickey.provider.unavailable"


class InvalidIssuer(LittoralError):
    """The settings of a token issuer make no sense."""

    code = "littoral.issuer.invalid"
