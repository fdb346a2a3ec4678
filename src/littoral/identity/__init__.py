"""Who asks: passwords, API keys, tokens of OpenID providers and trusted proxies become subjects.

`Identities` is the front door. Doors hand it what came with a request, as texts, and get an
`Identity` with the subjects that policies speak of and the roles that the node itself knows.

Invariant: an identity is given out only while what proved it is valid; a revoked key, a removed
user or an expired token ends it at the next question, however often it was found right before.
"""

from littoral.identity.errors import (
    ConditionFailed,
    IssuerNotSupported,
    KeysUnavailable,
    SubjectChanged,
    TokenInvalid,
)
from littoral.identity.model import (
    Identity,
    IdentitySettings,
    IdentityStatistics,
    Issuer,
    Proofs,
)
from littoral.identity.ports import KeyFetcher, TokenVerifier
from littoral.identity.service import Identities

__all__ = [
    "ConditionFailed",
    "Identities",
    "Identity",
    "IdentitySettings",
    "IdentityStatistics",
    "Issuer",
    "IssuerNotSupported",
    "KeyFetcher",
    "KeysUnavailable",
    "Proofs",
    "SubjectChanged",
    "TokenInvalid",
    "TokenVerifier",
]
