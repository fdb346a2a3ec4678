"""Two sessions against two naive logs: cut anywhere, crash anywhere, roll back; all arrives once."""

from collections import deque

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from littoral.edge.core import (
    Advanced,
    Answered,
    Apply,
    Close,
    Greeted,
    Known,
    LinkSession,
    Measured,
    Now,
    Opened,
    RolledBack,
    Transmit,
)
from littoral.edge.core.frames import Credit, Records, decode
from littoral.edge.model import LinkPhase, LinkSettings
from littoral.kernel.ids import NodeId, Origin
from littoral.log import Record

WINDOW = LinkSettings(window_records=7, window_bytes=10_000)
SIDES = st.sampled_from(["cloud", "site"])


class NaiveLog:
    """What is durable, what is not yet, and a new epoch at every opening."""

    def __init__(self, name):
        self.name = name
        self.durable: list[Record] = []
        self.marks: dict[tuple[str, int], int] = {}
        self.epochs: list[tuple[str, int]] = []
        self.next_epoch = 0
        self.forgetful = False
        self.open()

    def open(self):
        self.epochs = [*self.epochs, (f"{self.name}/{self.next_epoch:016x}", self.committed)]
        self.next_epoch += 1
        self.pending: list[Record] = []
        self.pending_marks: dict[tuple[str, int], int] = {}
        self.acks: list[Apply] = []

    @property
    def committed(self):
        return self.durable[-1].seq if self.durable else 0

    @property
    def head(self):
        return self.pending[-1].seq if self.pending else self.committed

    def append(self, cls):
        seq = self.head + 1
        origin = Origin(self.epochs[-1][0])
        self.pending.append(
            Record(seq, seq << 16, None, cls, "k", f"thing:n:{cls}", 0, 0, "/", b"v", None, origin, seq)
        )  # fmt: skip

    def take(self, frame):
        key = (frame.origin, frame.cls)
        seen = self.mark(*key)
        for oseq, hlc, device_time, kind, entity, path, value, headers in frame.records:
            if oseq > seen:
                self.pending.append(
                    Record(
                        self.head + 1, hlc, device_time, frame.cls, kind, entity, 0, 0, path, value,
                        headers, Origin(frame.origin), oseq,
                    )
                )  # fmt: skip
        self.pending_marks[key] = max(seen, frame.scanned_to)
        self.acks.append(frame)

    def mark(self, origin, cls):
        key = (origin, cls)
        return max(self.marks.get(key, 0), self.pending_marks.get(key, 0))

    def commit(self):
        self.durable += self.pending
        self.marks |= self.pending_marks
        done, self.acks = self.acks, []
        self.pending, self.pending_marks = [], {}
        return done

    def read(self, read):
        found = (
            r
            for r in self.durable
            if r.seq > read.after and r.cls == read.cls and r.origin == read.origin
        )
        return [r for r, _ in zip(found, range(read.limit), strict=False)]

    def held_of(self, peer):
        """A node says in its hello only what it may not lose any more, or ends with the commit."""
        if self.forgetful:
            return []
        keys = {*self.marks, *self.pending_marks}
        return [Known(o, c, self.mark(o, c)) for o, c in keys if o.startswith(f"{peer}/")]

    def own(self):
        return [r for r in self.durable if r.origin.startswith(f"{self.name}/")]

    def of(self, peer):
        return [r for r in self.durable if r.origin.startswith(f"{peer}/")]


