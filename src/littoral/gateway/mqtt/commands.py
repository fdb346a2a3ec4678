"""One connection's subscriptions: commands to the device and its answers, and the error topic.

Spec: Hono A3.2, A3.3; MQTT 5.0 §3.8, §4.9.
"""

from collections.abc import Callable
from dataclasses import dataclass

from littoral.eventing import Attachment, Message, Reply
from littoral.gateway.mqtt.encode import encode
from littoral.gateway.mqtt.hub import Hub
from littoral.gateway.mqtt.packets import Publish, Suback, Subscribe, Unsuback, Unsubscribe
from littoral.gateway.mqtt.properties import NO_PROPERTIES, Property, Value
from littoral.gateway.mqtt.reasons import V5, PeerViolation, Reason
from littoral.gateway.mqtt.refusals import NotTaken, error_document
from littoral.gateway.mqtt.topics import CommandFilter, ErrorFilter, Route, parse_filter
from littoral.kernel import json
from littoral.kernel.errors import LittoralError
from littoral.registry import DeviceIdentity

REFUSED_311 = 0x80

MESSAGE_ID = "littoral-message-id"
"""The user property with the id of a kept message, by which a device knows a repetition."""

PROTOCOL_SUBJECT = "ditto-protocol"
"""The command name under which responses of the Ditto Protocol come."""


@dataclass(frozen=True, slots=True)
class Wire:
    """What the subscriptions may do with their connection."""

    version: int
    send: Callable[[bytes], None]
    """Write now. Not for acknowledgements: those keep their order elsewhere."""
    is_writable: Callable[[], bool]
    """Whether the peer reads what we write."""
    look_again: Callable[[float], None]
    packet_bytes_max: int
    """The largest packet that the peer takes."""
    receive_maximum: int
    """Commands of QoS 1 that the peer takes at once."""
    wordy: bool


@dataclass(frozen=True, slots=True)
class _Sent:
    """A command of QoS 1 that waits for its PUBACK."""

    message: Message
    request_id: str
    until_s: float


