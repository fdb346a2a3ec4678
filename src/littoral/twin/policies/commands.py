"""Commands on policies, synchronous, as `things.commands` is for things. Reads are in `reads`."""

from littoral.kernel import json, merge
from littoral.kernel.time import Clock
from littoral.log import RecordClass
from littoral.policy import (
    WRITE,
    InvalidPolicyId,
    Policy,
    PolicyLockedOut,
    load_policy,
    parse_policy,
)
from littoral.twin.core.document import Document
from littoral.twin.core.paths import keys_of
from littoral.twin.core.state import Hot
from littoral.twin.entities import Engine, check_conditions, check_pressure, etag_of, headers_of
from littoral.twin.errors import (
    PolicyIdNotSettable,
    PreconditionFailed,
    TooManyModifyingRequests,
)
from littoral.twin.model import NO_CONDITIONS, Caller, Conditions, IfEqual, Outcome
from littoral.twin.policies.book import PolicyBook, parsed
from littoral.twin.policies.creation import CreationRules
from littoral.twin.policies.errors import PolicyConflict, TooManyPolicyChanges
from littoral.twin.policies.paths import (
    Keys,
    check_parent,
    denied,
    is_made,
    methods_of,
    missing,
    resource_of,
    value_at,
)
from littoral.twin.policies.placeholders import fill, fill_policy
from littoral.twin.policies.reads import PolicyReads
from littoral.twin.policies.rules import (
    check_creator,
    check_imports,
    check_keeps_write,
    check_removal,
    locked_out,
    settled,
)
from littoral.twin.policies.settings import PolicySettings
from littoral.twin.protocol import UnknownPath


