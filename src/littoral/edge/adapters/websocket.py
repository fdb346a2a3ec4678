"""The link over TLS with the `websockets` library: one outbound connection from the site.

``/link`` wants a client certificate of our CA, ``/enrol`` gives one. The compression is ours (zstd
over whole batches), so the one of WebSocket stays off; so are its pings.
"""

import asyncio
import http
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException
from websockets.http11 import Request, Response

from littoral.edge.adapters.files import FileIdentity
from littoral.edge.core.token import EnrolmentToken
from littoral.edge.enrolment import Enrolment, ensure_enrolled
from littoral.edge.errors import CertificateRefused, ChannelClosed, LinkUnreachable
from littoral.edge.model import ENROL_BYTES_MAX, FRAME_BYTES_MAX
from littoral.edge.ports import Accept, FrameChannel, PeerIdentity, SiteIdentity, Smith
from littoral.kernel.errors import LittoralError
from littoral.kernel.ids import NodeId
from littoral.kernel.time import Clock

LINK_PATH = "/link"
ENROL_PATH = "/enrol"

OPEN_TIMEOUT_S = 10.0
CLOSE_TIMEOUT_S = 2.0
QUEUE_FRAMES_MAX = 8
"""Frames that are received ahead; more stay in the peer's kernel."""

CONNECTIONS_MAX = 10_000
"""Connections of one listener."""

_REASON_CHARS_MAX = 100


class WebSocketChannel:
    """A `FrameChannel` over one WebSocket."""

    def __init__(self, connection: ClientConnection | ServerConnection, peer: PeerIdentity) -> None:
        self._connection = connection
        self._peer = peer

    @property
    def peer(self) -> PeerIdentity:
        return self._peer

    async def send(self, frame: bytes) -> None:
        try:
            await self._connection.send(frame)
        except ConnectionClosed as e:
            raise ChannelClosed(_why(e)) from e

    async def receive(self) -> bytes:
        try:
            return await self._connection.recv(decode=False)
        except ConnectionClosed as e:
            raise ChannelClosed(_why(e)) from e

    async def close(self, reason: str = "") -> None:
        await self._connection.close(reason=reason[:_REASON_CHARS_MAX])


class WebSocketListener:
    """The `Listener` port: TLS, a client certificate if the peer has one, two paths.

    Args:
        host: address to listen on.
        port: 0 for any free one; `port` says which it became.
        chain_path: certificate and key of this listener.
        enrolment: knows the CA, and whose certificate is whose.
        ca: DER of the CA.
    """

    def __init__(
        self, *, host: str, port: int, chain_path: Path, ca: bytes, enrolment: Enrolment
    ) -> None:
        self.port = port
        self._host = host
        self._chain_path = chain_path
        self._ca = ca
        self._enrolment = enrolment
        self._handlers: set[asyncio.Task[object]] = set()
        self._listening = asyncio.Event()

    async def wait_listening(self) -> None:
        """Return when connections are taken."""
        await self._listening.wait()

    async def serve(self, accept: Accept) -> None:
        async def handle(connection: ServerConnection) -> None:
            await self._handle(connection, accept)

        server = await serve(
            handle,
            self._host,
            self.port,
            ssl=self._context(),
            process_request=self._admit,
            compression=None,
            max_size=FRAME_BYTES_MAX,
            max_queue=QUEUE_FRAMES_MAX,
            open_timeout=OPEN_TIMEOUT_S,
            close_timeout=CLOSE_TIMEOUT_S,
            ping_interval=None,
            server_header=None,
        )
        await self._run(server)

    async def _run(self, server: Server) -> None:
        self.port = next(iter(server.sockets)).getsockname()[1]
        self._listening.set()
        try:
            # Not `serve_forever`: its end waits for all handlers, however long they take.
            await asyncio.Event().wait()
        finally:
            self._listening.clear()
            server.close()
            await self._end_handlers()
            await server.wait_closed()

    async def _end_handlers(self) -> None:
        """Let those who serve a connection see that it is closed; then they have to end."""
        if self._handlers:
            await asyncio.wait(self._handlers, timeout=CLOSE_TIMEOUT_S)
        for task in self._handlers:
            task.cancel()

    def _context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(self._chain_path)
        context.load_verify_locations(cadata=self._ca)
        # Who enrols has no certificate yet; `_admit` asks for it where it is needed.
        context.verify_mode = ssl.CERT_OPTIONAL
        return context

    def _admit(self, connection: ServerConnection, request: Request) -> Response | None:
        path = request.path.partition("?")[0]
        if len(self._handlers) >= CONNECTIONS_MAX:
            return connection.respond(http.HTTPStatus.SERVICE_UNAVAILABLE, "too many connections.")
        if path == ENROL_PATH:
            return None
        if path != LINK_PATH:
            return connection.respond(http.HTTPStatus.NOT_FOUND, "there is nothing here.")
        try:
            self._enrolment.check(_certificate_of(connection))
        except LittoralError as e:
            return connection.respond(http.HTTPStatus.UNAUTHORIZED, str(e))
        return None

    async def _handle(self, connection: ServerConnection, accept: Accept) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._handlers.add(task)
        try:
            await self._serve_one(connection, accept)
        except LittoralError as e:
            await connection.close(reason=str(e)[:_REASON_CHARS_MAX])
        finally:
            self._handlers.discard(task)

    async def _serve_one(self, connection: ServerConnection, accept: Accept) -> None:
        assert connection.request is not None
        address = _address_of(connection)
        certificate = _certificate_of(connection)
        if connection.request.path.startswith(ENROL_PATH):
            channel = WebSocketChannel(connection, PeerIdentity(None, address, certificate))
            await self._enrolment.accept(channel)
        else:
            node = self._enrolment.check(certificate)
            await accept(WebSocketChannel(connection, PeerIdentity(node, address, certificate)))


