"""user set, apikey create, why, bulk, mailbox, history."""

import json

import pytest

from littoral.cli.identities import seconds_of
from littoral.cli.output import Form, show
from littoral.cli.records import CHANGES, _first, _rows
from littoral.client import Signal

V1 = "/api/littoral/v1"
MISSING = {"status": 404, "error": "registry.missing", "message": "there is none."}
BULK = f"POST {V1}/bulk/things"
COUNTS = {"matched": 3, "changed": 2, "unchanged": 0, "refused": 1}
REFUSALS = {
    "refusedByCode": {"things:thing.notmodifiable": 1},
    "refusals": [
        {"thingId": "n:c", "error": "things:thing.notmodifiable", "message": "not yours."}
    ],
    "sample": ["n:a", "n:b"],
    "stopped": "",
}
WORDS = ("bulk", "merge", "-q", "exists(thingId)", "--path", "/attributes", "--value")


def bulk_lines(*, dry_run, refused=1):
    counts = COUNTS | {"refused": refused}
    more = REFUSALS if refused else {}
    report = {"dryRun": dry_run, **counts, **more}
    return (200, f"{json.dumps({'progress': counts})}\n{json.dumps({'report': report})}\n".encode())


def test_a_user_is_made_with_a_password_from_standard_input(littoral):
    answers = {
        f"GET {V1}/users/ann": [(404, MISSING)],
        f"PUT {V1}/users/ann": [(201, {"name": "ann", "roles": ["user"]})],
    }
    done = littoral("user", "set", "ann", answers=answers, stdin="a long sentence\nmore\n")
    assert (done.code, done.out) == (0, "user/ann created (user)\n")
    assert done.asked[-1][1] == {"password": "a long sentence", "roles": ["user"]}


def test_another_password_leaves_the_roles_as_they_are(littoral):
    answers = {
        f"GET {V1}/users/ann": [(200, {"name": "ann", "roles": ["admin", "user"]})],
        f"PUT {V1}/users/ann": [(200, {"name": "ann", "roles": ["admin", "user"]})],
    }
    done = littoral("user", "set", "ann", answers=answers, stdin="a long sentence")
    assert done.asked[-1][1]["roles"] == ["admin", "user"] and "changed" in done.out
    words = ("user", "set", "ann", "--role", "status", "--role", "user")
    done = littoral(*words, answers=answers, stdin="a long sentence\n")
    assert done.asked[-1][1]["roles"] == ["status", "user"]


def test_a_user_without_a_password_is_a_usage_error(littoral):
    done = littoral("user", "set", "ann", answers={}, stdin="")
    assert done.code == 2 and "no password" in done.err
    assert littoral("user", "set", "ann", "--role", "king", answers={}, stdin="x").code == 2


@pytest.mark.parametrize("form", ["table", "name"])
def test_a_key_is_alone_on_standard_output(littoral, form):
    made = {"id": "k1", "subjects": ["app:x"], "key": "lk_k1_secret", "expires": "2027"}
    done = littoral(
        *("apikey", "create", "app:x", "app:y", "--role", "status", "--ttl", "90d"),
        *("--comment", "wall", "-o", form),
        answers={f"POST {V1}/apikeys": [(201, made)]},
    )
    assert (done.code, done.out) == (0, "lk_k1_secret\n") and "secret" not in done.err
    assert done.asked[0][1] == {
        "subjects": ["app:x", "app:y"],
        "roles": ["status"],
        "comment": "wall",
        "ttlS": 90 * 86_400,
    }


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("2m", 120), ("1h", 3600), ("1w", 604800)]
)
def test_times_have_units(text, seconds):
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["", "0", "-1", "1y", "h", "1.5h"])
def test_other_times_are_usage_errors(littoral, text):
    done = littoral("apikey", "create", "app:x", f"--ttl={text}", answers={})
    assert done.code == 2 and "is no time" in done.err


def rule(entry, depth, subject="nginx:ann"):
    return {
        "entry": entry,
        "subject": subject,
        "resource": "thing:/",
        "depth": depth,
        "policyId": "n:p",
    }


def test_a_decision_is_a_sentence_and_its_rules_the_deepest_first(littoral):
    decision = {
        "allowed": False,
        "because": "Entry 'a' grants it, but entry 'b' revokes it.",
        "policyId": "n:p",
        "grantedBy": [rule("shallow", 0), rule("deep", 2)],
        "revokedBy": [rule("no", 2)],
    }
    done = littoral(
        *("why", "n:x", "write", "/features/lamp", "--subject", "nginx:ann"),
        answers={f"POST {V1}/explain/policy": [(200, decision)]},
    )
    first, _, heading, *rows = done.out.splitlines()
    assert done.code == 1 and first == f"not allowed: {decision['because']}"
    assert heading.split() == ["EFFECT", "ENTRY", "SUBJECT", "RESOURCE", "POLICY", "ID"]
    assert [row.split()[:2] for row in rows] == [
        ["revoke", "no"],
        ["grant", "deep"],
        ["grant", "shallow"],
    ]
    assert done.asked[0][1] == {
        "permission": "WRITE",
        "resource": "thing:/features/lamp",
        "thingId": "n:x",
        "subjects": ["nginx:ann"],
    }


