"""GET /api/2/whoami and POST /api/2/checkPermissions, and the same over the WebSocket."""

T = "/api/2/things/org.acme:t"
ALL = {f"{kind}:/": {"grant": ["READ", "WRITE"]} for kind in ("thing", "policy")}
POLICY = {
    "entries": {
        "owner": {"subjects": {"nginx:ditto": {"type": "t"}}, "resources": ALL},
        "eve": {
            "subjects": {"nginx:eve": {"type": "t"}},
            "resources": {
                "thing:/": {"grant": ["READ"]},
                "thing:/features/secret": {"revoke": ["READ"]},
            },
        },
    }
}


def question(resource, *permissions, entity="org.acme:t"):
    return {"resource": resource, "entityId": entity, "hasPermissions": list(permissions)}


ASKED = {
    "see": question("thing:/attributes/x", "READ"),
    "all": question("thing:/", "READ"),
    "write": question("thing:/attributes", "READ", "WRITE"),
    "gone": question("thing:/", "READ", entity="org.acme:gone"),
}


async def prepare(node):
    await node.call("PUT", T, {"_policy": POLICY})
    node.registry.put_user("eve", generated_password="e")


def test_who_asks_learns_under_which_subjects_it_is_known(on_node):
    async def main(node):
        answer = await node.call("GET", "/api/2/whoami")
        assert answer.status == 200
        assert answer.json["defaultSubject"] == "nginx:ditto"
        assert answer.json["subjects"][0] == "nginx:ditto"
        assert (await node.call("GET", "/api/2/whoami", user=None)).status == 401
        assert (await node.call("POST", "/api/2/whoami", {})).status == 405
        assert (await node.call("GET", "/api/2/whoami/x")).status == 404

    on_node(main)


def test_questions_are_answered_for_who_asks(on_node):
    async def main(node):
        await prepare(node)
        answer = await node.call("POST", "/api/2/checkPermissions", ASKED)
        assert (answer.status, answer.json) == (
            200, {"see": True, "all": True, "write": True, "gone": False},
        )  # fmt: skip
        answer = await node.call("POST", "/api/2/checkPermissions", ASKED, user=("eve", "e"))
        assert answer.json == {"see": True, "all": False, "write": False, "gone": False}
        assert (await node.call("POST", "/api/2/checkPermissions", {})).json == {}
        for odd in ([], {"x": 1}, {"x": question("thing:/", "FLY")}):
            refused = await node.call("POST", "/api/2/checkPermissions", odd)
            assert refused.status == 400
        assert (await node.call("GET", "/api/2/checkPermissions")).status == 405
        assert (await node.call("POST", "/api/2/checkPermissions/x", {})).status == 404

    on_node(main)


def test_the_same_is_asked_over_the_websocket(on_node):
    async def main(node):
        await prepare(node)
        async with node.socket(user=("eve", "e")) as socket:
            await socket.accepted()
            answer = await socket.ask(
                {
                    "topic": "_/_/policies/commands/checkPermissions",
                    "headers": {"correlation-id": "c"},
                    "path": "/",
                    "value": ASKED,
                }
            )
            assert answer["status"] == 200
            assert answer["topic"] == "_/_/policies/commands/checkPermissions"
            assert answer["value"] == {"see": True, "all": False, "write": False, "gone": False}
            refused = await socket.ask(
                {
                    "topic": "_/_/things/twin/commands/checkPermissions",
                    "headers": {},
                    "path": "/",
                    "value": {},
                }
            )
            assert refused["value"]["error"] == "protocoladapter:unknown.command"

    on_node(main)


def test_policies_are_commanded_over_the_websocket(on_node):
    async def main(node):
        await prepare(node)
        topic = "org.acme/t/policies/commands/"
        async with node.socket() as socket:
            await socket.accepted()

            async def ask(action, path, value=None, **headers):
                frame = {"topic": topic + action, "headers": headers, "path": path}
                return await socket.ask(frame | ({} if value is None else {"value": value}))

            for path, value, status in (
                ("/entries/more", {"subjects": {}, "resources": {}}, 201),
                ("/entries/more/importable", "explicit", 204),
                ("/entries/more/namespaces", ["org.acme"], 204),
                ("/entries/more/references", [{"entry": "eve"}], 201),
                ("/entries/more/resources/thing:/a", {"grant": ["READ"]}, 201),
                ("/imports", {}, 204),
            ):
                assert (path, (await ask("modify", path, value))["status"]) == (path, status)
            read = await ask("retrieve", "/entries/more/namespaces")
            assert (read["status"], read["value"]) == (200, ["org.acme"])
            view = await ask("retrieve", "/", **{"policy-view": "resolved"})
            assert "more" in view["value"]["entries"]
            assert (await ask("delete", "/entries/more/references"))["status"] == 204
            for action, path, value, code in (
                ("create", "/", POLICY, "policies:policy.conflict"),
                ("modify", "/entries/a/b", {}, "protocoladapter:unknown.path"),
                ("delete", "/entries/more/importable", None, "protocoladapter:unknown.path"),
                ("modify", "/actions/activateTokenIntegration", {}, "policies:action.failed"),
                ("modify", "/actions/activateTokenIntegration", None, "policies:action.failed"),
            ):
                assert (await ask(action, path, value))["value"]["error"] == code
            assert (await ask("delete", "/"))["status"] == 204

    on_node(main)


def test_events_are_for_who_may_read_things_of_that_namespace(on_node):
    """An entry that is about other namespaces lets nobody see the events of this one."""
    entry = POLICY["entries"]["eve"] | {"namespaces": ["org.acme.far"]}
    policy = {"entries": {"owner": POLICY["entries"]["owner"], "eve": entry}}

    async def main(node):
        node.registry.put_user("eve", generated_password="e")
        await node.call("PUT", "/api/2/policies/org.acme:p", policy)
        for thing in ("org.acme:t", "org.acme.far:t"):
            await node.call("PUT", f"/api/2/things/{thing}", {"policyId": "org.acme:p"})
        async with node.socket(user=("eve", "e")) as socket:
            await socket.accepted()
            assert await socket.ask("START-SEND-EVENTS") == "START-SEND-EVENTS:ACK"
            await node.call("PUT", "/api/2/things/org.acme:t/attributes/x", 1)
            await node.call("PUT", "/api/2/things/org.acme.far:t/attributes/x", 1)
            event = await socket.json()
            assert event["topic"].startswith("org.acme.far/t/things/twin/events/")
            assert await socket.is_silent()

    on_node(main)
