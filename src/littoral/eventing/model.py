"""Live messages and their answers, and the limits of everything that is passed on live."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from littoral.eventing.errors import (
    InvalidMessageFeature,
    InvalidMessageSubject,
    MessageTooLarge,
)
from littoral.kernel.errors import InvalidKey
from littoral.kernel.limits import MESSAGE_BYTES_MAX
from littoral.kernel.pointer import check_key
from littoral.twin.protocol import ABSENT

WEAK_ACK = "ditto-weak-ack"
"""The header of an acknowledgement that the node gave in a subscriber's place."""

TWIN_PERSISTED = "twin-persisted"
SEARCH_PERSISTED = "search-persisted"
LIVE_RESPONSE = "live-response"

BUILT_IN_ACKS = frozenset((TWIN_PERSISTED, SEARCH_PERSISTED, LIVE_RESPONSE))
"""Labels that only the node gives."""

FEED_ITEMS_MAX = 1000
"""Items that wait for one slow subscriber; the oldest go first. Ditto's buffer holds 200."""

FEED_BYTES_MAX = 4 * 1024 * 1024
"""Bytes that wait for one slow subscriber; whichever limit is met first counts."""

MESSAGE_TIMEOUT_S = 10.0
"""How long a message lives if its sender does not say. Source: Ditto's default."""

MESSAGE_TIMEOUT_S_MAX = 600.0
"""How long a message may live. Source: Ditto's limit for claim messages; others have 60 s there."""

MESSAGES_PER_THING_MAX = 64
"""Messages of one thing that wait for a receiver or for an answer."""

MESSAGES_PENDING_MAX = 10_000
"""Messages of all things that wait for a receiver or for an answer."""

ACK_TIMEOUT_S_MAX = 600.0
"""How long acknowledgements are waited for: as long as the longest message lives."""

ACKS_PENDING_MAX = 10_000
"""Signals that wait for acknowledgements at the same time."""

ACK_LABELS_MAX = 64
"""Labels that one signal may ask for, or one subscriber declare."""

MAILBOX_TTL_S_MAX = 30 * 24 * 3600
"""How long a message may be kept for a device that is away: 30 days."""

MAILBOX_PER_THING_MAX = 64
"""Messages kept for one thing."""

MAILBOX_MESSAGES_MAX = 10_000
"""Messages kept for all things."""

MAILBOX_BYTES_MAX = 64 * 1024 * 1024
"""Bytes of all messages kept."""

MAILBOX_SEEN_MAX = 4096
"""Ids of messages that came over a link and are done, remembered to know a repetition."""

LIVE_TIMEOUT_S = 10.0
"""How long a live command waits for its response if its sender does not say. Source: Ditto."""

LIVE_TIMEOUT_S_MAX = 60.0
"""How long a live command may wait for its response. Source: Ditto."""

LIVE_PENDING_MAX = 10_000
"""Live commands that wait for a response at the same time."""

SUBJECT_CHARS_MAX = 256
"""Length of a subject: with its prefix it must fit an MQTT topic that small devices can hold."""

_SUBJECT = re.compile(r"[^\x00-\x1F\x7F-\x9F#+]+")


class Direction(StrEnum):
    """Whether a message goes to a thing or comes from it."""

    INBOX = "inbox"
    OUTBOX = "outbox"


