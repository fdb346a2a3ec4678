"""What a site may see, as it was last time: when that grows, what was passed over is sent after all.

A record that is not for a site is passed over, and the site's mark with it. So a tenant that is
given to a site later needs a second look at the log, up to where the first look was under the
older rule; a `Grant` is that second look, durable until the site has all of it.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from littoral.edge.blocked import SPACE
from littoral.edge.model import Scope
from littoral.edge.ports import LinkLog
from littoral.kernel.ids import NodeId
from littoral.log import RecordClass


@dataclass(frozen=True, slots=True)
class Grant:
    """A part of a scope that is new, and per class up to which seq it has to be looked for."""

    lane: str
    tenants: tuple[str, ...]
    namespaces: tuple[str, ...]
    upto: tuple[int, ...]
    """By class."""

    @property
    def scope(self) -> Scope:
        """What to look for; nothing of the site itself, which was never hidden from it."""
        return Scope(tenants=frozenset(self.tenants), namespaces=frozenset(self.namespaces))


@dataclass(frozen=True, slots=True)
class _Seen:
    """The scope of the last session, and the grants that are not filled yet."""

    everything: bool
    tenants: frozenset[str]
    namespaces: frozenset[str]
    grants: tuple[Grant, ...] = ()
    lanes: int = 0


_encoder = msgspec.json.Encoder(order="deterministic")
_decoder = msgspec.json.Decoder(_Seen)


class Grants:
    """Scopes and grants of all sites, in the log's key-value space."""

    def __init__(self, log: LinkLog) -> None:
        self._log = log

    def grows(self, scope: Scope) -> bool:
        """Whether ``scope`` shows its site anything that it could not see before."""
        seen = self._load(scope.node)
        return seen is not None and not seen.everything and _exceeds(scope, seen)

    def narrow(self, scope: Scope) -> None:
        """Note a scope that does not grow, so that what it lost counts as new if it returns."""
        seen = self._load(scope.node)
        if seen is not None:
            self._store(scope, seen.grants, seen.lanes)

    def begin(self, scope: Scope, positions: Mapping[int, int]) -> tuple[Grant, ...]:
        """A session begins at ``positions`` with ``scope``: the grants to fill during it."""
        seen = self._load(scope.node)
        grants, lanes = ((), 0) if seen is None else (seen.grants, seen.lanes)
        if seen is not None and not seen.everything and _exceeds(scope, seen):
            lanes += 1
            new = Grant(
                f"{lanes:x}",
                tuple(sorted(scope.tenants - seen.tenants)),
                tuple(sorted(scope.namespaces - seen.namespaces)),
                tuple(positions[int(cls)] for cls in RecordClass),
            )
            grants = (*grants, new)
        self._store(scope, grants, lanes)
        return grants

    def done(self, site: NodeId, lane: str) -> None:
        """The site has all of a grant."""
        seen = self._load(site)
        if seen is not None and any(g.lane == lane for g in seen.grants):
            left = tuple(g for g in seen.grants if g.lane != lane)
            scope = Scope(
                everything=seen.everything,
                node=site,
                tenants=seen.tenants,
                namespaces=seen.namespaces,
            )
            self._store(scope, left, seen.lanes)

    def _load(self, site: NodeId) -> _Seen | None:
        stored = self._log.get(SPACE, f"scope/{site}")
        return None if stored is None else _decoder.decode(stored)

    def _store(self, scope: Scope, grants: tuple[Grant, ...], lanes: int) -> None:
        seen = _Seen(scope.everything, scope.tenants, scope.namespaces, grants, lanes)
        data = _encoder.encode(seen)
        key = f"scope/{scope.node}"
        if data != self._log.get(SPACE, key):
            self._log.put(SPACE, key, data)


def _exceeds(scope: Scope, seen: _Seen) -> bool:
    return bool(scope.tenants - seen.tenants or scope.namespaces - seen.namespaces)
