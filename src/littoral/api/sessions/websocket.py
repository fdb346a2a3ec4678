"""Ditto's /ws/2: the shell between an ASGI WebSocket and a `Session`."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping

from littoral.api.errors import RouteMissing
from littoral.api.http import Authenticator, CrossOrigin, Receive, Request, Scope, Send
from littoral.api.model import (
    SOCKET_FRAME_BYTES_MAX,
    SOCKET_TURN_FRAMES,
    SOCKET_TURN_S,
    SOCKET_WRITE_S,
)
from littoral.api.parts import ApiParts
from littoral.api.pipeline import Commands, parse_labels
from littoral.api.search import SearchPages
from littoral.api.sessions.session import Session
from littoral.api.streams import Feeds
from littoral.kernel.errors import LittoralError, Unavailable
from littoral.registry import RegistryChange
from littoral.twin import Caller, SubjectDeletion, protocol
from littoral.twin.statuses import status_of

_logger = logging.getLogger("littoral.api")

SOCKETS_MAX = 4096
"""Open WebSockets. Source: Ditto's limit of connections at its gateway."""

SOCKET_GOODBYE_S = 1.0
"""How long the last frame may take; the peer may be the one that takes nothing."""

_GOING_AWAY, _TOO_BIG, _FAILED = 1001, 1009, 1011


class _SessionOver(Exception):
    """Ends the tasks of one session; not an error."""

    def __init__(self, code: int | None = None) -> None:
        super().__init__()
        self.code = code


class SocketRoutes:
    """Serves WebSockets; knows those that are open, so that the node can end them."""

    def __init__(
        self,
        parts: ApiParts,
        authenticator: Authenticator,
        cross_origin: CrossOrigin,
        commands: Commands,
        feeds: Feeds,
        new_id: Callable[[], str],
    ) -> None:
        self._parts = parts
        self._authenticator = authenticator
        self._cross_origin = cross_origin
        self._new_id = new_id
        self._commands = commands
        self._feeds = feeds
        self._dropped = 0
        self._open: set[Session] = set()
        self._none_open = asyncio.Event()
        self._none_open.set()
        parts.registry.on_change(self._registry_changed)
        parts.twins.on_announcement(self._announced)

    @property
    def open_count(self) -> int:
        """Sessions that are open now."""
        return len(self._open)

    @property
    def dropped(self) -> int:
        """Signals that were not sent since the start, because their readers were too slow."""
        return self._dropped + sum(session.dropped for session in self._open)

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one WebSocket from its handshake to its end."""
        await receive()
        try:
            session = await self._admit(scope, receive)
        except LittoralError as e:
            await _refuse(scope, send, e)
            return
        await send({"type": "websocket.accept"})
        self._open.add(session)
        self._none_open.clear()
        try:
            await _run(session, receive, send)
        finally:
            session.close()
            self._dropped += session.dropped
            self._open.discard(session)
            if not self._open:
                self._none_open.set()

    async def close(self) -> None:
        """End all sessions, and wait until they have said goodbye or their time is over."""
        for session in list(self._open):
            session.close()
        try:
            async with asyncio.timeout(SOCKET_WRITE_S):
                await self._none_open.wait()
        except TimeoutError:
            _logger.warning("%d WebSockets did not take their goodbye", len(self._open))

    def _registry_changed(self, change: RegistryChange) -> None:
        """Whose password or key is changed or taken away has no business in open sessions."""
        if not change.ends_access:
            return
        owner = f"{change.kind.partition('.')[0]}:{change.name}"
        for session in list(self._open):
            if owner in session.identity.owners:
                session.close()

    def _open_search(
        self, caller: Caller, value: Mapping[str, object], fields: str | None
    ) -> SearchPages:
        assert self._parts.search is not None
        return SearchPages(self._parts.search, self._parts.twins, caller, value, fields)

    def _announced(self, deletion: SubjectDeletion) -> None:
        """Tell of a policy's subjects that leave; whoever took it may acknowledge it."""
        frame = protocol.announcement(
            deletion.policy_id,
            "subjectDeletion",
            deletion.value,
            correlation_id=deletion.id,
            requested_acks=deletion.requested_acks,
        )
        took = [session for session in list(self._open) if session.announce(deletion, frame)]
        if took and deletion.requested_acks:
            took[0].spawn(self._acknowledged(deletion))

    async def _acknowledged(self, deletion: SubjectDeletion) -> None:
        """Wait for an announcement's acknowledgements; without them it comes again."""
        with contextlib.suppress(LittoralError):
            expected = self._parts.acks.expect(
                deletion.policy_id,
                deletion.id,
                deletion.requested_acks,
                deletion.timeout_ms / 1000,
            )
            acks = await expected.result()
            if all(200 <= ack.status < 300 for ack in acks.values()):
                deletion.acknowledged()

    async def _admit(self, scope: Scope, receive: Receive) -> Session:
        request = Request(scope, receive)
        if request.segments != ("ws", "2"):
            raise RouteMissing("there is no WebSocket at this address.", hint="Use /ws/2.")
        self._cross_origin.check(request, is_socket=True)
        identity = await self._authenticator.identity(request)
        if len(self._open) >= SOCKETS_MAX:
            raise Unavailable(f"{SOCKETS_MAX} WebSockets are open already.")
        labels = parse_labels(request.parameter("declared-acks") or "")
        return Session(
            self._parts,
            self._commands,
            self._feeds,
            self._authenticator,
            identity,
            self._new_id,
            declared_acks=frozenset(labels),
            open_search=self._open_search if self._parts.search is not None else None,
        )


