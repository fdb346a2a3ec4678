"""What policies come to, with imports, references, namespaces and roots, against naive rules on JSON."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from littoral.policy import Enforcer, load_policy, resolve, roots_of

IDS = ("n:p", "n:q", "n:r", "m.x:s")
LABELS = ("A", "B", "C")
SUBJECTS = ("x:a", "x:b")
NAMESPACES = ("n", "m.x", "m.x.y", "")
PATTERNS = st.sampled_from(["n", "m.*", "m.x", "m.x.*"])
RESOURCES = st.sampled_from(
    ["thing:/", "thing:/a", "thing:/a/b", "thing:/c", "policy:/", "policy:/entries/A", "message:/"]
)
PERMISSION_LISTS = st.lists(st.sampled_from(["READ", "WRITE"]), max_size=2, unique=True)
EFFECTS = st.fixed_dictionaries({"grant": PERMISSION_LISTS, "revoke": PERMISSION_LISTS})
REFERENCES = st.lists(
    st.one_of(
        st.fixed_dictionaries({"entry": st.sampled_from(LABELS)}),
        st.fixed_dictionaries(
            {
                "import": st.sampled_from(IDS),
                "entry": st.sampled_from([*LABELS, "imported-n:q-A", "imported-n:r-B"]),
            }
        ),
    ),
    max_size=2,
)
ENTRIES = st.dictionaries(
    st.sampled_from(LABELS),
    st.fixed_dictionaries(
        {
            "subjects": st.sets(st.sampled_from(SUBJECTS)).map(lambda s: {k: {} for k in s}),
            "resources": st.dictionaries(RESOURCES, EFFECTS, max_size=2),
        },
        optional={
            "namespaces": st.lists(PATTERNS, max_size=2),
            "importable": st.sampled_from(["implicit", "explicit", "never"]),
            "allowedAdditions": st.lists(
                st.sampled_from(["subjects", "resources", "namespaces"]), unique=True
            ),
            "references": REFERENCES,
        },
    ),
    max_size=3,
)
SPECS = st.fixed_dictionaries(
    {},
    optional={
        "entries": st.lists(st.sampled_from([*LABELS, "imported-n:r-A"]), max_size=3),
        "transitiveImports": st.lists(st.sampled_from(IDS), max_size=2, unique=True),
    },
)


@st.composite
def worlds(draw):
    """Some policies that import one another, in circles too."""
    world = {}
    for pid in draw(st.lists(st.sampled_from(IDS), unique=True, min_size=1)):
        others = st.sampled_from([*(one for one in IDS if one != pid), "n:gone"])
        imports = draw(st.dictionaries(others, SPECS, max_size=2))
        world[pid] = {"entries": draw(ENTRIES), "imports": imports}
    return world


ROOTS = st.dictionaries(
    st.sampled_from(["n", "m.*", "m.x", "*"]),
    st.lists(st.sampled_from(IDS), max_size=2).map(tuple),
    max_size=2,
)


# -- the rules, naively ------------------------------------------------------------------------


def read(entry):
    """An entry's JSON with everything spelt out."""
    return {
        "subjects": set(entry["subjects"]),
        "rules": [
            (key, effect, p) for key, e in entry["resources"].items() for effect in e for p in e[effect]
        ],
        "namespaces": list(entry.get("namespaces") or []),
        "importable": entry.get("importable", "implicit"),
        "additions": entry.get("allowedAdditions"),
    }  # fmt: skip


def joined(document, imported):
    """The policy's own entries with what they refer to, and the imported ones."""
    result = dict(imported)
    for label, entry in document["entries"].items():
        mine = read(entry)
        targets = []
        for reference in entry.get("references", []):
            if "import" in reference:
                target = imported.get(f"imported-{reference['import']}-{reference['entry']}")
            elif reference["entry"] in document["entries"]:
                target = read(document["entries"][reference["entry"]])
            else:
                target = None
            if target is not None and target["importable"] != "never":
                targets.append(target)
        if entry.get("references"):
            limits = [set(t["additions"]) for t in targets if t["additions"] is not None]
            allowed = (
                set.intersection(*limits) if limits else {"subjects", "resources", "namespaces"}
            )
            whole = {
                "subjects": mine["subjects"] if "subjects" in allowed else set(),
                "rules": list(mine["rules"]) if "resources" in allowed else [],
                "namespaces": list(mine["namespaces"]) if "namespaces" in allowed else [],
                "importable": mine["importable"],
                "additions": mine["additions"],
            }
            if limits:
                own = mine["additions"]
                whole["additions"] = allowed if own is None else allowed & set(own)
            for target in targets:
                whole["subjects"] = whole["subjects"] | target["subjects"]
                whole["rules"] += target["rules"]
                whole["namespaces"] += target["namespaces"]
            mine = whole
        result[label] = mine
    return result


