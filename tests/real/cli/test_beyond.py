"""What the command line brings of the API, against a real node."""

import json

import pytest
import yaml

pytestmark = [pytest.mark.real, pytest.mark.slow]

SPACE = "org.beyond"


def manifest(kind, name, spec):
    return {"apiVersion": "littoral/v1", "kind": kind, "metadata": {"name": name}, "spec": spec}


@pytest.fixture(scope="module")
def fleet(node):
    """Three things; ann may read them, and write nothing."""
    rights = {f"{kind}:/": {"grant": ["READ", "WRITE"], "revoke": []} for kind in
              ("thing", "policy", "message")}  # fmt: skip
    sight = {"thing:/": {"grant": ["READ"], "revoke": []}}
    entries = {
        "admin": {"subjects": {"nginx:devops": {"type": "x"}}, "resources": rights},
        "sight": {"subjects": {"nginx:ann": {"type": "x"}}, "resources": sight},
    }
    documents = [manifest("Policy", f"{SPACE}:p", {"entries": entries})]
    documents += [
        manifest("Thing", f"{SPACE}:t{n}", {"policyId": f"{SPACE}:p", "attributes": {"n": n}})
        for n in range(3)
    ]
    done = node.run("apply", "-q", "-f", "-", stdin=yaml.safe_dump_all(documents))
    assert done.code == 0, done.err
    return node


def test_a_user_is_made_used_and_deleted(fleet):
    secret = "a long sentence"
    done = fleet.run("user", "set", "ann", stdin=secret + "\n")
    assert (done.code, done.out) == (0, "user/ann created (user)\n")
    assert "ann" in fleet.run("get", "users", "-o", "name").out.split()
    assert yaml.safe_load(fleet.run("describe", "user", "ann").out)["roles"] == ["user"]
    seen = fleet.run("get", "policies", "-o", "name", user="ann", password=secret)
    assert (seen.code, seen.out) == (0, "")
    told = fleet.run("why", f"{SPACE}:t0", "WRITE", "/attributes", "--subject", "nginx:ann")
    assert told.code == 1 and told.out.startswith("not allowed: No entry grants it")
    told = fleet.run("why", f"{SPACE}:t0", "read", "--subject", "nginx:ann")
    assert told.code == 0 and "sight" in told.out
    assert fleet.run("delete", "user", "ann").out == "user/ann deleted\n"
    assert fleet.run("describe", "user", "ann").code == 1


def test_a_key_is_made_used_and_revoked(fleet):
    done = fleet.run("apikey", "create", "nginx:devops", "--ttl", "1h", "--comment", "wall")
    assert done.code == 0 and len(done.out.split()) == 1
    words = ("get", "things", f"{SPACE}:t0", "-o", "name", "--api-key", done.out.strip())
    assert fleet.run(*words).out == f"{SPACE}:t0\n"
    (key,) = json.loads(fleet.run("get", "apikeys", "-o", "json").out)
    assert key["comment"] == "wall" and "key" not in key
    assert fleet.run("delete", "apikey", key["id"]).code == 0
    assert fleet.run(*words).code == 1


def test_policies_are_listed_with_their_entries(fleet):
    words = ("get", "policies", "--namespace", SPACE)
    assert fleet.run(*words, "-o", "name").out == f"{SPACE}:p\n"
    assert "admin, sight" in fleet.run(*words).out


def test_a_bulk_is_done_when_told_and_history_shows_it(fleet):
    words = ("bulk", "merge", "-q", "ge(attributes/n,1)", "--namespace", SPACE)
    words += ("--path", "/attributes", "--value", '{"seen": true}')
    tried = fleet.run(*words)
    assert tried.code == 3 and tried.out.startswith("dry run: 2 found, 2 changed")
    assert "--yes would change 2 things" in tried.err
    done = fleet.run(*words, "--yes")
    assert done.code == 0 and done.out.startswith("2 found, 2 changed"), done.err
    changes = json.loads(fleet.run("history", f"{SPACE}:t1", "-o", "json").out)
    assert [(one["revision"], one["action"]) for one in changes] == [(1, "created"), (2, "merged")]
    assert changes[-1]["value"] == {"seen": True}
    last = fleet.run("history", f"{SPACE}:t1", "--from", "2", "-o", "name")
    assert last.out == "2\n"
    newest = fleet.run("history", f"{SPACE}:t1", "--from", "-1", "-o", "name")
    assert (
        newest.out.splitlines()
        == fleet.run("history", f"{SPACE}:t1", "-o", "name").out.splitlines()[-1:]
    )
    assert fleet.run("history", f"{SPACE}:t9").code == 1
    assert fleet.run("history", f"{SPACE}:p", "--policy", "-o", "name").out == "1\n"


def test_what_waits_for_a_device_is_listed_and_cancelled(fleet):
    sent = fleet.run("send", f"{SPACE}:t0", "hoist", "{}", "--keep", "1h", "--timeout", "0")
    assert sent.code == 0, sent.err
    (mail,) = json.loads(fleet.run("mailbox", "list", f"{SPACE}:t0", "-o", "json").out)
    assert mail["subject"] == "hoist"
    done = fleet.run("mailbox", "cancel", f"{SPACE}:t0", mail["messageId"])
    assert done.out == f"message/{mail['messageId']} cancelled\n"
    assert fleet.run("mailbox", "list", f"{SPACE}:t0", "-o", "name").out == ""


def test_a_device_and_its_tenant_are_deleted(fleet):
    documents = [
        manifest("Tenant", "short", {"namespaces": ["org.short"]}),
        {
            "apiVersion": "littoral/v1",
            "kind": "Device",
            "metadata": {"tenant": "short", "name": "d"},
            "spec": {},
        },
    ]
    assert fleet.run("apply", "-q", "-f", "-", stdin=yaml.safe_dump_all(documents)).code == 0
    refused = fleet.run("delete", "tenant", "short")
    assert refused.code == 1 and refused.err.count("\n") == 1
    assert "short/d" in fleet.run("get", "devices", "-o", "name").out.split()
    assert fleet.run("delete", "device", "short/d").out == "device/short/d deleted\n"
    assert fleet.run("delete", "tenant", "short").out == "tenant/short deleted\n"
