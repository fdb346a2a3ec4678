"""What can go wrong between a program and its node."""

from collections.abc import Mapping

from littoral.kernel.errors import Kind, LittoralError


class ClientError(LittoralError):
    """The base of everything that a client raises."""

    code = "client.error"


class ApiError(ClientError):
    """The node refused: ``status`` and ``code`` say why, ``correlation_id`` finds it in its log.

    The subclasses are by status. ``body`` is what the node said, as parsed JSON, if it was JSON.
    """

    code = "client.refused"

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        hint: str = "",
        correlation_id: str = "",
        *,
        body: object = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.code = code
        self.correlation_id = correlation_id
        self.body = body


class InvalidRequest(ApiError):
    """The node does not take what was asked for, in this form (400, 405, 414, 415, 422, 431)."""


class NotAuthenticated(ApiError):
    """The node does not know who asks (401)."""

    kind = Kind.UNAUTHENTICATED


class NotAllowed(ApiError):
    """Who asks may not do this (403)."""

    kind = Kind.FORBIDDEN


class NotThere(ApiError):
    """It does not exist, or who asks may not see it (404)."""

    kind = Kind.MISSING


class AlreadyThere(ApiError):
    """It contradicts what is there (409)."""

    kind = Kind.CONFLICT


class ConditionFailed(ApiError):
    """A precondition or the condition does not hold; nothing was done (412)."""

    kind = Kind.PRECONDITION


class TooMuch(ApiError):
    """It is larger than the node takes (413)."""

    kind = Kind.TOO_LARGE


class NoAnswer(ApiError):
    """No device, or no acknowledgement, or not the node itself answered in time (408, 504)."""

    kind = Kind.TIMEOUT
    retryable = True


class NotAcknowledged(ApiError):
    """Not all acknowledgements that were asked for came and were good (424); ``body`` has each."""

    kind = Kind.UNAVAILABLE
    retryable = True

    @property
    def acknowledgements(self) -> Mapping[str, object]:
        """Label to ``{status, payload, headers}``."""
        return self.body if isinstance(self.body, dict) else {}


class Busy(ApiError):
    """The node cannot do it now; try again later (429, 503)."""

    kind = Kind.UNAVAILABLE
    retryable = True


class Unreachable(ClientError):
    """Nobody answers at the address, or not in time."""

    code = "client.unreachable"
    kind = Kind.UNAVAILABLE
    retryable = True


class NotANode(ClientError):
    """Something answers at the address, but it is not a node (or one of another age)."""

    code = "client.not_a_node"
    kind = Kind.PEER


class StreamEnded(ClientError):
    """The node ended a stream, or the network did; begin it again."""

    code = "client.stream_ended"
    kind = Kind.UNAVAILABLE
    retryable = True


OF_STATUS: Mapping[int, type[ApiError]] = {
    **dict.fromkeys((400, 405, 414, 415, 422, 431), InvalidRequest),
    401: NotAuthenticated,
    403: NotAllowed,
    404: NotThere,
    **dict.fromkeys((408, 504), NoAnswer),
    409: AlreadyThere,
    412: ConditionFailed,
    413: TooMuch,
    424: NotAcknowledged,
    **dict.fromkeys((429, 503), Busy),
}
"""Status to the class that stands for it; others are plain `ApiError`s."""
