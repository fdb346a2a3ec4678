"""What the link needs: a transport from the world, and four small views of the floors below.

For whoever writes a virtual transport: a `FrameChannel` keeps frames whole and in order, may be
cut at any moment (both ends then raise `ChannelClosed`, frames on the way may vanish), and slows
`send` down when the other side does not read. Nothing else is assumed.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from littoral.kernel.errors import LittoralError
from littoral.kernel.ids import NodeId, Origin
from littoral.log import ClassUsage, Cursor, Headers, LogStatistics, Opened, Record
from littoral.registry import RegistryChange, RegistryTelling
from littoral.twin import Telling


@dataclass(frozen=True, slots=True)
class PeerIdentity:
    """Who is at the other end, as the transport proved it."""

    node: NodeId | None
    """The name in the peer's certificate; None if the transport proves no name."""
    address: str
    certificate: bytes | None = None
    """DER of the certificate that the peer showed; None if it showed none."""


class FrameChannel(Protocol):
    """One connection that carries whole frames, in order."""

    @property
    def peer(self) -> PeerIdentity:
        """Who is at the other end."""
        ...

    async def send(self, frame: bytes) -> None:
        """Send one frame; wait while the transport is full.

        Raises:
            ChannelClosed: the connection is gone; whether the frame arrived is unknown.
        """
        ...

    async def receive(self) -> bytes:
        """The next frame, at most `FRAME_BYTES_MAX` bytes.

        Raises:
            ChannelClosed: the connection is gone, or the peer sent something that is no frame.
        """
        ...

    async def close(self, reason: str = "") -> None:
        """End the connection; idempotent, never raises, waits a bounded time at most."""
        ...


class Dialer(Protocol):
    """The site's way to its cloud."""

    async def dial(self) -> FrameChannel:
        """Connect to the cloud's link listener.

        Raises:
            LinkUnreachable: nobody answered, or the TLS handshake failed; the sentence says which.
        """
        ...


Accept = Callable[[FrameChannel], Awaitable[None]]
"""Serves one connection until it ends; the listener closes the channel when this returns."""


class Listener(Protocol):
    """Where the cloud takes the connections of its sites."""

    async def serve(self, accept: Accept) -> None:
        """Call ``accept`` for every connection, each in a task of its own; run until cancelled.

        On cancellation all channels are closed before this returns.
        """
        ...


class LinkLog(Protocol):
    """What the link uses of `littoral.log.Log`."""

    node: NodeId
    origin: Origin
    opened: Opened
    head: int
    committed: int
    last_hlc: int

    def append(
        self,
        cls: int,
        kind: str,
        entity: str,
        revision: int,
        prev_seq: int,
        path: str,
        value: bytes,
        device_time: int | None = None,
        headers: Headers | None = None,
    ) -> int: ...
    def append_remote(self, record: Record, revision: int, prev_seq: int) -> int: ...
    def high_water(self, origin: Origin, cls: int) -> int: ...
    def raise_high_water(self, origin: Origin, cls: int, oseq: int) -> None: ...
    def put(self, space: str, key: str, value: bytes | None) -> None: ...
    def get(self, space: str, key: str) -> bytes | None: ...
    def scan(
        self, space: str, *, prefix: str = "", after: str = "", limit: int = 1000
    ) -> list[tuple[str, bytes]]: ...
    async def wait(self, seq: int | None = None) -> None: ...
    def on_commit(self, callback: Callable[[LittoralError | None], None]) -> None: ...
    def on_abort(self, hook: Callable[[LittoralError], None]) -> None: ...
    def listen(self, listener: Callable[[Sequence[Record]], None]) -> None: ...
    def read(
        self,
        after: int,
        *,
        limit: int,
        cls: int | None = None,
        origin: Origin | None = None,
    ) -> list[Record]: ...
    def cursor(self, name: str, *, pinned: bool = False, cls: int | None = None) -> Cursor: ...
    def statistics(self) -> LogStatistics: ...
    def usage(self) -> Sequence[ClassUsage]: ...
    def oldest(self, cls: int | None = None) -> int: ...
    def own_dropped(self, cls: int) -> int: ...


