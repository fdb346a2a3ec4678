"""Why the registry may refuse."""

from littoral.kernel.errors import Kind, LittoralError


class InvalidRegistration(LittoralError):
    """What is to be registered does not have the form that it must have."""

    code = "registry.invalid"


class NotRegistered(LittoralError):
    """There is no tenant, device, user or site of that name."""

    code = "registry.notfound"
    kind = Kind.MISSING


class RegistrationConflict(LittoralError):
    """What is to be registered belongs to somebody else already, or is still in use."""

    code = "registry.conflict"
    kind = Kind.CONFLICT


class HasherBusy(LittoralError):
    """More passwords wait to be checked than may wait; try again a little later."""

    code = "registry.busy"
    kind = Kind.UNAVAILABLE
    retryable = True


class InvalidToken(LittoralError):
    """The enrolment token is unknown, expired, or used with another key. Ask for a new one."""

    code = "registry.token.invalid"
    kind = Kind.UNAUTHENTICATED
