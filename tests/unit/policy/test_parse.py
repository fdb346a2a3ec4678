import pytest

from littoral import policy
from littoral.kernel.errors import InvalidJson, Kind
from littoral.policy import Policy, parse_policy

ADMIN = {
    "subjects": {"nginx:a": {"type": "t"}},
    "resources": {"policy:/": {"grant": ["WRITE"], "revoke": []}},
}


def document(**entries: object) -> dict[str, object]:
    return {"policyId": "org.acme:p", "entries": {"ADMIN": ADMIN, **entries}}


def entry(**members: object) -> dict[str, object]:
    return {"subjects": {"nginx:b": {}}, "resources": {}, **members}


def resources(value: object) -> dict[str, object]:
    return document(X=entry(resources=value))


def subjects(value: object) -> dict[str, object]:
    return document(X=entry(subjects=value))


def test_a_policy_comes_back_as_it_was_given() -> None:
    given = document(
        X={
            "subjects": {"nginx:b": {"type": "t", "expiry": "2030-01-01T00:00:00Z"}},
            "resources": {"thing:/features/x": {"grant": ["READ"], "revoke": ["WRITE"]}},
            "importable": "never",
            "allowedAdditions": ["subjects"],
        }
    )
    assert parse_policy(given).to_json() == given


def test_grant_and_revoke_may_be_left_out_and_are_written_as_empty() -> None:
    written = parse_policy(resources({"thing:/": {}})).to_json()["entries"]
    assert isinstance(written, dict)
    assert written["X"]["resources"] == {"thing:/": {"grant": [], "revoke": []}}


def test_members_without_effect_are_kept_and_reported() -> None:
    given = document(
        X=entry(
            importable="explicit",
            colour="blue",
            subjects={"nginx:b": {"expiry": "2030-01-01T00:00:00Z", "announcement": {}}},
        )
    )
    given["note"] = 1
    parsed = parse_policy(given)
    assert parsed.to_json() == given
    assert parsed.reported == (
        "/entries/X/subjects/nginx:b/expiry",
        "/entries/X/subjects/nginx:b/announcement",
        "/entries/X/importable",
        "/entries/X/colour",
        "/note",
    )


def test_hidden_members_are_dropped() -> None:
    parsed = parse_policy(document() | {"_revision": 4, "_modified": "x"})
    assert parsed.to_json() == document()
    assert parsed.reported == ()


@pytest.mark.parametrize(
    "given",
    [
        document() | {"imports": {"a:b": {"entries": []}}},
        document(X=entry(references=[{"entry": "ADMIN"}])),
        document(X=entry(namespaces=["org.acme"])),
    ],
)
def test_rules_that_are_not_enforced_are_refused_not_ignored(given: object) -> None:
    with pytest.raises(policy.PolicyFeatureUnsupported, match="not supported yet") as refused:
        parse_policy(given)
    assert refused.value.kind is Kind.UNSUPPORTED


