"""Subjects that leave their policy by themselves: removed when it is time, and told before or after.

A policy's notes (`index`) say when it is due next, so that a node with very many policies
looks at none of them but those, also after it was stopped. What was told is part of the notes: an
announcement is made once, unless acknowledgements are wanted; then until they came.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from hashlib import blake2b

from littoral.kernel import json
from littoral.kernel import time as instants
from littoral.kernel.errors import LittoralError
from littoral.kernel.time import Clock
from littoral.log import RecordClass
from littoral.policy import Announcement, Policy, Subject, announcement_of
from littoral.twin.core.state import Hot
from littoral.twin.entities import Engine
from littoral.twin.policies.book import PolicyBook, parsed
from littoral.twin.policies.index import Notes, imports_of
from littoral.twin.policies.settings import PolicySettings

DUE_MAX = 256
"""Policies whose subjects are removed, or told, in one go."""

ANNOUNCEMENT_TRIES_MAX = 10
"""How often a subject is told that it was removed, if acknowledgements do not come."""

_LOOK_S_MAX = 60.0
"""How long is slept at most: wall clocks jump."""

_RETRY_MS = 10_000
"""When a policy is looked at again that could not be written."""


@dataclass(frozen=True, slots=True)
class SubjectDeletion:
    """Ditto's announcement ``subjectDeletion``: a subject leaves a policy, or has left."""

    policy_id: str
    subject_ids: tuple[str, ...]
    delete_at_ms: int
    id: str
    """The same for each repetition; good for a correlation id."""
    requested_acks: tuple[str, ...] = ()
    timeout_ms: int = 0
    """After which it is announced again unless `acknowledged` was called."""
    acknowledged: Callable[[], object] = field(default=lambda: None, compare=False)

    @property
    def value(self) -> dict[str, object]:
        """The announcement's value in the Ditto Protocol."""
        at = instants.render(self.delete_at_ms)
        return {"deleteAt": at, "subjectIds": list(self.subject_ids)}


Listener = Callable[[SubjectDeletion], None]


@dataclass(slots=True)
class _Repeating:
    """An announcement of a removal whose acknowledgements are still out."""

    deletion: SubjectDeletion
    at_ms: int
    tries: int = 1


