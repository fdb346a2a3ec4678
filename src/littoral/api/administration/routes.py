"""Littoral's own API, /api/littoral/v1: bulk apply, listings, status, enrolment tokens."""

from collections.abc import Callable, Sequence
from typing import Annotated, TypeVar

import msgspec

from littoral.api.administration.apikeys import ApiKeyRoutes
from littoral.api.administration.apply import Applier
from littoral.api.administration.incidents import IncidentRoutes
from littoral.api.administration.users import UserRoutes
from littoral.api.beyond import NAMES, BeyondRoutes
from littoral.api.errors import InvalidManifest, MethodNotAllowed, RouteMissing
from littoral.api.http import (
    NDJSON,
    Answer,
    Request,
    Stream,
    caller_of,
    empty_answer,
    json_answer,
    require_admin,
)
from littoral.api.messages import MailboxRoutes
from littoral.api.model import BODY_BYTES_MAX, PAGES_MAX, SCAN_IDS_MAX
from littoral.api.parts import ApiParts
from littoral.identity import Identity
from littoral.kernel import time as instants
from littoral.kernel import wire
from littoral.kernel.errors import InvalidHeader
from littoral.log import RecordClass
from littoral.registry import InvalidRegistration, NotRegistered

T = TypeVar("T")

_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]


class TokenRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """Body of POST /tokens."""

    site: _Name
    tenants: Annotated[list[_Name], msgspec.Meta(max_length=256)] | None = None
    ttl_s: Annotated[int, msgspec.Meta(ge=1)] = 3600


