"""Fakes of eventing's ports: a log that commits when told to, and receivers that remember."""

import asyncio
from collections.abc import Callable, Sequence

import pytest

from littoral.eventing import Message, Reply
from littoral.kernel.errors import Unavailable
from littoral.kernel.ids import Origin
from littoral.log import Record, RecordClass
from littoral.simulate.loop import run


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
