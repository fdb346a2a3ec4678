"""What a policy says, as frozen values. A `Policy` is made by `parse_policy` and is always valid."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from littoral.kernel.ids import PolicyId

READ = "READ"
WRITE = "WRITE"
EXECUTE = "EXECUTE"
PERMISSIONS = (READ, WRITE, EXECUTE)

RESOURCE_TYPES = ("thing", "policy", "message")

VIEWS_MAX = 512
"""Sets of subjects for which one enforcer keeps a prepared answer; more are prepared again."""

Extra = Mapping[str, object]
"""Members that are kept and given back, but mean nothing here."""


@dataclass(frozen=True, slots=True)
class Subject:
    """Who an entry speaks of."""

    id: str
    """``issuer:name``."""
    document: Extra
    """Its JSON as given: ``type``, ``expiry``, ``announcement``."""
    expires: bool
    """True if it has an expiry; the instant is kept in ``document`` and not enforced."""


@dataclass(frozen=True, slots=True)
class Resource:
    """What an entry allows and forbids on one path and all below it."""

    key: str
    """As given: ``thing:/features/lamp``."""
    tokens: tuple[str, ...]
    """``("thing:", "features", "lamp")``: the type, then the escaped parts of the pointer."""
    grant: tuple[str, ...]
    revoke: tuple[str, ...]

    @property
    def depth(self) -> int:
        """Number of path parts; 0 for the root of a type."""
        return len(self.tokens) - 1


@dataclass(frozen=True, slots=True)
class Entry:
    """One labelled rule: these subjects may and may not do this on these resources."""

    label: str
    subjects: tuple[Subject, ...]
    resources: tuple[Resource, ...]
    extra: Extra = field(default_factory=dict)

    def to_json(self) -> dict[str, object]:
        """The entry as Ditto writes it; ``grant`` and ``revoke`` are always both there."""
        return {
            **self.extra,
            "subjects": {s.id: dict(s.document) for s in self.subjects},
            "resources": {
                r.key: {"grant": list(r.grant), "revoke": list(r.revoke)} for r in self.resources
            },
        }


@dataclass(frozen=True, slots=True)
class Policy:
    """Who may do what on the things that name this policy, on the policy, and by message."""

    id: PolicyId
    entries: tuple[Entry, ...]
    extra: Extra = field(default_factory=dict)
    reported: tuple[str, ...] = ()
    """Pointers of members that are kept without effect (``/entries/X/importable``)."""

    def to_json(self) -> dict[str, object]:
        """The policy as Ditto writes it, without hidden members such as ``_revision``."""
        return {
            "policyId": self.id,
            **self.extra,
            "entries": {entry.label: entry.to_json() for entry in self.entries},
        }


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of an explanation: this entry, through this subject, at this resource."""

    label: str
    subject: str
    resource: str
    depth: int


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why `Enforcer.may` or `may_partly` answered what it did.

    All rules that were considered are listed, deepest first; the deepest decides, and a revoke
    wins against a grant of the same depth.
    """

    allowed: bool
    granted_by: tuple[Rule, ...]
    revoked_by: tuple[Rule, ...]
