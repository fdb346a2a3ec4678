"""The plain-text frames of Ditto's WebSocket: START-SEND-EVENTS and its kin. Pure."""

from dataclasses import dataclass, field
from enum import StrEnum
from urllib.parse import unquote_plus

from littoral.api.errors import FilterNotSupported, NotSupported

_PARAMETERS_MAX = 16


class Feed(StrEnum):
    """What a session can ask to be sent."""

    EVENTS = "EVENTS"
    MESSAGES = "MESSAGES"


_NOT_YET = frozenset(("LIVE-COMMANDS", "LIVE-EVENTS", "POLICY-ANNOUNCEMENTS"))


@dataclass(frozen=True, slots=True)
class Control:
    """One such frame: begin or end a feed, with the namespaces that it is narrowed to."""

    feed: Feed
    start: bool
    namespaces: frozenset[str] | None = None
    parameters: dict[str, str] = field(default_factory=dict)

    @property
    def acknowledgement(self) -> str:
        """The frame that says that it is done."""
        return f"{'START' if self.start else 'STOP'}-SEND-{self.feed}:ACK"


def parse_control(text: str) -> Control | None:
    """Read a control frame; None if it is none, and so should be a Ditto Protocol message.

    Raises:
        NotSupported: a feed that this release does not have.
        FilterNotSupported: it has a filter or extra fields.
    """
    word, _, query = text.strip().partition("?")
    if word == "JWT-TOKEN":
        raise NotSupported("sessions by JWT are not supported by this release.")
    for verb, start in (("START-SEND-", True), ("STOP-SEND-", False)):
        if not word.startswith(verb):
            continue
        name = word.removeprefix(verb)
        if name in _NOT_YET:
            raise NotSupported(f"{name} are not supported by this release.")
        try:
            feed = Feed(name)
        except ValueError:
            return None
        parameters = _parameters(query)
        for wanted in ("filter", "extraFields"):
            if start and wanted in parameters:
                raise FilterNotSupported(
                    f"{wanted} is not supported by this release.",
                    hint="Narrow the feed by namespaces, and filter what comes.",
                )
        return Control(feed, start, _namespaces(parameters), parameters)
    return None


def _parameters(query: str) -> dict[str, str]:
    pairs = (part.partition("=") for part in query.split("&", _PARAMETERS_MAX) if part)
    return {unquote_plus(name): unquote_plus(value) for name, _, value in pairs}


def _namespaces(parameters: dict[str, str]) -> frozenset[str] | None:
    text = parameters.get("namespaces")
    if text is None:
        return None
    return frozenset(name.strip() for name in text.split(",") if name.strip())
