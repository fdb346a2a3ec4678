"""The headers of a signal, read once: from HTTP (texts) or from an envelope (JSON), by one table.

Everything that steers a command and is no part of the command itself is here: what its sender
expects (answer, acknowledgements, until when), under which conditions, on which channel.

Spec: Ditto's headers; `docs/reference` lists them. What Ditto sets itself is ignored if sent.
"""

from collections.abc import Mapping
from functools import lru_cache

import msgspec

from littoral import rql
from littoral.api.errors import (
    InvalidAckRequest,
    InvalidCommandHeader,
    InvalidPolicyView,
)
from littoral.api.http import QUERY_OR_HEADER, Request, parse_timeout
from littoral.api.model import TIMEOUT_S_MAX
from littoral.eventing import (
    ACK_LABELS_MAX,
    LIVE_RESPONSE,
    LIVE_TIMEOUT_S,
    SEARCH_PERSISTED,
    TWIN_PERSISTED,
    check_label,
)
from littoral.kernel import json
from littoral.kernel import time as instants
from littoral.kernel.errors import InvalidHeader, InvalidJson
from littoral.twin import (
    NO_CONDITIONS,
    Conditions,
    conditions_of,
    flag_header,
    query_header,
    text_header,
)

_CACHED_CHARS_MAX = 512
_PLAIN_TYPES = frozenset((str, bool))
# Not int: True would be found under 1.

_PASSIVE = frozenset(
    (
        "correlation-id",
        "content-type",
        "content-length",
        "content-encoding",
        "version",
        "host",
        "user-agent",
        "accept",
        "accept-encoding",
        "accept-language",
        "accept-charset",
        "authorization",
        "proxy-authorization",
        "connection",
        "keep-alive",
        "transfer-encoding",
        "te",
        "expect",
        "upgrade",
        "cache-control",
        "pragma",
        "cookie",
        "origin",
        "referer",
        "date",
        "via",
        "forwarded",
        "from",
        "declared-acks",
        # Set by the node: what comes from outside under these names is not believed.
        "etag",
        "location",
        "entity-revision",
        "historical-headers",
        "live-channel-condition-matched",
        "raw-request-url",
        "read-subjects",
        "subject",
        "timeout-access",
    )
)
"""Names that neither steer a command nor travel with it."""

_PASSIVE_PREFIXES = ("ditto-", "x-forwarded-", "x-ditto-", "x-real-", "sec-")

_STEERING = frozenset(
    (
        "response-required",
        "requested-acks",
        "timeout",
        "channel",
        "if-match",
        "if-none-match",
        "if-equal",
        "condition",
        "merge-thing-patch-conditions",
        "live-channel-condition",
        "live-channel-timeout-strategy",
        "put-metadata",
        "get-metadata",
        "delete-metadata",
        "allow-policy-lockout",
        "at-historical-revision",
        "at-historical-timestamp",
        "policy-view",
        "dry-run",
    )
)


class SignalHeaders(msgspec.Struct, frozen=True, gc=False):
    """What a sender wants of one command, besides the command. See Ditto's headers."""

    correlation_id: str = ""
    response_required: bool = True
    requested_acks: tuple[str, ...] = (TWIN_PERSISTED,)
    timeout_s: float = TIMEOUT_S_MAX
    """0: nothing is waited for."""
    channel: str = "twin"
    conditions: Conditions = NO_CONDITIONS
    live_channel_condition: rql.Query | None = None
    live_channel_timeout_strategy: str = "fail"
    at_revision: int | None = None
    at_ms: int | None = None
    policy_view: str = "original"
    dry_run: bool = False
    custom: Mapping[str, object] = msgspec.field(default_factory=dict)
    """Headers of the sender's own: they go on with what the command causes."""

    @property
    def is_plain(self) -> bool:
        """Whether the answer needs nothing but the twin: `Commands.begin` is all of it."""
        return (
            self.channel == "twin"
            and self.live_channel_condition is None
            and self.requested_acks in _PLAIN_ACKS
        )

    def with_condition(self, condition: rql.Query | None) -> "SignalHeaders":
        """The same with no other condition than this one."""
        return msgspec.structs.replace(self, conditions=Conditions(condition=condition))

    def of_reading(self) -> "SignalHeaders":
        """The same for a read that comes before the command itself: without what is of changes."""
        return SignalHeaders(self.correlation_id, timeout_s=self.timeout_s or TIMEOUT_S_MAX)


