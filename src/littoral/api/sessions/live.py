"""The live channel of one WebSocket: messages, live commands and events, and announcements.

What is pushed has passed the subscriber's policies, namespaces and filter when it came.
"""

from littoral.api.messages import MessageDesk, is_claim, message_headers
from littoral.api.model import SOCKET_SIGNALS_MAX
from littoral.api.pipeline import LiveEvents, SignalHeaders, parse_headers
from littoral.api.sessions.control import Feed
from littoral.api.sessions.ports import Peer
from littoral.api.streams import Selection, extra_fields, is_wanted
from littoral.eventing import (
    Attachment,
    Direction,
    LiveAttachment,
    LiveKind,
    LiveResponse,
    LiveSignal,
    Message,
    Reply,
    combined_document,
    combined_status,
)
from littoral.kernel import json
from littoral.kernel.errors import LittoralError, Unavailable
from littoral.kernel.ids import parse_thing_id
from littoral.kernel.merge import merge, put_at
from littoral.kernel.pointer import parse
from littoral.policy import READ
from littoral.twin import SubjectDeletion, live, protocol
from littoral.twin.protocol import (
    ABSENT,
    EVENTS,
    Envelope,
    IllegalAdaptable,
    Topic,
    UnknownEvent,
    topic_of,
)

_KINDS = {Feed.LIVE_COMMANDS: LiveKind.COMMAND, Feed.LIVE_EVENTS: LiveKind.EVENT}
_FEEDS = {kind: feed for feed, kind in _KINDS.items()}


