"""The OpenAPI document, put together from the tables."""

from littoral.api.docs import administration, beyond, more, policies, twins
from littoral.api.docs.operation import SECURITY, Json, Operation, paths, refusals
from littoral.api.docs.parameters import HEADERS, PARAMETERS
from littoral.api.docs.schemas import SCHEMAS

TAGS = {
    "Things": "Twins of devices: attributes, features, a definition, a policy.",
    "Features": "Parts of a thing, with properties that are and properties that are desired.",
    "Policies": "Who may read and write what.",
    "Search": "RQL over everything that you may read.",
    "Messages": "To devices and from them, answered by whoever listens.",
    "Permissions": "Who you are, and what you may do.",
    "CloudEvents": "Protocol messages by way of an event mesh.",
    "Beyond Ditto": "What Eclipse Ditto has not.",
    "Administration": "The registry, sites and keys. For administrators.",
    "Operation": "For orchestrators and monitoring.",
    "Documents": "What the node says about itself.",
}

_INTRODUCTION = """\
The HTTP API of a Littoral node. Below `/api/2` it is Eclipse Ditto's API 2: its clients work when
their base address is changed. Below `/api/littoral/v1` is what Ditto has not. The WebSocket at
`/ws/2` is described in [/asyncapi.json](/asyncapi.json).

Parameters that are shown as query parameters here and are named in lower case with hyphens
(`timeout`, `condition`, `channel`, `requested-acks` …) may be sent as headers instead, but not both.
`HEAD` is answered wherever `GET` is.
"""


def operations() -> list[Operation]:
    """Everything that the door answers, in the order of the document."""
    return [
        *twins.operations(),
        *policies.operations(),
        *more.operations(),
        *beyond.operations(),
        *administration.operations(),
    ]


def document(version: str) -> Json:
    """The whole OpenAPI document."""
    return {
        "openapi": "3.1.0",
        "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
        "info": {
            "title": "Littoral",
            "version": version,
            "summary": "Digital twins, from the edge to the cloud.",
            "description": _INTRODUCTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/", "description": "This node"}],
        "tags": [{"name": name, "description": text} for name, text in TAGS.items()],
        "security": list(SECURITY),
        "paths": paths(operations()),
        "components": {
            "securitySchemes": {
                "basic": {"type": "http", "scheme": "basic"},
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "A JWT of an issuer that the node is configured with, or an "
                    "API key.",
                },
                "apiKey": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "x-api-key",
                    "description": "An API key of the node.",
                },
            },
            "parameters": PARAMETERS,
            "headers": HEADERS,
            "responses": refusals(),
            "schemas": SCHEMAS,
        },
    }
