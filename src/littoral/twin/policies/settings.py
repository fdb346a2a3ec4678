"""What an operator decides about policies: granularity of expiry, root policies, who may create."""

from collections.abc import Mapping
from dataclasses import dataclass, field

EXPIRY_GRANULARITY_MS = 3_600_000
"""Subjects' expiries are rounded up to a multiple of it. Source: Ditto's default of an hour."""

ANNOUNCEMENT_GRANULARITY_MS = 60_000
"""``beforeExpiry`` of an announcement is rounded up to a multiple of it. Source: Ditto's default."""

TOKEN_SUBJECT = "integration:{{policy-entry:label}}:{{jwt:aud}}"  # noqa: S105  # a template
"""Who is added to an entry by activateTokenIntegration. Source: Ditto's default."""


@dataclass(frozen=True, slots=True)
class CreationRule:
    """Entities that may, or may not, be created; ``*`` and ``?`` are wildcards, empty lists match all."""

    resource_types: tuple[str, ...] = ()
    """``thing`` and ``policy``."""
    namespaces: tuple[str, ...] = ()
    auth_subjects: tuple[str, ...] = ()
    """Of whom the caller has to be one."""
    thing_definitions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PolicySettings:
    """Given by the node's configuration."""

    expiry_granularity_ms: int = EXPIRY_GRANULARITY_MS
    announcement_granularity_ms: int = ANNOUNCEMENT_GRANULARITY_MS
    namespace_roots: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Namespace, ``x.*`` or ``*`` to the policies that hold in all policies there."""
    creation_grants: tuple[CreationRule, ...] = (CreationRule(),)
    creation_revokes: tuple[CreationRule, ...] = ()
    token_subject: str = TOKEN_SUBJECT
    owner: bool = True
    """Whether expired subjects are removed here. A site's node leaves that to its cloud: it stops
    heeding them, so that one removal, not two, becomes part of the policy's history."""
