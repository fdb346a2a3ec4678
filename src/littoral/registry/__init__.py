"""Who is known: tenants, devices and their credentials, users, sites and enrolment tokens.

Everything is kept in the log: a record per change, and a table of keys written with it. What
changes something is synchronous and in the log's open batch when it returns.

Invariant: a password is never stored, shown or logged; memory is bounded whatever is registered.
"""

from littoral.registry.errors import (
    HasherBusy,
    InvalidRegistration,
    InvalidToken,
    NotRegistered,
    RegistrationConflict,
)
from littoral.registry.model import (
    ApiKey,
    Credential,
    CredentialSet,
    Device,
    DeviceIdentity,
    IssuedApiKey,
    IssuedToken,
    RegistryChange,
    RegistryStatistics,
    Role,
    Secret,
    Site,
    Tenant,
    User,
)
from littoral.registry.ports import PasswordHasher
from littoral.registry.service.apikeys import ApiKeys
from littoral.registry.service.registry import Registry
from littoral.registry.service.replica import InvalidReplica
from littoral.registry.service.seeds import (
    DEVELOPMENT_POLICY,
    found_development,
    generate_admin,
    seed_development,
)
from littoral.registry.service.telling import RegistryTelling

__all__ = [
    "DEVELOPMENT_POLICY",
    "ApiKey",
    "ApiKeys",
    "Credential",
    "CredentialSet",
    "Device",
    "DeviceIdentity",
    "HasherBusy",
    "InvalidRegistration",
    "InvalidReplica",
    "InvalidToken",
    "IssuedApiKey",
    "IssuedToken",
    "NotRegistered",
    "PasswordHasher",
    "RegistrationConflict",
    "Registry",
    "RegistryChange",
    "RegistryStatistics",
    "RegistryTelling",
    "Role",
    "Secret",
    "Site",
    "Tenant",
    "User",
    "found_development",
    "generate_admin",
    "seed_development",
]
