"""Asks nodes how they are, while nobody waits for the answer."""

import base64

import httpx
import msgspec

from littoral.app.bench.node import ADMIN, NodeProcess

TIMEOUT_S = 1.0
MESSAGE_TIMEOUT_S = 3.0


class LinkView(msgspec.Struct, frozen=True):
    """One link as one of its ends tells it."""

    link: bool = False
    session: bool = False
    flow: bool = False
    fresh_ms: float | None = None
    backlog_records: int = 0
    autonomy_h: float | None = None
    applied_records: int = 0
    fill_per_s: float = 0.0


class LogView(msgspec.Struct, frozen=True):
    """A node's log: the newest record that is durable."""

    committed: int = 0


class NodeStatus(msgspec.Struct, frozen=True):
    """What ``/api/littoral/v1/status`` says, as far as it is shown or measured here."""

    log: LogView
    links: dict[str, LinkView] = {}

    @property
    def uplink(self) -> LinkView | None:
        """A site's only link."""
        return next(iter(self.links.values()), None)


class _Device(msgspec.Struct, frozen=True):
    id: str


class _Devices(msgspec.Struct, frozen=True):
    items: tuple[_Device, ...]
    next: str


class Observer:
    """HTTP as the administrator, with one connection per node kept open."""

    def __init__(self) -> None:
        token = base64.b64encode(":".join(ADMIN).encode()).decode()
        self._http = httpx.AsyncClient(
            timeout=TIMEOUT_S, headers={"Authorization": f"Basic {token}"}, trust_env=False
        )

    async def close(self) -> None:
        await self._http.aclose()

    async def is_ready(self, node: NodeProcess) -> bool:
        """Whether the node serves."""
        try:
            answer = await self._http.get(f"{node.url}/readyz")
        except httpx.HTTPError:
            return False
        return answer.status_code == 200

    async def has_device(self, node: NodeProcess, tenant: str, name: str) -> bool:
        """Whether the node knows the device: the registry has come down the link."""
        listing = f"{node.url}/api/littoral/v1/devices?tenant={tenant}&limit=200"
        after = ""
        while True:
            try:
                answer = await self._http.get(f"{listing}&after={after}")
            except httpx.HTTPError:
                return False
            if answer.status_code != 200:
                return False
            page = msgspec.json.decode(answer.content, type=_Devices)
            if any(item.id == name for item in page.items):
                return True
            if not page.next:
                return False
            after = page.next

    async def status(self, node: NodeProcess) -> NodeStatus | None:
        """The node's own account of itself; None if it gives none now."""
        try:
            answer = await self._http.get(f"{node.url}/api/littoral/v1/status")
        except httpx.HTTPError:
            return None
        if answer.status_code != 200:
            return None
        return msgspec.json.decode(answer.content, type=NodeStatus)

    async def send(self, node: NodeProcess, thing_id: str, subject: str) -> bool:
        """Send a message to a device through the node; whether it answered."""
        path = f"/api/2/things/{thing_id}/inbox/messages/{subject}"
        try:
            answer = await self._http.post(
                f"{node.url}{path}?timeout={MESSAGE_TIMEOUT_S:g}s",
                json={},
                timeout=2 * MESSAGE_TIMEOUT_S,
            )
        except httpx.HTTPError:
            return False
        return answer.is_success
