"""Messages to and from things as server-sent events, for who may read them."""

from dataclasses import dataclass

from littoral.api.parts import ApiParts
from littoral.api.streams.events import EventStream, Keeper
from littoral.eventing import Direction, Message
from littoral.kernel import json
from littoral.policy import READ
from littoral.twin import Caller, live


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which messages a stream is about."""

    thing_id: str
    direction: Direction
    feature: str | None
    subject: str

    def has(self, message: Message) -> bool:
        """Whether ``message`` is one of them."""
        return (
            message.thing_id == self.thing_id
            and message.feature == self.feature
            and self.subject in {"", message.subject}
        )


class MessageStream(EventStream):
    """A stream of messages, as a `Receiver`: it hears them and never answers."""

    def __init__(
        self,
        keeper: Keeper,
        caller: Caller,
        wanted: Wanted,
        parts: ApiParts,
    ) -> None:
        super().__init__(keeper, caller)
        self._wanted = wanted
        self._twins = parts.twins
        self._attachment = parts.inbox.attach_everywhere(self, direction=wanted.direction)

    def leave(self) -> None:
        """Hear nothing any more."""
        super().leave()
        self._attachment.close()

    def deliver(self, message: Message) -> bool:
        """Take a message, if it is one of those that are wanted and may be read."""
        if not self._wanted.has(message):
            return False
        caller = self.caller
        if not caller.unrestricted and not self._twins.may_message(
            caller, message.thing_id, READ, message.resource
        ):
            return False
        self.put([_Heard(message)])
        return True


class _Heard:
    """A message that waits to be written."""

    __slots__ = ("_message",)

    def __init__(self, message: Message) -> None:
        self._message = message

    def text(self) -> bytes:
        message = self._message
        payload = message.payload
        if b"\n" in payload or b"\r" in payload or not _is_text(payload):
            # A line break would end the event's data, and only UTF-8 may be in a stream.
            value = live.encode_payload(payload, message.content_type or "text/plain")
            payload = value.encode() if isinstance(value, str) else json.encode(value)
        lines = b"\n".join(b"data:" + line for line in payload.splitlines() or [b""])
        return b"event:%s\n%s\n\n" % (message.subject.encode(), lines)


def _is_text(payload: bytes) -> bool:
    try:
        payload.decode()
    except UnicodeDecodeError:
        return False
    return True
