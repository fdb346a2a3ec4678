"""Ditto's actions on policies: a token's holder lets what the token was made for read along. §4.7."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import product

from littoral.kernel import placeholders
from littoral.kernel import time as instants
from littoral.kernel.time import Clock
from littoral.policy import EXECUTE, READ, Announcement, Entry, Policy, Subject, announcement_of
from littoral.twin.model import Caller, Outcome
from littoral.twin.policies.book import PolicyBook, parsed
from littoral.twin.policies.commands import PolicyCommands
from littoral.twin.policies.errors import (
    PlaceholderNotResolvable,
    PolicyActionFailed,
    PolicyActionForbidden,
    PolicyActionMissing,
)
from littoral.twin.policies.paths import missing
from littoral.twin.policies.rules import settled
from littoral.twin.policies.settings import PolicySettings

ACTIVATE = "activateTokenIntegration"
DEACTIVATE = "deactivateTokenIntegration"
ACTIONS = (ACTIVATE, DEACTIVATE)

TOKEN_SUBJECTS_MAX = 64
"""Subjects that one token adds to an entry."""


class PolicyActions:
    """Adds the subjects of a token to entries, or takes them away."""

    def __init__(
        self, commands: PolicyCommands, book: PolicyBook, clock: Clock, settings: PolicySettings
    ) -> None:
        self._commands = commands
        self._book = book
        self._clock = clock
        self._settings = settings

    def act(
        self,
        caller: Caller,
        policy_id: str,
        name: str,
        *,
        label: str | None = None,
        body: object = None,
    ) -> Outcome:
        """Do the action ``name`` on the entry ``label``, or on every entry that it fits.

        Raises:
            NotFound, PolicyActionFailed and its kin, InvalidAnnouncement, PolicyLockedOut.
        """
        claims = caller.claims
        if claims is None:
            raise PolicyActionFailed(
                f"{name} needs a JSON web token.", hint="Authenticate with a bearer token."
            )
        hot = self._commands.load(policy_id)
        policy = parsed(hot)
        guard = self._book.guard(policy_id)
        if policy is None or guard is None:
            raise missing(policy_id, ())
        labels = [entry.label for entry in policy.entries] if label is None else [label]
        allowed = {
            one
            for one in labels
            if caller.unrestricted
            or guard.may(caller.subjects, EXECUTE, f"policy:/entries/{_part(one)}/actions/{name}")
        }
        if not allowed:
            raise PolicyActionForbidden(
                f"you may not execute {name} on policy {policy_id}.",
                hint=f"Ask for EXECUTE on policy:/entries/<label>/actions/{name}.",
            )
        fitting = [e for e in policy.entries if e.label in allowed and _fits(e, caller, name)]
        if not fitting:
            raise PolicyActionMissing(
                f"no entry of policy {policy_id} fits {name}.",
                hint="An entry fits if it has one of your subjects and lets it READ things.",
            )
        after = self._applied(policy, fitting, name, claims, body)
        return self._commands.replace(caller, hot, after, ("entries", fitting[0].label))

    def _applied(
        self,
        policy: Policy,
        fitting: list[Entry],
        name: str,
        claims: Mapping[str, object],
        body: object,
    ) -> Policy:
        now_ms = self._clock.now_ms()
        expires_ms = _expiry(claims, now_ms) if name == ACTIVATE else 0
        settings = body.get("announcement") if isinstance(body, dict) else None
        announcement = announcement_of(settings, "the token's subject")
        changed: dict[str, Entry] = {}
        for entry in fitting:
            ids = tuple(_subjects(self._settings.token_subject, entry.label, claims))
            subjects = tuple(s for s in entry.subjects if s.id not in ids)
            if name == ACTIVATE:
                subjects += tuple(
                    _made(one, now_ms, expires_ms, settings, announcement) for one in ids
                )
            changed[entry.label] = replace(entry, subjects=subjects)
        entries = tuple(changed.get(entry.label, entry) for entry in policy.entries)
        return settled(replace(policy, entries=entries), policy, self._settings, now_ms)


def _fits(entry: Entry, caller: Caller, name: str) -> bool:
    if caller.subjects.isdisjoint(s.id for s in entry.subjects):
        return False
    return name == DEACTIVATE or any(
        READ in r.grant and r.tokens[0] == "thing:" for r in entry.resources
    )


def _made(
    subject_id: str,
    now_ms: int,
    expires_ms: int,
    settings: object,
    announcement: Announcement | None,
) -> Subject:
    document: dict[str, object] = {
        "type": f"added via action <{ACTIVATE}> at <{instants.render(now_ms)}>",
        "expiry": instants.render(expires_ms),
    }
    if settings is not None:
        document["announcement"] = settings
    return Subject(subject_id, document, expires_ms, announcement)


def _expiry(claims: Mapping[str, object], now_ms: int) -> int:
    expires_s = claims.get("exp")
    if not isinstance(expires_s, int | float) or expires_s * 1000 <= now_ms:
        raise PolicyActionFailed("the token does not say until when it is good, or it is over.")
    return int(expires_s * 1000)


def _subjects(template: str, label: str, claims: Mapping[str, object]) -> Iterator[str]:
    """The subjects that ``template`` names: one for each value of a claim that is a list."""
    names = placeholders.names_in(template)
    values = [_values(name, label, claims) for name in names]
    for count, chosen in enumerate(product(*values)):
        if count >= TOKEN_SUBJECTS_MAX:
            return
        left = iter(chosen)
        yield placeholders.fill(template, lambda _, left=left: next(left))  # type: ignore[misc]


def _values(name: str, label: str, claims: Mapping[str, object]) -> list[str]:
    if name == "policy-entry:label":
        return [label]
    prefix, _, path = name.partition(":")
    value: object = claims if prefix == "jwt" else None
    for key in path.split("/"):
        value = value.get(key) if isinstance(value, Mapping) else None
    found = value if isinstance(value, list) else [value]
    texts = [str(one) for one in found if isinstance(one, str | int) and str(one)]
    if not texts:
        raise PlaceholderNotResolvable(
            f"the token says nothing for {name[:80]!r}.",
            hint="The operator's template of token subjects needs it.",
        )
    return texts


def _part(label: str) -> str:
    return label.replace("~", "~0")
