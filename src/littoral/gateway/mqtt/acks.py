"""Acknowledgements of one connection that wait for commits, in the order of the publishes.

Invariant: nothing leaves before the batch of the message it acknowledges, nor out of order.
"""

from collections import deque

from littoral.gateway.mqtt.refusals import puback
from littoral.kernel.errors import LittoralError

PUBACK = b"\x40\x02"
"""The head of a plain PUBACK, in both versions; the packet identifier follows."""

PUBACK_BYTES = 4


class Group:
    """What one connection had in one batch of the log."""

    __slots__ = ("acks", "batch", "records", "size")

    def __init__(
        self, batch: int, acks: list[bytes] | None = None, records: int = 0, size: int = 0
    ) -> None:
        self.batch = batch
        self.acks = [] if acks is None else acks
        """Whole packets: plain PUBACKs, and between them what must keep its place."""
        self.records = records
        self.size = size


class Acks:
    """Groups, oldest first, and how much waits in all of them."""

    __slots__ = ("groups", "records", "size")

    def __init__(self) -> None:
        self.groups: deque[Group] = deque()
        self.records = 0
        self.size = 0

    def count(self, records: int, size: int) -> None:
        """Charge what one buffer brought to the newest group."""
        if self.groups:
            newest = self.groups[-1]
            newest.records += records
            newest.size += size
            self.records += records
            self.size += size

    def waiting(self) -> int:
        """Packets that wait to be written."""
        return sum(len(group.acks) for group in self.groups)

    def drop(self) -> None:
        """Forget everything: the connection is no more, the messages stay."""
        self.groups.clear()
        self.records = self.size = 0


def refused(group: Group, error: LittoralError, *, wordy: bool) -> bytes:
    """What a failed batch is answered with in MQTT 5: every plain PUBACK becomes a refusal."""
    return b"".join(
        puback(int.from_bytes(ack[2:], "big"), error, wordy=wordy)
        if len(ack) == PUBACK_BYTES and ack.startswith(PUBACK)
        else ack
        for ack in group.acks
    )
