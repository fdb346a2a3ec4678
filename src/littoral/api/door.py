"""The ASGI callable: bounds, identity, dispatch, and one place where errors become answers.

Bare ASGI, because a framework's routing costs more than a twin's read (docs/adr/0009-http-door.md).
"""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

from littoral.api.administration import ManagementRoutes
from littoral.api.cloudevents import CloudEventRoutes
from littoral.api.docs import document_routes
from littoral.api.errors import (
    InternalError,
    MethodNotAllowed,
    PeerGone,
    RouteMissing,
    VersionNotSupported,
)
from littoral.api.http import (
    Answer,
    Api2,
    AsgiApp,
    Authenticator,
    CrossOrigin,
    Open,
    Receive,
    Request,
    Scope,
    Send,
    Stream,
    problem_answer,
    send_answer,
    send_stream,
)
from littoral.api.messages import MessageDesk, MessageRoutes
from littoral.api.operations import devops_routes, operation_routes
from littoral.api.parts import ApiParts
from littoral.api.pipeline import Commands
from littoral.api.policies import PermissionRoutes, PolicyRoutes, WhoAmI
from littoral.api.search import SearchRoutes
from littoral.api.sessions import SocketRoutes
from littoral.api.streams import Feeds, ThingStreams
from littoral.api.things import ThingListing, ThingRoutes
from littoral.kernel.errors import InvalidHeader, LittoralError

CORRELATION_CHARS_MAX = 256
"""Length of a correlation id."""

_IDS_AT_ONCE = 64

_logger = logging.getLogger("littoral.api")


def build_app(parts: ApiParts) -> "Door":
    """The HTTP and WebSocket door of a node, for any ASGI server."""
    return Door(parts)


