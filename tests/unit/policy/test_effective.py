"""What a policy comes to, by example. The rules against random policies: tests/machine/policy."""

from littoral.policy import Enforcer, covers, imported_by, load_policy, resolve, roots_of
from littoral.policy.model import RESOLVED_POLICIES_MAX, TRANSITIVE_DEPTH_MAX

READ = {"thing:/": {"grant": ["READ"], "revoke": []}}
A = frozenset({"x:a"})


def entry(*subjects, resources=READ, **more):
    return {"subjects": {one: {} for one in subjects}, "resources": resources, **more}


def world(**policies):
    """Names to (entries, imports)."""
    return {
        f"n:{name}": load_policy({"entries": e, "imports": i}, policy_id=f"n:{name}")
        for name, (e, i) in policies.items()
    }


def labels(found):
    return [one.entry.label for one in found.entries]


def test_an_import_brings_what_is_implicit_and_what_it_names():
    policies = world(
        p=({}, {"n:q": {"entries": ["b", "c"]}}),
        q=(
            {
                "a": entry("x:a"),
                "b": entry("x:a", importable="explicit"),
                "c": entry("x:a", importable="never"),
                "d": entry("x:a", importable="explicit"),
            },
            {},
        ),
    )
    found = resolve(policies["n:p"], policies.get)
    assert labels(found) == ["imported-n:q-a", "imported-n:q-b"]
    assert [(one.policy, one.label) for one in found.entries] == [("n:q", "a"), ("n:q", "b")]
    assert found.depends_on == {"n:p", "n:q"}


def test_imports_of_imports_are_followed_only_if_they_are_named():
    policies = world(
        p=({}, {"n:q": {}}),
        p2=({}, {"n:q": {"transitiveImports": ["n:r"]}}),
        q=({"a": entry("x:a")}, {"n:r": {}, "n:s": {}}),
        r=({"b": entry("x:a")}, {}),
        s=({"c": entry("x:a")}, {}),
    )
    assert labels(resolve(policies["n:p"], policies.get)) == ["imported-n:q-a"]
    assert labels(resolve(policies["n:p2"], policies.get)) == [
        "imported-n:q-a",
        "imported-n:q-imported-n:r-b",
    ]


def test_a_template_is_filled_by_a_policy_between():
    """Resources come from one policy, people from another; a third imports what both make."""
    template = {"room": entry(resources=READ, allowedAdditions=["subjects"])}
    main = {
        "who": entry("x:a", resources={}, importable="explicit"),
        "room": entry(
            resources={"thing:/": {"grant": ["WRITE"], "revoke": []}},
            references=[{"entry": "who"}, {"import": "n:template", "entry": "room"}],
        ),
    }
    policies = world(
        leaf=({}, {"n:main": {"transitiveImports": ["n:template"]}}),
        main=(main, {"n:template": {}}),
        template=(template, {}),
    )
    found = resolve(policies["n:leaf"], policies.get)
    assert labels(found) == ["imported-n:main-room", "imported-n:main-imported-n:template-room"]
    enforcer = Enforcer(found.entries_for(None))
    assert enforcer.may(A, "READ", "thing:/")
    assert not enforcer.may(A, "WRITE", "thing:/"), "the template allows no resources of one's own"


def test_what_an_entry_has_of_its_own_is_cut_to_the_strictest_limit():
    entries = {
        "free": entry("x:f"),
        "strict": entry("x:s", allowedAdditions=["resources"]),
        "none": entry("x:n", allowedAdditions=[]),
        "one": entry("x:o", references=[{"entry": "free"}]),
        "two": entry("x:t", references=[{"entry": "free"}, {"entry": "strict"}]),
        "three": entry("x:h", references=[{"entry": "strict"}, {"entry": "none"}]),
    }
    policies = world(p=(entries, {}))
    found = {one.label: one.entry for one in resolve(policies["n:p"], policies.get).entries}
    assert [s.id for s in found["one"].subjects] == ["x:f", "x:o"]
    assert [s.id for s in found["two"].subjects] == ["x:f", "x:s"]
    assert [s.id for s in found["three"].subjects] == ["x:s", "x:n"]
    assert found["three"].additions == frozenset()


def test_grants_and_revokes_of_one_resource_are_united():
    one = {"thing:/": {"grant": ["READ"], "revoke": []}}
    two = {"thing:/": {"grant": ["WRITE"], "revoke": ["READ"]}}
    policies = world(
        p=(
            {
                "a": entry(resources=one),
                "b": entry("x:a", resources=two, references=[{"entry": "a"}]),
            },
            {},
        )
    )
    (resource,) = resolve(policies["n:p"], policies.get).entries[1].entry.resources
    assert (resource.grant, resource.revoke) == (("READ", "WRITE"), ("READ",))


