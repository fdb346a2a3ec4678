"""Live messages of this side that wait for their answers."""

from littoral.edge.errors import LinkBusy
from littoral.edge.model import LIVE_PENDING_MAX


class Waiting:
    """Numbers of messages, and until when each waits; bounded."""

    def __init__(self) -> None:
        self._deadlines: dict[int, float] = {}

    def add(self, number: int, *, until_s: float) -> None:
        """Wait for the answer to ``number``. Raises `LinkBusy` at the bound."""
        if len(self._deadlines) >= LIVE_PENDING_MAX:
            raise LinkBusy(
                f"{LIVE_PENDING_MAX} messages wait for an answer over this link already.",
                hint="Send fewer at once, or choose shorter timeouts.",
            )
        self._deadlines[number] = until_s

    def remove(self, number: int) -> bool:
        """The answer is there; False if nobody waits for it (any more)."""
        return self._deadlines.pop(number, None) is not None

    def take_expired(self, now_s: float) -> list[int]:
        """Those whose time is over."""
        gone = [n for n, at in self._deadlines.items() if at <= now_s]
        for number in gone:
            del self._deadlines[number]
        return gone

    def take_all(self) -> list[int]:
        """All of them: there will be no answers any more."""
        gone = list(self._deadlines)
        self._deadlines.clear()
        return gone

    def deadline(self, default: float) -> float:
        """When the next one expires, or ``default`` if none waits."""
        return min(self._deadlines.values(), default=default)
