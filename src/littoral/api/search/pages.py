"""Searches that are read page by page: over a WebSocket, and as events."""

import contextlib
from collections.abc import Mapping
from dataclasses import replace

from littoral import rql
from littoral.kernel.errors import LittoralError
from littoral.search import InvalidNamespaces, Search, SearchQuery, parse_namespaces
from littoral.twin import Caller, Twins
from littoral.twin import fields as selectors


class SearchPages:
    """One caller's way through the hits of a search, as a `Source` of a subscription."""

    def __init__(
        self,
        search: Search,
        twins: Twins,
        caller: Caller,
        value: Mapping[str, object],
        fields: str | None,
    ) -> None:
        """Read what is searched for.

        Args:
            search: where.
            twins: give what is shown of the hits.
            caller: sees what its policies let it READ.
            value: ``filter``, ``options`` (size and sort only) and ``namespaces``.
            fields: what is shown of each hit; None: all but the special members.

        Raises:
            InvalidExpression, InvalidOption, InvalidNamespaces, InvalidFields.
        """
        self._search = search
        self._twins = twins
        self._caller = caller
        self._tree = None if fields is None else selectors.parse(fields)
        self._query = subscribed_query(value)
        self.is_over = False

    async def next(self) -> dict[str, object] | None:
        """The next page of hits, each as it is now; None if nothing was found at all."""
        page = await self._search.page(self._caller, self._query)
        self.is_over = page.cursor is None
        if page.cursor is not None:
            options = replace(self._query.options, cursor=page.cursor)
            self._query = replace(self._query, options=options)
        if not page.ids:
            return None
        return {"items": await shown(self._twins, self._caller, page.ids, self._tree)}


async def shown(
    twins: Twins, caller: Caller, ids: tuple[str, ...], tree: selectors.Fields | None
) -> list[object]:
    """What a caller sees of things that were found, in their order; what is gone is left out."""
    things: list[object] = []
    for one in ids:
        # Deleted, or taken from the caller's sight, since it was found.
        with contextlib.suppress(LittoralError):
            view = await twins.retrieve(caller, one)
            things.append(view.value if tree is None else twins.select(caller, view, tree))
    return things


def subscribed_query(value: Mapping[str, object]) -> SearchQuery:
    """Read the value of a subscription to a search.

    Raises:
        InvalidExpression, InvalidOption, InvalidNamespaces.
    """
    text, options, names = value.get("filter"), value.get("options"), value.get("namespaces")
    if text is not None and not isinstance(text, str):
        raise rql.InvalidExpression("the filter is not a string.")
    if options is not None and not isinstance(options, str):
        raise rql.InvalidOption("the options are not a string.", hint="Write size(25),sort(+a).")
    if names is not None and not (
        isinstance(names, list) and all(isinstance(one, str) for one in names)
    ):
        raise InvalidNamespaces("the namespaces are not a list of strings.")
    wanted = rql.parse_options(options) if options else rql.Options()
    if wanted.cursor is not None or wanted.limit is not None:
        raise rql.InvalidOption(
            "a subscription has the options size and sort only.",
            hint="It goes on by itself: request more pages.",
        )
    return SearchQuery(
        rql.parse(text) if text else None,
        parse_namespaces(",".join(names)) if names else None,
        wanted,
    )
