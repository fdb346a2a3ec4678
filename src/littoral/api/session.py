"""One WebSocket session of the Ditto Protocol: commands in, answers, events and messages out.

The session owns its buffers and never waits for the socket: `outgoing` is read by whoever writes.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence

from littoral.api import changes
from littoral.api.commands import CommandRunner
from littoral.api.control import Control, Feed, parse_control
from littoral.api.expectation import Expectation
from littoral.api.messages import check_may_send
from littoral.api.model import (
    MESSAGE_TIMEOUT_S,
    SOCKET_REPLIES_MAX,
    SOCKET_SIGNALS_MAX,
    TIMEOUT_S_MAX,
)
from littoral.api.parts import ApiParts
from littoral.api.request import parse_timeout
from littoral.eventing import Attachment, Direction, Message, Reply, Subscription
from littoral.kernel.errors import LittoralError
from littoral.kernel.ids import namespace_of, parse_thing_id
from littoral.log import Record
from littoral.policy import READ
from littoral.twin import Caller, live, protocol
from littoral.twin.protocol import Envelope


class Session:
    """What one connected client is owed, and what it may still answer.

    Invariant: nothing is pushed before it was asked for, nor that its policies do not let it read.
    Invariant: answers are never dropped (their commands are bounded instead); pushed signals are,
    the newest first, when `SOCKET_SIGNALS_MAX` of them wait.
    """

    def __init__(
        self,
        parts: ApiParts,
        runner: CommandRunner,
        owners: tuple[str, ...],
        caller: Caller,
        originator: str,
        new_id: Callable[[], str],
    ) -> None:
        self._parts = parts
        self._runner = runner
        self.owners = owners
        self._caller = caller
        self._originator = originator
        self._new_id = new_id
        self._answers: deque[str] = deque()
        self._signals: deque[Record | Message] = deque()
        self._wake = asyncio.Event()
        self._unclogged = asyncio.Event()
        self._unclogged.set()
        self._events: Subscription | None = None
        self._event_namespaces: frozenset[str] | None = None
        self._messages: Attachment | None = None
        self._message_namespaces: frozenset[str] | None = None
        self._owed: dict[tuple[str, str], Message] = {}
        self.dropped = 0
        self.closing = False

    # -- in -----------------------------------------------------------------------------------

    async def receive(self, text: str) -> None:
        """Take one frame, and put its answer into `outgoing` once there is one."""
        envelope: Envelope | None = None
        try:
            if not text.lstrip().startswith("{"):
                control = parse_control(text)
                if control is not None:
                    self._obey(control)
                    self._answer(control.acknowledgement)
                    return
            envelope = protocol.parse_envelope(text)
            answer = await self._signal(envelope)
            if answer is not None:
                self._answer(answer.decode())
        except LittoralError as e:
            self._answer(protocol.error_response(e, envelope, self._new_id()).decode())

    async def _signal(self, envelope: Envelope) -> bytes | None:
        if not envelope.correlation_id:
            envelope.headers["correlation-id"] = self._new_id()
        if envelope.topic.criterion == "messages" and envelope.topic.channel == "live":
            return await self._message(envelope)
        timeout = Expectation(_timeout(envelope, TIMEOUT_S_MAX) or TIMEOUT_S_MAX, respond=True)
        status, value, etag = await timeout.of(self._runner.run(self._caller, envelope))
        if not envelope.response_required:
            return None
        return protocol.response(
            envelope, status, value, etag=etag or None, originator=self._originator
        )

    async def _message(self, envelope: Envelope) -> bytes | None:
        thing_id = parse_thing_id(envelope.topic.entity_id)
        content_type = str(envelope.headers.get("content-type", "application/json"))
        payload = live.decode_payload(envelope.value, content_type)
        if envelope.status is not None:
            # An answer to a message that was pushed here; a late one has nobody to go to.
            asked = self._owed.pop((thing_id, envelope.correlation_id), None)
            if asked is not None:
                asked.reply(Reply(envelope.status, payload, content_type))
            return None
        address = live.parse_message_path(envelope.path)
        message = Message(
            thing_id=thing_id,
            subject=address.subject,
            payload=payload,
            content_type=content_type,
            feature=address.feature,
            direction=Direction(address.direction),
            correlation_id=envelope.correlation_id,
            subjects=self._caller.subjects,
        )
        check_may_send(self._parts.twins, self._caller, message)
        timeout_s = _timeout(envelope, MESSAGE_TIMEOUT_S)
        if not envelope.response_required or timeout_s == 0:
            self._parts.inbox.post(message, source=self)
            return None
        reply = await self._parts.inbox.send(message, timeout_s=timeout_s, source=self)
        reply_type = reply.content_type or "application/octet-stream"
        return protocol.response(
            envelope,
            reply.status,
            live.encode_payload(reply.payload, reply_type),
            originator=self._originator,
            content_type=reply_type,
        )

    def _obey(self, control: Control) -> None:
        match control.feed:
            case Feed.EVENTS:
                if self._events is not None:
                    self._events.close()
                    self._events = None
                if control.start:
                    self._event_namespaces = control.namespaces
                    self._events = self._parts.router.subscribe(
                        self._committed, prefix=changes.THING, kinds=changes.ACTIONS
                    )
            case Feed.MESSAGES:
                if self._messages is not None:
                    self._messages.close()
                    self._messages = None
                if control.start:
                    self._message_namespaces = control.namespaces
                    self._messages = self._parts.inbox.attach_everywhere(self)

    # -- out ----------------------------------------------------------------------------------

    def deliver(self, message: Message) -> None:
        """Take a live message, as a `Receiver`; one that may not be read here is not for us."""
        if not _among(self._message_namespaces, message.thing_id):
            return
        if self._caller.unrestricted or self._parts.twins.may_message(
            self._caller, message.thing_id, READ, message.resource
        ):
            self._push(message)

    def _committed(self, records: Sequence[Record]) -> None:
        for record in records:
            if _among(self._event_namespaces, changes.thing_id_of(record)):
                self._push(record)

    def _push(self, signal: Record | Message) -> None:
        if len(self._signals) >= SOCKET_SIGNALS_MAX:
            self.dropped += 1
            return
        self._signals.append(signal)
        self._wake.set()

    def _answer(self, text: str) -> None:
        self._answers.append(text)
        if len(self._answers) >= SOCKET_REPLIES_MAX:
            self._unclogged.clear()
        self._wake.set()

    async def outgoing(self) -> str | None:
        """The next frame to write: answers first, then signals in order. None: the end."""
        while True:
            if self._answers:
                text = self._answers.popleft()
                if len(self._answers) < SOCKET_REPLIES_MAX:
                    self._unclogged.set()
                return text
            if self.closing:
                return None
            while self._signals:
                pushed = self._text_of(self._signals.popleft())
                if pushed is not None:
                    return pushed
            self._wake.clear()
            await self._wake.wait()

    async def wait_unclogged(self) -> None:
        """Wait while so many answers wait to be written that no more should be made."""
        await self._unclogged.wait()

    def _text_of(self, signal: Record | Message) -> str | None:
        if isinstance(signal, Message):
            return self._message_text(signal)
        value = changes.readable_value(self._parts.twins, self._caller, signal)
        if value is protocol.ABSENT:
            return None
        return changes.event_text(signal, value).decode()

    def _message_text(self, message: Message) -> str | None:
        wanted = message.answer is not None
        if wanted and message.remaining_s(self._parts.clock.monotonic_s()) == 0:
            return None
        correlation_id = message.correlation_id or self._new_id()
        if wanted:
            if len(self._owed) >= SOCKET_SIGNALS_MAX:
                del self._owed[next(iter(self._owed))]
            self._owed[message.thing_id, correlation_id] = message
        address = live.MessageAddress(message.feature, message.direction, message.subject)
        return live.message(
            message.thing_id,
            address,
            message.payload,
            message.content_type or "application/octet-stream",
            correlation_id=correlation_id,
            response_required=wanted,
        ).decode()

    def close(self) -> None:
        """Get nothing any more; what is still buffered is not written. Idempotent."""
        self.closing = True
        self._answers.clear()
        self._signals.clear()
        self._owed.clear()
        if self._events is not None:
            self._events.close()
        if self._messages is not None:
            self._messages.close()
        self._unclogged.set()
        self._wake.set()


def _among(namespaces: frozenset[str] | None, thing_id: str) -> bool:
    return namespaces is None or namespace_of(thing_id) in namespaces


def _timeout(envelope: Envelope, default: float) -> float:
    text = envelope.headers.get("timeout")
    return default if text is None else parse_timeout(str(text))
