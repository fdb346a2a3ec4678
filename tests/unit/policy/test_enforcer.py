import pytest

from littoral.policy import Enforcer, compile, parse_policy  # noqa: A004
from littoral.policy.model import VIEWS_MAX

ADMIN = {"subjects": {"x:admin": {}}, "resources": {"policy:/": {"grant": ["WRITE"]}}}


def enforcer(*rules: tuple[str, str, str, str]) -> Enforcer:
    """Rules are (subject, resource, permissions granted, permissions revoked)."""
    entries: dict[str, object] = {"ADMIN": ADMIN}
    for i, (subject, resource, grant, revoke) in enumerate(rules):
        entries[f"e{i}"] = {
            "subjects": {subject: {}},
            "resources": {resource: {"grant": grant.split(), "revoke": revoke.split()}},
        }
    return compile(parse_policy({"policyId": "a:b", "entries": entries}))


A = frozenset({"x:a"})
AB = frozenset({"x:a", "x:b"})

ALL = ("x:a", "thing:/", "READ WRITE", "")
BUT_SECRET = ("x:a", "thing:/features/secret", "", "READ WRITE")
FEATURE = ("x:a", "thing:/features/lamp", "READ", "")


@pytest.mark.parametrize(
    ("rules", "subjects", "resource", "whole", "part"),
    [
        # nothing said
        ([], A, "thing:/", False, False),
        ([ALL], frozenset(), "thing:/", False, False),
        ([ALL], frozenset({"x:b"}), "thing:/", False, False),
        # a grant speaks for all below it, not above, not for other types
        ([ALL], A, "thing:/", True, True),
        ([ALL], A, "thing:/features/lamp", True, True),
        ([ALL], A, "policy:/", False, False),
        ([ALL], A, "message:/inbox", False, False),
        ([FEATURE], A, "thing:/features/lamp/properties/on", True, True),
        ([FEATURE], A, "thing:/features/lampshade", False, False),
        # a grant below lets a part be seen
        ([FEATURE], A, "thing:/", False, True),
        ([FEATURE], A, "thing:/features", False, True),
        ([FEATURE], A, "thing:/attributes", False, False),
        # a revoke below forbids the whole, not a part
        ([ALL, BUT_SECRET], A, "thing:/", False, True),
        ([ALL, BUT_SECRET], A, "thing:/features", False, True),
        ([ALL, BUT_SECRET], A, "thing:/features/secret", False, False),
        ([ALL, BUT_SECRET], A, "thing:/features/secret/properties", False, False),
        ([ALL, BUT_SECRET], A, "thing:/features/lamp", True, True),
        # a tie is revoked
        ([ALL, ("x:a", "thing:/", "", "READ")], A, "thing:/", False, False),
        ([ALL, ("x:a", "thing:/", "", "READ")], A, "thing:/attributes", False, False),
        # the deepest decides: a grant below a revoke below a grant
        ([ALL, BUT_SECRET, ("x:a", "thing:/features/secret/definition", "READ", "")], A,
         "thing:/features/secret", False, True),
        ([ALL, BUT_SECRET, ("x:a", "thing:/features/secret/definition", "READ", "")], A,
         "thing:/features/secret/definition", True, True),
        # a tie below counts as a grant for the partial question: its revoke is not considered
        ([("x:a", "thing:/attributes/x", "READ", "READ")], A, "thing:/attributes", False, True),
        # union over subjects first: the revoke of one cancels the grant of another
        ([ALL, ("x:b", "thing:/features/secret", "", "READ")], AB, "thing:/features/secret", False, False),
        ([ALL, ("x:b", "thing:/features/secret", "", "READ")], A, "thing:/features/secret", True, True),
        ([ALL, ("x:b", "thing:/", "", "READ")], AB, "thing:/attributes", False, False),
        ([("x:a", "thing:/attributes", "READ", ""), ("x:b", "thing:/", "", "READ")], AB,
         "thing:/attributes", True, True),
        # keys with escapes
        ([("x:a", "thing:/attributes/a~1b", "READ", "")], A, "thing:/attributes/a~1b", True, True),
        ([("x:a", "thing:/attributes/a~1b", "READ", "")], A, "thing:/attributes/a", False, False),
        # a feature's messages are not the thing's
        ([("x:a", "message:/inbox", "READ", "")], A, "message:/inbox/messages/go", True, True),
        ([("x:a", "message:/inbox", "READ", "")], A, "message:/features/f/inbox/messages/go", False, False),
        # paths that are none are allowed nothing
        ([ALL], A, "", False, False),
        ([ALL], A, "thing", False, False),
        ([ALL], A, "thing:/features//secret", False, False),
        ([ALL], A, "thing:/features/", False, False),
        ([ALL, BUT_SECRET], A, "thing:/features/", False, False),
    ],
)  # fmt: skip
def test_decision(
    rules: list[tuple[str, str, str, str]],
    subjects: frozenset[str],
    resource: str,
    whole: bool,
    part: bool,
) -> None:
    e = enforcer(*rules)
    assert e.may(subjects, "READ", resource) is whole
    assert e.may_partly(subjects, "READ", resource) is part


def test_write_does_not_imply_read() -> None:
    e = enforcer(("x:a", "thing:/", "WRITE", ""))
    assert e.may(A, "WRITE", "thing:/")
    assert not e.may(A, "READ", "thing:/")
    assert not e.may(A, "EXECUTE", "thing:/")


THING = {
    "thingId": "a:t",
    "attributes": {"serial": 1, "tags": ["a", {"b": 1}], "empty": {}, "none": None},
    "features": {"lamp": {"properties": {"on": True}}, "secret": {"properties": {"pin": 1}}},
}


