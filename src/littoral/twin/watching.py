"""Changes as those who watch see them: each cut, leaf by leaf, to what its reader may READ.

A change is judged by the policy of now, as every read is. Spec: Ditto 3.9's partial events.
"""

from collections.abc import AsyncIterator, Callable, Mapping

import msgspec

from littoral.kernel import json
from littoral.kernel.time import ms_of
from littoral.log import Log, Record
from littoral.policy import READ
from littoral.twin.core import metadata
from littoral.twin.core.paths import keys_of
from littoral.twin.core.state import Hot
from littoral.twin.entities import Engine
from littoral.twin.errors import HistoryNotFound
from littoral.twin.model import HISTORY_CHUNK_RECORDS, Caller
from littoral.twin.policies import PolicyBook, PolicyReads
from littoral.twin.things import HIDDEN, ThingReads, kept_headers

ACTIONS: Mapping[str, str] = {
    f"{group}.{verb}": verb
    for group in ("thing", "policy")
    for verb in ("created", "modified", "merged", "deleted")
}
"""Kinds of records that are events, and what Ditto calls them."""


def action_of(record: Record) -> str | None:
    """What Ditto calls this change: a part that a PUT made is created; None if it is no change."""
    action = ACTIONS.get(record.kind)
    if action == "modified" and record.headers is not None and "created" in record.headers:
        return "created"
    return action


class Change(msgspec.Struct, frozen=True, gc=False):
    """A change of a thing or policy, as one reader may see it."""

    entity: str
    """``thing:ns:name`` or ``policy:ns:name``."""
    action: str
    """created, modified, merged or deleted."""
    path: str
    value: object
    """Cut down to the reader; None of a deletion, and of a null."""
    revision: int
    at_ms: int
    headers: Mapping[str, object]
    """Those of the command that the operator keeps in the history."""
    record: Record

    @property
    def entity_id(self) -> str:
        """``ns:name``."""
        return self.entity.partition(":")[2]


class Watching:
    """Shows changes, as they come or out of the history."""

    def __init__(
        self,
        engine: Engine,
        book: PolicyBook,
        things: ThingReads,
        policies: PolicyReads,
        log: Log,
    ) -> None:
        self._engine = engine
        self._book = book
        self._things = things
        self._policies = policies
        self._log = log
        self._seen: dict[tuple[object, ...], Change | None] = {}
        self._seen_of: tuple[Record | None, int] = (None, 0)

    def readable_change(self, caller: Caller, record: Record) -> Change | None:
        """What the caller may see of a record; None if nothing, or if it is no change.

        A thousand watchers who ask for the same record, few of them different, cost little.
        """
        generation = self._book.generation
        if self._seen_of[0] is not record or self._seen_of[1] != generation:
            self._seen.clear()
            self._seen_of = (record, generation)
        who = (caller.subjects, caller.unrestricted, caller.own)
        if who not in self._seen:
            self._seen[who] = self._cut(caller, record)
        return self._seen[who]

    def _cut(self, caller: Caller, record: Record) -> Change | None:
        action = action_of(record)
        if action is None:
            return None
        hot = self._engine.load(record.entity)
        keys = keys_of(record.path)
        value: object = None
        if action == "deleted":
            if not self._may_partly(caller, hot, record.path):
                return None
        else:
            value = json.decode(record.value)
            if isinstance(value, dict) and record.headers is not None and "told" in record.headers:
                value.pop(metadata.MEMBER, None)
            if record.entity.startswith("policy:"):
                value = self._policy_value(caller, hot, value)
            else:
                value = self._things.visible(caller, hot.id, keys, value, hot.policy_id)
                if not keys and value == {}:
                    return None
            if value is HIDDEN:
                return None
        return Change(
            record.entity,
            action,
            record.path,
            value,
            record.revision,
            ms_of(record.hlc),
            kept_headers(record),
            record,
        )

    def _may_partly(self, caller: Caller, hot: Hot, path: str) -> bool:
        return self._book.may_partly(caller, hot.entity.partition(":")[0] + ":" + path, hot)

    def _policy_value(self, caller: Caller, hot: Hot, value: object) -> object:
        """A whole policy, as every record of one holds it."""
        if caller.unrestricted:
            return value
        guard = self._book.guard(hot.id)
        if guard is None or not guard.may_partly(caller.subjects, READ, "policy:/"):
            return HIDDEN
        seen = guard.trim(caller.subjects, READ, value, "policy:/", keep=("policyId",))
        return HIDDEN if seen is None else seen

    # -- history ------------------------------------------------------------------------------

    def stream_history(
        self,
        caller: Caller,
        entity: str,
        *,
        from_revision: int | None = None,
        to_revision: int | None = None,
        from_ms: int | None = None,
        to_ms: int | None = None,
        keep: Callable[[Change], bool] | None = None,
    ) -> AsyncIterator[Change]:
        """The changes of an entity that are kept, oldest first; it ends with the newest of now.

        Args:
            caller: sees of each what it may READ today.
            entity: ``thing:ns:name`` or ``policy:ns:name``.
            from_revision: the first; 0 is the newest, -n the one n before it.
            to_revision: the last, counted likewise; one that is not there yet means the newest.
            from_ms: the first is the one that was newest then, or the first after it.
            to_ms: the last is the newest one then.
            keep: drops the changes for which it says False.

        Raises:
            NotFound: at once, before the first step: there is no such entity to be read.
        """
        group, _, entity_id = entity.partition(":")
        hot = (self._things if group == "thing" else self._policies).load(entity_id)
        if not hot.revision or not self._may_partly(caller, hot, "/"):
            self._refuse(caller, group, entity_id)
        first = _counted(hot, from_revision, 1)
        last = _counted(hot, to_revision, hot.revision)
        if from_ms is not None:
            first = max(first, self._first_from(hot, from_ms))
        if to_ms is not None:
            last = min(last, self._newest_at(hot, to_ms))
        return self._steps(caller, hot.entity, max(first, 1), min(last, hot.revision), keep)

    def _refuse(self, caller: Caller, group: str, entity_id: str) -> None:
        """Raise as a read does of what is not there."""
        if group == "thing":
            self._things.refuse(entity_id)
        self._policies.retrieve(caller, entity_id)

    def _newest_at(self, hot: Hot, at_ms: int) -> int:
        """The newest revision at ``at_ms``; 0 if there was none."""
        try:
            return self._engine.revision_at(hot.entity, at_ms)
        except HistoryNotFound:
            return 0

    def _first_from(self, hot: Hot, at_ms: int) -> int:
        """The first revision at or after ``at_ms``; one beyond the newest if there is none."""
        return self._newest_at(hot, at_ms - 1) + 1

    async def _steps(
        self,
        caller: Caller,
        entity: str,
        first: int,
        last: int,
        keep: Callable[[Change], bool] | None,
    ) -> AsyncIterator[Change]:
        while first <= last:
            upto = min(last, first + HISTORY_CHUNK_RECORDS - 1)
            records = self._engine.history(entity, first=first, last=upto)
            if records:
                await self._log.wait(records[-1].seq)  # nobody sees what may vanish
            for record in records:
                change = self.readable_change(caller, record)
                if change is not None and (keep is None or keep(change)):
                    yield change
            first = upto + 1


def _counted(hot: Hot, revision: int | None, default: int) -> int:
    if revision is None:
        return default
    return revision if revision > 0 else hot.revision + revision
