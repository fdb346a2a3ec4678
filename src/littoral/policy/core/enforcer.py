"""A policy compiled for decisions. Source: Ditto 3.9's rules, in our words.

A rule stands at a resource and speaks for all below it; its depth is the number of path parts.
The rules of all subjects of a caller are taken together. Of the rules considered, the deepest
decides, and at equal depth a revoke wins. *Considered* differs with the question:

* `Enforcer.may` (may all of this resource be touched?): grants at the path or above, revokes at
  the path, above, **or below**.
* `Enforcer.may_partly` (may any of it?): grants at the path, above, **or below**, revokes at the
  path or above.

Walking down from the root, the last rule met is therefore the deepest, and what lies below the
path is one flag of the node.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping

from littoral.policy.core.effective import own_entries
from littoral.policy.model import (
    PERMISSIONS,
    READ,
    VIEWS_MAX,
    Entry,
    Explanation,
    Policy,
    Resource,
    Rule,
)


class _Node:
    """One path part of a compiled view."""

    __slots__ = ("allows", "children", "grants_below", "revokes_below")

    def __init__(self) -> None:
        self.children: dict[str, _Node] = {}
        self.allows: bool | None = None  # None: as above
        self.grants_below = False
        self.revokes_below = False

    def put(self, tokens: tuple[str, ...], *, allows: bool) -> None:
        node = self
        for token in tokens:
            if allows:
                node.grants_below = True
            else:
                node.revokes_below = True
            node = node.children.setdefault(token, _Node())
        node.allows = allows and node.allows is not False


_View = dict[str, _Node]
"""Per permission, the rules of one set of subjects."""


class Enforcer:
    """Answers what a caller may do. Immutable but for bounded memory of what it worked out.

    A resource is ``type:/path`` with the path as `kernel.pointer` renders it; a path with an empty
    part in it is allowed nothing.

    Invariant: the order of a policy's entries, subjects and resources changes no answer.
    """

    __slots__ = ("_readers", "_rules", "_views", "subjects")

    def __init__(self, entries: Iterable[Entry], *, now_ms: int = 0) -> None:
        """Compile ``entries``, leaving out subjects that have left by ``now_ms``."""
        self._rules: dict[str, list[tuple[str, Resource]]] = {}
        for entry in entries:
            for subject in entry.subjects:
                if subject.expires_ms is not None and subject.expires_ms <= now_ms:
                    continue
                rules = self._rules.setdefault(subject.id, [])
                rules.extend((entry.label, resource) for resource in entry.resources)
        self.subjects = frozenset(self._rules)
        """Everybody whom the policy names; nobody else is ever allowed anything."""
        self._views: dict[frozenset[str], _View] = {}
        self._readers: dict[str, bool] | None = None

    def may(self, subjects: frozenset[str], permission: str, resource: str) -> bool:
        """True if ``subjects`` together have ``permission`` on all of ``resource``."""
        node = (self._views.get(subjects) or self._view(subjects))[permission]
        allowed = False
        for token in resource.split("/"):
            child = node.children.get(token)
            if child is None:
                if token:
                    # Nothing is said at or below; what was said above holds.
                    return allowed and "//" not in resource and resource[-1] != "/"
                # "thing:/" splits into "thing:" and ""; any other empty part is no path.
                return allowed and not node.revokes_below and resource[-2:] == ":/"
            node = child
            if node.allows is not None:
                allowed = node.allows
        return allowed and not node.revokes_below

    def may_partly(self, subjects: frozenset[str], permission: str, resource: str) -> bool:
        """True if ``subjects`` together have ``permission`` on some part of ``resource``."""
        node = (self._views.get(subjects) or self._view(subjects))[permission]
        allowed = False
        for token in resource.split("/"):
            child = node.children.get(token)
            if child is None:
                if token:
                    return allowed and "//" not in resource and resource[-1] != "/"
                return (allowed or node.grants_below) and resource[-2:] == ":/"
            node = child
            if node.allows is not None:
                allowed = node.allows
        return allowed or node.grants_below

    def may_leaves(
        self, subjects: frozenset[str], permission: str, resource: str, patch: object
    ) -> bool:
        """True if a merge of ``patch`` at ``resource`` touches only what is allowed.

        That is: the whole resource, or else every leaf of the patch by itself (a null deletes all
        below it, and an empty object stands for its own path).
        """
        if self.may(subjects, permission, resource):
            return True
        base = resource.removesuffix("/")
        return all(self.may(subjects, permission, leaf) for leaf in _leaves(base, patch))

    def trim(
        self,
        subjects: frozenset[str],
        permission: str,
        document: object,
        resource: str = "thing:/",
        *,
        keep: Collection[str] = (),
    ) -> object | None:
        """What of ``document`` the caller is allowed, leaf by leaf.

        ``document`` is the JSON value at ``resource`` and is never changed. A leaf is everything
        but an object with members; lists are leaves. An object of which nothing is left is left
        out. ``keep`` names members of ``document`` itself that are always left in (``thingId``);
        they do not make a thing visible: ask `may_partly` first.

        Returns:
            The very same object if all of it is allowed; else a copy that shares what was left
            whole; None if nothing is left.
        """
        node: _Node | None = (self._views.get(subjects) or self._view(subjects))[permission]
        allowed = False
        for token in resource.removesuffix("/").split("/"):
            assert token, resource
            node = node.children.get(token) if node is not None else None
            if node is not None and node.allows is not None:
                allowed = node.allows
        left = _trimmed(document, node, allowed=allowed)
        if left is document or not keep or not isinstance(document, dict):
            return left
        visible = left if isinstance(left, dict) else {}
        # The order of the document, so that answers do not depend on who asks.
        kept = {k: visible.get(k, v) for k, v in document.items() if k in visible or k in keep}
        return kept or None

    def readers(self) -> Mapping[str, bool]:
        """Whose reading of things the policy decides: each subject of a rule about READ of things.

        True: alone it may read all of every thing, and no rule takes anything from it. False: it
        depends on the path, and on the other subjects of the same caller; ask `may` or `trim`. A
        caller none of whose subjects is here reads nothing; one who has a subject that is True and none
        that is False reads all.
        """
        if self._readers is None:
            self._readers = {
                subject: all(READ not in found.revoke for found in about)
                and any(found.depth == 0 and READ in found.grant for found in about)
                for subject, rules in self._rules.items()
                if (about := [r for _, r in rules if r.tokens[0] == "thing:" and _reads(r)])
            }
        return self._readers

    def reading(self) -> Mapping[str, list[tuple[str, bool]]]:
        """For each of `readers`, its rules about READ of things: path (``attributes/a``), granted.

        With these alone a copy of what is decided here can be kept elsewhere: the deepest rule at or
        above a leaf decides, and at equal depth a revoke wins.
        """
        return {
            subject: [
                ("/".join(rule.tokens[1:]), allows)
                for _, rule in self._rules[subject]
                if rule.tokens[0] == "thing:"
                for allows, permissions in ((True, rule.grant), (False, rule.revoke))
                if READ in permissions
            ]
            for subject in self.readers()
        }

    def explain(
        self, subjects: frozenset[str], permission: str, resource: str, *, partly: bool = False
    ) -> Explanation:
        """Why `may` (or `may_partly`) answers what it does. Slow: for errors and people."""
        path = tuple(resource.removesuffix("/").split("/"))
        grants: list[Rule] = []
        revokes: list[Rule] = []
        for subject in sorted(subjects & self.subjects):
            for label, found in self._rules[subject]:
                rule = Rule(label, subject, found.key, found.depth)
                above = path[: len(found.tokens)] == found.tokens
                below = found.tokens[: len(path)] == path
                if permission in found.grant and (above or (partly and below)):
                    grants.append(rule)
                if permission in found.revoke and (above or (not partly and below)):
                    revokes.append(rule)
        ask = self.may_partly if partly else self.may
        return Explanation(
            ask(subjects, permission, resource), _deepest_first(grants), _deepest_first(revokes)
        )

    def _view(self, subjects: frozenset[str]) -> _View:
        named = subjects & self.subjects
        if not named:
            return _NOTHING
        if len(self._views) >= VIEWS_MAX - 1:
            self._views.clear()
        view = self._views.get(named)
        if view is None:
            view = self._views[named] = {permission: _Node() for permission in PERMISSIONS}
            for subject in named:
                for _, resource in self._rules[subject]:
                    for permission in resource.grant:
                        view[permission].put(resource.tokens, allows=True)
                    for permission in resource.revoke:
                        view[permission].put(resource.tokens, allows=False)
        self._views[subjects] = view
        return view


_NOTHING: _View = {permission: _Node() for permission in PERMISSIONS}


def compile(policy: Policy) -> Enforcer:  # noqa: A001  # the word; read as policy.compile
    """Make the `Enforcer` of ``policy`` alone, without imports: some microseconds per rule."""
    return Enforcer(own_entries(policy))


def _reads(resource: Resource) -> bool:
    return READ in resource.grant or READ in resource.revoke


def _trimmed(value: object, node: _Node | None, *, allowed: bool) -> object | None:
    if node is None or not node.children or not isinstance(value, dict) or not value:
        return value if allowed else None
    if allowed and not node.revokes_below:
        return value
    if not allowed and not node.grants_below:
        return None
    left: dict[str, object] = {}
    whole = True
    for key, member in value.items():
        child = node.children.get(_escaped(key))
        below = allowed if child is None or child.allows is None else child.allows
        if member is None:
            # A null is a value here: it may not be told apart from "hidden" by its result.
            if below:
                left[key] = None
            else:
                whole = False
            continue
        kept = _trimmed(member, child, allowed=below)
        whole = whole and kept is member
        if kept is not None:
            left[key] = kept
    if whole:
        return value
    return left or None


def _escaped(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1") if "~" in key or "/" in key else key


def _leaves(base: str, patch: object) -> Iterator[str]:
    if not isinstance(patch, dict) or not patch:
        yield base if "/" in base else base + "/"
        return
    for key, member in patch.items():
        if member is None and key.startswith("{{"):
            # Ditto's deletion by pattern may hit every member.
            yield base if "/" in base else base + "/"
            continue
        yield from _leaves(f"{base}/{_escaped(key)}", member)


def _deepest_first(rules: list[Rule]) -> tuple[Rule, ...]:
    return tuple(sorted(rules, key=lambda r: (-r.depth, r.label, r.subject, r.resource)))
