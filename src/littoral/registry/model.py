"""Who is known to a node, as frozen values; also the form in which the log keeps them.

Stored forms may gain members that an older release does not know (it ignores them); they may not
change the meaning of those they have. ``version`` grows with every change of a value and is never
used again, also after a deletion: it is the entity tag, and it tells a replica what is stale.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from littoral.kernel.ids import DeviceId, PolicyId, Subject, TenantId, ThingId

SPACE = "registry"
"""The log's key-value space that holds all of it."""

HASHED_PASSWORD = "hashed-password"  # noqa: S105  # the name of a type
SHA_256 = "sha-256"
SHA_512 = "sha-512"
ARGON2 = "argon2"

NAMESPACES_MAX = 64
"""Namespaces of one tenant."""
CREDENTIALS_MAX = 16
"""Credentials of one device."""
SECRETS_MAX = 8
"""Secrets of one credential; each may cost one run of argon2 at a wrong password."""
SITE_TENANTS_MAX = 256
"""Tenants of one site."""
SITE_KEYS_MAX = 16
"""Keys and certificates of one site that are remembered; the oldest go first."""
PASSWORD_BYTES_MAX = 1024
"""A longer password is refused before it is hashed."""
USERNAME_CHARS_MAX = 520
"""``auth-id@tenant``: two ids and an at sign."""
EXT_BYTES_MAX = 16_000
"""Custom members of a tenant or device. Source: Hono's limit of a body."""

TENANTS_CACHED_MAX = 1_024
DEVICES_CACHED_MAX = 16_384
VERIFIED_MAX = 65_536
"""Pairs of name and password that are known to be right, as digests."""
REFUSED_MAX = 4_096
"""The same, known to be wrong, so that a misconfigured device costs nothing."""
REFUSED_FOR_MS = 60_000

TOKEN_TTL_MS_MAX = 7 * 24 * 3600 * 1000
TOKENS_MAX = 10_000
"""Enrolment tokens that are not expired."""
REDEEM_AGAIN_MS = 10 * 60 * 1000
"""For so long the same key gets the same certificate again: its first answer may be lost."""

API_KEYS_MAX = 10_000
"""API keys of a node."""
API_KEY_SUBJECTS_MAX = 16
"""Subjects that one API key stands for."""

PAGE_MAX = 1_000
"""Items in one page of a listing."""


class Role(StrEnum):
    """What a user may do besides what policies say."""

    ADMIN = "admin"
    """Manages tenants, devices, users, API keys and sites; may do what the others may."""
    DEVOPS = "devops"
    """Looks at and steers the node itself."""
    STATUS = "status"
    """Looks at the node's status and metrics."""
    USER = "user"


@dataclass(frozen=True, slots=True)
class Tenant:
    """A unit of isolation: its devices reach only things in its namespaces."""

    id: TenantId
    namespaces: tuple[str, ...]
    """Not empty; the first names things of devices whose ids name none."""
    default_policy: PolicyId
    """The policy of things that its devices create."""
    enabled: bool = True
    ext: Mapping[str, object] = field(default_factory=dict)
    version: int = 0


@dataclass(frozen=True, slots=True)
class Device:
    """A device of a tenant, and the thing that is its twin."""

    tenant: TenantId
    id: DeviceId
    thing_id: ThingId
    """Given at registration, unique, and never changed."""
    enabled: bool = True
    ext: Mapping[str, object] = field(default_factory=dict)
    version: int = 0


@dataclass(frozen=True, slots=True)
class Secret:
    """One password, hashed. Its text form never shows the hash."""

    id: str
    function: str
    """`SHA_256` and `SHA_512`: base64 of H(salt ∥ password); `ARGON2`: a PHC string."""
    hash: str = field(repr=False)
    salt: str = field(default="", repr=False)
    """Base64; empty for argon2, whose string carries its own."""
    enabled: bool = True
    not_before_ms: int | None = None
    not_after_ms: int | None = None
    comment: str = ""

    def holds_at(self, now_ms: int) -> bool:
        """True if it may be used at ``now_ms``."""
        return (
            self.enabled
            and (self.not_before_ms is None or self.not_before_ms <= now_ms)
            and (self.not_after_ms is None or now_ms < self.not_after_ms)
        )


