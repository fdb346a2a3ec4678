"""Policies: the enforcer of each thing, commands on policies, and what comes and goes by itself.

`book` is the one question every door asks, with `index` of who imports whom; `commands`, `reads` and
`actions` are what people ask for, judged by `rules`, `paths`, `creation`, filled by `placeholders`;
`expiry` lets subjects leave; `settings` is what an operator decides.

Invariant: an enforcer in the book is always that of the newest policies.
"""

from littoral.twin.policies.actions import PolicyActions
from littoral.twin.policies.book import PolicyBook
from littoral.twin.policies.commands import PolicyCommands
from littoral.twin.policies.expiry import Listener, PolicyExpiry, SubjectDeletion
from littoral.twin.policies.paths import policy_methods
from littoral.twin.policies.reads import PolicyReads
from littoral.twin.policies.settings import CreationRule, PolicySettings

__all__ = [
    "CreationRule",
    "Listener",
    "PolicyActions",
    "PolicyBook",
    "PolicyCommands",
    "PolicyExpiry",
    "PolicyReads",
    "PolicySettings",
    "SubjectDeletion",
    "policy_methods",
]
