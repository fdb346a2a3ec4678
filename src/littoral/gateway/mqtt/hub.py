"""What the connections of one door share: ports, limits, caches, deadlines, counters.

It knows connections only as `Peer`; `connection` knows it, `door` knows both.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Protocol

from littoral.eventing import Inbox, Message
from littoral.gateway.mqtt.model import DoorStatistics, Limits
from littoral.gateway.mqtt.packets import Connect
from littoral.gateway.mqtt.reasons import Reason
from littoral.gateway.mqtt.refusals import NotTaken
from littoral.gateway.mqtt.topics import Routes
from littoral.gateway.mqtt.wheel import TICK_S, Wheel
from littoral.gateway.ports import Commits, DeviceDoors
from littoral.kernel.errors import LittoralError
from littoral.kernel.time import Clock, Entropy
from littoral.native import hot
from littoral.registry import DeviceIdentity

REQUEST_ID_BYTES = 12
"""Of randomness: nobody guesses the request of another device."""


class Peer(Protocol):
    """One connection, as the door sees it."""

    @property
    def identity(self) -> DeviceIdentity | None:
        """Who it is; None before its CONNECT was accepted."""
        ...

    def on_due(self, tick: int, now_s: float) -> None:
        """A tick that it asked for has come."""
        ...

    def end(self, reason: Reason, text: str) -> None:
        """Close it now, with a reason; what waits for a commit is not acknowledged any more."""
        ...

    @property
    def is_waiting(self) -> bool:
        """Whether its CONNECT is not accepted yet."""
        ...

    def abort(self) -> None:
        """Let go of the socket at once."""
        ...

    def decided(self, error: LittoralError | None) -> None:
        """The oldest batch for which it waits is durable, or has failed."""
        ...

    def retire(self) -> None:
        """Close it as the node stops: take nothing in, acknowledge what commits, say goodbye."""
        ...

    def accept(self, identity: DeviceIdentity) -> None:
        """Its credentials are good."""
        ...

    def refuse(self, reason: Reason, text: str) -> None:
        """Its CONNECT is refused."""
        ...


class Hub:
    """The shared part of a door.

    Invariant: at most one connection per (device, client id); everything in here is bounded by
    `Limits`.
    """

    __slots__ = (
        "_answers",
        "_batch",
        "_joined",
        "_wheel",
        "acknowledged",
        "authenticate",
        "bytes_in",
        "clock",
        "closed",
        "commands",
        "commands_acknowledged",
        "commits",
        "connects",
        "emptied",
        "entropy",
        "inbox",
        "known",
        "late_responses",
        "limits",
        "lone",
        "packet_bytes_max",
        "paused",
        "peers",
        "publishes",
        "refused",
        "responses",
        "routes",
        "sessions",
        "take",
        "taken_over",
        "twins",
        "woken",
    )

    def __init__(
        self,
        *,
        commits: Commits,
        twins: DeviceDoors,
        inbox: Inbox,
        clock: Clock,
        entropy: Entropy,
        limits: Limits,
    ) -> None:
        self.commits = commits
        self.twins = twins
        self.inbox = inbox
        self.clock = clock
        self.entropy = entropy
        self.limits = limits
        self.packet_bytes_max = limits.packet_bytes_max
        self.routes = Routes(limits.routes_max)
        self.known = self.routes.known
        self.take = None if hot is None else hot.take
        """Takes in the plain publishes at the beginning of a buffer, in C; None: not built."""
        self.peers: dict[Peer, None] = {}
        """In the order in which they came: a set would be in that of memory addresses."""
        self.sessions: dict[tuple[str, str], Peer] = {}
        self.woken = asyncio.Event()
        """A deadline nearer than all before was added."""
        self.emptied = asyncio.Event()
        """The last socket is gone."""
        self.authenticate: Callable[[Peer, Connect], None] = self._closed
        self.lone = 0
        self.connects = self.publishes = self.acknowledged = self.bytes_in = 0
        self.commands = self.commands_acknowledged = 0
        self.responses = self.late_responses = 0
        self.paused = self.taken_over = 0
        self.closed: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self._batch = -1
        self._joined: list[Peer] = []
        self._wheel: Wheel[Peer] = Wheel()
        self._answers: dict[str, Message] = {}

    @staticmethod
    def _closed(peer: Peer, _connect: Connect) -> None:
        peer.refuse(Reason.SERVER_UNAVAILABLE, "The door is not open.")

    # -- commits ------------------------------------------------------------------------------

    def join(self, peer: Peer, batch: int) -> None:
        """Call ``peer.decided`` when ``batch``, which is open now, is decided.

        One callback of the log serves all connections: a thousand devices with one message each
        are a thousand peers in every batch.
        """
        if batch != self._batch:
            self._batch = batch
            joined: list[Peer] = []
            self._joined = joined
            self.commits.on_commit(partial(self._decided, joined))
        self._joined.append(peer)

    def _decided(self, joined: list[Peer], error: LittoralError | None) -> None:
        if error is None and hot is not None and self.take is not None:
            hot.decided(self, joined)
            return
        for peer in joined:
            try:
                peer.decided(error)
            except Exception as e:  # noqa: BLE001  # one connection's fault is not the others'
                self._report(peer, e)

    @staticmethod
    def _report(peer: Peer, error: Exception) -> None:
        context = {"message": "acknowledging failed", "exception": error}
        asyncio.get_running_loop().call_exception_handler(context)
        peer.abort()

    # -- deadlines ----------------------------------------------------------------------------

    def look_again(self, peer: Peer, at_s: float) -> int:
        """Call ``peer.on_due`` soon after ``at_s``; return the tick it will be called with."""
        before = self._wheel.next_s()
        tick = self._wheel.add(peer, at_s)
        if before is None or tick * TICK_S < before:
            self.woken.set()
        return tick

    def forget(self, peer: Peer, tick: int) -> None:
        """Do not call ``peer.on_due`` at ``tick``; until then the wheel would keep it in memory."""
        self._wheel.remove(peer, tick)

    def next_s(self) -> float | None:
        """When `tick` has something to do."""
        return self._wheel.next_s()

    def tick(self, now_s: float) -> None:
        """Let every connection whose time has come look at its deadlines."""
        for tick, peer in self._wheel.take_due(now_s):
            peer.on_due(tick, now_s)

    # -- sessions -----------------------------------------------------------------------------

    def admit(self, peer: Peer, identity: DeviceIdentity, client_id: str) -> None:
        """Let ``peer`` be the only connection of this client."""
        key = (identity.subject, client_id)
        old = self.sessions.get(key)
        if old is not None:
            self.taken_over += 1
            old.end(Reason.SESSION_TAKEN_OVER, "Another connection with this client id came.")
        self.sessions[key] = peer
        self.connects += 1

    def leave(self, peer: Peer, client_id: str) -> None:
        """End the session of ``peer``. Idempotent."""
        identity = peer.identity
        if identity is not None and self.sessions.get((identity.subject, client_id)) is peer:
            del self.sessions[identity.subject, client_id]

    def lost(self, peer: Peer) -> None:
        """The socket of ``peer`` is gone."""
        self.peers.pop(peer, None)
        if not self.peers:
            self.emptied.set()

    # -- answers to commands ------------------------------------------------------------------

    def expect(self, message: Message, now_s: float) -> str:
        """Remember that ``message`` wants an answer; return the request id for the device.

        Raises:
            NotTaken: too many answers are expected already.
        """
        answers = self._answers
        if len(answers) >= self.limits.answers_pending_max:
            for key in [k for k, m in answers.items() if m.expires_s <= now_s]:
                del answers[key]
            if len(answers) >= self.limits.answers_pending_max:
                raise NotTaken("too many commands wait for their answers.")
        # A kept message may come twice: by the same id a device knows it again.
        request_id = message.id or self.entropy.token(REQUEST_ID_BYTES).hex()
        answers[request_id] = message
        return request_id

    def expected(self, request_id: str, thing_id: str, now_s: float) -> Message | None:
        """Take the message that ``thing_id`` answers; None: unknown, too late, or not its own."""
        message = self._answers.get(request_id)
        if message is None or message.thing_id != thing_id:
            return None
        del self._answers[request_id]
        return message if message.expires_s > now_s else None

    # -- what it tells ------------------------------------------------------------------------

    def statistics(self) -> DoorStatistics:
        return DoorStatistics(
            connections=len(self.sessions),
            handshakes=sum(1 for peer in self.peers if peer.is_waiting),
            connects=self.connects,
            publishes=self.publishes,
            acknowledged=self.acknowledged,
            bytes_in=self.bytes_in,
            commands=self.commands,
            commands_acknowledged=self.commands_acknowledged,
            responses=self.responses,
            late_responses=self.late_responses,
            paused=self.paused,
            taken_over=self.taken_over,
            closed_by_reason=dict(self.closed),
            refused_by_code=dict(self.refused),
        )
