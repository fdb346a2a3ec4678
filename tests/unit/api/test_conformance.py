"""Ditto's inventory of things and policies: each path has its methods, each body its schema."""

import json
from pathlib import Path

import jsonschema
import pytest

SCHEMAS = Path(__file__).parent / "ditto"
T, P = "/api/2/things/org.acme:t", "/api/2/policies/org.acme:t"
ALL = {"GET", "PUT", "PATCH", "DELETE"}

INVENTORY = {
    "/api/2/things": {"GET", "POST"},
    T: ALL,
    T + "/definition": ALL,
    T + "/policyId": {"GET", "PUT", "PATCH"},
    T + "/attributes": ALL,
    T + "/attributes/a": ALL,
    T + "/attributes/a/b/c": ALL,
    T + "/features": ALL,
    T + "/features/f": ALL,
    T + "/features/f/definition": ALL,
    T + "/features/f/properties": ALL,
    T + "/features/f/properties/p/q": ALL,
    T + "/features/f/desiredProperties": ALL,
    T + "/features/f/desiredProperties/p/q": ALL,
    T + "/inbox/messages/s": {"POST"},
    T + "/outbox/messages/s/t": {"POST"},
    T + "/features/f/inbox/messages/s": {"POST"},
    T + "/features/f/outbox/messages/s": {"POST"},
    P: {"GET", "PUT", "DELETE"},
    P + "/entries": {"GET", "PUT"},
    P + "/entries/e": {"GET", "PUT", "DELETE"},
    P + "/entries/e/subjects": {"GET", "PUT"},
    P + "/entries/e/subjects/nginx:x": {"GET", "PUT", "DELETE"},
    P + "/entries/e/resources": {"GET", "PUT"},
    P + "/entries/e/resources/thing:/a/b": {"GET", "PUT", "DELETE"},
    "/api/2/whoami": {"GET"},
    "/health": {"GET"},
}


def fits(value, name):
    schema = json.loads((SCHEMAS / f"{name}.json").read_text())
    jsonschema.validate(value, schema, cls=jsonschema.Draft4Validator)


@pytest.mark.parametrize("path", INVENTORY)
def test_a_path_of_dittos_api_has_its_methods(on_node, path):
    async def main(node):
        await node.call("PUT", T, {"features": {"f": {}}})
        for method in INVENTORY[path]:
            query = "?timeout=1ms" if method == "POST" and "messages" in path else ""
            answer = await node.call(method, path + query, 1 if method != "GET" else None)
            assert answer.status not in {405, 500, 501}, (method, answer)
            if answer.status >= 400:
                assert answer.code != "littoral.route.missing", (method, answer)
                assert answer.headers["content-type"] == "application/json"
                fits(answer.json, "error")
                assert answer.json["status"] == answer.status
        answer = await node.call("TRACE", path)
        assert answer.status == 405
        assert set(answer.headers["allow"].split(", ")) >= INVENTORY[path]

    on_node(main)


def test_things_and_policies_fit_dittos_schemas(on_node):
    async def main(node):
        thing = {
            "definition": "org.acme:pump:1.0.0",
            "attributes": {"a": [1, None]},
            "features": {
                # Not with a definition: the schema takes it for an object, one level too deep.
                "f": {
                    "properties": {"p": 1},
                    "desiredProperties": {"p": 2},
                },
            },
        }
        assert (await node.call("PUT", T, thing)).status == 201
        fits((await node.call("GET", T)).json, "thing_v2")
        fits((await node.call("GET", P)).json, "policy")

    on_node(main)
