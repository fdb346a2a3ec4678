"""What must hold when a policy is written, besides its own form. Ditto's rules, §4.4 and §4.5."""

from dataclasses import replace

from littoral.policy import (
    READ,
    WRITE,
    EntryLockedOut,
    InvalidExpiry,
    Policy,
    PolicyLockedOut,
    Subject,
    imported_by,
)
from littoral.twin.model import Caller
from littoral.twin.policies.book import PolicyBook
from littoral.twin.policies.errors import EntryReferenced, ImportReferenced, PolicyNotCreatable
from littoral.twin.policies.paths import Keys, missing
from littoral.twin.policies.settings import PolicySettings

_ROOT = "policy:/"


def settled(policy: Policy, before: Policy | None, settings: PolicySettings, now_ms: int) -> Policy:
    """``policy`` with the times of its subjects rounded up.

    What was there before is left as it is, even if its time is over: it is on its way out.

    Raises:
        InvalidExpiry: a subject that is new, or newly dated, would have left already.
    """
    known = (
        set()
        if before is None
        else {(e.label, s.id, s.expires_ms) for e in before.entries for s in e.subjects}
    )
    entries = []
    for entry in policy.entries:
        subjects = tuple(
            _rounded(s, settings, now_ms, known=(entry.label, s.id, s.expires_ms) in known)
            if s.expires or s.announcement is not None
            else s
            for s in entry.subjects
        )
        entries.append(entry if subjects == entry.subjects else replace(entry, subjects=subjects))
    return replace(policy, entries=tuple(entries))


def _rounded(subject: Subject, settings: PolicySettings, now_ms: int, *, known: bool) -> Subject:
    at = subject.expires_ms
    if at is not None and not known:
        if at <= now_ms:
            raise InvalidExpiry(
                f"the expiry of subject {subject.id!r} is in the past.",
                hint="Choose an instant in the future, or leave the subject out.",
            )
        up = _up(at, settings.expiry_granularity_ms)
        subject = subject if up == at else subject.expiring_at(up)
    announcement = subject.announcement
    if announcement is None or announcement.before_expiry_ms is None:
        return subject
    granularity = settings.announcement_granularity_ms
    ms = _up(max(announcement.before_expiry_ms, granularity), granularity)
    if ms == announcement.before_expiry_ms:
        return subject
    document = subject.document["announcement"]
    assert isinstance(document, dict)
    text = f"{ms // 1000}s" if ms % 1000 == 0 else f"{ms}ms"
    return replace(
        subject,
        document={**subject.document, "announcement": {**document, "beforeExpiry": text}},
        announcement=replace(announcement, before_expiry_ms=ms),
    )


def _up(ms: int, granularity_ms: int) -> int:
    return -(-ms // granularity_ms) * granularity_ms if granularity_ms > 1 else ms


def check_creator(book: PolicyBook, caller: Caller, policy: Policy) -> None:
    """Raise `PolicyNotCreatable` if the creator could not change the new policy."""
    if not caller.unrestricted and not book.compiled(policy).may(caller.subjects, WRITE, _ROOT):
        raise PolicyNotCreatable(
            f"policy {policy.id} would not let you change it.",
            hint="Give one of your subjects WRITE on policy:/, or send allow-policy-lockout=true.",
        )


def check_keeps_write(book: PolicyBook, caller: Caller, policy: Policy, keys: Keys) -> None:
    """Raise if a caller who may change all of the policy could not do so any more."""
    if caller.unrestricted:
        return
    now = book.guard(policy.id)
    if now is None or not now.may(caller.subjects, WRITE, _ROOT):
        return
    if not book.compiled(policy).may(caller.subjects, WRITE, _ROOT):
        raise locked_out(
            PolicyLockedOut(
                f"you could not change policy {policy.id} any more.",
                hint="Keep WRITE on policy:/, or send allow-policy-lockout=true.",
            ),
            keys,
        )


def locked_out(error: PolicyLockedOut, keys: Keys) -> PolicyLockedOut:
    """The same refusal, as it is called for a change of what is at ``keys``."""
    if keys[:1] == ("entries",) and len(keys) > 1:
        return EntryLockedOut(error.message, hint=error.hint)
    return error


def check_imports(book: PolicyBook, caller: Caller, policy: Policy, keys: Keys) -> None:
    """Raise `NotFound` unless the caller may read what the written imports bring.

    A policy that does not exist, or of which an entry may not be read, looks the same.
    """
    match keys:
        case () | ("imports",):
            written = policy.imports
        case ("imports", imported, *_):
            written = tuple(one for one in policy.imports if one.policy == imported)
        case _:
            return
    for one in written:
        guard = book.guard(one.policy)
        if guard is None:
            raise missing(one.policy, ())
        if caller.unrestricted:
            continue
        for entry in imported_by((one,), book.policy):
            label = entry.label.replace("~", "~0")
            if not guard.may(caller.subjects, READ, f"policy:/entries/{label}"):
                raise missing(one.policy, ())


def check_removal(before: Policy, after: Policy, keys: Keys) -> None:
    """Raise if what is taken away at ``keys`` is referred to by an entry that stays."""
    match keys:
        case ("entries", label) if after.entry(label) is None:
            for entry in after.entries:
                if any(not one.policy and one.label == label for one in entry.references):
                    raise EntryReferenced(
                        f"entry {label!r} of policy {before.id} cannot be removed: "
                        f"entry {entry.label!r} refers to it.",
                        hint="Remove the reference first.",
                    )
        case ("imports", *_):
            _check_imports_stay(before, after)
        case _:
            return


def _check_imports_stay(before: Policy, after: Policy) -> None:
    there = {one.policy: one for one in after.imports}
    for one in before.imports:
        now = there.get(one.policy)
        lost = None if now is None else one.labels - now.labels
        for entry in after.entries:
            for reference in entry.references:
                if reference.policy == one.policy and (lost is None or reference.label in lost):
                    raise ImportReferenced(
                        f"the import of {one.policy} into {before.id} cannot be cut: "
                        f"entry {entry.label!r} refers to {reference.label!r} of it.",
                        hint="Remove the reference first.",
                    )
