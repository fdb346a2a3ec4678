"""The compiled enforcer against the rules of Ditto's decision, written down naively."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from littoral.policy import PERMISSIONS, Enforcer, compile, parse_policy  # noqa: A004

SUBJECTS = ("x:a", "x:b", "x:c")
KEYS = st.sampled_from(["a", "b", "c~0", "~1d"])
TYPES = st.sampled_from(["thing", "policy", "message"])
PATHS = st.lists(KEYS, max_size=4).map(lambda keys: "/" + "/".join(keys))
RESOURCES = st.builds(lambda kind, path: f"{kind}:{path}", TYPES, PATHS)
PERMISSION_LISTS = st.lists(st.sampled_from(PERMISSIONS), max_size=3)
EFFECTS = st.fixed_dictionaries({"grant": PERMISSION_LISTS, "revoke": PERMISSION_LISTS})
ENTRIES = st.fixed_dictionaries(
    {
        "subjects": st.sets(st.sampled_from(SUBJECTS)).map(lambda s: {k: {} for k in sorted(s)}),
        "resources": st.dictionaries(RESOURCES, EFFECTS, max_size=4),
    }
)
POLICIES = st.dictionaries(st.sampled_from("PQRSTU"), ENTRIES, max_size=5)
CALLERS = st.frozensets(st.sampled_from(SUBJECTS))
LEAVES = st.none() | st.integers() | st.lists(st.integers(), max_size=1) | st.just({})
DOCUMENTS = st.recursive(
    LEAVES,
    lambda inner: st.dictionaries(st.sampled_from(["a", "b", "c~", "/d"]), inner),
    max_leaves=12,
)
ADMIN = {"subjects": {"x:admin": {}}, "resources": {"policy:/": {"grant": ["WRITE"]}}}


def build(entries: dict[str, object]) -> Enforcer:
    return compile(parse_policy({"policyId": "a:b", "entries": {**entries, "ADMIN": ADMIN}}))


def split(resource: str) -> tuple[str, ...]:
    return tuple(part for part in resource.split("/") if part)


def naive(entries, subjects, permission, path, *, partly) -> bool:
    """Max depth of the grants considered > max depth of the revokes considered."""
    grants, revokes = [-1], [-1]
    for entry in entries.values():
        if not subjects & set(entry["subjects"]):
            continue
        for resource, effects in entry["resources"].items():
            rule = split(resource)
            at_or_above = path[: len(rule)] == rule
            below = len(rule) > len(path) and rule[: len(path)] == path
            if permission in effects["grant"] and (at_or_above or (partly and below)):
                grants.append(len(rule))
            if permission in effects["revoke"] and (at_or_above or (not partly and below)):
                revokes.append(len(rule))
    return max(grants) > max(revokes)


def naive_trim(entries, subjects, permission, document, path) -> object:
    """A leaf stays if the deepest rule at or above it grants and no rule that deep revokes."""
    if isinstance(document, dict) and document:
        left = {}
        for key, value in document.items():
            part = key.replace("~", "~0").replace("/", "~1")
            kept = naive_trim(entries, subjects, permission, value, (*path, part))
            if kept is not ...:
                left[key] = kept
        return left or ...
    depths = {"grant": [-1], "revoke": [-1]}
    for entry in entries.values():
        if subjects & set(entry["subjects"]):
            for resource, effects in entry["resources"].items():
                rule = split(resource)
                if path[: len(rule)] == rule:
                    for effect, found in depths.items():
                        if permission in effects[effect]:
                            found.append(len(rule))
    return document if max(depths["grant"]) > max(depths["revoke"]) else ...


@pytest.mark.slow
@settings(max_examples=600)
@given(POLICIES, CALLERS, st.sampled_from(PERMISSIONS), st.lists(RESOURCES, min_size=1, max_size=6))
def test_decisions_are_those_of_the_rules(entries, subjects, permission, resources) -> None:
    enforcer = build(entries)
    for resource in resources:
        path = split(resource)
        whole = naive(entries, subjects, permission, path, partly=False)
        part = naive(entries, subjects, permission, path, partly=True)
        assert enforcer.may(subjects, permission, resource) is whole
        assert enforcer.may_partly(subjects, permission, resource) is part
        assert part or not whole, "who may all may some"
        for partly, expected in ((False, whole), (True, part)):
            told = enforcer.explain(subjects, permission, resource, partly=partly)
            deepest = [max((r.depth for r in rules), default=-1)
                       for rules in (told.granted_by, told.revoked_by)]  # fmt: skip
            assert told.allowed is expected is (deepest[0] > deepest[1])


@pytest.mark.slow
@settings(max_examples=600)
@given(POLICIES, CALLERS, st.sampled_from(PERMISSIONS), DOCUMENTS, RESOURCES)
def test_trimming_leaves_exactly_the_leaves_that_are_allowed(
    entries, subjects, permission, document, resource
) -> None:
    expected = naive_trim(entries, subjects, permission, document, split(resource))
    trimmed = build(entries).trim(subjects, permission, document, resource)
    assert trimmed == (None if expected is ... else expected)
    if trimmed == document:
        assert trimmed is document


@pytest.mark.slow
@settings(max_examples=300)
@given(POLICIES, CALLERS, st.sampled_from(PERMISSIONS), DOCUMENTS, PATHS)
def test_a_merge_is_judged_like_its_leaves(entries, subjects, permission, patch, path) -> None:
    at = "thing:" + path

    def leaves(value, here):
        if isinstance(value, dict) and value:
            for key, member in value.items():
                part = key.replace("~", "~0").replace("/", "~1")
                yield from leaves(member, (*here, part))
        else:
            yield here

    whole = naive(entries, subjects, permission, split(at), partly=False)
    each = all(
        naive(entries, subjects, permission, leaf, partly=False)
        for leaf in leaves(patch, split(at))
    )
    assert build(entries).may_leaves(subjects, permission, at, patch) is (whole or each)


@pytest.mark.slow
@settings(max_examples=300)
@given(POLICIES, CALLERS, st.sampled_from(PERMISSIONS), RESOURCES, DOCUMENTS, st.randoms())
def test_the_order_of_a_policy_changes_nothing(
    entries, subjects, permission, resource, document, rng: random.Random
) -> None:
    def shuffled(mapping):
        items = list(mapping.items())
        rng.shuffle(items)
        return dict(items)

    other = shuffled(
        {label: {k: shuffled(v) for k, v in entry.items()} for label, entry in entries.items()}
    )
    one, two = build(entries), build(other)
    assert one.may(subjects, permission, resource) == two.may(subjects, permission, resource)
    assert one.may_partly(subjects, permission, resource) == two.may_partly(
        subjects, permission, resource
    )
    assert one.trim(subjects, permission, document) == two.trim(subjects, permission, document)


@pytest.mark.slow
@settings(max_examples=300)
@given(POLICIES, CALLERS, st.sampled_from(PERMISSIONS), RESOURCES, ENTRIES)
def test_an_entry_of_strangers_changes_nothing(
    entries, subjects, permission, resource, extra
) -> None:
    stranger = {**extra, "subjects": {"x:stranger": {}}}
    one, two = build(entries), build({**entries, "Z": stranger})
    assert one.may(subjects, permission, resource) == two.may(subjects, permission, resource)
