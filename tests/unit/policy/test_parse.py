import pytest

from littoral import policy
from littoral.kernel import time
from littoral.kernel.errors import InvalidJson, Kind
from littoral.policy import Announcement, Policy, load_policy, parse_policy

ADMIN = {
    "subjects": {"nginx:a": {"type": "t"}},
    "resources": {"policy:/": {"grant": ["WRITE"], "revoke": []}},
    "importable": "implicit",
}


def document(**entries: object) -> dict[str, object]:
    return {"policyId": "org.acme:p", "entries": {"ADMIN": ADMIN, **entries}}


def entry(**members: object) -> dict[str, object]:
    return {"subjects": {"nginx:b": {}}, "resources": {}, **members}


def resources(value: object) -> dict[str, object]:
    return document(X=entry(resources=value))


def subjects(value: object) -> dict[str, object]:
    return document(X=entry(subjects=value))


FULL = {
    "policyId": "org.acme:p",
    "imports": {
        "org.acme:roles": {"entries": ["x"], "transitiveImports": ["org.acme:base"]},
        "org.acme:more": {},
    },
    "entries": {
        "ADMIN": ADMIN,
        "X": {
            "subjects": {
                "nginx:b": {
                    "type": "t",
                    "expiry": "2030-01-01T00:00:00Z",
                    "announcement": {
                        "beforeExpiry": "1h",
                        "whenDeleted": True,
                        "requestedAcks": {"labels": ["abc:def"], "timeout": "10s"},
                        "randomizationInterval": "5m",
                    },
                }
            },
            "resources": {"thing:/features/x": {"grant": ["READ"], "revoke": ["WRITE"]}},
            "namespaces": ["com.acme", "com.acme.*"],
            "importable": "never",
            "allowedAdditions": ["subjects", "namespaces"],
            "references": [{"entry": "ADMIN"}, {"import": "org.acme:roles", "entry": "x"}],
        },
    },
}


def announced(value: object) -> dict[str, object]:
    return subjects({"nginx:b": {"announcement": value}})


def imports(value: object) -> dict[str, object]:
    return document() | {"imports": value}


def test_a_policy_comes_back_as_it_was_given() -> None:
    assert parse_policy(FULL).to_json() == FULL
    assert load_policy(FULL, policy_id="org.acme:p").to_json() == FULL


def test_a_subject_knows_when_it_leaves_and_how_it_is_told() -> None:
    entry = parse_policy(FULL).entry("X")
    assert entry is not None
    (subject,) = entry.subjects
    assert subject.expires_ms == time.parse("2030-01-01T00:00:00Z")
    assert subject.announcement == Announcement(
        3_600_000, when_deleted=True, labels=("abc:def",), timeout_ms=10_000, spread_ms=300_000
    )
    assert subject.expiring_at(1000).document["expiry"] == "1970-01-01T00:00:01Z"


def test_grant_and_revoke_may_be_left_out_or_null_and_are_written_as_empty() -> None:
    written = parse_policy(resources({"thing:/": {}, "policy:/": {"revoke": None}})).to_json()
    entries = written["entries"]
    assert isinstance(entries, dict)
    empty: dict[str, list[str]] = {"grant": [], "revoke": []}
    assert entries["X"]["resources"] == {"thing:/": empty, "policy:/": empty}


def test_an_entry_is_implicit_unless_it_says_otherwise() -> None:
    written = parse_policy(document(X={})).to_json()["entries"]
    assert isinstance(written, dict)
    assert written["X"] == {"subjects": {}, "resources": {}, "importable": "implicit"}


def test_unknown_members_are_kept_and_reported() -> None:
    given = document(X=entry(importable="explicit", colour="blue"))
    given["note"] = 1
    parsed = parse_policy(given)
    assert parsed.to_json() == given
    assert parsed.reported == ("/entries/X/colour", "/note")


def test_hidden_members_are_dropped() -> None:
    parsed = parse_policy(document() | {"_revision": 4, "_modified": "x"})
    assert parsed.to_json() == document()
    assert parsed.reported == ()


