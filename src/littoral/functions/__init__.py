"""Functions that react at the site: the names a user's file imports.

    from littoral.functions import every, on

    @on("features/telemetry/properties/f1", condition="gt(features/telemetry/properties/f1,80)")
    def too_hot(ctx):
        ctx.command(ctx.thing_id, "cool-down")

Only what a worker process needs is imported here, so that a worker stays small and starts fast;
the node's side, `FunctionHost`, has its own front door: `littoral.functions.host`.

Invariant: user code never runs in the node's process (in the virtual world it does, on purpose).
"""

from littoral.functions.api import Answer, Context, Event, every, on
from littoral.functions.errors import CannotWait, CommandFailed, InvalidHandler
from littoral.rql import InvalidExpression

__all__ = [
    "Answer",
    "CannotWait",
    "CommandFailed",
    "Context",
    "Event",
    "InvalidExpression",
    "InvalidHandler",
    "every",
    "on",
]
