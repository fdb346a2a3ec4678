"""The policy of a thing: what comes with its creation, and whether the thing may name it."""

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

from littoral.kernel.errors import LittoralError
from littoral.kernel.ids import namespace_of
from littoral.policy import WRITE, own_policy
from littoral.twin.core import document as documents
from littoral.twin.core.document import Document
from littoral.twin.errors import (
    InvalidThing,
    PlaceholderNotSupported,
    PlaceholderUnknownField,
    PolicyConflicting,
    PolicyInvalid,
    PolicyNotAllowed,
    ThingIdNotDeletable,
    ThingIdNotSettable,
    ThingNotCreatable,
)
from littoral.twin.model import Caller, Conditions
from littoral.twin.policies import PolicyBook, PolicyCommands

_REFERENCE = re.compile(r"\{\{\s*ref:things/(?P<thing>[^/\s]+)/(?P<field>[^\s}]*)\s*\}\}")


class Draft(NamedTuple):
    """A thing that is about to be created, and the policy that shall guard it."""

    content: Document
    policy_id: str
    inline: Mapping[str, object] | None
    """The policy in the body."""
    copy_from: str
    """The policy, or a reference to one, whose entries are copied; empty: none."""
    named: bool
    """Whether the body names a policy that is there."""


class Creation:
    """Makes or checks the policies of things."""

    def __init__(
        self,
        book: PolicyBook,
        policies: PolicyCommands,
        forbidden: Callable[[str, str], LittoralError],
        policy_of: Callable[[Caller, str], str],
        *,
        makes_policies: bool,
    ) -> None:
        """``policy_of`` reads the policyId of a thing for a caller, or raises."""
        self._book = book
        self._policies = policies
        self._forbidden = forbidden
        self._policy_of = policy_of
        self._makes_policies = makes_policies

    def members(self, thing_id: str, value: object) -> Document:
        """What of a whole thing's body is stored; raise if it is another thing's."""
        if not isinstance(value, dict):
            raise InvalidThing("a thing is a JSON object.")
        given = value.get("thingId", thing_id)
        if given is None:
            raise ThingIdNotDeletable("the id of a thing cannot be deleted.")
        if given != thing_id:
            raise ThingIdNotSettable(
                f"the body names thing {str(given)[:300]}, the address {thing_id}.",
                hint="Leave thingId out of the body, or make both the same.",
            )
        return {
            k: v
            for k, v in value.items()
            if (k in documents.MEMBERS and k != "thingId") or k[:2] == "{{"
        }

    def draft(self, thing_id: str, value: object) -> Draft:
        """What a body says about the thing to be created.

        Raises:
            ThingIdNotSettable, PolicyConflicting, PolicyInvalid, InvalidId, …
        """
        members = self.members(thing_id, value)
        assert isinstance(value, dict)
        inline, copy_from = value.get("_policy"), value.get("_copyPolicyFrom")
        if inline is not None and copy_from is not None:
            raise PolicyConflicting(
                "_policy and _copyPolicyFrom exclude each other.", hint="Send one of them."
            )
        if inline is not None and not isinstance(inline, dict):
            raise PolicyInvalid("_policy is a JSON object.", hint='Write {"entries": {…}}.')
        if copy_from is not None and not isinstance(copy_from, str):
            raise PolicyInvalid("_copyPolicyFrom is the id of a policy, or a reference to one.")
        policy_id = members.get("policyId")
        if policy_id is None and inline is not None and isinstance(inline.get("policyId"), str):
            policy_id = inline["policyId"]
        named = policy_id is not None and inline is None and copy_from is None
        policy_id = documents.parse_policy(str(thing_id if policy_id is None else policy_id))
        content = documents.initial(thing_id, members, policy_id)
        return Draft(content, policy_id, inline, copy_from or "", named)

    def settle(self, caller: Caller, draft: Draft, conditions: Conditions) -> int:
        """Make the policy of a new thing, or see that it is there and lets the caller write.

        Returns:
            The seq of the policy's record; 0 if none was made.

        Raises:
            NotCreatable, ThingNotCreatable, NotModifiable, and what putting a policy may raise.
        """
        thing_id = str(draft.content["thingId"])
        self._policies.creation.check(caller, "thing", thing_id, draft.content.get("definition"))
        if draft.named:
            self.check_policy(caller, draft.policy_id, thing_id)
            return 0
        if not self._makes_policies:
            raise ThingNotCreatable(
                "in a transaction a thing names a policy that exists.", hint="Send its policyId."
            )
        if self._book.exists(draft.policy_id):
            raise ThingNotCreatable(
                f"the policy {draft.policy_id} that the thing would get exists already.",
                hint="Name it as policyId to use it, or give another policyId.",
            )
        policy = self._policies.checked_new(
            caller, draft.policy_id, self._policy(caller, draft), conditions
        )
        preview = self._book.compiled(policy, namespace_of(thing_id))
        if not caller.unrestricted and not preview.may(caller.subjects, WRITE, "thing:/"):
            raise self._forbidden(
                "thing", f"you may not write things of the new policy {draft.policy_id}."
            )
        return self._policies.adopt(caller, policy).seq

    def _policy(self, caller: Caller, draft: Draft) -> Document:
        if draft.inline is not None:
            return {**draft.inline, "policyId": draft.policy_id}
        if draft.copy_from:
            view = self._policies.retrieve(caller, self._referenced(caller, draft.copy_from))
            assert isinstance(view.value, dict)
            return {**view.value, "policyId": draft.policy_id}
        if not caller.subject:
            raise ThingNotCreatable("the thing names no policy, and nobody asks for it.")
        return own_policy(draft.policy_id, caller.subject).to_json()

    def _referenced(self, caller: Caller, text: str) -> str:
        """The policy that ``_copyPolicyFrom`` means."""
        if "{{" not in text:
            return documents.parse_policy(text)
        found = _REFERENCE.fullmatch(text.strip())
        if found is not None and found["field"].strip("/") != "policyId":
            raise PlaceholderUnknownField(
                f"{found['field'][:80]!r} of a thing cannot be referred to.",
                hint="Write {{ ref:things/<thingId>/policyId }}.",
            )
        if found is None:
            raise PlaceholderNotSupported(
                f"{text[:200]!r} is no reference to a policy.",
                hint="Write {{ ref:things/<thingId>/policyId }}.",
            )
        return self._policy_of(caller, found["thing"])

    def check_policy(
        self, caller: Caller, policy_id: str, thing_id: str, *, current: str = ""
    ) -> None:
        """The policy of a new thing, or a thing's new policy, exists and lets the caller write."""
        if policy_id == current:
            return
        enforcer = self._book.enforcer(policy_id, namespace_of(thing_id))
        if enforcer is None:
            raise ThingNotCreatable(
                f"the policy {policy_id} does not exist.",
                hint="Create it first, or leave policyId out to get one made.",
            )
        if not caller.unrestricted and not enforcer.may(caller.subjects, WRITE, "thing:/"):
            raise self._forbidden("thing", f"you may not write things of policy {policy_id}.")


def policy_id_in(keys: tuple[str, ...], patch: object) -> str | None:
    """The policy that a merge gives to a thing; None if it gives none."""
    if keys == ("policyId",):
        return str(patch)
    if not keys and isinstance(patch, dict) and "policyId" in patch:
        return str(patch["policyId"])
    return None


def check_no_policy(value: object) -> None:
    """Raise `PolicyNotAllowed` if the body of an existing thing has a policy in it."""
    if isinstance(value, dict) and "_policy" in value:
        raise PolicyNotAllowed(
            "an existing thing cannot be given a policy in its body.",
            hint="PUT the policy to /api/2/policies/<policyId>.",
        )