def test_what_was_stored_by_an_older_release_is_read_all_the_same() -> None:
    odd = document(X=entry(subjects={"nginx:b": {"announcement": {"beforeExpiry": "soon"}}}))
    with pytest.raises(policy.InvalidAnnouncement):
        parse_policy(odd)
    loaded = load_policy(odd, policy_id="org.acme:p")
    assert loaded.entries[1].subjects[0].announcement is None
    assert load_policy({"entries": {}}, policy_id="a:b").entries == ()


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
        (announced([]), "policies:subjectannouncement.invalid"),
        (announced({"beforeExpiry": "soon"}), "policies:subjectannouncement.invalid"),
        (announced({"beforeExpiry": 5}), "policies:subjectannouncement.invalid"),
        (announced({"beforeExpiry": "999999999d"}), "policies:subjectannouncement.invalid"),
        (announced({"whenDeleted": "yes"}), "policies:subjectannouncement.invalid"),
        (announced({"requestedAcks": [1]}), "policies:subjectannouncement.invalid"),
        (announced({"requestedAcks": {"labels": ["a b"]}}), "policies:subjectannouncement.invalid"),
        (announced({"requestedAcks": {"labels": "abc"}}), "policies:subjectannouncement.invalid"),
        (imports([]), "policies:import.invalid"),
        (imports({"acme": {}}), "policies:import.invalid"),
        (imports({"a:b": []}), "policies:import.invalid"),
        (imports({"a:b": {"entries": "x"}}), "policies:import.invalid"),
        (imports({"a:b": {"entries": [1]}}), "policies:import.invalid"),
        (imports({"a:b": {"transitiveImports": ["b"]}}), "policies:import.invalid"),
        (imports({"org.acme:p": {}}), "policies:import.invalid"),
        (imports({f"a:{n}": {} for n in range(11)}), "policies:imports.toolarge"),
        (document(X=entry(namespaces="com.acme")), "policies:entry.invalid"),
        (document(X=entry(namespaces=["*"])), "policies:entry.invalid"),
        (document(X=entry(namespaces=["com..acme"])), "policies:entry.invalid"),
        (document(X=entry(namespaces=[3])), "policies:entry.invalid"),
        (document(X=entry(references={})), "policies:entry.invalid"),
        (document(X=entry(references=["ADMIN"])), "policies:entry.invalid"),
        (document(X=entry(references=[{"entry": 3}])), "policies:entry.invalid"),
        (document(X=entry(references=[{"import": "a:b"}])), "policies:entry.invalid"),
        (document(X=entry(references=[{"entry": "X"}])), "policies:entry.invalid"),
        (document(X=entry(references=[{"entry": "Y"}])), "policies:entry.invalid"),
        (document(X=entry(references=[{"entry": "ADMIN"}] * 2)), "policies:entry.invalid"),
        (document(X=entry(references=[{"import": "a:b", "entry": "Y"}])), "policies:entry.invalid"),
        (document(X=entry(references=[{"entry": "Y"}]), Y=entry(importable="never")),
         "policies:entry.invalid"),
        (document() | {"policyId": "acme"}, "policies:id.invalid"),
        (document() | {"policyId": 1}, "policies:id.invalid"),
        ({"entries": {"ADMIN": ADMIN}}, "policies:id.invalid"),
        (document() | {"note": "x" * 102_400}, "policies:policy.toolarge"),
        ({"policyId": "a:b"}, "policies:policy.modificationinvalid"),
        ({"policyId": "a:b", "entries": {}}, "policies:policy.modificationinvalid"),
    ],
)  # fmt: skip
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


def test_an_import_lifts_the_rule_because_the_subject_may_come_from_there() -> None:
    assert parse_policy({"policyId": "a:b", "imports": {"a:c": {}}}).entries == ()


def test_who_may_change_the_policy_may_be_named_by_a_reference() -> None:
    who: dict[str, object] = {"subjects": {"nginx:a": {}}}
    what: dict[str, object] = {"resources": {"policy:/": {"grant": ["WRITE"]}}}
    entries = {"WHO": who, "WHAT": {**what, "references": [{"entry": "WHO"}]}}
    assert parse_policy({"policyId": "a:b", "entries": entries})
    cut = {"WHO": {**who, "allowedAdditions": []}, "WHAT": entries["WHAT"]}
    with pytest.raises(policy.PolicyLockedOut):
        parse_policy({"policyId": "a:b", "entries": cut})


def test_a_revoke_of_something_else_does_not_lock_out() -> None:
    assert isinstance(parse_policy(admin({}, ["READ"])), Policy)


def test_the_policy_of_a_thing_without_one_lets_its_creator_do_everything() -> None:
    parsed = policy.own_policy("a:b", "nginx:a")
    enforcer = policy.compile(parsed)
    for kind in ("thing:/", "policy:/", "message:/"):
        assert enforcer.may(frozenset({"nginx:a"}), "WRITE", kind)
        assert not enforcer.may(frozenset({"nginx:b"}), "READ", kind)