class PolicyCommands(PolicyReads):
    """What can be done to policies; a policy guards itself with its ``policy:/`` resources."""

    def __init__(
        self, engine: Engine, book: PolicyBook, clock: Clock, settings: PolicySettings
    ) -> None:
        super().__init__(engine, book)
        self._clock = clock
        self._settings = settings
        self.creation = CreationRules(settings)

    def create(
        self,
        caller: Caller,
        policy_id: str,
        document: object,
        *,
        conditions: Conditions = NO_CONDITIONS,
    ) -> Outcome:
        """Create a policy that must not exist; raise `PolicyConflict` if it does."""
        if self.load(policy_id).exists:
            raise PolicyConflict(
                f"policy {policy_id} exists already.", hint="Modify it, or choose another id."
            )
        return self.put(caller, policy_id, "/", document, conditions=conditions)

    def put(
        self,
        caller: Caller,
        policy_id: str,
        path: str,
        value: object,
        *,
        conditions: Conditions = NO_CONDITIONS,
    ) -> Outcome:
        """Create or replace a policy, or what is at ``path`` of it.

        Raises:
            NotFound, NotModifiable, InvalidPolicy and its kin, PreconditionFailed,
            PolicyNotCreatable, EntryReferenced, ImportReferenced, PlaceholderNotResolvable.
        """
        now_ms = self._clock.now_ms()
        keys = self._filled(keys_of(path), caller, now_ms)
        merge.check_depth(value)
        hot = self.load(policy_id)
        current = hot.document()
        if current is None:
            return self._create(caller, hot, keys, value, conditions)
        self._check_write(caller, hot, keys)
        check_parent(current, keys, policy_id)
        check_conditions(conditions, keys, current, hot.revision, group="policies")
        value = fill_policy(keys, value, caller.subject, now_ms)
        _check_body_id(policy_id, keys, value)
        created = is_made(current, keys, value)
        before = parsed(hot)
        assert before is not None
        after = self._changed(before, keys, merge.put_at(hot.document(), keys, value))
        self._check_change(caller, after, keys, conditions)
        after = settled(after, before, self._settings, now_ms)
        return self._store(caller, hot, after, keys, created=created, conditions=conditions)

    def delete(
        self,
        caller: Caller,
        policy_id: str,
        path: str = "/",
        *,
        conditions: Conditions = NO_CONDITIONS,
    ) -> Outcome:
        """Delete a policy, or one part of it. Things that name it become unreachable."""
        keys = self._filled(keys_of(path), caller, self._clock.now_ms())
        hot = self.load(policy_id)
        current = hot.document()
        if current is None:
            raise missing(policy_id, ())
        self._check_write(caller, hot, keys)
        if "DELETE" not in methods_of(keys):
            raise UnknownPath(f"policies have nothing at {path[:200]!r} that can be deleted.")
        if not _is_there(current, keys):
            raise missing(policy_id, keys)
        check_conditions(conditions, keys, current, hot.revision, group="policies")
        if not keys:
            record = self._engine.write(
                hot, RecordClass.STATE, "policy.deleted", "/", b"", headers=headers_of(caller)
            )
            return Outcome(created=False, revision=record.revision, seq=record.seq)
        before = parsed(hot)
        assert before is not None
        after = self._changed(before, keys, merge.delete_at(hot.document(), keys))
        self._check_change(caller, after, keys, conditions)
        stored = self._store(caller, hot, after, (), created=False, conditions=NO_CONDITIONS)
        return Outcome(created=False, revision=stored.revision, seq=stored.seq)

    def checked_new(
        self, caller: Caller, policy_id: str, document: object, conditions: Conditions
    ) -> Policy:
        """The policy that ``document`` would be if ``caller`` created it; nothing is written."""
        now_ms = self._clock.now_ms()
        self.creation.check(caller, "policy", policy_id)
        document = fill_policy((), document, caller.subject, now_ms)
        _check_body_id(policy_id, (), document)
        policy = settled(parse_policy(document, policy_id=policy_id), None, self._settings, now_ms)
        check_imports(self._book, caller, policy, ())
        if not conditions.allow_policy_lockout:
            check_creator(self._book, caller, policy)
        return policy

    def as_stored(self, policy_id: str, document: object) -> Document:
        """What ``document`` would be kept as: to tell whether it changes anything.

        Raises:
            InvalidPolicy: or one of its subclasses.
        """
        before = parsed(self.load(policy_id))
        policy = parse_policy(document, policy_id=policy_id)
        return settled(policy, before, self._settings, self._clock.now_ms()).to_json()

    def adopt(self, caller: Caller, policy: Policy) -> Outcome:
        """Write a policy that `checked_new` gave: it comes along with a thing."""
        hot = self.load(policy.id)
        assert not hot.exists, "checked in the same turn of the loop"
        return self._store(caller, hot, policy, (), created=True, conditions=NO_CONDITIONS)

    def replace(self, caller: Caller, hot: Hot, after: Policy, keys: Keys) -> Outcome:
        """Write ``after`` for an action that the caller may do without WRITE."""
        try:
            after = parse_policy(after.to_json(), policy_id=hot.id)
        except PolicyLockedOut as e:
            raise locked_out(e, keys) from e
        return self._store(caller, hot, after, (), created=False, conditions=NO_CONDITIONS)

    def _create(
        self, caller: Caller, hot: Hot, keys: Keys, value: object, conditions: Conditions
    ) -> Outcome:
        if keys:
            raise missing(hot.id, keys[:2] if len(keys) > 2 else keys)
        check_conditions(conditions, keys, None, hot.revision, group="policies")
        policy = self.checked_new(caller, hot.id, value, conditions)
        return self._store(caller, hot, policy, (), created=True, conditions=NO_CONDITIONS)

    def _store(
        self,
        caller: Caller,
        hot: Hot,
        policy: Policy,
        keys: Keys,
        *,
        created: bool,
        conditions: Conditions,
    ) -> Outcome:
        stored = policy.to_json()
        if conditions.if_equal is not IfEqual.UPDATE and stored == hot.document():
            raise PreconditionFailed(
                "the value is the same already.",
                code="policies:precondition.failed",
                hint="Nothing was written.",
            )
        kind = "policy.modified" if hot.exists else "policy.created"
        record = self._engine.write(
            hot, RecordClass.STATE, kind, "/", json.encode(stored), headers=headers_of(caller)
        )
        now = value_at(stored, keys)
        tag = etag_of(keys, now, record.revision)
        return Outcome(created, record.revision, now if created else None, tag, seq=record.seq)

    def _changed(self, before: Policy, keys: Keys, document: object) -> Policy:
        """What a change makes of a policy, if it may be."""
        if keys and isinstance(document, dict):
            # First, because what is referred to and gone makes the policy invalid, too.
            check_removal(before, load_policy(document, policy_id=before.id), keys)
        try:
            return parse_policy(document, policy_id=before.id)
        except PolicyLockedOut as e:
            raise locked_out(e, keys) from e

    def _check_change(
        self, caller: Caller, after: Policy, keys: Keys, conditions: Conditions
    ) -> None:
        check_imports(self._book, caller, after, keys)
        if not conditions.allow_policy_lockout:
            check_keeps_write(self._book, caller, after, keys)

    def _check_write(self, caller: Caller, hot: Hot, keys: Keys) -> None:
        committed = self._engine.log.committed
        if hot.last_seq > committed:
            try:
                check_pressure(hot, committed)
            except TooManyModifyingRequests as e:
                raise TooManyPolicyChanges(e.message, hint=e.hint) from e
        else:
            hot.pressure = None
        if not self._book.may(caller, WRITE, resource_of(keys), hot):
            raise denied(hot.id, keys)

    def _filled(self, keys: Keys, caller: Caller, now_ms: int) -> Keys:
        """The place, with placeholders of the subject that it may name replaced."""
        match keys:
            case ("entries", label, "subjects", subject) if "{{" in subject:
                return ("entries", label, "subjects", fill(subject, caller.subject, now_ms))
            case _:
                return keys


def _is_there(current: Document, keys: Keys) -> bool:
    try:
        found = value_at(current, keys)
    except KeyError:
        return False
    # What stands in for nothing cannot be taken away.
    return bool(found) or (keys != ("imports",) and keys[-1] != "references")


def _check_body_id(policy_id: str, keys: Keys, value: object) -> None:
    if not keys and isinstance(value, dict) and value.get("policyId", policy_id) != policy_id:
        if not isinstance(value["policyId"], str):
            raise InvalidPolicyId("'policyId' is not a text.")
        raise PolicyIdNotSettable(
            f"the body names another policy than {policy_id}.",
            hint="Leave 'policyId' out, or send it to its own address.",
        )
