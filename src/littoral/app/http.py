"""The HTTP door: granian's embedded server inside the node's own loop.

Granian binds its port itself; a chosen one is probed first, so that a taken port is told as ours.
Its own log lines are switched off: the node says once where it listens.
"""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from littoral.app.world import address_of, bind

Scope = MutableMapping[str, Any]
AsgiApp = Callable[
    [Scope, Callable[[], Awaitable[Scope]], Callable[[Scope], Awaitable[None]]], Awaitable[None]
]

BACKLOG = 2048


class HttpServer:
    """Serves one ASGI application."""

    def __init__(self, app: AsgiApp, address: str) -> None:
        probe = bind(address, door="HTTP", setting="--http")
        self.address = address_of(probe)
        probe.close()
        self._app = app
        self._server: Any = None

    async def run(self) -> None:
        """Serve until `stop`."""
        # Imported here: the import starts a runtime, and a node that only checks settings needs none.
        from granian.constants import Interfaces
        from granian.server.embed import Server

        host, _, port = self.address.rpartition(":")
        self._server = Server(
            self._app,
            address=host.strip("[]"),
            port=int(port),
            interface=Interfaces.ASGINL,
            backlog=BACKLOG,
            log_enabled=False,
            websockets=True,
        )
        await self._server.serve()

    async def wait_listening(self) -> None:
        """Return once the port accepts connections."""
        host, _, port = self.address.rpartition(":")
        while True:
            try:
                _, writer = await asyncio.open_connection(host.strip("[]"), int(port))
            except OSError:
                await asyncio.sleep(0.005)
                continue
            writer.close()
            return

    def stop(self) -> None:
        """Stop accepting, let what runs end, and return from `run`."""
        if self._server is not None:
            self._server.stop()