@dataclass(frozen=True, slots=True)
class Reply:
    """What a receiver answered; ``status`` is an HTTP status and the receiver's own choice."""

    status: int
    payload: bytes = b""
    content_type: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Message:
    """One live message. Senders fill the first part; `Inbox` fills the last three fields.

    It is not a record: it has a deadline, is delivered at most once to each receiver and is never
    replayed. A three-day-old set-point must not be carried out.
    """

    thing_id: str
    subject: str
    payload: bytes = b""
    content_type: str = ""
    feature: str | None = None
    direction: Direction = Direction.INBOX
    correlation_id: str = ""
    subjects: frozenset[str] = frozenset()
    """Who sends it, as authenticated."""
    ttl_s: float | None = None
    """How long it may live; None: as long as its sender waits, or `MESSAGE_TIMEOUT_S`."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """The sender's own headers, kept as they came."""
    originator: str = ""
    requested_acks: tuple[str, ...] = ()
    """Labels of custom acknowledgements that the sender waits for."""
    id: str = ""
    """Names a message that a `Mailbox` keeps: it may come twice, and a device that has seen this
    id need not do it again. Empty for all others."""

    response_required: bool = False
    expires_s: float = 0.0
    """When it dies, on the scale of ``Clock.monotonic_s``; over a link `remaining_s` travels."""
    answer: Callable[[Reply], bool] | None = None
    on_delivered: Callable[[], None] | None = None
    on_undelivered: Callable[[], None] | None = None
    """What `delivered` and `undelivered` call; only messages of a mailbox have them."""

    def reply(self, reply: Reply) -> bool:
        """Answer it. False if nobody waits any more: too late, or another was faster.

        Raises:
            MessageTooLarge: the payload is over `MESSAGE_BYTES_MAX`; the sender goes on waiting.
        """
        if self.answer is None:
            return False
        check_payload(reply.payload)
        return self.answer(reply)

    def delivered(self) -> None:
        """The device has it for certain (its PUBACK came), though it has not answered."""
        if self.on_delivered is not None:
            self.on_delivered()

    def undelivered(self) -> bool:
        """It was taken, but the device did not get it, or will not answer any more.

        Returns:
            Whether somebody keeps it: it will be offered again, so its sender is told nothing yet.
        """
        if self.on_undelivered is None:
            return False
        self.on_undelivered()
        return True

    def remaining_s(self, now_s: float) -> float:
        """How long it still lives at ``now_s`` on the monotonic scale; not below 0."""
        return max(0.0, self.expires_s - now_s)

    @property
    def resource(self) -> str:
        """The policy resource that a sender needs WRITE on, and a receiver READ."""
        feature = f"/features/{self.feature}" if self.feature is not None else ""
        return f"message:{feature}/{self.direction}/messages/{self.subject}"


def check_payload(payload: bytes) -> None:
    """Raise `MessageTooLarge` if ``payload`` is over `MESSAGE_BYTES_MAX`."""
    if len(payload) > MESSAGE_BYTES_MAX:
        raise MessageTooLarge(
            f"a message carries at most {MESSAGE_BYTES_MAX} bytes; this one has {len(payload)}.",
            hint="Send a link to the data instead of the data.",
        )


def check_subject(subject: str) -> None:
    """Raise `InvalidMessageSubject` if ``subject`` is none. It may hold slashes, inside.

    ``#`` and ``+`` are refused because a subject becomes part of an MQTT topic name.
    """
    if (
        len(subject) > SUBJECT_CHARS_MAX
        or _SUBJECT.fullmatch(subject) is None
        or subject[0] == "/"
        or subject[-1] == "/"
        or "//" in subject
    ):
        raise InvalidMessageSubject(
            f"{subject[:60]!r} is not a message subject.",
            hint=f"Use 1 to {SUBJECT_CHARS_MAX} characters, no control characters, no '#' or '+', "
            "and slashes only between words.",
        )


def check_message(message: Message) -> None:
    """Raise what is wrong with a message that somebody wants to send.

    Raises:
        InvalidMessageSubject, InvalidMessageFeature, MessageTooLarge.
    """
    check_subject(message.subject)
    check_payload(message.payload)
    if message.feature is not None:
        wrong = f"{message.feature[:60]!r} is not the id of a feature."
        if message.feature == "*":
            raise InvalidMessageFeature(wrong, hint="Send one message to each feature.")
        try:
            check_key(message.feature)
        except InvalidKey as e:
            raise InvalidMessageFeature(wrong) from e


@dataclass(frozen=True, slots=True)
class SignalContext:
    """What caused a record: told to live subscribers with it, not stored."""

    correlation_id: str = ""
    originator: str = ""
    headers: Mapping[str, object] = field(default_factory=dict)
    """The sender's own headers, kept as they came."""
    requested_acks: tuple[str, ...] = ()
    """Labels that the sender waits for."""


@dataclass(frozen=True, slots=True)
class Ack:
    """One acknowledgement; ``status`` is an HTTP status."""

    status: int
    payload: object = ABSENT
    """JSON; `ABSENT` if there is none."""
    headers: Mapping[str, object] = field(default_factory=dict)

    def document(self) -> dict[str, object]:
        """As it stands in an aggregated answer."""
        members: dict[str, object] = {"status": self.status}
        if self.payload is not ABSENT:
            members["payload"] = self.payload
        members["headers"] = dict(self.headers)
        return members


@dataclass(frozen=True, slots=True)
class Kept:
    """A message that nobody answered and that a `Mailbox` keeps now, durably."""

    id: str
    expires_ms: int


