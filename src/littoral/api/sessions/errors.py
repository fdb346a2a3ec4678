"""Why a WebSocket session or one of its subscriptions ends, or refuses a signal. Codes are Ditto's."""

from typing import ClassVar

from littoral.kernel.errors import Kind, LittoralError, Unauthenticated


class SessionExpired(Unauthenticated):
    """The token that the session began with is not valid any more."""

    code = "gateway:websocket.session.expired"


class SubscriptionMissing(LittoralError):
    """There is no such stream of past events in this session (any more)."""

    code = "streaming.subscription.not.found"
    kind = Kind.MISSING


class SubscriptionIdle(LittoralError):
    """Nothing was requested of a stream of past events for too long."""

    code = "streaming.subscription.timeout"
    kind: ClassVar[Kind] = Kind.TIMEOUT


class SubscriptionProtocol(LittoralError):
    """What was asked of a stream of past events breaks its rules."""

    code = "streaming.subscription.protocol.error"


class SearchMissing(LittoralError):
    """There is no such search in this session (any more)."""

    code = "thing-search:subscription.not.found"
    kind = Kind.MISSING


class SearchIdle(LittoralError):
    """Nothing was requested of a search for too long."""

    code = "thing-search:subscription.timeout"
    kind: ClassVar[Kind] = Kind.TIMEOUT


class SearchProtocol(LittoralError):
    """What was asked of a search breaks its rules: a demand is a positive number of pages."""

    code = "thing-search:subscription.protocol.error"
