"""Which records are for a peer: selective replication, decided record by record."""

from littoral.edge.model import Scope
from littoral.log import Record

PRIVATE = ("user.", "token.")
"""Kinds that never leave their node."""


def relevant(record: Record, scope: Scope) -> bool:
    """Whether ``record`` may travel to a peer with this scope.

    Up goes everything of the site but its users and tokens. Down goes what belongs to the site's
    tenants: they themselves, their devices and credentials, the things and policies in their
    namespaces, and what the registry says of the site itself.
    """
    if record.kind.startswith(PRIVATE):
        return False
    if scope.everything:
        return True
    prefix, _, rest = record.entity.partition(":")
    match prefix:
        case "thing" | "policy":
            return rest.partition(":")[0] in scope.namespaces
        case "device" | "credentials":
            return rest.partition("/")[0] in scope.tenants
        case "tenant":
            return rest in scope.tenants
        case "site":
            return rest == scope.node
        case _:
            return False


def namespaces_of(scope: Scope) -> list[str]:
    """The namespaces whose things and policies a peer with this scope sees, in order."""
    return sorted(scope.namespaces)
