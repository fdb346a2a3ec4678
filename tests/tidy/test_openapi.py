"""The OpenAPI document has every route that the code has, and the code every route of it."""

import ast
import re
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from littoral.api.docs import asyncapi, openapi
from littoral.api.docs.parameters import HEADERS, PARAMETERS
from littoral.api.docs.schemas import SCHEMAS
from littoral.twin.protocol import UnknownPath, check_path

API = Path(__file__).parents[2] / "src" / "littoral" / "api"
NO_ROUTES = {"filters.py", "request.py", "session.py", "session_commands.py", "websocket.py"}
"""Modules that take other things apart than the segments of a path."""

STANDS_FOR = {
    "thingId": "ns:a",
    "policyId": "ns:p",
    "importedPolicyId": "ns:q",
    "resourcePath": "thing:/features/f/properties",
    "subjectId": "nginx:u",
}


@pytest.fixture(scope="module")
def document():
    return openapi.document("0.0.0")


@pytest.fixture(scope="module")
def segments(document):
    return {part for path in document["paths"] for part in path.strip("/").split("/")}


def literals():
    """Each text that route code compares segments of a path with, and where."""
    for file in sorted(API.rglob("*.py")):
        if file.parent.name == "docs" or file.name in NO_ROUTES:
            continue
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.MatchSequence):
                for inner in ast.walk(node):
                    value = getattr(inner, "value", None)
                    if isinstance(inner, ast.MatchValue) and isinstance(value, ast.Constant):
                        yield f"{file.name}:{inner.lineno}", value.value


VERBS = {"GET", "HEAD", "PUT", "POST", "PATCH", "DELETE"}


def test_every_segment_that_the_code_knows_is_in_the_document(segments):
    unknown = {
        f"{where}: {text!r}"
        for where, text in literals()
        if isinstance(text, str) and text not in segments | VERBS
    }
    assert not unknown, f"add these routes to the tables in src/littoral/api/docs: {unknown}"


def roots(name):
    """The keys of one of the door's tables of roots, as they are written there."""
    for node in ast.walk(ast.parse((API / "door.py").read_text())):
        target = getattr(node, "target", None)
        if isinstance(node, ast.AnnAssign) and getattr(target, "attr", "") == name:
            assert isinstance(node.value, ast.Dict)
            return {k.value for k in node.value.keys if isinstance(k, ast.Constant)}
    raise AssertionError(f"door.py has no table {name}")


def test_the_roots_of_the_door_are_those_of_the_document(document):
    below = re.compile(r"/api/2/([^/]+)")
    documented = {m[1] for path in document["paths"] if (m := below.match(path))}
    assert roots("_api_2") == documented


@pytest.mark.parametrize("path", sorted(openapi.document("0")["paths"]))
def test_what_the_document_says_of_twins_the_protocol_knows(path):
    found = re.match(r"/api/2/(things|policies)/\{\w+\}(/.*)?$", path)
    if found is None or re.search(r"/(inbox|outbox|actions|migrateDefinition)", path):
        return
    below = re.sub(r"\{(\w+)\}", lambda m: STANDS_FOR.get(m[1], "x"), found[2] or "/")
    try:
        check_path(found[1], below)
    except UnknownPath as e:
        raise AssertionError(f"{path} is in the document, but twins have no such place") from e


def references(value):
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == "$ref":
                yield inner
            yield from references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)


@pytest.mark.parametrize("made", [openapi, asyncapi], ids=["openapi", "asyncapi"])
def test_every_reference_leads_somewhere(made):
    document = made.document("0.0.0")
    for reference in set(references(document)):
        at = document
        for key in reference.removeprefix("#/").split("/"):
            assert key in at, reference
            at = at[key]


@pytest.mark.slow
def test_the_document_is_what_openapi_says(document):
    openapi_spec_validator = pytest.importorskip(
        "openapi_spec_validator", reason="openapi-spec-validator is in the group compat"
    )
    openapi_spec_validator.validate(document)


@pytest.mark.parametrize("name", sorted(SCHEMAS))
def test_a_schema_is_a_schema(name):
    Draft202012Validator.check_schema(SCHEMAS[name])


def test_nothing_is_described_that_nothing_uses(document):
    used = set(references(document))
    for kind, named in (("parameters", PARAMETERS), ("headers", HEADERS), ("schemas", SCHEMAS)):
        unused = {name for name in named if f"#/components/{kind}/{name}" not in used}
        assert unused <= {"ProtocolMessage"}, f"{kind} that nothing uses: {unused}"


def test_operations_have_names_of_their_own():
    names = [one.id for one in openapi.operations()]
    assert len(names) == len(set(names))


def test_every_tag_is_explained():
    used = {one.tag for one in openapi.operations()}
    assert used <= set(openapi.TAGS)


def test_the_page_needs_nothing_from_elsewhere():
    page = (API / "docs" / "page.html").read_text()
    addresses = set(re.findall(r"""(?:https?:)?//[\w.-]+\.\w+[^\s'"]*""", page))
    assert addresses <= {"http://www.w3.org/2000/svg"}, addresses