class ManagementRoutes:
    """Handles what comes after /api/littoral/v1. Writing is for administrators."""

    def __init__(self, parts: ApiParts) -> None:
        self._parts = parts
        self._applier = Applier(parts)
        self._api_keys = ApiKeyRoutes(parts)
        self._users = UserRoutes(parts)
        self._incidents = IncidentRoutes(parts)
        self._beyond = BeyondRoutes(parts)
        self._mailbox = MailboxRoutes(parts)

    async def handle(
        self, request: Request, identity: Identity, rest: tuple[str, ...]
    ) -> Answer | Stream:
        """Answer a request; ``rest`` are the segments after ``v1``."""
        match rest:
            case ("apply",):
                _only(request, "POST")
                require_admin(identity)
                pieces = self._applier.answers(request, caller_of(identity))
                return Stream(pieces, NDJSON, heeds_hang_up=False)
            case ("tokens",):
                _only(request, "POST")
                require_admin(identity)
                return await self._issue_token(request)
            case (name, *_) if name in NAMES:
                return await self._beyond.handle(request, caller_of(identity), rest)
            case ("apikeys", *below):
                require_admin(identity)
                return await self._api_keys.handle(request, tuple(below))
            case ("users", *below):
                require_admin(identity)
                return await self._users.handle(request, tuple(below))
            case ("incidents",):
                require_admin(identity)
                return await self._incidents.handle(request)
            case ("tenants", _) | ("devices", _, _) | ("sites", _):
                _only(request, "DELETE")
                require_admin(identity)
                return await self._delete(*rest)
            case ("things", thing_id, "mailbox", *below):
                caller = caller_of(identity)
                return await self._mailbox.handle(request, caller, thing_id, tuple(below))
            case ("things" | "policies" | "tenants" | "devices" | "sites" | "status" as name,):
                _only(request, "GET")
                return self._read(name, request, identity)
            case _:
                raise RouteMissing("there is nothing at this address.", hint=f"See {_V1_NAMES}.")

    async def _delete(self, kind: str, *names: str) -> Answer:
        """Remove a tenant without devices, a device (its thing stays), or a site."""
        registry = self._parts.registry
        match kind:
            case "tenants":
                registry.delete_tenant(*names)
            case "devices":
                registry.delete_device(*names)
            case _:
                registry.delete_site(*names)
        await self._parts.log.wait()
        return empty_answer(204)

    def _read(self, name: str, request: Request, identity: Identity) -> Answer:
        if name in ("things", "policies"):
            return self._ids(name, request, identity)
        # The registry and the node's state are nobody's but an administrator's: no policy cuts them.
        require_admin(identity)
        match name:
            case "tenants":
                return self._tenants(request)
            case "devices":
                return self._devices(request)
            case "sites":
                return self._sites(request)
            case _:
                return self._status()

    def _ids(self, kind: str, request: Request, identity: Identity) -> Answer:
        """Ids of the things, or policies, that the user may see."""
        twins, caller = self._parts.twins, caller_of(identity)
        list_ids, may_read = (
            (twins.list_ids, twins.may_read)
            if kind == "things"
            else (twins.policy_ids, twins.may_read_policy)
        )
        names = request.query.get("namespaces")
        namespaces = None if names is None else [n for n in names.split(",") if n]
        after, limit = _page(request)
        items: list[str] = []
        scanned = 0
        while True:
            found = list_ids(after=after, limit=limit, namespaces=namespaces)
            scanned += len(found)
            for one in found:
                if len(items) == limit:
                    return json_answer({"items": items, "next": after})
                after = one
                if caller.unrestricted or may_read(caller, one):
                    items.append(one)
            if len(found) < limit:
                return json_answer({"items": items, "next": ""})
            if scanned >= SCAN_IDS_MAX:
                return json_answer({"items": items, "next": after})

    def _tenants(self, request: Request) -> Answer:
        after, limit = _page(request)
        found = self._parts.registry.tenants(after=after, limit=limit)
        items = [
            {
                "id": one.id,
                "namespaces": one.namespaces,
                "defaultPolicy": one.default_policy,
                "enabled": one.enabled,
            }
            for one in found
        ]
        return _listing(items, limit, lambda item: str(item["id"]))

    def _devices(self, request: Request) -> Answer:
        tenant = request.query.get("tenant")
        if not tenant:
            raise InvalidHeader("devices are listed per tenant.", hint="Add ?tenant=<id>.")
        after, limit = _page(request)
        found = self._parts.registry.devices(tenant, after=after, limit=limit)
        items = [
            {
                "tenant": one.tenant,
                "id": one.id,
                "thingId": one.thing_id,
                "enabled": one.enabled,
            }
            for one in found
        ]
        return _listing(items, limit, lambda item: str(item["id"]))

    def _sites(self, request: Request) -> Answer:
        after, limit = _page(request)
        links = self._parts.link_status()
        found = self._parts.registry.sites(after=after, limit=limit)
        items = [
            {
                "name": one.name,
                "tenants": one.tenants,
                "enrolled": bool(one.keys),
                "revoked": one.revoked,
                "link": links.get(one.name, {}),
            }
            for one in found
        ]
        return _listing(items, limit, lambda item: str(item["name"]))

    def _status(self) -> Answer:
        parts = self._parts
        reason = parts.not_ready()
        classes = [
            {**wire.members(one), "class": RecordClass(one.cls).name.lower()}
            for one in parts.log.usage()
        ]
        return json_answer(
            {
                "node": wire.plain(parts.node),
                "time": instants.render(parts.clock.now_ms()),
                "ready": reason is None,
                "reason": reason or "",
                "log": {**wire.members(parts.log.statistics()), "classes": classes},
                "links": dict(parts.link_status()),
                "parts": {name: wire.plain(source()) for name, source in parts.statistics.items()},
            }
        )

    async def _issue_token(self, request: Request) -> Answer:
        body = await request.body(BODY_BYTES_MAX)
        try:
            wanted = msgspec.json.decode(body, type=TokenRequest)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as e:
            raise InvalidManifest(f"this is not a token request: {str(e)[:200]}.") from e
        parts = self._parts
        if wanted.site == parts.node.name:
            raise InvalidRegistration(
                f"{wanted.site!r} is the name of this node itself, so no site can have it.",
                hint="Give the site a name of its own.",
            )
        for tenant in wanted.tenants or ():
            if parts.registry.tenant(tenant) is None:
                raise NotRegistered(
                    f"there is no tenant {tenant!r} that the site could be given.",
                    hint="Apply the tenant first; littoral get tenants lists them.",
                )
        issued = parts.registry.issue_token(wanted.site, wanted.tenants, ttl_ms=wanted.ttl_s * 1000)
        await parts.log.wait()
        expires_ms = parts.clock.now_ms() + wanted.ttl_s * 1000
        return json_answer(
            {
                "token": parts.token_text(wanted.site, issued.text)
                if parts.token_text is not None
                else issued.text,
                "site": wanted.site,
                "expires": instants.render(expires_ms),
            },
            status=201,
        )


_V1_NAMES = (
    "apikeys, apply, devices, incidents, policies, sites, status, tenants, things, tokens and users"
)


def _only(request: Request, method: str) -> None:
    if request.method != method and not (method == "GET" and request.method == "HEAD"):
        raise MethodNotAllowed(request.method, (method,))


def _page(request: Request) -> tuple[str, int]:
    return request.query.get("after", ""), request.number("limit", low=1, high=PAGES_MAX) or 200


def _listing(items: Sequence[T], limit: int, name: Callable[[T], str]) -> Answer:
    """A page and where the next begins; empty if this was the last."""
    following = name(items[-1]) if len(items) == limit else ""
    return json_answer({"items": items, "next": following})
