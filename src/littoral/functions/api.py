"""What a user's file sees: `on`, `every`, and the context that a handler is called with."""

from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol, TypeVar, overload

import orjson

from littoral.functions.core import duration
from littoral.functions.core.matching import THING_KINDS, parse_path
from littoral.functions.errors import CannotWait, CommandFailed, InvalidHandler
from littoral.functions.wire import (
    NO_CALL,
    Alarm,
    Answered,
    Command,
    Declared,
    Effect,
    Get,
    Merge,
    Note,
    Work,
)
from littoral.kernel.errors import LittoralError, TooLarge
from littoral.kernel.limits import MESSAGE_BYTES_MAX, THING_BYTES_MAX
from littoral.rql import parse, values_at

COMMAND_LIFETIME_S = 10.0
"""How long a command that nobody waits for may take to reach its device. Source: Ditto's default."""

HANDLERS_MAX = 256
"""Handlers in one file."""

NOTE_CHARS_MAX = 4096
"""Length of one `Context.log` line; the rest is cut off."""

SEVERITIES = ("info", "warning", "error", "critical")

Handler = Callable[["Context"], Awaitable[object] | object]
H = TypeVar("H", bound=Handler)


@dataclass(frozen=True, slots=True)
class Declaration:
    """A handler and what it was declared with."""

    declared: Declared
    handler: Handler


class _Registry:
    """Where decorators put what they decorate while a file is loaded."""

    current: list[Declaration] | None = None


@contextmanager
def collecting() -> Iterator[list[Declaration]]:
    """Collect what `on` and `every` declare inside the block; elsewhere they only check."""
    before, _Registry.current = _Registry.current, []
    try:
        yield _Registry.current
    finally:
        _Registry.current = before


def _declare(declared: Declared, handler: Handler) -> None:
    if _Registry.current is None:
        return
    if len(_Registry.current) >= HANDLERS_MAX:
        raise InvalidHandler(f"a file declares at most {HANDLERS_MAX} handlers.")
    _Registry.current.append(Declaration(declared, handler))


def on(
    path: str = "/",
    *,
    condition: str = "",
    things: str = "*",
    kinds: Iterable[str] = THING_KINDS,
) -> Callable[[H], H]:
    """Call the decorated function whenever something at ``path`` of a thing changes.

    Args:
        path: JSON pointer inside the thing; ``*`` stands for any one key. A change above it
            counts if it brings a value at ``path``, one below it always.
        condition: RQL over the thing as the change left it: ``gt(attributes/level,5)``.
        things: pattern of thing ids, with ``*`` and ``?``.
        kinds: of changes: ``thing.created``, ``thing.modified``, ``thing.merged``,
            ``thing.deleted``.

    Raises:
        InvalidHandler, InvalidExpression: at the decoration, so that a mistake shows at once.
    """
    parse_path(path)
    if condition:
        parse(condition)
    wanted = tuple(kinds)
    unknown = [kind for kind in wanted if kind not in THING_KINDS]
    if unknown:
        raise InvalidHandler(
            f"{unknown[0]!r} is not a kind of change.", hint=f"There are {', '.join(THING_KINDS)}."
        )

    def decorate(handler: H) -> H:
        declared = Declared(_name_of(handler), path, condition, things, wanted)
        _declare(declared, handler)
        return handler

    return decorate


def every(period: str) -> Callable[[H], H]:
    """Call the decorated function once per ``period``: ``5s``, ``250ms``, ``1m``, ``2h``.

    A tick that is due while the one before it still waits or runs is left out.

    Raises:
        InvalidHandler: ``period`` is none.
    """
    seconds = duration.parse(period)

    def decorate(handler: H) -> H:
        _declare(Declared(_name_of(handler), every_s=seconds), handler)
        return handler

    return decorate


def _name_of(handler: object) -> str:
    if not callable(handler):
        raise InvalidHandler(f"{handler!r} is not a function.")
    return str(getattr(handler, "__name__", type(handler).__name__))


