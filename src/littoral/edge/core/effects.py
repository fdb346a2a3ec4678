"""What a session asks its shell to do; interpreted by one ``match`` in `littoral.edge.service`."""

from dataclasses import dataclass

from littoral.edge.core.frames import Hello, Item, Part, WireRecord
from littoral.edge.core.resume import Lost


@dataclass(frozen=True, slots=True)
class Transmit:
    """Send these bytes as one frame."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Greeted:
    """The peer has said who it is. Check it, then call `LinkSession.greet` or `close`."""

    hello: Hello


@dataclass(frozen=True, slots=True)
class Opened:
    """Both hellos are done; records may flow."""

    version: int


@dataclass(frozen=True, slots=True)
class RolledBack:
    """The peer holds records of mine that my log does not: it was restored, or cloned."""

    lost: tuple[Lost, ...]


@dataclass(frozen=True, slots=True)
class Apply:
    """Take these records into the open batch; after its commit call `LinkSession.committed`."""

    origin: str
    cls: int
    records: list[WireRecord]
    scanned_to: int
    raw_bytes: int
    replay: bool
    tail: bool


@dataclass(frozen=True, slots=True)
class Advanced:
    """The peer has committed my records of ``cls`` up to ``seq``."""

    cls: int
    seq: int
    records: int
    payload_bytes: int
    drained: bool
    """Nothing of this class waits any more."""


@dataclass(frozen=True, slots=True)
class Filled:
    """The peer has everything of a backfill."""

    lane: str


@dataclass(frozen=True, slots=True)
class Restamp:
    """The peer refused these ranges of mine for their stamps; append them anew when that helps.

    Once that is sure to happen, call `LinkSession.settle`.
    """

    origin: str
    cls: int
    ranges: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Forget:
    """The peer has taken care of what was refused of this origin and class up to ``oseq``."""

    origin: str
    cls: int
    oseq: int


@dataclass(frozen=True, slots=True)
class TakePart:
    """Take this piece of the peer's state; after its commit call `LinkSession.took`."""

    frame: Part
    items: list[Item]


@dataclass(frozen=True, slots=True)
class PartTaken:
    """The peer has committed a piece of state, or cannot take it now."""

    number: int
    refused: bool


@dataclass(frozen=True, slots=True)
class AskedAgain:
    """The peer wants to be told these entities as they are now."""

    entities: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Deliver:
    """A live message came; answer it with `LinkSession.answer` if ``wants_answer``."""

    id: int
    topic: str
    body: bytes
    ttl_s: float
    wants_answer: bool


@dataclass(frozen=True, slots=True)
class Answered:
    """A live message of mine has its answer, or will never have one (``code`` says why)."""

    id: int
    body: bytes
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Measured:
    """A ping came back."""

    round_trip_s: float
    skew_ms: int


@dataclass(frozen=True, slots=True)
class Close:
    """The session is over: send what was to be sent, then close the channel."""

    code: str
    reason: str


Effect = (
    Transmit
    | Greeted
    | Opened
    | RolledBack
    | Apply
    | Advanced
    | Filled
    | Restamp
    | Forget
    | TakePart
    | PartTaken
    | AskedAgain
    | Deliver
    | Answered
    | Measured
    | Close
)
