"""The front door of twins: commands that return when what they did is durable, and reads.

The one place where a signal meets its policy is below here, in `things` and `policies`;
a device's hot path is in `devices`.
"""

import contextlib
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence

from littoral.kernel.ids import namespace_of
from littoral.kernel.time import Clock
from littoral.log import Headers, Log, LogFull, Record, RecordClass
from littoral.registry import DeviceIdentity, Registry
from littoral.twin.core.document import Document
from littoral.twin.core.state import Hot, unpack
from littoral.twin.devices import DeviceDoor
from littoral.twin.entities import SPACE, Engine, Telling
from littoral.twin.errors import StateDamaged
from littoral.twin.fields import Fields
from littoral.twin.model import (
    HOT_ENTITIES_MAX,
    NO_CONDITIONS,
    Caller,
    Conditions,
    Outcome,
    TwinSettings,
    TwinStatistics,
    View,
)
from littoral.twin.policies import (
    Listener,
    PolicyActions,
    PolicyBook,
    PolicyCommands,
    PolicyExpiry,
    PolicySettings,
)
from littoral.twin.things import Selection, Standings, Step, ThingCommands, Transactions
from littoral.twin.watching import Change, Watching

_LIST_CHUNK = 500


class Twins:
    """The things and policies of a node."""

    def __init__(
        self,
        log: Log,
        registry: Registry,
        clock: Clock,
        *,
        hot_max: int = HOT_ENTITIES_MAX,
        settings: PolicySettings = PolicySettings(),  # noqa: B008  # frozen
        thing_settings: TwinSettings = TwinSettings(),  # noqa: B008  # frozen
    ) -> None:
        self.engine = Engine(log, hot_max=hot_max)
        self.standings = Standings(self.engine)
        self.telling = Telling(self.engine)
        self.book = PolicyBook(self.engine, clock, settings)
        self._expiry = PolicyExpiry(self.engine, self.book, clock, settings)
        self.policies = PolicyCommands(self.engine, self.book, clock, settings)
        self.actions = PolicyActions(self.policies, self.book, clock, settings)
        self.things = ThingCommands(self.engine, self.book, self.policies, clock, thing_settings)
        self.transactions = Transactions(
            self.engine, self.book, self.policies, clock, thing_settings
        )
        self._watching = Watching(self.engine, self.book, self.things, self.policies, log)
        self._selection = Selection(self.things, self.policies)
        self._log = log
        self._registry = registry
        self._clock = clock

    # -- things -------------------------------------------------------------------------------

    async def create_thing(
        self, caller: Caller, document: Mapping[str, object], *, thing_id: str
    ) -> Outcome:
        """Create a thing that must not exist; raise `ThingConflict` if it does."""
        return await self._durable(self.things.create_thing(caller, document, thing_id=thing_id))

    async def modify(
        self,
        caller: Caller,
        thing_id: str,
        path: str,
        value: object,
        *,
        conditions: Conditions = NO_CONDITIONS,
    ) -> Outcome:
        """`ThingCommands.modify` (PUT), durable."""
        return await self._durable(
            self.things.modify(caller, thing_id, path, value, conditions=conditions)
        )

    async def merge(
        self,
        caller: Caller,
        thing_id: str,
        path: str,
        patch: object,
        *,
        conditions: Conditions = NO_CONDITIONS,
        cls: RecordClass = RecordClass.STATE,
    ) -> Outcome:
        """`ThingCommands.merge` (PATCH), durable."""
        return await self._durable(
            self.things.merge(caller, thing_id, path, patch, conditions=conditions, cls=cls)
        )

    async def delete(
        self, caller: Caller, thing_id: str, path: str, *, conditions: Conditions = NO_CONDITIONS
    ) -> Outcome:
        """`ThingCommands.delete`, durable."""
        return await self._durable(
            self.things.delete(caller, thing_id, path, conditions=conditions)
        )

    async def transaction(self, caller: Caller, steps: Sequence[Step]) -> list[Outcome]:
        """`Transactions.run`, durable: all of the commands are done, or none is."""
        outcomes = self.transactions.run(caller, steps)
        await self._log.wait()
        return outcomes

    async def retrieve(
        self,
        caller: Caller,
        thing_id: str,
        path: str = "/",
        *,
        at_revision: int | None = None,
        at_ms: int | None = None,
        conditions: Conditions = NO_CONDITIONS,
    ) -> View:
        """`ThingCommands.retrieve`, once what it shows is durable: nobody sees what may vanish."""
        await self._settled(self.things.load, thing_id)
        return self.things.retrieve(
            caller, thing_id, path, at_revision=at_revision, at_ms=at_ms, conditions=conditions
        )

    def readable_change(self, caller: Caller, record: Record) -> Change | None:
        """`Watching.readable_change`: what the caller may see of a record; None if nothing."""
        return self._watching.readable_change(caller, record)

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
        """`Watching.stream_history`: the kept changes of ``thing:…`` or ``policy:…``, oldest first."""
        return self._watching.stream_history(
            caller,
            entity,
            from_revision=from_revision,
            to_revision=to_revision,
            from_ms=from_ms,
            to_ms=to_ms,
            keep=keep,
        )

    def select(
        self,
        caller: Caller,
        view: View,
        tree: Fields,
        *,
        path: str = "/",
        context: object = None,
    ) -> object:
        """`Selection.select`: what of a thing that was read at ``path`` the selector names."""
        return self._selection.select(caller, view, tree, path=path, context=context)

    def readable(
        self, caller: Caller, document: Document, path: str, *, policy_id: str | None = None
    ) -> object | None:
        """What of ``document`` at ``path`` the caller may see; None if nothing."""
        return self.things.readable(caller, document, path, policy_id=policy_id)

    def may_read(self, caller: Caller, thing_id: str, path: str = "/") -> bool:
        """Whether the caller may see anything at ``path`` of an existing thing."""
        return self.things.may_read(caller, thing_id, path)

    def may_message(self, caller: Caller, thing_id: str, permission: str, resource: str) -> bool:
        """Whether the caller may send (WRITE) or receive (READ) messages at ``message:/…``."""
        return self.things.may_message(caller, thing_id, permission, resource)

    def peek(self, thing_id: str) -> Document | None:
        """The newest document without any policy: for the node's own parts. A fresh copy."""
        return self.things.load(thing_id).document()

    def exists(self, thing_id: str) -> bool:
        """Whether there is such a thing now, durable or not."""
        return self.things.load(thing_id).exists

    def policy_of(self, thing_id: str) -> str:
        """The id of a thing's policy; of a deleted thing its last one. Empty if it never was."""
        return self.things.load(thing_id).policy_id

    def revision_of(self, thing_id: str) -> int:
        """The newest revision of a thing; 0 if it never existed."""
        return self.things.load(thing_id).revision

    def history(self, caller: Caller, thing_id: str, *, first: int, last: int) -> list[Record]:
        """The thing's records with first <= revision <= last that are kept, ascending."""
        return self.things.history(caller, thing_id, first=first, last=last)

    def list_ids(
        self, *, after: str = "", limit: int = 200, namespaces: Iterable[str] | None = None
    ) -> list[str]:
        """Ids of existing things in order of their bytes, beyond ``after``."""
        wanted = None if namespaces is None else frozenset(namespaces)
        return self._list("thing:", after, limit, wanted)

    def _list(
        self, prefix: str, after: str, limit: int, wanted: frozenset[str] | None
    ) -> list[str]:
        found: list[str] = []
        position = prefix + after
        while len(found) < limit:
            rows = self._log.scan(SPACE, prefix=prefix, after=position, limit=_LIST_CHUNK)
            for entity, data in rows:
                entity_id = entity[len(prefix) :]
                if (wanted is None or namespace_of(entity_id) in wanted) and self._listed(
                    entity, data
                ):
                    found.append(entity_id)
                    if len(found) == limit:
                        break
            if len(rows) < _LIST_CHUNK:
                break
            position = rows[-1][0]
        return found

    def _listed(self, entity: str, data: bytes) -> bool:
        hot = self.engine.hot.get(entity)
        try:
            return hot.exists if hot is not None else unpack(entity, data).exists
        except StateDamaged:
            return True  # whoever reads it is told

    # -- policies -----------------------------------------------------------------------------

    async def put_policy(
        self,
        caller: Caller,
        policy_id: str,
        path: str,
        value: object,
        *,
        conditions: Conditions = NO_CONDITIONS,
    ) -> Outcome:
        """`PolicyCommands.put`, durable."""
        return await self._durable(
            self.policies.put(caller, policy_id, path, value, conditions=conditions)
        )

    async def retrieve_policy(
        self,
        caller: Caller,
        policy_id: str,
        path: str = "/",
        *,
        at_revision: int | None = None,
        at_ms: int | None = None,
        resolved: bool = False,
        conditions: Conditions = NO_CONDITIONS,
    ) -> View:
        """`PolicyCommands.retrieve`, once what it shows is durable."""
        await self._settled(self.policies.load, policy_id)
        return self.policies.retrieve(
            caller,
            policy_id,
            path,
            at_revision=at_revision,
            at_ms=at_ms,
            resolved=resolved,
            conditions=conditions,
        )

    async def delete_policy(
        self,
        caller: Caller,
        policy_id: str,
        path: str = "/",
        *,
        conditions: Conditions = NO_CONDITIONS,
    ) -> Outcome:
        """`PolicyCommands.delete`, durable."""
        return await self._durable(
            self.policies.delete(caller, policy_id, path, conditions=conditions)
        )

    def peek_policy(self, policy_id: str) -> Document | None:
        """The newest document of a policy, unchecked: for the node's own parts."""
        return self.policies.load(policy_id).document()

    def policy_ids(
        self, *, after: str = "", limit: int = 200, namespaces: Iterable[str] | None = None
    ) -> list[str]:
        """Ids of existing policies in order of their bytes, beyond ``after``."""
        wanted = None if namespaces is None else frozenset(namespaces)
        return self._list("policy:", after, limit, wanted)

    def may_read_policy(self, caller: Caller, policy_id: str) -> bool:
        """Whether the caller may see anything of an existing policy."""
        return self.book.may_partly(caller, "policy:/", self.policies.load(policy_id))

    def on_announcement(self, listener: Listener) -> None:
        """Have it told that subjects leave policies: Ditto's ``subjectDeletion``."""
        self._expiry.listen(listener)

    async def run(self) -> None:
        """Remove subjects from policies when their time is over, until cancelled."""
        await self._expiry.run()

    # -- doors and links ----------------------------------------------------------------------

    def door(self, identity: DeviceIdentity) -> DeviceDoor:
        """What one authenticated device may do with its own thing."""
        return DeviceDoor(
            self.engine, self.book, self.things, identity, self._log, self._registry, self._clock
        )

    def apply_remote(self, record: Record) -> bool:
        """`Engine.apply_remote`: one record of another log, never seen before, into the open batch."""
        return self.engine.apply_remote(record)

    def restamp(self, record: Record, headers: Headers) -> None:
        """Say an own record again with a new stamp; see `Engine.restamp`."""
        self.engine.restamp(record, headers)

    def flush(self) -> None:
        """Write the state of everything dirty into the open batch; for a clean end."""
        self.engine.flush()

    def statistics(self) -> TwinStatistics:
        """Counters since the opening."""
        e = self.engine
        return TwinStatistics(
            hot=len(e.hot),
            dirty=len(e.dirty),
            loads=e.loads,
            evictions=e.evictions,
            folds=e.folds,
            refolds=e.refolds,
            conflicts=e.conflicts,
            duplicates=e.duplicates,
            late=e.late,
            policies_compiled=self.book.compilations,
            subjects_removed=self._expiry.removed,
            announcements=self._expiry.announced,
            refused=dict(self.things.refused),
        )

    async def _durable(self, outcome: Outcome) -> Outcome:
        await self._log.wait()
        return outcome

    async def _settled(self, load: Callable[[str], Hot], entity_id: str) -> None:
        """Wait until what is shown cannot vanish; if it did vanish, what was before is shown."""
        while (seq := load(entity_id).last_seq) > self._log.committed:
            with contextlib.suppress(LogFull):
                await self._log.wait(seq)
