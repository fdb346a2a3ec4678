"""The door's limits, and what it tells about itself."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """What one peer may cost. Crossing one ends that connection, or makes it wait, and is counted.

    Most of them are announced in the CONNACK of MQTT 5.
    """

    connections_max: int = 20_000
    handshakes_max: int = 32
    """Credentials checked at once; the work itself is bounded by the committer's thread."""
    handshakes_waiting_max: int = 10_000
    """Connections that wait for their turn; a whole fleet comes back at once after a restart."""
    connect_timeout_s: float = 10.0
    """From the connection to the CONNECT, and from the CONNECT to its answer."""
    handshake_timeout_s: float = 30.0
    packet_timeout_s: float = 20.0
    """How long a packet may stay incomplete."""
    drain_timeout_s: float = 20.0
    """How long a peer may leave what we wrote unread."""
    linger_timeout_s: float = 2.0
    """How long a peer may take to close after our last packet."""
    packet_bytes_max: int = 64 * 1024
    receive_maximum: int = 1024
    """Publishes of QoS 1 that wait for their acknowledgement (MQTT 5 peers are told)."""
    pending_records_max: int = 1024
    """Reading pauses while this many messages of a connection wait for their commit."""
    pending_bytes_max: int = 1024 * 1024
    client_id_bytes_max: int = 256
    keep_alive_s_max: int = 3600
    """Asked of MQTT 5 clients that want a longer one or none."""
    commands_in_flight_max: int = 16
    command_timeout_s: float = 1.0
    """How long a device may take to acknowledge a command of QoS 1. Source: Hono."""
    answers_pending_max: int = 10_000
    """Commands of the whole door that wait for a device's response."""
    routes_max: int = 4096
    """Parsed topics that are remembered."""


@dataclass(frozen=True, slots=True)
class DoorStatistics:
    """Counters since the door was made; gauges where it says so."""

    connections: int
    """Open and authenticated now."""
    handshakes: int
    """Accepted sockets without an accepted CONNECT, now."""
    connects: int
    publishes: int
    acknowledged: int
    bytes_in: int
    commands: int
    commands_acknowledged: int
    responses: int
    late_responses: int
    paused: int
    """How often reading was paused because too much waited for a commit."""
    taken_over: int
    closed_by_reason: Mapping[str, int]
    """Connections that this door ended, by the reason's name."""
    refused_by_code: Mapping[str, int]
    """Messages that were not kept, by the error's code."""
