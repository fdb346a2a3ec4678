"""Live messages of one session: what waits for its answer, and what is being answered."""

from collections.abc import Awaitable, Callable, Coroutine

from littoral.edge.core import Answered, Deliver, LinkSession, Now
from littoral.edge.model import LIVE_PENDING_MAX
from littoral.kernel.errors import LittoralError

Answers = Callable[[Deliver], Awaitable[bytes]]
"""Takes a live message; raises a `LittoralError` if that is not possible."""


class Desk:
    """Asks the peer, and answers it."""

    def __init__(
        self,
        session: LinkSession,
        *,
        answer: Answers,
        spawn: Callable[[Coroutine[None, None, None]], None],
        now: Callable[[], Now],
        perform: Callable[[], None],
    ) -> None:
        self._session = session
        self._answer = answer
        self._spawn = spawn
        self._now = now
        self._perform = perform
        self._waiting: dict[int, Callable[[Answered], None]] = {}
        self._delivering = 0

    def ask(
        self, topic: str, body: bytes, *, ttl_s: float, done: Callable[[Answered], None]
    ) -> None:
        """Send a live message; ``done`` is called once. Raises `LinkBusy`."""
        number = self._session.ask(topic, body, ttl_s=ttl_s, now=self._now())
        self._waiting[number] = done
        self._perform()

    def tell(self, topic: str, body: bytes, *, ttl_s: float) -> None:
        """Send a live message that wants no answer."""
        self._session.tell(topic, body, ttl_s=ttl_s)
        self._perform()

    def answered(self, effect: Answered) -> None:
        """A message has its answer, or never will."""
        done = self._waiting.pop(effect.id, None)
        if done is not None:
            done(effect)

    def deliver(self, effect: Deliver) -> None:
        """A message came."""
        if self._delivering >= LIVE_PENDING_MAX:
            self._session.answer(
                effect.id, b"", code="link.busy", message="too many messages at once."
            )
            return
        self._delivering += 1
        self._spawn(self._serve(effect))

    async def _serve(self, effect: Deliver) -> None:
        body, code, message = b"", "", ""
        try:
            body = await self._answer(effect)
        except LittoralError as e:
            code, message = e.code, str(e)
        finally:
            self._delivering -= 1
        if effect.wants_answer:
            self._session.answer(effect.id, body, code=code, message=message)
            self._perform()