def test_a_policy_is_asked_about_itself(littoral):
    answers = {f"POST {V1}/explain/policy": [(200, {"allowed": True, "because": "So."})]}
    done = littoral("why", "n:p", "READ", "--policy", "-o", "name", answers=answers)
    assert (done.code, done.out) == (0, "allowed\n")
    assert done.asked[0][1] == {"permission": "READ", "resource": "policy:/", "policyId": "n:p"}


def test_a_bulk_is_rehearsed_and_done_only_when_told(littoral):
    done = littoral(*WORDS, '{"n": 1}', answers={BULK: [bulk_lines(dry_run=True)]})
    assert done.code == 3 and "--yes would change 2 things" in done.err
    assert done.out.startswith("dry run: 3 found, 2 changed, 0 unchanged, 1 refused\n")
    assert "n:c" in done.out and "not yours." in done.out
    assert "looking: 3 found" in done.err
    assert [one[1]["dryRun"] for one in done.asked] == [True]


def test_a_bulk_with_yes_is_done_at_once(littoral):
    words = (*WORDS, "n: 1", "--yes", "--condition", "exists(x)", "--namespace", "n")
    done = littoral(*words, answers={BULK: [bulk_lines(dry_run=False, refused=0)]})
    assert done.code == 0 and done.out.startswith("3 found, 2 changed")
    assert done.asked[0][1] == {
        "action": "merge",
        "filter": "exists(thingId)",
        "path": "/attributes",
        "value": {"n": 1},
        "namespaces": ["n"],
        "headers": {"condition": "exists(x)"},
        "dryRun": False,
        "stopAtRefusals": 0,
    }
    assert littoral(*words, answers={BULK: [bulk_lines(dry_run=False)]}).code == 1


def test_a_bulk_takes_its_value_from_a_file_and_a_report_is_json(littoral, tmp_path):
    file = tmp_path / "value.yaml"
    file.write_text("since: 2026-11-22\n")
    words = (*WORDS[:-1], "-f", str(file), "--dry-run", "-o", "json")
    done = littoral(*words, answers={BULK: [bulk_lines(dry_run=True, refused=0)]})
    assert done.code == 0 and json.loads(done.out)["changed"] == 2
    assert done.asked[0][1]["value"] == {"since": "2026-11-22"}


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (("merge",), "takes a value"),
        (("merge", "--value", "1", "-f", "x"), "takes a value"),
        (("delete", "--value", "1"), "takes no value"),
        (("delete", "--yes", "--dry-run"), "contradict"),
    ],
)
def test_a_bulk_that_makes_no_sense_is_a_usage_error(littoral, words, hint):
    done = littoral("bulk", *words, "-q", "exists(thingId)", answers={})
    assert done.code == 2 and hint in done.err


@pytest.mark.parametrize("value", ["a: [", "a: 1\na: 2"])
def test_a_value_that_cannot_be_read_is_told(littoral, value):
    assert littoral(*WORDS, value, answers={}).error.code == "cli.manifest.invalid"


def test_a_mailbox_is_listed_and_emptied(littoral):
    mail = {"messageId": "m1", "subject": "hoist", "sender": "nginx:ann", "offered": 2}
    box = f"{V1}/things/n:x/mailbox"
    answers = {
        f"GET {box}": [(200, {"items": [mail]})],
        f"DELETE {box}/m1": [(204, None)],
        f"DELETE {box}": [(200, {"cancelled": ["m2", "m3"]})],
    }
    done = littoral("mailbox", "list", "n:x", answers=answers)
    assert done.out.splitlines()[1].split() == ["m1", "hoist", "-", "nginx:ann", "-", "-", "2"]
    done = littoral("mailbox", "cancel", "n:x", "m1", answers=answers)
    assert done.out == "message/m1 cancelled\n"
    done = littoral("mailbox", "cancel", "n:x", "--all", answers=answers)
    assert done.out == "message/m2 cancelled\nmessage/m3 cancelled\n"
    assert littoral("mailbox", "cancel", "n:x", answers=answers).code == 2


def test_incidents_are_a_table_of_the_newest(littoral):
    conflict = {"seq": 7, "kind": "conflict", "at": "18:00", "node": "plant"}
    lost = {"thingId": "n:x", "path": "/a", "details": {"lost": 1}}
    loss = {**conflict, "seq": 9, "kind": "loss", "details": {"count": 7}}
    pages = [
        (200, {"items": [conflict | lost], "next": "8"}),
        (200, {"items": [], "next": "9"}),
        (200, {"items": [loss], "next": ""}),
    ]
    done = littoral("incidents", answers={f"GET {V1}/incidents": pages})
    _, first, second = done.out.splitlines()
    assert first.split()[1:5] == ["conflict", "plant", "n:x", "/a"]
    assert second.split()[1:5] == ["loss", "plant", "-", "-"]
    done = littoral(
        "incidents", "--limit", "1", "-o", "name", answers={f"GET {V1}/incidents": pages}
    )
    assert (done.code, done.out) == (0, "9\n")


def test_changes_are_rows_and_the_rest_is_told(capsys):
    changes = (
        Signal("n/x/things/twin/events/modified", "/attributes", {"n": n}, revision=n)
        for n in range(1, 5)
    )
    rows = _first(_rows(changes, as_text=True), 2)
    assert show(rows, form=Form.TABLE, columns=CHANGES, name="revision") == 2
    out, err = capsys.readouterr()
    assert out.splitlines()[1].split() == ["1", "-", "modified", "/attributes", '{"n":', "1}"]
    assert "more than 2" in err