class SessionLive:
    """What one session sends and hears on the live channel."""

    def __init__(self, session: Peer) -> None:
        self._session = session
        self._parts = session.parts
        self._desk = MessageDesk(session.parts)
        self._events = LiveEvents(session.parts)
        self._selections: dict[Feed, Selection] = {}
        self._messages: Attachment | None = None
        self._live: LiveAttachment | None = None
        self._owed: dict[tuple[str, str], Message] = {}

    # -- what it wants to hear ----------------------------------------------------------------

    def listen(self, feed: Feed, selection: Selection | None) -> None:
        """Begin a feed, narrow it anew, or end it (None)."""
        if selection is None:
            self._selections.pop(feed, None)
        else:
            self._selections[feed] = selection
        if feed is Feed.MESSAGES:
            if self._messages is not None:
                self._messages.close()
                self._messages = None
            if selection is not None:
                self._messages = self._parts.inbox.attach_everywhere(self._session)
        elif feed in _KINDS:
            if self._live is not None:
                self._live.close()
                self._live = None
            kinds = frozenset(kind for one, kind in _KINDS.items() if one in self._selections)
            if kinds:
                self._live = self._parts.live.attach(self._session, kinds)

    def close(self) -> None:
        """Hear nothing any more. Idempotent."""
        self._selections.clear()
        self._owed.clear()
        for attachment in (self._messages, self._live):
            if attachment is not None:
                attachment.close()
        self._messages = self._live = None

    # -- messages -----------------------------------------------------------------------------

    def message(self, envelope: Envelope) -> None:
        """Send a message, or pass on the answer to one that was pushed here."""
        thing_id = parse_thing_id(envelope.topic.entity_id)
        content_type = str(envelope.headers.get("content-type", protocol.JSON))
        payload = live.decode_payload(envelope.value, content_type)
        if envelope.status is not None:
            # A late answer has nobody to go to.
            asked = self._owed.pop((thing_id, envelope.correlation_id), None)
            if asked is not None:
                headers = {k: v for k, v in envelope.headers.items() if isinstance(v, str)}
                asked.reply(Reply(envelope.status, payload, content_type, headers))
            return
        address = live.parse_message_path(envelope.path)
        if address.subject != envelope.topic.subject:
            raise IllegalAdaptable(
                f"the topic speaks of {envelope.topic.subject[:80]!r}, the path of another subject.",
                hint="Write the same subject in both.",
            )
        message = Message(
            thing_id=thing_id,
            subject=address.subject,
            payload=payload,
            content_type=content_type,
            feature=address.feature,
            direction=Direction(address.direction),
        )
        self._session.spawn(self._send(envelope, message))

    async def _send(self, envelope: Envelope, message: Message) -> None:
        session = self._session
        try:
            headers = message_headers(envelope.headers, claim=is_claim(message))
            done = await self._desk.send(session.caller, message, headers, source=session)
        except LittoralError as e:
            session.fail(e, envelope)
            return
        if not headers.response_required:
            return
        content_type = done.content_type or "application/octet-stream"
        value = live.encode_payload(done.payload, content_type)
        if done.acks is not None:
            session.answer(
                protocol.acknowledgements(
                    envelope, done.status, value, originator=session.originator
                )
            )
            return
        session.answer(
            protocol.response(
                envelope,
                done.status,
                value,
                originator=session.originator,
                content_type=content_type,
                headers=done.headers,
            )
        )

    def deliver(self, message: Message) -> bool:
        """Take a message that somebody sent, if it is for this session."""
        selection = self._selections.get(Feed.MESSAGES)
        if selection is None or not self._may_hear(message):
            return False
        if not selection.has_namespace_of(message.thing_id):
            return False
        subject = message.subject
        topic = topic_of(message.thing_id, "things", "messages", subject, channel="live")
        address = live.MessageAddress(message.feature, message.direction, subject)
        wanted, extra = self._look(selection, topic, address.path, None)
        if not wanted:
            return False
        if not self._session.push([_PushedMessage(self, message, address, extra)]):
            # A mailbox offers it again.
            raise Unavailable("the session has no room for more signals.")
        return True

    def _may_hear(self, message: Message) -> bool:
        session = self._session
        return session.caller.unrestricted or self._parts.twins.may_message(
            session.caller, message.thing_id, READ, message.resource
        )

    def owe(self, message: Message, correlation_id: str) -> None:
        """Remember a message that the client may answer."""
        if len(self._owed) >= SOCKET_SIGNALS_MAX:
            del self._owed[next(iter(self._owed))]
        self._owed[message.thing_id, correlation_id] = message

    def text_of(
        self, message: Message, address: live.MessageAddress, extra: object | None
    ) -> bytes | None:
        """A message's frame, if it has not died while it waited here."""
        wanted = message.answer is not None
        if wanted and message.remaining_s(self._parts.clock.monotonic_s()) == 0:
            return None
        correlation_id = message.correlation_id or self._session.new_id()
        if wanted:
            self.owe(message, correlation_id)
        headers: dict[str, object] = dict(message.headers)
        if message.originator:
            headers["ditto-originator"] = message.originator
        if message.requested_acks:
            headers["requested-acks"] = message.requested_acks
        if message.id:
            headers["littoral-message-id"] = message.id
        return live.message(
            message.thing_id,
            address,
            message.payload,
            message.content_type or "application/octet-stream",
            correlation_id=correlation_id,
            response_required=wanted,
            headers=headers,
            extra=extra,
        )

    # -- live commands and events -------------------------------------------------------------

    def event(self, envelope: Envelope) -> None:
        """Pass on an event that the client says happened to a thing; nothing is stored.

        Raises:
            UnknownEvent, InvalidId, InvalidHeader.
        """
        action = envelope.topic.action
        if action not in EVENTS:
            raise UnknownEvent(
                f"the event {action[:80]!r} does not exist.",
                hint=f"Events are {', '.join(sorted(EVENTS))}.",
            )
        parse_thing_id(envelope.topic.entity_id)
        headers = parse_headers(envelope.headers, channel="live")
        self._session.spawn(self._publish(envelope, headers))

    async def _publish(self, envelope: Envelope, headers: SignalHeaders) -> None:
        session = self._session
        try:
            acks = await self._events.send(session.caller, envelope, headers)
        except LittoralError as e:
            session.fail(e, envelope)
            return
        if acks:
            status, value = combined_status(acks), combined_document(acks)
            session.answer(
                protocol.acknowledgements(envelope, status, value, originator=session.originator)
            )

    def response(self, envelope: Envelope) -> None:
        """Pass on what the client answers to a live command. A late one has nobody to go to."""
        topic = envelope.topic
        status = envelope.status
        if status is None:
            raise protocol.InvalidEnvelope("a response has a 'status'.")
        self._parts.live.respond(
            parse_thing_id(topic.entity_id),
            envelope.correlation_id,
            LiveResponse(status, envelope.value, envelope.headers, topic.action),
            source=self._session,
        )

    def deliver_live(self, signal: LiveSignal) -> bool:
        """Take a live command or event that somebody sent, if it is for this session."""
        selection = self._selections.get(_FEEDS[signal.kind])
        if selection is None or not selection.has_namespace_of(signal.thing_id):
            return False
        if not self._may_see(signal):
            return False
        criterion = str(signal.kind)
        topic = topic_of(signal.thing_id, "things", criterion, signal.action, channel="live")
        data: object = None
        if signal.value is not ABSENT:
            data = put_at({}, parse(signal.path), signal.value)
        wanted, extra = self._look(selection, topic, signal.path, data)
        return wanted and bool(self._session.push([_PushedLive(signal, topic, extra)]))

    def _may_see(self, signal: LiveSignal) -> bool:
        caller, twins = self._session.caller, self._parts.twins
        if caller.unrestricted:
            return True
        if signal.value is ABSENT:
            return twins.may_read(caller, signal.thing_id, signal.path)
        return twins.may_message(caller, signal.thing_id, READ, signal.resource)

    def _look(
        self, selection: Selection, topic: Topic, path: str, data: object
    ) -> tuple[bool, dict[str, object] | None]:
        """Whether a signal passes the filter, and what enriches it."""
        extra = None
        if selection.tree is not None:
            extra = extra_fields(
                self._parts.twins, self._session.caller, topic.entity_id, selection.tree
            )
        if selection.query is None:
            return True, extra
        document: object = {**(extra or {}), "thingId": topic.entity_id}
        if isinstance(data, dict):
            document = merge(json.decode(json.encode(document)), data)
        now_ms = self._parts.clock.now_ms()
        return (
            is_wanted(selection.query, topic=topic, path=path, data=document, now_ms=now_ms),
            extra,
        )

    # -- announcements ------------------------------------------------------------------------

    def announce(self, deletion: SubjectDeletion, frame: bytes) -> bool:
        """Take an announcement of a policy, if it is about one of the client's subjects."""
        selection = self._selections.get(Feed.POLICY_ANNOUNCEMENTS)
        return (
            selection is not None
            and selection.has_namespace_of(deletion.policy_id)
            and not self._session.caller.subjects.isdisjoint(deletion.subject_ids)
            and bool(self._session.push([_Frame(frame)]))
        )