class Outlet(Protocol):
    """Where a context's effects go: over the wire in a worker, straight to the host inline."""

    def emit(self, effect: Effect) -> None:
        """Let ``effect`` happen; at once, without waiting for it."""
        ...

    def ask(self, effect: Command | Get) -> Answered:
        """Let ``effect`` happen and wait for its answer.

        Raises:
            CannotWait: there is no way to wait here.
        """
        ...

    def next_call(self) -> int:
        """A number for the next effect that wants an answer."""
        ...


@dataclass(frozen=True, slots=True)
class Event:
    """What happened to the thing."""

    kind: str
    """``thing.created``, ``thing.modified``, ``thing.merged``, ``thing.deleted``, or ``tick``."""
    path: str
    """JSON pointer of what changed."""
    value: Any
    """The new value at `path`; for ``thing.merged`` the patch; None for deletions and ticks."""
    revision: int
    time: datetime
    """When it happened, as the device said, or else when the node accepted it."""
    age_s: float
    """How long ago the node accepted it."""
    replayed: bool
    """True if this is caught up after a stop or a crash, and may have been handled before."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a device answered to a command."""

    status: int
    payload: bytes
    content_type: str

    def json(self) -> Any:
        """The payload as JSON; None if it is empty."""
        return orjson.loads(self.payload) if self.payload else None


