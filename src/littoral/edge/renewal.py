"""A site's certificate renews itself over the link, long before it ends."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

from littoral.edge.conversation import Conversation
from littoral.edge.core import Answered
from littoral.edge.downlink import RENEW_TOPIC
from littoral.edge.errors import EnrolmentRefused
from littoral.edge.model import RENEW_AT_FRACTION
from littoral.edge.ports import IdentityStore, SiteIdentity, Smith
from littoral.kernel.errors import LittoralError
from littoral.kernel.time import Clock

CHECK_EVERY_S = 3600.0
"""How often the age is looked at, and how soon a refused renewal is tried again."""

ANSWER_S = 30.0


def renew_at_ms(identity: SiteIdentity) -> int:
    """When two thirds of a certificate's life are over."""
    life_ms = identity.not_after_ms - identity.not_before_ms
    return identity.not_before_ms + int(life_ms * RENEW_AT_FRACTION)


class Renewal:
    """Runs beside an open session of the `Uplink`; the next connection uses what it stored."""

    def __init__(self, *, store: IdentityStore, smith: Callable[[], Smith], clock: Clock) -> None:
        self._store = store
        self._smith = smith
        self._clock = clock
        self.last_error = ""

    async def run(self, conversation: Conversation) -> None:
        """Renew when it is time, for as long as the conversation lasts."""
        while True:
            identity = self._store.load()
            wait_s = CHECK_EVERY_S
            if identity is not None and identity.certificate:
                left_s = (renew_at_ms(identity) - self._clock.now_ms()) / 1000
                if left_s <= 0 and conversation.is_open:
                    await self._try(conversation, identity)
                elif left_s > 0:
                    wait_s = min(wait_s, left_s)
                else:
                    wait_s = 1.0
            await asyncio.sleep(wait_s)

    async def _try(self, conversation: Conversation, identity: SiteIdentity) -> None:
        try:
            await self._renew(conversation, identity)
            self.last_error = ""
        except LittoralError as e:
            self.last_error = str(e)

    async def _renew(self, conversation: Conversation, identity: SiteIdentity) -> None:
        future: asyncio.Future[Answered] = asyncio.get_running_loop().create_future()

        def done(answer: Answered) -> None:
            if not future.done():
                future.set_result(answer)

        request = self._smith().request(identity.key, site=identity.site)
        conversation.live.ask(RENEW_TOPIC, request, ttl_s=ANSWER_S, done=done)
        answer = await future
        if answer.code:
            raise EnrolmentRefused(answer.message, refused=answer.code)
        not_before_ms, not_after_ms = self._smith().validity(answer.body, key=identity.key)
        self._store.save(
            replace(
                identity,
                certificate=answer.body,
                not_before_ms=not_before_ms,
                not_after_ms=not_after_ms,
            )
        )