class Door:
    """One node's HTTP and WebSocket side.

    Invariant: every request gets exactly one answer, whatever happens behind; no traceback.
    """

    def __init__(self, parts: ApiParts) -> None:
        self._entropy = parts.entropy
        self._cross_origin = CrossOrigin(parts.cors_origins)
        self._random: list[bytes] = []
        self._authenticator = Authenticator(parts.identities)
        self._feeds = Feeds(parts.twins, parts.router, parts.acks, parts.log, parts.clock)
        self._streams = ThingStreams(parts, self._feeds)
        self._commands = Commands(parts)
        self._management = ManagementRoutes(parts)
        desk = MessageDesk(parts)
        self._api_2: Api2 = {
            "things": ThingRoutes(
                self._commands,
                ThingListing(parts.twins, parts.search),
                MessageRoutes(desk),
                self._streams,
                self.new_id,
            ),
            "policies": PolicyRoutes(self._commands, self.new_id),
            "whoami": WhoAmI(),
            "search": SearchRoutes(parts),
            "checkPermissions": PermissionRoutes(self._commands),
            "cloudevents": CloudEventRoutes(parts, self._commands, desk),
        }
        self._open: Open = {
            **operation_routes(parts, self._authenticator, self.statistics),
            **devops_routes(parts, self._authenticator),
            **document_routes(parts.node.version),
        }
        self._sockets = SocketRoutes(
            parts,
            self._authenticator,
            self._cross_origin,
            self._commands,
            self._feeds,
            self.new_id,
        )
        self._requests = 0
        self._failures = 0

    def new_id(self) -> str:
        """A random UUID, as text. Randomness is taken for many at once: a system call each is dear."""
        if not self._random:
            pool = self._entropy.token(16 * _IDS_AT_ONCE)
            self._random = [pool[at : at + 16] for at in range(0, len(pool), 16)]
        raw = bytearray(self._random.pop())
        raw[6] = raw[6] & 0x0F | 0x40
        raw[8] = raw[8] & 0x3F | 0x80
        text = raw.hex()
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"

    def statistics(self) -> dict[str, int]:
        """Counters since the start, for /metrics."""
        return {
            "requests": self._requests,
            "failures": self._failures,
            "streams": self._streams.open_count,
            "sockets": self._sockets.open_count,
            "dropped": self._sockets.dropped + self._streams.dropped,
            **self._feeds.statistics(),
        }

    async def close(self) -> None:
        """End all WebSockets and streams; a server can stop only then."""
        self._streams.close()
        await self._sockets.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection, as ASGI 3.0 has it."""
        match scope["type"]:
            case "http":
                self._requests += 1
                await self._http(scope, receive, send)
            case "websocket":
                await self._sockets.serve(scope, receive, send)
            case "lifespan":
                await _lifespan(receive, send)
            case _:
                pass

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        more = {"correlation-id": ""}
        head_only = scope.get("method") == "HEAD"
        try:
            request = Request(scope, receive)
            more |= self._cross_origin.headers(request)
            request.correlation_id = more["correlation-id"] = self._correlation_id(request)
            self._cross_origin.check(request)
            answer = self._cross_origin.preflight(request) or await self._dispatch(request)
            if isinstance(answer, Stream):
                await self._stream(request, answer, send, more)
                return
        except PeerGone:
            return
        except LittoralError as e:
            answer = _refusal(scope, e)
        except Exception:
            self._failures += 1
            more["correlation-id"] = more["correlation-id"] or self.new_id()
            _logger.exception(
                "%s %r failed; correlation-id %s",
                scope.get("method"),
                scope.get("path"),
                more["correlation-id"],
            )
            answer = problem_answer(
                InternalError(
                    "something went wrong inside the node.",
                    hint=f"Its log tells what, under correlation id {more['correlation-id']}.",
                )
            )
        more["correlation-id"] = more["correlation-id"] or self.new_id()
        await send_answer(send, answer, more=more, head_only=head_only)

    async def _stream(
        self, request: Request, stream: Stream, send: Send, more: dict[str, str]
    ) -> None:
        """Write a stream; once it has begun, a failure can only end it."""
        try:
            work = send_stream(send, stream, more=more)
            await (_until_gone(request, work) if stream.heeds_hang_up else work)
        except PeerGone:
            return
        except Exception:
            self._failures += 1
            _logger.exception("a stream failed; correlation-id %s", more["correlation-id"])
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _dispatch(self, request: Request) -> Answer | Stream:
        match request.segments:
            case ("api", "2", name, *rest) if name in self._api_2:
                caller = await self._authenticator.caller(request)
                return await self._api_2[name].handle(request, caller, tuple(rest))
            case ("api", "littoral", "v1", *rest):
                identity = await self._authenticator.identity(request)
                return await self._management.handle(request, identity, tuple(rest))
            case (name, *rest) if name in self._open:
                return await self._open[name].handle(request, tuple(rest))
            case ("api", version, *_) if version.isdigit() and version != "2":
                raise VersionNotSupported(
                    f"version {version[:20]} of the API does not exist.", hint="Use /api/2."
                )
            case _:
                raise RouteMissing(
                    "there is nothing at this address.",
                    hint="Twins are below /api/2/things; /docs shows every address.",
                )

    def _correlation_id(self, request: Request) -> str:
        given = request.parameter("correlation-id")
        if given is None:
            return self.new_id()
        # It goes back as a header: what could end a header line may not be in it.
        printable = given.isascii() and given.isprintable()
        if not given or len(given) > CORRELATION_CHARS_MAX or not printable:
            raise InvalidHeader(
                f"a correlation-id has 1 to {CORRELATION_CHARS_MAX} printable ASCII characters."
            )
        return given


def _refusal(scope: Scope, error: LittoralError) -> Answer:
    """A problem; but who asks for the methods of an address is answered with them."""
    if isinstance(error, MethodNotAllowed) and scope.get("method") == "OPTIONS":
        return Answer(204, b"", {"allow": ", ".join((*error.allow, "OPTIONS"))})
    return problem_answer(error)


async def _until_gone(request: Request, work: Coroutine[Any, Any, None]) -> None:
    """Do ``work`` until it ends or the caller hangs up."""

    async def watch() -> None:
        await request.wait_gone()
        raise PeerGone

    try:
        async with asyncio.TaskGroup() as tasks:
            watcher = tasks.create_task(watch())
            await work
            watcher.cancel()
    except* PeerGone:
        pass


async def _lifespan(receive: Receive, send: Send) -> None:
    """Say yes to start and stop: the node's life is `node`'s business, not the server's."""
    while True:
        message = await receive()
        await send({"type": message["type"] + ".complete"})
        if message["type"] == "lifespan.shutdown":
            return


__all__ = ["AsgiApp", "Door", "build_app"]
