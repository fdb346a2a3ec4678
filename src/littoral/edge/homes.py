"""Where each thing lives: the node whose devices last reported it. Live messages go there."""

import contextlib

from littoral.edge.model import HOMES_CACHED_MAX
from littoral.edge.ports import LinkLog
from littoral.kernel.ids import NodeId
from littoral.log import LogBusy, LogFull, RecordClass

SPACE = "home"


class Homes:
    """Thing id to node, durable, written only when it changes; a bounded part in memory."""

    def __init__(self, log: LinkLog, *, cached_max: int = HOMES_CACHED_MAX) -> None:
        self._log = log
        self._cached_max = cached_max
        self._cache: dict[str, NodeId] = {}
        log.on_abort(lambda _: self._cache.clear())

    def learn(self, thing_id: str, node: NodeId, cls: int) -> None:
        """A record of class ``cls`` about the thing was first accepted at ``node``.

        What people and functions write says where a thing lives only while no device has.
        """
        known = self._cache.get(thing_id)
        if known == node:
            return
        if known is None:
            known = self._load(thing_id)
            if known == node:
                return
        if known is None or cls != RecordClass.STATE:
            # A full disk: the next record of the thing says it again.
            with contextlib.suppress(LogFull, LogBusy):
                self._log.put(SPACE, thing_id, node.encode())
                self._keep(thing_id, node)

    def suppose(self, thing_id: str, node: NodeId) -> None:
        """Somebody says where the thing lives: believe it while nothing else is known."""
        if self.of(thing_id) is None:
            self._log.put(SPACE, thing_id, node.encode())
            self._keep(thing_id, node)

    def of(self, thing_id: str) -> NodeId | None:
        """The node where the thing lives; None if nobody has reported it yet."""
        return self._cache.get(thing_id) or self._load(thing_id)

    def _load(self, thing_id: str) -> NodeId | None:
        stored = self._log.get(SPACE, thing_id)
        if stored is None:
            return None
        node = NodeId(stored.decode())
        self._keep(thing_id, node)
        return node

    def _keep(self, thing_id: str, node: NodeId) -> None:
        if len(self._cache) >= self._cached_max and thing_id not in self._cache:
            # The oldest entry: a miss costs one read of the log, so no use counting is worth it.
            del self._cache[next(iter(self._cache))]
        self._cache[thing_id] = node
