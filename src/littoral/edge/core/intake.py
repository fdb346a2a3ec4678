"""The receiving half of a session: how much may come, and what is to be acknowledged."""

from littoral.edge.core.effects import Apply, TakePart
from littoral.edge.core.frames import (
    REPLAY,
    TAIL,
    Ack,
    Credit,
    Known,
    Part,
    Records,
    check_header,
    unpack,
    unpack_part,
)
from littoral.edge.errors import LinkPeerError
from littoral.edge.model import RAW_BYTES_MAX


class Intake:
    """Room for what is in flight to this side; it comes back with the commit."""

    def __init__(self, *, node: str, records: int, raw_bytes: int) -> None:
        self.received_records = 0
        self._node = node
        self._room_records = records
        self._room_bytes = raw_bytes
        self._done: dict[tuple[str, int], int] = {}
        self._done_records = 0
        self._done_bytes = 0

    def admit(self, frame: Records, *, peer: str) -> Apply:
        """What a frame asks for; raise `LinkPeerError` if the peer may not ask for it."""
        tail = bool(frame.flags & TAIL)
        check_header(frame, owner=self._node if tail else peer)
        self._use(frame.count, frame.raw_bytes)
        records = unpack(frame)
        self.received_records += len(records)
        return Apply(
            origin=frame.origin,
            cls=frame.cls,
            records=records,
            scanned_to=frame.scanned_to,
            raw_bytes=frame.raw_bytes,
            replay=bool(frame.flags & REPLAY),
            tail=tail,
        )

    def admit_part(self, frame: Part, *, peer: str) -> TakePart:
        """The same for a piece of state."""
        self._use(frame.count, frame.raw_bytes)
        return TakePart(frame, unpack_part(frame, owner=peer))

    def _use(self, records: int, raw_bytes: int) -> None:
        self._room_records -= records
        self._room_bytes -= raw_bytes
        # One frame may go over the bytes: its sender cannot know its size before it is made.
        if self._room_records < 0 or self._room_bytes < -RAW_BYTES_MAX:
            raise LinkPeerError("the peer sent more than it had credit for.")

    def took(self, frame: Part) -> None:
        """A piece of state is durable, or was refused: its room is free."""
        self._done_records += frame.count
        self._done_bytes += frame.raw_bytes

    def committed(self, apply: Apply) -> None:
        """What a frame asked for is durable."""
        key = (apply.origin, apply.cls)
        self._done[key] = max(self._done.get(key, 0), apply.scanned_to)
        self._done_records += len(apply.records)
        self._done_bytes += apply.raw_bytes

    def take_done(self) -> list[Ack | Credit]:
        """What to tell the peer about everything that became durable since the last call."""
        frames: list[Ack | Credit] = []
        if self._done:
            acks = [Known(origin, cls, oseq) for (origin, cls), oseq in self._done.items()]
            frames.append(Ack(acks))
        if frames or self._done_records or self._done_bytes:
            frames.append(Credit(self._done_records, self._done_bytes))
        self._room_records += self._done_records
        self._room_bytes += self._done_bytes
        self._done.clear()
        self._done_records = self._done_bytes = 0
        return frames
