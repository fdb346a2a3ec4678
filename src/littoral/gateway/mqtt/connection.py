"""One device's connection: bytes in, records into the open batch, acknowledgements after commit.

`_run` is the hot path of the whole platform. It reads every packet of a buffer in one loop with
local variables, makes no object per message but the payload and the acknowledgement, and leaves
everything that is not a plain PUBLISH of JSON to slower methods.
Spec: MQTT 5.0 §4; Hono A3.
"""

from littoral.gateway.mqtt.acks import PUBACK, Group, refused
from littoral.gateway.mqtt.decode import decode, frame
from littoral.gateway.mqtt.encode import PINGRESP
from littoral.gateway.mqtt.hub import Hub
from littoral.gateway.mqtt.lifecycle import DRAINING, HANDSHAKE, NEW, OPEN, Lifecycle
from littoral.gateway.mqtt.packets import Ack, Connect, Disconnect, Pingreq, Subscribe, Unsubscribe
from littoral.gateway.mqtt.reasons import (
    V5,
    V311,
    PeerViolation,
    Reason,
    Type,
    malformed,
    protocol_error,
)
from littoral.gateway.mqtt.refine import end_of_properties, refine
from littoral.gateway.mqtt.refusals import (
    OtherDevice,
    WrongQos,
    WrongText,
    puback,
    puback_reason,
    reason_text,
)
from littoral.gateway.mqtt.topics import DITTO, JSON, RESPONSE, Route
from littoral.kernel.errors import LittoralError
from littoral.log import RecordClass

EVENT = int(RecordClass.EVENT)
_NO_ID = b"\0\0"
_HASTEN_MASK = 63
"""Of lone messages every 64th asks whether a commit is worth it."""
_FEW_RECORDS = 32
_FEW_BYTES = 16 * 1024
"""Up to here no limit of a connection can be reached, and none is looked at."""


