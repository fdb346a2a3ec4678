"""Messages to and from things over HTTP: the caller waits for the device's own answer."""

from littoral.api.errors import MethodNotAllowed, RouteMissing
from littoral.api.http import QUERY_OR_HEADER, Answer, Request
from littoral.api.messages.delivery import CLAIM, Delivered, MessageDesk, message_headers
from littoral.eventing import Direction, Message, MessageTooLarge
from littoral.kernel.ids import ThingId
from littoral.kernel.limits import MESSAGE_BYTES_MAX
from littoral.twin import Caller
from littoral.twin.live import InvalidMessagePath, MessageAddress, parse_message_path

_DIRECTIONS = frozenset(("inbox", "outbox"))
_NO_BODY = frozenset((204, 304))

ANSWERED_BY = "littoral-answered-by"
"""Says ``thing`` if status and body are the device's: this tells its 404 from the node's."""


def is_message_address(rest: tuple[str, ...]) -> bool:
    """Whether what comes after the thing's id is an inbox or outbox."""
    if rest[:1] == ("features",):
        return len(rest) > 2 and rest[2] in _DIRECTIONS
    return bool(rest) and rest[0] in _DIRECTIONS


class MessageRoutes:
    """Handles ``[/features/<id>]/(inbox|outbox)/messages/<subject>`` and ``/inbox/claim``."""

    def __init__(self, desk: MessageDesk) -> None:
        self._desk = desk

    async def handle(
        self, request: Request, caller: Caller, thing_id: ThingId, rest: tuple[str, ...]
    ) -> Answer:
        """Send the message; answer with what the receiver answers, status and all.

        Raises:
            MessageNotAllowed: no WRITE on the message; MessageTimeout, MessageTooLarge, …
        """
        address = _address(rest)
        if request.method != "POST":
            # GET with Accept: text/event-stream follows them; it does not come here.
            followed = () if _is_claim(address) else ("GET",)
            raise MethodNotAllowed(request.method, (*followed, "POST"))
        headers = message_headers(_raw(request), claim=_is_claim(address))
        message = Message(
            thing_id=thing_id,
            subject=address.subject,
            payload=await request.body(MESSAGE_BYTES_MAX, MessageTooLarge),
            content_type=request.headers.get("content-type", ""),
            feature=address.feature,
            direction=Direction(address.direction),
        )
        return _answer(await self._desk.send(caller, message, headers))


def _address(rest: tuple[str, ...]) -> MessageAddress:
    if rest in {("inbox", CLAIM), ("inbox", "messages", CLAIM)}:
        return MessageAddress(None, "inbox", CLAIM)
    try:
        return parse_message_path("/" + "/".join(rest))
    except InvalidMessagePath as e:
        raise RouteMissing(e.message, hint=e.hint) from e


def _is_claim(address: MessageAddress) -> bool:
    return (address.feature, address.direction, address.subject) == (None, "inbox", CLAIM)


def _raw(request: Request) -> dict[str, object]:
    """The headers, and what may stand in the query in their place."""
    query = {name: text for name, text in request.query.items() if name in QUERY_OR_HEADER}
    return {**request.headers, **query, "correlation-id": request.correlation_id}


def _answer(found: Delivered) -> Answer:
    payload = b"" if found.status in _NO_BODY else found.payload
    answer = Answer(found.status, payload, dict(found.headers))
    if found.answered:
        answer.headers[ANSWERED_BY] = "thing"
    if payload and found.content_type:
        answer.headers["content-type"] = found.content_type
    return answer