_PLAIN_ACKS = frozenset(((), (TWIN_PERSISTED,)))
_OF_TWIN = frozenset((TWIN_PERSISTED, SEARCH_PERSISTED))
_OF_LIVE = frozenset((LIVE_RESPONSE,))


def headers_of(request: Request) -> SignalHeaders:
    """The headers of a command that came over HTTP; some may stand in the query."""
    raw: Mapping[str, object] = request.headers
    query = request.query
    if query:
        raw = {**raw, **{name: query[name] for name in query if name in QUERY_OR_HEADER}}
    return _parsed(raw, request.correlation_id, None, acks_need_response=False)


def parse_headers(
    raw: Mapping[str, object], *, channel: str | None = None, acks_need_response: bool = False
) -> SignalHeaders:
    """Read the headers of one signal.

    Args:
        raw: lower-case name to value: text as in HTTP, or JSON as in an envelope.
        channel: as the topic of an envelope says it; None: the header of that name says it.
        acks_need_response: on a WebSocket acknowledgements cannot come without a response; over
            HTTP the status waits for them.

    Raises:
        InvalidHeader, InvalidTimeout, InvalidAckLabel, InvalidAckRequest, InvalidCondition,
        InvalidPolicyView, HeadersConflict, InvalidInstant.
    """
    correlation_id = raw.get("correlation-id", "")
    if type(correlation_id) is not str:
        raise InvalidHeader("the correlation-id is not a string.")
    return _parsed(raw, correlation_id, channel, acks_need_response=acks_need_response)


def _parsed(
    raw: Mapping[str, object],
    correlation_id: str,
    channel: str | None,
    *,
    acks_need_response: bool,
) -> SignalHeaders:
    custom: dict[str, object] = {}
    steering: list[tuple[str, object]] = []
    size = 0
    for name in raw:
        if name not in _PASSIVE:
            if name in _STEERING:
                value = raw[name]
                steering.append((name, value))
                size += len(value) if isinstance(value, str) else 0
            elif not name.startswith(_PASSIVE_PREFIXES):
                custom[name] = raw[name]
    if not steering and channel != "live":
        return SignalHeaders(correlation_id, custom=custom)
    # One sender says the same again and again: what is short and hashable is read once.
    read = _steered.__wrapped__
    if size <= _CACHED_CHARS_MAX and all(type(value) in _PLAIN_TYPES for _, value in steering):
        read = _steered
    return msgspec.structs.replace(
        read(tuple(steering), channel, acks_need_response),
        correlation_id=correlation_id,
        custom=custom,
    )


def _channel(raw: Mapping[str, object]) -> str:
    channel = raw.get("channel", "twin")
    if channel in {"twin", "live"}:
        return str(channel)
    raise InvalidHeader(f"channel is {str(channel)[:40]!r}.", hint="It is twin or live.")


