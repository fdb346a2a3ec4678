"""The ASGI side of the door: what a server calls and what it hands over.

Spec: ASGI 3.0 with HTTP and WebSocket 2.x messages. Any server that speaks it will do.
"""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
AsgiApp = Callable[[Scope, Receive, Send], Awaitable[None]]
