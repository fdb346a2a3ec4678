"""/api/2/policies: whole policies and the parts of their entries."""

P = "/api/2/policies/org.acme:p"
OWNER = {
    "subjects": {"nginx:ditto": {"type": "me"}},
    "resources": {
        "thing:/": {"grant": ["READ", "WRITE"], "revoke": []},
        "policy:/": {"grant": ["READ", "WRITE"], "revoke": []},
    },
}


def test_a_policy_is_made_read_replaced_and_deleted(on_node):
    async def main(node):
        made = await node.call("PUT", P, {"entries": {"owner": OWNER}})
        assert (made.status, made.headers["etag"]) == (201, '"rev:1"')
        assert made.headers["location"] == P
        assert made.json == {"policyId": "org.acme:p", "entries": {"owner": OWNER}}
        read = await node.call("GET", P)
        assert (read.status, read.json) == (200, made.json)
        assert (await node.call("PUT", P, {"entries": {"o": OWNER}})).status == 204
        assert (await node.call("GET", P + "?fields=_revision")).json == {"_revision": 2}
        same = await node.call("GET", P, headers={"if-none-match": '"rev:2"'})
        assert (same.status, same.body) == (304, b"")
        assert (await node.call("DELETE", P)).status == 204
        gone = await node.call("GET", P)
        assert (gone.status, gone.code) == (404, "policies:policy.notfound")

    on_node(main)


def test_entries_and_their_parts_can_be_changed(on_node):
    async def main(node):
        await node.call("PUT", P, {"entries": {"owner": OWNER}})
        reader = {
            "subjects": {"nginx:eve": {"type": "x"}},
            "resources": {"thing:/features": {"grant": ["READ"], "revoke": []}},
        }
        assert (await node.call("PUT", P + "/entries/reader", reader)).status == 201
        assert (await node.call("GET", P + "/entries/reader")).json == reader
        resource = P + "/entries/reader/resources/thing:/attributes/a"
        granted = {"grant": ["READ"], "revoke": []}
        assert (await node.call("PUT", resource, granted)).status == 201
        assert (await node.call("GET", resource)).json == granted
        root = P + "/entries/owner/resources/thing:/"
        assert (await node.call("GET", root)).json["grant"] == ["READ", "WRITE"]
        subject = P + "/entries/reader/subjects/nginx:bob"
        assert (await node.call("PUT", subject, {"type": "y"})).status == 201
        assert (await node.call("DELETE", subject)).status == 204
        assert (await node.call("GET", subject)).status == 404
        assert (await node.call("DELETE", P + "/entries/reader")).status == 204
        assert set((await node.call("GET", P + "/entries")).json) == {"owner"}

    on_node(main)


def test_a_policy_that_cannot_be_is_refused(on_node):
    async def main(node):
        for body in ({}, [], {"entries": {"x": 3}}, {"entries": {"o": OWNER}, "policyId": "a:b"}):
            assert (await node.call("PUT", P, body)).status in {400, 403}
        locked = {"entries": {"o": OWNER | {"resources": {}}}}
        assert (await node.call("PUT", P, locked)).status == 403
        assert (await node.call("PATCH", P, {})).status == 405
        assert (await node.call("POST", "/api/2/policies", {})).status == 501

    on_node(main)


def test_a_policy_guards_itself(on_node):
    async def main(node):
        await node.call("PUT", P, {"entries": {"owner": OWNER}})
        node.registry.put_user("eve", generated_password="e")
        assert (await node.call("GET", P, user=("eve", "e"))).status == 404
        put = await node.call("PUT", P, {"entries": {"owner": OWNER}}, user=("eve", "e"))
        assert (put.status, put.code) == (403, "policies:policy.notmodifiable")

    on_node(main)
