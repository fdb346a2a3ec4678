"""API keys over HTTP: made, listed and revoked by administrators."""

from typing import Annotated

import msgspec

from littoral.api.errors import InvalidManifest, MethodNotAllowed
from littoral.api.http import Answer, Request, empty_answer, json_answer
from littoral.api.model import BODY_BYTES_MAX, PAGES_MAX
from littoral.api.parts import ApiParts
from littoral.kernel import time as instants
from littoral.registry import ApiKey, NotRegistered, Role

_Text = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]


class ApiKeyRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """Body of POST /apikeys."""

    subjects: list[_Text]
    """As policies name them; the first is the default subject."""
    roles: list[Role] = []
    comment: Annotated[str, msgspec.Meta(max_length=256)] = ""
    ttl_s: Annotated[int, msgspec.Meta(ge=1)] | None = None
    """None: it does not end by itself."""


class ApiKeyRoutes:
    """Handles what comes after /api/littoral/v1/apikeys; the caller is an administrator."""

    def __init__(self, parts: ApiParts) -> None:
        self._registry = parts.registry
        self._log = parts.log
        self._clock = parts.clock

    async def handle(self, request: Request, rest: tuple[str, ...]) -> Answer:
        """Answer a request; ``rest`` are the segments after ``apikeys``."""
        match request.method, rest:
            case "GET" | "HEAD", ():
                return self._page(request)
            case "POST", ():
                return await self._issue(request)
            case "GET" | "HEAD", (key_id,):
                found = self._registry.api_keys.find(key_id)
                if found is None:
                    raise NotRegistered(f"there is no API key {key_id[:64]!r}.")
                return json_answer(_shown(found))
            case "DELETE", (key_id,):
                self._registry.api_keys.revoke(key_id)
                await self._log.wait()
                return empty_answer(204)
            case _:
                raise MethodNotAllowed(request.method, ("GET", "DELETE" if rest else "POST"))

    def _page(self, request: Request) -> Answer:
        after = request.query.get("after", "")
        limit = request.number("limit", low=1, high=PAGES_MAX) or 200
        found = self._registry.api_keys.page(after, limit)
        following = found[-1].id if len(found) == limit else ""
        return json_answer({"items": [_shown(one) for one in found], "next": following})

    async def _issue(self, request: Request) -> Answer:
        body = await request.body(BODY_BYTES_MAX)
        try:
            wanted = msgspec.json.decode(body, type=ApiKeyRequest)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as e:
            raise InvalidManifest(f"this is not a request for an API key: {str(e)[:200]}.") from e
        ends = None if wanted.ttl_s is None else self._clock.now_ms() + wanted.ttl_s * 1000
        issued = self._registry.api_keys.issue(
            wanted.subjects, wanted.roles, comment=wanted.comment, expires_ms=ends
        )
        await self._log.wait()
        answer = json_answer({**_shown(issued.key), "key": issued.text}, status=201)
        answer.headers["location"] = f"/api/littoral/v1/apikeys/{issued.key.id}"
        answer.headers["cache-control"] = "no-store"
        return answer


def _shown(key: ApiKey) -> dict[str, object]:
    return {
        "id": key.id,
        "subjects": key.subjects,
        "roles": key.roles,
        "comment": key.comment,
        "created": instants.render(key.created_ms),
        "expires": None if key.expires_ms is None else instants.render(key.expires_ms),
    }
