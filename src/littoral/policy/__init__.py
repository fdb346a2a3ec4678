"""Who may do what: policies as Ditto writes them, compiled into an enforcer.

`parse_policy` makes a valid `Policy` of a document or refuses it with Ditto's code; `resolve` works
out what it comes to with its imports, references and namespace roots; `Enforcer` answers questions
about resources (``thing:/features/lamp``) for a set of subjects. The place where policies are
enforced is `twin`; here is only the decision.

Invariant: pure; no clock, no I/O, and the order of a policy's entries changes no answer.
"""

from littoral.policy.core.effective import Shows, imported_by, resolve, roots_of
from littoral.policy.core.enforcer import Enforcer, compile  # noqa: A004  # read as policy.compile
from littoral.policy.core.parse import load_policy, own_policy, parse_policy
from littoral.policy.core.parse_entry import announcement_of
from littoral.policy.errors import (
    EntryLockedOut,
    InvalidAnnouncement,
    InvalidExpiry,
    InvalidImport,
    InvalidLabel,
    InvalidPolicy,
    InvalidPolicyId,
    InvalidSubject,
    PolicyIdFixed,
    PolicyLockedOut,
    PolicyTooLarge,
    TooManyImports,
)
from littoral.policy.model import (
    EXECUTE,
    PERMISSIONS,
    READ,
    RESOURCE_TYPES,
    WRITE,
    Addition,
    Announcement,
    Effective,
    EffectiveEntry,
    Entry,
    Explanation,
    Import,
    Importable,
    Policy,
    Reference,
    Resource,
    Rule,
    Subject,
    covers,
)

__all__ = [
    "EXECUTE",
    "PERMISSIONS",
    "READ",
    "RESOURCE_TYPES",
    "WRITE",
    "Addition",
    "Announcement",
    "Effective",
    "EffectiveEntry",
    "Enforcer",
    "Entry",
    "EntryLockedOut",
    "Explanation",
    "Import",
    "Importable",
    "InvalidAnnouncement",
    "InvalidExpiry",
    "InvalidImport",
    "InvalidLabel",
    "InvalidPolicy",
    "InvalidPolicyId",
    "InvalidSubject",
    "Policy",
    "PolicyIdFixed",
    "PolicyLockedOut",
    "PolicyTooLarge",
    "Reference",
    "Resource",
    "Rule",
    "Shows",
    "Subject",
    "TooManyImports",
    "announcement_of",
    "compile",
    "covers",
    "imported_by",
    "load_policy",
    "own_policy",
    "parse_policy",
    "resolve",
    "roots_of",
]
