"""/api/littoral/v1: bulk apply, listings, status, tokens."""

import asyncio
import json

import pytest

from littoral.api.model import APPLY_LINE_BYTES_MAX
from littoral.log.adapters.memory import MemoryStore

V1 = "/api/littoral/v1"
ADMIN = ("devops", "foobar")
TENANT = {
    "apiVersion": "littoral/v1",
    "kind": "Tenant",
    "metadata": {"name": "acme"},
    "spec": {"namespaces": ["org.acme"], "defaultPolicy": "org.acme:default"},
}
POLICY = {
    "apiVersion": "littoral/v1",
    "kind": "Policy",
    "metadata": {"name": "org.acme:default"},
    "spec": {
        "entries": {
            "owner": {
                "subjects": {"nginx:ditto": {"type": "x"}},
                "resources": {
                    "thing:/": {"grant": ["READ", "WRITE"], "revoke": []},
                    "policy:/": {"grant": ["READ", "WRITE"], "revoke": []},
                },
            }
        }
    },
}
THING = {
    "apiVersion": "littoral/v1",
    "kind": "Thing",
    "metadata": {"name": "org.acme:pump"},
    "spec": {"policyId": "org.acme:default", "attributes": {"a": 1}, "features": {"f": {}}},
}


def device(name, **credential):
    secret = credential or {"password": "secret"}
    return {
        "apiVersion": "littoral/v1",
        "kind": "Device",
        "metadata": {"tenant": "acme", "name": name},
        "spec": {"credentials": [{"type": "hashed-password", "authId": f"a-{name}"} | secret]},
    }


HASHED = {
    "pwdHash": "C9/T62m1tT4ZxxqyIiyN9fvoEqmL0qnM4/+M+GHHDzr0QzzkAUdGYyJBfxRSe4upDzb6TSC4k5cpZG17p4QCvA==",
    "hashFunction": "sha-512",
    "salt": "Mq7wFw==",
}


async def apply(node, *lines, user=ADMIN, pieces=None):
    body = b"\n".join(
        line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines
    )
    answer = await node.call("POST", V1 + "/apply", user=user, pieces=pieces or [body])
    assert answer.status == 200, answer.body
    assert answer.headers["content-type"] == "application/x-ndjson"
    return [json.loads(line) for line in answer.body.splitlines()]


def test_objects_are_declared_once_and_applying_again_changes_nothing(on_node):
    async def main(node):
        lines = [TENANT, POLICY, THING, device("d1", **HASHED), device("d2")]
        first = await apply(node, *lines)
        assert [line["result"] for line in first] == ["created"] * 5, first
        assert [(line["kind"], line["name"]) for line in first] == [
            ("Tenant", "acme"),
            ("Policy", "org.acme:default"),
            ("Thing", "org.acme:pump"),
            ("Device", "acme/d1"),
            ("Device", "acme/d2"),
        ]
        head = node.log.committed
        second = await apply(node, *lines)
        assert [line["result"] for line in second] == ["unchanged"] * 5
        assert node.log.committed == head
        who = await node.registry.authenticate_device("a-d2@acme", "secret")
        assert who.thing_id == "org.acme:d2"
        changed = [
            TENANT | {"spec": TENANT["spec"] | {"namespaces": ["org.acme", "org.acme2"]}},
            THING | {"spec": {"attributes": {"b": 2}}},
            device("d1", password="other"),
        ]
        assert [line["result"] for line in await apply(node, *changed)] == ["ok"] * 3
        thing = (await node.call("GET", "/api/2/things/org.acme:pump")).json
        assert thing["attributes"] == {"a": 1, "b": 2}, "what a manifest does not name stays"

    on_node(main)


