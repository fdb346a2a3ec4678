"""One table of what each refusal is in HTTP's numbers, and the error body that Ditto's clients read.

It lives beside the protocol codec because the Ditto Protocol speaks HTTP's statuses over MQTT too.
"""

from collections.abc import Mapping

from littoral.kernel.errors import Kind, LittoralError

STATUS: Mapping[Kind, int] = {
    Kind.INVALID: 400,
    Kind.UNAUTHENTICATED: 401,
    Kind.FORBIDDEN: 403,
    Kind.MISSING: 404,
    Kind.CONFLICT: 409,
    Kind.PRECONDITION: 412,
    Kind.TOO_LARGE: 413,
    Kind.LIMIT: 429,
    Kind.TIMEOUT: 408,
    Kind.UNAVAILABLE: 503,
    Kind.PEER: 502,
    Kind.UNSUPPORTED: 501,
}
"""What each kind of refusal is in HTTP and in the Ditto Protocol."""

STATUS_OF_CODE: Mapping[str, int] = {
    "things:precondition.notmodified": 304,
    "policies:precondition.notmodified": 304,
    "gateway:method.notallowed": 405,
    "things:live.channelcondition.notallowed": 405,
    "gateway:uri.toolong": 414,
    "mediatype.unsupported": 415,
    "acknowledgement:request.parsing.failed": 422,
    "protocoladapter:illegal.adaptable": 422,
    "headers.too.large": 431,
    "internalerror": 500,
    "gateway:internalerror": 500,
    "service.timeout": 504,
}
"""Codes whose status is not that of their kind, because Ditto says so."""


class HasStatus:
    """A refusal whose code has several statuses in Ditto: beside `LittoralError`, it says its own."""

    status: int = 0


def status_of(error: LittoralError) -> int:
    """The HTTP status of a refusal."""
    if isinstance(error, HasStatus):
        return error.status
    return STATUS_OF_CODE.get(error.code) or STATUS[error.kind]


def problem(error: LittoralError) -> dict[str, object]:
    """The error body that Ditto's clients read; facts are added under their own names."""
    body: dict[str, object] = {
        "status": status_of(error),
        "error": error.code,
        "message": error.message,
    }
    if error.hint:
        body["description"] = error.hint
    for name, fact in error.facts.items():
        if name not in body and isinstance(fact, str | int | float | bool | list | None):
            body[name] = fact
    return body
