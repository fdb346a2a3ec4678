"""Who may do what: policies as Ditto writes them, compiled into an enforcer.

`parse_policy` makes a valid `Policy` of a document or refuses it with Ditto's code; `Enforcer`
answers questions about resources (``thing:/features/lamp``) for a set of subjects. The place where
policies are enforced is `twin`; here is only the decision.

Invariant: pure; no clock, no I/O, and the order of a policy's entries changes no answer.
"""

from littoral.policy.core.enforcer import Enforcer, compile  # noqa: A004  # read as policy.compile
from littoral.policy.core.parse import own_policy, parse_policy
from littoral.policy.errors import (
    InvalidExpiry,
    InvalidLabel,
    InvalidPolicy,
    InvalidPolicyId,
    InvalidSubject,
    PolicyFeatureUnsupported,
    PolicyIdFixed,
    PolicyLockedOut,
    PolicyTooLarge,
)
from littoral.policy.model import (
    EXECUTE,
    PERMISSIONS,
    READ,
    WRITE,
    Entry,
    Explanation,
    Policy,
    Resource,
    Rule,
    Subject,
)

__all__ = [
    "EXECUTE",
    "PERMISSIONS",
    "READ",
    "WRITE",
    "Enforcer",
    "Entry",
    "Explanation",
    "InvalidExpiry",
    "InvalidLabel",
    "InvalidPolicy",
    "InvalidPolicyId",
    "InvalidSubject",
    "Policy",
    "PolicyFeatureUnsupported",
    "PolicyIdFixed",
    "PolicyLockedOut",
    "PolicyTooLarge",
    "Resource",
    "Rule",
    "Subject",
    "compile",
    "own_policy",
    "parse_policy",
]
