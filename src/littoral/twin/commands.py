"""Commands on things and reads of them, synchronous: check the policy, decide, append.

What is returned is not durable yet: `Twins` waits for the commit, a device's door registers its
acknowledgement with it.
"""

from collections.abc import Mapping

from littoral.kernel import json, merge, pointer
from littoral.kernel.errors import LittoralError, TooLarge
from littoral.kernel.ids import parse_thing_id
from littoral.kernel.limits import HOPS_MAX, THING_BYTES_MAX
from littoral.kernel.time import ms_of
from littoral.log import Record, RecordClass
from littoral.policy import READ, WRITE, own_policy
from littoral.twin.core import document as documents
from littoral.twin.core.document import Document
from littoral.twin.core.paths import keys_of, noun_of
from littoral.twin.core.state import Hot
from littoral.twin.engine import Engine
from littoral.twin.errors import (
    HistoryNotFound,
    NotModifiable,
    PreconditionFailed,
    ThingConflict,
    ThingIdNotSettable,
    ThingNotCreatable,
    TooManyHops,
)
from littoral.twin.model import NO_CONDITIONS, Caller, Conditions, IfEqual, Outcome, View
from littoral.twin.policies import PolicyBook
from littoral.twin.policy_commands import PolicyCommands
from littoral.twin.tags import check_conditions, check_read, etag_of, headers_of


