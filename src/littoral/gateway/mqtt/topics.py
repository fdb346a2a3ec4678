"""What a topic asks for: Hono's publish topics with their property bags, and the filters.

A topic is parsed once and remembered as a `Route`, so that the hot path looks it up by its bytes.
Spec: Hono A3.1-A3.3.
"""

from dataclasses import dataclass
from urllib.parse import unquote

from littoral.gateway.mqtt.properties import text_of
from littoral.gateway.mqtt.reasons import PeerViolation, Reason, malformed
from littoral.gateway.mqtt.refusals import WrongResponse, WrongText, WrongTopic
from littoral.kernel.errors import LittoralError
from littoral.kernel.time import InvalidInstant, parse
from littoral.log import RecordClass

DATA = 0
"""Route kinds: telemetry and events …"""
RESPONSE = 1
"""… the answer to a command …"""
WRONG = 2
"""… and what is refused, with its `Route.problem`."""

JSON = 0
"""What a payload is: JSON if it looks like an object …"""
DITTO = 1
"""… a message of the Ditto Protocol …"""
BULK = 2
"""… anything else."""

DITTO_TYPES = frozenset(
    {"application/vnd.eclipse.ditto+json", "application/vnd.eclipse.ditto+json;charset=utf-8"}
)
FEATURE = "telemetry"
"""The feature that data without a name goes to."""

MESSAGE_ID_CHARS_MAX = 128
BAG_KEYS_MAX = 16
CACHED_BYTES_MAX = 256
"""Longer topics are parsed each time."""

_SPELLINGS = {"telemetry": "t", "t": "t", "event": "e", "e": "e", "command": "c", "c": "c"}
_CLASSES = {"t": int(RecordClass.TELEMETRY), "e": int(RecordClass.EVENT)}


class Route:
    """One publish topic, understood. Plain slots: the hot path reads them."""

    __slots__ = (
        "cacheable",
        "cls",
        "content_type",
        "correlation_id",
        "device",
        "device_time",
        "endpoint",
        "feature",
        "is_text",
        "kind",
        "message_id",
        "mode",
        "on_error",
        "problem",
        "request_id",
        "simple",
        "status",
        "tenant",
        "topic",
    )

    def __init__(self, topic: str) -> None:
        self.topic = topic
        self.kind = DATA
        self.cls = int(RecordClass.TELEMETRY)
        self.mode = JSON
        self.simple = True
        """JSON data for the own device: what the hot path does itself."""
        self.cacheable = True
        self.tenant = ""
        self.device = ""
        self.endpoint = "unknown"
        self.feature = FEATURE
        self.device_time: int | None = None
        self.message_id: str | None = None
        self.content_type: str | None = None
        self.is_text = False
        self.on_error = "default"
        self.correlation_id: str | None = None
        self.request_id = ""
        self.status = 0
        self.problem: LittoralError | None = None

    def copy(self) -> "Route":
        """One more, to be changed by a message's own properties."""
        other = Route.__new__(Route)
        for name in Route.__slots__:
            setattr(other, name, getattr(self, name))
        return other

    def refuse(self, problem: LittoralError) -> None:
        """Let every message on it be refused."""
        self.problem = problem
        self.kind = WRONG
        self.simple = False

    def set(self, name: str, value: str) -> None:
        """Take in one property, from the bag or from MQTT 5; unknown names are left alone."""
        match name:
            case "feature":
                self.feature = value
            case "id":
                self.cacheable = False
                if len(value) > MESSAGE_ID_CHARS_MAX:
                    self.refuse(
                        WrongText(f"a message id has at most {MESSAGE_ID_CHARS_MAX} characters.")
                    )
                else:
                    self.message_id = value
            case "ts":
                self.cacheable = False
                try:
                    self.device_time = parse(value)
                except InvalidInstant as e:
                    self.refuse(e)
            case "content-type":
                self.content_type = value
                self.mode = _mode_of(value)
                self.simple = self.simple and self.mode == JSON
            case "on-error":
                self.on_error = value
            case "correlation-id":
                self.cacheable = False
                self.correlation_id = value[:MESSAGE_ID_CHARS_MAX]
            case _:
                pass


def _mode_of(content_type: str) -> int:
    plain = content_type.lower().replace(" ", "")
    if plain in DITTO_TYPES:
        return DITTO
    if plain.partition(";")[0] == "application/json":
        return JSON
    return BULK


