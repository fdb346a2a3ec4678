"""What eventing needs: committed records to pass on, and somebody who takes messages."""

from collections.abc import Callable, Sequence
from typing import Protocol

from littoral.eventing.model import Message
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


class Receiver(Protocol):
    """Somebody who speaks for things or listens to them: a device's connection, a link, a session.

    An object with this method: it is compared by identity.
    """

    def deliver(self, message: Message) -> None:
        """Take ``message``, at once; answer it later with ``message.reply(...)`` if it asks to.

        Called on the loop, at most once per message and never after its deadline. A receiver
        that queues asks ``message.remaining_s(now)`` again before it passes it on.

        Raises:
            LittoralError: it cannot be taken (no room, connection gone); counted, not passed on.
        """
        ...
