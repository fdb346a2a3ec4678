from urllib.parse import quote

POLICY = "org.littoral:default"
SEARCH = "/api/2/search/things"


async def fill(node):
    for number in range(5):
        await node.call("PUT", f"/api/2/things/org.acme:t{number}", {
            "policyId": POLICY, "attributes": {"x": number, "secret": "s"}})  # fmt: skip


def target(text, **more):
    given = {"filter": text, **more}
    return SEARCH + "?" + "&".join(f"{k}={quote(v, safe='')}" for k, v in given.items())


def test_a_search_gives_things_and_a_cursor(on_node):
    async def main(node):
        await fill(node)
        found = await node.call(
            "GET", target("gt(attributes/x,1)", fields="thingId", option="size(2)")
        )
        assert found.status == 200
        assert found.json["items"] == [{"thingId": "org.acme:t2"}, {"thingId": "org.acme:t3"}]
        option = f"size(2),cursor({found.json['cursor']})"
        last = await node.call("GET", target("gt(attributes/x,1)", fields="thingId", option=option))
        assert last.json == {"items": [{"thingId": "org.acme:t4"}]}
        whole = await node.call("GET", target("eq(attributes/x,1)"))
        assert whole.json["items"] == [
            {"thingId": "org.acme:t1", "policyId": POLICY, "attributes": {"x": 1, "secret": "s"}}
        ]

    on_node(main)


def test_a_plus_may_come_as_a_space(on_node):
    async def main(node):
        await fill(node)
        for option in ("sort(%2Battributes/x),size(1)", "sort(+attributes/x),size(1)"):
            found = await node.call("GET", f"{SEARCH}?fields=thingId&option={option}")
            assert found.json["items"] == [{"thingId": "org.acme:t0"}]
        found = await node.call(
            "GET", f"{SEARCH}?fields=thingId&option=sort(-attributes/x),size(1)"
        )
        assert found.json["items"] == [{"thingId": "org.acme:t4"}]
        found = await node.call("GET", f"{SEARCH}?fields=thingId&option=limit(3,1)")
        assert found.json == {"items": [{"thingId": "org.acme:t3"}], "nextPageOffset": 4}

    on_node(main)


def test_a_search_that_is_too_long_for_a_uri_comes_as_a_form(on_node):
    async def main(node):
        await fill(node)
        form = [("content-type", "application/x-www-form-urlencoded")]
        body = f"filter={quote('gt(attributes/x,1)')}&fields=thingId&option=size(1)".encode()
        found = await node.call("POST", SEARCH, body, headers=form)
        assert found.json["items"] == [{"thingId": "org.acme:t2"}]
        counted = await node.call("POST", f"{SEARCH}/count", body, headers=form)
        assert counted.json == 3
        json = [("content-type", "application/json")]
        assert (await node.call("POST", SEARCH, b"{}", headers=json)).status == 415

    on_node(main)


def test_things_are_counted(on_node):
    async def main(node):
        await fill(node)
        assert (await node.call("GET", f"{SEARCH}/count")).json == 5
        assert (await node.call("GET", f"{SEARCH}/count?namespaces=org.other")).json == 0
        counted = await node.call("GET", target("eq(attributes/x,3)").replace("?", "/count?"))
        assert counted.json == 1

    on_node(main)


def test_what_cannot_be_searched_is_refused_with_dittos_codes(on_node):
    async def main(node):
        for query, code in (
            ("filter=eq(attributes/x,%201)", "rql.expression.invalid"),
            ("filter=eq(nonsense,1)", "rql.expression.invalid"),
            ("option=size(201)", "thing-search:search.option.invalid"),
            ("option=cursor(abc)", "thing-search:search.option.invalid"),
            ("namespaces=1bad", "thing-search:search.namespaces.invalid"),
            ("fields=a((", "json.fieldselector.invalid"),
        ):
            answer = await node.call("GET", f"{SEARCH}?{query}")
            assert (answer.status, answer.json["error"]) == (400, code), query
        assert (await node.call("DELETE", SEARCH)).status == 405
        assert (await node.call("GET", "/api/2/search/policies")).status == 404

    on_node(main)


def test_hits_come_as_events_that_can_be_gone_on_with(on_node):
    async def main(node):
        await fill(node)
        accept = [("accept", "text/event-stream")]
        first = await node.call("GET", f"{SEARCH}?fields=thingId&option=size(2)", headers=accept)
        events = [e for e in first.body.decode().split("\n\n") if e.startswith("id:")]
        assert events == [f'id:org.acme:t{n}\ndata:{{"thingId":"org.acme:t{n}"}}' for n in range(5)]
        for option in ("", "&option=sort(-attributes/x)"):
            more = [*accept, ("last-event-id", "org.acme:t2")]
            rest = await node.call("GET", f"{SEARCH}?fields=thingId{option}", headers=more)
            ids = [e[3:14] for e in rest.body.decode().split("\n\n") if e.startswith("id:")]
            assert ids == (["org.acme:t1", "org.acme:t0"] if option else
                           ["org.acme:t3", "org.acme:t4"])  # fmt: skip
        wrong = await node.call("GET", f"{SEARCH}?filter=x", headers=accept)
        assert wrong.status == 400

    on_node(main)
