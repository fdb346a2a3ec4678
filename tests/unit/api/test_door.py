"""The door itself: who comes in, what is too much, and that every failure has an answer."""

import asyncio
import base64
import logging

import pytest

T = "/api/2/things/org.acme:pump"


def basic(text):
    return {"authorization": "Basic " + base64.b64encode(text.encode()).decode()}


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": "Bearer x"},
        {"authorization": "Basic"},
        {"authorization": "Basic ???"},
        {"authorization": "Basic " + "A" * 5000},
        basic("nocolon"),
        basic(":nouser"),
        basic("ditto:wrong"),
        basic("nobody:ditto"),
    ],
)
@pytest.mark.parametrize("path", [T, "/api/2/whoami", "/api/littoral/v1/status", "/metrics"])
def test_who_does_not_prove_who_it_is_gets_401(on_node, headers, path):
    async def main(node):
        answer = await node.call("GET", path, user=None, headers=headers)
        assert (answer.status, answer.code) == (401, "gateway:authentication.failed")
        assert answer.headers["www-authenticate"].startswith("Basic ")

    on_node(main)


def test_whoami_names_the_subjects(on_node):
    async def main(node):
        answer = await node.call("GET", "/api/2/whoami")
        assert answer.json == {"defaultSubject": "nginx:ditto", "subjects": ["nginx:ditto"]}

    on_node(main)


def test_health_needs_no_name(on_node):
    async def main(node):
        assert (await node.call("GET", "/health", user=None)).json == {"status": "UP"}
        for path in ("/livez", "/readyz"):
            assert (await node.call("GET", path, user=None)).status == 200
        head = await node.call("HEAD", "/health", user=None)
        assert (head.status, head.body, head.headers["content-length"]) == (200, b"", "15")
        assert (await node.call("POST", "/health", user=None)).status == 405

    on_node(main)


def test_a_node_that_is_not_ready_says_why_and_lives(on_node):
    async def main(node):
        ready = await node.call("GET", "/readyz", user=None)
        assert (ready.status, ready.body) == (503, b"not ready: the disk is full\n")
        assert (await node.call("GET", "/health", user=None)).json == {"status": "DOWN"}
        assert (await node.call("GET", "/livez", user=None)).status == 200

    on_node(main, not_ready=lambda: "the disk is full")


def test_metrics_are_the_statistics_records(on_node):
    async def main(node):
        assert (await node.call("GET", "/metrics")).status == 403
        answer = await node.call("GET", "/metrics", user=("devops", "foobar"))
        assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
        lines = answer.body.decode().splitlines()
        assert "# TYPE littoral_log_head gauge" in lines
        assert f"littoral_log_head {node.log.head}" in lines
        assert "littoral_node_ready 1" in lines
        assert 'littoral_link_backlog_records{peer="plant"} 7' in lines

    on_node(main, link_status=lambda: {"plant": {"backlog_records": 7}})


def test_metrics_are_public_where_the_node_says_so(on_node):
    async def main(node):
        assert (await node.call("GET", "/metrics", user=None)).status == 200

    on_node(main, public_metrics=True)


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/docz", 404, "littoral.route.missing"),
        ("/api/2", 404, "littoral.route.missing"),
        ("/api/1/things", 404, "api.version.notsupported"),
        ("/api/littoral/v1/nothing", 404, "littoral.route.missing"),
        (T + "/inbox/messages", 404, "littoral.route.missing"),
        ("/api/2/policies/a:b/nothing", 404, "littoral.route.missing"),
    ],
)
def test_what_is_not_there_is_404(on_node, path, status, code):
    async def main(node):
        answer = await node.call("GET", path)
        assert (answer.status, answer.code) == (status, code)

    on_node(main)


def test_a_wrong_method_is_told_the_right_ones(on_node):
    async def main(node):
        for path, allow in [
            (T, "GET, PUT, PATCH, DELETE"),
            ("/api/2/things", "GET, POST"),
            (T + "/inbox/messages/x", "GET, POST"),
            ("/api/2/whoami", "GET"),
            ("/api/littoral/v1/apply", "POST"),
            ("/api/2/policies/a:b", "GET, PUT, DELETE"),
        ]:
            answer = await node.call("TRACE", path)
            assert (answer.status, answer.headers["allow"]) == (405, allow)
            assert answer.code == "gateway:method.notallowed"

    on_node(main)


def test_the_correlation_id_comes_back_or_is_made(on_node):
    async def main(node):
        answer = await node.call("GET", T, headers={"correlation-id": "abc"})
        assert answer.headers["correlation-id"] == "abc"
        assert (await node.call("GET", T + "?correlation-id=q")).headers["correlation-id"] == "q"
        made = (await node.call("GET", T)).headers["correlation-id"]
        assert len(made) == 36
        for wrong in ("%0d%0aset-cookie:x", "x" * 300, "%c3%a9", ""):
            answer = await node.call("GET", f"{T}?correlation-id={wrong}")
            assert (answer.status, answer.code) == (400, "header.invalid"), wrong

    on_node(main)


