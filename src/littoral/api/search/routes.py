"""/api/2/search/things: pages of hits, their number, and all of them as events."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from urllib.parse import parse_qsl

from littoral import rql
from littoral.api.errors import MethodNotAllowed, RouteMissing, SearchMissing, UnsupportedMediaType
from littoral.api.http import Answer, Request, Stream, json_answer
from littoral.api.model import BODY_BYTES_MAX
from littoral.api.parts import ApiParts
from littoral.api.search.pages import shown
from littoral.api.streams import EVENT_STREAM, HEARTBEAT
from littoral.kernel import json
from littoral.kernel.errors import InvalidHeader
from littoral.kernel.ids import parse_thing_id
from littoral.search import Page, Search, SearchQuery, parse_namespaces
from littoral.twin import Caller
from littoral.twin import fields as selectors

FORM = "application/x-www-form-urlencoded"

_FORM_FIELDS_MAX = 8


class SearchRoutes:
    """What answers below ``search``.

    Args:
        parts: of the node.
        extended: whether filters may use Littoral's own operators.
    """

    def __init__(self, parts: ApiParts, *, extended: bool = False) -> None:
        self._search = parts.search
        self._twins = parts.twins
        self._extended = extended

    async def handle(
        self, request: Request, caller: Caller, rest: tuple[str, ...]
    ) -> Answer | Stream:
        """Answer a request; raises what `Search.page` raises, and `SearchMissing`."""
        if rest not in {("things",), ("things", "count")}:
            raise RouteMissing("there is nothing at this address.", hint="Use /search/things.")
        if request.method not in {"GET", "HEAD", "POST"}:
            raise MethodNotAllowed(request.method, ("GET", "POST"))
        search = searching(self._search)
        given = await _form(request) if request.method == "POST" else request.query
        query = query_of(given, extended=self._extended)
        if rest == ("things", "count"):
            return json_answer(await search.count(caller, query))
        selected = given.get("fields")
        tree = None if selected is None else selectors.parse(selected)
        if request.method == "GET" and request.accepts(EVENT_STREAM):
            return await self._stream(search, request, caller, query, tree)
        page = await search.page(caller, query)
        body: dict[str, object] = {
            "items": await shown(self._twins, caller, page.ids, tree),
        }
        if page.cursor is not None:
            body["cursor"] = page.cursor
        if page.next_offset is not None:
            body["nextPageOffset"] = page.next_offset
        return json_answer(body)

    async def _stream(
        self,
        search: Search,
        request: Request,
        caller: Caller,
        query: SearchQuery,
        tree: selectors.Fields | None,
    ) -> Stream:
        """All hits as events, each with its thing's id, from which the caller may go on later."""
        if query.options.cursor is not None or query.options.limit is not None:
            raise rql.InvalidOption("events of a search have the options size and sort only.")
        last = request.headers.get("last-event-id")
        if last:
            query = replace(query, resume=parse_thing_id(last))
        # What is wrong with the search is said before the first byte.
        first = await search.page(caller, query)

        async def pieces() -> AsyncIterator[bytes]:
            page, rest = first, replace(query, resume="")
            yield HEARTBEAT
            while True:
                texts = await self._events(caller, page, tree)
                if texts:
                    yield texts
                if page.cursor is None:
                    return
                rest = replace(rest, options=replace(rest.options, cursor=page.cursor))
                page = await search.page(caller, rest)

        return Stream(pieces(), EVENT_STREAM)

    async def _events(self, caller: Caller, page: Page, tree: selectors.Fields | None) -> bytes:
        texts: list[bytes] = []
        for thing_id in page.ids:
            found = await shown(self._twins, caller, (thing_id,), tree)
            texts += [b"id:%s\ndata:%s\n\n" % (thing_id.encode(), json.encode(x)) for x in found]
        return b"".join(texts)


def searching(search: Search | None) -> Search:
    """The node's search; raise `SearchMissing` if it has none."""
    if search is None:
        raise SearchMissing("this node keeps no search index.", hint="Ask the cloud's node.")
    return search


def query_of(given: Mapping[str, str], *, extended: bool = False) -> SearchQuery:
    """Read ``filter``, ``namespaces`` and ``option``.

    Raises:
        InvalidExpression, InvalidOption, InvalidNamespaces.
    """
    text, option = given.get("filter"), given.get("option")
    return SearchQuery(
        rql.parse(text, extended=extended) if text else None,
        parse_namespaces(given.get("namespaces") or None),
        rql.parse_options(option) if option else rql.Options(),
    )


async def _form(request: Request) -> dict[str, str]:
    """The fields of a form, which a search may be too long for a URI in."""
    media_type = request.media_type if "content-type" in request.headers else FORM
    if media_type != FORM:
        raise UnsupportedMediaType(f"a search is sent as {FORM}, not as {media_type[:80]}.")
    body = await request.body(BODY_BYTES_MAX)
    try:
        pairs = parse_qsl(
            body.decode("ascii"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=_FORM_FIELDS_MAX,
        )
    except ValueError as e:
        raise InvalidHeader("the form cannot be read.", hint="Encode it in UTF-8.") from e
    return dict(pairs)
