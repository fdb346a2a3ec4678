"""/api/2/things: statuses, headers and bodies as Ditto has them."""

import json

import pytest

T = "/api/2/things/org.acme:pump"
PUMP = {
    "policyId": "org.littoral:default",
    "attributes": {"model": "P1", "place": {"row": 3}},
    "features": {"motor": {"properties": {"rpm": 10}, "desiredProperties": {"rpm": 20}}},
}


def test_a_thing_is_created_read_replaced_and_deleted(on_node):
    async def main(node):
        made = await node.call("PUT", T, PUMP, headers={"host": "node:8080"})
        assert (made.status, made.headers["etag"]) == (201, '"rev:1"')
        assert made.headers["location"] == "http://node:8080/api/2/things/org.acme:pump"
        assert made.json == {"thingId": "org.acme:pump"} | PUMP
        read = await node.call("GET", T)
        assert (read.status, read.json) == (200, made.json)
        assert read.headers["content-type"] == "application/json"
        again = await node.call("PUT", T, {"attributes": {"model": "P2"}})
        assert (again.status, again.body, again.headers["etag"]) == (204, b"", '"rev:2"')
        assert (await node.call("GET", T)).json["policyId"] == "org.littoral:default"
        assert (await node.call("DELETE", T)).status == 204
        assert (await node.call("GET", T)).code == "things:thing.notfound"

    on_node(main)


PARTS = [
    ("/attributes", {"a": 1}),
    ("/attributes/deep/er", [1, None]),
    ("/attributes/a~0b", True),
    ("/definition", "org.acme:pump:1.0.0"),
    ("/features", {"f": {"properties": {}}}),
    ("/features/f", {"properties": {"p": 1}}),
    ("/features/f/definition", ["org.acme:motor:1"]),
    ("/features/f/properties", {"p": 1}),
    ("/features/f/properties/p/q", "x"),
    ("/features/f/desiredProperties", {"p": 1}),
    ("/features/f/desiredProperties/p/q", 2.5),
]


@pytest.mark.parametrize(("part", "value"), PARTS, ids=[p for p, _ in PARTS])
def test_each_part_of_a_thing_can_be_put_read_patched_and_deleted(on_node, part, value):
    async def main(node):
        await node.call("PUT", T, {"features": {"f": {}}, "attributes": {"deep": {}}})
        first = await node.call("PUT", T + part, value)
        assert first.status in {201, 204}, first.body
        assert first.headers["etag"].startswith('"hash:')
        read = await node.call("GET", T + part)
        assert (read.status, read.json) == (200, value)
        assert read.headers["etag"] == first.headers["etag"]
        second = await node.call("PUT", T + part, value)
        assert (second.status, second.body) == (204, b"")
        assert (await node.call("PATCH", T + part, value)).status == 204
        assert (await node.call("DELETE", T + part)).status == 204
        assert (await node.call("GET", T + part)).status == 404
        assert (await node.call("DELETE", T + part)).status == 404
        created = await node.call("PATCH", T + part, value)
        assert created.status == 201, created.body

    on_node(main)


def test_a_new_part_answers_with_its_value_and_its_address(on_node):
    async def main(node):
        await node.call("PUT", T, PUMP)
        made = await node.call("PUT", T + "/attributes/owner", "me", headers={"host": "h"})
        assert (made.status, made.json) == (201, "me")
        assert made.headers["location"] == f"http://h{T}/attributes/owner"

    on_node(main)


def test_the_policy_of_a_thing_can_be_changed_and_not_deleted(on_node):
    async def main(node):
        await node.call("PUT", T, {})
        assert (await node.call("GET", T + "/policyId")).json == "org.acme:pump"
        assert (await node.call("PUT", T + "/policyId", "org.littoral:default")).status == 204
        refused = await node.call("DELETE", T + "/policyId")
        assert (refused.status, refused.code) == (405, "gateway:method.notallowed")
        assert refused.headers["allow"] == "GET, PUT, PATCH"

    on_node(main)


def test_a_patch_merges_and_null_deletes(on_node):
    async def main(node):
        await node.call("PUT", T, PUMP)
        patch = {"attributes": {"model": None, "new": 1}}
        assert (await node.call("PATCH", T, patch)).status == 204
        assert (await node.call("GET", T + "/attributes")).json == {"place": {"row": 3}, "new": 1}
        made = await node.call("PATCH", "/api/2/things/org.acme:new", {"attributes": {"a": None}})
        assert (made.status, made.json["attributes"]) == (201, {})
        below = await node.call("PATCH", "/api/2/things/org.acme:none/attributes", {"a": 1})
        assert below.status == 404

    on_node(main)


def test_a_patch_of_another_type_is_refused(on_node):
    async def main(node):
        for kind in ("application/json", "text/plain"):
            answer = await node.call("PATCH", T, b"{}", headers={"content-type": kind})
            assert (answer.status, answer.code) == (415, "mediatype.unsupported")
        answer = await node.call("PUT", T, b"<x/>", headers={"content-type": "text/xml"})
        assert answer.status == 415

    on_node(main)


