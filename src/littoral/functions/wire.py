"""What a node and a worker say to each other: frames of msgpack with four bytes of length before.

One worker runs one file, one handler at a time, in the order in which the events were sent.
"""

from typing import Annotated

import msgspec

FRAME_BYTES_MAX = 8 * 1024 * 1024
"""One frame; a worker that sends a longer one is ended."""

LENGTH_BYTES = 4

NO_CALL = 0
"""``call`` of an effect that nobody waits for."""


class Work(msgspec.Struct, frozen=True, array_like=True):
    """One event, or one tick, for one handler."""

    token: int
    handler: int
    """Index into what `Ready` declared."""
    thing_id: str = ""
    kind: str = "tick"
    path: str = "/"
    value: bytes = b""
    """JSON of the change; empty for deletions and ticks."""
    revision: int = 0
    time_ms: int = 0
    """When the node accepted it."""
    device_time_ms: int | None = None
    replayed: bool = False
    age_s: float = 0.0
    thing: bytes = b""
    """JSON of the thing as it is now; empty if it is none any more."""


class Run(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """Run handlers, in this order."""

    works: list[Work]


class Answered(msgspec.Struct, frozen=True, array_like=True, tag=2):
    """The answer to an effect with a ``call``."""

    call: int
    status: int = 0
    payload: bytes = b""
    content_type: str = ""
    error: str = ""
    """Code of the refusal; empty if there was an answer."""
    message: str = ""


ToWorker = Run | Answered


class Declared(msgspec.Struct, frozen=True, array_like=True):
    """One handler of a file: ``every_s`` for a timer, the rest for changes of things."""

    name: str
    path: str = "/"
    condition: str = ""
    things: str = "*"
    kinds: tuple[str, ...] = ()
    every_s: float = 0.0


class Ready(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """The file is loaded."""

    handlers: list[Declared]


class Broken(msgspec.Struct, frozen=True, array_like=True, tag=2):
    """The file cannot be loaded; the worker ends."""

    message: str


class Command(msgspec.Struct, frozen=True, array_like=True, tag=3):
    """Send a message to a thing."""

    token: int
    call: int
    thing_id: str
    subject: str
    payload: bytes
    content_type: str
    feature: str | None
    lifetime_s: Annotated[float, msgspec.Meta(gt=0)]
    """How long to wait for the answer, or how long a one-way message lives."""


class Merge(msgspec.Struct, frozen=True, array_like=True, tag=4):
    """Merge a patch into a thing."""

    token: int
    thing_id: str
    path: str
    patch: bytes


class Alarm(msgspec.Struct, frozen=True, array_like=True, tag=5):
    """Record an alarm."""

    token: int
    thing_id: str
    severity: str
    text: str
    facts: bytes


class Note(msgspec.Struct, frozen=True, array_like=True, tag=6):
    """Write a line to the node's log of events."""

    token: int
    text: str


class Get(msgspec.Struct, frozen=True, array_like=True, tag=7):
    """Look a thing up; the answer's payload is its JSON, with status 200 or 404."""

    token: int
    call: int
    thing_id: str


class Done(msgspec.Struct, frozen=True, array_like=True, tag=8):
    """The handler returned, or raised."""

    token: int
    error: str = ""


Effect = Command | Merge | Alarm | Note | Get
FromWorker = Ready | Broken | Command | Merge | Alarm | Note | Get | Done

_encoder = msgspec.msgpack.Encoder()
read_to_worker = msgspec.msgpack.Decoder(ToWorker).decode
read_from_worker = msgspec.msgpack.Decoder(FromWorker).decode


def frame(message: ToWorker | FromWorker) -> bytes:
    """Length and body of one message."""
    body = _encoder.encode(message)
    return len(body).to_bytes(LENGTH_BYTES, "little") + body
