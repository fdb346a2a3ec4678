# Written by docs/unasync.py from littoral.client.aio; change that, then run `make docs`.
"""Messages to devices and from them, and the mailbox where they wait."""

from urllib.parse import quote

from littoral.client.answers import converted, reply
from littoral.client.http import HttpTransport
from littoral.client.model import Mail, MessageReply
from littoral.client.requests import (
    V1,
    Request,
    encoded,
    message_address,
    thing_address,
    timeout_text,
)


class Messages:
    """Messages are answered by whoever listens: a device, a function, a session."""

    def __init__(self, node: HttpTransport) -> None:
        self._node = node

    def send(
        self,
        thing_id: str,
        subject: str,
        payload: object = None,
        *,
        content_type: str = "application/json",
        feature: str | None = None,
        direction: str = "inbox",
        timeout_s: float = 10.0,
        keep_s: int | None = None,
    ) -> MessageReply:
        """Send a message to a thing (or one of its features) and wait for its answer.

        Args:
            thing_id: the thing.
            subject: what it is about; may have slashes.
            payload: JSON-able, or bytes for any other ``content_type``; None is none.
            content_type: what the payload is.
            feature: to this feature of it.
            direction: ``inbox`` is to the thing, ``outbox`` from it.
            timeout_s: 0 wants no answer (status 202 comes back); 60 is the most.
            keep_s: if no device is there, keep the message so long, durably; 202 comes back.

        Raises:
            ApiError: the node refuses, or nobody answers in time (``command.timeout``). A status
                that the device itself chose is no error: it is in the reply.
        """
        path = message_address(thing_id, subject, feature=feature, direction=direction)
        headers = {"content-type": content_type}
        if keep_s is not None:
            headers["littoral-mailbox-ttl"] = str(keep_s)
        request = _message(path, payload, headers, timeout_s)
        return reply(self._node.send(request, refuse=False))

    def claim(
        self,
        thing_id: str,
        payload: object = None,
        *,
        content_type: str = "application/json",
        timeout_s: float = 60.0,
    ) -> MessageReply:
        """Ask a thing to be given to this user; its device decides. 600 s is the most."""
        path = thing_address(thing_id, "/inbox/claim")
        request = _message(path, payload, {"content-type": content_type}, timeout_s)
        return reply(self._node.send(request, refuse=False))

    def waiting(self, thing_id: str) -> list[Mail]:
        """Messages that wait for a device of this thing."""
        answer = self._node.send(Request("GET", _mailbox(thing_id)))
        return converted(answer.url, answer.json()["items"], list[Mail])

    def cancel(self, thing_id: str, message_id: str) -> None:
        """Take back a message that waits."""
        address = f"{_mailbox(thing_id)}/{quote(message_id, safe='')}"
        self._node.send(Request("DELETE", address))

    def cancel_all(self, thing_id: str) -> list[str]:
        """Take back all that wait and are this user's to cancel; their ids."""
        answer = self._node.send(Request("DELETE", _mailbox(thing_id)))
        return converted(answer.url, answer.json()["cancelled"], list[str])


def _mailbox(thing_id: str) -> str:
    return f"{V1}/things/{quote(thing_id, safe=':')}/mailbox"


def _message(path: str, payload: object, headers: dict[str, str], timeout_s: float) -> Request:
    if isinstance(payload, bytes):
        content = payload
    else:
        content = b"" if payload is None else encoded(payload)
    params = {"timeout": timeout_text(timeout_s)}
    return Request("POST", path, params, headers, content, timeout_s)