class WebSocketDialer:
    """The `Dialer` port: enrols first if that is needed, then connects to ``/link``.

    Args:
        store: the site's identity.
        clock: tells whether its certificate is valid.
        smith: makes keys and requests; called only when one is needed.
        token: for the first enrolment.
        url: where the cloud is, if other than the token says.
        proxy: True for what the environment says, None for no proxy, or a proxy's URL.
    """

    def __init__(
        self,
        *,
        store: FileIdentity,
        clock: Clock,
        smith: Callable[[], Smith],
        token: EnrolmentToken | None = None,
        url: str = "",
        proxy: str | bool | None = True,
    ) -> None:
        self._store = store
        self._clock = clock
        self._smith = smith
        self._token = token
        self._url = url
        self._proxy: Any = proxy

    async def dial(self) -> FrameChannel:
        identity = await self._enrolled(anew=False)
        try:
            return await self._link(identity)
        except CertificateRefused:
            # Expired by the cloud's clock, or issued by a cloud that was restored since.
            identity = await self._enrolled(anew=True)
            return await self._link(identity)

    async def _enrolled(self, *, anew: bool) -> SiteIdentity:
        return await ensure_enrolled(
            store=self._store,
            token=self._token,
            url=self._url,
            connect=self._connect_to_enrol,
            smith=self._smith,
            clock=self._clock,
            anew=anew,
        )

    async def _connect_to_enrol(self, url: str) -> FrameChannel:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        # Nobody is trusted yet: `enrol` compares the certificate with the token's fingerprint
        # before it sends anything.
        context.verify_mode = ssl.CERT_NONE
        connection = await self._connect(url + ENROL_PATH, context, max_size=ENROL_BYTES_MAX)
        shown = _certificate_of(connection)
        return WebSocketChannel(connection, PeerIdentity(None, _address_of(connection), shown))

    async def _link(self, identity: SiteIdentity) -> FrameChannel:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        # Only the cloud's own CA is trusted, which certifies no other servers: the name by which
        # this site reaches the cloud (an address, a tunnel) may be any.
        context.check_hostname = False
        context.load_verify_locations(cadata=identity.ca)
        if not self._store.chain_path.exists():
            self._store.write_chain(identity)
        context.load_cert_chain(self._store.chain_path)
        connection = await self._connect(
            identity.url + LINK_PATH, context, max_size=FRAME_BYTES_MAX
        )
        peer = PeerIdentity(
            _node_of(connection), _address_of(connection), _certificate_of(connection)
        )
        return WebSocketChannel(connection, peer)

    async def _connect(
        self, url: str, context: ssl.SSLContext, *, max_size: int
    ) -> ClientConnection:
        try:
            return await connect(
                url,
                ssl=context,
                proxy=self._proxy,
                compression=None,
                max_size=max_size,
                max_queue=QUEUE_FRAMES_MAX,
                open_timeout=OPEN_TIMEOUT_S,
                close_timeout=CLOSE_TIMEOUT_S,
                ping_interval=None,
                user_agent_header=None,
            )
        except InvalidStatus as e:
            text = (e.response.body or b"").decode(errors="replace").strip()
            if e.response.status_code == http.HTTPStatus.UNAUTHORIZED:
                raise CertificateRefused(text) from e
            raise LinkUnreachable(f"{url} answers {e.response.status_code}: {text}") from e
        except ssl.SSLError as e:
            if "certificate" in str(e).lower() and "verify failed" not in str(e):
                raise CertificateRefused(f"{url} refuses this site's certificate: {e}.") from e
            raise LinkUnreachable(
                f"{url} shows no certificate of this site's cloud: {e}.",
                hint="Something else answers there, or the cloud's CA was made anew.",
            ) from e
        except (OSError, WebSocketException, EOFError) as e:
            raise LinkUnreachable(f"{url} cannot be reached: {str(e) or type(e).__name__}.") from e


def _tls(connection: ClientConnection | ServerConnection) -> ssl.SSLObject:
    tls = connection.transport.get_extra_info("ssl_object")
    assert isinstance(tls, ssl.SSLObject)
    return tls


def _certificate_of(connection: ClientConnection | ServerConnection) -> bytes | None:
    return _tls(connection).getpeercert(binary_form=True)


def _node_of(connection: ClientConnection) -> NodeId | None:
    """The common name in the verified certificate of the cloud."""
    shown = _tls(connection).getpeercert() or {}
    subject: Any = shown.get("subject", ())
    for name in subject:
        for key, value in name:
            if key == "commonName":
                return NodeId(str(value))
    return None


def _address_of(connection: ClientConnection | ServerConnection) -> str:
    address = connection.remote_address
    return f"{address[0]}:{address[1]}" if isinstance(address, tuple) else str(address)


def _why(error: ConnectionClosed) -> str:
    reason = error.rcvd.reason if error.rcvd is not None else ""
    return f"the connection is closed: {reason}" if reason else "the connection is closed."