def test_a_reference_does_not_shorten_a_stay():
    soon, late = "2030-01-01T00:00:00Z", "2040-01-01T00:00:00Z"
    entries = {
        "a": {"subjects": {"x:a": {"expiry": soon}, "x:b": {"expiry": late}, "x:c": {}}},
        "b": {
            "subjects": {"x:a": {"expiry": late}, "x:b": {}, "x:c": {"expiry": soon}},
            "references": [{"entry": "a"}],
        },
    }
    policies = world(p=(entries, {}))
    joined = resolve(policies["n:p"], policies.get).entries[1].entry
    assert [s.document.get("expiry") for s in joined.subjects] == [late, None, None]


def test_circles_and_missing_policies_end_somewhere():
    deep = {"transitiveImports": ["n:p", "n:q", "n:r"]}
    policies = world(
        p=({"a": entry("x:a")}, {"n:q": deep, "n:gone": {}}),
        q=({"b": entry("x:a")}, {"n:r": deep, "n:p": deep}),
        r=({"c": entry("x:a")}, {"n:q": deep}),
    )
    found = resolve(policies["n:p"], policies.get)
    assert "n:gone" in found.depends_on
    assert labels(found)[:2] == ["a", "imported-n:q-b"]
    assert len(found.entries) < 20


def test_imports_that_fan_out_are_cut():
    """Ten imports of ten imports of … would be looked at ten billion times."""
    width, depth = 10, 6
    policies = {}
    for level in range(depth):
        below = [f"n:{level + 1}-{i}" for i in range(width)]
        further = [f"n:{level + 2}-{i}" for i in range(width)]
        for i in range(width):
            imports = {one: {"transitiveImports": further} for one in below}
            name = f"n:{level}-{i}"
            policies[name] = load_policy(
                {"entries": {"a": entry("x:a")}, "imports": imports}, policy_id=name
            )
    asked = 0

    def load(name):
        nonlocal asked
        asked += 1
        return policies.get(name)

    found = resolve(policies["n:0-0"], load)
    assert asked <= RESOLVED_POLICIES_MAX
    assert len(found.entries) <= RESOLVED_POLICIES_MAX


def test_root_policies_hold_in_all_policies_of_their_namespace():
    policies = world(
        p=({"a": entry("x:a")}, {}),
        root=({"b": entry("x:b"), "hidden": entry("x:c", importable="explicit")}, {"n:more": {}}),
        more=({"c": entry("x:d")}, {}),
    )
    found = resolve(policies["n:p"], policies.get, ("n:root", "n:gone"))
    assert labels(found) == ["a", "nsimported-n:root-b", "nsimported-n:root-imported-n:more-c"]
    assert labels(resolve(policies["n:root"], policies.get, ("n:root",))) == [
        "b",
        "hidden",
        "imported-n:more-c",
    ]


def test_the_most_specific_roots_come_first():
    configured = {
        "*": ("n:all",),
        "com.*": ("n:com",),
        "com.acme.*": ("n:below", "n:com"),
        "com.acme": ("n:acme",),
    }
    assert roots_of("com.acme", configured) == ("n:acme", "n:com", "n:all")
    assert roots_of("com.acme.plant", configured) == ("n:below", "n:com", "n:all")
    assert roots_of("org", configured) == ("n:all",)


def test_a_pattern_of_namespaces_means_all_below_but_not_itself():
    assert covers("com.acme", "com.acme")
    assert not covers("com.acme", "com.acme.plant")
    assert covers("com.acme.*", "com.acme.plant")
    assert covers("com.acme.*", "com.acme.plant.hall")
    assert not covers("com.acme.*", "com.acme")
    assert not covers("com.acme.*", "com.acmes.x")


def test_an_entry_speaks_of_the_things_of_its_namespaces_only():
    policies = world(p=({"a": entry("x:a", namespaces=["m", "m.*"])}, {}))
    found = resolve(policies["n:p"], policies.get)
    assert found.restricted
    for namespace, allowed in (("m", True), ("m.x", True), ("n", False), ("", False), (None, True)):
        assert Enforcer(found.entries_for(namespace)).may(A, "READ", "thing:/") is allowed


