"""Live messages: to whoever speaks for a thing, and the answer back, within a deadline."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace

from littoral.eventing.errors import MessageTimeout, TooManyMessages
from littoral.eventing.model import (
    MESSAGE_TIMEOUT_S,
    MESSAGE_TIMEOUT_S_MAX,
    MESSAGES_PENDING_MAX,
    MESSAGES_PER_THING_MAX,
    Direction,
    InboxStatistics,
    Message,
    Reply,
    check_message,
)
from littoral.eventing.ports import Receiver
from littoral.kernel.errors import LittoralError, Unavailable
from littoral.kernel.time import Clock


class Attachment:
    """One receiver's place in an `Inbox`. Made by its ``attach`` methods."""

    __slots__ = ("_detach", "accepts", "closed", "direction", "receiver", "route")

    def __init__(
        self,
        receiver: Receiver,
        direction: Direction | None,
        detach: Callable[["Attachment"], None],
        accepts: Callable[[str], bool] | None = None,
        route: str = "",
    ) -> None:
        self.receiver = receiver
        self.direction = direction
        self.accepts = accepts
        self.route = route
        self.closed = False
        self._detach = detach

    def close(self) -> None:
        """Get no message any more, from this moment on. Idempotent."""
        if not self.closed:
            self.closed = True
            self._detach(self)

    def wants(self, message: Message) -> bool:
        """Whether this receiver is for such a message."""
        return (
            not self.closed
            and (self.direction is None or self.direction == message.direction)
            and (self.accepts is None or self.accepts(message.thing_id))
        )


@dataclass(slots=True, eq=False)
class _Pending:
    """A message on its way."""

    message: Message
    source: Receiver | None
    future: asyncio.Future[Reply] | None
    taken_by: list[Receiver]
    routed: bool = False
    """Somebody who speaks for the thing has it; otherwise it waits for such a one."""
    timer: asyncio.TimerHandle | None = None


