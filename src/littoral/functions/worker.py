"""The worker process: loads one file, runs its handlers one at a time, speaks frames with the node.

Started by the node as ``python -I -m littoral.functions.worker FD PARENT FILE``. It imports no
more than it needs: asyncio only if the file has an async handler.
"""

import ctypes
import io
import os
import signal
import socket
import sys
from collections import deque
from collections.abc import Awaitable, Callable
from pathlib import Path
from threading import Lock

from littoral.functions.errors import FunctionNotLoaded
from littoral.functions.program import Program, explain, load
from littoral.functions.wire import (
    LENGTH_BYTES,
    Answered,
    Broken,
    Command,
    Done,
    Effect,
    FromWorker,
    Get,
    Ready,
    Run,
    ToWorker,
    Work,
    frame,
    read_to_worker,
)

_CHUNK_BYTES = 256 * 1024
_PR_SET_PDEATHSIG = 1


class NodeGone(BaseException):
    """The node closed the socket; nothing is left to do. Handlers must not catch it."""


class Wire:
    """The socket to the node: blocking, because nothing else happens here. An `Outlet`."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._lock = Lock()
        self._buffer = bytearray()
        self._waiting: deque[Work] = deque()
        self._answers: dict[int, Answered] = {}
        self._calls = 0

    def say(self, message: FromWorker) -> None:
        """Send one frame."""
        data = frame(message)
        try:
            # A handler may use its context from threads of its own.
            with self._lock:
                self._connection.sendall(data)
        except OSError as e:
            raise NodeGone from e

    def emit(self, effect: Effect) -> None:
        self.say(effect)

    def ask(self, effect: Command | Get) -> Answered:
        self.say(effect)
        while (answered := self._answers.pop(effect.call, None)) is None:
            self._take(self._receive())
        return answered

    def next_call(self) -> int:
        self._calls += 1
        return self._calls

    def next_work(self) -> Work:
        """The next event; waits for it."""
        while not self._waiting:
            self._take(self._receive())
        return self._waiting.popleft()

    def _take(self, message: ToWorker) -> None:
        match message:
            case Run(works):
                self._waiting.extend(works)
            case Answered():
                self._answers[message.call] = message

    def _receive(self) -> ToWorker:
        head = self._read(LENGTH_BYTES)
        message: ToWorker = read_to_worker(self._read(int.from_bytes(head, "little")))
        return message

    def _read(self, size: int) -> bytes:
        buffer = self._buffer
        while len(buffer) < size:
            try:
                data = self._connection.recv(_CHUNK_BYTES)
            except OSError as e:
                raise NodeGone from e
            if not data:
                raise NodeGone
            buffer += data
        taken = bytes(memoryview(buffer)[:size])
        del buffer[:size]
        return taken


def serve(program: Program, wire: Wire, filename: str) -> None:
    """Run handlers until the node is gone. What a handler raises is told, and the next one runs."""
    wait = _awaiter()
    while True:
        work = wire.next_work()
        error = ""
        try:
            awaitable = program.run(work, wire)
            if awaitable is not None:
                wait(awaitable)
        except (Exception, SystemExit) as e:  # noqa: BLE001  # user code may raise anything
            error = explain(e, filename)
        wire.say(Done(work.token, error))


def _awaiter() -> Callable[[Awaitable[object]], None]:
    """Something that runs async handlers on one loop, made when the first of them runs."""
    run: Callable[..., object] | None = None

    def wait(awaitable: Awaitable[object]) -> None:
        nonlocal run
        if run is None:
            from asyncio import Runner  # noqa: PLC0415  # 5 MB that most files do not need

            run = Runner().run

        async def main() -> None:
            await awaitable

        run(main())

    return wait


def _die_with_the_node(parent: int) -> None:
    """Let the kernel end this process when the node ends, even while a handler blocks."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        raise NodeGone


def main(arguments: list[str]) -> int:
    """Entry point; see the module's docstring."""
    descriptor, parent, filename = int(arguments[0]), int(arguments[1]), arguments[2]
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the node's to handle
    connection = socket.socket(fileno=descriptor)
    # What a handler prints must not mix with the node's standard output.
    os.dup2(2, 1)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)  # it shows at once, also without a terminal
    wire = Wire(connection)
    try:
        _die_with_the_node(parent)
        sys.path.insert(0, str(Path(filename).resolve().parent))
        try:
            program = load(filename, Path(filename).read_bytes())
        except OSError as e:
            wire.say(Broken(f"{filename} cannot be read: {e.strerror}."))
            return 1
        except FunctionNotLoaded as e:
            wire.say(Broken(str(e)))
            return 1
        wire.say(Ready(program.declared))
        serve(program, wire, filename)
    except NodeGone:
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
