"""Commands on policies and reads of them, synchronous, as `commands` is for things."""

from littoral.kernel import json, merge, pointer
from littoral.kernel.errors import LittoralError
from littoral.kernel.ids import parse_policy_id
from littoral.log import RecordClass
from littoral.policy import READ, WRITE, parse_policy
from littoral.twin.core import document as documents
from littoral.twin.core.paths import keys_of
from littoral.twin.core.state import Hot
from littoral.twin.engine import Engine
from littoral.twin.errors import NotFound, NotModifiable, PolicyIdNotSettable
from littoral.twin.model import NO_CONDITIONS, Caller, Conditions, Outcome, View
from littoral.twin.policies import PolicyBook
from littoral.twin.tags import check_conditions, check_read, etag_of, headers_of


class PolicyCommands:
    """What can be done to policies; a policy guards itself with its ``policy:/`` resources."""

    def __init__(self, engine: Engine, book: PolicyBook) -> None:
        self._engine = engine
        self._book = book

    def load(self, policy_id: str) -> Hot:
        """The policy's state; raise `InvalidId` if no policy can be called so."""
        return self._engine.load("policy:" + parse_policy_id(policy_id))

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
            NotFound, NotModifiable, InvalidPolicy and its kin, PreconditionFailed.
        """
        keys = keys_of(path)
        merge.check_depth(value)
        hot = self.load(policy_id)
        current = hot.document()
        if current is None and keys:
            raise _policy_missing(policy_id, keys)
        if current is not None:
            if not self._book.may(caller, WRITE, "policy:" + _path(keys), hot):
                raise _policy_denied(policy_id, keys)
            _check_parent(current, keys, policy_id)
        check_conditions(conditions, keys, current, hot.revision, group="policies")
        if not keys and isinstance(value, dict) and value.get("policyId", policy_id) != policy_id:
            raise PolicyIdNotSettable(f"the body names another policy than {policy_id}.")
        created = current is None or not documents.exists(current, keys)
        after = merge.put_at({} if current is None else current, keys, value)
        policy = parse_policy(after, policy_id=policy_id)
        stored = policy.to_json()
        kind = "policy.created" if current is None else "policy.modified"
        record = self._engine.write(
            hot, RecordClass.STATE, kind, "/", json.encode(stored), headers=headers_of(caller)
        )
        now = pointer.get(stored, keys)
        return Outcome(
            created, record.revision, now if created else None, etag_of(keys, now, record.revision)
        )

    def retrieve(
        self,
        caller: Caller,
        policy_id: str,
        path: str = "/",
        *,
        at_revision: int | None = None,
        conditions: Conditions = NO_CONDITIONS,
    ) -> View:
        """Read a policy, or what is at ``path`` of it, cut down to what the caller may READ."""
        keys = keys_of(path)
        hot = self.load(policy_id)
        enforcer = self._book.enforcer(policy_id)
        if enforcer is None:
            raise _policy_missing(policy_id, keys)
        if at_revision is not None:
            hot = self._engine.at_revision(hot.entity, at_revision)
        value = self._readable_policy(caller, hot, keys, policy_id)
        if value is None:
            raise _policy_missing(policy_id, keys)
        tag = etag_of(keys, value, hot.revision)
        check_read(conditions, tag, group="policies")
        return View(value, hot.revision, hot.created_ms, hot.modified_ms, tag)

    def _readable_policy(
        self, caller: Caller, hot: Hot, keys: tuple[str, ...], policy_id: str
    ) -> object | None:
        try:
            value = pointer.get(hot.document(), keys)
        except KeyError:
            return None
        enforcer = self._book.enforcer(policy_id)
        assert enforcer is not None
        if caller.unrestricted:
            return value
        resource = "policy:" + _path(keys)
        if not enforcer.may_partly(caller.subjects, READ, resource):
            return None
        keep = () if keys else ("policyId",)
        return enforcer.trim(caller.subjects, READ, value, resource, keep=keep)

    def delete(
        self,
        caller: Caller,
        policy_id: str,
        path: str = "/",
        *,
        conditions: Conditions = NO_CONDITIONS,
    ) -> Outcome:
        """Delete a policy, or one part of it. Things that name it become unreachable."""
        keys = keys_of(path)
        hot = self.load(policy_id)
        current = hot.document()
        if current is None:
            raise _policy_missing(policy_id, ())
        if not self._book.may(caller, WRITE, "policy:" + _path(keys), hot):
            raise _policy_denied(policy_id, keys)
        if not documents.exists(current, keys):
            raise _policy_missing(policy_id, keys)
        check_conditions(conditions, keys, current, hot.revision, group="policies")
        if keys:
            after = parse_policy(merge.delete_at(current, keys), policy_id=policy_id).to_json()
            kind, value = "policy.modified", json.encode(after)
        else:
            kind, value = "policy.deleted", b""
        record = self._engine.write(
            hot, RecordClass.STATE, kind, "/", value, headers=headers_of(caller)
        )
        return Outcome(created=False, revision=record.revision)


def _path(keys: tuple[str, ...]) -> str:
    return pointer.render(keys) if keys else "/"


def _check_parent(current: object, keys: tuple[str, ...], policy_id: str) -> None:
    """Raise if what would hold ``keys`` is missing: an entry is not made by the way."""
    if len(keys) >= 3 and not documents.exists(current, keys[:2]):
        raise _policy_missing(policy_id, keys[:2])


def _policy_missing(policy_id: str, keys: tuple[str, ...]) -> LittoralError:
    return NotFound(
        f"policy {policy_id} has nothing at {pointer.render(keys)}, or you may not read it.",
        code=f"policies:{_policy_noun(keys)}.notfound",
        hint="Check the id and your READ permission on policy:/.",
    )


def _policy_denied(policy_id: str, keys: tuple[str, ...]) -> LittoralError:
    return NotModifiable(
        f"you may not write {pointer.render(keys)} of policy {policy_id}.",
        code=f"policies:{_policy_noun(keys)}.notmodifiable",
        hint="Ask for WRITE on policy:/ in it.",
    )


def _policy_noun(keys: tuple[str, ...]) -> str:
    """Ditto's name of the part at ``keys``, as it stands in error codes."""
    match keys:
        case ("entries", _, "subjects" | "resources" as part):
            return part
        case ("entries", _, "subjects" | "resources" as part, *_):
            return part.removesuffix("s")
        case ("entries", _, *_):
            return "entry"
        case ("imports",):
            return "imports"
        case ("imports", *_):
            return "import"
        case _:
            return "policy"
