# Written by docs/unasync.py from littoral.client.aio; change that, then run `make docs`.
"""The WebSocket session: commands, events, messages, acknowledgements and history over one socket."""

import secrets
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Self, TypeVar, Unpack

from littoral.client import protocol
from littoral.client.errors import ApiError, Unreachable
from littoral.client.http import Target
from littoral.client.model import MessageReply, Signal, Written
from littoral.client.requests import NOTHING, Json, WriteOptions, timeout_text
from littoral.client.sockets import Deadline, Lock, Socket, socket_url

T = TypeVar("T")

SIGNALS_MAX = 10_000
"""Signals that wait to be taken from a session; beyond, the oldest are dropped and counted."""

COMMAND_S = 60.0
"""How long an answer is waited for, if a command does not say."""

SLACK_S = 5.0
"""How much longer than the node may take an answer is waited for."""

DEMAND = 100
"""Items of history, or pages of a search, that are asked for at a time."""


class Session:
    """A WebSocket at /ws/2, to be used in a ``with`` block. Made by `Client.session`.

    Nothing is read in the background: whoever waits for an answer or for a signal reads, and puts
    aside what others wait for. Several may wait at the same time.

    Invariant: a frame is given to whom it is for exactly once, or counted in ``dropped``.
    """

    def __init__(self, target: Target, declared_acks: Sequence[str] = ()) -> None:
        self._socket = Socket(socket_url(target.url, declared_acks), target.authorization)
        self._lock = Lock()
        self._prefix = secrets.token_hex(6)
        self._count = 0
        self._expected: set[str] = set()
        self._answers: dict[str, Signal] = {}
        self._streams: dict[str, deque[Signal]] = {}
        self._controls: dict[str, bool] = {}
        self._errors: deque[Signal] = deque(maxlen=100)
        self._signals: deque[Signal] = deque()
        self.dropped = 0
        """Signals that were not taken in time."""

    def __enter__(self) -> Self:
        self._socket.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def close(self) -> None:
        """End the session. Idempotent."""
        self._socket.close()

    # What is to be sent here.

    def follow_events(
        self,
        query: str | None = None,
        *,
        namespaces: Sequence[str] = (),
        extra_fields: str | Sequence[str] | None = None,
    ) -> None:
        """Be sent changes of things. Asking again replaces what was asked before.

        Args:
            query: RQL about the changed data together with ``extra_fields``.
            namespaces: only of these.
            extra_fields: parts of the thing that come along, in `Signal.extra`.
        """
        self._follow(protocol.EVENTS, query, namespaces, extra_fields)

    def follow_messages(
        self,
        query: str | None = None,
        *,
        namespaces: Sequence[str] = (),
        extra_fields: str | Sequence[str] | None = None,
    ) -> None:
        """Be sent messages to and from things; `reply` answers them."""
        self._follow(protocol.MESSAGES, query, namespaces, extra_fields)

    def follow_live_commands(
        self, *, namespaces: Sequence[str] = (), extra_fields: str | Sequence[str] | None = None
    ) -> None:
        """Be sent commands for devices themselves; `reply` answers them."""
        self._follow(protocol.LIVE_COMMANDS, None, namespaces, extra_fields)

    def follow_live_events(
        self,
        query: str | None = None,
        *,
        namespaces: Sequence[str] = (),
        extra_fields: str | Sequence[str] | None = None,
    ) -> None:
        """Be sent events that devices tell of themselves."""
        self._follow(protocol.LIVE_EVENTS, query, namespaces, extra_fields)

    def follow_announcements(self, *, namespaces: Sequence[str] = ()) -> None:
        """Be told before a subject of a policy ends."""
        self._follow(protocol.ANNOUNCEMENTS, None, namespaces, None)

    def stop(self, what: str = protocol.EVENTS) -> None:
        """Be sent no more: ``EVENTS``, ``MESSAGES``, ``LIVE-COMMANDS``, ``LIVE-EVENTS``, …."""
        self._control(f"STOP-SEND-{what}:ACK", protocol.control(what, start=False))

    def renew(self, token: str) -> None:
        """Show a newer JWT of the same user before the old one ends."""
        self._socket.send(f"JWT-TOKEN?jwtToken={token}")

    # What comes.

    def signals(self, *, idle_s: float | None = None) -> Iterator[Signal]:
        """What is sent here, as it comes.

        Args:
            idle_s: end when so long nothing came; None: never.

        Raises:
            StreamEnded: the node, or the network, ended the session.
        """
        while True:
            signal = self.receive(timeout_s=idle_s)
            if signal is None:
                return
            yield signal

    def receive(self, *, timeout_s: float | None = None) -> Signal | None:
        """The next signal; None if none came in time."""
        return self._taken(
            lambda: self._signals.popleft() if self._signals else None, Deadline(timeout_s)
        )

    def reply(
        self,
        signal: Signal,
        status: int = 200,
        payload: object = None,
        *,
        content_type: str = "application/json",
    ) -> None:
        """Answer a message or a live command."""
        self._socket.send(protocol.answer_to(signal, status, payload, content_type))

    def acknowledge(
        self, signal: Signal, label: str, status: int = 200, value: object = None
    ) -> None:
        """Give an acknowledgement that this session has declared."""
        self._socket.send(
            protocol.acknowledgement(signal, label, status, NOTHING if value is None else value)
        )

    # What is asked.

    def get(self, thing_id: str, path: str = "/", *, fields: str | None = None) -> Any:
        """What is at ``path`` of a thing."""
        return (self.command("retrieve", thing_id, path, fields=fields)).value

    def create(self, thing_id: str, document: Json, **options: Unpack[WriteOptions]) -> Written:
        """Create a thing; an error if it is there."""
        return _written(self.command("create", thing_id, "/", document, **options))

    def put(
        self, thing_id: str, value: Json, path: str = "/", **options: Unpack[WriteOptions]
    ) -> Written:
        """Create or replace what is at ``path``."""
        return _written(self.command("modify", thing_id, path, value, **options))

    def merge(
        self, thing_id: str, patch: Json, path: str = "/", **options: Unpack[WriteOptions]
    ) -> Written:
        """Merge ``patch`` at ``path``."""
        return _written(self.command("merge", thing_id, path, patch, **options))

    def delete(self, thing_id: str, path: str = "/", **options: Unpack[WriteOptions]) -> Written:
        """Delete a thing, or what is at ``path``."""
        return _written(self.command("delete", thing_id, path, **options))

    def command(
        self,
        action: str,
        entity_id: str,
        path: str = "/",
        value: object = NOTHING,
        *,
        group: str = "things",
        fields: str | None = None,
        **options: Unpack[WriteOptions],
    ) -> Signal:
        """Send a command and wait for its answer.

        Args:
            action: ``create``, ``retrieve``, ``modify``, ``merge`` or ``delete``.
            entity_id: the thing, or the policy.
            path: where in it.
            value: what is written.
            group: ``things`` or ``policies``.
            fields: what is read of it.
            options: as over HTTP.

        Raises:
            ApiError: it was refused. Unreachable: no answer came in time.
        """
        cid = self._new_id()
        frame = protocol.command(
            action, entity_id, path, value,
            correlation_id=cid, group=group, options=options, fields=fields,
        )  # fmt: skip
        return self._asked(cid, frame, options.get("timeout_s") or COMMAND_S)

    def send_command(
        self,
        action: str,
        thing_id: str,
        path: str = "/",
        value: object = NOTHING,
        **options: Unpack[WriteOptions],
    ) -> None:
        """Send a command and want no answer: the fastest way to write."""
        options["respond"] = False
        frame = protocol.command(
            action, thing_id, path, value, correlation_id=self._new_id(), options=options
        )
        self._socket.send(frame)

    def live_event(self, action: str, thing_id: str, path: str, value: object) -> None:
        """Tell an event of a device: ``created``, ``modified``, ``merged`` or ``deleted``."""
        topic = protocol.topic_of(thing_id, f"things/live/events/{action}")
        self._socket.send(protocol.envelope(topic, path, value, {}))

    def send_message(
        self,
        thing_id: str,
        subject: str,
        payload: object = None,
        *,
        content_type: str = "application/json",
        feature: str | None = None,
        direction: str = "inbox",
        timeout_s: float = 10.0,
    ) -> MessageReply | None:
        """Send a message and wait for its answer; a ``timeout_s`` of 0 waits for none."""
        cid = self._new_id()
        headers: dict[str, object] = {"correlation-id": cid}
        if timeout_s:
            headers["timeout"] = timeout_text(timeout_s)
        else:
            headers["response-required"] = False
        frame = protocol.message(
            thing_id, subject, payload,
            content_type=content_type, feature=feature, direction=direction, headers=headers,
        )  # fmt: skip
        if not timeout_s:
            self._socket.send(frame)
            return None
        answer = self._asked(cid, frame, timeout_s, refuse=False)
        if answer.criterion == "errors":
            raise _error(answer)
        return protocol.reply_of(answer)

    # Streams: the past of an entity, and what a search finds.

    def history(
        self,
        entity_id: str,
        *,
        first: int | None = None,
        last: int | None = None,
        since: str | None = None,
        until: str | None = None,
        query: str | None = None,
        group: str = "things",
    ) -> Iterator[Signal]:
        """The changes of an entity, oldest first; see `History.changes`."""
        named = {
            "fromHistoricalRevision": first,
            "toHistoricalRevision": last,
            "fromHistoricalTimestamp": since,
            "toHistoricalTimestamp": until,
            "filter": query,
        }
        value = {name: one for name, one in named.items() if one is not None}
        place = "things/twin" if group == "things" else group
        topic = protocol.topic_of(entity_id, f"{place}/streaming/")
        for part in self._stream(topic, "subscribeForPersistedEvents", value, None):
            yield protocol.parse_item(part["item"])

    def search(
        self,
        query: str | None = None,
        *,
        namespaces: Sequence[str] = (),
        fields: str | None = None,
        options: str = "",
    ) -> Iterator[Any]:
        """The things that a search finds; ``options`` are ``sort(…)`` and ``size(…)``."""
        value: dict[str, object] = {}
        if query is not None:
            value["filter"] = query
        if namespaces:
            value["namespaces"] = list(namespaces)
        if options:
            value["options"] = options
        for part in self._stream("_/_/things/twin/search/", "subscribe", value, fields):
            for item in part["items"]:
                yield item

    def _stream(self, topic: str, action: str, value: object, fields: str | None) -> Iterator[Any]:
        cid = self._new_id()
        headers = {"correlation-id": cid}
        asked = protocol.envelope(f"{topic}{action}", "/", value, headers, fields=fields)
        created = self._asked(cid, asked, COMMAND_S)
        subscription = str(created.value["subscriptionId"])
        waiting = self._streams.setdefault(subscription, deque())
        try:
            left = 0
            while True:
                if left == 0:
                    left = DEMAND
                    more = {"subscriptionId": subscription, "demand": DEMAND}
                    self._socket.send(protocol.envelope(f"{topic}request", "/", more, headers))
                part = self._taken(
                    lambda: waiting.popleft() if waiting else None, Deadline(COMMAND_S)
                )
                if part is None:
                    raise Unreachable("the stream stopped.", hint="Begin it again.")
                if part.action == "complete":
                    return
                if part.action == "failed":
                    raise _error(part)
                left -= 1
                yield part.value
        finally:
            self._streams.pop(subscription, None)

    # How it is done.

    def _follow(
        self,
        what: str,
        query: str | None,
        namespaces: Sequence[str],
        extra_fields: str | Sequence[str] | None,
    ) -> None:
        frame = protocol.control(
            what, start=True, namespaces=namespaces, query=query, extra_fields=extra_fields
        )
        self._control(f"START-SEND-{what}:ACK", frame)

    def _control(self, acknowledgement: str, frame: str) -> None:
        self._controls[acknowledgement] = False
        self._errors.clear()
        try:
            self._socket.send(frame)
            found = self._taken(
                lambda: (
                    self._errors.popleft()
                    if self._errors
                    else self._controls[acknowledgement] or None
                ),
                Deadline(COMMAND_S),
            )
        finally:
            del self._controls[acknowledgement]
        if isinstance(found, Signal):
            raise _error(found)
        if found is None:
            raise Unreachable(f"the node did not say {acknowledgement}.")

    def _asked(self, cid: str, frame: bytes, timeout_s: float, *, refuse: bool = True) -> Signal:
        self._expected.add(cid)
        try:
            self._socket.send(frame)
            answer = self._taken(
                lambda: self._answers.pop(cid, None), Deadline(timeout_s + SLACK_S)
            )
        finally:
            self._expected.discard(cid)
            self._answers.pop(cid, None)
        if answer is None:
            raise Unreachable(
                f"no answer came within {timeout_s:g} s.", hint="Whether it was done is not known."
            )
        refused = protocol.raised(answer) if refuse else None
        if refused is not None:
            raise refused
        return answer

    def _taken(self, ready: Callable[[], T | None], deadline: Deadline) -> T | None:
        """What ``ready`` gives, reading as long as it gives nothing; None if it is late."""
        while True:
            found = ready()
            if found is not None:
                return found
            if not self._lock.acquire(deadline.left_s):
                return None
            try:
                # Whoever had the lock before may have read what is waited for here.
                found = ready()
                if found is not None:
                    return found
                text = self._socket.receive(deadline.left_s)
                if text is None:
                    return None
                self._dispatch(text)
            finally:
                self._lock.release()

    def _dispatch(self, text: str | bytes) -> None:
        word = text if isinstance(text, str) else text.decode()
        if word.endswith(":ACK"):
            if word in self._controls:
                self._controls[word] = True
            return
        signal = protocol.parse_frame(word)
        if signal.correlation_id in self._expected and protocol.is_answer(signal):
            self._answers[signal.correlation_id] = signal
            return
        subscription = protocol.subscription_of(signal)
        if subscription is not None:
            # It may come before the answer that names the subscription was taken.
            self._streams.setdefault(subscription, deque()).append(signal)
            return
        if signal.criterion == "errors" and self._controls:
            self._errors.append(signal)
            return
        if len(self._signals) == SIGNALS_MAX:
            self._signals.popleft()
            self.dropped += 1
        self._signals.append(signal)

    def _new_id(self) -> str:
        self._count += 1
        return f"{self._prefix}-{self._count}"


def _error(signal: Signal) -> Exception:
    return protocol.raised(signal) or ApiError(
        signal.status or 0, "client.refused", "the node refused.", body=signal.value
    )


def _written(answer: Signal) -> Written:
    several = answer.criterion == "acks"
    return Written(
        created=answer.status == 201,
        etag=str(answer.headers.get("etag", "")),
        value=answer.value if answer.status == 201 else None,
        acknowledgements=answer.value if several and isinstance(answer.value, dict) else {},
    )
