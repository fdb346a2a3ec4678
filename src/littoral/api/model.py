"""What the HTTP door is told about its node, and the limits it holds to."""

from dataclasses import dataclass

URI_BYTES_MAX = 8 * 1024
"""Path and query of a request. Source: Ditto's default."""

HEADERS_MAX = 64
"""Header fields of a request. Source: Ditto's default."""

HEADER_BYTES_MAX = 16 * 1024
"""One header value. Source: Ditto's default."""

BODY_BYTES_MAX = 64 * 1024
"""Body of a request that is neither a thing, a policy nor a message."""

PASSWORD_CHARS_MIN = 8
"""A shorter password of a person is refused."""

PASSWORD_CHARS_MAX = 1024
"""A longer one is refused too: what hashing it costs grows with it."""

CLOUD_EVENT_BYTES_MAX = 256 * 1024
"""Body of a CloudEvent: a thing or a message with its envelope."""

DISCARD_BYTES_MAX = 8 * 1024 * 1024
"""How much of a body that is too large is still taken in, and thrown away, so that its sender reads
the refusal: a connection that is closed with unread bytes is reset, and the refusal lost."""

DISCARD_S_MAX = 2.0
"""How long that may take."""

BODY_S_MAX = 30.0
"""How long a body may take to come; of a bulk apply, how long it may stop in between."""

STREAM_WRITE_S = 30.0
"""How long one piece of a stream may take to be written; a reader that takes nothing is let go."""

STREAMS_MAX = 4096
"""Open event streams. Source: Ditto's limit of connections at its gateway."""

TIMEOUT_S_MAX = 60.0
"""Longest time that a caller may wait for an answer; also the default of twin commands."""

CLAIM_TIMEOUT_S = 60.0
"""How long the answer to a claim is waited for, if the caller does not say. Source: Ditto."""

MESSAGE_TIMEOUT_S = 10.0
"""How long the answer of a device is waited for, if the caller does not say."""

FORGET_WAIT_S = 3.0
"""How long a read still waits for what it has seen to be durable, if its caller would not."""

HEARTBEAT_S = 1.0
"""Time between two empty server-sent events. Source: Ditto."""

STREAM_RECORDS_MAX = 1_000
"""Changes waiting for one slow reader of server-sent events; more are dropped, and it is told."""

SOCKET_SIGNALS_MAX = 200
"""Signals waiting for one slow WebSocket; more are dropped. Source: Ditto's default."""

SOCKET_FRAME_BYTES_MAX = 256 * 1024
"""One frame from a WebSocket; longer ones end the session."""

SOCKET_TURN_FRAMES = 32
"""Frames of one WebSocket that are decided in one go, before others have their turn."""

SOCKET_TURN_S = 0.001
"""How long they may take: what else the node is asked waits for several such turns."""

SOCKET_COMMANDS_MAX = 64
"""Commands of one WebSocket that are decided at the same time; then it is not read from."""

SOCKET_REPLIES_MAX = 1024
"""Answers of one WebSocket that wait for their commit or to be written; then it is not read from."""

SOCKET_REPLIES_BYTES_MAX = 1024 * 1024
"""Bytes of answers waiting for one slow WebSocket; then it is not read from."""

SUBSCRIPTIONS_MAX = 1000
"""Searches and streams of past events that one WebSocket has open."""

SUBSCRIPTION_IDLE_S = 60.0
"""A search or stream of past events that nothing is requested of for so long ends. Source: Ditto."""

SOCKET_WRITE_S = 30.0
"""How long one frame may take to be written before a session that takes nothing is ended."""

IDS_MAX = 200
"""Things in one answer. Source: Ditto's largest search page."""

PAGES_MAX = 1_000
"""Items in one page of a listing of Littoral's own API."""

COUNT_CHUNK = 1_000
"""Things counted before others have their turn."""

INCIDENTS_CHUNK = 512
"""Records read from the log at a time when incidents are looked for."""

INCIDENTS_SCAN_MAX = 20_000
"""Records looked at for one page of incidents; the page may be empty then."""

SCAN_IDS_MAX = 2_000
"""Ids looked at for one page of readable things."""

APPLY_LINE_BYTES_MAX = 256 * 1024
"""One manifest of a bulk apply."""

APPLY_BATCH_MAX = 256
"""Manifests decided before their answers are awaited and written."""

APPLY_HASHES_MAX = 16
"""Plain passwords of manifests that are being hashed at the same time."""

CREDENTIALS_MAX = 64
"""Credentials in one Device manifest."""


@dataclass(frozen=True, slots=True)
class NodeInfo:
    """Who answers."""

    name: str
    role: str
    """``cloud`` or ``site``."""
    version: str
