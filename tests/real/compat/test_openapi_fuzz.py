"""schemathesis against a node: whatever a document allows, the answers are those it promises.

No 5xx, no status, media type, header or body that the document does not have. ``make conformance``
runs it for longer. What is a language to the node and only text to a schema (RQL, selectors, ids) is
given values, so that requests get behind the parsers too.
"""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

SCHEMATHESIS = Path(sys.executable).with_name("schemathesis")
CHECKS = (
    "not_a_server_error", "status_code_conformance", "content_type_conformance",
    "response_schema_conformance", "response_headers_conformance", "unsupported_method",
    "allow_header_conformance", "ignored_auth",
)  # fmt: skip
IDS = ["org.littoral:fuzz", "org.littoral:fuzz-2", "org.littoral:none"]
THING = {
    "policyId": "org.littoral:default",
    "attributes": {"x": 5, "deep": {"er": None}},
    "features": {"lamp": {"properties": {"on": True}, "desiredProperties": {"on": False}}},
}
INSTANTS = ["2100-01-01T00:00:00Z", "2026-01-01T00:00:00Z", "yesterday"]
RQL = ["exists(thingId)", "gt(attributes/x,3)", "eq(attributes/x, 1)", 'like(thingId,"org*")']
VALUES = {
    "thingId": IDS,
    "policyId": IDS,
    "importedPolicyId": IDS,
    "featureId": ["lamp", "fan", "*"],
    "label": ["owner", "guest"],
    "subjectId": ["nginx:ditto", "nginx:guest"],
    "resourcePath": ["thing:/features/lamp", "message:/inbox", "nothing"],
    "attributePath": ["x", "deep/er", "a~1b"],
    "propertyPath": ["on", "a/b"],
    "condition": RQL,
    "live-channel-condition": ["eq(attributes/x,99)", "nonsense"],
    "filter": [*RQL, "and(gt(attributes/x,3),not(exists(features/fan)))"],
    "fields": ["thingId,attributes(x),_revision", "features/*/properties", "_policy", "a(b"],
    "option": [
        "size(5)",
        "sort(-_modified)",
        "size(1),sort(+attributes/x)",
        "limit(0,5)",
        "size(x)",
    ],
    "timeout": ["0", "50ms", "100ms", "1h"],
    "requested-acks": ["twin-persisted", "search-persisted", ""],
    "namespaces": ["org.littoral", "org.littoral,none", "1"],
    "at-historical-timestamp": INSTANTS,
    "from-historical-timestamp": INSTANTS,
    "to-historical-timestamp": INSTANTS,
    "put-metadata": ['[{"key":"*/unit","value":"K"}]', "[]", "{"],
    "get-metadata": ["attributes/x/unit", "*"],
    "delete-metadata": ["attributes/x/unit"],
    "merge-thing-patch-conditions": ['{"attributes/x":"exists(thingId)"}', "{"],
    "If-Match": ["*", '"rev:1"', "nonsense"],
    "If-None-Match": ['"rev:1"', "*"],
}

pytestmark = [
    pytest.mark.real,
    pytest.mark.slow,
    pytest.mark.skipif(
        importlib.util.find_spec("schemathesis") is None,
        reason="schemathesis is not installed: run make peers",
    ),
]


def narrowed(document):
    """The document with values for what its schemas can only call text."""
    for parameter in document["components"]["parameters"].values():
        parameter.setdefault("required", False)
        if parameter["name"] in VALUES:
            parameter["schema"] = {"type": "string", "enum": VALUES[parameter["name"]]}
            parameter.pop("example", None)
        # Nobody answers here: what waits for a device is not to wait for long.
        parameter["required"] = parameter["name"] == "timeout" or parameter["required"]
    # Nobody here answers messages or gives acknowledgements with statuses of his own.
    for item in document["paths"].values():
        for operation in item.values():
            operation["responses"].pop("default", None)
    # Lines of JSON are not something that schemathesis can write; the event streams never end.
    del document["paths"]["/api/littoral/v1/apply"]
    return document


@pytest.mark.parametrize(
    ("user", "paths"),
    [("ditto:ditto", "^/api/2/"), ("devops:foobar", "^/(?!api/2/)")],
    ids=["twins", "administration"],
)
@pytest.mark.timeout(1800)
def test_answers_are_what_the_document_promises(user, paths, dev_node, tmp_path, request):
    examples = request.config.getoption("--examples", default=3)
    with httpx.Client(base_url=dev_node.url, auth=("ditto", "ditto"), trust_env=False) as node:
        for one in IDS[:2]:
            node.put(f"/api/2/things/{one}", json=THING)
        document = node.get("/openapi.json").json()
    file = tmp_path / "openapi.json"
    file.write_text(json.dumps(narrowed(document)))
    done = subprocess.run(
        [
            *(SCHEMATHESIS, "run", file, "--url", dev_node.url, "--auth", user, "--no-color"),
            *("--max-examples", str(examples), "--checks", ",".join(CHECKS)),
            *("--phases", "examples,coverage,fuzzing" if examples > 3 else "examples,fuzzing"),
            # One worker: its threads upset the parser of Python 3.11 (AST constructor recursion).
            *("--continue-on-failure", "--generation-database", "none", "--workers", "1"),
            *("--include-path-regex", paths),
            # Not those that would take away the users that this asks as, or wait for a device.
            *("--exclude-path-regex", "/users/|/inbox/claim"),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=1700,
        check=False,
    )
    report = done.stdout.partition("WARNINGS")[0]
    assert done.returncode == 0, report[-20_000:] + done.stderr
