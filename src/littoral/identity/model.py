"""What proves who somebody is, who that is, and what the node is told about issuers."""

from collections.abc import Mapping
from dataclasses import dataclass, field

TOKEN_CHARS_MAX = 16 * 1024
"""Length of a bearer token. Source: Ditto's limit of one header value."""

CLAIM_SUBJECTS_MAX = 256
"""Subjects that one token may stand for; a template over two lists makes their product."""

CLOCK_SKEW_MS = 10_000
"""How far an issuer's clock may be off. Source: Ditto's default."""

IDENTITIES_CACHED_MAX = 16_384
"""Proofs that are known to be right, as digests."""

KEYS_BYTES_MAX = 256 * 1024
"""Size of an issuer's key set, and of its discovery document."""

KEYS_AGAIN_MS = 10_000
"""An unknown key id makes the keys be fetched again, but not more often than this."""

KEYS_STALE_MS_MAX = 24 * 3600 * 1000
"""For so long old keys are used while new ones cannot be fetched."""

PRE_AUTHENTICATED_MAX = 100
"""Subjects in one ``x-ditto-pre-authenticated`` header."""

ALGORITHMS = (
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "Ed25519", "EdDSA",
)  # fmt: skip
"""Signatures that are believed: all of key pairs. ``none`` and shared secrets never are."""

Claims = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Issuer:
    """An OpenID provider whose tokens are taken."""

    name: str
    """What its subjects begin with: ``<name>:<subject>``."""
    issuers: tuple[str, ...]
    """Values of ``iss``; with or without ``https://``."""
    subjects: tuple[str, ...] = ("{{ jwt:sub }}",)
    """Templates of what stands behind the colon."""
    audiences: tuple[str, ...] = ()
    """If not empty, one of these must be in ``aud``."""
    condition: str = ""
    """RQL over the claims that must hold: ``in(realm,'plant','lab')``."""
    jwks_url: str = ""
    """Where its keys are; empty: as its discovery document says."""


@dataclass(frozen=True, slots=True)
class IdentitySettings:
    """What a node is told about those who ask it."""

    issuers: tuple[Issuer, ...] = ()
    pre_authenticated: bool = False
    """Believe ``x-ditto-pre-authenticated``: only behind a proxy that sets and strips it."""
    admin_subjects: frozenset[str] = frozenset()
    devops_subjects: frozenset[str] = frozenset()
    status_subjects: frozenset[str] = frozenset()
    keys_ms: int = 3600 * 1000
    """How long fetched keys are good."""


@dataclass(frozen=True, slots=True)
class Proofs:
    """What came with a request, unread. Texts, so that equal requests are equal proofs."""

    authorization: str = field(default="", repr=False)
    """The Authorization header: Basic or Bearer."""
    api_key: str = field(default="", repr=False)
    """The X-API-Key header."""
    pre_authenticated: str = ""
    """The ``x-ditto-pre-authenticated`` header."""
    access_token: str = field(default="", repr=False)
    """The query parameter, for browsers that cannot set headers of a WebSocket."""


@dataclass(frozen=True, slots=True, eq=False)
class Identity:
    """Somebody who is known, as the policies see it and as the node does.

    Equal only to itself, so that what is worked out for one can be remembered with it.
    """

    name: str
    """For people and logs: a user's name, ``apikey:<id>`` or the token's subject."""
    subjects: tuple[str, ...]
    """As policies name them; the first is the default subject."""
    roles: frozenset[str] = frozenset()
    """Of ``admin``, ``devops``, ``status``, ``user``."""
    claims: Claims | None = None
    """Of the bearer token, if there was one."""
    expires_ms: int | None = None
    """When what proved it ends."""
    owners: tuple[str, ...] = ()
    """Entries of the registry that it stands on (``user:ditto``); their change ends it."""

    @property
    def is_admin(self) -> bool:
        """True for an administrator of the node."""
        return "admin" in self.roles


@dataclass(frozen=True, slots=True)
class IdentityStatistics:
    """Counters of those who asked."""

    cached: int
    recalled_total: int
    checked_total: int
    refused_total: int
    key_fetches_total: int
    key_failures_total: int
