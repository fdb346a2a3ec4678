"""Why a query or its options cannot be read. The codes are Ditto's."""

from littoral.kernel.errors import LittoralError


class InvalidExpression(LittoralError):
    """A filter or condition is not RQL.

    ``facts``: ``at``, the index of the first character that does not fit.
    """

    code = "rql.expression.invalid"


class InvalidOption(LittoralError):
    """The options of a search are unknown, contradict each other or are out of bounds."""

    code = "thing-search:search.option.invalid"