class ThingCommands:
    """What can be done to things. Every method meets the thing's policy first."""

    def __init__(self, engine: Engine, book: PolicyBook, policies: PolicyCommands) -> None:
        self.refused: dict[str, int] = {}
        self._engine = engine
        self._book = book
        self._policies = policies

    def create_thing(
        self, caller: Caller, document: Mapping[str, object], *, thing_id: str
    ) -> Outcome:
        """Create a thing that must not exist.

        Raises:
            ThingConflict, and whatever `modify` raises.
        """
        if self.load(thing_id).exists:
            raise ThingConflict(
                f"thing {thing_id} exists already.",
                hint="Use PUT to replace or PATCH to change it.",
            )
        return self.modify(caller, thing_id, "/", document)

    def modify(
        self,
        caller: Caller,
        thing_id: str,
        path: str,
        value: object,
        *,
        conditions: Conditions = NO_CONDITIONS,
    ) -> Outcome:
        """Replace what is at ``path`` (PUT); ``/`` creates the thing if it is missing.

        Raises:
            NotFound, NotModifiable, PreconditionFailed, ThingNotCreatable, TooLarge, InvalidThing, …
        """
        keys = keys_of(path)
        documents.check_value(keys, value, patch=False)
        hot = self.load(thing_id)
        self._check_hops(caller)
        if not hot.exists:
            if keys:
                raise documents.missing(thing_id, ())
            return self._create(caller, hot, value, conditions)
        self._check_write(caller, hot, keys)
        current = hot.document()
        assert current is not None
        documents.check_parent(current, keys, thing_id)
        check_conditions(conditions, keys, current, hot.revision)
        if not keys:
            value = self._replacement(caller, hot, current, value)
        elif keys == ("policyId",):
            self._check_policy(caller, str(value))
        else:
            value = documents.tidied(keys, value)
        created = not documents.exists(current, keys)
        if value is None and documents.is_member(keys):
            # Ditto's null for a member of a thing: there is none.
            if created:
                return Outcome(created=False, revision=hot.revision)
            return self._remove(caller, hot, keys)
        after = merge.put_at(current, keys, value)
        _check_changed(conditions, hot, after)
        return self._store(caller, hot, "thing.modified", keys, value, after, created=created)

    def merge(
        self,
        caller: Caller,
        thing_id: str,
        path: str,
        patch: object,
        *,
        conditions: Conditions = NO_CONDITIONS,
        cls: RecordClass = RecordClass.STATE,
    ) -> Outcome:
        """Merge ``patch`` at ``path`` (PATCH, RFC 7396); at ``/`` it creates a missing thing."""
        keys = keys_of(path)
        documents.check_value(keys, patch, patch=True)
        hot = self.load(thing_id)
        self._check_hops(caller)
        if not hot.exists:
            if keys:
                raise documents.missing(thing_id, ())
            return self._create(caller, hot, merge.strip_nulls(patch), conditions)
        if not keys and isinstance(patch, dict):
            self._check_body_id(hot.id, patch)
            patch = {k: v for k, v in patch.items() if k in documents.MEMBERS and k != "thingId"}
        if not self._book.may_merge(caller, _path(keys), patch, hot):
            raise self._denied(hot, keys)
        current = hot.document()
        assert current is not None
        check_conditions(conditions, keys, current, hot.revision)
        if keys == ("policyId",):
            self._check_policy(caller, str(patch))
        elif not keys and isinstance(patch, dict) and "policyId" in patch:
            self._check_policy(caller, str(patch["policyId"]))
        created = not documents.exists(current, keys)
        after = merge.merge_at(current, keys, patch)
        _check_changed(conditions, hot, after)
        return self._store(
            caller, hot, "thing.merged", keys, patch, after, created=created, cls=cls
        )

    def delete(
        self, caller: Caller, thing_id: str, path: str, *, conditions: Conditions = NO_CONDITIONS
    ) -> Outcome:
        """Delete what is at ``path``; ``/`` deletes the thing, never its policy."""
        keys = keys_of(path)
        hot = self.load(thing_id)
        self._check_hops(caller)
        if not hot.exists:
            raise documents.missing(thing_id, ())
        if keys:
            documents.check_value(keys, None, patch=True)
        self._check_write(caller, hot, keys)
        current = hot.document()
        assert current is not None
        if not documents.exists(current, keys):
            raise documents.missing(thing_id, keys)
        check_conditions(conditions, keys, current, hot.revision)
        return self._remove(caller, hot, keys)

    def _remove(self, caller: Caller, hot: Hot, keys: tuple[str, ...]) -> Outcome:
        record = self._engine.write(
            hot, RecordClass.STATE, "thing.deleted", _path(keys), b"", headers=headers_of(caller)
        )
        return Outcome(created=False, revision=record.revision, seq=record.seq)

    def _create(self, caller: Caller, hot: Hot, value: object, conditions: Conditions) -> Outcome:
        assert isinstance(value, dict)
        if conditions.if_match is not None:
            raise PreconditionFailed(f"thing {hot.id} does not exist, so nothing matches.")
        self._check_body_id(hot.id, value)
        policy_id = value.get("policyId")
        content = documents.initial(hot.id, value, str(policy_id or hot.id))
        _check_size(hot, content)
        if policy_id is None and not self._book.exists(hot.id):
            self._make_policy(caller, hot.id)
        self._check_policy(caller, str(policy_id or hot.id))
        return self._store(caller, hot, "thing.created", (), content, content, created=True)

    def _make_policy(self, caller: Caller, policy_id: str) -> None:
        """A thing without a policy gets one of its own that names its creator. Source: Ditto §4.6."""
        if not caller.subjects:
            raise ThingNotCreatable("the thing names no policy, and nobody asks for it.")
        policy = own_policy(policy_id, min(caller.subjects))
        self._policies.put(caller, policy_id, "/", policy.to_json())

    def _check_policy(self, caller: Caller, policy_id: str) -> None:
        """The policy of a new thing, or a thing's new policy, must exist and let the caller write."""
        if not self._book.exists(policy_id):
            raise ThingNotCreatable(
                f"the policy {policy_id} does not exist.",
                hint="Create it first, or leave policyId out to get one made.",
            )
        enforcer = self._book.enforcer(policy_id)
        assert enforcer is not None
        if not caller.unrestricted and not enforcer.may(caller.subjects, WRITE, "thing:/"):
            raise self._forbidden("thing", f"you may not write things of policy {policy_id}.")

    def _replacement(self, caller: Caller, hot: Hot, current: Document, value: object) -> Document:
        assert isinstance(value, dict)
        self._check_body_id(hot.id, value)
        policy_id = str(value.get("policyId") or current["policyId"])
        if policy_id != current.get("policyId"):
            self._check_policy(caller, policy_id)
        return documents.initial(hot.id, value, policy_id)

    def _check_body_id(self, thing_id: str, value: Mapping[str, object]) -> None:
        if value.get("thingId", thing_id) != thing_id:
            raise ThingIdNotSettable(
                f"the body names thing {value['thingId']}, the address {thing_id}.",
                hint="Leave thingId out of the body, or make both the same.",
            )

    def _store(
        self,
        caller: Caller,
        hot: Hot,
        kind: str,
        keys: tuple[str, ...],
        value: object,
        after: object,
        *,
        created: bool,
        cls: RecordClass = RecordClass.STATE,
    ) -> Outcome:
        _check_size(hot, after)
        record = self._engine.write(
            hot, cls, kind, _path(keys), json.encode(value), headers=headers_of(caller)
        )
        try:
            now = pointer.get(after, keys)
        except KeyError:
            now = None
        return Outcome(
            created=created,
            revision=record.revision,
            value=now if created else None,
            etag=etag_of(keys, now, record.revision),
            seq=record.seq,
        )

    # -- reading

    def retrieve(
        self,
        caller: Caller,
        thing_id: str,
        path: str = "/",
        *,
        at_revision: int | None = None,
        at_ms: int | None = None,
        conditions: Conditions = NO_CONDITIONS,
    ) -> View:
        """Read what is at ``path``, cut down to what the caller may READ.

        Waits for changes that are not durable yet, so nobody sees what may vanish. A past state is
        judged by the policy of today.

        Raises:
            NotFound, HistoryNotFound, NotModified, PreconditionFailed.
        """
        keys = keys_of(path)
        hot = self.load(thing_id)
        now_policy = hot.policy_id
        if at_revision is not None or at_ms is not None:
            if not self._may_read(caller, hot, path):
                raise documents.missing(thing_id, keys)
            hot = self._past(hot, at_revision, at_ms)
        document = hot.document()
        if document is None:
            raise documents.missing(thing_id, ())
        value = self.readable(caller, document, path, policy_id=now_policy)
        if value is None:
            raise documents.missing(thing_id, keys)
        tag = etag_of(keys, value, hot.revision)
        check_read(conditions, tag)
        return View(
            value,
            hot.revision,
            hot.created_ms,
            hot.modified_ms,
            tag,
            entity_id=hot.id,
            policy_id=now_policy,
        )

    def readable(
        self, caller: Caller, document: Document, path: str, *, policy_id: str | None = None
    ) -> object | None:
        """What of ``document`` (a whole thing) at ``path`` the caller may see; None if nothing.

        The answer may share parts with ``document``.
        """
        keys = keys_of(path)
        try:
            value = pointer.get(document, keys)
        except KeyError:
            return None
        own = bool(caller.own) and caller.own == document.get("thingId")
        enforcer = self._book.enforcer(policy_id or str(document.get("policyId")))
        if caller.unrestricted or (
            own and (enforcer is None or caller.subjects.isdisjoint(enforcer.subjects))
        ):
            return value
        resource = "thing:" + _path(keys)
        if enforcer is None or not enforcer.may_partly(caller.subjects, READ, resource):
            return None
        keep = () if keys else ("thingId",)
        trimmed = enforcer.trim(caller.subjects, READ, value, resource, keep=keep)
        return {} if trimmed is None and not keys else trimmed

    def may_read(self, caller: Caller, thing_id: str, path: str = "/") -> bool:
        """Whether the caller may see anything at ``path`` of an existing thing."""
        hot = self.load(thing_id)
        return hot.exists and self._may_read(caller, hot, path)

    def _may_read(self, caller: Caller, hot: Hot, path: str) -> bool:
        return self._book.may_partly(caller, "thing:" + _path(keys_of(path)), hot)

    def may_message(self, caller: Caller, thing_id: str, permission: str, resource: str) -> bool:
        """Whether the caller may send (WRITE) or receive (READ) messages at ``message:/…``."""
        hot = self.load(thing_id)
        return hot.exists and self._book.may(caller, permission, resource, hot)

    def peek(self, thing_id: str) -> Document | None:
        """The newest document without any policy: for the node's own parts. A fresh copy."""
        return self.load(thing_id).document()

    def revision_of(self, thing_id: str) -> int:
        """The newest revision of a thing; 0 if it never existed."""
        return self.load(thing_id).revision

    def _past(self, hot: Hot, at_revision: int | None, at_ms: int | None) -> Hot:
        if at_revision is None:
            assert at_ms is not None
            at_revision = self._revision_at(hot, at_ms)
        return self._engine.at_revision(hot.entity, at_revision)

    def _revision_at(self, hot: Hot, at_ms: int) -> int:
        """The newest revision accepted at or before ``at_ms``, found by halving."""
        low, high = 0, hot.revision
        while low < high:
            middle = (low + high + 1) // 2
            records = self._engine.history(hot.entity, first=middle, last=middle)
            if not records or ms_of(records[0].hlc) <= at_ms:
                low = middle
            else:
                high = middle - 1
        if low == 0:
            raise HistoryNotFound(f"{hot.id} did not exist then.")
        return low

    def history(self, caller: Caller, thing_id: str, *, first: int, last: int) -> list[Record]:
        """The thing's records with first <= revision <= last that are kept, ascending."""
        hot = self.load(thing_id)
        if not hot.exists or not self._may_read(caller, hot, "/"):
            raise documents.missing(thing_id, ())
        return self._engine.history(hot.entity, first=max(first, 1), last=min(last, hot.revision))

    # -- checks

    def check_may_change(
        self, caller: Caller, thing_id: str, path: str, patch: object = None
    ) -> None:
        """Raise unless the caller may change what is at ``path`` of an existing thing.

        Args:
            caller: who asks, for the live channel: nothing is changed here.
            thing_id: whose policy decides.
            path: what would be replaced, merged or deleted.
            patch: of a merge, for which the leaves are enough.
        """
        keys = keys_of(path)
        hot = self.load(thing_id)
        if not hot.exists:
            raise documents.missing(thing_id, ())
        if patch is None or not self._book.may_merge(caller, _path(keys), patch, hot):
            self._check_write(caller, hot, keys)

    def load(self, thing_id: str) -> Hot:
        """The thing's state; raise `InvalidId` if no thing can be called so."""
        entity = "thing:" + thing_id
        # What is hot was parsed before.
        return self._engine.load(
            entity if entity in self._engine.hot else "thing:" + parse_thing_id(thing_id)
        )

    def _check_write(self, caller: Caller, hot: Hot, keys: tuple[str, ...]) -> None:
        if not self._book.may(caller, WRITE, "thing:" + _path(keys), hot):
            raise self._denied(hot, keys)

    def _denied(self, hot: Hot, keys: tuple[str, ...]) -> LittoralError:
        noun = noun_of(keys)
        return self._forbidden(noun, f"you may not write {pointer.render(keys)} of thing {hot.id}.")

    def _forbidden(self, noun: str, message: str) -> LittoralError:
        self.refused[noun] = self.refused.get(noun, 0) + 1
        return NotModifiable(
            message,
            code=f"things:{noun}.notmodifiable",
            hint="Ask for WRITE in the thing's policy.",
            noun=noun,
        )

    def _check_hops(self, caller: Caller) -> None:
        if caller.hops > HOPS_MAX:
            raise TooManyHops(
                f"functions wrote {caller.hops} times in answer to one another.",
                hint="Let a function react to what it does not write itself.",
                hops=caller.hops,
            )


def _path(keys: tuple[str, ...]) -> str:
    return pointer.render(keys) if keys else "/"


def _check_size(hot: Hot, after: object) -> None:
    size = len(json.encode(after))
    if size > THING_BYTES_MAX:
        raise TooLarge(
            f"thing {hot.id} would have {size} bytes; the limit is {THING_BYTES_MAX}.",
            hint="Split it into several things, or move bulk data out of it.",
        )


def _check_changed(conditions: Conditions, hot: Hot, after: object) -> None:
    """Raise if the caller wants only changes, and ``after`` is what is there."""
    if conditions.if_equal is not IfEqual.UPDATE and json.canonical(after) == json.canonical(
        hot.document()
    ):
        raise PreconditionFailed("the value is the same already.", hint="Nothing was written.")
