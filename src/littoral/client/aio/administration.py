"""The registry, sites, users and keys. For administrators."""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import TypeVar
from urllib.parse import quote

from littoral.client.answers import converted, decoded
from littoral.client.errors import StreamEnded
from littoral.client.http import AsyncHttpTransport
from littoral.client.model import (
    ApiKeyInfo,
    ApplyResult,
    DeviceInfo,
    Incident,
    SiteInfo,
    TenantInfo,
    TokenInfo,
    UserInfo,
)
from littoral.client.requests import V1, Request, encoded

APPLY_MANIFESTS_MAX = 500
"""Manifests in one request of `AsyncAdministration.apply`: answers come while the rest is read."""

APPLY_BYTES_MAX = 4 * 1024 * 1024
APPLY_SILENCE_S = 300.0
"""Passwords in plain text cost the node tens of milliseconds each."""

PAGE = 200

T = TypeVar("T")


class AsyncAdministration:
    """``/api/littoral/v1``."""

    def __init__(self, node: AsyncHttpTransport) -> None:
        self._node = node

    async def apply(self, manifests: Iterable[Mapping[str, object]]) -> AsyncIterator[ApplyResult]:
        """Declare objects; give a result for each, in order, while later ones are still read.

        A manifest that is refused does not stop those after it. Applying again changes nothing.
        """
        lines: list[bytes] = []
        size = 0
        for manifest in manifests:
            line = encoded(manifest)
            if lines and (len(lines) >= APPLY_MANIFESTS_MAX or size + len(line) > APPLY_BYTES_MAX):
                async for result in self._apply(lines):
                    yield result
                lines, size = [], 0
            lines.append(line)
            size += len(line)
        if lines:
            async for result in self._apply(lines):
                yield result

    async def _apply(self, lines: list[bytes]) -> AsyncIterator[ApplyResult]:
        seen = 0
        request = Request(
            "POST",
            f"{V1}/apply",
            headers={"content-type": "application/x-ndjson"},
            content=b"\n".join(lines),
        )
        async with self._node.lines(request, silence_s=APPLY_SILENCE_S) as answers:
            async for answer in answers:
                if answer:
                    seen += 1
                    yield decoded(self._node.url, answer.encode(), ApplyResult)
        if seen < len(lines):
            raise StreamEnded(
                f"the node answered {seen} of {len(lines)} manifests.", hint="Apply them again."
            )

    async def tenants(self) -> list[TenantInfo]:
        """All tenants."""
        return [one async for one in self._pages("tenants", {}, TenantInfo)]

    async def devices(self, tenant: str | None = None) -> AsyncIterator[DeviceInfo]:
        """Devices of a tenant, or of all, page by page."""
        names = [tenant] if tenant is not None else [one.id for one in await self.tenants()]
        for name in names:
            async for device in self._pages("devices", {"tenant": name}, DeviceInfo):
                yield device

    async def sites(self) -> list[SiteInfo]:
        """All sites, with what is known of their links."""
        return [one async for one in self._pages("sites", {}, SiteInfo)]

    async def incidents(self, kind: str = "", *, thing: str = "") -> AsyncIterator[Incident]:
        """Writes that lost to others, dropped records, roll-backs of a log: oldest first.

        Args:
            kind: ``conflict``, ``loss``, ``gap`` or ``rollback``; empty: all.
            thing: only of the thing with this id.
        """
        asked = {"kind": kind, "thing": thing}
        params = {name: text for name, text in asked.items() if text}
        async for incident in self._pages("incidents", params, Incident):
            yield incident

    async def delete_tenant(self, tenant: str) -> None:
        """Remove a tenant that has no devices."""
        await self._delete("tenants", tenant)

    async def delete_device(self, tenant: str, device: str) -> None:
        """Remove a device; its thing stays."""
        await self._delete("devices", tenant, device)

    async def delete_site(self, site: str) -> None:
        """Remove a site."""
        await self._delete("sites", site)

    async def issue_token(
        self, site: str, tenants: Sequence[str], *, ttl_s: int = 3600
    ) -> TokenInfo:
        """Make a one-time token with which a new site enrols; its secret is shown this once."""
        body = {"site": site, "tenants": list(tenants), "ttlS": ttl_s}
        return await self._asked("POST", "tokens", body, TokenInfo)

    async def api_keys(self) -> list[ApiKeyInfo]:
        """All API keys, without their secrets."""
        return [one async for one in self._pages("apikeys", {}, ApiKeyInfo)]

    async def api_key(self, key_id: str) -> ApiKeyInfo:
        """An API key, without its secret."""
        return await self._one("apikeys", key_id, ApiKeyInfo)

    async def issue_api_key(
        self,
        subjects: Sequence[str],
        *,
        roles: Sequence[str] = (),
        comment: str = "",
        ttl_s: int | None = None,
    ) -> ApiKeyInfo:
        """Make an API key; its secret, ``key``, is shown this once."""
        body: dict[str, object] = {"subjects": list(subjects), "comment": comment, "ttlS": ttl_s}
        if roles:
            body["roles"] = list(roles)
        return await self._asked("POST", "apikeys", body, ApiKeyInfo)

    async def revoke_api_key(self, key_id: str) -> None:
        """End an API key."""
        await self._delete("apikeys", key_id)

    async def users(self) -> list[UserInfo]:
        """All users."""
        return [one async for one in self._pages("users", {}, UserInfo)]

    async def user(self, name: str) -> UserInfo:
        """A user."""
        return await self._one("users", name, UserInfo)

    async def put_user(
        self, name: str, password: str, *, roles: Sequence[str] = ("user",)
    ) -> UserInfo:
        """Create a user, or give a user another password and other roles."""
        body = {"password": password, "roles": list(roles)}
        return await self._asked("PUT", f"users/{quote(name, safe='')}", body, UserInfo)

    async def delete_user(self, name: str) -> None:
        """Remove a user."""
        await self._delete("users", name)

    async def _one(self, kind: str, name: str, model: type[T]) -> T:
        answer = await self._node.send(Request("GET", f"{V1}/{kind}/{quote(name, safe='')}"))
        return converted(answer.url, answer.json(), model)

    async def _asked(self, method: str, path: str, body: object, kind: type[T]) -> T:
        headers = {"content-type": "application/json"}
        request = Request(method, f"{V1}/{path}", headers=headers, content=encoded(body))
        answer = await self._node.send(request)
        return converted(answer.url, answer.json(), kind)

    async def _delete(self, *names: str) -> None:
        path = "/".join(quote(name, safe="") for name in names)
        await self._node.send(Request("DELETE", f"{V1}/{path}"))

    async def _pages(self, name: str, params: Mapping[str, str], item: type[T]) -> AsyncIterator[T]:
        after = ""
        while True:
            asked: dict[str, str | int] = {**params, "after": after, "limit": PAGE}
            answer = await self._node.send(Request("GET", f"{V1}/{name}", asked))
            page = answer.json()
            for one in converted(answer.url, page["items"], list[object]):
                yield converted(answer.url, one, item)
            after = page.get("next") or ""
            if not after:
                return
