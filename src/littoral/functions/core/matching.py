"""Which record is for which handler: by kind, by path, by the thing's id, by condition. Pure."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import translate

from littoral.functions.errors import InvalidHandler
from littoral.functions.wire import Declared
from littoral.kernel import pointer
from littoral.kernel.errors import InvalidPointer
from littoral.rql import Query, matches, parse, resolve, split, values_at

THING_KINDS = ("thing.created", "thing.modified", "thing.merged", "thing.deleted")
"""Kinds of records that a handler can be for."""

MERGED = "thing.merged"

THING = "thing:"
"""How the entity of a thing's record begins."""

ANY = "*"

_ROUTES_MAX = 4096


def parse_path(path: str) -> tuple[str, ...]:
    """Keys of a handler's path, where ``*`` stands for any one key.

    Raises:
        InvalidHandler: not a JSON pointer.
    """
    try:
        return pointer.parse(path)
    except InvalidPointer as e:
        raise InvalidHandler(f"{path[:120]!r} is not a path.", hint=str(e)) from e


@dataclass(frozen=True, slots=True)
class Trigger:
    """A handler's declaration, ready to be asked."""

    index: int
    keys: tuple[str, ...]
    condition: Query | None
    things: re.Pattern[str] | None
    kinds: frozenset[str]

    @classmethod
    def of(cls, index: int, declared: Declared) -> "Trigger":
        """Make one from what a worker declared.

        Raises:
            InvalidHandler, InvalidExpression: the worker declared nonsense.
        """
        return cls(
            index,
            parse_path(declared.path),
            parse(declared.condition) if declared.condition else None,
            None if declared.things == ANY else re.compile(translate(declared.things)),
            frozenset(declared.kinds),
        )


@dataclass(frozen=True, slots=True)
class Route:
    """A trigger for records of one kind and path: what is left to ask is in their values."""

    trigger: Trigger
    keys: tuple[str, ...]
    """The record's path."""
    below: tuple[str, ...]
    """Keys from the record's path down to the trigger's; empty if the record's path is deeper."""


class Matcher:
    """Triggers of one file, asked for many records.

    What depends on kind and path only is remembered: devices use few paths, many times.
    """

    def __init__(self, triggers: Sequence[Trigger]) -> None:
        self._triggers = tuple(triggers)
        self._kinds = frozenset(kind for trigger in triggers for kind in trigger.kinds)
        self._routes: dict[tuple[str, str], tuple[Route, ...]] = {}

    def routes(self, kind: str, path: str) -> tuple[Route, ...]:
        """Triggers that records of this kind and path can concern."""
        key = (kind, path)
        found = self._routes.get(key)
        if found is None:
            if kind not in self._kinds:
                return ()
            if len(self._routes) >= _ROUTES_MAX:
                self._routes.clear()
            keys = pointer.parse(path)
            found = self._routes[key] = tuple(
                Route(trigger, keys, trigger.keys[len(keys) :])
                for trigger in self._triggers
                if kind in trigger.kinds and _overlap(trigger.keys, keys)
            )
        return found


def _overlap(pattern: tuple[str, ...], keys: tuple[str, ...]) -> bool:
    return all(a in (ANY, b) for a, b in zip(pattern, keys, strict=False))


def is_for_thing(route: Route, thing_id: str) -> bool:
    """Whether the route's trigger is for this thing. Asked first: it costs no decoding."""
    things = route.trigger.things
    return things is None or things.match(thing_id) is not None


def concerns(route: Route, value: object) -> bool:
    """Whether a change that brings ``value`` at its path brings something at the trigger's path.

    A deletion above the trigger's path brings None there and concerns it.
    """
    return value is None or _brings(value, route.below)


def _brings(value: object, keys: tuple[str, ...]) -> bool:
    for index, key in enumerate(keys):
        if value is None:
            return True
        if not isinstance(value, dict):
            return False
        if key == ANY:
            return any(_brings(one, keys[index + 1 :]) for one in value.values())
        if key not in value:
            return False
        value = value[key]
    return True


def holds(route: Route, thing: Callable[[], object], kind: str, value: object, at_ms: int) -> bool:
    """Whether the trigger's condition holds for a thing as a change left it.

    What the change brought counts before what the thing is now: in a burst of readings each one
    is judged by its own values. What a merge did not bring is taken from ``thing``, which is only
    called if it is needed. ``at_ms`` is the time of the change, for time placeholders.
    """
    condition = route.trigger.condition
    if condition is None:
        return True
    keys = route.keys

    def lookup(name: str) -> tuple[object, ...]:
        wanted = split(name)
        if wanted[: len(keys)] == keys:
            brought = values_at(value, wanted[len(keys) :])
            if kind != MERGED:
                return brought
            if brought:
                return () if brought == (None,) else brought
        return values_at(thing(), wanted)

    return matches(resolve(condition, at_ms), lookup)
