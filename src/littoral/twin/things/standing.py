"""Things as others copy them: the search index reads documents as bytes, not as answers."""

import contextlib
from typing import NamedTuple

from littoral.twin.core.state import Hot, unpack
from littoral.twin.entities import SPACE, Engine
from littoral.twin.errors import StateDamaged

_PREFIX = "thing:"


class Standing(NamedTuple):
    """A thing as it is now, durable or not."""

    thing_id: str
    document: bytes | None
    """JSON; None if there is no such thing."""
    policy_id: str
    revision: int
    created_ms: int
    modified_ms: int
    seq: int
    """Of its newest record."""


class Standings:
    """Reads standings out of the hot set and the state table. No policy is asked."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def of(self, thing_id: str) -> Standing:
        """The thing of that id."""
        return _standing(self._engine.load(_PREFIX + thing_id))

    def after(self, thing_id: str, *, limit: int) -> list[Standing]:
        """At most ``limit`` things (or what is left of them) with greater ids, in order of ids.

        What was never written to the state table is missing: replay the log behind it.
        """
        hot = self._engine.hot
        rows = self._engine.log.scan(SPACE, prefix=_PREFIX, after=_PREFIX + thing_id, limit=limit)
        found = []
        for entity, data in rows:
            with contextlib.suppress(StateDamaged):
                found.append(_standing(hot.get(entity) or unpack(entity, data)))
        return found


def _standing(hot: Hot) -> Standing:
    return Standing(
        hot.id,
        hot.fold(),
        hot.policy_id,
        hot.revision,
        hot.created_ms,
        hot.modified_ms,
        hot.last_seq,
    )
