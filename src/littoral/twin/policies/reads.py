"""Reads of policies, synchronous: as stored, resolved, or as they were."""

from collections.abc import Mapping

from littoral.kernel.errors import InvalidId
from littoral.kernel.ids import parse_policy_id
from littoral.policy import PERMISSIONS, READ, RESOURCE_TYPES, Enforcer, InvalidPolicyId
from littoral.twin.core.paths import keys_of
from littoral.twin.core.state import Hot
from littoral.twin.entities import Engine, check_read, etag_of
from littoral.twin.errors import HistoryNotFound
from littoral.twin.model import NO_CONDITIONS, Caller, Conditions, View
from littoral.twin.policies.book import PolicyBook, parsed
from littoral.twin.policies.errors import InvalidPermissionCheck, PolicyHistoryNotFound
from littoral.twin.policies.paths import Keys, missing, resource_of, value_at

CHECKS_MAX = 1_000
"""Questions in one checkPermissions."""

_NOTHING = object()


class PolicyReads:
    """What can be learnt of policies."""

    def __init__(self, engine: Engine, book: PolicyBook) -> None:
        self._engine = engine
        self._book = book

    def load(self, policy_id: str) -> Hot:
        """The policy's state; raise `InvalidPolicyId` if no policy can be called so."""
        entity = "policy:" + policy_id
        if entity not in self._engine.hot:  # what is hot was parsed before
            try:
                parse_policy_id(policy_id)
            except InvalidId as e:
                raise InvalidPolicyId(e.message, hint=e.hint) from e
        return self._engine.load(entity)

    def retrieve(
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
        """Read a policy, or what is at ``path`` of it, cut down to what the caller may READ.

        A past state is judged by the policy of today. A resolved one, with imported entries, has no
        entity tag.

        Raises:
            NotFound, PolicyHistoryNotFound, NotModified, PreconditionFailed.
        """
        keys = keys_of(path)
        hot = self.load(policy_id)
        guard = self._book.guard(policy_id)
        if guard is None:
            raise missing(policy_id, keys)
        if not caller.unrestricted and not guard.may_partly(
            caller.subjects, READ, resource_of(keys)
        ):
            raise missing(policy_id, keys)
        if at_revision is not None or at_ms is not None:
            hot = self._past(hot, at_revision, at_ms)
        value = self._readable(caller, guard, hot, keys, resolved=resolved)
        if value is _NOTHING:
            raise missing(policy_id, keys)
        tag = "" if resolved else etag_of(keys, value, hot.revision)
        if not resolved:
            check_read(conditions, tag, group="policies")
        return View(value, hot.revision, hot.created_ms, hot.modified_ms, tag, policy_id, policy_id)

    def _readable(
        self, caller: Caller, guard: Enforcer, hot: Hot, keys: Keys, *, resolved: bool
    ) -> object:
        document = self._resolved(caller, hot) if resolved else hot.document()
        try:
            value = value_at(document, keys)
        except KeyError:
            return _NOTHING
        if caller.unrestricted:
            return value
        keep = () if keys else ("policyId",)
        left = guard.trim(caller.subjects, READ, value, resource_of(keys), keep=keep)
        return _NOTHING if left is None else left

    def _resolved(self, caller: Caller, hot: Hot) -> Mapping[str, object] | None:
        """The policy with the entries that it imports, as far as the caller may read them there."""
        policy = parsed(hot)
        if policy is None:
            return None
        book = self._book

        def shows(source: str, label: str) -> bool:
            guard = book.guard(source)
            return guard is not None and guard.may_partly(
                caller.subjects, READ, resource_of(("entries", label))
            )

        effective = book.resolved(policy, shows=None if caller.unrestricted else shows)
        entries = {one.entry.label: one.entry.to_json() for one in effective.entries}
        return policy.to_json() | {"entries": entries}

    def _past(self, hot: Hot, at_revision: int | None, at_ms: int | None) -> Hot:
        try:
            if at_revision is None:
                assert at_ms is not None
                at_revision = self._engine.revision_at(hot.entity, at_ms)
            past = self._engine.at_revision(hot.entity, at_revision)
        except HistoryNotFound as e:
            raise PolicyHistoryNotFound(e.message, hint=e.hint, **e.facts) from e
        if not past.exists:
            raise PolicyHistoryNotFound(f"policy {hot.id} did not exist then.")
        return past

    def check_permissions(self, caller: Caller, questions: object) -> dict[str, bool]:
        """Answer Ditto's checkPermissions: what the caller may do, by the caller's own names.

        ``questions`` maps a name to ``{resource, entityId, hasPermissions}``. All permissions have to
        hold, unrestrictedly; of what does not exist nothing does.

        Raises:
            InvalidPermissionCheck: a question cannot be read.
        """
        if not isinstance(questions, dict) or len(questions) > CHECKS_MAX:
            raise InvalidPermissionCheck(
                f"checkPermissions wants an object of at most {CHECKS_MAX} questions.",
                hint='Example: {"lamp": {"resource": "thing:/features/lamp", '
                '"entityId": "org.acme:t", "hasPermissions": ["READ"]}}.',
            )
        return {name: self._may(caller, name, one) for name, one in questions.items()}

    def _may(self, caller: Caller, name: str, question: object) -> bool:
        document = question if isinstance(question, dict) else {}
        resource = document.get("resource")
        entity_id = document.get("entityId")
        permissions = document.get("hasPermissions")
        if (
            not isinstance(resource, str)
            or not isinstance(entity_id, str)
            or not isinstance(permissions, list)
            or not permissions
            or not all(one in PERMISSIONS for one in permissions)
        ):
            raise InvalidPermissionCheck(
                f"the question {name[:80]!r} needs 'resource', 'entityId' and 'hasPermissions'.",
                hint='Example: {"resource": "thing:/features/lamp", "entityId": "org.acme:t", '
                '"hasPermissions": ["READ"]}.',
            )
        kind, colon, path = resource.partition(":")
        if not colon or kind not in RESOURCE_TYPES or not _is_id(entity_id):
            return False
        group = "policy:" if kind == "policy" else "thing:"
        hot = self._engine.load(group + entity_id)
        if not hot.exists:
            return False
        path = "/" if not path.strip("/") else "/" + path.strip("/")
        return all(self._book.may(caller, one, f"{kind}:{path}", hot) for one in permissions)


def _is_id(text: str) -> bool:
    try:
        parse_policy_id(text)
    except InvalidId:
        return False
    return True
