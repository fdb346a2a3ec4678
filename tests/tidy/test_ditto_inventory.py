"""Every operation of Eclipse Ditto's API 2 is one of ours, or is named here as a later one."""

import re
from pathlib import Path

import pytest

from littoral.api.docs import openapi

LATER = {
    "/api/2/connections": "connectivity: sources and targets of other systems",
    "/devops": "Ditto's own operation: loggers, configuration of its services, piggyback",
    "/.well-known/wot": "Web of Things: a directory of thing descriptions",
}
"""What begins with one of these is not in this release, and why not."""

NEVER_SENT = {
    402: "payment is not asked for",
    304: "nobody is told that nothing changed when he writes",
}
"""Statuses that Ditto's document names where its server does not send them."""


def operations():
    file = Path(__file__).with_name("ditto-operations.txt")
    for line in file.read_text().splitlines():
        if not line.startswith("#"):
            method, path, *statuses = line.split()
            yield method, path, [int(status) for status in statuses]


OPERATIONS = list(operations())
OURS = [o for o in OPERATIONS if not o[1].startswith(tuple(LATER))]


@pytest.fixture(scope="module")
def ours():
    found = openapi.document("0")["paths"]
    return {_shape(path): item for path, item in found.items()}


def _shape(path):
    return re.sub(r"\{[^}]+\}", "{}", path)


def test_the_inventory_is_dittos():
    assert len([method for method, *_ in OPERATIONS if method != "HEAD"]) == 130
    assert len({path for _, path, _ in OPERATIONS}) == 61


def test_no_more_is_left_for_later_than_is_said():
    later = {path for _, path, _ in OPERATIONS} - {path for _, path, _ in OURS}
    assert len(later) == 18
    assert not [path for path in later if path.startswith(("/api/2/things", "/api/2/policies"))]


@pytest.mark.parametrize(("method", "path", "statuses"), OURS, ids=lambda v: str(v)[:90])
def test_an_operation_of_ditto_is_one_of_ours(ours, method, path, statuses):
    operation = ours[_shape(path)].get(method.lower())
    assert operation is not None, f"{method} {path} is not in our document"
    written = method != "GET"
    wanted = [s for s in statuses if not (s in NEVER_SENT and (written or s != 304))]
    missing = [s for s in wanted if str(s) not in operation["responses"]]
    assert not missing, f"{method} {path} answers {missing} in Ditto"