class Subscriptions:
    """A `Receiver` of messages to the device's thing, while the device subscribes to commands.

    Invariant: a device gets commands and errors of its own only.
    """

    def __init__(self, hub: Hub, identity: DeviceIdentity, wire: Wire) -> None:
        self._hub = hub
        self._identity = identity
        self._wire = wire
        self._commands: dict[str, CommandFilter] = {}
        self._errors: dict[str, ErrorFilter] = {}
        self._attachment: Attachment | None = None
        self._sent: dict[int, _Sent] = {}
        self._packet_id = 0

    # -- the subscriptions themselves ---------------------------------------------------------

    def subscribe(self, packet: Subscribe) -> bytes:
        """Take in what can be; return the SUBACK. Call it before anything else is written."""
        if Property.SUBSCRIPTION_ID in packet.properties:
            raise PeerViolation(
                Reason.SUBSCRIPTION_IDS_NOT_SUPPORTED, "subscription identifiers are not offered."
            )
        reasons = tuple(self._add(one.topic_filter, one.qos) for one in packet.subscriptions)
        if self._commands and self._attachment is None:
            # What waits in the inbox follows with the loop's next turn, so after the SUBACK.
            self._attachment = self._hub.inbox.attach(self._identity.thing_id, self)
        return encode(Suback(packet.packet_id, reasons), self._wire.version)

    def _add(self, topic_filter: str, qos: int) -> int:
        found = parse_filter(
            topic_filter, qos, tenant=self._identity.tenant, device=self._identity.device
        )
        match found:
            case CommandFilter():
                # The newest spelling is the one that is used, as in Hono.
                self._commands.pop(topic_filter, None)
                self._commands[topic_filter] = found
                return found.qos
            case ErrorFilter():
                self._errors[topic_filter] = found
                return 0
            case None:
                if self._wire.version != V5:
                    return REFUSED_311
                if topic_filter.startswith("$share/"):
                    return Reason.SHARED_SUBSCRIPTIONS_NOT_SUPPORTED
                return Reason.TOPIC_FILTER_INVALID

    def unsubscribe(self, packet: Unsubscribe) -> bytes:
        """Forget filters; return the UNSUBACK."""
        reasons = tuple(
            Reason.NO_SUBSCRIPTION_EXISTED
            if self._commands.pop(one, None) is None and self._errors.pop(one, None) is None
            else Reason.SUCCESS
            for one in packet.filters
        )
        if not self._commands:
            self._detach()
        return encode(Unsuback(packet.packet_id, reasons), self._wire.version)

    def close(self) -> None:
        """Get nothing any more. Idempotent."""
        self._commands.clear()
        self._errors.clear()
        self._sent.clear()
        self._detach()

    def _detach(self) -> None:
        if self._attachment is not None:
            self._attachment.close()
            self._attachment = None

    # -- commands -----------------------------------------------------------------------------

    def deliver(self, message: Message) -> None:
        """Publish a command to the device.

        Raises:
            NotTaken: the device does not read, has too many commands to acknowledge, or takes no
                packet of that size.
        """
        hub, wire = self._hub, self._wire
        if not self._commands or not wire.is_writable():
            raise NotTaken("the device does not take commands now.")
        chosen = next(reversed(self._commands.values()))
        if chosen.qos and len(self._sent) >= wire.receive_maximum:
            raise NotTaken("the device has not acknowledged its last commands.")
        now_s = hub.clock.monotonic_s()
        request_id = hub.expect(message, now_s) if message.response_required else ""
        packet_id = self._next_packet_id() if chosen.qos else 0
        data = self._packet(
            f"{chosen.prefix}{request_id}/{message.subject}",
            message.payload,
            message.content_type,
            packet_id,
            feature=message.feature,
            message_id=message.id,
        )
        if len(data) > wire.packet_bytes_max:
            hub.expected(request_id, message.thing_id, now_s)
            raise NotTaken("the command is larger than the device takes.")
        wire.send(data)
        hub.commands += 1
        if packet_id:
            until_s = now_s + hub.limits.command_timeout_s
            self._sent[packet_id] = _Sent(message, request_id, until_s)
            wire.look_again(until_s)
        else:
            # QoS 0: the device has chosen to get it at most once.
            message.delivered()

    def _next_packet_id(self) -> int:
        while True:
            self._packet_id = self._packet_id % 65_535 + 1
            if self._packet_id not in self._sent:
                return self._packet_id

    def _packet(
        self,
        topic: str,
        payload: bytes,
        content_type: str,
        packet_id: int,
        *,
        feature: str | None = None,
        message_id: str = "",
    ) -> bytes:
        properties: dict[int, Value] = {}
        if content_type:
            properties[Property.CONTENT_TYPE] = content_type
        users = {"feature": feature, MESSAGE_ID: message_id or None}
        if told := tuple((name, text) for name, text in users.items() if text is not None):
            properties[Property.USER_PROPERTY] = told
        publish = Publish(
            topic, payload, 1 if packet_id else 0, packet_id, properties=properties or NO_PROPERTIES
        )
        return encode(publish, self._wire.version)

    def acknowledged(self, packet_id: int, reason: int) -> None:
        """The device has a command, or refuses it; unknown ids come too late and change nothing."""
        sent = self._sent.pop(packet_id, None)
        if sent is None:
            return
        if reason >= Reason.UNSPECIFIED:
            self._undelivered(sent, f"the device refused the command with reason 0x{reason:02x}.")
        else:
            self._hub.commands_acknowledged += 1
            sent.message.delivered()
        # There is room for one more.
        self._hub.inbox.wake(self._identity.thing_id)

    def expire(self, now_s: float) -> float | None:
        """Give up on commands that were not acknowledged in time; return the next deadline."""
        for packet_id, sent in list(self._sent.items()):
            if sent.until_s > now_s:
                return sent.until_s
            del self._sent[packet_id]
            self._undelivered(sent, "the device did not acknowledge the command in time.")
        return None

    def _undelivered(self, sent: _Sent, text: str) -> None:
        """Tell the sender what Hono tells: 503, released."""
        message = sent.message
        self._hub.expected(sent.request_id, message.thing_id, 0.0)
        if message.undelivered():
            return
        if message.response_required:
            body = {"status": 503, "error": NotTaken.code, "message": text}
            message.reply(Reply(503, json.encode(body), "application/json"))

    def respond(self, route: Route, payload: bytes) -> bool:
        """Pass on the device's answer to a command; False: nobody waits for it any more."""
        hub = self._hub
        now_s = hub.clock.monotonic_s()
        message = hub.expected(route.request_id, self._identity.thing_id, now_s)
        content_type = route.content_type
        if content_type is None:
            content_type = "application/json" if payload[:1] in (b"{", b"[") else ""
        if message is None or not message.reply(Reply(route.status, payload, content_type)):
            hub.late_responses += 1
            return False
        hub.responses += 1
        return True

    # -- things told to the device ------------------------------------------------------------

    def error_packet(self, error: LittoralError, route: Route | None, packet_id: int) -> bytes:
        """The PUBLISH on the error topic, or nothing if the device has not subscribed to it."""
        if not self._errors:
            return b""
        correlation_id = str(packet_id) if packet_id else "-1"
        endpoint = "unknown"
        if route is not None:
            endpoint = route.endpoint
            correlation_id = route.correlation_id or correlation_id
        document = error_document(
            error, correlation_id=correlation_id, now_ms=self._hub.clock.now_ms()
        )
        status = json.decode_object(document)["code"]
        chosen = next(reversed(self._errors.values()))
        told = correlation_id.replace("/", "_").replace("+", "_").replace("#", "_")
        data = self._packet(
            f"{chosen.prefix}{endpoint}/{told}/{status}", document, "application/json", 0
        )
        return data if len(data) <= self._wire.packet_bytes_max else b""

    def protocol_packet(self, response: bytes) -> bytes:
        """The PUBLISH of a Ditto Protocol response, if the device subscribed to commands."""
        if not self._commands:
            return b""
        chosen = next(reversed(self._commands.values()))
        data = self._packet(
            f"{chosen.prefix}/{PROTOCOL_SUBJECT}",
            response,
            "application/vnd.eclipse.ditto+json",
            0,
        )
        return data if len(data) <= self._wire.packet_bytes_max else b""
