"""Messages to and from things over HTTP: the caller waits for the device's own answer."""

from littoral.api.answers import Answer, empty_answer
from littoral.api.errors import MessageNotAllowed, MethodNotAllowed, NotSupported, RouteMissing
from littoral.api.expectation import refuse_what_is_not_there
from littoral.api.model import MESSAGE_TIMEOUT_S
from littoral.api.request import Request
from littoral.eventing import Direction, Inbox, Message, MessageTooLarge
from littoral.kernel.ids import ThingId
from littoral.kernel.limits import MESSAGE_BYTES_MAX
from littoral.policy import WRITE
from littoral.twin import Caller, NotFound, Twins
from littoral.twin.live import InvalidMessagePath, parse_message_path

_DIRECTIONS = frozenset(("inbox", "outbox"))


def is_message_address(rest: tuple[str, ...]) -> bool:
    """Whether what comes after the thing's id is an inbox or outbox."""
    if rest[:1] == ("features",):
        return len(rest) > 2 and rest[2] in _DIRECTIONS
    return bool(rest) and rest[0] in _DIRECTIONS


class MessageRoutes:
    """Handles ``[/features/<id>]/(inbox|outbox)/messages/<subject>`` below a thing."""

    def __init__(self, twins: Twins, inbox: Inbox) -> None:
        self._twins = twins
        self._inbox = inbox

    async def handle(
        self, request: Request, caller: Caller, thing_id: ThingId, rest: tuple[str, ...]
    ) -> Answer:
        """Send the message; answer with what the receiver answers, status and all.

        Raises:
            MessageNotAllowed: no WRITE on the message; MessageTimeout, MessageTooLarge, …
        """
        if rest == ("inbox", "claim"):
            raise NotSupported("claiming a thing is not supported by this release.")
        try:
            address = parse_message_path("/" + "/".join(rest))
        except InvalidMessagePath as e:
            raise RouteMissing(e.message, hint=e.hint) from e
        if request.method != "POST":
            raise MethodNotAllowed(request.method, ("POST",))
        refuse_what_is_not_there(request)
        timeout_s = request.timeout_s(MESSAGE_TIMEOUT_S)
        wanted = request.flag("response-required") is not False and timeout_s > 0
        message = Message(
            thing_id=thing_id,
            subject=address.subject,
            payload=await request.body(MESSAGE_BYTES_MAX, MessageTooLarge),
            content_type=request.headers.get("content-type", ""),
            feature=address.feature,
            direction=Direction(address.direction),
            correlation_id=request.parameter("correlation-id") or "",
            subjects=caller.subjects,
        )
        check_may_send(self._twins, caller, message)
        if not wanted:
            self._inbox.post(message)
            return empty_answer(202)
        reply = await self._inbox.send(message, timeout_s=timeout_s)
        # The status is the device's: this tells a client a device's 404 from the node's.
        answer = Answer(reply.status, reply.payload, {"littoral-answered-by": "thing"})
        if reply.content_type and reply.payload:
            answer.headers["content-type"] = reply.content_type
        return answer


def check_may_send(twins: Twins, caller: Caller, message: Message) -> None:
    """Raise unless the thing exists (`NotFound`) and the caller has WRITE (`MessageNotAllowed`)."""
    if not twins.exists(message.thing_id):
        raise NotFound(f"thing {message.thing_id} does not exist, or you may not see it.")
    if not twins.may_message(caller, message.thing_id, WRITE, message.resource):
        raise MessageNotAllowed(
            f"the message {message.subject[:80]!r} may not be sent to {message.thing_id}.",
            hint=f"Its policy has to grant WRITE on {message.resource[:200]}.",
        )