def test_post_gives_the_thing_its_id(on_node):
    async def main(node):
        made = await node.call("POST", "/api/2/things?namespace=org.acme", {"attributes": {"a": 1}})
        assert made.status == 201
        thing_id = made.json["thingId"]
        assert thing_id.startswith("org.acme:")
        assert made.headers["location"].endswith("/api/2/things/" + thing_id)
        assert (await node.call("GET", f"/api/2/things/{thing_id}")).json == made.json
        acks = {"requested-acks": "twin-persisted,search-persisted"}
        made = await node.call("POST", "/api/2/things", {}, headers=acks)
        thing_id = made.json["twin-persisted"]["payload"]["thingId"]
        assert made.headers["location"].endswith("/api/2/things/" + thing_id)
        again = await node.call("PUT", f"/api/2/things/{thing_id}", {}, headers=acks)
        assert (again.status, again.headers.get("location")) == (200, None)
        refused = await node.call("POST", "/api/2/things", {"thingId": "a:b"})
        assert (refused.status, refused.code) == (400, "things:id.notsettable")
        assert (await node.call("POST", "/api/2/things", [])).code == "json.invalid"

    on_node(main)


def test_preconditions_hold_writes_and_spare_reads(on_node):
    async def main(node):
        only_new = {"if-none-match": "*"}
        assert (await node.call("PUT", T, PUMP, headers=only_new)).status == 201
        refused = await node.call("PUT", T, PUMP, headers=only_new)
        assert (refused.status, refused.code) == (412, "things:precondition.failed")
        assert (await node.call("PUT", T, PUMP, headers={"if-match": '"rev:7"'})).status == 412
        assert (await node.call("PUT", T, PUMP, headers={"if-match": '"rev:1"'})).status == 204
        same = await node.call("GET", T, headers={"if-none-match": '"rev:2"'})
        assert (same.status, same.body) == (304, b"")
        assert (await node.call("GET", T, headers={"if-none-match": '"rev:1"'})).status == 200
        tag = (await node.call("GET", T + "/attributes/model")).headers["etag"]
        same = await node.call("GET", T + "/attributes/model", headers={"if-none-match": tag})
        assert (same.status, same.headers["etag"]) == (304, tag)
        skip = await node.call("PUT", T + "/attributes/model", "P1", headers={"if-equal": "skip"})
        assert skip.status == 412
        assert (await node.call("PUT", T, PUMP, headers={"if-equal": "maybe"})).status == 400

    on_node(main)


def test_fields_select_also_what_is_hidden(on_node):
    async def main(node):
        await node.call("PUT", T, PUMP)
        fields = "thingId,attributes(model),features/*/properties,_revision,_namespace,_policy"
        read = await node.call("GET", f"{T}?fields={fields}")
        policy = read.json.pop("_policy")
        assert policy["policyId"] == "org.littoral:default"
        assert {k: v for k, v in read.json.items() if k != "_policy"} == {
            "thingId": "org.acme:pump",
            "attributes": {"model": "P1"},
            "features": {"motor": {"properties": {"rpm": 10}}},
            "_revision": 1,
            "_namespace": "org.acme",
        }
        created = (await node.call("GET", f"{T}?fields=_created,_modified")).json
        assert set(created) == {"_created", "_modified"}
        assert "_revision" not in (await node.call("GET", T)).json
        part = await node.call("GET", f"{T}/features?fields=motor/properties")
        assert part.json == {"motor": {"properties": {"rpm": 10}}}
        bad = await node.call("GET", f"{T}?fields=a(b")
        assert (bad.status, bad.code) == (400, "json.fieldselector.invalid")

    on_node(main)


def test_an_old_revision_can_be_read(on_node):
    async def main(node):
        await node.call("PUT", T, PUMP)
        await node.call("PUT", T + "/attributes/model", "P2")
        old = await node.call("GET", T + "?at-historical-revision=1")
        assert old.json["attributes"]["model"] == "P1"
        old = await node.call(
            "GET", T + "/attributes/model", headers={"at-historical-revision": "1"}
        )
        assert old.json == "P1"
        none = await node.call("GET", T + "?at-historical-revision=9")
        assert (none.status, none.code) == (404, "things:thing.history.notfound")
        assert (await node.call("GET", T + "?at-historical-revision=x")).status == 400

    on_node(main)


def test_fire_and_forget_is_accepted_and_still_refused_if_wrong(on_node):
    async def main(node):
        assert (await node.call("PUT", T + "?timeout=0", PUMP)).status == 202
        assert (await node.call("PUT", T + "?response-required=false", PUMP)).status == 202
        assert (await node.call("DELETE", T + "/features/none?timeout=0s")).status == 404
        for wrong in (
            "timeout=61s",
            "timeout=soon",
            "timeout=0&response-required=true",
            "response-required=perhaps",
            "requested-acks=x",
        ):
            assert (await node.call("PUT", f"{T}?{wrong}", PUMP)).status == 400, wrong
        assert await node.call("PUT", f"{T}?timeout=250ms&requested-acks=twin-persisted", PUMP)

    on_node(main)