class PolicyExpiry:
    """Keeps the notes of policies, and does what they say is due."""

    def __init__(
        self, engine: Engine, book: PolicyBook, clock: Clock, settings: PolicySettings
    ) -> None:
        self._engine = engine
        self._book = book
        self._index = book.index
        self._clock = clock
        self._settings = settings
        self._listeners: list[Listener] = []
        self._waiting: dict[str, int] = {}
        """Policies that are due but must wait: until they may be written, or acknowledgements come."""
        self._repeating: dict[str, _Repeating] = {}
        self._wake = asyncio.Event()
        self.removed = self.announced = 0
        engine.policy_hooks.append(self._changed)
        if not self._index.complete:
            with contextlib.suppress(LittoralError):  # no room: it is tried at the next opening
                self._build()

    def listen(self, listener: Listener) -> None:
        """Have announcements given to ``listener``; it must not wait."""
        self._listeners.append(listener)

    async def run(self) -> None:
        """Do what is due, until cancelled."""
        while True:
            self._wake.clear()
            now = self._clock.now_ms()
            next_ms = self.catch_up(now)
            pause = _LOOK_S_MAX if next_ms is None else (next_ms - now) / 1000
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(max(pause, 0.001), _LOOK_S_MAX)):
                    await self._wake.wait()

    def catch_up(self, now_ms: int) -> int | None:
        """Do what is due at ``now_ms``; return when there is more to do."""
        due, next_ms = self._index.due(now_ms, DUE_MAX + len(self._waiting))
        for policy_id in due:
            if self._waiting.get(policy_id, 0) > now_ms:
                continue
            self._waiting.pop(policy_id, None)
            try:
                self._attend(policy_id, now_ms)
            except LittoralError:
                self._waiting[policy_id] = now_ms + _RETRY_MS
        if due:
            # Who was told now is due again when its time is over.
            _, next_ms = self._index.due(now_ms, DUE_MAX + len(self._waiting))
        # Who is not due any more waits for nothing.
        self._waiting = {one: at for one, at in self._waiting.items() if at > now_ms}
        self._repeat(now_ms)
        waits = [*self._waiting.values(), *(one.at_ms for one in self._repeating.values())]
        return min((*waits, *(() if next_ms is None else (next_ms,))), default=None)

    # -- one policy ------------------------------------------------------------------------------

    def _attend(self, policy_id: str, now_ms: int) -> None:
        """Remove those whose time is over, and tell those whose time is near."""
        hot = self._engine.load("policy:" + policy_id)
        policy = parsed(hot)
        before = self._index.notes(policy_id)
        if policy is None:
            self._index.note(policy_id, before, Notes())
            return
        gone = {key for key, subject in _subjects(policy) if _is_over(subject, now_ms)}
        if gone:
            # Nobody is let in for the reason that the removal cannot be written, or is not ours to write.
            self._book.lapse(policy_id)
            if self._settings.owner:
                self._remove(hot, policy, now_ms)  # the change is noted by `_changed`
                self.removed += len(gone)
            before = self._index.notes(policy_id)
        told = dict(before.told)
        # Who is in another entry too is told once; by acknowledging it, for both.
        known = {_telling(s) for k, s in _subjects(policy) if k in told and told[k] == s.expires_ms}
        asked = set()
        for key, subject in _subjects(policy):
            at = announced_at(policy_id, subject)
            if at is None or at > now_ms or key in gone or told.get(key) == subject.expires_ms:
                continue
            assert subject.announcement is not None
            assert subject.expires_ms is not None
            if (telling := _telling(subject)) in known:
                told[key] = subject.expires_ms
                continue
            if telling in asked:
                continue
            wants = bool(subject.announcement.labels) and bool(self._listeners)
            self._announce(policy_id, key, subject.announcement, subject.expires_ms)
            if wants:
                self._waiting[policy_id] = min(
                    self._waiting.get(policy_id, subject.expires_ms),
                    now_ms + subject.announcement.timeout_ms,
                )
                asked.add(telling)
            else:
                told[key] = subject.expires_ms
                known.add(telling)
        self._note(policy if not gone else parsed(hot), policy_id, told, now_ms)

    def _remove(self, hot: Hot, policy: Policy, now_ms: int) -> None:
        document = hot.document()
        assert document is not None
        entries = document.get("entries")
        assert isinstance(entries, dict)
        for entry in policy.entries:
            subjects = entries[entry.label].get("subjects", {})
            for subject in entry.subjects:
                if _is_over(subject, now_ms):
                    del subjects[subject.id]
        self._engine.write(
            hot, RecordClass.STATE, "policy.modified", "/", json.encode(document), headers=None
        )

    def _announce(
        self, policy_id: str, key: str, settings: Announcement, delete_at_ms: int
    ) -> None:
        self._tell(
            SubjectDeletion(
                policy_id,
                (_subject_of(key),),
                delete_at_ms,
                _name_of(policy_id, key, delete_at_ms),
                settings.labels,
                settings.timeout_ms,
                partial(self._acknowledged, policy_id, key, delete_at_ms),
            )
        )

    def _acknowledged(self, policy_id: str, key: str, delete_at_ms: int) -> None:
        """The subject knows now: do not tell it again."""
        policy = parsed(self._engine.load("policy:" + policy_id))
        if policy is None:
            return
        told = {**self._index.notes(policy_id).told, key: delete_at_ms}
        with contextlib.suppress(LittoralError):  # told once more, if it cannot be kept now
            self._note(policy, policy_id, told, self._clock.now_ms())
            self._waiting.pop(policy_id, None)
            self._wake.set()

    def _tell(self, deletion: SubjectDeletion) -> None:
        self.announced += 1
        for listener in self._listeners:
            listener(deletion)

    def _repeat(self, now_ms: int) -> None:
        for name, one in list(self._repeating.items()):
            if one.at_ms > now_ms:
                continue
            if one.tries >= ANNOUNCEMENT_TRIES_MAX:
                del self._repeating[name]
                continue
            one.tries += 1
            one.at_ms = now_ms + one.deletion.timeout_ms
            self._tell(one.deletion)

    # -- notes -----------------------------------------------------------------------------------

    def _changed(self, hot: Hot | None) -> None:
        if hot is None:
            self._waiting.clear()
            return
        now_ms = self._clock.now_ms()
        policy = parsed(hot)
        before = self._index.notes(hot.id)
        here = {} if policy is None else dict(_subjects(policy))
        known = set()
        if before.subjects:
            known = {(one.id, one.expires_ms or 0, _settings_of(one)) for one in here.values()}
        for key, (expires_ms, settings) in before.subjects.items():
            # Whoever was told before that it would leave knows it.
            if not settings or key in here or key in before.told:
                continue
            # Who is in another entry too stays, or leaves both at once.
            if (leaving := (_subject_of(key), expires_ms, settings)) not in known:
                known.add(leaving)
                self._leaves(hot.id, key, expires_ms, settings, now_ms)
        self._waiting.pop(hot.id, None)
        self._note(policy, hot.id, before.told, now_ms)
        self._wake.set()

    def _leaves(
        self, policy_id: str, key: str, expires_ms: int, settings: str, now_ms: int
    ) -> None:
        """A subject is not in its policy any more: tell it, once that is durable."""
        announcement = announcement_of(json.decode(settings), key)
        if announcement is None or not announcement.when_deleted:
            return
        at = expires_ms if 0 < expires_ms <= now_ms else now_ms
        name = _name_of(policy_id, key, at)
        deletion = SubjectDeletion(
            policy_id,
            (_subject_of(key),),
            at,
            name,
            announcement.labels,
            announcement.timeout_ms,
            partial(self._repeating.pop, name, None),
        )

        def when_durable(error: LittoralError | None) -> None:
            if error is not None:
                return
            if announcement.labels:
                again = self._clock.now_ms() + announcement.timeout_ms
                self._repeating[name] = _Repeating(deletion, again)
                self._wake.set()
            self._tell(deletion)

        self._engine.log.on_commit(when_durable)

    def _note(
        self, policy: Policy | None, policy_id: str, told: Mapping[str, int], now_ms: int
    ) -> None:
        after = Notes() if policy is None else self._notes_of(policy, told, now_ms)
        self._index.note(policy_id, self._index.notes(policy_id), after)
        if not self._index.complete:
            self._index.mark()

    def _notes_of(self, policy: Policy, told: Mapping[str, int], now_ms: int) -> Notes:
        """What to remember of ``policy``, whose subjects were ``told`` some expiries."""
        special = {k: s for k, s in _subjects(policy) if s.expires or s.announcement is not None}
        due: list[int] = []
        for key, subject in special.items():
            if subject.expires_ms is None:
                continue
            if self._settings.owner or subject.expires_ms > now_ms:
                due.append(subject.expires_ms)
            at = announced_at(policy.id, subject)
            if at is not None and told.get(key) != subject.expires_ms > now_ms:
                due.append(at)
        return Notes(
            imports_of(policy),
            min(due, default=0),
            {key: (s.expires_ms or 0, _settings_of(s)) for key, s in special.items()},
            {
                key: s.expires_ms
                for key, s in special.items()
                if s.expires_ms is not None and told.get(key) == s.expires_ms
            },
        )

    def _build(self) -> None:
        """Note the policies of a log that was written before there were notes."""
        now_ms = self._clock.now_ms()
        ids = self._book.ids()
        policies = (self._engine.load("policy:" + one) for one in ids)
        found = (policy for hot in policies if (policy := parsed(hot)) is not None)
        first = next(found, None)
        if first is None:
            return  # a new log: it is marked as complete with its first policy

        def everything() -> Iterator[Policy]:
            yield first
            yield from found

        self._index.build(everything(), lambda policy: self._notes_of(policy, {}, now_ms))


