"""The link between a site and its cloud: store and forward, live messages, enrolment.

`Uplink` runs at the site, `Downlink` in the cloud; both run `LinkSession`s over `FrameChannel`s.

Invariant: a side sends only records of its own node's origins, and a cursor moves only after the
peer's commit; what the link carries it does not alter, it only chooses who applies it.
"""

from littoral.edge.core.token import EnrolmentToken, check_url, parse_token
from littoral.edge.downlink import Downlink
from littoral.edge.enrolment import Enrolment, scope_of
from littoral.edge.errors import (
    CertificateRefused,
    ChannelClosed,
    CloudNotTrusted,
    EnrolmentRefused,
    InvalidEnrolmentToken,
    LinkBusy,
    LinkConflict,
    LinkIdentity,
    LinkPeerError,
    LinkUnreachable,
    LinkVersion,
    SiteAway,
)
from littoral.edge.model import (
    FRAME_BYTES_MAX,
    ClassBacklog,
    LinkSettings,
    LinkStatistics,
    Scope,
)
from littoral.edge.ports import (
    Accept,
    Applies,
    Authority,
    Dialer,
    FrameChannel,
    Listener,
    PeerIdentity,
    Smith,
)
from littoral.edge.renewal import Renewal
from littoral.edge.uplink import BesideSession, Uplink

__all__ = [
    "FRAME_BYTES_MAX",
    "Accept",
    "Applies",
    "Authority",
    "BesideSession",
    "CertificateRefused",
    "ChannelClosed",
    "ClassBacklog",
    "CloudNotTrusted",
    "Dialer",
    "Downlink",
    "Enrolment",
    "EnrolmentRefused",
    "EnrolmentToken",
    "FrameChannel",
    "InvalidEnrolmentToken",
    "LinkBusy",
    "LinkConflict",
    "LinkIdentity",
    "LinkPeerError",
    "LinkSettings",
    "LinkStatistics",
    "LinkUnreachable",
    "LinkVersion",
    "Listener",
    "PeerIdentity",
    "Renewal",
    "Scope",
    "SiteAway",
    "Smith",
    "Uplink",
    "check_url",
    "parse_token",
    "scope_of",
]