def test_what_this_release_has_not_is_refused_and_not_ignored(on_node):
    async def main(node):
        await node.call("PUT", T, PUMP)
        described = await node.call("GET", T, headers={"accept": "application/td+json"})
        assert (described.status, described.code) == (501, "littoral.unsupported")
        defaults = {
            "thingDefinitionUrl": "https://acme.org/pump.tm.jsonld",
            "initializeMissingPropertiesFromDefaults": True,
        }
        migrated = await node.call("POST", T + "/migrateDefinition", defaults)
        assert (migrated.status, migrated.code) == (501, "littoral.unsupported")

    on_node(main)


def test_several_things_come_in_the_order_asked_without_those_hidden(on_node):
    async def main(node):
        for name in "abc":
            await node.call("PUT", f"/api/2/things/org.acme:{name}", {"attributes": {"n": name}})
        ids = "org.acme:c,org.acme:none,org.acme:a,org.acme:c"
        read = await node.call("GET", f"/api/2/things?ids={ids}&fields=thingId")
        assert read.json == [{"thingId": "org.acme:c"}, {"thingId": "org.acme:a"}]
        assert (await node.call("GET", "/api/2/things?ids=nonsense")).status == 400

    on_node(main)


def test_all_things_come_page_by_page(on_node):
    async def main(node):
        for n in range(7):
            await node.call("PUT", f"/api/2/things/org.acme:t{n}", {})
        path, seen = "/api/2/things?option=size(3)&fields=thingId&namespaces=org.acme", []
        while path:
            page = await node.call("GET", path)
            seen += [thing["thingId"] for thing in page.json]
            link = page.headers.get("link", "")
            path = link.partition(">")[0].removeprefix("<")
        assert seen == [f"org.acme:t{n}" for n in range(7)]
        for option in ("size(0)", "size(999)", "cursor(%25)", "sort(+a)"):
            assert (await node.call("GET", f"/api/2/things?option={option}")).status == 400

    on_node(main)


def test_who_may_not_read_sees_nothing_and_who_may_not_write_is_told(on_node):
    async def main(node):
        await node.call("PUT", T, {"attributes": {"open": 1, "secret": 2}})
        policy = {
            "entries": {
                "owner": {
                    "subjects": {"nginx:ditto": {"type": "x"}},
                    "resources": {
                        "thing:/": {"grant": ["READ", "WRITE"], "revoke": []},
                        "policy:/": {"grant": ["READ", "WRITE"], "revoke": []},
                    },
                },
                "reader": {
                    "subjects": {"nginx:eve": {"type": "x"}},
                    "resources": {"thing:/attributes/open": {"grant": ["READ"], "revoke": []}},
                },
            }
        }
        put = await node.call("PUT", "/api/2/policies/org.acme:pump", policy)
        assert put.status == 204, put.body
        node.registry.put_user("eve", generated_password="e")
        node.registry.put_user("mallory", generated_password="m")
        eve = await node.call("GET", T, user=("eve", "e"))
        assert eve.json == {"thingId": "org.acme:pump", "attributes": {"open": 1}}
        hidden = await node.call("GET", T + "/attributes/secret", user=("eve", "e"))
        assert (hidden.status, hidden.code) == (404, "things:attribute.notfound")
        write = await node.call("PUT", T + "/attributes/open", 9, user=("eve", "e"))
        assert (write.status, write.code) == (403, "things:attribute.notmodifiable")
        mallory = await node.call("GET", T, user=("mallory", "m"))
        assert (mallory.status, mallory.code) == (404, "things:thing.notfound")
        assert (await node.call("DELETE", T, user=("mallory", "m"))).status == 403

    on_node(main)


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/api/2/things/nonamespace", 400, "things:id.invalid"),
        ("/api/2/things/a:" + "x" * 255, 400, "things:id.invalid"),
        (T + "/colour", 404, "littoral.route.missing"),
        (T + "/features/f/colour", 404, "littoral.route.missing"),
        (T + "/attributes//a", 400, "json.pointer.invalid"),
        (T + "/attributes" + "/a" * 64, 400, "json.pointer.invalid"),
        (T + "/attributes/%ff", 400, "header.invalid"),
        (T + "/attributes/a~2", 400, "json.pointer.invalid"),
    ],
)
def test_wrong_addresses_are_refused(on_node, path, status, code):
    async def main(node):
        await node.call("PUT", T, PUMP)
        answer = await node.call("GET", path)
        assert (answer.status, answer.code) == (status, code)

    on_node(main)


def test_an_id_and_a_path_at_their_limits_are_taken(on_node):
    async def main(node):
        longest = "/api/2/things/a:" + "x" * 254
        assert (await node.call("PUT", longest, {})).status == 201
        deep = longest + "/attributes" + "/a" * 63
        assert (
            await node.call(
                "PUT", longest + "/attributes", json.loads('{"a":' * 62 + "1" + "}" * 62)
            )
        ).status == 201
        assert (await node.call("GET", deep)).status == 404

    on_node(main)
