"""Searches and streams of past events over one WebSocket: asked for piece by piece.

``created`` comes first, whatever is wrong; ``complete`` and ``failed`` never before something was
requested. Nothing is prepared that was not requested.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Protocol

from littoral.api.model import SUBSCRIPTION_IDLE_S, SUBSCRIPTIONS_MAX
from littoral.api.sessions import errors
from littoral.api.sessions.ports import Peer
from littoral.api.streams import event_of, past_of, span_of
from littoral.kernel.errors import LittoralError
from littoral.kernel.ids import parse_policy_id, parse_thing_id
from littoral.twin import Caller, Change, protocol
from littoral.twin.protocol import Envelope, Raw, Topic, UnknownSignal
from littoral.twin.statuses import problem

_SPAN = {
    "from_revision": "fromHistoricalRevision",
    "to_revision": "toHistoricalRevision",
    "from_ms": "fromHistoricalTimestamp",
    "to_ms": "toHistoricalTimestamp",
    "filter_text": "filter",
}


class Source(Protocol):
    """What a subscription shows, piece by piece."""

    async def next(self) -> dict[str, object] | None:
        """The members of the next ``next``; None if there was nothing more.

        Raises:
            LittoralError: the subscription fails.
        """
        ...

    @property
    def is_over(self) -> bool:
        """Whether it is known that nothing more follows."""
        ...


OpenSearch = Callable[[Caller, Mapping[str, object], str | None], Source]
"""Begins a search for a caller, from a subscription's value and its ``fields``."""


class _PastSource:
    def __init__(self, past: AsyncIterator[Change]) -> None:
        self._past = past
        self.is_over = False

    async def next(self) -> dict[str, object] | None:
        async for change in self._past:
            return {"item": Raw(event_of(change))}
        self.is_over = True
        return None


class _Subscription:
    def __init__(self, topic: Topic, correlation_id: str, subscription_id: str) -> None:
        self.topic = topic
        self.correlation_id = correlation_id
        self.id = subscription_id
        self.source: Source | None = None
        self.failure: LittoralError | None = None
        self.demand = 0
        self.running = False
        self.timer: asyncio.TimerHandle | None = None

    @property
    def is_search(self) -> bool:
        return self.topic.criterion == "search"


