"""Ditto's /api/2/things: every path of a thing, with every method that it has there."""

from collections.abc import Callable

from littoral.api.answers import Answer, Stream, empty_answer, json_answer
from littoral.api.errors import (
    MethodNotAllowed,
    RouteMissing,
    UnsupportedMediaType,
)
from littoral.api.expectation import (
    Expectation,
    command_expectation,
    conditions_of,
    refuse_what_is_not_there,
)
from littoral.api.listing import ThingListing
from littoral.api.messages import MessageRoutes, is_message_address
from littoral.api.model import TIMEOUT_S_MAX
from littoral.api.request import Request
from littoral.api.special import special_members
from littoral.api.sse import ThingStreams
from littoral.kernel import time as instants
from littoral.kernel.errors import InvalidJson, LittoralError, TooLarge
from littoral.kernel.ids import (
    ThingId,
    parse_namespace,
    parse_policy_id,
    parse_thing_id,
)
from littoral.kernel.limits import THING_BYTES_MAX
from littoral.twin import Caller, Outcome, ThingIdNotSettable, Twins, View
from littoral.twin import fields as selectors
from littoral.twin.protocol import MERGE_PATCH, UnknownPath, check_path

DEFAULT_NAMESPACE = "org.eclipse.ditto"
"""Where a thing goes that is created without an id or a namespace. Source: Ditto."""

_JSON_TYPES = frozenset(("", "application/json", "application/octet-stream"))
_WHOLE = ("GET", "PUT", "PATCH", "DELETE")
_POLICY_ID = ("GET", "PUT", "PATCH")
EVENT_STREAM = "text/event-stream"


class ThingRoutes:
    """Handles what comes after /api/2/things."""

    def __init__(
        self,
        twins: Twins,
        listing: ThingListing,
        messages: MessageRoutes,
        streams: ThingStreams,
        new_id: Callable[[], str],
    ) -> None:
        self._twins = twins
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
        thing_id = parse_thing_id(rest[0])
        if is_message_address(rest[1:]):
            return await self._messages.handle(request, caller, thing_id, rest[1:])
        try:
            path = check_path("things", request.path_from(4))
        except UnknownPath as e:
            raise RouteMissing(f"things have nothing at {request.path_from(4)[:80]!r}.") from e
        if request.method not in {"GET", "HEAD"}:
            return await self._write(request, caller, thing_id, path)
        if request.accepts(EVENT_STREAM):
            return self._streams.open(request, caller, ids=(thing_id,), path=path)
        return await self._read(request, caller, thing_id, path)

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
        expectation = command_expectation(request)
        document = await _value(request)
        if not isinstance(document, dict):
            raise InvalidJson("a thing is a JSON object.")
        if "thingId" in document:
            raise ThingIdNotSettable(
                "a thing that is created by POST gets its id from the node.",
                hint="PUT it to /api/2/things/<thingId> to choose the id.",
            )
        namespace = request.query.get("namespace")
        namespace = DEFAULT_NAMESPACE if namespace is None else parse_namespace(namespace)
        thing_id = parse_thing_id(f"{namespace}:{self._new_id()}")
        outcome = await expectation.of(
            self._twins.create_thing(caller, document, thing_id=thing_id)
        )
        return _written(request, expectation, outcome, below=f"/{thing_id}")

    async def _write(
        self, request: Request, caller: Caller, thing_id: ThingId, path: str
    ) -> Answer:
        expectation = command_expectation(request)
        conditions = conditions_of(request)
        match request.method:
            case "PUT":
                value = await _value(request)
                outcome = await expectation.of(
                    self._twins.modify(caller, thing_id, path, value, conditions=conditions)
                )
            case "PATCH":
                patch = await _patch(request)
                outcome = await expectation.of(
                    self._twins.merge(caller, thing_id, path, patch, conditions=conditions)
                )
            case "DELETE" if path != "/policyId":
                await expectation.of(
                    self._twins.delete(caller, thing_id, path, conditions=conditions)
                )
                return empty_answer(204 if expectation.respond else 202)
            case _:
                raise MethodNotAllowed(
                    request.method, _POLICY_ID if path == "/policyId" else _WHOLE
                )
        return _written(request, expectation, outcome)

    async def _read(self, request: Request, caller: Caller, thing_id: ThingId, path: str) -> Answer:
        refuse_what_is_not_there(request)
        expectation = Expectation(request.timeout_s(TIMEOUT_S_MAX) or TIMEOUT_S_MAX, respond=True)
        selected = request.query.get("fields")
        tree = selectors.parse(selected) if selected is not None else None
        at = request.parameter("at-historical-timestamp")
        view = await expectation.of(
            self._twins.retrieve(
                caller,
                thing_id,
                path,
                at_revision=request.number("at-historical-revision", low=1, high=2**62),
                at_ms=instants.parse(at) if at is not None else None,
                conditions=conditions_of(request),
            )
        )
        value = view.value
        if tree is not None:
            if path == "/" and isinstance(value, dict):
                value = value | await self._special(caller, thing_id, view, tree)
            value = selectors.select(value, tree)
        return json_answer(value, etag=view.etag)

    async def _special(
        self, caller: Caller, thing_id: ThingId, view: View, tree: selectors.Fields
    ) -> dict[str, object]:
        """The members that Ditto shows only if they are asked for."""
        members = special_members(thing_id, view)
        if "_policy" in tree and isinstance(view.value, dict):
            policy_id = view.value.get("policyId")
            if isinstance(policy_id, str):
                try:
                    found = await self._twins.retrieve_policy(caller, parse_policy_id(policy_id))
                except LittoralError:
                    # A policy that the caller may not read is left out, as any other part is.
                    return members
                members["_policy"] = found.value
        return members


def _written(
    request: Request, expectation: Expectation, outcome: Outcome, *, below: str = ""
) -> Answer:
    if not expectation.respond:
        return empty_answer(202)
    if not outcome.created:
        return empty_answer(204, etag=outcome.etag)
    answer = json_answer(outcome.value, status=201, etag=outcome.etag)
    answer.headers["location"] = request.location(below)
    return answer


async def _value(request: Request) -> object:
    """The JSON body of a PUT or POST."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type not in _JSON_TYPES:
        raise UnsupportedMediaType(
            f"the body is {media_type[:80]!r}.", hint="Send application/json."
        )
    return await request.json_body(THING_BYTES_MAX, TooLarge)


async def _patch(request: Request) -> object:
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != MERGE_PATCH:
        raise UnsupportedMediaType(
            f"a PATCH is not {media_type[:80]!r}.", hint=f"Send {MERGE_PATCH}."
        )
    return await request.json_body(THING_BYTES_MAX, TooLarge)
