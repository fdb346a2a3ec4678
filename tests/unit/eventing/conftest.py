"""Fakes of eventing's ports: a log that commits when told to, and receivers that remember."""

import asyncio
import random
from collections.abc import Callable, Sequence

import pytest

from littoral.eventing import Inbox, Mailbox, Message, Reply
from littoral.kernel.errors import Unavailable
from littoral.kernel.ids import NodeId, Origin
from littoral.log import Log, Record, RecordClass
from littoral.log.adapters.committer import InlineCommitter
from littoral.log.adapters.memory import MemoryStore
from littoral.simulate import SeededEntropy, VirtualClock, run


class ToldLog:
    """Commits exactly the records that a test gives it."""

    def __init__(self) -> None:
        self.listeners: list[Callable[[Sequence[Record]], None]] = []

    def listen(self, listener: Callable[[Sequence[Record]], None]) -> None:
        self.listeners.append(listener)

    def commit(self, *records: Record) -> None:
        for listener in self.listeners:
            listener(records)


class RememberingReceiver:
    """Takes every message, and answers with what it was made with."""

    def __init__(self, answer: Reply | None = None) -> None:
        self.got: list[Message] = []
        self.answer = answer
        self.accepted: list[bool] = []

    def deliver(self, message: Message) -> None:
        self.got.append(message)
        if self.answer is not None:
            self.accepted.append(message.reply(self.answer))


class FullReceiver:
    """Has no room, ever."""

    def deliver(self, message: Message) -> None:
        raise Unavailable("no room.")


class LoopClock:
    """The loop's own time."""

    def now_ms(self) -> int:
        return int(self.monotonic_s() * 1000)

    def monotonic_s(self) -> float:
        return asyncio.get_running_loop().time()


def make_record(
    seq: int, entity: str = "thing:a:b", kind: str = "thing.merged", value: bytes = b"{}"
) -> Record:
    return Record(
        seq, seq << 16, None, RecordClass.STATE, kind, entity, seq, 0, "/", value, None,
        Origin("n/1"), seq,
    )  # fmt: skip


@pytest.fixture
def log() -> ToldLog:
    return ToldLog()


@pytest.fixture
def record():
    return make_record


@pytest.fixture
def receiver():
    return RememberingReceiver


@pytest.fixture
def full_receiver():
    return FullReceiver


@pytest.fixture
def clock():
    return LoopClock()


@pytest.fixture
def world():
    """Run a coroutine function on the virtual loop."""
    return run


class Device:
    """Speaks for a thing: takes what has room, and answers what it was told to answer."""

    def __init__(self, room: int | None = None, reply: Reply | None = None) -> None:
        self.got: list[Message] = []
        self.room = room
        self.reply = reply

    def deliver(self, message: Message) -> None:
        if self.room is not None and self.room <= len(self.got):
            raise Unavailable("no room.")
        self.got.append(message)
        if self.reply is not None:
            message.reply(self.reply)

    @property
    def subjects(self) -> list[str]:
        return [message.subject for message in self.got]


class Postal:
    """A mailbox with its inbox on a log, which can be opened again on the same store."""

    def __init__(self, store: MemoryStore) -> None:
        self.store = store
        self.loop = asyncio.get_running_loop()
        self.clock = VirtualClock(self.loop)
        self.entropy = SeededEntropy(random.Random(3))
        self.log = Log.open(
            store=store,
            committer=InlineCommitter(self.loop),
            clock=self.clock,
            entropy=self.entropy,
            node=NodeId("n"),
            loop=self.loop,
        )
        self.records: list[Record] = []
        self.log.listen(self.records.extend)
        self.inbox = Inbox(self.clock)
        self.gone: set[str] = set()
        self.mailbox = Mailbox(
            self.log, self.inbox, self.clock, self.entropy, is_gone=self.gone.__contains__
        )
        self.device = Device

    async def restart(self) -> "Postal":
        await self.log.close()
        return Postal(self.store)

    @property
    def kinds(self) -> list[str]:
        return [r.kind for r in self.records if r.kind.startswith("mailbox.")]


@pytest.fixture
def on_mailbox():
    """Run ``async def main(postal)`` in the virtual world, beside the mailbox's own work."""

    def start(main):
        async def world():
            postal = Postal(MemoryStore())
            async with asyncio.TaskGroup() as tasks:
                work = tasks.create_task(postal.mailbox.run())
                await main(postal)
                work.cancel()

        return run(world, deadline_s=10_000_000)

    return start
