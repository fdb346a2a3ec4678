"""The fifteen packets as values, the same for MQTT 3.1.1 and 5.

What 3.1.1 cannot say (properties, reasons) has its default. The door's hot path makes no `Publish`;
see `littoral.gateway.mqtt.connection`.
"""

from dataclasses import dataclass, field

from littoral.gateway.mqtt.properties import NO_PROPERTIES, Properties
from littoral.gateway.mqtt.reasons import V311, Type


def _none() -> Properties:
    # A factory, because dataclasses take a mapping proxy for a mutable default.
    return NO_PROPERTIES


@dataclass(frozen=True, slots=True)
class Will:
    """What a broker would publish for a client that vanishes; this door reads and ignores it."""

    topic: str
    payload: bytes
    qos: int = 0
    retain: bool = False
    properties: Properties = field(default_factory=_none)


@dataclass(frozen=True, slots=True)
class Connect:
    """A client says who it is."""

    client_id: str
    version: int = V311
    clean_start: bool = True
    keep_alive_s: int = 0
    username: str | None = None
    password: bytes | None = field(default=None, repr=False)
    will: Will | None = None
    properties: Properties = field(default_factory=_none)


@dataclass(frozen=True, slots=True)
class Connack:
    """``reason``: a return code in 3.1.1, a reason code in 5."""

    reason: int = 0
    session_present: bool = False
    properties: Properties = field(default_factory=_none)


@dataclass(frozen=True, slots=True)
class Publish:
    """One message; ``packet_id`` is 0 exactly if ``qos`` is 0."""

    topic: str
    payload: bytes
    qos: int = 0
    packet_id: int = 0
    retain: bool = False
    dup: bool = False
    properties: Properties = field(default_factory=_none)


@dataclass(frozen=True, slots=True)
class Ack:
    """PUBACK, PUBREC, PUBREL or PUBCOMP, as ``type`` says."""

    type: Type
    packet_id: int
    reason: int = 0
    properties: Properties = field(default_factory=_none)


@dataclass(frozen=True, slots=True)
class Subscription:
    """One filter of a SUBSCRIBE with its options byte (of which 3.1.1 knows the QoS only)."""

    topic_filter: str
    options: int = 0

    @property
    def qos(self) -> int:
        """The largest QoS wanted."""
        return self.options & 3


@dataclass(frozen=True, slots=True)
class Subscribe:
    """At least one filter."""

    packet_id: int
    subscriptions: tuple[Subscription, ...]
    properties: Properties = field(default_factory=_none)


@dataclass(frozen=True, slots=True)
class Suback:
    """One reason per filter, in the order asked."""

    packet_id: int
    reasons: tuple[int, ...]
    properties: Properties = field(default_factory=_none)


@dataclass(frozen=True, slots=True)
class Unsubscribe:
    """At least one filter."""

    packet_id: int
    filters: tuple[str, ...]
    properties: Properties = field(default_factory=_none)


@dataclass(frozen=True, slots=True)
class Unsuback:
    """One reason per filter in MQTT 5; none in 3.1.1."""

    packet_id: int
    reasons: tuple[int, ...] = ()
    properties: Properties = field(default_factory=_none)


@dataclass(frozen=True, slots=True)
class Pingreq:
    """Is anybody there?"""


@dataclass(frozen=True, slots=True)
class Pingresp:
    """Yes."""


@dataclass(frozen=True, slots=True)
class Disconnect:
    """The last packet; in 3.1.1 only a client says it."""

    reason: int = 0
    properties: Properties = field(default_factory=_none)


@dataclass(frozen=True, slots=True)
class Auth:
    """MQTT 5's extended authentication; read so that it can be refused in words."""

    reason: int = 0
    properties: Properties = field(default_factory=_none)


Packet = (
    Connect
    | Connack
    | Publish
    | Ack
    | Subscribe
    | Suback
    | Unsubscribe
    | Unsuback
    | Pingreq
    | Pingresp
    | Disconnect
    | Auth
)
