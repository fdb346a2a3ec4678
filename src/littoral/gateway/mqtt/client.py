"""The client's end of a connection, without a socket: for load generators, fleets and tests."""

from littoral.gateway.mqtt.decode import decode, frame
from littoral.gateway.mqtt.packets import Ack, Packet
from littoral.gateway.mqtt.reasons import V311, Type, malformed

_PUBACK = Type.PUBACK


class ClientCodec:
    """Cuts a server's bytes into packets.

    Invariant: what it holds between two calls is less than one packet of ``packet_bytes_max``.
    """

    def __init__(self, version: int = V311, *, packet_bytes_max: int = 1 << 20) -> None:
        self.version = version
        self._packet_bytes_max = packet_bytes_max
        self._tail = b""

    def feed(self, data: bytes) -> list[Packet]:
        """Return the packets that are complete now, oldest first.

        Raises:
            PeerViolation: the server does not speak MQTT; close the connection.
        """
        if self._tail:
            data = self._tail + data
        packets: list[Packet] = []
        at = 0
        size = len(data)
        version = self.version
        while size - at >= 2:
            if data[at] == 0x40 and data[at + 1] == 2:
                # The plain PUBACK, which is nearly all that a publishing client reads.
                if size - at < 4:
                    break
                packet_id = data[at + 2] << 8 | data[at + 3]
                if packet_id:
                    packets.append(Ack(_PUBACK, packet_id))
                    at += 4
                    continue
            body = frame(data, at, size)
            if body is None:
                break
            if body[1] - at > self._packet_bytes_max:
                raise malformed("the server's packet is larger than this client reads.")
            if body[1] > size:
                break
            packets.append(decode(data[at], data, body[0], body[1], version))
            at = body[1]
        self._tail = data[at:]
        return packets