class SessionStreams:
    """One session's searches and streams of past events."""

    def __init__(self, session: Peer, open_search: OpenSearch | None) -> None:
        self._session = session
        self._open_search = open_search
        self._subscriptions: dict[str, _Subscription] = {}

    def search(self, envelope: Envelope) -> None:
        """Take a step of a search: subscribe, request, cancel."""
        if envelope.topic.action == "subscribe":
            self._open(envelope, lambda: self._search_source(envelope))
        else:
            self._go_on(envelope)

    def history(self, envelope: Envelope) -> None:
        """Take a step of a stream of past events: subscribeForPersistedEvents, request, cancel."""
        if envelope.topic.action == "subscribeForPersistedEvents":
            self._open(envelope, lambda: self._past_source(envelope))
        else:
            self._go_on(envelope)

    def close(self) -> None:
        """Forget all of them. Idempotent."""
        for one in list(self._subscriptions.values()):
            self._forget(one)

    # -- sources ------------------------------------------------------------------------------

    def _search_source(self, envelope: Envelope) -> Source:
        if self._open_search is None:
            raise UnknownSignal("this node has no search.")
        value = envelope.value if isinstance(envelope.value, dict) else {}
        return self._open_search(self._session.caller, value, envelope.fields)

    def _past_source(self, envelope: Envelope) -> Source:
        about = envelope.topic
        if about.group == "connections":
            raise UnknownSignal("connections have no past events here.")
        value = envelope.value if isinstance(envelope.value, dict) else {}
        entity = (
            "thing:" + parse_thing_id(about.entity_id)
            if about.group == "things"
            else "policy:" + parse_policy_id(about.entity_id)
        )
        session, parts = self._session, self._session.parts
        span = span_of(value, _SPAN)
        return _PastSource(past_of(parts.twins, parts.clock, session.caller, entity, span))

    # -- steps --------------------------------------------------------------------------------

    def _open(self, envelope: Envelope, source: Callable[[], Source]) -> None:
        one = _Subscription(envelope.topic, envelope.correlation_id, self._session.new_id())
        if len(self._subscriptions) >= SUBSCRIPTIONS_MAX:
            raise _error(one, "protocol")(
                f"this session has {SUBSCRIPTIONS_MAX} subscriptions already.",
                hint="Cancel some, or let them complete.",
            )
        try:
            one.source = source()
        except LittoralError as e:
            one.failure = e
        self._subscriptions[one.id] = one
        self._send(one, "created", {})
        self._arm(one)

    def _go_on(self, envelope: Envelope) -> None:
        value = envelope.value
        found = value.get("subscriptionId") if isinstance(value, dict) else None
        if not isinstance(found, str) or envelope.topic.action not in {"request", "cancel"}:
            raise UnknownSignal(
                f"{str(envelope.topic)[:200]!r} is no step of a subscription.",
                hint="Steps are request and cancel, with a value {'subscriptionId': ...}.",
            )
        one = self._subscriptions.get(found)
        if one is None:
            if envelope.topic.action == "request":
                gone = _Subscription(envelope.topic, envelope.correlation_id, found)
                error = _error(gone, "missing")(
                    f"there is no subscription {found[:80]!r}.", hint="Subscribe first."
                )
                self._send(gone, "failed", {"error": problem(error)})
            return
        if envelope.topic.action == "cancel":
            self._forget(one)
            return
        demand = value.get("demand") if isinstance(value, dict) else None
        if type(demand) is not int or demand <= 0:
            one.failure = _error(one, "protocol")(
                f"a demand of {str(demand)[:40]!r} makes no sense.",
                hint="Demand a positive whole number.",
            )
        else:
            one.demand += demand
        if not one.running:
            one.running = True
            self._session.spawn(self._serve(one))

    async def _serve(self, one: _Subscription) -> None:
        try:
            while one.id in self._subscriptions:
                if one.failure is not None:
                    self._fail(one, one.failure)
                elif one.demand > 0:
                    await self._step(one)
                    await self._session.wait_written()
                else:
                    self._arm(one)
                    return
        finally:
            one.running = False

    async def _step(self, one: _Subscription) -> None:
        source = one.source
        assert source is not None
        try:
            found = await source.next()
        except LittoralError as e:
            one.failure = e
            return
        if one.id not in self._subscriptions:
            return
        if found is not None:
            one.demand -= 1
            self._send(one, "next", found)
        if found is None or source.is_over:
            self._send(one, "complete", {})
            self._forget(one)

    def _fail(self, one: _Subscription, error: LittoralError) -> None:
        self._send(one, "failed", {"error": problem(error)})
        self._forget(one)

    def _send(self, one: _Subscription, action: str, value: dict[str, object]) -> None:
        self._session.answer(
            protocol.subscription(
                one.topic,
                action,
                {"subscriptionId": one.id, **value},
                correlation_id=one.correlation_id,
            )
        )

    # -- ends ---------------------------------------------------------------------------------

    def _arm(self, one: _Subscription) -> None:
        if one.timer is not None:
            one.timer.cancel()
        one.timer = asyncio.get_running_loop().call_later(SUBSCRIPTION_IDLE_S, self._idle, one)

    def _idle(self, one: _Subscription) -> None:
        if one.running:
            self._arm(one)
            return
        self._fail(
            one,
            _error(one, "idle")(
                f"nothing was requested for {SUBSCRIPTION_IDLE_S:g}s.", hint="Subscribe anew."
            ),
        )

    def _forget(self, one: _Subscription) -> None:
        self._subscriptions.pop(one.id, None)
        if one.timer is not None:
            one.timer.cancel()
            one.timer = None


_ERRORS: dict[str, tuple[type[LittoralError], type[LittoralError]]] = {
    "missing": (errors.SubscriptionMissing, errors.SearchMissing),
    "idle": (errors.SubscriptionIdle, errors.SearchIdle),
    "protocol": (errors.SubscriptionProtocol, errors.SearchProtocol),
}


def _error(one: _Subscription, what: str) -> type[LittoralError]:
    return _ERRORS[what][one.is_search]
