"""What may be wrong with a function, at its start and while it runs."""

from littoral.kernel.errors import Kind, LittoralError


class InvalidHandler(LittoralError):
    """A decorator was given something that no handler can be declared with."""

    code = "functions.handler.invalid"


class FunctionNotLoaded(LittoralError):
    """The user's file cannot be run: a syntax error, an exception, or nothing declared in it.

    The node goes on without it; correct the file and reload the function.
    """

    code = "functions.not_loaded"


class CommandFailed(LittoralError):
    """A command that a handler waited for was refused or not answered in time.

    ``facts``: ``error``, the code of the refusal (``command.timeout``, ``littoral.forbidden``, …).
    """

    code = "functions.command.failed"
    kind = Kind.UNAVAILABLE


class CannotWait(LittoralError):
    """A handler wants to wait for an answer where nothing may wait (in the virtual world).

    Send the command without a timeout there, and take the answer from the thing's telemetry.
    """

    code = "functions.cannot_wait"
    kind = Kind.UNSUPPORTED
