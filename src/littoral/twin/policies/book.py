"""Where policies are enforced: the enforcer of each thing, and the one question every door asks."""

import contextlib
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from littoral.kernel.ids import namespace_of
from littoral.kernel.time import Clock
from littoral.policy import (
    READ,
    WRITE,
    Effective,
    Enforcer,
    Explanation,
    InvalidPolicy,
    Policy,
    Rule,
    Shows,
    load_policy,
    resolve,
    roots_of,
)
from littoral.twin.core.state import Hot, unpack
from littoral.twin.entities import SPACE, Engine
from littoral.twin.errors import StateDamaged
from littoral.twin.model import Caller
from littoral.twin.policies.index import PolicyIndex
from littoral.twin.policies.settings import PolicySettings

ENFORCERS_MAX = 10_000
"""Compiled policies kept; those compiled longest ago are compiled again. Equal ones count as one."""

COMPILED_MAX = 200_000
"""Policies of which it is kept what they are compiled to."""

NAMESPACES_MAX = 64
"""Namespaces for which one policy's enforcer is kept."""

PARSED_MAX = 1_000
"""Parsed policies kept for those that import them."""

_SPARE = 16
_SCAN = 1000


class _Compiled:
    """What is worked out of one policy, or of several that say the same."""

    __slots__ = ("by_namespace", "content", "depends_on", "effective", "guard", "users")

    def __init__(self, policy_id: str, effective: Effective | None, now_ms: int) -> None:
        self.guard: Enforcer | None = None
        """For the policy itself, and for things if no entry speaks of some namespaces only."""
        self.effective: Effective | None = None
        """Kept only if it is needed again, for namespaces."""
        self.by_namespace: dict[str, Enforcer] | None = None
        self.depends_on = frozenset[str]()
        """Other policies."""
        self.content: bytes | None = None
        """What the policies say that share it; None if it is one policy's own."""
        self.users = 0
        if effective is not None:
            self.guard = Enforcer(effective.entries_for(None), now_ms=now_ms)
            self.depends_on = effective.depends_on - {policy_id}
            if effective.restricted:
                self.effective, self.by_namespace = effective, {}


@dataclass(frozen=True, slots=True)
class Origin(Rule):
    """A rule, and the policy and label where it is written."""

    policy: str = ""
    written_as: str = ""


