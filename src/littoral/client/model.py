"""What a node tells, as frozen values. Unknown members are ignored: newer nodes may say more."""

import msgspec


class Answer(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """The base of answers."""


class ApplyResult(Answer, frozen=True, rename="camel", kw_only=True):
    """What became of one manifest."""

    kind: str = ""
    name: str = ""
    result: str
    """``created``, ``ok`` (changed), ``unchanged`` or ``error``."""
    error: str = ""
    """The code, if it is an error."""
    message: str = ""
    description: str = ""

    @property
    def is_error(self) -> bool:
        """True if the manifest was refused."""
        return self.result == "error"


class TenantInfo(Answer, frozen=True, rename="camel", kw_only=True):
    """A tenant."""

    id: str
    namespaces: tuple[str, ...]
    default_policy: str = ""
    enabled: bool = True


class DeviceInfo(Answer, frozen=True, rename="camel", kw_only=True):
    """A device."""

    tenant: str
    id: str
    thing_id: str
    enabled: bool = True


class SiteInfo(Answer, frozen=True, rename="camel", kw_only=True):
    """A site, and what the cloud knows of its link: an empty mapping means never seen."""

    name: str
    tenants: tuple[str, ...] = ()
    enrolled: bool = False
    revoked: bool = False
    link: dict[str, object] = {}  # msgspec copies it


class TokenInfo(Answer, frozen=True, rename="camel", kw_only=True):
    """A one-time enrolment token; it is shown this once."""

    token: str
    site: str
    expires: str


class MessageReply(Answer, frozen=True, rename="camel", kw_only=True):
    """What a device answered; the status is its own choice."""

    status: int
    payload: bytes = b""
    content_type: str = ""

    def json(self) -> object:
        """The payload as parsed JSON."""
        return msgspec.json.decode(self.payload)
