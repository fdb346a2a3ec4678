"""Littoral's own API, /api/littoral/v1: what administrators do.

`routes` says which resource answers, `apply` takes manifests in bulk (`manifests` is their form),
`users` and `apikeys` are one resource each.

Invariant: only an administrator changes what is registered; a secret is shown once.
"""

from littoral.api.administration.apikeys import ApiKeyRequest
from littoral.api.administration.routes import ManagementRoutes, TokenRequest
from littoral.api.administration.users import UserRequest

__all__ = [
    "ApiKeyRequest",
    "ManagementRoutes",
    "TokenRequest",
    "UserRequest",
]