def test_a_uri_that_is_too_long_is_414(on_node):
    async def main(node):
        assert (await node.call("GET", T + "/attributes/" + "x" * 8000)).status == 404
        answer = await node.call("GET", T + "/attributes/" + "x" * 8192)
        assert (answer.status, answer.code) == (414, "gateway:uri.toolong")

    on_node(main)


def test_too_many_or_too_long_headers_are_431(on_node):
    async def main(node):
        many = [(f"x-{n}", "1") for n in range(64)]
        for headers in (many, [("x", "y" * (16 * 1024 + 1))]):
            answer = await node.call("GET", T, headers=headers)
            assert (answer.status, answer.code) == (431, "headers.too.large")

    on_node(main)


def test_a_parameter_may_come_once_only(on_node):
    async def main(node):
        for path, headers in [
            (T, [("timeout", "1"), ("Timeout", "2")]),
            (T + "?timeout=1", [("timeout", "1")]),
            (T + "?timeout=1&timeout=1", []),
            (T, [("if-match", "*"), ("if-match", "*")]),
        ]:
            answer = await node.call("GET", path, headers=headers)
            assert (answer.status, answer.code) == (400, "gateway:duplicate.header.field")
        assert (await node.call("GET", T, headers=[("cookie", "a"), ("cookie", "b")])).status == 404
        too_many = "&".join(f"p{n}=1" for n in range(100))
        assert (await node.call("GET", f"{T}?{too_many}")).status == 400
        assert (await node.call("GET", f"{T}?fields=%ff")).status == 400

    on_node(main)


def test_a_body_over_its_limit_is_413_before_it_is_parsed(on_node):
    async def main(node):
        limit = 100 * 1024
        announced = {"content-length": str(limit + 1)}
        answer = await node.call("PUT", T, headers=announced, pieces=[])
        assert (answer.status, answer.code) == (413, "things:thing.toolarge")
        # It said nothing of its size and goes on for ever: it is cut where the limit is.
        endless = [b"[" * 30_000] * 100
        answer = await node.call("PUT", T, pieces=endless)
        assert (answer.status, answer.code) == (413, "things:thing.toolarge")
        answer = await node.call("PUT", "/api/2/policies/a:b", pieces=endless)
        assert (answer.status, answer.code) == (413, "policies:policy.toolarge")
        answer = await node.call("POST", T + "/inbox/messages/x", pieces=endless)
        assert (answer.status, answer.code) == (413, "messages:payload.toolarge")

    on_node(main)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"nonsense",
        b'{"a":NaN}',
        b"[" * 50_000,
        b'{"a":' * 1000 + b"1" + b"}" * 1000,
        b"\xff",
    ],
)
def test_json_that_is_none_or_a_bomb_is_400(on_node, body):
    async def main(node):
        answer = await node.call("PUT", T, body, headers={"content-type": "application/json"})
        assert (answer.status, answer.code) == (400, "json.invalid")
        assert (await node.call("GET", "/livez", user=None)).status == 200

    on_node(main)


def test_a_caller_that_hangs_up_while_it_sends_gets_nothing_and_breaks_nothing(on_node):
    async def main(node):
        assert await node.call("PUT", T, pieces=[b"{", None]) is None
        assert (await node.call("GET", T)).status == 404

    on_node(main)


def test_a_bug_of_ours_is_500_with_an_id_that_the_log_has_and_no_traceback(on_node, caplog):
    async def main(node):
        node.parts.statistics["log"] = None
        with caplog.at_level(logging.ERROR):
            answer = await node.call(
                "GET", "/metrics", user=("devops", "foobar"), headers={"correlation-id": "bug-1"}
            )
        assert (answer.status, answer.code) == (500, "internalerror")
        assert b"Traceback" not in answer.body and b"NoneType" not in answer.body
        assert "bug-1" in answer.json["description"]
        assert "bug-1" in caplog.text
        assert "NoneType" in caplog.text

    on_node(main)


def test_lifespan_is_agreed_to(on_node):
    async def main(node):
        asked = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]
        said = []

        async def receive():
            return asked.pop(0)

        async def send(message):
            said.append(message["type"])

        await node.door({"type": "lifespan"}, receive, send)
        assert said == ["lifespan.startup.complete", "lifespan.shutdown.complete"]

    on_node(main)


def test_a_body_that_comes_too_slowly_is_408(on_node):
    async def main(node):
        sent = []

        async def receive():
            await asyncio.sleep(1)
            return {"type": "http.request", "body": b"[", "more_body": True}

        async def send(message):
            sent.append(message)

        scope = node.scope("http", T, ("ditto", "ditto"), [], method="PUT")
        await node.door(scope, receive, send)
        assert sent[0]["status"] == 408
        assert asyncio.get_running_loop().time() < 31

    on_node(main)
