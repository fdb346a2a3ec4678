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
from littoral.kernel.time import parse
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
        "endpoint",
        "feature",
        "is_text",
        "kind",
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
        """Take in one property, from the bag or from MQTT 5; unknown names are left alone.

        Not ``id`` and ``ts``, which differ from message to message: see `Found`.
        """
        match name:
            case "feature":
                self.feature = value
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


Found = tuple[Route, int | None, str | None]
"""A route, and what belongs to one message only: its device time and its id."""


def vary(route: Route, stamp: str | None, message_id: str | None) -> Found:
    """``route`` for a message with this ``ts`` and ``id``; a copy that refuses if they are bad."""
    device_time: int | None = None
    try:
        if stamp is not None:
            device_time = parse(stamp)
        if message_id is not None and len(message_id) > MESSAGE_ID_CHARS_MAX:
            raise WrongText(f"a message id has at most {MESSAGE_ID_CHARS_MAX} characters.")
    except LittoralError as e:
        route = route.copy()
        route.refuse(e)
    return route, device_time, message_id


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
    for pair in bag.split("&", BAG_KEYS_MAX)[:BAG_KEYS_MAX]:
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

    def find(self, raw: bytes) -> Found:
        """Understand a topic that is not known as a whole.

        Raises:
            PeerViolation: it is not UTF-8, or has wildcards: the connection ends.
        """
        address, mark, bag = raw.rpartition(b"/?")
        if not mark:
            return self._learn(raw), None, None
        stamp = message_id = None
        lasting = []
        for pair in bag.split(b"&", BAG_KEYS_MAX)[:BAG_KEYS_MAX]:
            name, _, value = pair.partition(b"=")
            name = name.lower()
            if name == b"id":
                message_id = unquote(text_of(value)) if b"%" in value else text_of(value)
            elif name == b"ts":
                stamp = unquote(text_of(value)) if b"%" in value else text_of(value)
            else:
                lasting.append(pair)
        # What lasts is looked up as a topic of its own, so numbered messages find it too.
        key = address + b"/?" + b"&".join(lasting)
        route = self.known.get(key)
        if route is None:
            route = self._learn(key)
        if stamp is None and message_id is None:
            return route, None, None
        return vary(route, stamp, message_id)

    def _learn(self, raw: bytes) -> Route:
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
