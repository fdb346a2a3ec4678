"""What eventing needs: committed records to pass on, and somebody who takes messages."""

from collections.abc import Callable, Sequence
from typing import Protocol

from littoral.eventing.model import LiveSignal, Message
from littoral.kernel.errors import LittoralError
from littoral.log import Record

RecordSink = Callable[[Sequence[Record]], None]
"""Takes the records of one commit that a subscription is for, in order.

It is called on the loop between a commit and the next one: it must return at once, and buffers
for a slow reader itself, boundedly (`BoundedQueue.put` does).
"""


class CommittedRecords(Protocol):
    """The log, as far as live subscribers see it. `littoral.log.Log` is one."""

    def listen(self, listener: RecordSink) -> None:
        """Call ``listener`` with the records of every commit, in order, on the loop."""
        ...


class MailLog(Protocol):
    """What a `Mailbox` uses of `littoral.log.Log`."""

    committed: int

    def append(
        self,
        cls: int,
        kind: str,
        entity: str,
        revision: int,
        prev_seq: int,
        path: str,
        value: bytes,
    ) -> int: ...
    def put(self, space: str, key: str, value: bytes | None) -> None: ...
    def get(self, space: str, key: str) -> bytes | None: ...
    def scan(
        self, space: str, *, prefix: str = "", after: str = "", limit: int = 1000
    ) -> list[tuple[str, bytes]]: ...
    async def wait(self, seq: int | None = None) -> None: ...
    def on_abort(self, hook: Callable[[LittoralError], None]) -> None: ...


class Receiver(Protocol):
    """Somebody who speaks for things or listens to them: a device's connection, a link, a session.

    An object with this method: it is compared by identity.
    """

    def deliver(self, message: Message) -> bool | None:
        """Take ``message``, at once; answer it later with ``message.reply(...)`` if it asks to.

        Called on the loop, at most once per message and never after its deadline. A receiver
        that queues asks ``message.remaining_s(now)`` again before it passes it on.

        Returns:
            False if it is not for this receiver (it may not see it, or filters it out). Anything
            else: it has it.

        Raises:
            LittoralError: it cannot be taken (no room, connection gone); counted, not passed on.
        """
        ...


class LiveReceiver(Protocol):
    """Somebody who listens to live commands and events: a session, a link. Compared by identity."""

    def deliver_live(self, signal: LiveSignal) -> bool:
        """Take ``signal``, at once; answer a command later with `LiveChannel.respond`.

        Called on the loop, at most once per signal. The receiver asks its policies itself: who may
        not see ``signal.resource`` (READ) returns False.

        Returns:
            Whether it took the signal.

        Raises:
            LittoralError: it cannot be taken (no room, connection gone); counted, not passed on.
        """
        ...
