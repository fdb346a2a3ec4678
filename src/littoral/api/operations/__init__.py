"""What operators and orchestrators ask a node.

`probes` is alive, ready, healthy and `/metrics`, which `metrics` writes; `devops` is Ditto's status
trees, counts and levels of logging.

Invariant: reads only, but for levels of logging; who is not known learns no more than alive and ready.
"""

from littoral.api.operations.devops import LoggerLevel, devops_routes
from littoral.api.operations.probes import operation_routes

__all__ = [
    "LoggerLevel",
    "devops_routes",
    "operation_routes",
]
