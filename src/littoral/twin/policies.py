"""Where policies are enforced: the enforcer of each thing, and the one question every door asks."""

from littoral.policy import READ, WRITE, Enforcer, compile, parse_policy  # noqa: A004
from littoral.twin.core.state import Hot
from littoral.twin.engine import Engine
from littoral.twin.model import Caller

ENFORCERS_MAX = 10_000
"""Compiled policies kept; a change of any policy drops them all."""


class PolicyBook:
    """Compiled policies by id, always of their newest revision."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._compiled: dict[str, Enforcer | None] = {}
        self._generation = engine.policies_changed

    @property
    def generation(self) -> int:
        """Changes whenever any policy does: a remembered permission is good for one generation."""
        return self._engine.policies_changed

    def enforcer(self, policy_id: str) -> Enforcer | None:
        """The compiled policy; None if there is none."""
        if self._generation != self._engine.policies_changed or len(self._compiled) > ENFORCERS_MAX:
            self._compiled.clear()
            self._generation = self._engine.policies_changed
        if policy_id not in self._compiled:
            document = self._engine.load("policy:" + policy_id).document()
            self._compiled[policy_id] = None if document is None else _compile(document, policy_id)
        return self._compiled[policy_id]

    def exists(self, policy_id: str) -> bool:
        """Whether there is such a policy."""
        return self.enforcer(policy_id) is not None

    def may(self, caller: Caller, permission: str, resource: str, hot: Hot) -> bool:
        """Ditto's unrestricted check; False if the policy does not exist."""
        enforcer = self.enforcer(policy_of(hot))
        if caller.unrestricted or _is_own(caller, hot, enforcer):
            return True
        return enforcer is not None and enforcer.may(caller.subjects, permission, resource)

    def may_partly(
        self, caller: Caller, resource: str, hot: Hot, *, permission: str = READ
    ) -> bool:
        """Whether the caller may READ (or else) anything at, above or below ``resource``."""
        enforcer = self.enforcer(policy_of(hot))
        if caller.unrestricted or _is_own(caller, hot, enforcer):
            return True
        return enforcer is not None and enforcer.may_partly(caller.subjects, permission, resource)

    def may_merge(self, caller: Caller, path: str, patch: object, hot: Hot) -> bool:
        """WRITE on the place of a merge patch, or on each leaf of it."""
        enforcer = self.enforcer(policy_of(hot))
        if caller.unrestricted or _is_own(caller, hot, enforcer):
            return True
        return enforcer is not None and enforcer.may_leaves(
            caller.subjects, WRITE, "thing:" + path, patch
        )


def policy_of(hot: Hot) -> str:
    """The id of the policy that guards an entity: a policy guards itself."""
    return hot.id if hot.entity.startswith("policy:") else hot.policy_id


def _is_own(caller: Caller, hot: Hot, enforcer: Enforcer | None) -> bool:
    """Whether a device asks for its own thing, under a policy that does not speak of it.

    A policy that names the device's subject decides alone; one that does not leaves the device
    its own thing, so that no policy has to list every device.
    """
    if not caller.own or caller.own != hot.id:
        return False
    return enforcer is None or caller.subjects.isdisjoint(enforcer.subjects)


def _compile(document: dict[str, object], policy_id: str) -> Enforcer:
    return compile(parse_policy(document, policy_id=policy_id))
