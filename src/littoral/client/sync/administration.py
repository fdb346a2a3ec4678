# Written by docs/unasync.py from littoral.client.aio; change that, then run `make docs`.
"""The registry, sites, users and keys. For administrators."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeVar
from urllib.parse import quote

from littoral.client.answers import converted, decoded
from littoral.client.errors import StreamEnded
from littoral.client.http import HttpTransport
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
"""Manifests in one request of `Administration.apply`: answers come while the rest is read."""

APPLY_BYTES_MAX = 4 * 1024 * 1024
APPLY_SILENCE_S = 300.0
"""Passwords in plain text cost the node tens of milliseconds each."""

PAGE = 200

T = TypeVar("T")


class Administration:
    """``/api/littoral/v1``."""

    def __init__(self, node: HttpTransport) -> None:
        self._node = node

    def apply(self, manifests: Iterable[Mapping[str, object]]) -> Iterator[ApplyResult]:
        """Declare objects; give a result for each, in order, while later ones are still read.

        A manifest that is refused does not stop those after it. Applying again changes nothing.
        """
        lines: list[bytes] = []
        size = 0
        for manifest in manifests:
            line = encoded(manifest)
            if lines and (len(lines) >= APPLY_MANIFESTS_MAX or size + len(line) > APPLY_BYTES_MAX):
                for result in self._apply(lines):
                    yield result
                lines, size = [], 0
            lines.append(line)
            size += len(line)
        if lines:
            for result in self._apply(lines):
                yield result

    def _apply(self, lines: list[bytes]) -> Iterator[ApplyResult]:
        seen = 0
        request = Request(
            "POST",
            f"{V1}/apply",
            headers={"content-type": "application/x-ndjson"},
            content=b"\n".join(lines),
        )
        with self._node.lines(request, silence_s=APPLY_SILENCE_S) as answers:
            for answer in answers:
                if answer:
                    seen += 1
                    yield decoded(self._node.url, answer.encode(), ApplyResult)
        if seen < len(lines):
            raise StreamEnded(
                f"the node answered {seen} of {len(lines)} manifests.", hint="Apply them again."
            )

    def tenants(self) -> list[TenantInfo]:
        """All tenants."""
        return [one for one in self._pages("tenants", {}, TenantInfo)]

    def devices(self, tenant: str | None = None) -> Iterator[DeviceInfo]:
        """Devices of a tenant, or of all, page by page."""
        names = [tenant] if tenant is not None else [one.id for one in self.tenants()]
        for name in names:
            for device in self._pages("devices", {"tenant": name}, DeviceInfo):
                yield device

    def sites(self) -> list[SiteInfo]:
        """All sites, with what is known of their links."""
        return [one for one in self._pages("sites", {}, SiteInfo)]

    def incidents(self, kind: str = "", *, thing: str = "") -> Iterator[Incident]:
        """Writes that lost to others, dropped records, roll-backs of a log: oldest first.

        Args:
            kind: ``conflict``, ``loss``, ``gap`` or ``rollback``; empty: all.
            thing: only of the thing with this id.
        """
        asked = {"kind": kind, "thing": thing}
        params = {name: text for name, text in asked.items() if text}
        for incident in self._pages("incidents", params, Incident):
            yield incident

    def delete_tenant(self, tenant: str) -> None:
        """Remove a tenant that has no devices."""
        self._delete("tenants", tenant)

    def delete_device(self, tenant: str, device: str) -> None:
        """Remove a device; its thing stays."""
        self._delete("devices", tenant, device)

    def delete_site(self, site: str) -> None:
        """Remove a site."""
        self._delete("sites", site)

    def issue_token(self, site: str, tenants: Sequence[str], *, ttl_s: int = 3600) -> TokenInfo:
        """Make a one-time token with which a new site enrols; its secret is shown this once."""
        body = {"site": site, "tenants": list(tenants), "ttlS": ttl_s}
        return self._asked("POST", "tokens", body, TokenInfo)

    def api_keys(self) -> list[ApiKeyInfo]:
        """All API keys, without their secrets."""
        return [one for one in self._pages("apikeys", {}, ApiKeyInfo)]

    def api_key(self, key_id: str) -> ApiKeyInfo:
        """An API key, without its secret."""
        return self._one("apikeys", key_id, ApiKeyInfo)

    def issue_api_key(
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
        return self._asked("POST", "apikeys", body, ApiKeyInfo)

    def revoke_api_key(self, key_id: str) -> None:
        """End an API key."""
        self._delete("apikeys", key_id)

    def users(self) -> list[UserInfo]:
        """All users."""
        return [one for one in self._pages("users", {}, UserInfo)]

    def user(self, name: str) -> UserInfo:
        """A user."""
        return self._one("users", name, UserInfo)

    def put_user(self, name: str, password: str, *, roles: Sequence[str] = ("user",)) -> UserInfo:
        """Create a user, or give a user another password and other roles."""
        body = {"password": password, "roles": list(roles)}
        return self._asked("PUT", f"users/{quote(name, safe='')}", body, UserInfo)

    def delete_user(self, name: str) -> None:
        """Remove a user."""
        self._delete("users", name)

    def _one(self, kind: str, name: str, model: type[T]) -> T:
        answer = self._node.send(Request("GET", f"{V1}/{kind}/{quote(name, safe='')}"))
        return converted(answer.url, answer.json(), model)

    def _asked(self, method: str, path: str, body: object, kind: type[T]) -> T:
        headers = {"content-type": "application/json"}
        request = Request(method, f"{V1}/{path}", headers=headers, content=encoded(body))
        answer = self._node.send(request)
        return converted(answer.url, answer.json(), kind)

    def _delete(self, *names: str) -> None:
        path = "/".join(quote(name, safe="") for name in names)
        self._node.send(Request("DELETE", f"{V1}/{path}"))

    def _pages(self, name: str, params: Mapping[str, str], item: type[T]) -> Iterator[T]:
        after = ""
        while True:
            asked: dict[str, str | int] = {**params, "after": after, "limit": PAGE}
            answer = self._node.send(Request("GET", f"{V1}/{name}", asked))
            page = answer.json()
            for one in converted(answer.url, page["items"], list[object]):
                yield converted(answer.url, one, item)
            after = page.get("next") or ""
            if not after:
                return
