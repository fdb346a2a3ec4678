"""Pages of other origins: what a browser is told about who may read the API."""

import pytest

T = "/api/2/things/org.acme:pump"
PAGE = "https://explorer.example"
ASK = {
    "origin": PAGE,
    "access-control-request-method": "PUT",
    "access-control-request-headers": "authorization,content-type",
}


@pytest.mark.parametrize("allowed", [PAGE, "*"])
def test_an_allowed_page_may_ask_and_read(on_node, allowed):
    async def main(node):
        asked = await node.call("OPTIONS", T, user=None, headers=ASK)
        assert (asked.status, asked.body) == (204, b"")
        assert asked.headers["access-control-allow-origin"] == allowed
        assert "PUT" in asked.headers["access-control-allow-methods"]
        assert asked.headers["access-control-allow-headers"] == "authorization,content-type"
        for method, body, status in (("PUT", {}, 201), ("GET", None, 200), ("POST", {}, 405)):
            answer = await node.call(method, T, body, headers={"origin": PAGE})
            assert answer.status == status
            assert answer.headers["access-control-allow-origin"] == allowed
            assert "etag" in answer.headers["access-control-expose-headers"]
            assert answer.headers["vary"] == "origin"
        refused = await node.call("GET", T, user=None, headers={"origin": PAGE})
        assert refused.status == 401
        assert refused.headers["access-control-allow-origin"] == allowed

    on_node(main, cors_origins=frozenset((allowed,)))


def test_another_page_is_answered_and_not_allowed_to_read(on_node):
    async def main(node):
        other = {"origin": "https://evil.example"}
        asked = await node.call("OPTIONS", T, user=None, headers=ASK | other)
        answer = await node.call("GET", T, headers=other)
        for one in (asked, answer):
            assert not any(name.startswith("access-control") for name in one.headers)
            assert one.headers["vary"] == "origin"

    on_node(main, cors_origins=frozenset((PAGE,)))


def test_without_origins_nothing_is_said(on_node):
    async def main(node):
        asked = await node.call("OPTIONS", T, headers=ASK)
        assert asked.headers["allow"] == "GET, PUT, PATCH, DELETE, OPTIONS"
        assert not any(name.startswith("access-control") for name in asked.headers)
        assert "vary" not in asked.headers

    on_node(main)


OWN = {"host": "twins.example:8080", "origin": "http://twins.example:8080"}
RENAMED = {"host": "node-1", "origin": PAGE, "sec-fetch-site": "same-origin"}
EVIL = {"host": "twins.example", "origin": "https://evil.example", "sec-fetch-site": "cross-site"}
SANDBOX = {"host": "twins.example", "origin": "null"}


@pytest.mark.parametrize(
    ("headers", "origins", "status"),
    [
        (OWN, (), 201),
        (RENAMED, (), 201),
        (EVIL, (), 403),
        (EVIL, (PAGE,), 403),
        (SANDBOX, (PAGE,), 403),
        (EVIL, ("*",), 201),
        (EVIL | {"origin": PAGE}, (PAGE,), 201),
        ({"host": "twins.example"}, (), 201),
    ],
    ids=["own", "renamed by a proxy", "evil", "not named", "sandbox", "any", "named", "no browser"],
)
def test_a_page_of_another_origin_cannot_use_the_password_that_a_browser_keeps(
    on_node, headers, origins, status
):
    """A form, or a script that reads no answer, is sent without a question to the node."""

    async def main(node):
        answer = await node.call("PUT", T, {}, headers=headers)
        assert answer.status == status
        assert (await node.call("GET", T, headers=headers)).status == (
            200 if status == 201 else 404
        )
        if status == 403:
            assert answer.json["error"] == "littoral.origin.refused"
            assert "http.cors_origins" in answer.json["description"]

    on_node(main, cors_origins=frozenset(origins))


@pytest.mark.parametrize(
    ("headers", "first"),
    [(OWN, "websocket.accept"), (EVIL, "websocket.close")],
    ids=["own", "evil"],
)
def test_a_page_of_another_origin_cannot_open_a_websocket(on_node, headers, first):
    async def main(node):
        async with node.socket(headers=headers.items()) as socket:
            assert (await socket.next())["type"] == first

    on_node(main)
