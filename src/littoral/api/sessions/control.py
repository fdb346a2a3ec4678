"""The plain-text frames of Ditto's WebSocket: START-SEND-EVENTS and its kin. Pure."""

from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import unquote_plus

from littoral.api.streams import NO_SELECTION, Selection, select

_PARAMETERS_MAX = 16


class Feed(StrEnum):
    """What a session can ask to be sent."""

    EVENTS = "EVENTS"
    MESSAGES = "MESSAGES"
    LIVE_COMMANDS = "LIVE-COMMANDS"
    LIVE_EVENTS = "LIVE-EVENTS"
    POLICY_ANNOUNCEMENTS = "POLICY-ANNOUNCEMENTS"


_MAY_FILTER = frozenset((Feed.EVENTS, Feed.MESSAGES, Feed.LIVE_EVENTS))
_MAY_ENRICH = _MAY_FILTER | {Feed.LIVE_COMMANDS}

_VERBS = {
    f"{verb}-SEND-{feed}": (feed, verb == "START") for feed in Feed for verb in ("START", "STOP")
}
_RENEWAL = "JWT-TOKEN"


@dataclass(frozen=True, slots=True)
class Control:
    """Begin or end a feed, with what it is narrowed to."""

    feed: Feed
    start: bool
    selection: Selection = NO_SELECTION
    correlation_id: str = ""

    @property
    def acknowledgement(self) -> str:
        """The frame that says that it is done."""
        return f"{'START' if self.start else 'STOP'}-SEND-{self.feed}:ACK"


@dataclass(frozen=True, slots=True)
class Token:
    """Go on with this session under a new token."""

    jwt: str


def parse_control(text: str) -> Control | Token | None:
    """Read a control frame; None if it is none, and so should be a Ditto Protocol message.

    A frame is parted only at ``?``, ``&`` and the first ``=`` of a parameter, and its parameters
    are URL-encoded. What follows a word of the protocol without a ``?`` is ignored, as by Ditto.

    Raises:
        InvalidExpression: the filter cannot be read; InvalidFields, UnknownFields: the
        ``extraFields`` cannot be.
    """
    word, _, query = text.strip().partition("?")
    found = _VERBS.get(word) or next(
        # Longer words first: none is the beginning of another, but a typing error may be.
        (_VERBS[verb] for verb in _VERBS if word.startswith(verb)),
        None,
    )
    if found is None:
        if word.startswith(_RENEWAL):
            return Token(_parameters(query).get("jwtToken", ""))
        return None
    feed, start = found
    parameters = _parameters(query)
    if not start:
        return Control(feed, start=False, correlation_id=parameters.get("correlation-id", ""))
    selection = select(
        namespaces=parameters.get("namespaces"),
        filter_text=parameters.get("filter") if feed in _MAY_FILTER else None,
        extra_fields=parameters.get("extraFields") if feed in _MAY_ENRICH else None,
    )
    return Control(
        feed,
        start=True,
        selection=selection,
        correlation_id=parameters.get("correlation-id", ""),
    )


def _parameters(query: str) -> dict[str, str]:
    pairs = (part.partition("=") for part in query.split("&", _PARAMETERS_MAX) if part)
    return {unquote_plus(name): unquote_plus(value) for name, _, value in pairs}
