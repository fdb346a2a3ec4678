"""The link's protocol, without I/O: frames, who has what, who goes next, and the session.

Invariant: nothing here reads a clock, a log or a socket; bytes of a peer never raise anything but
`LinkPeerError`, and that only inside the session, which turns it into a `bye`.
"""

from littoral.edge.core.effects import (
    Advanced,
    Answered,
    Apply,
    AskedAgain,
    Close,
    Deliver,
    Effect,
    Filled,
    Forget,
    Greeted,
    Measured,
    Opened,
    PartTaken,
    Restamp,
    RolledBack,
    TakePart,
    Transmit,
)
from littoral.edge.core.frames import Known
from littoral.edge.core.outflow import Read
from littoral.edge.core.resume import Lost
from littoral.edge.core.scope import relevant
from littoral.edge.core.session import LinkSession, Now

__all__ = [
    "Advanced",
    "Answered",
    "Apply",
    "AskedAgain",
    "Close",
    "Deliver",
    "Effect",
    "Filled",
    "Forget",
    "Greeted",
    "Known",
    "LinkSession",
    "Lost",
    "Measured",
    "Now",
    "Opened",
    "PartTaken",
    "Read",
    "Restamp",
    "RolledBack",
    "TakePart",
    "Transmit",
    "relevant",
]
