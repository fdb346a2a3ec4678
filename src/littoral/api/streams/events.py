"""One reader of server-sent events: what is buffered for it, and how that is written.

There is a heartbeat every second, and a reader that is too slow is told what it lost.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from littoral.api.model import HEARTBEAT_S, STREAM_RECORDS_MAX
from littoral.api.streams.feeds import Pushed, Watching
from littoral.eventing import BoundedQueue
from littoral.twin import Caller

EVENT_STREAM = "text/event-stream"

HEARTBEAT = b":\n\n"

_PIECE_OVERHEAD = 200


class Piece(Protocol):
    """Something that is written into a stream."""

    def text(self) -> bytes | None:
        """The finished event; None if there is nothing in it for this reader."""
        ...


class Keeper(Protocol):
    """Who opened a stream, and keeps count of what becomes of it."""

    dropped: int
    """Changes that were not sent since the start, because their readers were too slow."""

    def left(self, stream: "EventStream") -> None:
        """The reader is gone."""
        ...


class _Heartbeat:
    """An empty event."""

    def text(self) -> bytes:
        return HEARTBEAT


_BEAT = _Heartbeat()


class EventStream:
    """One reader's buffer, and what is written to it until it leaves or is ended."""

    def __init__(self, keeper: Keeper, caller: Caller) -> None:
        self.caller = caller
        self.owner: object = self
        self.owners: tuple[str, ...] = ()
        """Entries of the registry that its reader stands on."""
        self.watching: list[Watching] = []
        self._keeper = keeper
        self._queue: BoundedQueue[Piece] = BoundedQueue(_weight, items_max=STREAM_RECORDS_MAX)
        self._timer: asyncio.TimerHandle | None = None
        self._expiry: asyncio.TimerHandle | None = None

    def put(self, pieces: Sequence[Piece]) -> None:
        """Buffer what is to be written; the oldest goes if there is no room."""
        self._queue.put(pieces)

    def close(self) -> None:
        """End it after what is buffered."""
        self._queue.close()

    def end_in(self, wait_s: float) -> None:
        """End it when what proved who its reader is ends."""
        self._expiry = asyncio.get_running_loop().call_later(wait_s, self.close)

    def leave(self) -> None:
        """Watch nothing any more."""
        for watching in self.watching:
            watching.close()

    async def pieces(self) -> AsyncIterator[bytes]:
        """What is written: a heartbeat at once and each second, and all that is there."""
        queue = self._queue
        try:
            yield HEARTBEAT
            self._timer = asyncio.get_running_loop().call_later(HEARTBEAT_S, self._beat)
            while not queue.closed:
                taken = await queue.take()
                if taken.dropped:
                    # It must know that it has to read the things again.
                    yield b": dropped %d changes\n\n" % taken.dropped
                    self._keeper.dropped += taken.dropped
                texts = [text for item in taken.items if (text := item.text()) is not None]
                if texts:
                    yield b"".join(texts)
        finally:
            for timer in (self._timer, self._expiry):
                if timer is not None:
                    timer.cancel()
            self.leave()
            self._keeper.left(self)

    def _beat(self) -> None:
        """Let the reader know every second that the stream lives, if it has nothing else to read.

        A timer of its own: one around each wait would cost as much as the event that ends it.
        """
        if not len(self._queue):
            self._queue.put((_BEAT,))
        self._timer = asyncio.get_running_loop().call_later(HEARTBEAT_S, self._beat)


class ChangeStream(EventStream):
    """A stream of changes, as a `Watcher`."""

    def watch(self, pushed: Sequence[Pushed]) -> None:
        """Take changes."""
        self.put(pushed)


def _weight(piece: Piece) -> int:
    if isinstance(piece, Pushed):
        return len(piece.change.record.value) + _PIECE_OVERHEAD
    return _PIECE_OVERHEAD
