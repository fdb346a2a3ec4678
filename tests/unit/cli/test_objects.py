"""get, describe and delete of every kind."""

import json

import pytest

V1 = "/api/littoral/v1"
USERS = {"items": [{"name": "ann", "subjects": ["nginx:ann"], "roles": ["user"]}], "next": ""}
KEY = {
    "id": "k1",
    "subjects": ["app:x"],
    "roles": [],
    "comment": "[wall]",
    "created": "2026-11-22T18:00:00Z",
    "expires": None,
}
MISSING = {"status": 404, "error": "registry.missing", "message": "there is none."}
DEVICES = {
    "items": [{"tenant": "t", "id": "d1", "thingId": "org.t:d1", "enabled": True}],
    "next": "",
}


def test_users_are_a_table_with_their_roles(littoral):
    done = littoral("get", "users", answers={f"GET {V1}/users": [(200, USERS)]})
    heading, row = done.out.splitlines()
    assert (done.code, heading.split()) == (0, ["NAME", "ROLES", "SUBJECTS"])
    assert row.split() == ["ann", "user", "nginx:ann"]


def test_api_keys_are_listed_without_a_member_for_their_secret(littoral):
    answers = {f"GET {V1}/apikeys": [(200, {"items": [KEY], "next": ""})]}
    (key,) = json.loads(littoral("get", "apikeys", "-o", "json", answers=answers).out)
    assert key["id"] == "k1" and "key" not in key
    assert "[wall]" in littoral("get", "apikeys", answers=answers).out


def test_named_users_and_keys_are_asked_for_one_by_one(littoral):
    answers = {
        f"GET {V1}/apikeys/k1": [(200, KEY)],
        f"GET {V1}/apikeys/k2": [(404, MISSING)],
        f"GET {V1}/users/bob": [(404, MISSING)],
    }
    done = littoral("get", "apikeys", "k1", "k2", "-o", "name", answers=answers)
    assert (done.code, done.out) == (1, "k1\n") and "not yours to see: k2.\n" in done.err
    done = littoral("describe", "user", "bob", answers=answers)
    assert (done.code, done.out) == (1, "") and "`littoral get users` lists them" in done.err


def test_policies_are_listed(littoral):
    answers = {
        f"GET {V1}/policies": [(200, {"items": ["n:a", "n:gone"], "next": ""})],
        "GET /api/2/policies/n:a": [
            (200, {"policyId": "n:a", "entries": {"owner": {}}, "_revision": 3})
        ],
        "GET /api/2/policies/n:gone": [(404, MISSING)],
    }
    done = littoral("get", "policies", "--namespace", "n", answers=answers)
    _, row = done.out.splitlines()
    assert (done.code, row.split()) == (0, ["n:a", "owner", "-", "3", "-"])


def test_devices_are_named_with_their_tenant(littoral):
    answers = {
        f"GET {V1}/tenants": [(200, {"items": [{"id": "t", "namespaces": ["n"]}], "next": ""})],
        f"GET {V1}/devices": [(200, DEVICES)],
    }
    assert littoral("get", "devices", "-o", "name", answers=answers).out == "t/d1\n"


@pytest.mark.parametrize(
    ("kind", "name", "path"),
    [
        ("thing", "n:x", "/api/2/things/n:x"),
        ("policy", "n:p", "/api/2/policies/n:p"),
        ("tenant", "t", f"{V1}/tenants/t"),
        ("device", "t/d1", f"{V1}/devices/t/d1"),
        ("sites", "quay", f"{V1}/sites/quay"),
        ("user", "ann", f"{V1}/users/ann"),
        ("apikey", "k1", f"{V1}/apikeys/k1"),
    ],
)
def test_every_kind_is_deleted(littoral, kind, name, path):
    done = littoral("delete", kind, name, answers={f"DELETE {path}": [(204, None)]})
    assert (done.code, done.out) == (0, f"{kind.removesuffix('s')}/{name} deleted\n")


def test_deleting_ends_at_the_first_that_is_refused(littoral):
    answers = {
        f"DELETE {V1}/users/a": [(204, None)],
        f"DELETE {V1}/users/b": [(404, MISSING)],
    }
    done = littoral("delete", "users", "a", "b", "c", answers=answers)
    assert done.out == "user/a deleted\n" and done.error.code == "registry.missing"


def test_a_device_without_a_tenant_is_a_usage_error(littoral):
    done = littoral("delete", "device", "d1", answers={})
    assert done.code == 2 and "write TENANT/DEVICE" in done.err


def test_a_device_is_found_by_its_own_id_and_the_missing_are_named(littoral):
    answers = {
        f"GET {V1}/tenants": [(200, {"items": [{"id": "t", "namespaces": ["n"]}], "next": ""})],
        f"GET {V1}/devices": [(200, DEVICES)],
    }
    assert littoral("get", "devices", "d1", answers=answers).code == 0
    done = littoral("get", "devices", "t/d1", "t/d2", "d3", "-o", "name", answers=answers)
    assert (done.code, done.out) == (1, "t/d1\n")
    assert done.err.strip() == "littoral: not there, or not yours to see: t/d2, d3."
