"""Users over HTTP: made, listed and removed by administrators."""

from typing import Annotated

import msgspec

from littoral.api.errors import InvalidManifest, MethodNotAllowed, RouteMissing
from littoral.api.http import Answer, Request, empty_answer, json_answer
from littoral.api.model import BODY_BYTES_MAX, PAGES_MAX, PASSWORD_CHARS_MAX, PASSWORD_CHARS_MIN
from littoral.api.parts import ApiParts
from littoral.registry import NotRegistered, Role, User


class UserRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """Body of PUT /users/{name}."""

    password: Annotated[
        str, msgspec.Meta(min_length=PASSWORD_CHARS_MIN, max_length=PASSWORD_CHARS_MAX)
    ]
    roles: tuple[Role, ...] = (Role.USER,)


class UserRoutes:
    """Handles what comes after /api/littoral/v1/users; the caller is an administrator."""

    def __init__(self, parts: ApiParts) -> None:
        self._registry = parts.registry
        self._log = parts.log

    async def handle(self, request: Request, rest: tuple[str, ...]) -> Answer:
        """Answer a request; ``rest`` are the segments after ``users``."""
        match request.method, rest:
            case "GET" | "HEAD", ():
                after = request.query.get("after", "")
                limit = request.number("limit", low=1, high=PAGES_MAX) or 200
                found = self._registry.users(after=after, limit=limit)
                following = found[-1].name if len(found) == limit else ""
                return json_answer({"items": [_shown(u) for u in found], "next": following})
            case "GET" | "HEAD", (name,):
                user = self._registry.user(name)
                if user is None:
                    raise NotRegistered(f"there is no user {name[:128]!r}.")
                return json_answer(_shown(user))
            case "PUT", (name,):
                return await self._set(request, name)
            case "DELETE", (name,):
                self._registry.delete_user(name)
                await self._log.wait()
                return empty_answer(204)
            case _, (_, _, *_):
                raise RouteMissing("there is nothing at this address.", hint="See users/<name>.")
            case _:
                allowed = ("GET", "PUT", "DELETE") if rest else ("GET",)
                raise MethodNotAllowed(request.method, allowed)

    async def _set(self, request: Request, name: str) -> Answer:
        body = await request.body(BODY_BYTES_MAX)
        try:
            wanted = msgspec.json.decode(body, type=UserRequest)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as e:
            if "$.password" in str(e):
                raise InvalidManifest(
                    f"a password has {PASSWORD_CHARS_MIN} to {PASSWORD_CHARS_MAX:,} characters."
                ) from e
            raise InvalidManifest(f"this is not a user: {str(e)[:200]}.") from e
        created = self._registry.user(name) is None
        user = await self._registry.set_user(name, wanted.password, roles=wanted.roles)
        await self._log.wait()
        return json_answer(_shown(user), status=201 if created else 200)


def _shown(user: User) -> dict[str, object]:
    return {"name": user.name, "subjects": sorted(user.subjects), "roles": sorted(user.roles)}
