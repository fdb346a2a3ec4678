"""What a policy says, as frozen values. A `Policy` is made by `parse_policy` and is always valid."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from littoral.kernel import time
from littoral.kernel.ids import PolicyId

READ = "READ"
WRITE = "WRITE"
EXECUTE = "EXECUTE"
PERMISSIONS = (READ, WRITE, EXECUTE)

RESOURCE_TYPES = ("thing", "policy", "message")

VIEWS_MAX = 512
"""Sets of subjects for which one enforcer keeps a prepared answer; more are prepared again."""

IMPORTS_MAX = 10
"""Policies that one policy may import. Source: Ditto's default."""

TRANSITIVE_DEPTH_MAX = 10
"""How far the imports of imported policies are followed. Source: Ditto."""

RESOLVED_POLICIES_MAX = 256
"""Policies that are looked at to work out one effective policy; imports beyond them are left out."""

ANNOUNCEMENT_MS_MAX = 366 * 86_400_000
"""Longest duration in an announcement's settings."""

Extra = Mapping[str, object]
"""Members that are kept and given back, but mean nothing here."""


class Importable(StrEnum):
    """Whether an entry goes along when its policy is imported."""

    IMPLICIT = "implicit"
    EXPLICIT = "explicit"
    """Only if the import names it."""
    NEVER = "never"


class Addition(StrEnum):
    """What an entry that references another may add of its own."""

    SUBJECTS = "subjects"
    RESOURCES = "resources"
    NAMESPACES = "namespaces"


@dataclass(frozen=True, slots=True)
class Announcement:
    """How a subject is told that it leaves the policy."""

    before_expiry_ms: int | None = None
    when_deleted: bool = False
    labels: tuple[str, ...] = ()
    """Acknowledgements that are wanted; until they come it is announced again."""
    timeout_ms: int = 60_000
    """How long they are waited for."""
    spread_ms: int = 0
    """It is announced up to this much earlier, so that not all are announced at once."""


@dataclass(frozen=True, slots=True)
class Subject:
    """Who an entry speaks of."""

    id: str
    """``issuer:name``."""
    document: Extra
    """Its JSON as given: ``type``, ``expiry``, ``announcement``."""
    expires_ms: int | None = None
    """When it leaves the policy by itself, ms since the epoch."""
    announcement: Announcement | None = None

    @property
    def expires(self) -> bool:
        """Whether it is there for a while only."""
        return self.expires_ms is not None

    def expiring_at(self, ms: int) -> "Subject":
        """The same with another expiry."""
        document = {**self.document, "expiry": time.render(ms).replace(".000Z", "Z")}
        return Subject(self.id, document, ms, self.announcement)


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
class Reference:
    """Another entry from which an entry takes over what it says."""

    label: str
    policy: str = ""
    """The imported policy that has it; empty: this one."""

    def to_json(self) -> dict[str, object]:
        """As Ditto writes it."""
        return (
            {"import": self.policy, "entry": self.label} if self.policy else {"entry": self.label}
        )


@dataclass(frozen=True, slots=True)
class Entry:
    """One labelled rule: these subjects may and may not do this on these resources."""

    label: str
    subjects: tuple[Subject, ...]
    resources: tuple[Resource, ...]
    namespaces: tuple[str, ...] | None = None
    """Of the things that it is about; ``com.acme.*`` is all below ``com.acme``. None, empty: all."""
    importable: Importable = Importable.IMPLICIT
    additions: frozenset[Addition] | None = None
    """What entries that reference this one may add of their own. None: anything."""
    references: tuple[Reference, ...] = ()
    extra: Extra = field(default_factory=dict)

    def applies_to(self, namespace: str) -> bool:
        """Whether it speaks of the things of ``namespace``."""
        return not self.namespaces or any(covers(one, namespace) for one in self.namespaces)

    def to_json(self) -> dict[str, object]:
        """The entry as Ditto writes it; ``grant`` and ``revoke`` are always both there."""
        document: dict[str, object] = {
            "subjects": {s.id: dict(s.document) for s in self.subjects},
            "resources": {
                r.key: {"grant": list(r.grant), "revoke": list(r.revoke)} for r in self.resources
            },
        }
        if self.namespaces is not None:
            document["namespaces"] = list(self.namespaces)
        document["importable"] = str(self.importable)
        if self.additions is not None:
            document["allowedAdditions"] = [str(a) for a in Addition if a in self.additions]
        if self.references:
            document["references"] = [reference.to_json() for reference in self.references]
        return document | dict(self.extra)


@dataclass(frozen=True, slots=True)
class Import:
    """A policy whose entries hold here too."""

    policy: PolicyId
    labels: frozenset[str] = frozenset()
    """Entries that are wanted although they go along only if they are named."""
    transitive: tuple[str, ...] = ()
    """Policies that it imports itself, and whose entries are wanted too."""
    document: Extra = field(default_factory=dict)
    """Its JSON as given."""


@dataclass(frozen=True, slots=True)
class Policy:
    """Who may do what on the things that name this policy, on the policy, and by message."""

    id: PolicyId
    entries: tuple[Entry, ...]
    imports: tuple[Import, ...] = ()
    extra: Extra = field(default_factory=dict)
    reported: tuple[str, ...] = ()
    """Pointers of members that are unknown: kept, and without effect."""

    def entry(self, label: str) -> Entry | None:
        """The entry called ``label``."""
        return next((entry for entry in self.entries if entry.label == label), None)

    def to_json(self) -> dict[str, object]:
        """The policy as Ditto writes it, without hidden members such as ``_revision``."""
        document: dict[str, object] = {"policyId": self.id}
        if self.imports:
            document["imports"] = {one.policy: dict(one.document) for one in self.imports}
        entries = {entry.label: entry.to_json() for entry in self.entries}
        return document | dict(self.extra) | {"entries": entries}


@dataclass(frozen=True, slots=True)
class EffectiveEntry:
    """An entry as it holds in a policy, and where it comes from."""

    entry: Entry
    """With what its references add, under the label that it has here."""
    policy: str
    """The policy that says it: this one, the imported one, or a namespace's root."""
    label: str
    """What it is called there."""


@dataclass(frozen=True, slots=True)
class Effective:
    """What a policy comes to, with its imports, references and the roots of its namespace."""

    id: str
    entries: tuple[EffectiveEntry, ...]
    depends_on: frozenset[str]
    """Every policy that was asked for on the way, there or not: if one changes, so may this."""

    @property
    def restricted(self) -> bool:
        """Whether it says different things in different namespaces."""
        return any(one.entry.namespaces for one in self.entries)

    def entries_for(self, namespace: str | None) -> tuple[Entry, ...]:
        """What holds for an entity of ``namespace``; None: for the policy itself."""
        return tuple(
            one.entry
            for one in self.entries
            if namespace is None or one.entry.applies_to(namespace)
        )


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


def covers(pattern: str, namespace: str) -> bool:
    """Whether ``namespace`` is meant by ``pattern``: itself, ``x.*`` (all below x), or ``*``."""
    if pattern == "*":
        return True
    if pattern.endswith(".*"):
        return namespace.startswith(pattern[:-1])
    return pattern == namespace