class PolicyBook:
    """Effective policies by id, compiled, always of the newest revision of all that they depend on.

    Invariant: a change of a policy drops what was worked out of it, and nothing else.
    """

    def __init__(self, engine: Engine, clock: Clock, settings: PolicySettings) -> None:
        self._engine = engine
        self._clock = clock
        self._settings = settings
        self._compiled: OrderedDict[str, _Compiled] = OrderedDict()
        self._shared: dict[bytes, _Compiled] = {}
        self._enforcers = 0
        self._parsed: dict[str, Policy | None] = {}
        self._dependents: dict[str, set[str]] = {}
        self._listeners: list[Callable[[frozenset[str]], None]] = []
        self.index = PolicyIndex(engine.log)
        self.compilations = 0
        engine.policy_hooks.append(self._changed)

    # -- what is known of policies ---------------------------------------------------------------

    @property
    def generation(self) -> int:
        """Changes whenever any policy does: a remembered permission is good for one generation."""
        return self._engine.policies_changed

    def policy(self, policy_id: str) -> Policy | None:
        """The policy as it is stored; None if there is none, or none that can be understood."""
        if policy_id in self._parsed:
            return self._parsed[policy_id]
        found = self._read(policy_id)
        if len(self._parsed) >= PARSED_MAX:
            del self._parsed[next(iter(self._parsed))]
        self._parsed[policy_id] = found
        return found

    def exists(self, policy_id: str) -> bool:
        """Whether there is such a policy."""
        return self._engine.load("policy:" + policy_id).exists

    def enforcer(self, policy_id: str, namespace: str = "") -> Enforcer | None:
        """What decides about things of ``namespace`` that name this policy; None if there is none."""
        found = self._compiled.get(policy_id) or self._compile(policy_id)
        if found.by_namespace is None:
            return found.guard
        return found.by_namespace.get(namespace) or self._narrow(found, namespace)

    def guard(self, policy_id: str) -> Enforcer | None:
        """What decides about the policy itself: no entry is left out for its namespaces."""
        return (self._compiled.get(policy_id) or self._compile(policy_id)).guard

    def effective(self, policy_id: str) -> Effective | None:
        """What the policy comes to; None if there is none."""
        policy = self._read(policy_id)
        return None if policy is None else self.resolved(policy)

    def resolved(self, policy: Policy, *, shows: Shows | None = None) -> Effective:
        """What ``policy`` would come to if it were stored; ``shows`` is for people who look."""
        return resolve(policy, self.policy, self._roots(policy.id), shows=shows)

    def compiled(self, policy: Policy, namespace: str | None = None) -> Enforcer:
        """What would guard ``policy``, or the things of ``namespace``, if it were stored."""
        return Enforcer(self.resolved(policy).entries_for(namespace), now_ms=self._clock.now_ms())

    def affected_by(self, policy_id: str) -> frozenset[str]:
        """The policies whose effective policy may change with this one: itself and all importers.

        A root policy of namespaces affects every policy there; they are listed from the log.
        """
        found = self.index.affected_by(policy_id)
        roots = {one for several in self._settings.namespace_roots.values() for one in several}
        changed = roots & found
        if changed:
            found.update(one for one in self.ids() if not changed.isdisjoint(self._roots(one)))
        return frozenset(found)

    def ids(self) -> Iterator[str]:
        """Every existing policy."""
        after = prefix = "policy:"
        while rows := self._engine.log.scan(SPACE, prefix=prefix, after=after, limit=_SCAN):
            for entity, data in rows:
                with contextlib.suppress(StateDamaged):
                    hot = self._engine.hot.get(entity) or unpack(entity, data)
                    if hot.exists:
                        yield hot.id
            after = rows[-1][0]

    # -- questions -------------------------------------------------------------------------------

    def may(self, caller: Caller, permission: str, resource: str, hot: Hot) -> bool:
        """Ditto's unrestricted check; False if the policy does not exist."""
        enforcer = self.enforcer_of(hot)
        if caller.unrestricted or _is_own(caller, hot, enforcer):
            return True
        return enforcer is not None and enforcer.may(caller.subjects, permission, resource)

    def may_partly(
        self, caller: Caller, resource: str, hot: Hot, *, permission: str = READ
    ) -> bool:
        """Whether the caller may READ (or else) anything at, above or below ``resource``."""
        enforcer = self.enforcer_of(hot)
        if caller.unrestricted or _is_own(caller, hot, enforcer):
            return True
        return enforcer is not None and enforcer.may_partly(caller.subjects, permission, resource)

    def may_merge(self, caller: Caller, path: str, patch: object, hot: Hot) -> bool:
        """WRITE on the place of a merge patch, or on each leaf of it."""
        enforcer = self.enforcer_of(hot)
        if caller.unrestricted or _is_own(caller, hot, enforcer):
            return True
        return enforcer is not None and enforcer.may_leaves(
            caller.subjects, WRITE, "thing:" + path, patch
        )

    def enforcer_of(self, hot: Hot) -> Enforcer | None:
        """What decides about an entity: a policy guards itself."""
        if hot.entity.startswith("policy:"):
            return self.guard(hot.id)
        found = self._compiled.get(hot.policy_id) or self._compile(hot.policy_id)
        if found.by_namespace is None:
            return found.guard
        return self.enforcer(hot.policy_id, namespace_of(hot.id))

    def explain(
        self,
        caller: Caller,
        policy_id: str,
        namespace: str | None,
        permission: str,
        resource: str,
        *,
        partly: bool = False,
    ) -> Explanation:
        """Which entries, through which subjects and imports, grant or revoke; see `Origin`.

        ``namespace`` is that of the thing; None asks about the policy itself. An administrator is
        allowed without any rule.
        """
        enforcer = (
            self.guard(policy_id) if namespace is None else self.enforcer(policy_id, namespace)
        )
        effective = self.effective(policy_id)
        if enforcer is None or effective is None:
            return Explanation(caller.unrestricted, (), ())
        told = enforcer.explain(caller.subjects, permission, resource, partly=partly)
        origins = {one.entry.label: (one.policy, one.label) for one in effective.entries}
        return Explanation(
            told.allowed or caller.unrestricted,
            tuple(_origin(rule, origins) for rule in told.granted_by),
            tuple(_origin(rule, origins) for rule in told.revoked_by),
        )

    # -- keeping up ------------------------------------------------------------------------------

    def listen(self, callback: Callable[[frozenset[str]], None]) -> None:
        """Tell which effective policies changed without a record: a subject's time is over."""
        self._listeners.append(callback)

    def lapse(self, policy_id: str) -> None:
        """The time of a subject of the policy is over: work out anew what depends on it."""
        self._engine.policies_changed += 1
        self._drop(policy_id)
        if self._listeners:
            affected = self.affected_by(policy_id)
            for listener in self._listeners:
                listener(affected)

    def _changed(self, hot: Hot | None) -> None:
        if hot is None:
            self._compiled.clear()
            self._shared.clear()
            self._enforcers = 0
            self._parsed.clear()
            self._dependents.clear()
            self.index.reload()
        else:
            self._drop(hot.id)

    def _drop(self, policy_id: str) -> None:
        self._parsed.pop(policy_id, None)
        for dependent in (policy_id, *self._dependents.get(policy_id, ())):
            self._forget(dependent)

    def _forget(self, policy_id: str) -> None:
        found = self._compiled.pop(policy_id, None)
        if found is None:
            return
        found.users -= 1
        if not found.users:
            self._enforcers -= 1
            if found.content is not None:
                del self._shared[found.content]
        for one in found.depends_on:
            dependents = self._dependents.get(one)
            if dependents is not None:
                dependents.discard(policy_id)
                if not dependents:
                    del self._dependents[one]

    def _compile(self, policy_id: str) -> _Compiled:
        found = self._equal(policy_id) or self._compile_anew(policy_id)
        found.users += 1
        if len(self._compiled) >= COMPILED_MAX:
            self._make_room()
        self._compiled[policy_id] = found
        for one in found.depends_on:
            self._dependents.setdefault(one, set()).add(policy_id)
        return found

    def _equal(self, policy_id: str) -> _Compiled | None:
        """What another policy that says the same is compiled to."""
        if self._roots(policy_id):
            return None
        content = self._content(policy_id)
        return None if content is None else self._shared.get(content)

    def _content(self, policy_id: str) -> bytes | None:
        """What the policy says, but for its own id."""
        try:
            document = self._engine.load("policy:" + policy_id).fold()
        except StateDamaged:
            return None
        # The text cannot stand for another policy's id: each document has its own somewhere.
        own = f'"policyId":"{policy_id}",'.encode()
        return None if document is None else document.replace(own, b"", 1)

    def _compile_anew(self, policy_id: str) -> _Compiled:
        self.compilations += 1
        if self._enforcers >= ENFORCERS_MAX:
            self._make_room()
        self._enforcers += 1
        policy = self._read(policy_id)
        effective = None if policy is None else self.resolved(policy)
        found = _Compiled(policy_id, effective, self._clock.now_ms())
        if policy is not None and effective is not None and _is_plain(policy, effective):
            found.content = self._content(policy_id)
            if found.content is not None:
                self._shared[found.content] = found
        return found

    def _make_room(self) -> None:
        """Forget what was compiled longest ago, a part of it at a time."""
        ids = COMPILED_MAX - COMPILED_MAX // _SPARE
        enforcers = ENFORCERS_MAX - ENFORCERS_MAX // _SPARE
        while self._compiled and (len(self._compiled) > ids or self._enforcers > enforcers):
            self._forget(next(iter(self._compiled)))

    def _read(self, policy_id: str) -> Policy | None:
        try:
            return parsed(self._engine.load("policy:" + policy_id))
        except StateDamaged:
            return load_policy({}, policy_id=policy_id)  # it grants nothing

    def _narrow(self, found: _Compiled, namespace: str) -> Enforcer:
        assert found.by_namespace is not None
        assert found.effective is not None
        if len(found.by_namespace) >= NAMESPACES_MAX:
            found.by_namespace.clear()
        enforcer = Enforcer(found.effective.entries_for(namespace), now_ms=self._clock.now_ms())
        found.by_namespace[namespace] = enforcer
        return enforcer

    def _roots(self, policy_id: str) -> tuple[str, ...]:
        roots = self._settings.namespace_roots
        return roots_of(namespace_of(policy_id), roots) if roots else ()


