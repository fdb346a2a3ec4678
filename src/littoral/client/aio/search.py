"""Finding things: pages, iterators, counts, tables."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from littoral.client import frames
from littoral.client.answers import converted
from littoral.client.http import AsyncHttpTransport
from littoral.client.model import SearchPage
from littoral.client.requests import Request, search_form, search_option

SEARCH = "/api/2/search/things"
_FORM = "application/x-www-form-urlencoded"
QUERY_CHARS_MAX = 2_000
"""A query that is longer goes as a form: an address has 8 KiB."""


class AsyncSearch:
    """``/api/2/search/things``. A ``query`` is RQL; `littoral.client.rql` writes it."""

    def __init__(self, node: AsyncHttpTransport) -> None:
        self._node = node

    async def things(
        self,
        query: str | None = None,
        *,
        fields: str | Sequence[str] | None = None,
        namespaces: Sequence[str] = (),
        sort: Sequence[str] = (),
        size: int = 100,
    ) -> AsyncIterator[Any]:
        """Everything that is found, page by page: each thing once, also under concurrent writes.

        Args:
            query: RQL; None finds everything that the user may see.
            fields: what of each thing.
            namespaces: only in these.
            sort: paths, ``-`` before one for descending.
            size: things in a page, at most 200.
        """
        cursor = ""
        while True:
            page = await self.page(
                query, fields=fields, namespaces=namespaces, sort=sort, size=size, cursor=cursor
            )
            for thing in page.items:
                yield thing
            if not page.cursor:
                return
            cursor = page.cursor

    async def page(
        self,
        query: str | None = None,
        *,
        fields: str | Sequence[str] | None = None,
        namespaces: Sequence[str] = (),
        sort: Sequence[str] = (),
        size: int | None = None,
        cursor: str = "",
    ) -> SearchPage:
        """One page, and the cursor of the next."""
        option = search_option(sort=sort, size=size, cursor=cursor)
        form = search_form(query=query, namespaces=namespaces, fields=fields, option=option)
        answer = await self._node.send(_request(SEARCH, form))
        return converted(answer.url, answer.json(), SearchPage)

    async def ids(
        self, query: str | None = None, *, namespaces: Sequence[str] = (), sort: Sequence[str] = ()
    ) -> AsyncIterator[str]:
        """The ids of what is found."""
        async for thing in self.things(query, fields="thingId", namespaces=namespaces, sort=sort):
            yield thing["thingId"]

    async def first(
        self, query: str | None = None, *, sort: Sequence[str] = (), fields: str | None = None
    ) -> Any:
        """The first that is found; None if nothing is."""
        page = await self.page(query, sort=sort, fields=fields, size=1)
        return page.items[0] if page.items else None

    async def count(self, query: str | None = None, *, namespaces: Sequence[str] = ()) -> int:
        """How many there are."""
        form = search_form(query=query, namespaces=namespaces)
        answer = await self._node.send(_request(f"{SEARCH}/count", form))
        return converted(answer.url, answer.json(), int)

    async def frame(
        self,
        columns: Mapping[str, str] | Sequence[str],
        query: str | None = None,
        *,
        namespaces: Sequence[str] = (),
        sort: Sequence[str] = (),
    ) -> Any:
        """What is found as a pandas DataFrame: a row for each thing, by its id.

        Args:
            columns: paths, or name to path: ``{"temp": "features/t/properties/value"}``.
            query: as for `things`.
            namespaces: only in these.
            sort: order of the rows.

        Needs ``pip install 'littoral[dataframe]'``.
        """
        paths = frames.columns_of(columns)
        fields = ["thingId", *paths.values()]
        found = self.things(query, fields=fields, namespaces=namespaces, sort=sort)
        rows = [thing async for thing in found]
        return frames.of_things(rows, paths)


def _request(path: str, form: Mapping[str, str]) -> Request:
    if len(form.get("filter", "")) <= QUERY_CHARS_MAX:
        return Request("GET", path, form)
    return Request("POST", path, {}, {"content-type": _FORM}, urlencode(form).encode())