def imported_into(world, document, depth=0, seen=frozenset(), only=None):
    found = {}
    for pid, spec in document["imports"].items():
        if pid not in world or (only is not None and pid not in only):
            continue
        follow = set(spec.get("transitiveImports", [])) - seen
        inner = {}
        if depth < 10:
            inner = imported_into(world, world[pid], depth + 1, seen | follow, follow)
        for label, entry in joined(world[pid], inner).items():
            named = entry["importable"] == "explicit" and label in spec.get("entries", [])
            if entry["importable"] == "implicit" or named:
                found[f"imported-{pid}-{label}"] = entry
    return found


def effective(world, pid, roots):
    found = joined(world[pid], imported_into(world, world[pid]))
    for root in roots:
        if root in world and root != pid:
            there = joined(world[root], imported_into(world, world[root]))
            for label, entry in there.items():
                if entry["importable"] == "implicit":
                    found[f"nsimported-{root}-{label}"] = entry
    return found


def means(pattern, namespace):
    if pattern.endswith(".*"):
        return namespace.startswith(pattern[:-1])
    return pattern == namespace


def naive(entries, namespace, subjects, permission, resource, *, partly):
    path = [part for part in resource.split("/") if part]
    depths = {"grant": [-1], "revoke": [-1]}
    for entry in entries.values():
        patterns = entry["namespaces"]
        if namespace is not None and patterns and not any(means(p, namespace) for p in patterns):
            continue
        if not subjects & entry["subjects"]:
            continue
        for key, effect, granted in entry["rules"]:
            rule = [part for part in key.split("/") if part]
            above = path[: len(rule)] == rule
            below = rule[: len(path)] == path
            counts_below = partly if effect == "grant" else not partly
            if granted == permission and (above or (below and counts_below)):
                depths[effect].append(len(rule))
    return max(depths["grant"]) > max(depths["revoke"])


def build(world, pid, roots):
    def load(one):
        return load_policy(world[one], policy_id=one) if one in world else None

    return resolve(load(pid), load, roots)


# -- and whether they are kept -------------------------------------------------------------------


@pytest.mark.slow
@settings(max_examples=250, deadline=None)
@given(worlds(), ROOTS, st.data())
def test_an_effective_policy_decides_as_the_rules_say(world, configured, data) -> None:
    pid = data.draw(st.sampled_from(sorted(world)))
    roots = roots_of(pid.partition(":")[0], configured)
    found = build(world, pid, roots)
    expected = effective(world, pid, roots)
    assert {one.entry.label for one in found.entries} == set(expected)
    assert found.depends_on >= {pid, *world[pid]["imports"]}
    for namespace in (None, *NAMESPACES):
        enforcer = Enforcer(found.entries_for(namespace))
        for subjects in (frozenset({"x:a"}), frozenset(SUBJECTS)):
            for permission in ("READ", "WRITE"):
                for resource in ("thing:/", "thing:/a/b", "thing:/c/d", "policy:/", "message:/x"):
                    for ask, partly in ((enforcer.may, False), (enforcer.may_partly, True)):
                        assert ask(subjects, permission, resource) is naive(
                            expected, namespace, subjects, permission, resource, partly=partly
                        )


@pytest.mark.slow
@settings(max_examples=100, deadline=None)
@given(worlds(), st.data())
def test_readers_tell_who_reads_all_and_who_may_read_something(world, data) -> None:
    pid = data.draw(st.sampled_from(sorted(world)))
    enforcer = Enforcer(build(world, pid, ()).entries_for("n"))
    readers = enforcer.readers()
    document = {"a": {"b": 1, "x": 2}, "c": {"d": 3}, "z": 4}
    for subjects in (frozenset({"x:a"}), frozenset({"x:b"}), frozenset(SUBJECTS)):
        about = [readers[one] for one in subjects if one in readers]
        if not about:
            assert not enforcer.may_partly(subjects, "READ", "thing:/")
        elif all(about):
            assert enforcer.trim(subjects, "READ", document) is document


@pytest.mark.slow
@settings(max_examples=100, deadline=None)
@given(worlds(), ROOTS, st.data())
def test_a_policy_that_is_not_depended_on_changes_nothing(world, configured, data) -> None:
    pid = data.draw(st.sampled_from(sorted(world)))
    roots = roots_of(pid.partition(":")[0], configured)
    before = build(world, pid, roots)
    changed = data.draw(st.sampled_from(IDS))
    if changed not in before.depends_on:
        without = {one: document for one, document in world.items() if one != changed}
        assert build(without, pid, roots).entries == before.entries