@lru_cache(maxsize=512)
def _steered(
    steering: tuple[tuple[str, object], ...], given_channel: str | None, acks_need_response: bool
) -> SignalHeaders:
    raw = dict(steering)
    channel = _channel(raw) if given_channel is None else given_channel
    response_required, acks, timeout_s = _expectation(
        raw, channel, acks_need_response=acks_need_response
    )
    live_condition = query_header(raw, "live-channel-condition")
    strategy = raw.get("live-channel-timeout-strategy", "fail")
    if strategy not in {"fail", "use-twin"}:
        raise InvalidHeader(
            f"live-channel-timeout-strategy is {str(strategy)[:40]!r}.",
            hint="It is fail or use-twin.",
        )
    view = raw.get("policy-view", "original")
    if view not in {"original", "resolved"}:
        raise InvalidPolicyView(
            f"policy-view is {str(view)[:40]!r}.", hint="It is original or resolved."
        )
    at = text_header(raw, "at-historical-timestamp")
    return SignalHeaders(
        response_required=response_required,
        requested_acks=acks,
        timeout_s=timeout_s,
        channel=channel,
        conditions=conditions_of(raw),
        live_channel_condition=live_condition,
        live_channel_timeout_strategy=str(strategy),
        at_revision=_number(raw, "at-historical-revision"),
        at_ms=None if at is None else instants.parse(at),
        policy_view=str(view),
        dry_run=flag_header(raw, "dry-run") or False,
    )


def _expectation(
    raw: Mapping[str, object], channel: str, *, acks_need_response: bool
) -> tuple[bool, tuple[str, ...], float]:
    """Ditto's table of response-required, requested-acks and timeout; what is unset is derived."""
    response_required = flag_header(raw, "response-required")
    acks = _labels(raw.get("requested-acks"))
    given = raw.get("timeout")
    live = channel == "live"
    timeout_s = (
        (LIVE_TIMEOUT_S if live else TIMEOUT_S_MAX) if given is None else parse_timeout(str(given))
    )
    respond = response_required
    if respond is None:
        respond = timeout_s > 0 and acks != ()
    if acks is None:
        waits = timeout_s > 0 and response_required is not False
        acks = ((LIVE_RESPONSE if live else TWIN_PERSISTED),) if waits else ()
    else:
        # What the other channel gives cannot come here. Source: Ditto.
        foreign = _OF_TWIN if live else _OF_LIVE
        acks = tuple(label for label in acks if label not in foreign)
    if timeout_s == 0 and (respond or acks):
        raise InvalidCommandHeader(
            "a timeout of 0 means that no answer is wanted, but one was asked for.",
            hint="Leave response-required and requested-acks out.",
        )
    if acks and not respond and acks_need_response:
        raise InvalidCommandHeader(
            "acknowledgements are requested, but no response is wanted.",
            hint="They come with the response: leave response-required out.",
        )
    return respond, acks, timeout_s


def parse_labels(text: object) -> tuple[str, ...]:
    """Read labels: a comma list, or a JSON array; each once, in the order in which they came.

    Raises:
        InvalidAckLabel: one is none. InvalidAckRequest: it is no list of texts, or too long.
    """
    return _labels(text) or ()


def _labels(value: object) -> tuple[str, ...] | None:
    if value is None:
        return None
    if isinstance(value, str):
        value = _decoded("requested-acks", value) if value[:1] == "[" else value.split(",")
        if isinstance(value, list):
            value = [one.strip() if isinstance(one, str) else one for one in value]
            value = [one for one in value if one != ""]
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise InvalidAckRequest(
            "requested-acks is no list of labels.", hint="Write twin-persisted,search-persisted."
        )
    for label in value:
        check_label(label)
    if len(value) > ACK_LABELS_MAX:
        raise InvalidAckRequest(f"at most {ACK_LABELS_MAX} acknowledgements are requested at once.")
    return tuple(dict.fromkeys(value))


def _decoded(name: str, text: str) -> object:
    try:
        return json.decode(text)
    except InvalidJson as e:
        raise InvalidHeader(f"{name} is no JSON: {e.message}") from e


def _number(raw: Mapping[str, object], name: str) -> int | None:
    value = raw.get(name)
    if value is None:
        return None
    text = str(value)
    if type(value) in {int, str} and text.isascii() and text.isdigit() and 0 < len(text) < 19:
        return int(text)
    raise InvalidHeader(f"{name} is {text[:40]!r}; a whole number is wanted.")
