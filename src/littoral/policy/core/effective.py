"""What a policy comes to: its own entries, imported ones, and what references take over. Pure.

Source: Ditto 3.9's rules, in our words.

* An import brings the entries of the imported policy that are ``implicit``, and the ``explicit``
  ones that it names, under the label ``imported-<policy>-<label>``. Imports of the imported policy
  are followed only if ``transitiveImports`` names them; then their entries count as entries of the
  imported policy, under *their* imported labels.
* A reference adds subjects, resources and namespaces of one other entry, as that entry stands:
  references of local entries are not followed further. What the entry has of its own is dropped where
  any referenced entry's ``allowedAdditions`` does not allow it.
* Root policies of the policy's namespace add their ``implicit`` entries under
  ``nsimported-<policy>-<label>``.
* A policy that does not exist adds nothing.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from littoral.policy.model import (
    RESOLVED_POLICIES_MAX,
    TRANSITIVE_DEPTH_MAX,
    Addition,
    Effective,
    EffectiveEntry,
    Entry,
    Import,
    Importable,
    Policy,
    Reference,
    Resource,
    Subject,
    covers,
)

Load = Callable[[str], Policy | None]
"""A policy by its id; None if there is none."""

Shows = Callable[[str, str], bool]
"""Whether an entry (policy, label) of another policy is to be shown."""


def resolve(
    policy: Policy, load: Load, roots: Sequence[str] = (), *, shows: Shows | None = None
) -> Effective:
    """Work out what ``policy`` comes to.

    Args:
        policy: as it is stored.
        load: finds imported policies.
        roots: the root policies of its namespace, the most specific first.
        shows: leaves out entries of other policies; for people who look, never for decisions.
    """
    reading = _Reading(load, shows)
    entries = reading.entries_of(policy)
    for root in roots:
        found = reading.load(root) if root != policy.id else None
        if found is not None:
            entries += reading.of_root(found)
    return Effective(policy.id, tuple(entries), frozenset((policy.id, *reading.asked)))


def imported_by(imports: Iterable[Import], load: Load) -> tuple[EffectiveEntry, ...]:
    """The entries that ``imports`` bring, with where they come from."""
    reading = _Reading(load, None)
    return tuple(entry for one in imports for entry in reading.of_import(one))


def own_entries(policy: Policy) -> tuple[Entry, ...]:
    """The entries of ``policy`` alone, with what references among them add."""
    return tuple(one.entry for one in _with_references(policy, ()))


def roots_of(namespace: str, configured: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """The root policies of ``namespace``: of the exact name first, then of ever wider patterns."""
    patterns = [pattern for pattern in configured if covers(pattern, namespace)]
    patterns.sort(key=lambda p: (p != namespace, -len(p), p))
    return tuple(dict.fromkeys(root for pattern in patterns for root in configured[pattern]))


class _Reading:
    """One resolution: remembers what was asked for, and stops when it was too much."""

    def __init__(self, load: Load, shows: Shows | None) -> None:
        self._load = load
        self._shows = shows
        self._left = RESOLVED_POLICIES_MAX
        self.asked: dict[str, Policy | None] = {}

    def load(self, policy_id: str) -> Policy | None:
        if self._left <= 0:
            return None
        self._left -= 1
        if policy_id not in self.asked:
            self.asked[policy_id] = self._load(policy_id)
        return self.asked[policy_id]

    def entries_of(self, policy: Policy) -> list[EffectiveEntry]:
        imported = [entry for one in policy.imports for entry in self.of_import(one)]
        if self._shows is not None:
            imported = [one for one in imported if self._shows(one.policy, one.label)]
        return _with_references(policy, imported)

    def of_root(self, root: Policy) -> list[EffectiveEntry]:
        imported = [entry for one in root.imports for entry in self.of_import(one)]
        return [
            _moved(one.entry, root.id, "nsimported")
            for one in _with_references(root, imported)
            if one.entry.importable is Importable.IMPLICIT
            and (self._shows is None or self._shows(root.id, one.entry.label))
        ]

    def of_import(
        self, wanted: Import, depth: int = 0, visited: frozenset[str] = frozenset()
    ) -> list[EffectiveEntry]:
        found = self.load(wanted.policy)
        if found is None:
            return []
        deeper: list[EffectiveEntry] = []
        follow = frozenset(wanted.transitive) - visited
        if depth < TRANSITIVE_DEPTH_MAX:
            for inner in found.imports:
                if inner.policy in follow:
                    deeper += self.of_import(inner, depth + 1, visited | follow)
        return [
            _moved(one.entry, found.id, "imported")
            for one in _with_references(found, deeper)
            if one.entry.importable is Importable.IMPLICIT
            or (one.entry.importable is Importable.EXPLICIT and one.entry.label in wanted.labels)
        ]


def _moved(entry: Entry, policy: str, prefix: str) -> EffectiveEntry:
    """An entry as it is called where it is imported; its references were local there."""
    moved = replace(entry, label=f"{prefix}-{policy}-{entry.label}", references=())
    return EffectiveEntry(moved, policy, entry.label)


def _with_references(policy: Policy, imported: Sequence[EffectiveEntry]) -> list[EffectiveEntry]:
    """The entries of ``policy``, with what they refer to, and then the imported ones."""
    there: dict[str, Entry] = {}
    for one in imported:
        there.setdefault(one.entry.label, one.entry)
    own = [
        EffectiveEntry(_joined(policy, entry, there), policy.id, entry.label)
        for entry in policy.entries
    ]
    return [*own, *imported]


def _joined(policy: Policy, entry: Entry, imported: Mapping[str, Entry]) -> Entry:
    if not entry.references:
        return entry
    parts = [
        found
        for reference in entry.references
        if (found := _referenced(policy, reference, imported)) is not None
        and found.importable is not Importable.NEVER
    ]
    limits = [part.additions for part in parts if part.additions is not None]
    allowed = None if not limits else frozenset.intersection(*limits)

    def own(kind: Addition) -> bool:
        return allowed is None or kind in allowed

    subjects = [s for part in parts for s in part.subjects]
    subjects += entry.subjects if own(Addition.SUBJECTS) else ()
    resources = [r for part in parts for r in part.resources]
    resources += entry.resources if own(Addition.RESOURCES) else ()
    namespaces = [n for part in parts for n in part.namespaces or ()]
    namespaces += (entry.namespaces or ()) if own(Addition.NAMESPACES) else ()
    return replace(
        entry,
        subjects=_distinct(subjects),
        resources=_united(resources),
        namespaces=tuple(dict.fromkeys(namespaces)) or None,
        # Who refers to this entry is bound by what it says itself, too.
        additions=_narrowest(allowed, entry.additions),
    )


def _narrowest(
    one: frozenset[Addition] | None, other: frozenset[Addition] | None
) -> frozenset[Addition] | None:
    if one is None or other is None:
        return other if one is None else one
    return one & other


def _referenced(
    policy: Policy, reference: Reference, imported: Mapping[str, Entry]
) -> Entry | None:
    if not reference.policy:
        return policy.entry(reference.label)
    return imported.get(f"imported-{reference.policy}-{reference.label}")


def _distinct(subjects: Iterable[Subject]) -> tuple[Subject, ...]:
    """Each subject once: the one that stays longest, so that a reference never shortens a stay."""
    found: dict[str, Subject] = {}
    for subject in subjects:
        other = found.get(subject.id)
        if other is None or (
            other.expires_ms is not None
            and (subject.expires_ms is None or subject.expires_ms > other.expires_ms)
        ):
            found[subject.id] = subject
    return tuple(found.values())


def _united(resources: Iterable[Resource]) -> tuple[Resource, ...]:
    """Each resource once, with all that is granted and all that is revoked there."""
    found: dict[str, Resource] = {}
    for resource in resources:
        other = found.get(resource.key)
        if other is not None:
            resource = replace(  # noqa: PLW2901  # the united one takes its place
                resource,
                grant=tuple(dict.fromkeys((*other.grant, *resource.grant))),
                revoke=tuple(dict.fromkeys((*other.revoke, *resource.revoke))),
            )
        found[resource.key] = resource
    return tuple(found.values())
