"""What a caller expects of an answer: whether it wants one, and how long it waits."""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

from littoral.api.errors import (
    AckNotDeclared,
    CommandLate,
    InvalidTimeout,
    NotSupported,
)
from littoral.api.model import FORGET_WAIT_S, TIMEOUT_S_MAX
from littoral.api.request import Request
from littoral.twin import Conditions, IfEqual

T = TypeVar("T")

_OWN_ACKS = frozenset(("twin-persisted", ""))
_ALLOWED = {"channel": (None, "twin")}
_NOT_YET = frozenset(
    (
        "channel",
        "condition",
        "live-channel-condition",
        "put-metadata",
        "get-metadata",
        "delete-metadata",
        "merge-thing-patch-conditions",
    )
)


@dataclass(frozen=True, slots=True)
class Expectation:
    """Whether the caller wants the answer, and until when."""

    timeout_s: float
    respond: bool

    async def of(self, work: Coroutine[Any, Any, T]) -> T:
        """Do ``work`` in time; raise `CommandLate` if it is late."""
        try:
            async with asyncio.timeout(self.timeout_s):
                return await work
        except TimeoutError:
            raise CommandLate(
                f"no answer within {self.timeout_s:g}s.",
                hint="Read the thing to see whether the command was done.",
            ) from None


def command_expectation(request: Request) -> Expectation:
    """What the caller of a twin command expects.

    Spec: Ditto's table of response-required, requested-acks and timeout; the only label that
    this node gives is twin-persisted, and it gives it always: an answer comes after the commit.

    Raises:
        InvalidTimeout, InvalidHeader, AckNotDeclared, NotSupported.
    """
    refuse_what_is_not_there(request)
    timeout_s = request.timeout_s(TIMEOUT_S_MAX)
    wanted = request.flag("response-required")
    acks = request.parameter("requested-acks")
    for label in (acks or "").split(","):
        if label.strip() not in _OWN_ACKS:
            raise AckNotDeclared(
                f"nobody gives the acknowledgement {label.strip()[:100]!r}.",
                hint="twin-persisted is given by the node itself.",
            )
    if timeout_s == 0:
        if wanted or acks:
            raise InvalidTimeout(
                "a timeout of 0 means that no answer is wanted, but one was asked for.",
                hint="Leave response-required and requested-acks out.",
            )
        return Expectation(FORGET_WAIT_S, respond=False)
    return Expectation(timeout_s, respond=wanted is not False)


def refuse_what_is_not_there(request: Request) -> None:
    """Raise `NotSupported` for conditions that this release would otherwise silently ignore."""
    if _NOT_YET.isdisjoint(request.headers) and _NOT_YET.isdisjoint(request.query):
        return
    for name in sorted(_NOT_YET):
        if request.parameter(name) not in _ALLOWED.get(name, (None,)):
            raise NotSupported(f"{name} is not supported by this release.", hint="Leave it out.")


def conditions_of(request: Request) -> Conditions:
    """The preconditions that came with a request."""
    headers = request.headers
    return Conditions(
        if_match=headers.get("if-match"),
        if_none_match=headers.get("if-none-match"),
        if_equal=IfEqual.of(headers.get("if-equal")),
    )
