"""The HTTP door of a node: Ditto's API 2, its WebSocket and server-sent events, and Littoral's own.

`build_app(parts)` gives an ASGI callable; whoever composes a node serves it.

Invariant: every input is bounded before it is parsed, and no traceback reaches a peer.
Invariant: only here is HTTP known; what a caller may do is decided by `twin` and `registry`.
"""

from littoral.api.door import Door, build_app
from littoral.api.model import NodeInfo
from littoral.api.parts import ApiParts

__all__ = ["ApiParts", "Door", "NodeInfo", "build_app"]
