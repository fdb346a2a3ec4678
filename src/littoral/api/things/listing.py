"""Many things in one answer: by their ids, or page by page."""

from urllib.parse import quote

from littoral.api.http import Answer, Request, json_answer
from littoral.api.model import IDS_MAX
from littoral.api.search import query_of, searching, shown
from littoral.kernel.errors import InvalidHeader
from littoral.kernel.ids import parse_thing_id
from littoral.search import Search
from littoral.twin import Caller, Twins
from littoral.twin import fields as selectors


class ThingListing:
    """GET /api/2/things."""

    def __init__(self, twins: Twins, search: Search | None) -> None:
        self._twins = twins
        self._search = search

    async def answer(self, request: Request, caller: Caller) -> Answer:
        """The things that are asked for and that the caller may see, in the order asked.

        Without ``ids`` it is a page of a search, with a ``Link`` to the next if there is one.
        """
        query = request.query
        selected = query.get("fields")
        tree = selectors.parse(selected) if selected is not None else None
        ids = query.get("ids")
        if ids is not None:
            wanted = tuple(dict.fromkeys(parse_thing_id(one) for one in ids.split(",") if one))
            if len(wanted) > IDS_MAX:
                raise InvalidHeader(f"at most {IDS_MAX} ids in one request.")
            return json_answer(await shown(self._twins, caller, wanted, tree))
        search = query_of({name: query[name] for name in ("namespaces", "option") if name in query})
        page = await searching(self._search).page(caller, search)
        answer = json_answer(await shown(self._twins, caller, page.ids, tree))
        if page.cursor is not None:
            option = f"cursor({page.cursor})"
            if search.options.size is not None:
                option = f"size({search.options.size}),{option}"
            following, this = _target(request, option), _target(request, query.get("option"))
            answer.headers["link"] = f'<{following}>; rel="next", <{this}>; rel="canonical"'
        return answer


def _target(request: Request, option: str | None) -> str:
    """The address of a page of the same listing."""
    given = {name: request.query.get(name) for name in ("namespaces", "fields")}
    given["option"] = option
    pairs = [f"{name}={quote(value, safe='(),:/*-_.')}" for name, value in given.items() if value]
    return "/api/2/things" + (f"?{'&'.join(pairs)}" if pairs else "")
