"""What the parts of a WebSocket session need of the session itself."""

from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Protocol

from littoral.api.parts import ApiParts
from littoral.eventing import LiveSignal, Message
from littoral.kernel.errors import LittoralError
from littoral.twin import Caller
from littoral.twin.protocol import Envelope


class Signal(Protocol):
    """Something that waits to be pushed to the client."""

    def text(self) -> bytes | None:
        """Its frame; None if there is nothing to be sent any more."""
        ...


class Peer(Protocol):
    """One connected client. `littoral.api.session.Session` is one."""

    parts: ApiParts
    caller: Caller
    new_id: Callable[[], str]

    @property
    def originator(self) -> str:
        """The subject that stands for the client in what it causes."""
        ...

    def answer(self, text: bytes) -> None:
        """Owe the client a frame; never dropped."""
        ...

    def fail(
        self, error: LittoralError, envelope: Envelope | None = None, correlation_id: str = ""
    ) -> None:
        """Owe the client the frame that says why not."""
        ...

    def push(self, signals: Sequence[Signal]) -> int:
        """Show the client something that it has asked to be shown, if there is room.

        Returns:
            How many of ``signals``, from the first on, are taken.
        """
        ...

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run what has to wait beside the session."""
        ...

    def made_room(self) -> None:
        """Something was written, or a command was decided."""
        ...

    async def wait_written(self) -> None:
        """Wait while too many answers are undecided or unwritten."""
        ...

    def deliver(self, message: Message) -> bool:
        """Take a live message, as a `Receiver`."""
        ...

    def deliver_live(self, signal: LiveSignal) -> bool:
        """Take a live command or event, as a `LiveReceiver`."""
        ...
