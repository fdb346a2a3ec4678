"""Entities of a peer of which something was refused for its stamp and has not come anew yet.

Invariant: what is noted here is in the batch that passes the refused record by.
"""

import msgspec

from littoral.edge.ports import LinkLog
from littoral.kernel.ids import NodeId
from littoral.log import Headers

SPACE = "link"
"""The log's key-value space of this package."""

_SCAN = 1000


class _Waiting(msgspec.Struct, array_like=True):
    """How many refused records of one entity have not come anew, and where they began."""

    count: int
    first: dict[str, int]
    """Per origin and class, the oseq from which on everything of the entity was refused."""


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Waiting).decode


class Blocked:
    """One peer's blocked entities, in memory as in the log's ``link`` space."""

    def __init__(self, log: LinkLog, peer: NodeId) -> None:
        self._log = log
        self._prefix = f"blocked/{peer}/"
        self._waiting: dict[str, _Waiting] = {}
        after = ""
        while rows := log.scan(SPACE, prefix=self._prefix, after=after, limit=_SCAN):
            for key, value in rows:
                self._waiting[key.removeprefix(self._prefix)] = _decode(value)
            after = rows[-1][0]

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def __contains__(self, entity: str) -> bool:
        return entity in self._waiting

    def refuse(self, entity: str, origin: str, cls: int, oseq: int) -> None:
        """A record of ``entity`` was refused: it, and all behind it, has to come anew."""
        waiting = self._waiting.setdefault(entity, _Waiting(0, {}))
        waiting.count += 1
        waiting.first.setdefault(f"{origin}/{cls}", oseq)
        self._store(entity)

    def came_anew(self, entity: str, cls: int, headers: Headers) -> None:
        """A record came that says which other one it takes the place of."""
        waiting = self._waiting.get(entity)
        if waiting is None:
            return
        origin, _, oseq = str(headers["restamped"]).rpartition(":")
        first = waiting.first.get(f"{origin}/{cls}")
        # The origin may say more anew than it was asked to; only what was refused counts.
        if first is None or not oseq.isdigit() or int(oseq) < first:
            return
        waiting.count -= 1
        if waiting.count <= 0:
            del self._waiting[entity]
        self._store(entity)

    def _store(self, entity: str) -> None:
        waiting = self._waiting.get(entity)
        value = None if waiting is None else _encode(waiting)
        self._log.put(SPACE, self._prefix + entity, value)
