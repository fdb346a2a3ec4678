"""/api/littoral/v1/explain: why somebody may, or may not, do something; how a search is answered."""

from typing import Literal

import msgspec

from littoral.api.beyond.bodies import filter_of, read_body
from littoral.api.errors import InvalidBody
from littoral.api.http import Answer, Request, json_answer
from littoral.api.parts import ApiParts
from littoral.api.search import searching
from littoral.kernel import wire
from littoral.kernel.errors import Forbidden
from littoral.kernel.ids import Subject, namespace_of, parse_policy_id, parse_thing_id
from littoral.policy import Explanation, Rule
from littoral.rql import parse_options
from littoral.search import SearchQuery, parse_namespaces
from littoral.twin import Caller, NotFound

_TYPES = ("thing:/", "policy:/", "message:/")


class PolicyQuestion(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """Body of POST /explain/policy. One of ``thing_id`` and ``policy_id`` is given."""

    resource: str
    """``thing:/features/lamp``, ``policy:/``, ``message:/inbox/messages/start``."""
    permission: Literal["READ", "WRITE", "EXECUTE"]
    thing_id: str | None = None
    policy_id: str | None = None
    subjects: list[str] | None = None
    """About whom; for administrators. None: about whoever asks."""
    partly: bool | None = None
    """Whether any part will do, as for reading; None: as the permission is used (READ: yes)."""


class Explain:
    """Answers questions about decisions of policies."""

    def __init__(self, parts: ApiParts) -> None:
        self._parts = parts
        self._twins = parts.twins

    async def policy(self, request: Request, caller: Caller) -> Answer:
        """Answer one question.

        Raises:
            InvalidBody, InvalidId; NotFound: no such entity, or its policy may not be read;
            Forbidden: only administrators ask about others.
        """
        asked = await read_body(request, PolicyQuestion, "a question about a policy")
        resource = _checked(asked.resource)
        about = self._about(caller, asked)
        policy_id, namespace = self._guard_of(asked, resource)
        book = self._twins.book
        guard = book.explain(caller, policy_id, None, "READ", "policy:/", partly=True)
        if not guard.allowed:
            raise _unseen(asked)
        partly = asked.permission == "READ" if asked.partly is None else asked.partly
        told = book.explain(about, policy_id, namespace, asked.permission, resource, partly=partly)
        return json_answer(
            {
                "allowed": told.allowed,
                "because": _sentence(about, told, exists=book.exists(policy_id)),
                "policyId": policy_id,
                "subjects": sorted(about.subjects),
                "permission": asked.permission,
                "resource": asked.resource,
                "partly": partly,
                "grantedBy": [_shown(rule) for rule in told.granted_by],
                "revokedBy": [_shown(rule) for rule in told.revoked_by],
            }
        )

    async def search(self, request: Request, caller: Caller) -> Answer:
        """How a search is answered: what drives it, what was expected, what the database does.

        Raises:
            InvalidExpression, InvalidOption, InvalidNamespaces, SearchMissing.
        """
        search = searching(self._parts.search)
        query = SearchQuery(
            filter_of(request.query.get("filter")),
            parse_namespaces(request.query.get("namespaces")),
            parse_options(request.query.get("option", "")),
        )
        return json_answer(wire.members(await search.explain(caller, query)))

    def _about(self, caller: Caller, asked: PolicyQuestion) -> Caller:
        if asked.subjects is None:
            return caller
        if not caller.unrestricted and not set(asked.subjects) <= caller.subjects:
            raise Forbidden(
                "only an administrator asks what others may do.",
                hint="Leave subjects out to ask about yourself.",
            )
        return Caller(frozenset(Subject(one) for one in asked.subjects))

    def _guard_of(self, asked: PolicyQuestion, resource: str) -> tuple[str, str | None]:
        """The policy that decides, and the namespace of the thing it decides about."""
        if (asked.thing_id is None) == (asked.policy_id is None):
            raise InvalidBody("name one of thingId and policyId.")
        if asked.policy_id is not None:
            policy_id = parse_policy_id(asked.policy_id)
            namespace = None if resource.startswith("policy:") else namespace_of(policy_id)
            return policy_id, namespace
        assert asked.thing_id is not None
        thing_id = parse_thing_id(asked.thing_id)
        policy_id_of_thing = self._twins.policy_of(thing_id)
        if not policy_id_of_thing:
            raise _unseen(asked)
        return policy_id_of_thing, namespace_of(thing_id)


def _checked(resource: str) -> str:
    if not resource.startswith(_TYPES):
        raise InvalidBody(
            f"{resource[:80]!r} is not a resource.", hint=f"It begins with {', '.join(_TYPES)}."
        )
    return resource if resource.endswith(":/") else resource.removesuffix("/")


def _unseen(asked: PolicyQuestion) -> NotFound:
    what = asked.thing_id or asked.policy_id
    return NotFound(
        f"there is no {what}, or you may not read its policy.",
        code="policies:policy.notfound",
        hint="Explanations need READ on policy:/.",
    )


def _shown(rule: Rule) -> dict[str, object]:
    told = wire.members(rule)
    return {
        "entry": rule.label,
        "subject": rule.subject,
        "resource": rule.resource,
        "depth": rule.depth,
        "policyId": told.get("policy", ""),
        "writtenAs": told.get("written_as", rule.label),
    }


def _sentence(about: Caller, told: Explanation, *, exists: bool) -> str:
    """The decision in words: of the rules that count, the deepest decides, and a revoke wins a tie."""
    if about.unrestricted:
        return "An administrator is bound by no policy."
    if not exists:
        return "The policy does not exist, so nobody but an administrator may do anything."
    granted = told.granted_by[0] if told.granted_by else None
    revoked = told.revoked_by[0] if told.revoked_by else None
    if granted is None:
        return "No entry grants it to any of these subjects."
    grant = f"Entry {granted.label!r} grants it to {granted.subject} at {granted.resource}"
    if revoked is None:
        return f"{grant}, and no entry revokes it."
    revoke = f"entry {revoked.label!r} revokes it for {revoked.subject} at {revoked.resource}"
    if told.allowed:
        return f"{grant}, which is deeper than where {revoke}."
    how = "at the same depth" if granted.depth == revoked.depth else "deeper"
    return f"{grant}, but {revoke}, {how}; then the revoke holds."
