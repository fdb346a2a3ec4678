"""What the world may answer with: one base class, ten kinds, stable codes.

A bug of ours is an ``assert``; everything a user or a peer can cause is a `LittoralError`.
"""

from enum import StrEnum
from typing import ClassVar


class Kind(StrEnum):
    """What sort of refusal it is; every door maps it to its own status in one table."""

    INVALID = "invalid"
    UNAUTHENTICATED = "unauthenticated"
    FORBIDDEN = "forbidden"
    MISSING = "missing"
    CONFLICT = "conflict"
    PRECONDITION = "precondition"
    TOO_LARGE = "too_large"
    LIMIT = "limit"
    TIMEOUT = "timeout"
    UNAVAILABLE = "unavailable"
    PEER = "peer"
    UNSUPPORTED = "unsupported"


class LittoralError(Exception):
    """The world said no.

    Args:
        message: one sentence: what is, and what was wanted.
        hint: one sentence: what to do about it; empty if the message says so already.
        facts: values that a program may branch on; shown in problem bodies.

    ``code`` is stable and never reused; where Eclipse Ditto names the same refusal, it is Ditto's.
    It belongs to the class, but where Ditto has one per part of a thing, to the instance.
    """

    code: str = "littoral.error"
    kind: ClassVar[Kind] = Kind.INVALID
    retryable: ClassVar[bool] = False

    def __init__(self, message: str, *, hint: str = "", **facts: object) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.facts = facts

    def __str__(self) -> str:
        return f"{self.message} {self.hint}" if self.hint else self.message


class InvalidId(LittoralError):
    """An identifier does not have the form of its kind."""

    code = "namespacedentity.id.invalid"


class InvalidThingId(InvalidId):
    """No thing can be called so."""

    code = "things:id.invalid"


class InvalidPointer(LittoralError):
    """A JSON pointer cannot be read."""

    code = "json.pointer.invalid"


class InvalidKey(LittoralError):
    """A key inside a document is empty, or has a control character or a slash in it."""

    code = "json.key.invalid"


class InvalidHeader(LittoralError):
    """A header has a value that it may not have."""

    code = "header.invalid"


class InvalidJson(LittoralError):
    """The text is not JSON, or not the JSON that is wanted here."""

    code = "json.invalid"


class TooLarge(LittoralError):
    """Something is over its size limit."""

    code = "things:thing.toolarge"
    kind = Kind.TOO_LARGE


class Forbidden(LittoralError):
    """The caller is known and may not do this."""

    code = "littoral.forbidden"
    kind = Kind.FORBIDDEN


class Unauthenticated(LittoralError):
    """The caller is not who it says, or says nothing."""

    code = "gateway:authentication.failed"
    kind = Kind.UNAUTHENTICATED


class Unavailable(LittoralError):
    """The part that would answer is not there now; try again later."""

    code = "gateway:service.unavailable"
    kind = Kind.UNAVAILABLE
    retryable = True