def _is_plain(policy: Policy, effective: Effective) -> bool:
    """Whether any policy that says the same comes to the same, at any time and in any namespace."""
    expires = any(subject.expires for entry in policy.entries for subject in entry.subjects)
    return not expires and not effective.restricted and effective.depends_on <= {policy.id}


def policy_of(hot: Hot) -> str:
    """The id of the policy that guards an entity: a policy guards itself."""
    return hot.id if hot.entity.startswith("policy:") else hot.policy_id


def parsed(hot: Hot) -> Policy | None:
    """The policy in ``hot``; None if there is none, or none that can be understood.

    What cannot be understood grants nothing: it was written by a later release, or by hand.
    """
    document = hot.document()
    if document is None:
        return None
    try:
        return load_policy(document, policy_id=hot.id)
    except InvalidPolicy:
        return load_policy({}, policy_id=hot.id)


def _origin(rule: Rule, origins: dict[str, tuple[str, str]]) -> Origin:
    policy, label = origins.get(rule.label, ("", rule.label))
    return Origin(rule.label, rule.subject, rule.resource, rule.depth, policy, label)


def _is_own(caller: Caller, hot: Hot, enforcer: Enforcer | None) -> bool:
    """Whether a device asks for its own thing, under a policy that does not speak of it.

    A policy that names the device's subject decides alone; one that does not leaves the device
    its own thing, so that no policy has to list every device.
    """
    if not caller.own or caller.own != hot.id:
        return False
    return enforcer is None or caller.subjects.isdisjoint(enforcer.subjects)
