"""What can go wrong between a program and its node."""

from littoral.kernel.errors import Kind, LittoralError


class ClientError(LittoralError):
    """The base of everything that `Client` raises."""

    code = "client.error"


class ApiError(ClientError):
    """The node refused: ``status`` and ``code`` say why, ``correlation_id`` finds it in its log."""

    code = "client.refused"

    def __init__(
        self, status: int, code: str, message: str, hint: str = "", correlation_id: str = ""
    ) -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.code = code
        self.correlation_id = correlation_id


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