class Context:
    """What a handler knows and can do. Calls take effect at once, not when the handler returns."""

    __slots__ = ("_declared", "_event", "_outlet", "_thing", "_work")

    def __init__(self, work: Work, declared: Declared, outlet: Outlet) -> None:
        self._work = work
        self._declared = declared
        self._outlet = outlet
        self._event: Event | None = None
        self._thing: dict[str, Any] | None = None

    @property
    def thing_id(self) -> str:
        """Whose change it is; empty for ticks."""
        return self._work.thing_id

    @property
    def thing(self) -> dict[str, Any]:
        """The thing as it was when the event was handed out; empty if there is none any more."""
        if self._thing is None:
            self._thing = orjson.loads(self._work.thing) if self._work.thing else {}
        return self._thing

    @property
    def event(self) -> Event:
        """What happened."""
        if self._event is None:
            work = self._work
            ms = work.time_ms if work.device_time_ms is None else work.device_time_ms
            self._event = Event(
                kind=work.kind,
                path=work.path,
                value=orjson.loads(work.value) if work.value else None,
                revision=work.revision,
                time=datetime.fromtimestamp(ms / 1000, UTC),
                age_s=work.age_s,
                replayed=work.replayed,
            )
        return self._event

    @property
    def value(self) -> Any:
        """What the change brought at the path that the handler is declared for.

        If the change was below that path, what it brought there; None for deletions, and where
        the path has a ``*`` that the change does not settle.
        """
        keys = parse_path(self.event.path)
        wanted = parse_path(self._declared.path)
        below = wanted[len(keys) :]
        if not below:
            return self.event.value
        found = values_at(self.event.value, below)
        return found[0] if found else None

    def get(self, thing_id: str) -> dict[str, Any] | None:
        """Another thing as it is now; None if there is none. Asks the node, so it takes a moment.

        Raises:
            CannotWait: in the virtual world, if the thing cannot be had at once.
        """
        answered = self._outlet.ask(Get(self._work.token, self._outlet.next_call(), thing_id))
        found: dict[str, Any] | None = orjson.loads(answered.payload) if answered.payload else None
        return found

    @overload
    def command(
        self,
        thing_id: str,
        subject: str,
        payload: object = None,
        *,
        feature: str | None = None,
        content_type: str | None = None,
        timeout_s: None = None,
        lifetime_s: float = COMMAND_LIFETIME_S,
    ) -> None: ...
    @overload
    def command(
        self,
        thing_id: str,
        subject: str,
        payload: object = None,
        *,
        feature: str | None = None,
        content_type: str | None = None,
        timeout_s: float,
        lifetime_s: float = COMMAND_LIFETIME_S,
    ) -> Answer: ...
    def command(
        self,
        thing_id: str,
        subject: str,
        payload: object = None,
        *,
        feature: str | None = None,
        content_type: str | None = None,
        timeout_s: float | None = None,
        lifetime_s: float = COMMAND_LIFETIME_S,
    ) -> Answer | None:
        """Send a message to a thing, usually to the device behind it.

        Args:
            thing_id: whose inbox.
            subject: what is wanted: ``safe-state``.
            payload: JSON values are sent as JSON; bytes as they are.
            feature: the feature it is for, if not for the thing as a whole.
            content_type: if it is neither JSON nor plain bytes.
            timeout_s: wait so long for the answer and return it; None: do not wait.
            lifetime_s: without a wait, how long the command may take to reach the device.

        Raises:
            CommandFailed: ``timeout_s`` is given and there was no answer, or the command was refused.
            TooLarge: the payload is over the limit for messages.
        """
        body, kind = _payload(payload)
        if len(body) > MESSAGE_BYTES_MAX:
            raise TooLarge(f"a command carries at most {MESSAGE_BYTES_MAX} bytes, not {len(body)}.")
        wait = timeout_s is not None
        lasting = timeout_s if timeout_s is not None else lifetime_s
        if not lasting > 0:
            raise InvalidHandler(f"a command cannot last {lasting} s.", hint="Give more than 0.")
        call = self._outlet.next_call() if wait else NO_CALL
        effect = Command(
            self._work.token, call, thing_id, subject, body, content_type or kind, feature, lasting
        )
        if not wait:
            self._outlet.emit(effect)
            return None
        answered = self._outlet.ask(effect)
        if answered.error:
            raise CommandFailed(answered.message, error=answered.error)
        return Answer(answered.status, answered.payload, answered.content_type)

    def merge(self, thing_id: str, path: str, patch: object) -> None:
        """Merge ``patch`` (RFC 7396) into a thing at ``path``; ``/`` creates the thing if need be.

        Does not wait. A refusal (no permission, say) is reported by the node, not raised here.

        Raises:
            TooLarge: the patch alone is over the limit for a thing.
        """
        body = orjson.dumps(patch)
        if len(body) > THING_BYTES_MAX:
            raise TooLarge(f"a thing has at most {THING_BYTES_MAX} bytes; the patch {len(body)}.")
        self._outlet.emit(Merge(self._work.token, thing_id, path, body))

    def alarm(
        self, text: str, *, severity: str = "warning", thing_id: str | None = None, **facts: object
    ) -> None:
        """Record an alarm: the most important class of record, first up the link, last to be lost.

        Args:
            text: one sentence for a person.
            severity: info, warning, error or critical.
            thing_id: what it is about; by default the thing of the event.
            facts: JSON values for programs.
        """
        if severity not in SEVERITIES:
            raise InvalidHandler(
                f"{severity!r} is not a severity.", hint=f"There are {', '.join(SEVERITIES)}."
            )
        about = self._work.thing_id if thing_id is None else thing_id
        effect = Alarm(
            self._work.token, about, severity, text[:NOTE_CHARS_MAX], orjson.dumps(facts)
        )
        self._outlet.emit(effect)

    def log(self, text: object) -> None:
        """Write a line to the node's log output."""
        self._outlet.emit(Note(self._work.token, str(text)[:NOTE_CHARS_MAX]))


def _payload(payload: object) -> tuple[bytes, str]:
    if payload is None:
        return b"", ""
    if isinstance(payload, bytes | bytearray):
        return bytes(payload), "application/octet-stream"
    return orjson.dumps(payload), "application/json"


__all__ = [
    "COMMAND_LIFETIME_S",
    "HANDLERS_MAX",
    "Answer",
    "CannotWait",
    "Context",
    "Declaration",
    "Event",
    "Handler",
    "LittoralError",
    "Outlet",
    "collecting",
    "every",
    "on",
]
