"""Many things in one answer: by their ids, or page by page in the order of ids."""

import base64
import binascii
import re
from collections.abc import Sequence
from urllib.parse import quote

from littoral.api.answers import Answer, json_answer
from littoral.api.model import IDS_MAX, PAGE_DEFAULT, SCAN_IDS_MAX
from littoral.api.request import Request
from littoral.api.special import special_members
from littoral.kernel.errors import InvalidHeader, Kind, LittoralError
from littoral.kernel.ids import parse_thing_id
from littoral.twin import Caller, Twins
from littoral.twin import fields as selectors

_OPTION = re.compile(r"(size|cursor)\(([^()]*)\)")


class ThingListing:
    """GET /api/2/things."""

    def __init__(self, twins: Twins) -> None:
        self._twins = twins

    async def answer(self, request: Request, caller: Caller) -> Answer:
        """The things that are asked for and that the caller may see, in the order asked.

        Without ``ids``: a page in the order of ids, with a ``Link`` to the next if there is one.
        """
        selected = request.query.get("fields")
        tree = selectors.parse(selected) if selected is not None else None
        ids = request.query.get("ids")
        if ids is not None:
            wanted = [parse_thing_id(one) for one in ids.split(",") if one]
            if len(wanted) > IDS_MAX:
                raise InvalidHeader(f"at most {IDS_MAX} ids in one request.")
            return json_answer(await self._read(caller, wanted, tree, IDS_MAX))
        size, after = parse_option(request.query.get("option"))
        names = request.query.get("namespaces")
        namespaces = None if names is None else [n for n in names.split(",") if n]
        page: list[object] = []
        scanned = 0
        more = True
        while more and len(page) < size and scanned < SCAN_IDS_MAX:
            found = self._twins.list_ids(after=after, limit=size, namespaces=namespaces)
            more = len(found) == size
            for one in found:
                if len(page) == size:
                    more = True
                    break
                scanned += 1
                after = one
                page += await self._read(caller, [one], tree, 1)
        answer = json_answer(page)
        if more:
            cursor = base64.urlsafe_b64encode(after.encode()).decode()
            target = f"/api/2/things?option=size({size}),cursor({quote(cursor)})"
            if names is not None:
                target += f"&namespaces={quote(names)}"
            if selected is not None:
                target += f"&fields={quote(selected)}"
            answer.headers["link"] = f'<{target}>; rel="next"'
        return answer

    async def _read(
        self, caller: Caller, ids: Sequence[str], tree: selectors.Fields | None, limit: int
    ) -> list[object]:
        things: list[object] = []
        for one in ids[:limit]:
            try:
                view = await self._twins.retrieve(caller, one)
            except LittoralError as e:
                if e.kind is not Kind.MISSING:
                    raise
                continue
            value = view.value
            if tree is not None and isinstance(value, dict):
                value = selectors.select(value | special_members(one, view), tree)
            things.append(value)
        return things


def parse_option(text: str | None) -> tuple[int, str]:
    """Read ``size(n),cursor(c)``; return the size and the id to go on after."""
    size, after = PAGE_DEFAULT, ""
    rest = text or ""
    for name, value in _OPTION.findall(rest):
        if name == "size":
            if not (value.isdigit() and len(value) < 9 and 1 <= int(value) <= IDS_MAX):
                raise InvalidHeader(f"size is a number from 1 to {IDS_MAX}.")
            size = int(value)
        else:
            try:
                after = base64.b64decode(value, altchars=b"-_", validate=True).decode()
            except (binascii.Error, ValueError) as e:
                raise InvalidHeader("the cursor is not one of this API.") from e
    if _OPTION.sub("", rest).strip(", "):
        raise InvalidHeader(
            f"the option {rest[:80]!r} is not known here.", hint="Use size(n) and cursor(c)."
        )
    return size, after