def announced_at(policy_id: str, subject: Subject) -> int | None:
    """When ``subject`` is to be told that it will leave; None if it need not be told before.

    The part of the randomisation interval is taken from its name, so that it is the same after a
    restart.
    """
    settings = subject.announcement
    if settings is None or settings.before_expiry_ms is None or subject.expires_ms is None:
        return None
    early = 0
    if settings.spread_ms:
        seed = _name_of(policy_id, subject.id, subject.expires_ms)
        early = int(seed[:12], 16) % settings.spread_ms
    return max(subject.expires_ms - settings.before_expiry_ms - early, 1)


def _name_of(policy_id: str, subject_id: str, at_ms: int) -> str:
    return blake2b(f"{policy_id}/{subject_id}/{at_ms}".encode(), digest_size=16).hexdigest()


def _subjects(policy: Policy) -> Iterator[tuple[str, Subject]]:
    """Every subject of a policy, under a key: it may be in several entries."""
    for entry in policy.entries:
        for subject in entry.subjects:
            yield f"{entry.label}/{subject.id}", subject


def _subject_of(key: str) -> str:
    return key.partition("/")[2]


def _telling(subject: Subject) -> tuple[str, int, str]:
    """What makes two announcements of a policy the same one."""
    return subject.id, subject.expires_ms or 0, _settings_of(subject)


def _is_over(subject: Subject, now_ms: int) -> bool:
    return subject.expires_ms is not None and subject.expires_ms <= now_ms


def _settings_of(subject: Subject) -> str:
    if subject.announcement is None:
        return ""
    return json.encode(subject.document.get("announcement")).decode()
