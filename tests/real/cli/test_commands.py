"""``littoral`` as people run it: a process of its own, against a real node."""

import base64
import hashlib
import json
import os
import pty
import re
import select
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

pytestmark = [pytest.mark.real, pytest.mark.slow]

EXAMPLES = Path(__file__).parents[3] / "examples" / "manifests"
ADMIN_POLICY = {
    "entries": {
        "admin": {
            "subjects": {"nginx:devops": {"type": "admin"}},
            "resources": {
                path: {"grant": ["READ", "WRITE"], "revoke": []}
                for path in ("thing:/", "policy:/", "message:/")
            },
        }
    }
}


def manifest(kind, metadata, spec):
    return {"apiVersion": "littoral/v1", "kind": kind, "metadata": metadata, "spec": spec}


def tenant(name):
    space = f"org.{name}"
    return [
        manifest(
            "Tenant", {"name": name}, {"namespaces": [space], "defaultPolicy": f"{space}:default"}
        ),
        manifest("Policy", {"name": f"{space}:default"}, ADMIN_POLICY),
    ]


def hashed_device(tenant_name, name):
    salt = hashlib.sha256(name.encode()).digest()[:8]
    secret = {
        "hash-function": "sha-256",
        "salt": base64.b64encode(salt).decode(),
        "pwd-hash": base64.b64encode(hashlib.sha256(salt + b"secret").digest()).decode(),
    }
    credentials = [{"type": "hashed-password", "authId": name, "secrets": [secret]}]
    return manifest("Device", {"tenant": tenant_name, "name": name}, {"credentials": credentials})


def test_the_examples_apply_and_apply_again_changes_nothing(node):
    first = node.run("apply", "-f", str(EXAMPLES))
    assert (first.code, first.err) == (0, "")
    assert "device/harbour/crane-1 " in first.out
    again = node.run("apply", "-q", "-f", str(EXAMPLES))
    assert re.fullmatch(r"\d+ unchanged in [\d.]+ s\n", again.out)
    thing = json.loads(
        node.run("describe", "thing", "com.example.harbour:crane-1", "-o", "json").out
    )
    assert thing["attributes"] == {"place": "quay 3", "reachM": 52}
    assert thing["_revision"] == 1


def test_a_list_is_a_table_names_json_or_yaml(node):
    documents = [
        *tenant("forms"),
        manifest("Thing", {"name": "org.forms:x"}, {"policyId": "org.forms:default"}),
    ]
    assert node.run("apply", "-f", "-", stdin=yaml.safe_dump_all(documents)).code == 0
    words = ("get", "things", "org.forms:x")
    assert node.run(*words, "-o", "name").out == "org.forms:x\n"
    (whole,) = json.loads(node.run(*words, "-o", "json").out)
    assert whole["policyId"] == "org.forms:default"
    assert list(yaml.safe_load_all(node.run(*words, "-o", "yaml").out)) == [whole]
    heading, row = node.run(*words).out.splitlines()
    assert heading.split()[:2] == ["THING", "ID"] and row.startswith("org.forms:x ")
    assert "DEFAULT_TENANT" in node.run("get", "devices").out
    assert "forms" in node.run("get", "tenants", "-o", "name").out.splitlines()


def test_what_is_not_there_is_exit_code_1(node):
    gone = node.run("get", "things", "org.nobody:x")
    assert gone.code == 1 and "not yours to see: org.nobody:x." in gone.err
    gone = node.run("describe", "device", "DEFAULT_TENANT/4712")
    assert (gone.code, gone.out) == (1, "")
    assert gone.err == (
        "littoral: there is no device DEFAULT_TENANT/4712. `littoral get devices` lists them.\n"
    )


def test_refused_manifests_are_told_with_line_and_suggestion(node, tmp_path):
    file = tmp_path / "wrong.yaml"
    file.write_text(
        "apiVersion: littoral/v1\nkind: Device\nmetadata: {tenant: DEFAULT_TENANT, name: d}\n"
        "spec:\n  credentals: []\n---\n"
        "apiVersion: littoral/v1\nkind: Devicce\nmetadata: {name: d}\n---\n"
        "apiVersion: littoral/v1\nkind: Tenant\nmetadata: {name: fine}\nspec: {namespaces: [org.fine]}\n"
    )
    done = node.run("apply", "-f", str(file))
    assert done.code == 1
    first, second = done.err.splitlines()
    assert first.startswith(f"{file}:5: Device DEFAULT_TENANT/d: ") and "'credentials'" in first
    assert second.startswith(f"{file}:7: Devicce d: ") and "'Device'" in second
    assert "tenant/fine created" in done.out and "1 created, 2 refused" in done.out


def test_broken_yaml_is_one_line_and_no_traceback(node):
    done = node.run("apply", "-f", "-", stdin="a: [1,\nb: }\n")
    assert done.code == 1 and done.err.startswith("littoral: stdin:2:4: ")
    assert done.err.count("\n") == 1


@pytest.mark.parametrize(
    ("user", "password"), [("devops", "wrong"), ("nobody", "foobar"), ("", "")]
)
def test_a_wrong_password_is_told_without_a_traceback(node, user, password):
    done = node.run("status", user=user, password=password)
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("littoral: ") and done.err.count("\n") == 1


def test_people_who_are_no_administrators_are_refused(node):
    done = node.run("apply", "-f", str(EXAMPLES), user="ditto", password="ditto")
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("littoral: ") and done.err.count("\n") == 1


def test_options_hold_after_the_command_too(command, node):
    words = ("--url", f"http://{node.http}", "--user", "devops", "--password", "foobar")
    assert command("get", "tenants", *words).code == 0
    assert command(*words, "get", "tenants").code == 0


