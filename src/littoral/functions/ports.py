"""What a function's host needs: a log to read, twins to write, somebody to run user code."""

from collections.abc import Mapping
from typing import Protocol

from littoral.functions.wire import FromWorker, ToWorker
from littoral.log import Headers, Record
from littoral.twin import Caller


class FunctionCursor(Protocol):
    """A durable position in the log. `littoral.log.Cursor` is one."""

    @property
    def position(self) -> int:
        """Everything up to this seq is done."""
        ...

    def read(self, limit: int, *, after: int | None = None) -> list[Record]:
        """Records after ``after``; raises `CursorLost` once if some after `position` are gone."""
        ...

    def advance(self, seq: int) -> None:
        """Move on; durable with the next batch."""
        ...


class FunctionLog(Protocol):
    """What a function uses of `littoral.log.Log`."""

    @property
    def committed(self) -> int:
        """The last seq that is durable."""
        ...

    def cursor(self, name: str, *, start: int | None = None) -> FunctionCursor:
        """The durable cursor of that name; made at ``start``."""
        ...

    def append(
        self,
        cls: int,
        kind: str,
        entity: str,
        revision: int,
        prev_seq: int,
        path: str,
        value: bytes,
        device_time: int | None = None,
        headers: Headers | None = None,
    ) -> int:
        """Put a fact into the open batch."""
        ...


class FunctionTwins(Protocol):
    """What a function uses of `littoral.twin.Twins`."""

    def peek(self, thing_id: str) -> Mapping[str, object] | None:
        """The newest document, without any policy; a copy."""
        ...

    def may_message(self, caller: Caller, thing_id: str, permission: str, resource: str) -> bool:
        """Whether ``caller`` may send messages to ``resource`` of a thing."""
        ...

    async def merge(self, caller: Caller, thing_id: str, path: str, patch: object) -> object:
        """Merge a patch; returns when it is durable."""
        ...


class Host(Protocol):
    """The other side of a `Runner`: takes what a worker says."""

    def receive(self, message: FromWorker) -> None:
        """Take one message, on the loop, in the order in which the worker said it."""
        ...


class Runner(Protocol):
    """Runs the user's file: in a process of its own, or inline in the virtual world."""

    async def run(self, host: Host) -> str:
        """Live one life of a worker: start it, pass on what it says, return why it ended.

        The worker is gone when this returns or is cancelled.
        """
        ...

    def send(self, message: ToWorker) -> None:
        """Say something to the worker; ignored if there is none."""
        ...

    def kill(self, reason: str) -> None:
        """End the worker now; `run` returns ``reason``."""
        ...

    def pause(self) -> None:
        """Take nothing from the worker until `resume`."""
        ...

    def resume(self) -> None:
        """Go on taking."""
        ...
