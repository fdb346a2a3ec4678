"""The node's side of functions: what `node`, `app` and `simulate` wire up.

A front door of its own, so that a worker process, which imports `littoral.functions`, does not
load the log, twins and eventing with it.

Invariant: nothing here is imported by `littoral.functions` itself or by its worker.
"""

from littoral.functions.errors import FunctionNotLoaded
from littoral.functions.model import FunctionSettings, FunctionState, FunctionStatistics
from littoral.functions.ports import Host, Runner
from littoral.functions.service import FunctionHost

__all__ = [
    "FunctionHost",
    "FunctionNotLoaded",
    "FunctionSettings",
    "FunctionState",
    "FunctionStatistics",
    "Host",
    "Runner",
]