class Applies(Protocol):
    """A part that takes replicated records: `Twins` and `Registry`."""

    def apply_remote(self, record: Record) -> object:
        """Take one record of another log into the open batch; never seen before, in order.

        It appends the record itself (`Log.append_remote`), whatever it makes of it.

        Returns:
            False if the record is older than what is known and could not be put in its place.
        """
        ...


class Restamps(Protocol):
    """Who may say anew what it said with a stamp that was too far ahead: `Twins`."""

    def restamp(self, record: Record, headers: Headers) -> None:
        """Append ``record`` as a new one with a stamp of now, and apply it; it is our own."""
        ...


class TellsTwins(Protocol):
    """Things and policies told whole: `Twins`."""

    telling: Telling


class TellsRegistry(Protocol):
    """The registry told whole: `Registry`."""

    telling: RegistryTelling


class AppliesTwins(Applies, Restamps, TellsTwins, Protocol):
    """The twins, as the link sees them."""


class AppliesRegistry(Applies, TellsRegistry, Protocol):
    """The registry, as a site's side of the link sees it."""


class Registered(AppliesRegistry, Protocol):
    """The registry, as the cloud's side of the link sees it."""

    def on_change(self, hook: Callable[[RegistryChange], None]) -> None:
        """Call ``hook`` after every change, before it is committed."""
        ...


@dataclass(frozen=True, slots=True)
class Certificate:
    """What a node's certificate says."""

    node: NodeId
    serial: str
    not_before_ms: int
    not_after_ms: int


class Authority(Protocol):
    """The cloud's own certificate authority."""

    @property
    def certificate(self) -> bytes:
        """Its certificate, DER."""
        ...

    def key_fingerprint(self, request: bytes) -> str:
        """SHA-256 of the key in a signing request (DER), whose own signature is checked first.

        Raises:
            EnrolmentRefused: it is no signing request, its key is too weak, or it is not signed by
                that key.
        """
        ...

    def sign(self, request: bytes, *, site: NodeId, now_ms: int) -> bytes:
        """A client certificate (DER) of ``site`` for the key in ``request``, for 30 days."""
        ...

    def inspect(self, certificate: bytes, *, now_ms: int) -> Certificate:
        """What a client certificate (DER) of ours says.

        Raises:
            CertificateRefused: not issued here, not for a site, or not valid at ``now_ms``.
        """
        ...


@dataclass(frozen=True, slots=True)
class SiteIdentity:
    """Who a site is, and which cloud it trusts: what enrolment leaves at the site."""

    site: NodeId
    url: str
    ca: bytes
    """DER."""
    key: bytes
    """PKCS #8 PEM; made at the site, never leaves it."""
    certificate: bytes
    """DER; empty before the first enrolment is done."""
    not_before_ms: int = 0
    not_after_ms: int = 0


class IdentityStore(Protocol):
    """Where a site keeps its identity; readable by its owner only."""

    def load(self) -> SiteIdentity | None:
        """The identity; None before enrolment began."""
        ...

    def save(self, identity: SiteIdentity) -> None:
        """Replace it, all or nothing, durably."""
        ...


class Smith(Protocol):
    """Makes what a site needs of cryptography; loaded only when that is needed."""

    def new_key(self) -> bytes:
        """A private key, PKCS #8 PEM."""
        ...

    def request(self, key: bytes, *, site: NodeId) -> bytes:
        """A signing request (DER), signed by ``key``."""
        ...

    def check_server(self, leaf: bytes, *, ca: bytes, now_ms: int) -> None:
        """Raise `CloudNotTrusted` unless ``leaf`` is a server's, valid, and issued by ``ca``."""
        ...

    def validity(self, certificate: bytes, *, key: bytes) -> tuple[int, int]:
        """From when to when a certificate (DER) is valid, in ms; raises if it is not for ``key``."""
        ...