def test_a_line_that_is_refused_does_not_stop_the_others(on_node):
    async def main(node):
        lines = [
            TENANT,
            b"nonsense",
            b"",
            b"[" * 1000,
            {"apiVersion": "littoral/v1", "kind": "Tenent", "metadata": {}, "spec": {}},
            TENANT | {"spec": {"namespace": ["x"]}},
            TENANT | {"metadata": {"name": "other"}},
            device("d") | {"metadata": {"tenant": "nobody", "name": "d"}},
            {**POLICY, "spec": {"entries": {}}},
            POLICY,
            b'{"x":"' + b"y" * APPLY_LINE_BYTES_MAX + b'"}',
            THING,
        ]
        got = await apply(node, *lines)
        assert [line["result"] for line in got] == [
            "created",
            *["error"] * 7,
            "created",
            "error",
            "created",
        ]
        assert got[3]["description"] == "Did you mean 'Tenant'?"
        assert got[4]["message"] == "Tenant has no field 'spec.namespace'."
        assert got[4]["description"] == "Did you mean 'namespaces'?"
        assert got[5]["error"] == "registry.conflict"
        assert got[6]["error"] == "registry.notfound"
        assert all(line["status"] >= 400 for line in got if line["result"] == "error")

    on_node(main)


def test_lines_may_be_cut_anywhere_on_their_way(on_node):
    async def main(node):
        body = b"\n".join(json.dumps(d).encode() for d in [TENANT, POLICY, THING]) + b"\n"
        pieces = [body[n : n + 7] for n in range(0, len(body), 7)]
        got = await apply(node, pieces=pieces)
        assert [line["result"] for line in got] == ["created"] * 3

    on_node(main)


def test_plain_passwords_of_many_devices_wait_their_turn(on_node):
    async def main(node):
        await apply(node, TENANT)
        got = await apply(node, *[device(f"d{n}") for n in range(300)])
        assert {line["result"] for line in got} == {"created"}
        assert [line["name"] for line in got] == [f"acme/d{n}" for n in range(300)]

    on_node(main)


def test_a_full_disk_is_told_line_by_line(on_node):
    store = MemoryStore()

    async def main(node):
        await apply(node, TENANT)
        store.capacity_bytes = 1
        got = await apply(node, POLICY, THING)
        assert [line["error"] for line in got] == ["log.full", "log.full"]
        assert got[0]["status"] == 503
        assert (await node.call("GET", V1 + "/tenants", user=ADMIN)).json["items"][0][
            "id"
        ] == "DEFAULT_TENANT"
        store.capacity_bytes = 1 << 40
        for _ in range(2):  # the log looks for room when it is asked, now and then
            await asyncio.sleep(60)
            await apply(node, POLICY)
        assert [line["result"] for line in await apply(node, POLICY)] == ["unchanged"]

    on_node(main, store=store)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/apply"),
        ("POST", "/tokens"),
        ("GET", "/devices?tenant=DEFAULT_TENANT"),
        ("GET", "/tenants"),
        ("GET", "/sites"),
        ("GET", "/status"),
    ],
)
def test_only_an_administrator_sees_and_changes_the_registry(on_node, method, path):
    async def main(node):
        answer = await node.call(method, V1 + path, b"{}")
        assert (answer.status, answer.code) == (403, "littoral.forbidden")
        assert (await node.call(method, V1 + path, b"{}", user=None)).status == 401

    on_node(main)


def test_everything_is_listed_page_by_page(on_node):
    async def main(node):
        lines = [TENANT, *[device(f"d{n}", **HASHED) for n in range(5)]]
        await apply(node, *lines)
        node.registry.put_site("one", tenants=["acme"])

        async def pages(path):
            items, after = [], ""
            while True:
                page = (
                    await node.call("GET", f"{V1}/{path}limit=2&after={after}", user=ADMIN)
                ).json
                items += page["items"]
                after = page["next"]
                if not after:
                    return items

        devices = await pages("devices?tenant=acme&")
        assert [d["id"] for d in devices] == [f"d{n}" for n in range(5)]
        assert devices[0] == {
            "tenant": "acme",
            "id": "d0",
            "thingId": "org.acme:d0",
            "enabled": True,
        }
        assert [t["id"] for t in await pages("tenants?")] == ["DEFAULT_TENANT", "acme"]
        assert await pages("sites?") == [
            {
                "name": "one",
                "tenants": ["acme"],
                "enrolled": False,
                "revoked": False,
                "link": {"session": "up"},
            }
        ]
        assert (await node.call("GET", V1 + "/devices", user=ADMIN)).status == 400
        assert (await node.call("GET", V1 + "/tenants?limit=0", user=ADMIN)).status == 400

    on_node(main, link_status=lambda: {"one": {"session": "up"}})


