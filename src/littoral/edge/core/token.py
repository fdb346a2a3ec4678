"""The enrolment token: what a site must know to find its cloud and to trust it, as one text."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from urllib.parse import urlsplit

import msgspec

from littoral.edge.errors import InvalidEnrolmentToken
from littoral.kernel.errors import InvalidId
from littoral.kernel.ids import NodeId, parse_node_id

TOKEN_CHARS_MAX = 4096
_FINGERPRINT_CHARS = 64


class _Wire(msgspec.Struct, frozen=True):
    site: str
    secret: str
    ca: str
    url: str = ""


@dataclass(frozen=True, slots=True)
class EnrolmentToken:
    """Good for one use, by one site, with one cloud.

    Args:
        site: the name that the site will have.
        secret: what the cloud's registry gave out; whoever has it can enrol.
        ca_fingerprint: SHA-256 of the cloud's CA certificate, 64 hex digits.
        url: where the cloud listens for links, ``wss://host:port``; may be empty.
    """

    site: NodeId
    secret: str
    ca_fingerprint: str
    url: str = ""

    @property
    def text(self) -> str:
        """The form in which a person carries it to the site."""
        wire = _Wire(self.site, self.secret, self.ca_fingerprint, self.url)
        return urlsafe_b64encode(msgspec.json.encode(wire)).decode().rstrip("=")


def parse_token(text: str) -> EnrolmentToken:
    """Read a token's text; raise `InvalidEnrolmentToken` if it is none."""
    hint = "Copy it whole, as the cloud printed it, or make a new one there."
    stripped = text.strip()
    if not stripped or len(stripped) > TOKEN_CHARS_MAX:
        raise InvalidEnrolmentToken("an enrolment token is missing or far too long.", hint=hint)
    try:
        padded = stripped + "=" * (-len(stripped) % 4)
        wire = msgspec.json.decode(urlsafe_b64decode(padded.encode("ascii")), type=_Wire)
        site = parse_node_id(wire.site)
        int(wire.ca, 16)
    except (ValueError, msgspec.MsgspecError, InvalidId) as e:
        raise InvalidEnrolmentToken("this is not an enrolment token.", hint=hint) from e
    if len(wire.ca) != _FINGERPRINT_CHARS:
        raise InvalidEnrolmentToken("the token does not name its cloud's CA.", hint=hint)
    if wire.url:
        check_url(wire.url)
    return EnrolmentToken(site, wire.secret, wire.ca.lower(), wire.url)


def check_url(url: str) -> str:
    """Return ``url`` if a site can dial it: ``wss://host:port``, nothing after it."""
    try:
        parts = urlsplit(url)
        good = parts.scheme == "wss" and bool(parts.hostname) and parts.port is not None
    except ValueError:
        good, parts = False, urlsplit("")
    if not good or parts.path not in ("", "/") or parts.username is not None:
        raise InvalidEnrolmentToken(
            f"{url[:80]!r} is not where a cloud listens for links.",
            hint="Write wss://host:port, for example wss://cloud.example.org:8883.",
        )
    return url.rstrip("/")
