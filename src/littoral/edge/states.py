"""What a node knows as a whole, in the order of its keys: read in pieces, and taken over.

A key is an entity (``policy:…``, ``thing:…``) or ``registry:`` and a key of the registry. Policies
come before the registry and the things, so that what comes can be judged at once.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from littoral.edge.core.frames import Item
from littoral.edge.core.scope import namespaces_of
from littoral.edge.homes import Homes
from littoral.edge.model import Scope
from littoral.edge.ports import TellsRegistry, TellsTwins
from littoral.kernel.ids import NodeId, Origin
from littoral.log import Record
from littoral.twin import Adoption

REGISTRY = "registry:"
END = "\U0010ffff"
"""Behind every key with the same beginning."""

_READ_EACH = 64
_THING = "thing:"


class Piece(NamedTuple):
    """Some items, and the last key that was looked at; empty at the end."""

    items: list[Item]
    upto: str


class Heard(NamedTuple):
    """What of this node's records its teller had heard."""

    has: Callable[[Record], bool]
    upto: int
    """It had all of them up to this seq."""
    marks: Mapping[int, int]
    """The same by class."""


class States:
    """The twins and the registry of a node, as its link tells and takes them."""

    def __init__(self, twins: TellsTwins, registry: TellsRegistry, homes: Homes) -> None:
        self._twins = twins
        self._registry = registry
        self._homes = homes

    def read(self, scope: Scope, after: str, *, limit: int, bytes_max: int) -> Piece:
        """What ``scope`` shows beyond the key ``after``; about as much as is allowed."""
        items: list[Item] = []
        size = 0
        for segment in self._segments(scope):
            if segment + END <= after:
                continue
            position = after
            while True:
                found, last = self._read(segment, position, min(_READ_EACH, limit - len(items)))
                for key, value in found:
                    items.append((key, value, self._home_of(key)))
                    size += len(value) + len(key)
                    if size >= bytes_max:
                        return Piece(items, key)
                position = last
                if not last:
                    break
                if len(items) >= limit:
                    return Piece(items, last)
            if len(items) >= limit:
                return Piece(items, segment + END)
        return Piece(items, "")

    def some(self, entities: Iterable[str], scope: Scope) -> list[Item]:
        """These entities as they are now, as far as ``scope`` shows them and they are known."""
        return [
            (entity, value, self._home_of(entity))
            for entity in entities
            if self._is_shown(entity, scope)
            and (value := self._twins.telling.one(entity)) is not None
        ]

    def take(self, item: Item, *, stamp: int, origin: Origin, heard: Heard) -> Adoption | None:
        """Take over one item; None if it is none of the twins.

        Raises:
            msgspec.MsgspecError, InvalidReplica: it cannot be read.
        """
        key, value, home = item
        if key.startswith(REGISTRY):
            self._registry.telling.adopt(key.removeprefix(REGISTRY), value)
            return None
        if not key.startswith((_THING, "policy:")):
            return None  # a newer release's
        adoption = self._twins.telling.adopt(
            key, value, stamp=stamp, origin=origin, heard=heard.has, heard_to=heard.upto
        )
        if home and key.startswith(_THING):
            self._homes.suppose(key.removeprefix(_THING), NodeId(home))
        return adoption

    def forget_rest(
        self, site: str, tenants: Iterable[str], after: str, upto: str, told: set[str], stamp: int
    ) -> None:
        """What the registry has with after < key <= upto, and was not told, was deleted."""
        telling = self._registry.telling
        low = after.removeprefix(REGISTRY) if after.startswith(REGISTRY) else ""
        high = upto.removeprefix(REGISTRY) if upto.startswith(REGISTRY) else END
        if after > REGISTRY + END or (upto and upto < REGISTRY):
            return
        for prefix in telling.ranges(site, tenants):
            for key in telling.keys(prefix, low, high):
                if REGISTRY + key not in told:
                    telling.forget(key, stamp=stamp)

    def _segments(self, scope: Scope) -> list[str]:
        if scope.everything:
            return ["policy:", _THING]
        namespaces = namespaces_of(scope)
        ranges = self._registry.telling.ranges(scope.node, sorted(scope.tenants))
        return sorted(
            [f"policy:{namespace}:" for namespace in namespaces]
            + [REGISTRY + prefix for prefix in ranges]
            + [f"{_THING}{namespace}:" for namespace in namespaces]
        )

    def _read(self, segment: str, after: str, limit: int) -> tuple[list[tuple[str, bytes]], str]:
        if not segment.startswith(REGISTRY):
            return self._twins.telling.after(segment, after, limit=limit)
        low = after.removeprefix(REGISTRY) if after.startswith(REGISTRY) else ""
        found, last = self._registry.telling.after(segment.removeprefix(REGISTRY), low, limit=limit)
        return [(REGISTRY + key, value) for key, value in found], last and REGISTRY + last

    def _home_of(self, key: str) -> str:
        if not key.startswith(_THING):
            return ""
        return self._homes.of(key.removeprefix(_THING)) or ""

    def _is_shown(self, entity: str, scope: Scope) -> bool:
        namespace = entity.partition(":")[2].partition(":")[0]
        return scope.everything or namespace in namespaces_of(scope)