def test_a_subject_whose_time_is_over_counts_no_more():
    entries = {"a": {"subjects": {"x:a": {"expiry": "1970-01-01T00:00:01Z"}}, "resources": READ}}
    found = resolve(load_policy({"entries": entries}, policy_id="n:p"), lambda _: None)
    assert Enforcer(found.entries_for(None), now_ms=999).may(A, "READ", "thing:/")
    assert not Enforcer(found.entries_for(None), now_ms=1000).may(A, "READ", "thing:/")


def test_for_people_entries_that_they_may_not_read_are_left_out():
    policies = world(
        p=({"own": entry("x:a", references=[{"import": "n:q", "entry": "b"}])}, {"n:q": {}}),
        q=({"a": entry("x:q"), "b": entry("x:secret")}, {}),
    )
    found = resolve(policies["n:p"], policies.get, shows=lambda _, label: label != "b")
    assert labels(found) == ["own", "imported-n:q-a"]
    assert [s.id for s in found.entries[0].entry.subjects] == ["x:a"]


def test_what_an_import_brings_can_be_listed_alone():
    policies = world(p=({}, {"n:q": {}}), q=({"a": entry("x:q")}, {}))
    assert [one.label for one in imported_by(policies["n:p"].imports, policies.get)] == ["a"]


def test_readers_are_told_apart_by_whether_anything_depends_on_the_path():
    entries = {
        "all": entry("x:all"),
        "some": entry("x:some", resources={"thing:/a": {"grant": ["READ"], "revoke": []}}),
        "but": entry("x:but"),
        "but-not": entry("x:but", resources={"thing:/a": {"grant": [], "revoke": ["READ"]}}),
        "never": entry("x:never", resources={"thing:/": {"grant": [], "revoke": ["READ"]}}),
        "writes": entry("x:w", resources={"thing:/": {"grant": ["WRITE"], "revoke": []}}),
        "other": entry("x:o", resources={"policy:/": {"grant": ["READ"], "revoke": []}}),
    }
    found = resolve(load_policy({"entries": entries}, policy_id="n:p"), lambda _: None)
    readers = Enforcer(found.entries_for(None)).readers()
    assert dict(readers) == {"x:all": True, "x:some": False, "x:but": False, "x:never": False}


def test_a_resource_of_a_policy_is_one_key_although_it_has_slashes():
    rule = {"policy:/entries/A/resources/thing:/secret": {"grant": [], "revoke": ["READ"]}}
    all_of_it = {"policy:/": {"grant": ["READ"], "revoke": []}}
    entries = {"a": entry("x:a", resources=all_of_it), "b": entry("x:a", resources=rule)}
    found = resolve(load_policy({"entries": entries}, policy_id="n:p"), lambda _: None)
    enforcer = Enforcer(found.entries_for(None))
    document = {"entries": {"A": {"resources": {"thing:/": 1, "thing:/secret": 2}}}}
    assert enforcer.trim(A, "READ", document, "policy:/") == {
        "entries": {"A": {"resources": {"thing:/": 1}}}
    }
    assert not enforcer.may(A, "READ", "policy:/entries/A/resources/thing:~1secret")


def test_imports_of_imports_are_followed_ten_deep():
    policies = {}
    for n in range(15):
        imports = {f"n:{n + 1}": {"transitiveImports": [f"n:{n + 2}"]}}
        document = {"entries": {"a": entry("x:a")}, "imports": imports}
        policies[f"n:{n}"] = load_policy(document, policy_id=f"n:{n}")
    found = resolve(policies["n:0"], policies.get)
    assert len(found.entries) == 1 + 1 + TRANSITIVE_DEPTH_MAX
    assert f"n:{TRANSITIVE_DEPTH_MAX + 1}" in found.depends_on
    assert f"n:{TRANSITIVE_DEPTH_MAX + 2}" not in found.depends_on


def test_an_entrys_own_limit_holds_for_who_refers_to_it_beside_what_it_refers_to():
    entries = {
        "a": entry("x:a", allowedAdditions=["subjects", "resources"]),
        "b": entry("x:b", allowedAdditions=["subjects", "namespaces"], references=[{"entry": "a"}]),
        "c": entry("x:c", allowedAdditions=["namespaces"], references=[{"entry": "free"}]),
        "free": entry("x:f"),
    }
    policies = world(p=(entries, {}))
    found = {one.label: one.entry for one in resolve(policies["n:p"], policies.get).entries}
    assert found["b"].additions == {"subjects"}
    assert found["c"].additions == {"namespaces"}
