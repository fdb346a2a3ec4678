"""What is kept for a device that is away: look, and cancel. Beyond Eclipse Ditto."""

from littoral.api.errors import MessageNotAllowed, MethodNotAllowed, RouteMissing
from littoral.api.http import Answer, Request, empty_answer, json_answer
from littoral.api.parts import ApiParts
from littoral.eventing import Mail, Mailbox, MailMissing
from littoral.kernel import time as instants
from littoral.kernel.ids import parse_thing_id
from littoral.policy import READ, WRITE
from littoral.twin import Caller, NotFound
from littoral.twin.live import encode_payload
from littoral.twin.protocol import ABSENT

_METHODS = ("GET", "DELETE")


class MailboxRoutes:
    """Handles ``/api/littoral/v1/things/<thingId>/mailbox[/<messageId>]``.

    Who may read a message (as its receiver) sees it; who may write it (as its sender) sees it too,
    and may cancel it.
    """

    def __init__(self, parts: ApiParts) -> None:
        self._twins = parts.twins
        self._mailbox = parts.mailbox

    async def handle(
        self, request: Request, caller: Caller, thing_id: str, below: tuple[str, ...]
    ) -> Answer:
        """Answer a request; ``below`` are the segments after ``mailbox``.

        Raises:
            NotFound: no such thing; MailMissing: no such message; MessageNotAllowed.
        """
        mailbox = self._mailbox
        if mailbox is None or len(below) > 1:
            raise RouteMissing("there is nothing at this address.")
        if request.method not in {"GET", "HEAD", "DELETE"}:
            raise MethodNotAllowed(request.method, _METHODS)
        parse_thing_id(thing_id)
        if not self._twins.exists(thing_id):
            raise NotFound(f"thing {thing_id} does not exist, or you may not see it.")
        mails = [m for m in mailbox.of(thing_id) if self._may_see(caller, m)]
        if below:
            mails = [m for m in mails if m.id == below[0]]
            if not mails:
                raise MailMissing(
                    f"no message {below[0][:60]!r} is kept for {thing_id}.",
                    hint="It was answered, cancelled, or its time was over.",
                )
        if request.method == "DELETE":
            return await self._cancel(mailbox, caller, mails, one=bool(below))
        if below:
            return json_answer(_whole(mailbox, mails[0]))
        return json_answer({"items": [_document(mail) for mail in mails]})

    async def _cancel(
        self, mailbox: Mailbox, caller: Caller, mails: list[Mail], *, one: bool
    ) -> Answer:
        mine = [m for m in mails if self._may(caller, WRITE, m)]
        if one and not mine:
            raise MessageNotAllowed(
                f"the message {mails[0].id} is not yours to cancel.",
                hint=f"The thing's policy has to grant WRITE on {mails[0].resource[:200]}.",
            )
        for mail in mine:
            await mailbox.cancel(mail.thing_id, mail.id)
        return empty_answer() if one else json_answer({"cancelled": [m.id for m in mine]})

    def _may_see(self, caller: Caller, mail: Mail) -> bool:
        return self._may(caller, READ, mail) or self._may(caller, WRITE, mail)

    def _may(self, caller: Caller, permission: str, mail: Mail) -> bool:
        return self._twins.may_message(caller, mail.thing_id, permission, mail.resource)


def _document(mail: Mail) -> dict[str, object]:
    members: dict[str, object] = {
        "messageId": mail.id,
        "subject": mail.subject,
        "contentType": mail.content_type,
        "correlationId": mail.correlation_id,
        "sender": mail.sender,
        "responseRequired": mail.response_required,
        "bytes": mail.bytes,
        "kept": instants.render(mail.kept_ms),
        "expires": instants.render(mail.expires_ms),
        "offered": mail.offered,
    }
    if mail.feature is not None:
        members["featureId"] = mail.feature
    return members


def _whole(mailbox: Mailbox, mail: Mail) -> dict[str, object]:
    members = _document(mail)
    value = encode_payload(mailbox.payload(mail.thing_id, mail.id), mail.content_type)
    if value is not ABSENT:
        members["value"] = value
    return members
