"""Ditto's /api/2/things: every path of a thing, with every method that it has there."""

from collections.abc import Callable

import msgspec

from littoral.api.errors import MethodNotAllowed, NotSupported, RouteMissing, UnsupportedMediaType
from littoral.api.http import Answer, Request, Stream
from littoral.api.messages import MessageRoutes, is_message_address
from littoral.api.pipeline import Commands, answer_of, headers_of, id_for, json_value
from littoral.api.streams import EVENT_STREAM, ThingStreams
from littoral.api.things.listing import ThingListing
from littoral.kernel.errors import InvalidJson, TooLarge
from littoral.kernel.ids import ThingId, parse_thing_id
from littoral.kernel.limits import THING_BYTES_MAX
from littoral.twin import Caller, ThingIdNotSettable
from littoral.twin.live import InvalidMessagePath
from littoral.twin.protocol import ABSENT, MERGE_PATCH, Action, Command, UnknownPath, check_path

_WHOLE = ("GET", "PUT", "PATCH", "DELETE")
_POLICY_ID = ("GET", "PUT", "PATCH")
THING_DESCRIPTION = "application/td+json"


class ThingRoutes:
    """Handles what comes after /api/2/things."""

    def __init__(
        self,
        commands: Commands,
        listing: ThingListing,
        messages: MessageRoutes,
        streams: ThingStreams,
        new_id: Callable[[], str],
    ) -> None:
        self._commands = commands
        self._listing = listing
        self._messages = messages
        self._streams = streams
        self._new_id = new_id

    async def handle(
        self, request: Request, caller: Caller, rest: tuple[str, ...]
    ) -> Answer | Stream:
        """Answer a request; ``rest`` are the segments after ``things``."""
        if not rest:
            return await self._collection(request, caller)
        thing_id, below = rest[0], rest[1:]
        path = "/"
        if below:
            if is_message_address(below):
                return await self._message(request, caller, parse_thing_id(thing_id), below)
            if below == ("migrateDefinition",):
                return await self._migrate(request, caller, parse_thing_id(thing_id))
            try:
                path = check_path("things", request.path_from(4))
            except UnknownPath as e:
                raise RouteMissing(f"things have nothing at {request.path_from(4)[:80]!r}.") from e
        if request.method in {"GET", "HEAD"}:
            accept = request.parameter("accept") or ""
            if EVENT_STREAM in accept and request.accepts(EVENT_STREAM):
                ids = (parse_thing_id(thing_id),)
                return self._streams.open(request, caller, ids=ids, path=path)
            if THING_DESCRIPTION in accept:
                _refuse_description(request)
        action, value = await _asked(request, path)
        command = Command(action, "things", thing_id, path, value, request.query.get("fields"))
        return answer_of(request, await self._commands.run(caller, command, headers_of(request)))

    async def _migrate(self, request: Request, caller: Caller, thing_id: ThingId) -> Answer:
        if request.method != "POST":
            raise MethodNotAllowed(request.method, ("POST",))
        value = await request.json_body(THING_BYTES_MAX, TooLarge)
        headers = msgspec.structs.replace(headers_of(request), channel="twin")
        command = Command(Action.MIGRATE, "things", thing_id, "/", value)
        return answer_of(request, await self._commands.run(caller, command, headers))

    async def _message(
        self, request: Request, caller: Caller, thing_id: ThingId, below: tuple[str, ...]
    ) -> Answer | Stream:
        """Send a message, or watch those that are sent."""
        if request.method in {"GET", "HEAD"} and request.accepts(EVENT_STREAM):
            try:
                return self._streams.open_messages(request, caller, thing_id, below)
            except InvalidMessagePath as e:
                raise RouteMissing(e.message, hint=e.hint) from e
        return await self._messages.handle(request, caller, thing_id, below)

    async def _collection(self, request: Request, caller: Caller) -> Answer | Stream:
        match request.method:
            case "GET" | "HEAD":
                if request.accepts(EVENT_STREAM):
                    return self._streams.open(request, caller)
                return await self._listing.answer(request, caller)
            case "POST":
                return await self._create(request, caller)
            case _:
                raise MethodNotAllowed(request.method, ("GET", "POST"))

    async def _create(self, request: Request, caller: Caller) -> Answer:
        headers = headers_of(request)
        document = await json_value(request)
        if not isinstance(document, dict):
            raise InvalidJson("a thing is a JSON object.")
        if "thingId" in document:
            raise ThingIdNotSettable(
                "a thing that is created by POST gets its id from the node.",
                hint="PUT it to /api/2/things/<thingId> to choose the id.",
            )
        thing_id = id_for(request, self._new_id())
        command = Command(Action.CREATE, "things", thing_id, "/", document)
        result = await self._commands.run(caller, command, headers)
        return answer_of(request, result, below=f"/{thing_id}")


async def _asked(request: Request, path: str) -> tuple[Action, object]:
    """What a request to a thing, or to a part of it, asks for, and with which value."""
    match request.method:
        case "GET" | "HEAD":
            return Action.RETRIEVE, ABSENT
        case "PUT":
            return Action.MODIFY, await json_value(request)
        case "PATCH":
            return Action.MERGE, await _patch(request)
        case "DELETE" if path != "/policyId":
            return Action.DELETE, ABSENT
        case _:
            allowed = _POLICY_ID if path == "/policyId" else _WHOLE
            raise MethodNotAllowed(request.method, allowed)


async def _patch(request: Request) -> object:
    if request.media_type != MERGE_PATCH:
        raise UnsupportedMediaType(
            f"a PATCH is not {request.media_type[:80]!r}.", hint=f"Send {MERGE_PATCH}."
        )
    return await request.json_body(THING_BYTES_MAX, TooLarge)


def _refuse_description(request: Request) -> None:
    if request.accepts(THING_DESCRIPTION) and not request.accepts("application/json"):
        raise NotSupported(
            "this node writes no thing descriptions.",
            hint="Accept application/json.",
        )