class MqttConnection(Lifecycle):
    """The server's end of one connection; a `Peer` of its hub.

    Invariant: a PUBACK is written only after the commit of its message, in the order of PUBLISH.
    Invariant: no bytes of the peer raise out of `data_received`; it holds at most one packet and
    what `Limits` lets wait.
    """

    __slots__ = ("_few_bytes", "_few_records")

    def __init__(self, hub: Hub) -> None:
        super().__init__(hub)
        limits = hub.limits
        self._few_records = min(
            _FEW_RECORDS, limits.receive_maximum, limits.pending_records_max - 1
        )
        self._few_bytes = min(_FEW_BYTES, limits.pending_bytes_max - 1)

    def data_received(self, data: bytes) -> None:
        hub = self._hub
        hub.bytes_in += len(data)
        self._seen_s = hub.clock.monotonic_s()
        at = 0
        if self._state == OPEN and not self._tail:
            if hub.take is not None:
                at = hub.take(self, data)
                if at == len(data):
                    acks = self._acks
                    if acks.records > self._few_records or acks.size > self._few_bytes:
                        self._look_at_limits()
                    return
            elif self._take_one(data):
                hub.lone += 1
                if hub.lone & _HASTEN_MASK == 0:
                    hub.commits.hasten()
                return
        if self._tail or self._state == HANDSHAKE:
            tail = self._tail
            tail += data
            if self._state == HANDSHAKE:
                if len(tail) > self._limits.packet_bytes_max:
                    self.refuse(Reason.QUOTA_EXCEEDED, "Wait for the CONNACK before you send more.")
                return
            if len(tail) < self._need:
                return
            data = bytes(tail)
            tail.clear()
        self._receive(data, at)
        hub.commits.hasten()

    # -- reading ------------------------------------------------------------------------------

    def _take_one(self, data: bytes) -> bool:  # one step, for speed
        """Take in ``data`` if it is exactly one plain QoS 1 telemetry PUBLISH; False if it is not.

        What most devices send, one message at a time: `_run` says the same for any packets, and
        costs 3 µs more before its first one. Nothing has happened when this returns False.
        """
        size = len(data)
        if size < 8 or data[0] != 0x32 or size > self._limits.packet_bytes_max:
            return False
        length = data[1]
        at = 2
        if length >= 0x80:
            if data[2] >= 0x80:
                return False
            length = length & 0x7F | data[2] << 7
            at = 3
        if at + length != size:
            return False
        start = at + 2 + (data[at] << 8 | data[at + 1])
        hub = self._hub
        route = hub.routes.known.get(data[at + 2 : start])
        if route is None or not route.simple:
            return False
        packet_id = data[start : start + 2]
        start += 2
        if self._v5:
            if data[start : start + 1] != b"\0":
                return False
            start += 1
        payload = data[start:]
        if payload[:1] != b"{" or packet_id == _NO_ID:
            return False
        hub.publishes += 1
        acks = self._acks
        try:
            self._door.telemetry(route.feature, payload, None, None, route.cls)
        except LittoralError as e:
            self._refuse_publish(route, packet_id, e)
            acks.count(1, size)  # as `_run` counts what it refuses
            self._write_out()
            self._look_at_limits()
            return True
        groups = acks.groups
        batch = hub.commits.batch
        if groups and (group := groups[-1]).batch == batch:
            group.acks.append(PUBACK + packet_id)
            group.records += 1
            group.size += size
        else:
            groups.append(Group(batch, [PUBACK + packet_id], 1, size))
            hub.join(self, batch)
        acks.records += 1
        acks.size += size
        if acks.records > self._few_records or acks.size > self._few_bytes:
            self._look_at_limits()
        return True

    def _look_at_limits(self) -> None:
        """Much waits for its commit: end what is beyond the receive maximum, pause what is slow."""
        try:
            self._check_receive_maximum()
        except PeerViolation as e:
            self._violated(e)
        else:
            self._throttle()

    def _receive(self, data: bytes, at: int = 0) -> None:
        """Take in whole packets from ``at`` on; keep the rest for later."""
        try:
            if self._state == NEW:
                at = self._await_connect(data)
            if self._state == OPEN:
                at = self._run(data, at)
        except PeerViolation as e:
            self._violated(e)
        self._write_out()
        if self._state > OPEN:
            return
        if at < len(data):
            if at or not self._tail_since_s:
                # Only a completed packet buys time: bytes alone do not.
                self._tail_since_s = self._seen_s
            self._tail += data[at:] if at else data
            self._look_again(self._seen_s + self._limits.packet_timeout_s)
        else:
            self._tail_since_s = 0.0
        self._throttle()

    def _await_connect(self, data: bytes) -> int:
        """Read the first packet, which must be a CONNECT."""
        if data[:1] != b"\x10":
            raise protocol_error("the first packet must be a CONNECT.")
        size = len(data)
        found = frame(data, 0, size)
        if found is None:
            self._need = size + 1
            return 0
        body, end = found
        if end > self._limits.packet_bytes_max:
            raise PeerViolation(Reason.PACKET_TOO_LARGE, "the CONNECT is too large.")
        if end > size:
            self._need = end
            return 0
        connect = decode(data[0], data, body, end, V311)
        assert isinstance(connect, Connect)
        self._connect = connect
        self._version = connect.version
        self._v5 = connect.version == V5
        self._state = HANDSHAKE
        self._transport.pause_reading()
        self._look_again(self._seen_s + self._limits.handshake_timeout_s)
        self._hub.authenticate(self, connect)
        return end

    def _run(self, data: bytes, at: int) -> int:  # noqa: C901, PLR0912, PLR0915  # one loop, for speed
        """Read the packets of ``data`` from ``at`` on; return where the first incomplete one begins."""
        hub = self._hub
        commits = hub.commits
        known = hub.routes.known
        telemetry = self._door.telemetry
        v5 = self._v5
        packet_max = self._limits.packet_bytes_max
        groups = self._acks.groups
        batch = groups[-1].batch if groups else -1
        acknowledge = groups[-1].acks.append if groups else None
        size = len(data)
        start, count = at, 0
        need = 2
        try:
            while size - at >= 2:
                first = data[at]
                length = data[at + 1]
                body = at + 2
                if length < 0x80:
                    end = body + length
                elif size - at > 2 and data[body] < 0x80:
                    end = body + 1 + (length & 0x7F | data[body] << 7)
                    body += 1
                else:
                    found = frame(data, at, size)
                    if found is None:
                        need = size - at + 1
                        break
                    body, end = found
                if end - at > packet_max:
                    raise PeerViolation(
                        Reason.PACKET_TOO_LARGE, f"a packet has at most {packet_max} bytes here."
                    )
                if end > size:
                    need = end - at
                    break
                if first != 0x32 and first != 0x30 and first != 0x3A:  # noqa: PLR1714  # faster
                    if first >> 4 != 3:
                        at = end
                        self._control(first, data, body, end)
                        if self._state != OPEN:
                            break
                        continue
                    self._check_publish(first)
                if end - body < 2:
                    raise malformed("a PUBLISH ends before its topic.")
                payload_at = body + 2 + (data[body] << 8 | data[body + 1])
                raw = data[body + 2 : payload_at]
                packet_id = b""
                if first & 2:
                    packet_id = data[payload_at : payload_at + 2]
                    payload_at += 2
                    if packet_id == _NO_ID:
                        raise protocol_error("packet identifier 0 is not allowed.")
                if payload_at > end:
                    raise malformed("a PUBLISH ends before its payload.")
                route = known.get(raw)
                device_time = message_id = None
                if route is None:
                    route, device_time, message_id = hub.routes.find(raw)
                if v5:
                    if payload_at < end and data[payload_at] == 0:
                        payload_at += 1
                    else:
                        payload_at, stop = end_of_properties(data, payload_at, end)
                        if payload_at < stop:
                            route, device_time, message_id = refine(
                                hub.routes,
                                raw,
                                (route, device_time, message_id),
                                data,
                                payload_at,
                                stop,
                            )
                        payload_at = stop
                payload = data[payload_at:end]
                at = end
                count += 1
                try:
                    if route.simple and payload[:1] == b"{" and (packet_id or route.cls != EVENT):
                        telemetry(route.feature, payload, device_time, message_id, route.cls)
                    elif not self._unusual(route, payload, packet_id, device_time, message_id):
                        continue
                except LittoralError as e:
                    self._refuse_publish(route, packet_id, e)
                    if self._state != OPEN:
                        break
                    continue
                if commits.batch != batch or acknowledge is None:
                    batch = commits.batch
                    acknowledge = self._join(batch).acks.append
                if packet_id:
                    acknowledge(PUBACK + packet_id)
        finally:
            self._need = need
            hub.publishes += count
            self._acks.count(count, at - start)
        if v5 and self._acks.records > self._limits.receive_maximum:
            self._check_receive_maximum()
        return at

    def _check_receive_maximum(self) -> None:
        limit = self._limits.receive_maximum
        if self._v5 and self._acks.records > limit and self._acks.waiting() > limit:
            raise PeerViolation(
                Reason.RECEIVE_MAXIMUM_EXCEEDED,
                f"at most {limit} publishes may wait for their PUBACK.",
            )

    def _write_out(self) -> None:
        if self._out:
            self._transport.write(bytes(self._out))
            self._out.clear()

    def _join(self, batch: int) -> Group:
        """Wait for the commit of the open batch."""
        group = Group(batch)
        self._acks.groups.append(group)
        self._hub.join(self, batch)
        return group

    def _check_publish(self, first: int) -> None:
        """Refuse the flags that this door does not take; what is left is harmless."""
        qos = first >> 1 & 3
        if qos == 3:
            raise malformed("QoS 3 does not exist.")
        if qos == 2:
            raise PeerViolation(Reason.QOS_NOT_SUPPORTED, "QoS 2 is not offered here.")
        if first & 8 and not qos:
            raise malformed("a message of QoS 0 cannot be a duplicate.")
        if first & 1 and self._v5:
            raise PeerViolation(Reason.RETAIN_NOT_SUPPORTED, "nothing is retained here.")

    def _unusual(
        self,
        route: Route,
        payload: bytes,
        packet_id: bytes,
        device_time: int | None,
        message_id: str | None,
    ) -> bool:
        """Carry out a publish that is not plain JSON for the own device; True: it was stored.

        Raises:
            LittoralError: it is refused.
        """
        if route.problem is not None:
            raise route.problem
        if route.device:
            self._check_own(route)
        if route.kind == RESPONSE:
            assert self._subscriptions is not None
            is_in_time = self._subscriptions.respond(route, payload)
            if packet_id:
                late = (
                    b"" if is_in_time or not self._v5 else bytes((Reason.NO_MATCHING_SUBSCRIBERS,))
                )
                self._say(bytes((0x40, 2 + len(late))) + packet_id + late)
            return False
        if route.cls == EVENT and not packet_id:
            raise WrongQos("an event is published with QoS 1.", hint="QoS 0 may lose it.")
        if route.is_text:
            _check_text(payload)
        if route.mode == JSON and payload.lstrip()[:1] == b"{":
            self._door.telemetry(route.feature, payload, device_time, message_id, route.cls)
        elif route.mode == DITTO:
            self._protocol(payload, message_id)
        else:
            self._door.bulk(
                route.content_type,
                payload,
                device_time=device_time,
                message_id=message_id,
            )
        return True

    def _check_own(self, route: Route) -> None:
        identity = self.identity
        assert identity is not None
        if route.device != identity.device or route.tenant not in ("", identity.tenant):
            raise OtherDevice(
                f"this connection may not speak for {route.tenant}/{route.device}.",
                hint="Connect with that device's credentials.",
            )

    def _protocol(self, payload: bytes, message_id: str | None) -> None:
        response = self._door.protocol(payload, message_id)
        if response is not None and self._subscriptions is not None:
            packet = self._subscriptions.protocol_packet(response)
            if packet:
                # It tells what is not durable yet, so it goes out with the commit.
                batch = self._hub.commits.batch
                groups = self._acks.groups
                group = groups[-1] if groups and groups[-1].batch == batch else self._join(batch)
                group.acks.append(packet)

    # -- answering ----------------------------------------------------------------------------

    def _say(self, data: bytes) -> None:
        """Answer a publish that waits for no commit, in its order."""
        if self._state != OPEN:
            return
        groups = self._acks.groups
        if groups:
            groups[-1].acks.append(data)
        else:
            self._out += data

    def decided(self, error: LittoralError | None) -> None:
        acks = self._acks
        groups = acks.groups
        if not groups:
            return  # the connection was taken over or has ended
        group = groups.popleft()
        acks.records -= group.records
        acks.size -= group.size
        if error is None:
            found = group.acks
            if found:
                self._hub.acknowledged += len(found)
                self._transport.write(found[0] if len(found) == 1 else b"".join(found))
        else:
            self._hub.refused[error.code] += group.records
            if self._v5:
                self._transport.write(refused(group, error, wordy=self._is_wordy()))
            else:
                acks.drop()
                self._finish(puback_reason(error), reason_text(error))
                return
        if self._state == DRAINING:
            if not acks.groups:
                self._finish(*(self._farewell or (Reason.UNSPECIFIED, "")))
        elif self._is_paused:
            self._throttle()

    def _refuse_publish(self, route: Route, packet_id: bytes, error: LittoralError) -> None:
        """Refuse one message: in words where the protocol has some, else by closing.

        MQTT 5 has PUBACKs that refuse. Otherwise Hono's rules of ``on-error`` hold.
        """
        self._hub.refused[error.code] += 1
        number = int.from_bytes(packet_id, "big")
        told = b""
        if self._subscriptions is not None:
            told = self._subscriptions.error_packet(error, route, number)
        if told:
            self._say(told)
        if route.on_error == "disconnect":
            self._end_in_order(puback_reason(error), reason_text(error))
        elif self._v5 and packet_id:
            self._say(puback(number, error, wordy=self._is_wordy()))
        elif route.on_error == "skip-ack":
            return
        elif told or route.on_error == "ignore":
            if packet_id:
                self._say(PUBACK + packet_id)
        else:
            self._end_in_order(puback_reason(error), reason_text(error))

    # -- other packets ------------------------------------------------------------------------

    def _control(self, first: int, data: bytes, body: int, end: int) -> None:
        packet = decode(first, data, body, end, self._version)
        subscriptions = self._subscriptions
        assert subscriptions is not None
        match packet:
            case Pingreq():
                self._out += PINGRESP
            case Ack(type=Type.PUBACK):
                subscriptions.acknowledged(packet.packet_id, packet.reason)
            case Subscribe():
                self._out += subscriptions.subscribe(packet)
            case Unsubscribe():
                self._out += subscriptions.unsubscribe(packet)
            case Disconnect():
                self._hub.closed["DISCONNECTED"] += 1
                self._close()
            case _:
                raise protocol_error(f"a packet of type {first >> 4} does not belong here.")


def _check_text(payload: bytes) -> None:
    try:
        payload.decode()
    except UnicodeDecodeError as e:
        raise WrongText("the payload is said to be UTF-8 and is not.") from e
