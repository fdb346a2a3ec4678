"""The client itself: one method per thing that a person or a program asks a node."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import quote

import httpx
import msgspec

from littoral.client.errors import ApiError, StreamEnded
from littoral.client.events import parse_events
from littoral.client.model import (
    ApplyResult,
    DeviceInfo,
    MessageReply,
    SiteInfo,
    TenantInfo,
    TokenInfo,
)
from littoral.client.transport import DEFAULT_URL, Transport, converted, decoded, error_of

APPLY_MANIFESTS_MAX = 500
"""Manifests in one request of `Client.apply`: answers come while the rest is still being read."""

APPLY_BYTES_MAX = 4 * 1024 * 1024
APPLY_SILENCE_S = 300.0
"""Passwords in plain text cost the node tens of milliseconds each."""

PAGE = 200
_MERGE = "application/merge-patch+json"
_V1 = "/api/littoral/v1"

T = TypeVar("T")


class Client:
    """A node, as seen by one user. Use it in a ``with`` block, or close it.

    Args:
        url: where the node's HTTP door is.
        user: name for HTTP Basic; empty for none.
        password: its password.
        transport: what carries the requests, for tests and tunnels.

    Every method raises `ApiError` if the node refuses and `Unreachable` if nobody answers.
    """

    def __init__(
        self,
        url: str = DEFAULT_URL,
        *,
        user: str = "",
        password: str = "",
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._node = Transport(url, user, password, transport)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections. Idempotent."""
        self._node.close()

    # -- things -------------------------------------------------------------------------------

    def get_thing(
        self,
        thing_id: str,
        path: str = "/",
        *,
        fields: str | None = None,
        at_revision: int | None = None,
    ) -> Any:
        """What is at ``path`` of a thing, as JSON; ``fields`` selects as Ditto's selector does."""
        params: dict[str, str | int] = {}
        if fields is not None:
            params["fields"] = fields
        if at_revision is not None:
            params["at-historical-revision"] = at_revision
        return self._json("GET", _thing(thing_id, path), params=params)

    def put_thing(self, thing_id: str, value: object, path: str = "/") -> bool:
        """Create or replace what is at ``path``; True if it was created."""
        return self._node.request("PUT", _thing(thing_id, path), body=value).status_code == 201

    def patch_thing(self, thing_id: str, patch: object, path: str = "/") -> bool:
        """Merge ``patch`` at ``path`` (RFC 7396: null deletes); True if something was created."""
        headers = {"content-type": _MERGE}
        response = self._node.request("PATCH", _thing(thing_id, path), body=patch, headers=headers)
        return response.status_code == 201

    def delete_thing(self, thing_id: str, path: str = "/") -> None:
        """Delete a thing, or what is at ``path`` of it."""
        self._node.request("DELETE", _thing(thing_id, path))

    def get_things(self, ids: Sequence[str], *, fields: str | None = None) -> list[Any]:
        """Several things at once, in the order of ``ids``; those not visible are left out."""
        found: list[Any] = []
        for start in range(0, len(ids), PAGE // 4):
            some = ids[start : start + PAGE // 4]
            params: dict[str, str | int] = {"ids": ",".join(some)}
            if fields is not None:
                params["fields"] = fields
            found += self._json("GET", "/api/2/things", params=params)
        return found

    def thing_ids(self, *, namespaces: Sequence[str] = ()) -> Iterator[str]:
        """Ids of all things that the user may see, in order, page by page."""
        params = {"namespaces": ",".join(namespaces)} if namespaces else {}
        return self._pages(f"{_V1}/things", params, str)

    # -- policies -----------------------------------------------------------------------------

    def get_policy(self, policy_id: str) -> Any:
        """A policy, as JSON."""
        return self._json("GET", f"/api/2/policies/{quote(policy_id, safe=':')}")

    def put_policy(self, policy_id: str, document: object) -> bool:
        """Create or replace a policy; True if it was created."""
        path = f"/api/2/policies/{quote(policy_id, safe=':')}"
        return self._node.request("PUT", path, body=document).status_code == 201

    def delete_policy(self, policy_id: str) -> None:
        """Delete a policy."""
        self._node.request("DELETE", f"/api/2/policies/{quote(policy_id, safe=':')}")

    # -- live ---------------------------------------------------------------------------------

    def send_message(
        self,
        thing_id: str,
        subject: str,
        payload: object = None,
        *,
        content_type: str = "application/json",
        feature: str | None = None,
        direction: str = "inbox",
        timeout_s: float = 10.0,
    ) -> MessageReply:
        """Send a message to a thing (or one of its features) and wait for its answer.

        ``payload`` is JSON-able, or bytes for any other ``content_type``; None is none. A
        ``timeout_s`` of 0 wants no answer (status 202 comes back); 60 is the most.

        Raises:
            ApiError: the node refuses, or nobody answers in time (``command.timeout``). A status
                that the device itself chose is no error: it is in the reply.
        """
        part = f"/features/{quote(feature, safe='')}" if feature is not None else ""
        path = f"{_thing(thing_id, '/')}{part}/{direction}/messages/{quote(subject)}"
        if isinstance(payload, bytes):
            content = payload
        else:
            content = b"" if payload is None else msgspec.json.encode(payload)
        response = self._node.request(
            "POST",
            path,
            params={"timeout": f"{int(timeout_s * 1000)}ms"},
            content=content,
            headers={"content-type": content_type},
            refuse=False,
        )
        refused = _refusal(response)
        if refused is not None:
            raise refused
        return MessageReply(
            status=response.status_code,
            payload=response.content,
            content_type=response.headers.get("content-type", ""),
        )

    def watch(
        self,
        ids: Sequence[str] = (),
        *,
        namespaces: Sequence[str] = (),
        fields: str | None = None,
    ) -> Iterator[Any]:
        """Changes of things as partial things, as they are committed; ends by `StreamEnded`.

        A reader that is too slow loses changes: it then gets ``{"_dropped": <how many>}``.
        """
        params: dict[str, str | int] = {}
        if ids:
            params["ids"] = ",".join(ids)
        if namespaces:
            params["namespaces"] = ",".join(namespaces)
        if fields is not None:
            params["fields"] = fields
        headers = {"accept": "text/event-stream"}
        with self._node.lines("GET", "/api/2/things", params=params, headers=headers) as lines:
            for what, text in parse_events(lines):
                if what == "data":
                    yield decoded(self._node.url, text.encode())
                elif text.startswith("dropped "):
                    yield {"_dropped": int(text.split()[1])}
        raise StreamEnded("the node ended the stream.", hint="Begin it again.")

    # -- administration -----------------------------------------------------------------------

    def apply(self, manifests: Iterable[Mapping[str, object]]) -> Iterator[ApplyResult]:
        """Declare objects; give a result for each, in order, while later ones are still read.

        A manifest that is refused does not stop those after it. Applying again changes nothing.
        """
        lines: list[bytes] = []
        size = 0
        for manifest in manifests:
            line = msgspec.json.encode(manifest)
            if lines and (len(lines) >= APPLY_MANIFESTS_MAX or size + len(line) > APPLY_BYTES_MAX):
                yield from self._apply(lines)
                lines, size = [], 0
            lines.append(line)
            size += len(line)
        if lines:
            yield from self._apply(lines)

    def _apply(self, lines: list[bytes]) -> Iterator[ApplyResult]:
        seen = 0
        with self._node.lines(
            "POST",
            f"{_V1}/apply",
            content=b"\n".join(lines),
            headers={"content-type": "application/x-ndjson"},
            silence_s=APPLY_SILENCE_S,
        ) as answers:
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
        return list(self._pages(f"{_V1}/tenants", {}, TenantInfo))

    def devices(self, tenant: str | None = None) -> Iterator[DeviceInfo]:
        """Devices of a tenant, or of all, page by page."""
        names = [tenant] if tenant is not None else [one.id for one in self.tenants()]
        for name in names:
            yield from self._pages(f"{_V1}/devices", {"tenant": name}, DeviceInfo)

    def sites(self) -> list[SiteInfo]:
        """All sites, with what is known of their links."""
        return list(self._pages(f"{_V1}/sites", {}, SiteInfo))

    def issue_token(self, site: str, tenants: Sequence[str], *, ttl_s: int = 3600) -> TokenInfo:
        """Make a one-time token with which a new site enrols; its secret is shown this once."""
        body = {"site": site, "tenants": list(tenants), "ttlS": ttl_s}
        return converted(self._node.url, self._json("POST", f"{_V1}/tokens", body=body), TokenInfo)

    def status(self) -> Any:
        """Everything a node tells about itself: log, links, parts."""
        return self._json("GET", f"{_V1}/status")

    def whoami(self) -> Any:
        """The subjects as which the node knows this user."""
        return self._json("GET", "/api/2/whoami")

    def is_healthy(self) -> bool:
        """Whether the node says that it is up. Raises `Unreachable` if nobody answers."""
        return self._node.request("GET", "/health", refuse=False).status_code == 200

    def _json(self, method: str, path: str, **more: Any) -> Any:
        return decoded(self._node.url, self._node.request(method, path, **more).content)

    def _pages(self, path: str, params: Mapping[str, str], item: type[T]) -> Iterator[T]:
        after = ""
        while True:
            page = self._json("GET", path, params={**params, "after": after, "limit": PAGE})
            yield from converted(self._node.url, page["items"], list[item])  # type: ignore[valid-type]
            after = page.get("next") or ""
            if not after:
                return


def _thing(thing_id: str, path: str) -> str:
    base = f"/api/2/things/{quote(thing_id, safe=':')}"
    return base if path in {"", "/"} else f"{base}/{quote(path.strip('/'), safe='/:~')}"


def _refusal(response: httpx.Response) -> ApiError | None:
    """The node's own refusal of a message; a device's answer is none, whatever its status."""
    if response.status_code < 400 or response.headers.get("littoral-answered-by") == "thing":
        return None
    return error_of(response.status_code, response.content, response.headers)
