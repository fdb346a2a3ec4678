"""One WebSocket session of the Ditto Protocol: signals in, answers, events and messages out.

The session owns its buffers and never waits for the socket: `take` is called by whoever writes.
What each kind of signal means is in `commands`, `live` and `streams`.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from littoral.api.errors import CommandLate
from littoral.api.http import Authenticator, caller_of
from littoral.api.model import (
    SOCKET_COMMANDS_MAX,
    SOCKET_REPLIES_BYTES_MAX,
    SOCKET_REPLIES_MAX,
    SOCKET_SIGNALS_MAX,
)
from littoral.api.parts import ApiParts
from littoral.api.pipeline import Commands
from littoral.api.sessions.commands import SessionCommands
from littoral.api.sessions.control import Control, Feed, Token, parse_control
from littoral.api.sessions.errors import SessionExpired
from littoral.api.sessions.live import SessionLive
from littoral.api.sessions.ports import Signal
from littoral.api.sessions.streams import OpenSearch, SessionStreams
from littoral.api.streams import Feeds, Pushed, Watching
from littoral.eventing import Declaration, LiveSignal, Message, SignalKind
from littoral.identity import Identity
from littoral.kernel.errors import LittoralError
from littoral.twin import SubjectDeletion, protocol
from littoral.twin.protocol import Envelope, UnknownSignal

_FEEDS = {
    SignalKind.EVENT: Feed.EVENTS,
    SignalKind.MESSAGE: Feed.MESSAGES,
    SignalKind.LIVE_COMMAND: Feed.LIVE_COMMANDS,
    SignalKind.LIVE_EVENT: Feed.LIVE_EVENTS,
}
_TAKE_MAX = 64
"""Frames that are handed over to be written at once; signals beyond it may still be dropped."""


Spawn = Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]]


class Session:
    """What one connected client is owed, and what it may still answer.

    Invariant: nothing is pushed before it was asked for, nor that its policies do not let it read.
    Invariant: answers are never dropped (their commands are bounded instead); pushed signals are,
    the newest first, when `SOCKET_SIGNALS_MAX` of them wait.
    """

    def __init__(
        self,
        parts: ApiParts,
        commands: Commands,
        feeds: Feeds,
        authenticator: Authenticator,
        identity: Identity,
        new_id: Callable[[], str],
        *,
        declared_acks: frozenset[str] = frozenset(),
        open_search: OpenSearch | None = None,
    ) -> None:
        self.parts = parts
        self.feeds = feeds
        self.new_id = new_id
        self.identity = identity
        self.caller = caller_of(identity)
        self.owner: object = self
        self._authenticator = authenticator
        self._commands = SessionCommands(self, commands)
        self._live = SessionLive(self)
        self._streams = SessionStreams(self, open_search)
        self._answers: deque[bytes] = deque()
        self._answers_bytes = 0
        self._signals: deque[Signal] = deque()
        self._wake = asyncio.Event()
        self._room = asyncio.Event()
        self._spawn: Spawn | None = None
        self._running = 0
        self._events: Watching | None = None
        self._controls: dict[Feed, Control] = {}
        self._expiry: asyncio.TimerHandle | None = None
        self._declaration: Declaration | None = None
        self._declared = declared_acks
        self.dropped = 0
        self.closing = False

    @property
    def originator(self) -> str:
        """The subject that stands for the client in what it causes."""
        return self.caller.subject

    def begin(self, spawn: Spawn) -> None:
        """Start: ``spawn`` runs a coroutine beside the session, and ends with it."""
        self._spawn = spawn
        self._arm_expiry()
        if self._declared:
            try:
                self._declaration = self.parts.acks.declare(
                    self, self._declared, hears=lambda kind: _FEEDS[kind] in self._controls
                )
            except LittoralError as e:
                self.fail(e)
                self.end()

    # -- in -----------------------------------------------------------------------------------

    def receive(self, text: str) -> None:
        """Take one frame: do it at once if it can be, else begin it in a task of its own."""
        envelope: Envelope | None = None
        try:
            if text[:1] != "{" and not text.lstrip().startswith("{"):
                control = parse_control(text)
                if control is not None:
                    self._obey(control)
                    return
            envelope = protocol.parse_envelope(text)
            if not envelope.correlation_id:
                envelope.headers["correlation-id"] = self.new_id()
            self._dispatch(envelope)
        except LittoralError as e:
            self.fail(e, envelope, "" if envelope else protocol.correlation_id_in(text))

    def _dispatch(self, envelope: Envelope) -> None:
        topic = envelope.topic
        match topic.criterion:
            case "commands":
                if topic.channel == "live" and envelope.status is not None:
                    self._live.response(envelope)
                else:
                    self._commands.command(envelope)
            case "messages":
                self._live.message(envelope)
            case "events" if topic.channel == "live":
                self._live.event(envelope)
            case "errors" if topic.channel == "live":
                self._live.response(envelope)
            case "acks":
                self._commands.acknowledge(envelope)
            case "search":
                self._streams.search(envelope)
            case "streaming":
                self._streams.history(envelope)
            case _:
                raise UnknownSignal(
                    f"the signal {str(topic)[:200]!r} is not taken here.",
                    hint="Send commands, live messages and events, acknowledgements or searches.",
                )

    def _obey(self, control: Control | Token) -> None:
        if isinstance(control, Token):
            self.spawn(self._renew(control.jwt))
            return
        feed = control.feed
        if feed is Feed.EVENTS:
            self._watch(control if control.start else None)
        else:
            self._live.listen(feed, control.selection if control.start else None)
        if control.start:
            self._controls[feed] = control
        else:
            self._controls.pop(feed, None)
        self.answer(control.acknowledgement.encode())

    def _watch(self, control: Control | None) -> None:
        """Begin, narrow anew, or end the feed of twin events."""
        if self._events is not None:
            self._events.close()
            self._events = None
        if control is not None:
            self._events = self.feeds.watch(self, self.caller, control.selection)

    # -- who it is ----------------------------------------------------------------------------

    async def _renew(self, token: str) -> None:
        """Go on under a new token of the same subject; another one's ends the session."""
        try:
            identity = await self._authenticator.renew(self.identity, token)
        except LittoralError as e:
            self.fail(e)
            self.end()
            return
        self.identity = identity
        before, self.caller = self.caller, caller_of(identity)
        self._arm_expiry()
        control = self._controls.get(Feed.EVENTS)
        if control is not None and before.subjects != self.caller.subjects:
            self._watch(control)

    def _arm_expiry(self) -> None:
        if self._expiry is not None:
            self._expiry.cancel()
            self._expiry = None
        at_ms = self.identity.expires_ms
        if at_ms is not None:
            wait_s = max(0.0, (at_ms - self.parts.clock.now_ms()) / 1000)
            self._expiry = asyncio.get_running_loop().call_later(wait_s, self._expire)

    def _expire(self) -> None:
        self.fail(
            SessionExpired(
                "the token of this session has expired.",
                hint="Connect anew, or send JWT-TOKEN?jwtToken=<token> in time.",
            )
        )
        self.end()

    # -- what others hand over ----------------------------------------------------------------

    def watch(self, pushed: Sequence[Pushed]) -> None:
        """Take changes, as a `Watcher`."""
        self.push(pushed)

    def deliver(self, message: Message) -> bool:
        """Take a live message, as a `Receiver`."""
        took = self._live.deliver(message)
        if not took:
            self._answer_weakly(message)
        return took

    def announce(self, deletion: SubjectDeletion, frame: bytes) -> bool:
        """Take an announcement of a policy; False if it is not for this client."""
        return self._live.announce(deletion, frame)

    def deliver_live(self, signal: LiveSignal) -> bool:
        """Take a live command or event, as a `LiveReceiver`."""
        took = self._live.deliver_live(signal)
        if not took:
            self._answer_weakly(signal)
        return took

    def _answer_weakly(self, signal: Message | LiveSignal) -> None:
        """Acknowledge what is not for this session, so that its sender does not wait in vain."""
        if signal.requested_acks and self._declared:
            self.parts.acks.weak(
                self, signal.thing_id, signal.correlation_id, signal.requested_acks
            )

    # -- out ----------------------------------------------------------------------------------

    def answer(self, text: bytes) -> None:
        """Owe the client a frame; never dropped."""
        if self.closing:
            return
        self._answers.append(text)
        self._answers_bytes += len(text)
        self._wake.set()

    def fail(
        self, error: LittoralError, envelope: Envelope | None = None, correlation_id: str = ""
    ) -> None:
        """Owe the client the frame that says why not."""
        more = error.headers if isinstance(error, CommandLate) else None
        named = correlation_id or self.new_id()
        self.answer(protocol.error_response(error, envelope, named, more=more))

    def push(self, signals: Sequence[Signal]) -> int:
        """Show the client something that it has asked to be shown, if there is room.

        Returns:
            How many of ``signals``, from the first on, are taken; the others are counted as dropped.
        """
        if self.closing:
            return 0
        room = SOCKET_SIGNALS_MAX - len(self._signals)
        if room >= len(signals):
            self._signals.extend(signals)
            room = len(signals)
        else:
            self._signals.extend(signals[:room])
            self.dropped += len(signals) - room
        self._wake.set()
        return room

    def take(self) -> list[bytes] | None:
        """The next frames to write: answers first, then signals in order. None: the end."""
        frames: list[bytes] = []
        answers = self._answers
        while answers and len(frames) < _TAKE_MAX:
            text = answers.popleft()
            self._answers_bytes -= len(text)
            frames.append(text)
        if frames:
            self._room.set()
        elif self.closing:
            return None
        signals = self._signals
        while signals and len(frames) < _TAKE_MAX:
            pushed = signals.popleft().text()
            if pushed is not None:
                frames.append(pushed)
        if not frames and not signals:
            self._wake.clear()
        return frames

    async def wait_outgoing(self) -> None:
        """Wait until `take` may have something."""
        await self._wake.wait()

    # -- bounds -------------------------------------------------------------------------------

    @property
    def clogged(self) -> bool:
        """Whether no more frames should be read: too much is undecided or unwritten."""
        return not self.closing and (self._running >= SOCKET_COMMANDS_MAX or self._is_full())

    def _is_full(self) -> bool:
        return (
            len(self._answers) + self._commands.waiting >= SOCKET_REPLIES_MAX
            or self._answers_bytes >= SOCKET_REPLIES_BYTES_MAX
        )

    async def wait_unclogged(self) -> None:
        """Wait while `clogged`."""
        while self.clogged:
            self._room.clear()
            await self._room.wait()

    async def wait_written(self) -> None:
        """Wait while too many answers are undecided or unwritten."""
        while not self.closing and self._is_full():
            self._room.clear()
            await self._room.wait()

    def made_room(self) -> None:
        """Something was written, or a command was decided."""
        self._room.set()

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run what has to wait beside the session; the reader stops while too much of it runs."""
        assert self._spawn is not None
        self._running += 1
        self._spawn(work).add_done_callback(self._ended)

    def _ended(self, _: object) -> None:
        self._running -= 1
        self.made_room()

    def end(self) -> None:
        """Take nothing in any more, write what is owed, and close."""
        self.closing = True
        self._signals.clear()
        self._wake.set()
        self._room.set()

    def close(self) -> None:
        """Get nothing any more; what is still buffered is not written. Idempotent."""
        self.end()
        self._answers.clear()
        if self._expiry is not None:
            self._expiry.cancel()
            self._expiry = None
        if self._declaration is not None:
            self._declaration.close()
        if self._events is not None:
            self._events.close()
            self._events = None
        self._live.close()
        self._streams.close()
