"""User code in a process of its own, spoken to over a socket pair on the node's loop."""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import cast

import msgspec

from littoral.functions.ports import Host
from littoral.functions.wire import (
    FRAME_BYTES_MAX,
    LENGTH_BYTES,
    ToWorker,
    frame,
    read_from_worker,
)


class ProcessRunner:
    """Runs a user's file in ``python -I -m littoral.functions.worker``. A `Runner`.

    The worker gets an environment without the node's variables (they may hold secrets), no
    standard input, and the node's standard error for its output. It dies with the node.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._wire: _WorkerWire | None = None
        self._paused = False

    async def run(self, host: Host) -> str:
        loop = asyncio.get_running_loop()
        try:
            ours, exit_ = _start(loop, self._file)
        except OSError as e:
            return f"it cannot be started: {e}"
        wire = _WorkerWire(host, loop.create_future())
        try:
            await loop.connect_accepted_socket(lambda: wire, ours)
            self._wire = wire
            if self._paused:
                wire.pause()
            # One of the two comes first: code that forks keeps the socket open after its exit.
            exit_.tell(wire.ended)
            await wire.ended
        finally:
            self._wire = None
            wire.close("")
            await exit_.make_sure()
        return wire.reason or exit_.explanation()

    def send(self, message: ToWorker) -> None:
        if self._wire is not None:
            self._wire.send(message)

    def kill(self, reason: str) -> None:
        if self._wire is not None:
            self._wire.close(reason)

    def pause(self) -> None:
        self._paused = True
        if self._wire is not None:
            self._wire.pause()

    def resume(self) -> None:
        self._paused = False
        if self._wire is not None:
            self._wire.resume()


def _start(loop: asyncio.AbstractEventLoop, file: Path) -> "tuple[socket.socket, _Exit]":
    ours, theirs = socket.socketpair()
    ours.setblocking(False)  # noqa: FBT003  # the standard library's own signature
    with theirs:
        try:
            process = _spawn(theirs.fileno(), file)
        except OSError:
            ours.close()
            raise
    try:
        return ours, _Exit(loop, process)
    except OSError:
        ours.close()
        process.kill()
        process.wait()
        raise


def _spawn(descriptor: int, file: Path) -> "subprocess.Popen[bytes]":
    module = "littoral.functions.worker"
    command = [sys.executable, "-I", "-m", module, str(descriptor), str(os.getpid()), str(file)]
    return subprocess.Popen(  # noqa: S603  # our own interpreter, our own module
        command,
        pass_fds=(descriptor,),
        stdin=subprocess.DEVNULL,
        env={"PATH": os.defpath, "LANG": "C.UTF-8"},
        # A session of its own: Ctrl-C reaches the node only, and what the worker starts ends with it.
        start_new_session=True,
    )


class _Exit:
    """Notices the end of a process without a thread, a signal handler or polling."""

    def __init__(self, loop: asyncio.AbstractEventLoop, process: "subprocess.Popen[bytes]") -> None:
        self._loop = loop
        self._process = process
        self._descriptor = os.pidfd_open(process.pid)
        self._gone: asyncio.Future[None] = loop.create_future()
        self._also: asyncio.Future[None] | None = None
        loop.add_reader(self._descriptor, self._exited)

    def _exited(self) -> None:
        self._loop.remove_reader(self._descriptor)
        os.close(self._descriptor)
        self._process.wait()
        for future in (self._gone, self._also):
            if future is not None and not future.done():
                future.set_result(None)

    def tell(self, future: asyncio.Future[None]) -> None:
        """Set ``future`` when the process has ended."""
        self._also = future
        if self._gone.done() and not future.done():
            future.set_result(None)

    async def make_sure(self) -> None:
        """End the process and everything it started, and wait until it is gone."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        await asyncio.shield(self._gone)

    def explanation(self) -> str:
        code = self._process.returncode
        if code < 0:
            return f"killed by {signal.Signals(-code).name}"
        return f"exit status {code}"


class _WorkerWire(asyncio.Protocol):
    """Frames to and from a worker."""

    def __init__(self, host: Host, ended: asyncio.Future[None]) -> None:
        self.ended = ended
        self.reason = ""
        self._host = host
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._paused = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports have the methods, but not the class.
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, _error: Exception | None) -> None:
        self._transport = None
        if not self.ended.done():
            self.ended.set_result(None)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        self._read_frames()

    def _read_frames(self) -> None:
        buffer, at = self._buffer, 0
        # `pause` may be called by what a frame makes the host do, `close` too.
        while not self._paused and self._transport is not None and len(buffer) - at >= LENGTH_BYTES:
            begin = at + LENGTH_BYTES
            size = int.from_bytes(buffer[at:begin], "little")
            if size > FRAME_BYTES_MAX:
                self.close(f"it sent a frame of {size} bytes")
                return
            if len(buffer) < begin + size:
                break
            try:
                message = read_from_worker(memoryview(buffer)[begin : begin + size])
            except msgspec.MsgspecError as e:
                self.close(f"it sent what is no frame: {e}")
                return
            at = begin + size
            self._host.receive(message)
        del buffer[:at]

    def send(self, message: ToWorker) -> None:
        if self._transport is not None:
            self._transport.write(frame(message))

    def close(self, reason: str) -> None:
        self.reason = self.reason or reason
        if self._transport is not None:
            self._transport.abort()
            self._transport = None

    def pause(self) -> None:
        if not self._paused:
            self._paused = True
            if self._transport is not None:
                self._transport.pause_reading()

    def resume(self) -> None:
        if self._paused:
            self._paused = False
            if self._transport is not None:
                self._transport.resume_reading()
                self._read_frames()