def test_ids_of_things_are_those_that_the_user_may_see(on_node):
    async def main(node):
        hidden = {
            "subjects": {"nginx:x": {"type": "x"}},
            "resources": POLICY["spec"]["entries"]["owner"]["resources"],
        }
        await node.twins.put_policy(node.admin, "org.acme:hidden", "/", {"entries": {"o": hidden}})
        for n in range(6):
            policy = "org.acme:hidden" if n % 2 else "org.littoral:default"
            await node.twins.modify(node.admin, f"org.acme:t{n}", "/", {"policyId": policy})
        seen = await node.call("GET", V1 + "/things")
        assert seen.json == {"items": ["org.acme:t0", "org.acme:t2", "org.acme:t4"], "next": ""}
        first = (await node.call("GET", V1 + "/things?limit=2")).json
        rest = (await node.call("GET", f"{V1}/things?limit=2&after={first['next']}")).json
        assert first["items"] + rest["items"] == seen.json["items"]
        all_of_them = await node.call("GET", V1 + "/things?namespaces=org.acme", user=ADMIN)
        assert len(all_of_them.json["items"]) == 6

    on_node(main)


def test_ids_of_policies_are_those_that_the_user_may_see(on_node):
    async def main(node):
        shut = POLICY["spec"]["entries"]["owner"] | {"subjects": {"nginx:x": {"type": "x"}}}
        for n in range(4):
            entries = {"o": shut} if n % 2 else POLICY["spec"]["entries"]
            await node.twins.put_policy(node.admin, f"org.acme:p{n}", "/", {"entries": entries})
        where = V1 + "/policies?namespaces=org.acme"
        seen = await node.call("GET", where)
        assert seen.json == {"items": ["org.acme:p0", "org.acme:p2"], "next": ""}
        first = (await node.call("GET", where + "&limit=1")).json
        assert first["items"] == ["org.acme:p0"] and first["next"]
        assert len((await node.call("GET", where, user=ADMIN)).json["items"]) == 4
        assert len((await node.call("GET", V1 + "/policies", user=ADMIN)).json["items"]) > 4

    on_node(main)


def test_status_tells_of_the_log_and_the_parts(on_node):
    async def main(node):
        status = (await node.call("GET", V1 + "/status", user=ADMIN)).json
        assert status["node"] == {"name": "cloud", "role": "cloud", "version": "0.1.0"}
        assert status["ready"] is True
        assert status["log"]["committed"] == node.log.committed
        assert {"state", "telemetry"} & {c["class"] for c in status["log"]["classes"]}
        assert status["parts"]["twins"]["hot"] >= 1

    on_node(main)


def test_a_token_is_issued_once_it_is_durable(on_node):
    async def main(node):
        await apply(node, TENANT)
        body = {"site": "one", "tenants": ["acme"], "ttlS": 60}
        answer = await node.call("POST", V1 + "/tokens", body, user=ADMIN)
        assert answer.status == 201
        token = answer.json
        site, _, secret = token["token"].partition("|")
        assert (site, token["site"]) == ("one", "one")
        assert node.registry.site_of_token(secret).name == "one"
        assert node.log.committed == node.log.head
        for wrong in (
            b"",
            b"{}",
            b'{"site":3}',
            b'{"site":"one","x":1}',
            b'{"site":"one","ttlS":0}',
        ):
            assert (await node.call("POST", V1 + "/tokens", wrong, user=ADMIN)).status == 400
        for name in ("a b", "cloud"):
            bad = await node.call("POST", V1 + "/tokens", {"site": name}, user=ADMIN)
            assert bad.status == 400
        assert "'cloud'" in bad.json["message"], "the node's own name"
        assert node.registry.site("cloud") is None

    on_node(main, token_text=lambda site, secret: f"{site}|{secret}")


def test_a_body_that_stops_is_told_after_what_came(on_node):
    async def main(node):
        pieces = [json.dumps(TENANT).encode() + b"\n", b"{"]
        sent = []

        async def receive():
            if not pieces:
                await asyncio.Event().wait()
            return {"type": "http.request", "body": pieces.pop(0), "more_body": True}

        async def send(message):
            sent.append(message)

        await node.door(node.scope("http", V1 + "/apply", ADMIN, [], method="POST"), receive, send)
        lines = [json.loads(m["body"]) for m in sent[1:] if m["body"].strip()]
        assert [line["result"] for line in lines] == ["created", "error"]
        assert lines[1]["error"] == "littoral.body.late"

    on_node(main)
