"""What Ditto's operators ask: status trees, counts, and the levels of loggers."""

import logging

import pytest

from littoral.registry import Role

DEVOPS = ("devops", "foobar")
STATUS = ("watch", "w")


def test_status_is_a_tree_of_health_and_a_cluster_of_one(on_node):
    async def main(node):
        for path in ("/status", "/overall/status"):
            both = (await node.call("GET", path, user=DEVOPS)).json
            health = (await node.call("GET", path + "/health", user=DEVOPS)).json
            cluster = (await node.call("GET", path + "/cluster", user=DEVOPS)).json
            assert both["cluster"] == cluster
            assert both["health"].keys() == health.keys()
            assert (health["label"], health["status"]) == ("cloud", "UP")
            assert [child["label"] for child in health["children"]] == ["log", "twins"]
            assert all(child["status"] == "UP" for child in health["children"])
            assert cluster["reachable"] == ["cloud"]
            assert cluster["leader"] == "cloud"
        assert (await node.call("GET", "/status/more", user=DEVOPS)).status == 404
        assert (await node.call("GET", "/overall/health", user=DEVOPS)).status == 404
        assert (await node.call("POST", "/status", user=DEVOPS)).status == 405

    on_node(main)


def test_a_node_that_is_not_ready_is_down(on_node):
    async def main(node):
        answer = await node.call("GET", "/status/health", user=DEVOPS)
        assert (answer.status, answer.json["status"]) == (503, "DOWN")
        assert answer.json["details"] == [{"ERROR": "it sleeps."}]

    on_node(main, not_ready=lambda: "it sleeps.")


def test_things_are_counted_by_namespace(on_node):
    async def main(node):
        for name in ("org.acme:a", "org.acme:b", "org.beta:a"):
            await node.call("PUT", f"/api/2/things/{name}", {})
        await node.call("DELETE", "/api/2/things/org.acme:b")
        counts = (await node.call("GET", "/stats/things", user=DEVOPS)).json
        assert counts["allThingsCount"] == 2
        assert counts["hotThingsCount"] >= 2
        details = (await node.call("GET", "/stats/things/details", user=DEVOPS)).json
        assert details["namespaces"] == {"org.acme": 1, "org.beta": 1}
        one = await node.call("GET", "/stats/things/details?namespace=org.beta", user=DEVOPS)
        assert one.json["namespaces"] == {"org.beta": 1}
        search = await node.call("GET", "/stats/search", user=DEVOPS)
        assert search.json == {"allThingsCount": 2}
        assert (await node.call("GET", "/stats/else", user=DEVOPS)).status == 404

    on_node(main)


@pytest.fixture
def own_level():
    logger = logging.getLogger("littoral")
    before = logger.level
    yield logger
    logger.setLevel(before)


def test_levels_of_loggers_are_shown_and_set(on_node, own_level):
    async def main(node):
        path = "/devops/logging"
        put = await node.call("PUT", path, {"logger": "littoral", "level": "DEBUG"}, user=DEVOPS)
        assert put.json == {"littoral": {"cloud": {"status": 200, "successful": True}}}
        assert own_level.level == logging.DEBUG
        shown = (await node.call("GET", path + "/littoral/cloud", user=DEVOPS)).json
        levels = shown["littoral"]["cloud"]["loggerConfigs"]
        assert {"level": "DEBUG", "logger": "littoral"} in levels
        for wrong in ({"level": "LOUD"}, {"level": "INFO", "logger": "asyncio"}, []):
            assert (await node.call("PUT", path, wrong, user=DEVOPS)).code == "json.invalid"
        assert (await node.call("GET", path + "/things", user=DEVOPS)).status == 404
        assert (await node.call("GET", "/devops/piggyback", user=DEVOPS)).status == 404

    on_node(main)


def test_only_those_with_the_role_are_answered(on_node):
    async def main(node):
        node.registry.put_user(STATUS[0], generated_password=STATUS[1], roles=(Role.STATUS,))
        for path in ("/status", "/stats/things", "/devops/logging"):
            assert (await node.call("GET", path)).status == 403
            assert (await node.call("GET", path, user=None)).status == 401
        assert (await node.call("GET", "/status", user=STATUS)).status == 200
        assert (await node.call("GET", "/devops/logging", user=STATUS)).status == 403

    on_node(main)


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("/api/2/things", "GET, POST, OPTIONS"),
        ("/api/2/things/org.acme:a", "GET, PUT, PATCH, DELETE, OPTIONS"),
        ("/api/2/things/org.acme:a/policyId", "GET, PUT, PATCH, OPTIONS"),
        ("/health", "GET, OPTIONS"),
    ],
)
def test_options_tells_the_methods_of_an_address(on_node, path, methods):
    async def main(node):
        answer = await node.call("OPTIONS", path)
        assert (answer.status, answer.body) == (204, b"")
        assert answer.headers["allow"] == methods

    on_node(main)
