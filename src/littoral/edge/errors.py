"""Why a link, or an enrolment, may refuse."""

from littoral.kernel.errors import Kind, LittoralError


class LinkUnreachable(LittoralError):
    """The other side cannot be reached now; the uplink tries again by itself."""

    code = "link.unreachable"
    kind = Kind.UNAVAILABLE
    retryable = True


class ChannelClosed(LittoralError):
    """The transport under a session is gone. The next session resumes where the acks ended."""

    code = "link.closed"
    kind = Kind.UNAVAILABLE
    retryable = True


class LinkPeerError(LittoralError):
    """The peer sent something that the protocol forbids; the session ends, the node does not."""

    code = "link.peer"
    kind = Kind.PEER


class LinkVersion(LittoralError):
    """The two sides have no version of the link in common: upgrade the older one."""

    code = "link.version"
    kind = Kind.UNSUPPORTED


class LinkConflict(LittoralError):
    """A live session of the same node id exists: two machines use one identity.

    Find the copy (a cloned disk, a second container) and enrol it under a name of its own.
    """

    code = "link.conflict"
    kind = Kind.CONFLICT


class LinkIdentity(LittoralError):
    """The node says one name and its certificate another."""

    code = "link.identity"
    kind = Kind.FORBIDDEN


class LinkBusy(LittoralError):
    """More live messages wait for an answer over this link than it holds."""

    code = "link.busy"
    kind = Kind.LIMIT
    retryable = True


class SiteAway(LittoralError):
    """The site where the thing lives has no session now; a command is not stored for it."""

    code = "link.site_away"
    kind = Kind.UNAVAILABLE
    retryable = True


class InvalidEnrolmentToken(LittoralError):
    """The text is not an enrolment token."""

    code = "enrolment.token.invalid"


class EnrolmentRefused(LittoralError):
    """The cloud did not enrol this site; the sentence says why and what to do."""

    code = "enrolment.refused"
    kind = Kind.FORBIDDEN


class CloudNotTrusted(LittoralError):
    """The server that answered does not hold the CA that the token names: nothing was sent to it."""

    code = "enrolment.cloud_not_trusted"
    kind = Kind.FORBIDDEN


class CertificateRefused(LittoralError):
    """The client certificate is not ours, not valid now, or revoked."""

    code = "link.certificate"
    kind = Kind.UNAUTHENTICATED
