"""Several commands as one: decided against copies, and written only when all of them may be.

Invariant: a transaction that is refused has appended nothing; one that is not has appended all of
its records in one batch, so that after a power cut all of them are there, or none. Replicas hear
of them one by one, as of any others.
"""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from littoral.kernel.ids import namespace_of
from littoral.log import Headers, Log, Record
from littoral.twin.core import state
from littoral.twin.core.state import After, Hot
from littoral.twin.entities import Engine
from littoral.twin.errors import InvalidTransaction
from littoral.twin.model import NO_CONDITIONS, TRANSACTION_COMMANDS_MAX, Conditions


class Step(msgspec.Struct, frozen=True):
    """One command of a transaction."""

    action: str
    """create, modify, merge or delete."""
    thing_id: str
    path: str = "/"
    value: object = None
    conditions: Conditions = NO_CONDITIONS


class _Write(NamedTuple):
    entity: str
    cls: int
    kind: str
    path: str
    value: bytes
    headers: Headers | None
    after: After | None
    record: Record


class Staging:
    """Stands in for the engine: loads copies, and notes what would be written."""

    def __init__(self, engine: Engine) -> None:
        self.hot: dict[str, Hot] = {}
        self.writes: list[_Write] = []
        self._engine = engine

    @property
    def log(self) -> Log:
        return self._engine.log

    def load(self, entity: str) -> Hot:
        """A copy of an entity as the steps before have left it."""
        found = self.hot.get(entity)
        if found is None:
            found = self.hot[entity] = state.unpack(entity, state.pack(self._engine.load(entity)))
        return found

    def write(
        self,
        hot: Hot,
        cls: int,
        kind: str,
        path: str,
        value: bytes,
        *,
        headers: Headers | None = None,
        after: After | None = None,
    ) -> Record:
        """Note a change and apply it to the copy; the record's seq is not its own yet."""
        log = self.log
        record = Record(
            log.head, log.last_hlc, None, cls, kind, hot.entity, hot.revision + 1, hot.last_seq,
            path, value, headers, log.origin, log.head,
        )  # fmt: skip
        state.apply(hot, record, after)
        self.writes.append(_Write(hot.entity, cls, kind, path, value, headers, after, record))
        return record

    def history(self, entity: str, *, first: int, last: int) -> list[Record]:
        return self._engine.history(entity, first=first, last=last)

    def at_revision(self, entity: str, revision: int) -> Hot:
        return self._engine.at_revision(entity, revision)

    def revision_at(self, entity: str, at_ms: int) -> int:
        return self._engine.revision_at(entity, at_ms)

    def commit(self) -> list[int]:
        """Append all that was noted, and return the seqs; or raise and append nothing.

        Nothing else runs between, and a batch closes between two turns of the loop only.
        """
        self.log.admit([write.record for write in self.writes])
        engine = self._engine
        return [
            engine.write(
                engine.load(one.entity), one.cls, one.kind, one.path, one.value,
                headers=one.headers, after=one.after,
            ).seq
            for one in self.writes
        ]  # fmt: skip


def check_steps(steps: Sequence[Step]) -> None:
    """Raise `InvalidTransaction` unless these commands may be one."""
    if not 0 < len(steps) <= TRANSACTION_COMMANDS_MAX:
        raise InvalidTransaction(
            f"a transaction has 1 to {TRANSACTION_COMMANDS_MAX} commands, not {len(steps)}."
        )
    namespaces = {namespace_of(step.thing_id) for step in steps}
    if len(namespaces) > 1:
        raise InvalidTransaction(
            f"the things are of {len(namespaces)} namespaces.",
            hint="A transaction stays within one: send several.",
        )
