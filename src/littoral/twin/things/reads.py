"""Reads of things, synchronous: what there is, now or at an earlier revision, cut to the reader."""

from collections.abc import Mapping
from typing import NoReturn

from littoral.kernel import pointer
from littoral.kernel.errors import InvalidId
from littoral.kernel.ids import namespace_of, parse_thing_id
from littoral.kernel.time import Clock
from littoral.log import Record
from littoral.policy import READ
from littoral.twin.core import document as documents
from littoral.twin.core import metadata
from littoral.twin.core.document import Document
from littoral.twin.core.paths import keys_of
from littoral.twin.core.state import Hot
from littoral.twin.entities import KEPT_HEADER, check_read, etag_of
from littoral.twin.errors import InvalidThingId
from littoral.twin.model import NO_CONDITIONS, Caller, Conditions, View
from littoral.twin.policies import PolicyBook
from littoral.twin.ports import Journal
from littoral.twin.things.conditions import check_condition

HIDDEN = object()
"""In place of a value that the caller may not see; null is a value."""


class ThingReads:
    """What can be read of things. Every method meets the thing's policy first."""

    def __init__(self, engine: Journal, book: PolicyBook, clock: Clock) -> None:
        self._engine = engine
        self._book = book
        self._clock = clock

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

        What is not durable yet is read too: ask `load(thing_id).last_seq` how far to wait before
        it is shown. A past state is judged by the policy of today.

        Raises:
            NotFound, HistoryNotFound, NotModified, PreconditionFailed, ConditionFailed.
        """
        keys = keys_of(path)
        hot = now = self.load(thing_id)
        policy_id = hot.policy_id
        kept: Mapping[str, object] = {}
        if at_revision is not None or at_ms is not None:
            if not self._may_read(caller, hot, keys):
                raise documents.missing(thing_id, keys)
            hot, kept = self._past(hot, at_revision, at_ms)
        document = hot.document()
        if document is None:
            raise documents.missing(thing_id, ())
        value = self._readable(caller, document, keys, policy_id)
        if value is HIDDEN:
            # Who may not read there learns nothing of what is: not even that a feature is missing.
            known = self._may_read(caller, now, keys)
            raise documents.missing(thing_id, documents.gap(document, keys) if known else keys)
        tag = etag_of(keys, value, hot.revision)
        found = None
        if conditions is not NO_CONDITIONS:
            check_read(conditions, tag)
            if conditions.condition is not None:
                check_condition(
                    self._book,
                    caller,
                    hot,
                    document,
                    conditions.condition,
                    now_ms=self._clock.now_ms(),
                )
            if conditions.get_metadata:
                found = self._metadata(caller, document, keys, policy_id, conditions)
        return View(
            value,
            hot.revision,
            hot.created_ms,
            hot.modified_ms,
            tag,
            entity_id=hot.id,
            policy_id=policy_id,
            metadata=found,
            annotations=document.get(metadata.MEMBER) if hot.annotated else None,
            headers=kept,
        )

    def readable(
        self, caller: Caller, document: Document, path: str, *, policy_id: str | None = None
    ) -> object | None:
        """What of ``document`` (a whole thing) at ``path`` the caller may see; None if nothing.

        The answer may share parts with ``document``. It has no metadata.
        """
        found = self._readable(
            caller, document, keys_of(path), policy_id or str(document.get("policyId"))
        )
        return None if found is HIDDEN else found

    def _readable(
        self, caller: Caller, document: Document, keys: tuple[str, ...], policy_id: str
    ) -> object:
        value: object = document
        for key in keys:
            if not isinstance(value, dict) or key not in value or key == metadata.MEMBER:
                return HIDDEN
            value = value[key]
        if not keys and metadata.MEMBER in document:
            value = {k: v for k, v in document.items() if k != metadata.MEMBER}
        thing_id = document.get("thingId")
        return self.visible(caller, str(thing_id or ""), keys, value, policy_id)

    def visible(
        self, caller: Caller, thing_id: str, keys: tuple[str, ...], value: object, policy_id: str
    ) -> object:
        """``value``, which is at ``keys`` of a thing, as far as the caller may READ it; or `HIDDEN`.

        Of a whole thing nothing else may be left than ``thingId``, or ``{}``.
        """
        if caller.unrestricted:
            return value
        enforcer = self._book.enforcer(policy_id, namespace_of(thing_id))
        own = bool(caller.own) and caller.own == thing_id
        if own and (enforcer is None or caller.subjects.isdisjoint(enforcer.subjects)):
            return value
        resource = "thing:" + pointer.render(keys)
        if enforcer is None or not enforcer.may_partly(caller.subjects, READ, resource):
            return HIDDEN
        if value is None:
            # Null is a value that anybody may see who may see a value there.
            above = "thing:" + pointer.render(keys[:-1])
            seen = enforcer.trim(caller.subjects, READ, {keys[-1]: None}, above)
            return None if isinstance(seen, dict) else HIDDEN
        keep = () if keys else ("thingId",)
        trimmed = enforcer.trim(caller.subjects, READ, value, resource, keep=keep)
        if trimmed is None:
            return HIDDEN if keys else {}
        return trimmed

    def refuse(self, thing_id: str) -> NoReturn:
        """Raise as if there were no such thing."""
        raise documents.missing(thing_id, ())

    def annotations(self, caller: Caller, view: View) -> object | None:
        """The metadata of the thing in ``view`` that the caller may see: of what it may READ."""
        if view.annotations is None:
            return None
        seen = self.visible(caller, view.entity_id, (), view.annotations, view.policy_id)
        return seen if isinstance(seen, dict) and seen else None

    def _metadata(
        self,
        caller: Caller,
        document: Document,
        keys: tuple[str, ...],
        policy_id: str,
        conditions: Conditions,
    ) -> object | None:
        wanted = metadata.parse_keys(keys, conditions.get_metadata)
        tree = document.get(metadata.MEMBER)
        if tree is None:
            return None
        seen = self.visible(caller, str(document["thingId"]), (), tree, policy_id)
        return metadata.selected(document, keys, wanted, seen)

    def may_read(self, caller: Caller, thing_id: str, path: str = "/") -> bool:
        """Whether the caller may see anything at ``path`` of an existing thing."""
        hot = self.load(thing_id)
        return hot.exists and self._may_read(caller, hot, keys_of(path))

    def _may_read(self, caller: Caller, hot: Hot, keys: tuple[str, ...]) -> bool:
        return self._book.may_partly(caller, "thing:" + pointer.render(keys), hot)

    def may_message(self, caller: Caller, thing_id: str, permission: str, resource: str) -> bool:
        """Whether the caller may send (WRITE) or receive (READ) messages at ``message:/…``."""
        hot = self.load(thing_id)
        return hot.exists and self._book.may(caller, permission, resource, hot)

    def peek(self, thing_id: str) -> Document | None:
        """The newest document, with metadata, without any policy. A fresh copy for the node's own."""
        return self.load(thing_id).document()

    def revision_of(self, thing_id: str) -> int:
        """The newest revision of a thing; 0 if it never existed."""
        return self.load(thing_id).revision

    def _past(
        self, hot: Hot, at_revision: int | None, at_ms: int | None
    ) -> tuple[Hot, Mapping[str, object]]:
        """The thing as it was, and the headers that were kept with that revision."""
        if at_revision is None:
            assert at_ms is not None
            at_revision = self._engine.revision_at(hot.entity, at_ms)
        past = self._engine.at_revision(hot.entity, at_revision)
        records = self._engine.history(hot.entity, first=at_revision, last=at_revision)
        return past, kept_headers(records[0]) if records else {}

    def history(self, caller: Caller, thing_id: str, *, first: int, last: int) -> list[Record]:
        """The thing's records with first <= revision <= last that are kept, ascending."""
        hot = self.load(thing_id)
        if not hot.exists or not self._may_read(caller, hot, ()):
            raise documents.missing(thing_id, ())
        return self._engine.history(hot.entity, first=max(first, 1), last=min(last, hot.revision))

    def load(self, thing_id: str) -> Hot:
        """The thing's state; raise `InvalidThingId` if no thing can be called so."""
        entity = "thing:" + thing_id
        if entity not in self._engine.hot:  # what is hot was parsed before
            try:
                parse_thing_id(thing_id)
            except InvalidId as e:
                raise InvalidThingId(e.message, hint=e.hint) from e
        return self._engine.load(entity)


def kept_headers(record: Record) -> Mapping[str, object]:
    """The historical headers that were kept with a record."""
    kept = None if record.headers is None else record.headers.get(KEPT_HEADER)
    return kept if isinstance(kept, dict) else {}
