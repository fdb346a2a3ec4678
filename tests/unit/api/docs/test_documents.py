"""The door describes itself: to anybody, cheaply, and only when it is asked."""

import subprocess
import sys

import pytest

DOCUMENTS = ["/openapi.json", "/asyncapi.json", "/docs"]


@pytest.mark.parametrize("path", DOCUMENTS)
def test_a_document_is_for_anybody_and_is_not_sent_twice(on_node, path):
    async def main(node):
        first = await node.call("GET", path, user=None)
        assert first.status == 200 and len(first.body) > 1000
        again = await node.call(
            "GET", path, user=None, headers={"if-none-match": first.headers["etag"]}
        )
        assert (again.status, again.body) == (304, b"")
        head = await node.call("HEAD", path, user=None)
        assert (head.status, head.body) == (200, b"")
        assert (await node.call("POST", path, {}, user=None)).status == 405
        assert (await node.call("GET", f"{path}/more", user=None)).status == 404

    on_node(main)


def test_a_browser_at_the_root_finds_the_page(on_node):
    async def main(node):
        for method in ("GET", "HEAD"):
            answer = await node.call(method, "/", user=None)
            assert (answer.status, answer.headers["location"], answer.body) == (302, "docs", b"")
        assert (await node.call("POST", "/", {}, user=None)).status == 405

    on_node(main)


def test_the_documents_say_which_they_are(on_node):
    async def main(node):
        openapi = (await node.call("GET", "/openapi.json")).json
        assert (openapi["openapi"], openapi["info"]["version"]) == ("3.1.0", "0.1.0")
        asyncapi = (await node.call("GET", "/asyncapi.json")).json
        assert asyncapi["asyncapi"] == "3.0.0"
        assert asyncapi["channels"]["session"]["address"] == "/ws/2"

    on_node(main)


def test_the_page_may_load_nothing_from_elsewhere(on_node):
    async def main(node):
        page = await node.call("GET", "/docs", user=None)
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        policy = page.headers["content-security-policy"]
        assert "default-src 'none'" in policy and "connect-src 'self'" in policy
        assert page.headers["x-content-type-options"] == "nosniff"

    on_node(main)


@pytest.mark.slow
def test_whoever_does_not_ask_does_not_pay():
    made = "littoral.api.docs.openapi", "littoral.api.docs.schemas", "littoral.api.docs.asyncapi"
    program = f"import sys, littoral.api; sys.exit(any(m in sys.modules for m in {made!r}))"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_the_page_shows_what_a_body_may_hold(on_node):
    async def main(node):
        page = (await node.call("GET", "/docs", user=None)).body.decode()
        assert "What may stand in it" in page and "scrollIntoView" in page

    on_node(main)
