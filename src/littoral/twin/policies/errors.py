"""Why a command on a policy is refused. Codes are Eclipse Ditto's."""

from littoral.kernel.errors import Kind, LittoralError
from littoral.twin.protocol import InvalidEnvelope


class PolicyConflict(LittoralError):
    """A policy with this id exists already."""

    code = "policies:policy.conflict"
    kind = Kind.CONFLICT


class PolicyNotCreatable(LittoralError):
    """The new policy would not let its creator change it."""

    code = "policies:policy.notcreatable"
    kind = Kind.FORBIDDEN


class PolicyHistoryNotFound(LittoralError):
    """That revision of the policy is not kept any more, or has not happened yet."""

    code = "policies:policy.history.notfound"
    kind = Kind.MISSING


class EntryReferenced(LittoralError):
    """The entry cannot be removed while another entry refers to it."""

    code = "policies:entry.referenceconflict"
    kind = Kind.CONFLICT


class ImportReferenced(LittoralError):
    """The import cannot be removed, or narrowed, while an entry refers to what it brings."""

    code = "policies:import.referenceconflict"
    kind = Kind.CONFLICT


class TooManyPolicyChanges(LittoralError):
    """So many changes of one policy wait for their commit that no more are taken."""

    code = "policies:policy.toomanymodifyingrequests"
    kind = Kind.LIMIT
    retryable = True


class PolicyActionFailed(LittoralError):
    """The action cannot be done for this caller: it needs a JSON web token."""

    code = "policies:action.failed"


class PolicyActionForbidden(PolicyActionFailed):
    """The caller may not EXECUTE the action on any entry."""

    kind = Kind.FORBIDDEN


class PolicyActionMissing(PolicyActionFailed):
    """The action applies to no entry of the policy."""

    kind = Kind.MISSING


class PlaceholderNotResolvable(LittoralError):
    """A placeholder in the payload is unknown, or there is nothing to put in its place."""

    code = "placeholder:placeholder.notresolvable"


class NotCreatable(LittoralError):
    """The operator does not let this caller create such an entity there."""

    code = "entity.notcreatable"
    kind = Kind.FORBIDDEN


class InvalidPermissionCheck(InvalidEnvelope):
    """A question of checkPermissions has not the members that it needs."""