def parse_topic(raw: bytes) -> Route:
    """Understand the topic of a PUBLISH.

    Raises:
        PeerViolation: it is not UTF-8, or has wildcards: the connection ends.
    """
    topic = text_of(raw)
    if "+" in topic or "#" in topic:
        raise PeerViolation(Reason.TOPIC_NAME_INVALID, "a topic to publish on has no wildcards.")
    if not topic:
        raise malformed("the topic is empty, and topic aliases are not offered here.")
    address, found, bag = topic.rpartition("/?")
    if not found:
        address, bag = topic, ""
    route = Route(topic)
    segments = address.split("/")
    short = _SPELLINGS.get(segments[0])
    if short == "c":
        _response(route, segments)
    elif short is None or len(segments) not in (1, 3):
        route.refuse(
            WrongTopic(
                f"nothing is published on {address[:60]!r} here.",
                hint="Use telemetry, event or command///res/{request}/{status}.",
            )
        )
    else:
        route.endpoint = segments[0]
        route.cls = _CLASSES[short]
        if len(segments) == 3:
            _address(route, segments[1], segments[2])
    if bag:
        _read_bag(route, bag)
    return route


def _address(route: Route, tenant: str, device: str) -> None:
    if tenant and not device:
        route.refuse(WrongTopic("the topic names a tenant without a device."))
        return
    route.tenant, route.device = tenant, device
    route.simple = not device


def _response(route: Route, segments: list[str]) -> None:
    route.cacheable = False
    route.simple = False
    route.endpoint = "command-response" if segments[0] == "command" else "c-s"
    if len(segments) != 6 or segments[3] not in ("res", "s"):
        route.refuse(
            WrongResponse(
                "the topic of a response is command///res/{request}/{status}.",
            )
        )
        return
    _, route.tenant, route.device, _, route.request_id, status = segments
    if not (status.isascii() and status.isdigit() and len(status) == 3):
        route.refuse(WrongResponse(f"{status[:20]!r} is not a status of three digits."))
        return
    route.status = int(status)
    if not (200 <= route.status < 300 or 400 <= route.status < 600):
        route.refuse(WrongResponse(f"status {status} is neither 2xx, 4xx nor 5xx."))
        return
    route.kind = RESPONSE


def _read_bag(route: Route, bag: str) -> None:
    pairs = bag.split("&", BAG_KEYS_MAX)
    for pair in pairs[:BAG_KEYS_MAX]:
        name, _, value = pair.partition("=")
        if "%" in pair:
            name, value = unquote(name), unquote(value)
        route.set(name.lower(), value)


class Routes:
    """Parsed topics by their bytes, a bounded number of them.

    Invariant: what is cached depends on the key alone; a full cache is emptied, not trusted less.
    """

    def __init__(self, routes_max: int) -> None:
        self.known: dict[bytes, Route] = {}
        self._routes_max = routes_max

    def learn(self, raw: bytes) -> Route:
        """Parse ``raw``, and remember it if it is likely to come again."""
        route = parse_topic(raw)
        if route.cacheable:
            self.keep(raw, route)
        return route

    def keep(self, key: bytes, route: Route) -> None:
        """Remember a route under ``key``."""
        if len(key) <= CACHED_BYTES_MAX:
            if len(self.known) >= self._routes_max:
                self.known.clear()
            self.known[key] = route


@dataclass(frozen=True, slots=True)
class CommandFilter:
    """An accepted subscription to commands: how their topics are spelled, and their QoS."""

    topic_filter: str
    prefix: str
    """``command///req/``: what stands before the request id."""
    qos: int


@dataclass(frozen=True, slots=True)
class ErrorFilter:
    """An accepted subscription to errors: ``error///`` or the like."""

    topic_filter: str
    prefix: str


def parse_filter(
    topic_filter: str, qos: int, *, tenant: str, device: str
) -> CommandFilter | ErrorFilter | None:
    """Understand a filter of the device ``tenant/device``; None: nothing can come on it."""
    segments = topic_filter.split("/")
    if len(segments) < 4 or segments[-1] != "#" or segments[1] not in ("", tenant):
        return None
    if segments[0] in ("error", "e"):
        if len(segments) != 4 or segments[2] not in ("", "+", device):
            return None
        shown = device if segments[2] == "+" else segments[2]
        return ErrorFilter(topic_filter, f"{segments[0]}/{segments[1]}/{shown}/")
    if segments[0] in ("command", "c"):
        if len(segments) != 5 or segments[2] not in ("", device) or segments[3] not in ("req", "q"):
            return None
        return CommandFilter(topic_filter, "/".join(segments[:4]) + "/", min(qos, 1))
    return None
