"""The HTTP door: HTTP/1.1 and WebSockets on the node's own loop.

Not a server in a thread of its own: each message between threads cost more than all that is done
with it (`docs/adr/0009-http-door.md`).
"""

import asyncio
import contextlib
from collections.abc import Coroutine
from typing import Any

from littoral.app.http1 import HttpConnection, Serving
from littoral.app.sockets import AsgiApp
from littoral.app.world import address_of, bind

BACKLOG = 2048

STOP_S = 2.0
"""How long answers that are being made may take when the server stops."""


class HttpServer:
    """Serves one ASGI application."""

    def __init__(self, app: AsgiApp, address: str) -> None:
        """Take the address; raise `AddressInUse` if somebody else has it."""
        self._socket = bind(address, door="HTTP", setting="--http")
        self.address = address_of(self._socket)
        self._app = app
        self._stop = asyncio.Event()
        self._listening = asyncio.Event()

    async def run(self) -> None:
        """Serve until `stop`."""
        loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as tasks:
            running: set[asyncio.Task[None]] = set()

            def spawn(work: Coroutine[Any, Any, None]) -> None:
                task = tasks.create_task(work)
                running.add(task)
                task.add_done_callback(running.discard)

            serving = Serving(self._app, spawn)
            server = await loop.create_server(
                lambda: HttpConnection(serving), sock=self._socket, backlog=BACKLOG
            )
            self._listening.set()
            try:
                while not self._stop.is_set():
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(1.0):
                            await self._stop.wait()
                    serving.tick()
            finally:
                serving.stopping = True
                server.close()
                if running:
                    await asyncio.wait(running, timeout=STOP_S)
                for connection in list(serving.connections):
                    connection.close()
                for socket in list(serving.sockets):
                    socket.hang_up()
                for task in running:
                    task.cancel()

    async def wait_listening(self) -> None:
        """Return once the port accepts connections."""
        await self._listening.wait()

    def stop(self) -> None:
        """Stop accepting, let what runs end, and return from `run`."""
        self._stop.set()