class Linked(RuleBasedStateMachine):
    @initialize()
    def begin(self):
        self.logs = {"cloud": NaiveLog("cloud"), "site": NaiveLog("site")}
        self.sessions = {}
        self.wires = {}
        self.flying = {}
        self.now_s = 0.0
        self.snapshots = {}
        self.all_durable = {"cloud": {}, "site": {}}
        self.rolled_back = False

    def now(self):
        return Now(self.now_s, int(self.now_s * 1000))

    def other(self, name):
        return "site" if name == "cloud" else "cloud"

    @rule(name=SIDES, cls=st.integers(0, 4), count=st.integers(1, 12))
    def append(self, name, cls, count):
        for _ in range(count):
            self.logs[name].append(cls)

    @rule(name=SIDES)
    def commit(self, name):
        log = self.logs[name]
        done = log.commit()
        for r in log.own():
            if r.seq == r.oseq:
                self.all_durable[name][r.origin, r.oseq] = r
        session = self.sessions.get(name)
        if session is not None:
            for cls in range(5):
                newest = [r.seq for r in log.own() if r.cls == cls]
                if newest:
                    session.note(cls, newest[-1])
            for frame in done:
                session.committed(frame)
            session.flush()
            self.perform(name)

    @precondition(lambda self: not self.sessions)
    @rule()
    def connect(self):
        # A shell waits for what is open before it says what it holds: see `Conversation`.
        for name in ("cloud", "site"):
            self.logs[name].acks.clear()
            self.commit(name)
            self.flying[name] = 0
            self.wires[name] = deque()
            log = self.logs[name]
            self.sessions[name] = LinkSession(
                node=NodeId(name),
                chain=log.epochs,
                head=log.committed,
                settings=WINDOW,
                now=self.now(),
                is_client=name == "site",
            )
        self.perform("site")

    @precondition(lambda self: self.sessions)
    @rule()
    def cut(self):
        for session in self.sessions.values():
            session.abandon()
        self.sessions.clear()
        self.wires.clear()
        for log in self.logs.values():
            log.acks.clear()

    @precondition(lambda self: self.sessions)
    @rule(name=SIDES)
    def deliver(self, name):
        """One frame arrives at `name`."""
        if self.wires[name]:
            data = self.wires[name].popleft()
            self.sessions[name].receive(data, self.now())
            self.perform(name)

    @precondition(lambda self: self.sessions)
    @rule(name=SIDES)
    def pump(self, name):
        session, log = self.sessions[name], self.logs[name]
        read = session.next_read()
        if read is not None:
            session.supply(read, log.read(read), committed=log.committed, keep=lambda _: True)
            self.perform(name)

    @precondition(lambda self: self.sessions)
    @rule()
    def exchange_all(self):
        self.run_to_rest()

    @rule(name=SIDES)
    def forget(self, name):
        """The list of origins in the hello is bounded: what falls off it is sent again."""
        self.logs[name].forgetful = not self.logs[name].forgetful

    @rule(name=SIDES)
    def crash(self, name):
        if self.sessions:
            self.cut()
        log = self.logs[name]
        log.pending.clear()
        log.open()

    @rule(name=SIDES)
    def back_up(self, name):
        log = self.logs[name]
        self.snapshots[name] = (list(log.durable), dict(log.marks), list(log.epochs))

    @precondition(lambda self: "site" in self.snapshots)
    @rule()
    def restore_the_site(self):
        """An old copy of the disk: the node cannot know it."""
        if self.sessions:
            self.cut()
        log = self.logs["site"]
        log.durable, log.marks, log.epochs = (type(x)(x) for x in self.snapshots["site"])
        log.open()
        self.rolled_back = True

    def perform(self, name):
        session = self.sessions[name]
        log = self.logs[name]
        for effect in session.take():
            match effect:
                case Transmit(data):
                    self.wires[self.other(name)].append(data)
                    self.account(name, data)
                case Greeted():
                    session.greet(log.held_of(self.other(name)), self.now())
                    self.perform(name)
                case Apply():
                    log.take(effect)
                case RolledBack(lost):
                    for gap in lost:
                        held = max(gap.after, log.mark(gap.origin, gap.cls))
                        if held < gap.upto:
                            session.want_back(gap.origin, gap.cls, held)
                    self.perform(name)
                case Close(code, reason):
                    raise AssertionError(f"{name} closed: {code} {reason}")
                case Advanced(_, seq):
                    assert seq <= log.committed
                case Opened() | Answered() | Measured():
                    pass

    def account(self, name, data):
        """What of `name` is in flight, as credit counts it."""
        frame = decode(data)
        if isinstance(frame, Records):
            self.flying[name] += frame.count
        elif isinstance(frame, Credit):
            self.flying[self.other(name)] -= frame.records

    @invariant()
    def credit_bounds_what_is_in_flight(self):
        for count in getattr(self, "flying", {}).values():
            assert count <= WINDOW.window_records

    @invariant()
    def each_record_is_stored_once_and_in_order(self):
        for name, log in getattr(self, "logs", {}).items():
            last = {}
            for r in log.of(self.other(name)):
                assert r.oseq > last.get((r.origin, r.cls), 0)
                last[r.origin, r.cls] = r.oseq

    def teardown(self):
        if not hasattr(self, "logs"):
            return
        for _ in range(2):
            if self.sessions:
                self.cut()
            for log in self.logs.values():
                log.forgetful = False
            self.connect()
            self.run_to_rest()
        for name, log in self.logs.items():
            assert all(s.phase is LinkPhase.OPEN for s in self.sessions.values())
            there = {(r.origin, r.oseq) for r in self.logs[self.other(name)].of(name)}
            own = {(r.origin, r.oseq) for r in log.own()}
            assert own <= there, f"{name} has what the other side never got"
            if name == "site" or not self.rolled_back:
                assert there <= own, f"{name} did not get back what it lost"
        if not self.rolled_back:
            for name in self.logs:
                there = {(r.origin, r.oseq) for r in self.logs[self.other(name)].of(name)}
                assert there == set(self.all_durable[name])

    def run_to_rest(self):
        for _ in range(10_000):
            busy = False
            for name in ("cloud", "site"):
                while self.wires[name]:
                    self.deliver(name)
                    busy = True
                if self.sessions[name].next_read() is not None:
                    self.pump(name)
                    busy = True
                if self.logs[name].pending or self.logs[name].acks:
                    self.commit(name)
                    busy = True
            if not busy:
                return
        raise AssertionError("they never come to rest")


TestLinked = pytest.mark.slow(Linked.TestCase)
TestLinked.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)
