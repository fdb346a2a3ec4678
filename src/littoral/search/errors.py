"""Why a search is refused or not answered. The codes are Ditto's."""

from littoral.kernel.errors import Kind, LittoralError


class QueryTimeExceeded(LittoralError):
    """The search took longer than it may: narrow it down, or ask for an order that is cheaper."""

    code = "thing-search:query.time.exceeded"
    kind = Kind.TIMEOUT


class InvalidNamespaces(LittoralError):
    """The namespaces of a search are not a comma list of namespaces."""

    code = "thing-search:search.namespaces.invalid"


class IndexBuilding(LittoralError):
    """The index is being made from the state of all things; try again in a moment."""

    code = "littoral.search.building"
    kind = Kind.UNAVAILABLE
    retryable = True


class IndexDamaged(LittoralError):
    """The index cannot be read or written; it is made anew. Nothing but it is concerned."""

    code = "littoral.search.damaged"
    kind = Kind.UNAVAILABLE
    retryable = True
