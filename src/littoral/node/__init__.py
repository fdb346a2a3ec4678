"""A node, composed: the same software as a cloud and as a site.

`compose(config, ports)` is the one wiring, used by `app` with real ports and by `simulate` with
virtual ones.

Invariant: nothing here chooses an adapter; if both worlds can compose a node, the ports are honest.
"""

from littoral.node.config import NodeConfig
from littoral.node.ports import NodePorts
from littoral.node.service import Node, compose

__all__ = ["Node", "NodeConfig", "NodePorts", "compose"]
