"""Keeps an index up with the log: whole batches as they are committed, and things that need reading.

Everything here runs on the loop; the index works on its worker.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Sequence
from itertools import islice, takewhile
from typing import TypeVar

from littoral.kernel.errors import LittoralError
from littoral.kernel.time import Clock
from littoral.log import Log, Record
from littoral.search.core.access import shapes_of
from littoral.search.errors import IndexDamaged
from littoral.search.model import (
    BEHIND_RECORDS_MAX,
    BUILD_SHARE,
    CHUNK_RECORDS_MAX,
    CHUNK_THINGS_MAX,
    IDLE_RECORDS_MAX,
    INLINE_RECORDS_MAX,
    QUERY_S_MAX,
    Access,
    Wants,
)
from littoral.search.ports import Index, Worker
from littoral.search.working import Question, Workplace
from littoral.twin import Standing, Twins

_READ_CHUNK = 4096
_THING = "thing:"
_POLICY = "policy:"
_NOTHING = Wants()

_logger = logging.getLogger("littoral.search")

T = TypeVar("T")


class Follower:
    """One index and its place behind the log.

    Invariant: what is committed is in the index, in ``_batches``, or named in ``_things``,
    ``_named`` or ``_policies``.
    """

    def __init__(self, log: Log, twins: Twins, index: Index, worker: Worker, clock: Clock) -> None:
        self._log = log
        self._twins = twins
        self._index = index
        self._clock = clock
        self._workplace = Workplace(worker, clock, self._broke)
        self._own = log.origin
        self._batches: list[Sequence[Record]] = []
        self._waiting = 0
        self._heard = log.committed
        self._things: dict[str, None] = {}
        """Things to be read before the next answer."""
        self._named: OrderedDict[str, int] = OrderedDict()
        """Things whose records were let go of, in the order of their oldest one's seq."""
        self._policies: dict[str, None] = {}
        self._risky: dict[str, int] = {}
        self._risky_policies: dict[str, int] = {}
        self._void = False
        """Whether the index may say what never became durable."""
        self.position = 0
        self.built = asyncio.Event()
        """Set while the index knows all things."""
        self.damaged = asyncio.Event()
        """Set when the index has to be made anew."""
        self.woken = asyncio.Event()
        """Set when there is something to do."""
        self.rebuilds = self.taken = self.read = 0
        self.keeps = IDLE_RECORDS_MAX
        """Records that may wait as they are."""
        self.eager = False
        """Whether questions are asked, and the loop may be held for what they would wait for."""
        log.listen(self._committed)
        log.on_abort(self._aborted)
        twins.book.listen(self._lapsed)

    # What is told by others: no work here.

    def _committed(self, records: Sequence[Record]) -> None:
        self._batches.append(records)
        self._waiting += len(records)
        self._heard = records[-1].seq
        self.woken.set()
        if self._waiting > self.keeps:
            self._coalesce()

    def _coalesce(self) -> None:
        """Remember which things and policies changed, and no longer how."""
        for records in self._batches:
            self._name(records)
        self._batches.clear()
        self._waiting = 0

    def _name(self, records: Sequence[Record]) -> None:
        for entity in {record.entity for record in records}:
            if entity.startswith(_THING):
                self._named.setdefault(entity[len(_THING) :], records[0].seq)
            elif entity.startswith(_POLICY):
                self._policies[entity[len(_POLICY) :]] = None

    def _aborted(self, error: LittoralError) -> None:
        """What was read before it was durable is void: read it again."""
        del error
        self._void = self._void or bool(self._risky or self._risky_policies)
        self._things.update(dict.fromkeys(self._risky))
        self._policies.update(dict.fromkeys(self._risky_policies))
        self._risky.clear()
        self._risky_policies.clear()
        self.woken.set()

    def _lapsed(self, policy_ids: frozenset[str]) -> None:
        self._policies.update(dict.fromkeys(policy_ids))
        self.woken.set()

    # Going on.

    @property
    def behind(self) -> int:
        """Records that are not in the index yet; things that have to be read count as one."""
        return self._waiting + len(self._things) + len(self._named) + len(self._policies)

    async def work(self, what: Callable[[], T], *, small: bool = False) -> T:
        """Do something with the index; see `Workplace.do`."""
        return await self._workplace.do(what, small=small)

    def _broke(self, error: IndexDamaged) -> None:
        if not self.damaged.is_set():
            _logger.warning("%s It is made anew.", error)
            self.built.clear()
            self.damaged.set()
            self.woken.set()

    async def answer(self, question: Question[T]) -> T:
        """Bring the index up to the last commit, and ask it something.

        If little is behind, both are one trip to the worker, or none.
        """
        target = self._heard  # what is committed from now on may wait
        while self._waits(target, CHUNK_RECORDS_MAX):
            await self._take(self._next(CHUNK_RECORDS_MAX, target))
        await self._read(target)
        if not self._workplace.is_trifle(question):
            records = self._next(CHUNK_RECORDS_MAX, target)
            if records:
                return await self._take_and_ask(records, question, target)
        while records := self._next(INLINE_RECORDS_MAX, target):
            await self._take(records, small=True)
        return await self._workplace.ask(question)

    async def _take_and_ask(self, records: list[Record], question: Question[T], target: int) -> T:
        own, index = self._own, self._index

        def both() -> tuple[Wants, T | None]:
            wants = index.take(records, own)
            if wants != _NOTHING:
                return wants, None
            index.reached(records[-1].seq)
            return wants, question.ask(QUERY_S_MAX)

        wants, found = await self._taking(records, both)
        self.taken += wants.taken
        if wants == _NOTHING:
            self.position = records[-1].seq
            return found  # type: ignore[return-value]  # only what is wanting leaves it out
        await self._settle(wants, target)
        return await self._workplace.ask(question)

    async def step(self) -> int:
        """Take in one piece of what is behind; return how much it was."""
        if self._things or self._named or self._policies:
            before = self.behind
            await self._read(self._heard, CHUNK_THINGS_MAX)
            return max(1, before - self.behind)
        small = self.eager and self._waiting <= CHUNK_RECORDS_MAX
        records = self._next(INLINE_RECORDS_MAX if small else CHUNK_RECORDS_MAX, self._heard)
        if records:
            await self._take(records, small=small)
        return len(records)

    def _waits(self, target: int, limit: int) -> bool:
        """Whether more than ``limit`` of the records up to ``target`` wait."""
        count = 0
        for batch in self._batches:
            if batch[0].seq > target or count > limit:
                break
            count += len(batch)
        return count > limit

    def _next(self, limit: int, target: int) -> list[Record]:
        """The oldest records up to ``target``, at most ``limit`` of them."""
        records: list[Record] = []
        count = 0
        for batch in self._batches:
            if batch[0].seq > target or len(records) == limit:
                break
            room = limit - len(records)
            if len(batch) > room:
                records += batch[:room]
                self._batches[count] = batch[room:]
                break
            records += batch
            count += 1
        del self._batches[:count]
        self._waiting -= len(records)
        return records

    async def _taking(
        self, records: Sequence[Record], what: Callable[[], T], *, small: bool = False
    ) -> T:
        try:
            return await self.work(what, small=small)
        except BaseException:
            # Whoever waited has gone, or the index failed: these records are not forgotten.
            self._name(records)
            raise

    async def _take(self, records: list[Record], *, small: bool = False) -> None:
        own, index = self._own, self._index

        def take() -> Wants:
            wants = index.take(records, own)
            if wants == _NOTHING:
                index.reached(records[-1].seq)
            return wants

        wants = await self._taking(records, take, small=small)
        self.taken += wants.taken
        if wants == _NOTHING:
            self.position = records[-1].seq
        else:
            await self._settle(wants, self._heard)

    async def _settle(self, wants: Wants, target: int) -> None:
        """Read what the index wants to know."""
        self._things.update(dict.fromkeys(wants.things))
        self._policies.update(dict.fromkeys(wants.changed))
        await self._read(target)

    async def _read(self, target: int, limit: int | None = None) -> None:
        """Read what changed up to ``target`` (at most ``limit`` things), as it is now."""
        if not (self._things or self._named or self._policies):
            return
        while limit != 0 and (ids := self._to_read(target)):
            await self._read_things(ids)
            limit = None if limit is None else max(0, limit - len(ids))
        while limit != 0 and self._policies:
            await self._read_policies(list(self._policies)[:CHUNK_THINGS_MAX])
        if self._things or self._policies:
            return
        index, reached = self._index, self._settled_to()
        await self.work(lambda: index.reached(reached))
        self._void = False
        self.position = reached

    def _to_read(self, target: int) -> list[str]:
        """Things that have to be read for an answer at ``target``, some of them."""
        ids = list(islice(self._things, CHUNK_THINGS_MAX))
        if ids:
            return ids
        several = islice(self._named.items(), CHUNK_THINGS_MAX)
        return [one for one, _ in takewhile(lambda item: item[1] <= target, several)]

    def _settled_to(self) -> int:
        """Up to here nothing waits any more."""
        first = [self._batches[0][0].seq] if self._batches else []
        first += islice(self._named.values(), 1)
        return min(first) - 1 if first else self._heard

    async def _read_things(self, ids: list[str]) -> None:
        for one in ids:
            self._things.pop(one, None)
            self._named.pop(one, None)
        standings = [self._twins.standings.of(one) for one in ids]
        committed = self._log.committed
        for standing in standings:
            if standing.seq > committed:
                self._risky[standing.thing_id] = standing.seq
        try:
            await self.put(standings)
        except BaseException:
            self._things.update(dict.fromkeys(ids))
            raise

    async def put(self, standings: Sequence[Standing]) -> None:
        """Index things, and what their policies say if the index does not know it."""
        index = self._index
        wants = await self.work(lambda: index.put(standings))
        self.read += len(standings)
        if wants.policies:
            try:
                await self._know(wants.policies)
            except BaseException:
                self._policies.update(dict.fromkeys(policy_id for policy_id, _ in wants.policies))
                raise

    async def _read_policies(self, ids: list[str]) -> None:
        for one in ids:
            self._policies.pop(one, None)
        affected: set[str] = set(ids)
        for one in ids:
            affected |= self._twins.book.affected_by(one)
        wanted = tuple(affected)
        index = self._index
        try:
            pairs: list[tuple[str, str]] = []
            for start in range(0, len(wanted), CHUNK_THINGS_MAX):
                part = wanted[start : start + CHUNK_THINGS_MAX]
                pairs += await self.work(lambda part=part: index.using(part))  # type: ignore[misc]
            for start in range(0, len(pairs), CHUNK_THINGS_MAX):
                await self._know(pairs[start : start + CHUNK_THINGS_MAX])
        except BaseException:
            self._policies.update(dict.fromkeys(ids))
            raise

    async def _know(self, pairs: Sequence[tuple[str, str]]) -> None:
        head = self._log.head
        if head > self._log.committed:
            self._risky_policies.update(dict.fromkeys((p for p, _ in pairs), head))
        access = [self._access(policy_id, namespace) for policy_id, namespace in pairs]
        index = self._index
        await self.work(lambda: index.know(access))

    def _access(self, policy_id: str, namespace: str) -> Access:
        enforcer = self._twins.book.enforcer(policy_id, namespace)
        shapes = {} if enforcer is None else shapes_of(enforcer.reading())
        return Access(policy_id, namespace, shapes)

    @property
    def sound(self) -> bool:
        """Whether all that the index says of what it has taken in is durable in the log."""
        self._forget_durable()
        return self.built.is_set() and not (self._void or self._risky or self._risky_policies)

    def _forget_durable(self) -> None:
        committed = self._log.committed
        for risky in (self._risky, self._risky_policies):
            for one in [one for one, seq in risky.items() if seq <= committed]:
                del risky[one]

    async def wait_durable(self) -> bool:
        """Wait until nothing that was read can vanish; False if something did."""
        self._forget_durable()
        newest = max((*self._risky.values(), *self._risky_policies.values()), default=0)
        if newest:
            try:
                await self._log.wait(newest)
            except LittoralError:
                return False
        return True

    @property
    def inline(self) -> int:
        """Pieces of work that were done on the loop."""
        return self._workplace.inline

    def close(self) -> None:
        """The index is about to be closed."""
        self._workplace.close()

    # Beginning.

    async def open(self) -> None:
        """Open the index, and bring it to where the log was at the start of this node."""
        opened = self._log.opened
        name = f"{opened.node}/{opened.epochs[0].origin}"
        index = self._index
        anew = self.damaged.is_set() or opened.salvage is not None
        self.damaged.clear()
        position = await self.work(lambda: index.open(name, anew=anew))
        start = self._log.committed if self._batches == [] else self._batches[0][0].seq - 1
        lost = self._log.oldest() > position + 1 and self._log.oldest() <= start
        if position < 0 or position > start or start - position > BEHIND_RECORDS_MAX or lost:
            if position >= 0:
                await self.work(lambda: index.open(name, anew=True))
            await self._build()
        else:
            while records := self._log.read(position, limit=_READ_CHUNK):
                if records[0].seq > start:
                    break
                self._name(records)
                position = records[-1].seq
                await asyncio.sleep(0)
            await self._read(self._heard)
        self.built.set()

    async def _build(self) -> None:
        """Make the index of the state of all things."""
        self.rebuilds += 1
        self._coalesce()
        target = self._log.committed
        self._things.clear()
        self._named.clear()
        after = ""
        index = self._index
        while standings := self._twins.standings.after(after, limit=CHUNK_THINGS_MAX):
            after = standings[-1].thing_id
            committed = self._log.committed
            for standing in standings:
                if standing.seq > committed:
                    self._risky[standing.thing_id] = standing.seq
            began_s = self._clock.monotonic_s()
            await self.put(standings)
            if not self.eager:  # nobody waits for it, and the node has other work
                took_s = self._clock.monotonic_s() - began_s
                await asyncio.sleep(took_s * (1 / BUILD_SHARE - 1))
        await self.work(lambda: index.reached(target))
        self.position = target
