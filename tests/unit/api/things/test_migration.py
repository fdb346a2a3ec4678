"""migrateDefinition: a new definition and its payload in one step, and what is refused of it."""

import pytest

from littoral.api.pipeline.migration import resolved

T = "/api/2/things/org.acme:pump"
THING = "org.acme:pump"
PUMP = {"attributes": {"model": "P1"}, "features": {"motor": {"properties": {"rpm": 10}}}}
URL = "https://acme.org/pump-2.tm.jsonld"


def test_a_definition_is_migrated_with_its_payload(on_node):
    async def main(node):
        await node.call("PUT", T, PUMP)
        request = {
            "thingDefinitionUrl": URL,
            "migrationPayload": {
                "attributes": {"model": None, "type": "{{ thing-json:attributes/model }}"},
                "features": {
                    "motor": {
                        "properties": {
                            "speed": "{{ thing-json:/features/motor/properties/rpm }}",
                            "text": "was {{ thing-json:features/motor/properties/rpm }} rpm",
                        }
                    },
                    "other": {"properties": {"no": 1}},
                },
            },
            "patchConditions": {
                "thing:/features/other": 'eq(attributes/model,"P9")',
                "thing:/features/motor": 'eq(attributes/model,"P1")',
            },
        }
        patch = {
            "definition": URL,
            "attributes": {"model": None, "type": "P1"},
            "features": {"motor": {"properties": {"speed": 10, "text": "was 10 rpm"}}},
        }
        tried = await node.call("POST", T + "/migrateDefinition?dry-run=true", request)
        assert (tried.status, tried.json) == (
            202,
            {"thingId": THING, "patch": patch, "mergeStatus": "DRY_RUN"},
        )
        assert (await node.call("GET", T + "/attributes/model")).json == "P1"
        done = await node.call("POST", T + "/migrateDefinition", request)
        assert (done.status, done.json) == (
            200,
            {"thingId": THING, "patch": patch, "mergeStatus": "APPLIED"},
        )
        thing = (await node.call("GET", T)).json
        assert thing["definition"] == URL
        assert thing["attributes"] == {"type": "P1"}
        assert thing["features"]["motor"]["properties"] == {
            "rpm": 10,
            "speed": 10,
            "text": "was 10 rpm",
        }

    on_node(main)


def test_a_session_migrates_as_http_does(on_node):
    async def main(node):
        await node.call("PUT", T, PUMP)
        value = {"thingDefinitionUrl": URL, "migrationPayload": {"attributes": {"model": "P2"}}}
        patch = {"definition": URL, "attributes": {"model": "P2"}}
        asked = {"topic": "org.acme/pump/things/twin/commands/migrate", "path": "/", "value": value}
        async with node.socket() as socket:
            await socket.accepted()
            tried = await socket.ask(asked | {"headers": {"dry-run": True}})
            assert (tried["status"], tried["value"]["mergeStatus"]) == (202, "DRY_RUN")
            done = await socket.ask(asked | {"headers": {}})
            assert (done["status"], done["topic"]) == (200, asked["topic"])
            assert done["value"] == {"thingId": THING, "patch": patch, "mergeStatus": "APPLIED"}
            wrong = await socket.ask(asked | {"headers": {}, "value": {}})
            assert (wrong["status"], wrong["value"]["error"]) == (400, "json.invalid")
        assert (await node.call("GET", T + "/attributes/model")).json == "P2"

    on_node(main)


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({}, 400, "json.invalid"),
        ({"thingDefinitionUrl": "nonsense"}, 400, "json.invalid"),
        ({"thingDefinitionUrl": URL, "more": 1}, 400, "json.invalid"),
        (
            {"thingDefinitionUrl": URL, "patchConditions": {"thing:/attributes": "eq("}},
            400,
            "things:condition.invalid",
        ),
    ],
)
def test_a_wrong_migration_is_refused(on_node, body, status, code):
    async def main(node):
        await node.call("PUT", T, PUMP)
        answer = await node.call("POST", T + "/migrateDefinition", body)
        assert (answer.status, answer.code) == (status, code)
        assert (await node.call("GET", T + "/migrateDefinition")).headers["allow"] == "POST"

    on_node(main)


@pytest.mark.parametrize(
    ("value", "written"),
    [("text", "text"), (1.5, "1.5"), (True, "true"), (None, "null"), ({"a": [1]}, '{"a":[1]}')],
)
def test_inside_a_text_a_value_is_written_as_json(value, written):
    thing = {"attributes": {"x": value}}
    assert resolved("is {{ thing-json:attributes/x }}.", thing) == f"is {written}."


@pytest.mark.timeout(10)
def test_placeholders_that_are_never_closed_keep_nobody_busy():
    text = "{{thing-json:" * 8000
    assert resolved(text, {}) == text