class _Patience:
    """Ends a writer whose peer takes nothing; a timer for each write would cost more than it."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._writer: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.since_s: float | None = None
        """When the write that is being waited for began."""
        self.is_over = False

    def watch(self, writer: asyncio.Task[None]) -> None:
        """Look at ``writer`` from time to time."""
        self._writer = writer
        self._timer = self._loop.call_later(SOCKET_WRITE_S / 2, self._look)

    def _look(self) -> None:
        assert self._writer is not None
        if self.since_s is not None and self._loop.time() - self.since_s >= SOCKET_WRITE_S:
            self.is_over = True
            self._writer.cancel()
        else:
            self._timer = self._loop.call_later(SOCKET_WRITE_S / 2, self._look)

    def close(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()

    def begin(self) -> None:
        """A write begins."""
        self.since_s = self._loop.time()


async def _run(session: Session, receive: Receive, send: Send) -> None:
    code: int | None = None
    patience = _Patience()
    try:
        async with asyncio.TaskGroup() as tasks:
            session.begin(tasks.create_task)
            patience.watch(tasks.create_task(_write(session, send, patience)))
            await _read(session, receive)
    except* _SessionOver as over:
        code = next((e.code for e in over.exceptions if isinstance(e, _SessionOver)), None)
    except* Exception:
        _logger.exception("a WebSocket session failed")
        code = _FAILED
    finally:
        patience.close()
    if code is not None:
        try:
            async with asyncio.timeout(SOCKET_GOODBYE_S):
                await send({"type": "websocket.close", "code": code})
        except Exception:  # noqa: BLE001  # servers raise their own types when the peer is gone
            _logger.debug("the peer was gone before the goodbye")


async def _read(session: Session, receive: Receive) -> None:
    """Hand over each frame in the order of arrival; stop while too much of it is unanswered."""
    turn, clock_s = 0, asyncio.get_running_loop().time
    began_s = clock_s()
    while not session.closing:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            raise _SessionOver
        text = message.get("text")
        if text is None:
            text = (message.get("bytes") or b"").decode(errors="replace")
        if len(text) > SOCKET_FRAME_BYTES_MAX:
            raise _SessionOver(_TOO_BIG)
        session.receive(text)
        if session.clogged:
            await session.wait_unclogged()
        turn += 1
        if turn == SOCKET_TURN_FRAMES or clock_s() - began_s > SOCKET_TURN_S:
            # Others are to have their turn too, and commits are to be heard of as they end.
            turn = 0
            await asyncio.sleep(0)
            began_s = clock_s()


async def _write(session: Session, send: Send, patience: _Patience) -> None:
    try:
        while (frames := session.take()) is not None:
            if not frames:
                await session.wait_outgoing()
                continue
            patience.begin()
            for frame in frames:
                await send({"type": "websocket.send", "text": frame.decode()})
            patience.since_s = None
    except asyncio.CancelledError:
        if not patience.is_over:
            raise
        # It takes nothing: keeping it would keep its buffers for ever.
    raise _SessionOver(_GOING_AWAY)


async def _refuse(scope: Scope, send: Send, error: LittoralError) -> None:
    if "websocket.http.response" not in (scope.get("extensions") or {}):
        await send({"type": "websocket.close", "code": 1008, "reason": error.message[:100]})
        return
    headers = [(b"content-type", b"text/plain; charset=utf-8")]
    if status_of(error) == 401:
        headers.append((b"www-authenticate", b'Basic realm="littoral"'))
    await send(
        {
            "type": "websocket.http.response.start",
            "status": status_of(error),
            "headers": headers,
        }
    )
    await send({"type": "websocket.http.response.body", "body": str(error).encode()})
