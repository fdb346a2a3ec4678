"""Commands on things, synchronous: check the policy, decide, append.

What is returned is not durable yet: `Twins` waits for the commit, a device's door registers its
acknowledgement with it. A command that raises has written nothing.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

import msgspec

from littoral.kernel import json, merge, pointer
from littoral.kernel.errors import LittoralError, TooLarge
from littoral.kernel.limits import HOPS_MAX, THING_BYTES_MAX
from littoral.kernel.time import Clock
from littoral.log import RecordClass
from littoral.policy import WRITE
from littoral.twin.core import document as documents
from littoral.twin.core import metadata, patches, state
from littoral.twin.core.document import Document
from littoral.twin.core.paths import keys_of, noun_of
from littoral.twin.core.state import Hot
from littoral.twin.entities import (
    KEPT_HEADER,
    check_conditions,
    check_pressure,
    etag_of,
    headers_of,
)
from littoral.twin.errors import (
    NotModifiable,
    PreconditionFailed,
    ThingConflict,
    TooManyHops,
)
from littoral.twin.model import (
    NO_CONDITIONS,
    PENDING_HOT_MAX,
    Caller,
    Conditions,
    IfEqual,
    Outcome,
    TwinSettings,
)
from littoral.twin.policies import PolicyBook, PolicyCommands
from littoral.twin.ports import Journal
from littoral.twin.things.conditions import check_condition, filtered_patch
from littoral.twin.things.creation import Creation, check_no_policy, policy_id_in
from littoral.twin.things.reads import ThingReads

Keys = tuple[str, ...]


_EXPANSION = 8
"""Bytes that one character of a path may take in a document, with quotes and braces."""


class _Change(NamedTuple):
    """What a command comes to, decided and not written yet."""

    kind: str
    keys: Keys
    value: object
    created: bool = False
    cls: RecordClass = RecordClass.STATE


class ThingCommands(ThingReads):
    """What can be done to things. Every method meets the thing's policy first."""

    def __init__(
        self,
        engine: Journal,
        book: PolicyBook,
        policies: PolicyCommands,
        clock: Clock,
        settings: TwinSettings,
        *,
        makes_policies: bool = True,
    ) -> None:
        """``makes_policies``: whether a thing may be created along with a policy."""
        super().__init__(engine, book, clock)
        self.refused: dict[str, int] = {}
        self._settings = settings
        self._creation = Creation(
            book,
            policies,
            self.forbidden,
            self._policy_id_of,
            makes_policies=makes_policies,
        )

    @property
    def keeps_headers(self) -> frozenset[str]:
        """Names of the headers of commands that stay in the history; give them with `Conditions`."""
        return self._settings.historical_headers_to_persist

    def create_thing(
        self,
        caller: Caller,
        document: Mapping[str, object],
        *,
        thing_id: str,
        conditions: Conditions = NO_CONDITIONS,
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
        return self.modify(caller, thing_id, "/", document, conditions=conditions)

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
            NotFound, NotModifiable, PreconditionFailed, ConditionFailed, ThingNotCreatable,
            TooLarge, InvalidThing, …
        """
        keys = keys_of(path)
        documents.check_value(keys, value, patch=False)
        hot = self._enter(caller, thing_id)
        if not hot.exists:
            if keys:
                raise documents.missing(thing_id, ())
            return self._create(caller, hot, value, conditions)
        if not keys:
            check_no_policy(value)
        self._check_write(caller, hot, keys)
        current = hot.parsed()
        assert current is not None
        documents.check_parent(current, keys, thing_id)
        if conditions is not NO_CONDITIONS:
            self._check_conditions(caller, hot, current, keys, conditions)
        if not keys:
            value = self._replacement(caller, hot, current, value)
        elif keys == ("policyId",):
            self._creation.check_policy(caller, str(value), hot.id, current=hot.policy_id)
        else:
            value = documents.tidied(keys, value)
        created = not documents.exists(current, keys)
        if value is None and documents.is_member(keys):
            # Ditto's null for a member of a thing: there is none.
            if created:
                return Outcome(created=False, revision=hot.revision)
            change = _Change("thing.deleted", keys, None)
        else:
            change = _Change("thing.modified", keys, value, created)
        if conditions.if_equal is not IfEqual.UPDATE and not created:
            _check_changed(_visible(pointer.get(current, keys), keys), value)
        return self._write(caller, hot, current, change, conditions)

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
        patterned = patches.has_patterns(patch)
        documents.check_value(
            keys, patches.without_patterns(patch) if patterned else patch, patch=True
        )
        hot = self._enter(caller, thing_id)
        if not hot.exists:
            if keys:
                raise documents.missing(thing_id, ())
            if patterned:
                patch = patches.without_patterns(patch)
            return self._create(caller, hot, merge.strip_nulls(patch), conditions)
        if not keys:
            check_no_policy(patch)
            patch = self._creation.members(hot.id, patch)
        if not self._book.may_merge(caller, pointer.render(keys), patch, hot):
            raise self._denied(hot, keys)
        current = hot.parsed()
        assert current is not None
        if conditions is not NO_CONDITIONS:
            self._check_conditions(caller, hot, current, keys, conditions)
            self._check_metadata(caller, hot, keys, conditions)
        if patterned:
            patch = self._expanded(hot, current, keys, patch)
        if conditions.merge_conditions:
            patch = self._filtered(caller, hot, current, keys, patch, conditions)
            if patch is patches.NOTHING:
                return Outcome(created=False, revision=hot.revision)
        policy_id = policy_id_in(keys, patch)
        if policy_id is not None:
            self._creation.check_policy(caller, policy_id, hot.id, current=hot.policy_id)
        if conditions.if_equal is not IfEqual.UPDATE:
            patch = _minimised(current, keys, patch, conditions.if_equal)
        created = patch is not None and not documents.exists(current, keys)
        change = _Change("thing.merged", keys, patch, created, cls)
        return self._write(caller, hot, current, change, conditions)

    def delete(
        self, caller: Caller, thing_id: str, path: str, *, conditions: Conditions = NO_CONDITIONS
    ) -> Outcome:
        """Delete what is at ``path``; ``/`` deletes the thing, never its policy."""
        keys = keys_of(path)
        hot = self._enter(caller, thing_id)
        if not hot.exists:
            raise documents.missing(thing_id, ())
        if keys:
            documents.check_value(keys, None, patch=True)
        self._check_write(caller, hot, keys, deletes=True)
        current = hot.parsed()
        assert current is not None
        if not documents.exists(current, keys):
            raise documents.missing(thing_id, documents.gap(current, keys))
        if conditions is not NO_CONDITIONS:
            self._check_conditions(caller, hot, current, keys, conditions)
        change = _Change("thing.deleted", keys, None)
        return self._write(caller, hot, current, change, conditions)

    def _policy_id_of(self, caller: Caller, thing_id: str) -> str:
        """A thing's policyId, if the caller may read it."""
        return str(self.retrieve(caller, thing_id, "/policyId").value)

    # -- deciding

    def _enter(self, caller: Caller, thing_id: str) -> Hot:
        """The thing, if it takes another change now."""
        hot = self.load(thing_id)
        if caller.hops > HOPS_MAX:
            raise TooManyHops(
                f"functions wrote {caller.hops} times in answer to one another.",
                hint="Let a function react to what it does not write itself.",
                hops=caller.hops,
            )
        if hot.last_seq > self._engine.log.committed:
            check_pressure(hot, self._engine.log.committed)
        else:
            hot.pressure = None
        return hot

    def _check_conditions(
        self, caller: Caller, hot: Hot, current: Document, keys: Keys, conditions: Conditions
    ) -> None:
        """Entity tags first, then the condition."""
        check_conditions(conditions, keys, current, hot.revision)
        if conditions.condition is not None:
            now_ms = self._clock.now_ms()
            check_condition(self._book, caller, hot, current, conditions.condition, now_ms=now_ms)

    def _expanded(self, hot: Hot, current: Document, keys: Keys, patch: object) -> object:
        """``patch`` with its patterns worked out, checked again: they may hit what must stay."""
        plain = patches.expanded(_at(current, keys), patch)
        if not keys:
            plain = self._creation.members(hot.id, plain)
        documents.check_value(keys, plain, patch=True)
        return plain

    def _filtered(
        self,
        caller: Caller,
        hot: Hot,
        current: Document,
        keys: Keys,
        patch: object,
        conditions: Conditions,
    ) -> object:
        return filtered_patch(
            self._book,
            caller,
            hot,
            current,
            keys,
            patch,
            conditions.merge_conditions,
            now_ms=self._clock.now_ms(),
            empty_too=self._settings.merge_drops_emptied_objects,
        )

    def _create(self, caller: Caller, hot: Hot, value: object, conditions: Conditions) -> Outcome:
        assert isinstance(value, dict)
        if conditions.if_match is not None:
            raise PreconditionFailed(f"thing {hot.id} does not exist, so nothing matches.")
        draft = self._creation.draft(hot.id, value)
        _encoded(hot, draft.content)
        headers = self._headers(caller, (), conditions)
        policy_seq = self._creation.settle(caller, draft, conditions)
        return self._store(
            hot,
            None,
            _Change("thing.created", (), draft.content, created=True),
            headers,
            policy_seq=policy_seq,
        )

    def _replacement(self, caller: Caller, hot: Hot, current: Document, value: object) -> Document:
        members = self._creation.members(hot.id, value)
        policy_id = str(members.get("policyId") or current["policyId"])
        self._creation.check_policy(caller, policy_id, hot.id, current=hot.policy_id)
        return documents.initial(hot.id, members, policy_id)

    # -- writing

    def _write(
        self,
        caller: Caller,
        hot: Hot,
        current: Document,
        change: _Change,
        conditions: Conditions,
    ) -> Outcome:
        if change.value is None and change.kind != "thing.modified" and conditions.put_metadata:
            # Data that go take theirs along; none are put where nothing is left.
            conditions = replace(conditions, put_metadata=())
        headers = self._headers(caller, change.keys, conditions)
        if change.created and change.kind == "thing.modified" and change.keys:
            headers["created"] = True
        outcome = self._store(hot, current, change, headers)
        if not conditions.get_metadata or not hot.exists:
            return outcome
        after = hot.document()
        assert after is not None
        found = self._metadata(caller, after, change.keys, hot.policy_id, conditions)
        return msgspec.structs.replace(outcome, metadata=found)

    def _headers(self, caller: Caller, keys: Keys, conditions: Conditions) -> dict[str, object]:
        headers = headers_of(caller)
        if conditions is not NO_CONDITIONS:
            metadata.parse_keys(keys, conditions.get_metadata)
            headers |= metadata.headers_for(
                keys, conditions.put_metadata, conditions.delete_metadata
            )
            kept = self._settings.kept_headers(conditions.headers)
            if kept:
                headers[KEPT_HEADER] = kept
        return headers

    def _store(
        self,
        hot: Hot,
        current: Document | None,
        change: _Change,
        headers: dict[str, object],
        *,
        policy_seq: int = 0,
    ) -> Outcome:
        kind, keys, value, created, cls = change
        deleted = kind == "thing.deleted"
        path = pointer.render(keys)
        body = b"" if deleted else json.encode(value)
        after: state.After | None = None
        result = current
        size = len(body) + _EXPANSION * len(path)
        if self._is_rare(hot) or not _is_small(hot, change, headers, size):
            result = state.change(current, kind, keys, value, headers)
            after = (result, None if result is None else _encoded(hot, result))
        elif kind == "thing.merged":
            result = state.change(current, kind, keys, value, headers)
        record = self._engine.write(hot, cls, kind, path, body, headers=headers, after=after)
        if deleted:
            return Outcome(created=False, revision=record.revision, seq=record.seq)
        now = _at(result, keys) if keys and kind == "thing.merged" else value
        return Outcome(
            created=created,
            revision=record.revision,
            value=now if created else None,
            etag=etag_of(keys, now, record.revision),
            seq=record.seq,
            policy_seq=policy_seq,
        )

    def _is_rare(self, hot: Hot) -> bool:
        """Whether a patch would be folded before the next one comes: then it is folded at once."""
        return not hot.pending and self._engine.log.head - hot.last_seq > PENDING_HOT_MAX

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
        if patch is None or not self._book.may_merge(caller, pointer.render(keys), patch, hot):
            self._check_write(caller, hot, keys)

    def _check_write(self, caller: Caller, hot: Hot, keys: Keys, *, deletes: bool = False) -> None:
        if not self._book.may(caller, WRITE, "thing:" + pointer.render(keys), hot):
            raise self._denied(hot, keys, deletes=deletes)

    def _check_metadata(self, caller: Caller, hot: Hot, keys: Keys, conditions: Conditions) -> None:
        """Who may write only some leaves may write metadata of these only."""
        named = [put.key for put in conditions.put_metadata]
        if not named and not conditions.delete_metadata:
            return
        if self._book.may(caller, WRITE, "thing:" + pointer.render(keys), hot):
            return
        places = [metadata.parse_key(keys, key) for key in (*named, *conditions.delete_metadata)]
        for index, key in enumerate(places):
            if "*" not in key:
                self._check_write(caller, hot, (*keys, *key[:-1]))
            elif index >= len(named):
                # What a deletion finds need not be what the patch touches.
                self._check_write(caller, hot, (*keys, *key[: key.index("*")]))

    def _denied(self, hot: Hot, keys: Keys, *, deletes: bool = False) -> LittoralError:
        noun = noun_of(keys)
        verb = "notdeletable" if deletes and not keys else "notmodifiable"
        return self.forbidden(
            noun, f"you may not write {pointer.render(keys)} of thing {hot.id}.", verb=verb
        )

    def forbidden(self, noun: str, message: str, *, verb: str = "notmodifiable") -> LittoralError:
        """The refusal of a write to the part of a thing that is called ``noun``; it is counted."""
        self.refused[noun] = self.refused.get(noun, 0) + 1
        return NotModifiable(
            message,
            code=f"things:{noun}.{verb}",
            hint="Ask for WRITE in the thing's policy.",
            noun=noun,
        )


def _is_small(hot: Hot, change: _Change, headers: Mapping[str, object], size: int) -> bool:
    """Whether the change is held as a patch, and the thing cannot be too large with it.

    Then the document is not encoded anew: a write costs its own bytes and one look at the thing.
    """
    return (
        hot.doc is not None
        and len(hot.doc) + hot.pending_bytes + size < THING_BYTES_MAX
        and state.lane_patch(change.kind, change.keys, change.value) is not None
        and metadata.PUT_HEADER not in headers
        and metadata.DELETE_HEADER not in headers
    )


def _at(document: object, keys: Keys) -> object:
    try:
        return pointer.get(document, keys)
    except KeyError:
        return None


def _encoded(hot: Hot, after: object) -> bytes:
    """The bytes of a document that is not too large."""
    encoded = json.encode_to_keep(after)
    if len(encoded) > THING_BYTES_MAX:
        raise TooLarge(
            f"thing {hot.id} would have {len(encoded)} bytes; the limit is {THING_BYTES_MAX}.",
            hint="Split it into several things, or move bulk data out of it.",
        )
    return encoded


def _visible(value: object, keys: Keys) -> object:
    if not keys and isinstance(value, dict) and metadata.MEMBER in value:
        return {key: child for key, child in value.items() if key != metadata.MEMBER}
    return value


def _check_changed(before: object, after: object) -> None:
    if patches.same(before, after):
        raise PreconditionFailed("the value is the same already.", hint="Nothing was written.")


def _minimised(current: Document, keys: Keys, patch: object, mode: IfEqual) -> object:
    """``patch`` as it is to be merged; raise `PreconditionFailed` if it changes nothing."""
    if documents.exists(current, keys):
        left = patches.minimised(pointer.get(current, keys), patch)
    else:
        left = patches.NOTHING if patch is None else patch
    if left is patches.NOTHING:
        raise PreconditionFailed("the patch changes nothing.", hint="Nothing was written.")
    return left if mode is IfEqual.SKIP_MINIMIZING_MERGE else patch