class _Frame:
    """A frame that is finished."""

    __slots__ = ("_text",)

    def __init__(self, text: bytes) -> None:
        self._text = text

    def text(self) -> bytes:
        return self._text


class _PushedMessage:
    """A message that waits to be written; it may die meanwhile."""

    __slots__ = ("_address", "_extra", "_live", "_message")

    def __init__(
        self,
        channel: SessionLive,
        message: Message,
        address: live.MessageAddress,
        extra: object | None,
    ) -> None:
        self._live = channel
        self._message = message
        self._address = address
        self._extra = extra

    def text(self) -> bytes | None:
        return self._live.text_of(self._message, self._address, self._extra)


class _PushedLive:
    """A live command or event that waits to be written."""

    __slots__ = ("_extra", "_signal", "_topic")

    def __init__(self, signal: LiveSignal, topic: Topic, extra: object | None) -> None:
        self._signal = signal
        self._topic = topic
        self._extra = extra

    def text(self) -> bytes:
        signal = self._signal
        headers: dict[str, object] = {
            "correlation-id": signal.correlation_id,
            "content-type": protocol.MERGE_PATCH
            if signal.action in {"merge", "merged"}
            else protocol.JSON,
            "version": 2,
            "response-required": signal.response_required,
            "requested-acks": signal.requested_acks,
            "ditto-originator": signal.originator,
            **signal.headers,
        }
        return protocol.encode(
            self._topic,
            signal.path,
            headers,
            signal.value,
            fields=signal.fields,
            extra=self._extra,
        )