@dataclass(frozen=True, slots=True)
class Credential:
    """A name under which a device proves who it is; unique per tenant and type."""

    tenant: TenantId
    type: str
    auth_id: str
    device_id: DeviceId
    secrets: tuple[Secret, ...]
    enabled: bool = True
    ext: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CredentialSet:
    """All credentials of a device: they are written as a whole."""

    tenant: TenantId
    device_id: DeviceId
    credentials: tuple[Credential, ...] = ()
    version: int = 0


@dataclass(frozen=True, slots=True)
class DeviceIdentity:
    """A device that has proved who it is (or that the node speaks for)."""

    tenant: TenantId
    device: DeviceId
    thing_id: ThingId
    subject: Subject
    """``device:<tenant>:<id>``, as policies name it."""


@dataclass(frozen=True, slots=True)
class User:
    """A person or program that uses the API."""

    name: str
    subjects: frozenset[str]
    roles: frozenset[Role]

    @property
    def is_admin(self) -> bool:
        """True for an administrator of the node."""
        return Role.ADMIN in self.roles


@dataclass(frozen=True, slots=True)
class UserEntry:
    """A user as it is stored."""

    name: str
    roles: tuple[Role, ...]
    secret: Secret
    version: int = 0

    def user(self) -> User:
        """The user without its secret."""
        return User(self.name, frozenset({f"nginx:{self.name}"}), frozenset(self.roles))


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key by which a program uses the API, without its secret."""

    id: str
    subjects: tuple[str, ...]
    """As policies name them; the first is the default subject."""
    roles: tuple[Role, ...]
    comment: str
    created_ms: int
    expires_ms: int | None = None
    version: int = 0


@dataclass(frozen=True, slots=True)
class ApiKeyEntry:
    """An API key as it is stored."""

    key: ApiKey
    digest: str = field(repr=False)
    """SHA-256 of the secret, which is 256 random bits."""


class IssuedApiKey(NamedTuple):
    """What is shown once to whoever asked for a key."""

    key: ApiKey
    text: str


@dataclass(frozen=True, slots=True)
class Site:
    """An edge node that may link to this one, and the tenants that it is given."""

    name: str
    tenants: tuple[TenantId, ...]
    keys: tuple[str, ...] = ()
    """Fingerprints of its public keys, newest last."""
    certificates: tuple[str, ...] = ()
    """Serial numbers of its certificates, newest last."""
    revoked: bool = False
    version: int = 0


@dataclass(frozen=True, slots=True)
class Token:
    """A one-time enrolment token as it is stored: nobody can use it who reads it here."""

    id: str
    site: str
    digest: str
    expires_ms: int
    redeemed_ms: int | None = None
    key_fingerprint: str = ""
    certificate: bytes = field(default=b"", repr=False)


class IssuedToken(NamedTuple):
    """What is shown once to whoever asked for a token."""

    id: str
    secret: str

    @property
    def text(self) -> str:
        """The form that `Registry.redeem_token` takes."""
        return f"{self.id}.{self.secret}"


@dataclass(frozen=True, slots=True)
class RegistryChange:
    """One accepted change, told to those who keep something because of what was before."""

    kind: str
    """``device.modified``, ``tenant.deleted``, …: the kind of the record."""
    tenant: str
    """Empty if it is about a user, a site or a token."""
    name: str
    """Id of the device; name of the tenant, user, site or token."""
    ends_access: bool
    """True if open connections must end: of the device, or of all devices of the tenant."""


@dataclass(frozen=True, slots=True)
class RegistryStatistics:
    """What the registry would tell about itself."""

    verified: int
    refused: int
    tenants_cached: int
    devices_cached: int
    admitted_total: int
    refused_total: int
    damaged: int = 0
    """Values that failed their checksum and are not heeded."""