def test_a_document_that_is_all_readable_comes_back_itself() -> None:
    assert enforcer(ALL).trim(A, "READ", THING) is THING
    narrow = enforcer(ALL, ("x:a", "thing:/features/absent", "", "READ"))
    assert narrow.trim(A, "READ", THING) is THING


def test_what_may_not_be_read_is_left_out_leaf_by_leaf() -> None:
    assert enforcer(ALL, BUT_SECRET).trim(A, "READ", THING) == {
        "thingId": "a:t",
        "attributes": THING["attributes"],
        "features": {"lamp": {"properties": {"on": True}}},
    }
    assert enforcer(FEATURE).trim(A, "READ", THING) == {
        "features": {"lamp": {"properties": {"on": True}}}
    }


def test_lists_and_empty_objects_and_nulls_are_leaves() -> None:
    e = enforcer(
        ("x:a", "thing:/attributes", "READ", ""), ("x:a", "thing:/attributes/serial", "", "READ")
    )
    assert e.trim(A, "READ", THING) == {
        "attributes": {"tags": ["a", {"b": 1}], "empty": {}, "none": None}
    }
    hidden = enforcer(ALL, ("x:a", "thing:/attributes/none", "", "READ"))
    left = hidden.trim(A, "READ", THING)
    assert isinstance(left, dict)
    assert "none" not in left["attributes"]


def test_who_may_read_only_below_what_is_not_there_sees_nothing() -> None:
    e = enforcer(("x:a", "thing:/attributes/x/y", "READ", ""))
    assert e.trim(A, "READ", {"attributes": {"x": {}, "z": {"y": 1}}}) is None
    revoked = enforcer(
        ("x:a", "thing:/attributes/x", "", "READ"), ("x:a", "thing:/features", "READ", "")
    )
    assert revoked.trim(A, "READ", {"attributes": {"x": {"y": 1}}, "features": {}}) == {
        "features": {}
    }


def test_nothing_readable_is_none() -> None:
    assert enforcer().trim(A, "READ", THING) is None
    assert enforcer(ALL).trim(frozenset(), "READ", THING) is None
    assert enforcer(("x:a", "thing:/features/absent", "READ", "")).trim(A, "READ", THING) is None


def test_a_part_is_trimmed_at_its_own_path() -> None:
    e = enforcer(ALL, BUT_SECRET)
    features = THING["features"]
    assert e.trim(A, "READ", features, "thing:/features") == {"lamp": {"properties": {"on": True}}}
    assert e.trim(A, "READ", {"pin": 1}, "thing:/features/secret/properties") is None
    assert e.trim(A, "READ", 5, "thing:/attributes/x") == 5
    assert e.trim(A, "READ", 5, "thing:/features/secret/properties/pin") is None


def test_kept_members_stay_in_the_order_of_the_document() -> None:
    left = enforcer(FEATURE).trim(A, "READ", THING, keep=("thingId",))
    assert left == {"thingId": "a:t", "features": {"lamp": {"properties": {"on": True}}}}
    assert list(left) == ["thingId", "features"]  # type: ignore[call-overload]
    assert enforcer().trim(A, "READ", THING, keep=("thingId",)) == {"thingId": "a:t"}
    assert enforcer().trim(A, "READ", {"x": 1}, keep=("thingId",)) is None


def test_trimming_changes_nothing_in_the_document() -> None:
    given = {"features": {"secret": {"x": 1}, "lamp": {"y": 1}}}
    enforcer(ALL, BUT_SECRET).trim(A, "READ", given)
    assert given == {"features": {"secret": {"x": 1}, "lamp": {"y": 1}}}


@pytest.mark.parametrize(
    ("at", "patch", "allowed"),
    [
        ("thing:/", {"attributes": {"x": 1}}, True),
        ("thing:/", {"features": {"lamp": {"properties": {"on": 1}}}}, True),
        ("thing:/", {"features": {"secret": {"properties": {"on": 1}}}}, False),
        ("thing:/", {"features": None}, False),
        ("thing:/", {"{{ /.*/ }}": None}, False),
        ("thing:/features", {"lamp": None}, True),
        ("thing:/features", {"{{ /l.*/ }}": None}, False),
        ("thing:/", {}, False),
        ("thing:/features/lamp", {}, True),
        ("thing:/features/lamp", 3, True),
        ("thing:/features/secret", 3, False),
        ("thing:/", {"attributes": {}, "features": {"secret": {}}}, False),
    ],
)
def test_a_merge_is_allowed_if_every_leaf_of_its_patch_is(
    at: str, patch: object, allowed: bool
) -> None:
    assert enforcer(ALL, BUT_SECRET).may_leaves(A, "WRITE", at, patch) is allowed


def test_an_explanation_names_the_rules_and_agrees_with_the_decision() -> None:
    e = enforcer(ALL, BUT_SECRET, ("x:b", "thing:/", "", "READ"))
    told = e.explain(A, "READ", "thing:/features/secret/properties")
    assert not told.allowed
    assert [(r.label, r.depth) for r in told.granted_by] == [("e0", 0)]
    assert [(r.label, r.subject, r.resource) for r in told.revoked_by] == [
        ("e1", "x:a", "thing:/features/secret")
    ]
    partly = e.explain(A, "READ", "thing:/", partly=True)
    assert partly.allowed
    assert partly.revoked_by == ()


def test_the_memory_of_prepared_answers_is_bounded() -> None:
    e = enforcer(ALL)
    for i in range(VIEWS_MAX * 3):
        assert e.may(frozenset({"x:a", f"y:{i}"}), "READ", "thing:/")
    assert len(e._views) <= VIEWS_MAX