def test_a_node_that_is_down_is_one_clear_line(command):
    done = command("get", "things", LITTORAL_URL="http://127.0.0.1:1")
    assert done.code == 1 and "Start one with `littoral up`" in done.err
    assert done.err.count("\n") == 1


def test_something_else_at_the_address_is_told_as_such(command, node):
    done = command("get", "things", LITTORAL_URL=f"http://{node.mqtt}")
    assert done.code == 1 and done.err.count("\n") == 1


def test_status_and_doctor_say_that_all_is_well(node):
    status = node.run("status")
    assert status.code == 0 and "cloud (cloud, littoral" in status.out and "is ready" in status.out
    assert json.loads(node.run("status", "-o", "json").out)["ready"] is True
    doctor = node.run("doctor", "--data-dir", str(node.data_dir))
    assert doctor.code == 0
    assert {line.split()[0] for line in doctor.out.splitlines()} == {"ok"}


def test_doctor_fails_and_advises_when_there_is_no_node(command):
    done = command("doctor", LITTORAL_URL="http://127.0.0.1:1")
    assert done.code == 1 and "fail" in done.out and "littoral up" in done.out


def test_a_token_is_alone_on_standard_output(node):
    node.run("apply", "-f", "-", stdin=yaml.safe_dump_all(tenant("quays")))
    done = node.run("token", "create", "quay", "--tenant", "quays", "-o", "name")
    assert done.code == 0 and len(done.out.split()) == 1
    spoken = node.run("token", "create", "quay", "--tenant", "quays")
    assert spoken.out.startswith("littoral edge --token ") and "for site quay" in spoken.err


def test_a_change_is_watched_as_a_line_of_json(node):
    documents = [
        *tenant("seen"),
        manifest("Thing", {"name": "org.seen:x"}, {"policyId": "org.seen:default"}),
    ]
    node.run("apply", "-f", "-", stdin=yaml.safe_dump_all(documents))
    watcher = subprocess.Popen(
        ["/usr/bin/env", *variables(node), littoral(), "watch", "org.seen:x", "-o", "json"],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        seen = None
        for number in range(50):  # until the watcher is there; what came before it is not shown
            documents[-1]["spec"]["attributes"] = {"n": number}
            node.run("apply", "-f", "-", stdin=yaml.safe_dump(documents[-1]))
            if seen := read_line(watcher.stdout):
                break
        change = json.loads(seen)
        assert change["thingId"] == "org.seen:x" and "n" in change["attributes"]
    finally:
        watcher.terminate()
        watcher.wait(10)
        watcher.stdout.close()


def read_line(stream):
    ready, _, _ = select.select([stream], [], [], 0.3)
    return stream.readline() if ready else None


def littoral():
    return str(Path(sys.executable).with_name("littoral"))


def variables(node):
    return (
        f"LITTORAL_URL=http://{node.http}",
        "LITTORAL_USER=devops",
        "LITTORAL_PASSWORD=foobar",
    )


def test_a_message_to_nobody_ends_in_time_with_exit_code_1(node):
    node.run("apply", "-f", str(EXAMPLES))
    done = node.run("send", "com.example.harbour:crane-1", "hoist", "{}", "--timeout", "0.5")
    assert (done.code, done.out) == (1, "") and "in time" in done.err
    without = node.run("send", "com.example.harbour:crane-1", "hoist", "{}", "--timeout", "0")
    assert without.code == 0 and "status 202" in without.err


def test_a_thing_is_deleted_once(node):
    documents = [
        *tenant("gone"),
        manifest("Thing", {"name": "org.gone:x"}, {"policyId": "org.gone:default"}),
    ]
    node.run("apply", "-f", "-", stdin=yaml.safe_dump_all(documents))
    assert node.run("delete", "thing", "org.gone:x").out == "thing/org.gone:x deleted\n"
    again = node.run("delete", "thing", "org.gone:x")
    assert again.code == 1 and "does not exist" in again.err


def test_two_thousand_hashed_devices_are_applied_from_one_stream(node):
    count = 2000
    documents = [*tenant("fleet"), *(hashed_device("fleet", f"d{n:04}") for n in range(count))]
    done = node.run("apply", "-f", "-", stdin=yaml.dump_all(documents, Dumper=yaml.CSafeDumper))
    assert done.code == 0 and f"{count + 2:,} created" in done.out
    listed = node.run("get", "devices", "--tenant", "fleet", "--limit", "5000", "-o", "name")
    assert len(listed.out.split()) == count
    few = node.run("get", "devices", "--tenant", "fleet", "--limit", "10", "-o", "name")
    assert len(few.out.split()) == 10 and "raise --limit" in few.err


@pytest.mark.parametrize("no_color", ["", "1"])
def test_colours_are_for_terminals_and_can_be_refused(node, no_color):
    main_end, command_end = pty.openpty()
    try:
        done = subprocess.run(
            [
                "/usr/bin/env",
                *variables(node),
                f"NO_COLOR={no_color}",
                "TERM=xterm",
                littoral(),
                "status",
            ],
            stdout=command_end,
            check=False,
            timeout=30,
        )
        text = os.read(main_end, 65536).decode()
    finally:
        os.close(main_end)
        os.close(command_end)
    assert done.returncode == 0 and "ready" in text
    assert ("\x1b[32m" in text) == (not no_color)


def test_a_reader_that_goes_away_is_no_traceback(node):
    done = subprocess.run(
        ["/bin/sh", "-c", f"{littoral()} get devices -o name --limit 100000 | head -1"],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
        env=dict(v.split("=", 1) for v in variables(node)) | {"PATH": "/usr/bin:/bin"},
    )
    assert done.returncode == 0 and "Traceback" not in done.stderr


def test_the_version_is_there_in_a_moment(command):
    done = command("version")
    assert done.code == 0 and done.out.startswith("littoral ")