class Inbox:
    """Takes messages to (and from) things to their receivers.

    A receiver attached to a thing speaks for it. Only if there is none, the default routes are
    asked: a link, for things whose home is beyond it. Receivers attached everywhere see every
    message besides, and may answer as well. With nobody to speak for the thing a message waits
    until its deadline: a device that reconnects within it gets the message.

    Invariant: a message reaches a receiver at most once and never after its deadline; the first
    reply wins.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._by_thing: dict[str, tuple[Attachment, ...]] = {}
        self._defaults: tuple[Attachment, ...] = ()
        self._everywhere: tuple[Attachment, ...] = ()
        self._pending: dict[str, list[_Pending]] = {}
        self._pending_count = 0
        self._receivers = 0
        self._watchers: list[Callable[[str | None], None]] = []
        self._sent = self._delivered = self._replied = 0
        self._timed_out = self._expired = self._refused = self._failed = 0

    def attach(
        self, thing_id: str, receiver: Receiver, *, direction: Direction | None = Direction.INBOX
    ) -> Attachment:
        """Let ``receiver`` speak for a thing; messages that wait for it follow at once.

        Args:
            thing_id: whose messages.
            receiver: gets every one of them, beside others that are attached to the same thing.
            direction: to the thing, from it, or None for both.
        """

        def detach(attachment: Attachment) -> None:
            self._receivers -= 1
            left = tuple(a for a in self._by_thing[thing_id] if a is not attachment)
            if left:
                self._by_thing[thing_id] = left
            else:
                del self._by_thing[thing_id]

        attachment = Attachment(receiver, direction, detach)
        self._by_thing[thing_id] = (*self._by_thing.get(thing_id, ()), attachment)
        self._receivers += 1
        self.wake(thing_id)
        return attachment

    def attach_default(
        self,
        receiver: Receiver,
        *,
        accepts: Callable[[str], bool] | None = None,
        direction: Direction | None = None,
        route: str = "",
    ) -> Attachment:
        """Let ``receiver`` take messages of things that nobody here speaks for.

        Args:
            receiver: a route to where the thing lives. Attach it when the link is up, close the
                attachment when it is down: messages then wait for it, to their deadlines.
            accepts: whether a thing lives there, asked for each message; None for all things.
            direction: to things, from them, or None for both.
            route: the name of the way, the same after a restart: what a mailbox got that way is
                not sent back.
        """

        def detach(attachment: Attachment) -> None:
            self._receivers -= 1
            self._defaults = tuple(a for a in self._defaults if a is not attachment)

        attachment = Attachment(receiver, direction, detach, accepts, route)
        self._defaults = (*self._defaults, attachment)
        self._receivers += 1
        self.wake_all()
        return attachment

    def attach_everywhere(
        self, receiver: Receiver, *, direction: Direction | None = None
    ) -> Attachment:
        """Let ``receiver`` see the messages of all things, beside those who speak for them."""

        def detach(attachment: Attachment) -> None:
            self._receivers -= 1
            self._everywhere = tuple(a for a in self._everywhere if a is not attachment)

        attachment = Attachment(receiver, direction, detach)
        self._everywhere = (*self._everywhere, attachment)
        self._receivers += 1
        self._tell(None)
        return attachment

    async def send(
        self, message: Message, *, timeout_s: float, source: Receiver | None = None
    ) -> Reply:
        """Deliver ``message`` and wait for the first answer.

        Args:
            message: its ``ttl_s`` may shorten the wait, not prolong it.
            timeout_s: how long to wait, > 0.
            source: whom it came from (a link, a session): it is not sent back there.

        Raises:
            MessageTimeout: no answer in time, or no receiver.
            InvalidMessageSubject, InvalidMessageFeature, MessageTooLarge: it cannot be sent.
            TooManyMessages: too many messages wait already.
        """
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        ttl_s = timeout_s if message.ttl_s is None else min(timeout_s, message.ttl_s)
        pending = self._admit(message, source, future, ttl_s)
        try:
            self._route(pending)
            return await future
        finally:
            self._forget(pending)

    def post(self, message: Message, *, source: Receiver | None = None) -> None:
        """Deliver ``message`` and want no answer; it waits for a receiver until its ``ttl_s``.

        Raises:
            InvalidMessageSubject, InvalidMessageFeature, MessageTooLarge: it cannot be sent.
            TooManyMessages: too many messages wait already.
        """
        ttl_s = MESSAGE_TIMEOUT_S if message.ttl_s is None else message.ttl_s
        pending = self._admit(message, source, None, ttl_s)
        if self._route(pending):
            self._forget(pending)

    def wake(self, thing_id: str) -> None:
        """Offer what waits for a thing again: a receiver that had no room has some now."""
        if thing_id in self._pending:
            self._soon(self._route_waiting, thing_id)
        self._tell(thing_id)

    def wake_all(self) -> None:
        """Offer everything that waits again: a route is open now."""
        if self._pending:
            self._soon(self._route_all_waiting)
        self._tell(None)

    def watch(self, hook: Callable[[str | None], None]) -> None:
        """Call ``hook`` when somebody may take messages who could not before: for a mailbox.

        Args:
            hook: gets the thing's id, or None if it may be any thing. It returns at once, and
                calls nothing of the inbox: the one who attaches is not done yet.
        """
        self._watchers.append(hook)

    def _tell(self, thing_id: str | None) -> None:
        for hook in self._watchers:
            hook(thing_id)

    def candidates(self, message: Message) -> list[Attachment]:
        """Who is there for ``message`` now: those who speak for the thing, then the listeners.

        A route is one only if nobody here speaks for the thing.
        """
        found = [a for a in self._by_thing.get(message.thing_id, ()) if a.wants(message)]
        if not found:
            found = [a for a in self._defaults if a.wants(message)]
        return [*found, *(a for a in self._everywhere if a.wants(message))]

    def hand(self, attachment: Attachment, message: Message) -> bool | None:
        """Give ``message`` to one of its `candidates`.

        Returns:
            Whether it took it; None if it would, but cannot now.
        """
        try:
            took = attachment.receiver.deliver(message)
        except LittoralError:
            self._failed += 1
            return None
        if took is False:
            return False
        self._delivered += 1
        return True

    def close(self) -> None:
        """Give up on everything that waits: its senders get `Unavailable`."""
        for thing_id in list(self._pending):
            for pending in list(self._pending.get(thing_id, ())):
                self._forget(pending)
                if pending.future is not None and not pending.future.done():
                    pending.future.set_exception(Unavailable("the node is stopping."))

    def statistics(self) -> InboxStatistics:
        return InboxStatistics(
            receivers=self._receivers,
            pending=self._pending_count,
            sent=self._sent,
            delivered=self._delivered,
            replied=self._replied,
            timed_out=self._timed_out,
            expired=self._expired,
            refused=self._refused,
            failed=self._failed,
        )

    def _admit(
        self,
        message: Message,
        source: Receiver | None,
        future: asyncio.Future[Reply] | None,
        ttl_s: float,
    ) -> _Pending:
        try:
            check_message(message)
            self._check_room(message.thing_id)
        except LittoralError:
            self._refused += 1
            raise
        ttl_s = min(ttl_s, MESSAGE_TIMEOUT_S_MAX)
        pending = _Pending(message, source, future, [])
        pending.message = replace(
            message,
            response_required=future is not None,
            expires_s=self._clock.monotonic_s() + ttl_s,
            answer=None if future is None else self._answerer(future),
        )
        loop = asyncio.get_running_loop()
        pending.timer = loop.call_later(ttl_s, self._expire, pending)
        self._pending.setdefault(message.thing_id, []).append(pending)
        self._pending_count += 1
        self._sent += 1
        return pending

    def _check_room(self, thing_id: str) -> None:
        waiting = len(self._pending.get(thing_id, ()))
        if waiting >= MESSAGES_PER_THING_MAX:
            raise TooManyMessages(
                f"{waiting} messages wait for {thing_id!r} already.",
                hint="Wait for their answers, or give them shorter deadlines.",
            )
        if self._pending_count >= MESSAGES_PENDING_MAX:
            raise TooManyMessages(f"{self._pending_count} messages wait already.")

    def _answerer(self, future: asyncio.Future[Reply]) -> Callable[[Reply], bool]:
        def answer(reply: Reply) -> bool:
            if future.done():
                return False
            future.set_result(reply)
            self._replied += 1
            return True

        return answer

    def _route(self, pending: _Pending) -> bool:
        """Offer a message to everybody it is for; return whether one speaks for the thing."""
        message = pending.message
        if message.expires_s <= self._clock.monotonic_s():
            return False
        for attachment in self._by_thing.get(message.thing_id, ()):
            pending.routed |= self._offer(pending, attachment)
        if not pending.routed:
            for attachment in self._defaults:
                pending.routed |= self._offer(pending, attachment)
        for attachment in self._everywhere:
            self._offer(pending, attachment)
        return pending.routed

    def _offer(self, pending: _Pending, attachment: Attachment) -> bool:
        receiver = attachment.receiver
        if receiver is pending.source or not attachment.wants(pending.message):
            return False
        if any(receiver is one for one in pending.taken_by):
            return False
        try:
            took = receiver.deliver(pending.message)
        except LittoralError:
            self._failed += 1
            return False
        if took is False:
            return False
        pending.taken_by.append(receiver)
        self._delivered += 1
        return True

    def _route_waiting(self, thing_id: str) -> None:
        for pending in list(self._pending.get(thing_id, ())):
            if not pending.routed and self._route(pending) and pending.future is None:
                self._forget(pending)

    def _route_all_waiting(self) -> None:
        for thing_id in list(self._pending):
            self._route_waiting(thing_id)

    def _expire(self, pending: _Pending) -> None:
        taken = len(pending.taken_by)
        self._forget(pending)
        if pending.future is None:
            self._expired += not taken
        elif not pending.future.done():
            self._timed_out += 1
            pending.future.set_exception(
                MessageTimeout(
                    f"{pending.message.thing_id!r} did not answer {pending.message.subject!r} "
                    "in time.",
                    hint="Nobody there takes its messages now; see that the device is connected."
                    if not taken
                    else "It was delivered, so the device may have acted on it.",
                    delivered=taken,
                )
            )

    def _forget(self, pending: _Pending) -> None:
        if pending.timer is None:
            return
        pending.timer.cancel()
        pending.timer = None
        thing_id = pending.message.thing_id
        waiting = self._pending[thing_id]
        waiting.remove(pending)
        if not waiting:
            del self._pending[thing_id]
        self._pending_count -= 1

    @staticmethod
    def _soon(callback: Callable[..., None], *args: object) -> None:
        # Not from within `attach`: its caller has not kept the attachment yet.
        asyncio.get_running_loop().call_soon(callback, *args)