def test_empty_imports_references_and_namespaces_say_nothing_and_pass() -> None:
    parse_policy(document(X=entry(references=[], namespaces=[])) | {"imports": {}})


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ([], "policies:entry.invalid"),
        (document() | {"entries": []}, "policies:entry.invalid"),
        (document(X=1), "policies:entry.invalid"),
        (document(X=entry(subjects=[])), "policies:entry.invalid"),
        (document(X=entry(resources="all")), "policies:entry.invalid"),
        (document(X=entry(importable="sometimes")), "policies:entry.invalid"),
        (document(X=entry(allowedAdditions=["all"])), "policies:entry.invalid"),
        (subjects({"nginx:b": "x"}), "policies:entry.invalid"),
        (subjects({"nginx:b": {"type": 3}}), "policies:entry.invalid"),
        (resources({"thing": {}}), "policies:entry.invalid"),
        (resources({"topic:/": {}}), "policies:entry.invalid"),
        (resources({"thing:/a//b": {}}), "policies:entry.invalid"),
        (resources({"thing:/a~b": {}}), "policies:entry.invalid"),
        (resources({"thing:/": []}), "policies:entry.invalid"),
        (resources({"thing:/": {"grants": []}}), "policies:entry.invalid"),
        (resources({"thing:/": {"grant": "READ"}}), "policies:entry.invalid"),
        (resources({"thing:/": {"grant": ["read"]}}), "policies:entry.invalid"),
        (resources({"thing:/": {"revoke": [["READ"]]}}), "policies:entry.invalid"),
        (document(**{"": entry()}), "policies:label.invalid"),
        (document(**{"a/b": entry()}), "policies:label.invalid"),
        (document(**{"a\n": entry()}), "policies:label.invalid"),
        (document(importedX=entry()), "policies:label.invalid"),
        (document(**{"nsimported-x": entry()}), "policies:label.invalid"),
        (subjects({"nginx": {}}), "policies:subjectid.invalid"),
        (subjects({":b": {}}), "policies:subjectid.invalid"),
        (subjects({"nginx:": {}}), "policies:subjectid.invalid"),
        (subjects({"nginx:\x00": {}}), "policies:subjectid.invalid"),
        (subjects({"{{ request:subjectId }}": {}}), "policies:subjectid.invalid"),
        (subjects({"nginx:b": {"expiry": "soon"}}), "policies:subjectexpiry.invalid"),
        (subjects({"nginx:b": {"expiry": 12}}), "policies:subjectexpiry.invalid"),
        (document() | {"policyId": "acme"}, "policies:id.invalid"),
        (document() | {"policyId": 1}, "policies:id.invalid"),
        ({"entries": {"ADMIN": ADMIN}}, "policies:id.invalid"),
        (document() | {"note": "x" * 102_400}, "policies:policy.toolarge"),
        ({"policyId": "a:b"}, "policies:policy.modificationinvalid"),
        ({"policyId": "a:b", "entries": {}}, "policies:policy.modificationinvalid"),
    ],
)
def test_what_is_wrong_is_refused_with_dittos_code(given: object, code: str) -> None:
    with pytest.raises(policy.InvalidPolicy) as refused:
        parse_policy(given)
    assert refused.value.code == code
    assert refused.value.message.endswith(".")


def test_a_document_that_nests_too_deep_is_refused_before_it_is_walked() -> None:
    deep: dict[str, object] = {}
    for _ in range(500):
        deep = {"x": deep}
    with pytest.raises(InvalidJson):
        parse_policy(document() | {"note": deep})


def test_the_id_may_come_from_the_address_and_must_agree_with_it() -> None:
    assert parse_policy({"entries": {"ADMIN": ADMIN}}, policy_id="a:b").id == "a:b"
    assert parse_policy(document(), policy_id="org.acme:p").id == "org.acme:p"
    with pytest.raises(policy.PolicyIdFixed):
        parse_policy(document(), policy_id="a:b")


def admin(subject: object, revoke: list[str], at: str = "policy:/") -> dict[str, object]:
    return {
        "policyId": "a:b",
        "entries": {
            "A": {"subjects": {"nginx:a": subject}, "resources": {at: {"grant": ["WRITE"]}}},
            "B": {"subjects": {"nginx:a": {}}, "resources": {"policy:/": {"revoke": revoke}}},
        },
    }


@pytest.mark.parametrize(
    "given",
    [
        admin({}, ["WRITE"]),
        admin({"expiry": "2030-01-01T00:00:00Z"}, []),
        admin({}, [], at="policy:/entries"),
        admin({}, [], at="thing:/"),
    ],
)
def test_a_policy_that_nobody_could_change_again_is_refused(given: object) -> None:
    with pytest.raises(policy.PolicyLockedOut) as refused:
        parse_policy(given)
    assert refused.value.kind is Kind.FORBIDDEN


def test_a_revoke_of_something_else_does_not_lock_out() -> None:
    assert isinstance(parse_policy(admin({}, ["READ"])), Policy)


def test_the_policy_of_a_thing_without_one_lets_its_creator_do_everything() -> None:
    parsed = policy.own_policy("a:b", "nginx:a")
    enforcer = policy.compile(parsed)
    for kind in ("thing:/", "policy:/", "message:/"):
        assert enforcer.may(frozenset({"nginx:a"}), "WRITE", kind)
        assert not enforcer.may(frozenset({"nginx:b"}), "READ", kind)