@dataclass(frozen=True, slots=True)
class Mail:
    """One kept message, as whoever looks into a mailbox sees it."""

    id: str
    thing_id: str
    subject: str
    feature: str | None
    content_type: str
    correlation_id: str
    sender: str
    response_required: bool
    bytes: int
    kept_ms: int
    expires_ms: int
    offered: int
    """How many receivers that are there now have it."""

    @property
    def resource(self) -> str:
        """The policy resource that its sender needed WRITE on."""
        return Message(self.thing_id, self.subject, feature=self.feature).resource


@dataclass(frozen=True, slots=True)
class MailboxStatistics:
    """Counters of a `Mailbox`."""

    messages: int
    """Messages kept now, of all things."""
    things: int
    bytes: int
    kept: int
    answered_at_once: int
    """Messages that a receiver answered while their senders waited: never stored."""
    offered: int
    """Deliveries, repetitions included."""
    done: int
    """Kept messages that were answered, or acknowledged if they wanted no answer."""
    expired: int
    cancelled: int
    refused: int
    """Messages for which there was no room."""


class SignalKind(StrEnum):
    """What reaches subscribers and may ask them for acknowledgements."""

    EVENT = "event"
    """Of a twin."""
    MESSAGE = "message"
    LIVE_COMMAND = "live-command"
    LIVE_EVENT = "live-event"


class LiveKind(StrEnum):
    """What goes over the live channel besides messages."""

    COMMAND = "commands"
    EVENT = "events"


@dataclass(frozen=True, slots=True, eq=False)
class LiveSignal:
    """A live command or a live event about a thing, on its way to subscribers."""

    kind: LiveKind
    thing_id: str
    action: str
    """``retrieve``, ``modify``, … of a command; ``created``, ``modified``, … of an event."""
    path: str
    value: object = ABSENT
    fields: str | None = None
    correlation_id: str = ""
    originator: str = ""
    headers: Mapping[str, object] = field(default_factory=dict)
    """The sender's own headers, kept as they came."""
    requested_acks: tuple[str, ...] = ()
    response_required: bool = False
    timeout_s: float = LIVE_TIMEOUT_S
    """How long its sender waits, for who passes it on."""

    @property
    def resource(self) -> str:
        """The policy resource that sender and receiver are asked about."""
        return f"thing:{self.path}"


@dataclass(frozen=True, slots=True)
class LiveResponse:
    """What a subscriber answered to a live command; ``status`` is its own choice."""

    status: int
    value: object = ABSENT
    headers: Mapping[str, object] = field(default_factory=dict)
    action: str = ""
    """The action of the topic that it came with; empty if it came without one."""


@dataclass(frozen=True, slots=True)
class LiveStatistics:
    """Counters of a `LiveChannel`."""

    receivers: int
    pending: int
    commands: int
    events: int
    delivered: int
    """Deliveries, once for each receiver that took the signal."""
    answered: int
    timed_out: int
    late: int
    """Responses that nobody waited for (any more)."""
    failed: int
    """Deliveries that a receiver refused."""


@dataclass(frozen=True, slots=True)
class AckStatistics:
    """Counters of the `Acknowledgements`."""

    declared: int
    """Labels that have an owner now."""
    pending: int
    """Signals that wait now."""
    expected: int
    acknowledged: int
    weak: int
    late: int
    """Acknowledgements that nobody waited for (any more)."""
    timed_out: int
    """Labels that nobody gave in time."""


@dataclass(frozen=True, slots=True)
class RouterStatistics:
    """Counters of a `Router`."""

    subscriptions: int
    entities: int
    """Entities that somebody subscribed to by name."""
    batches: int
    """Batches that met at least one subscription."""
    passed: int
    """Records handed to sinks, once for each sink."""
    failed: int
    """Subscriptions closed because their sink raised."""


@dataclass(frozen=True, slots=True)
class InboxStatistics:
    """Counters of an `Inbox`."""

    receivers: int
    pending: int
    """Messages that wait for a receiver or an answer now."""
    sent: int
    delivered: int
    """Deliveries, once for each receiver."""
    replied: int
    timed_out: int
    """Sends that nobody answered in time."""
    expired: int
    """One-way messages that died before anybody could take them."""
    refused: int
    """Messages over a limit."""
    failed: int
    """Deliveries that a receiver refused."""
